"""Which column is which field, by names and values as shops and suppliers write them."""

import time
from typing import Any

import pytest

from catalog.field_values import Definition
from imports.mapping.formats import KnownFormat, read_as
from imports.mapping.matching.aliases import STRONG, WEAK, bare_key_of, key_of
from imports.mapping.matching.match import Matched, fingerprint, match
from imports.mapping.matching.own_names import OwnNames
from imports.mapping.matching.proposing import propose
from imports.mapping.matching.table import Memory
from imports.mapping.ready_made import READY_MADE
from imports.mapping.rules import Rules, RulesError, parse_rules

FIELDS = ("sku", "name", "description", "price", "active")


NOTHING = Memory()


def found(header: str, *records: str, memory: Memory = NOTHING, **rules: object) -> Matched:
    """Match a file whose cells are separated by semicolons."""
    cells = [record.split(";") for record in records]
    return match(header.split(";"), cells, parse_rules(rules), memory)


def fields(matched: Matched) -> dict[str, object]:
    return {rule.field: rule.columns[0] for rule in matched.rules.columns}


def codes(matched: Matched) -> list[str]:
    return [question.code for question in matched.questions]


# Headers of public templates and of price lists, the record below them, and the columns that the
# five fields are read from.
CLEAR = [
    # Our own, and what people make of it
    (
        "sku;name;description;price;active",
        "A1;Lamp;Steel;5.00;true",
        "sku;name;description;price;active",
    ),
    (
        "SKU*;Name *;Price*",
        "A1;Lamp;5.00",
        "SKU*;Name *;;Price*;",
    ),
    (
        "Sku;Product Name;Price (EUR);Active (0/1)",
        "A1;Lamp;5.00;0",
        "Sku;Product Name;;Price (EUR);Active (0/1)",
    ),
    # English
    (
        "Item number;Title;Long description;Retail price;Enabled",
        "A1;Lamp;x;5.00;Yes",
        "Item number;Title;Long description;Retail price;Enabled",
    ),
    (
        "Item #;Name.en;Price / EUR",
        "A1;Lamp;5.00",
        "Item #;Name.en;;Price / EUR;",
    ),
    (
        "Internal Reference;Name;Sales Price",
        "A1;Lamp;5.00",
        "Internal Reference;Name;;Sales Price;",
    ),
    (
        "Part No.;Product title;Selling Price",
        "A1;Lamp;5.00",
        "Part No.;Product title;;Selling Price;",
    ),
    # German
    (
        "Artikelnummer;Bezeichnung;Langtext;VK-Preis;aktiv",
        "A1;Lampe;x;1.299,00;ja",
        "Artikelnummer;Bezeichnung;Langtext;VK-Preis;aktiv",
    ),
    (
        "Art.-Nr.;Artikelbezeichnung;Preis in €",
        "A1;Lampe;12,50",
        "Art.-Nr.;Artikelbezeichnung;;Preis in €;",
    ),
    (
        "Artikel-Nr.;Produktname;Beschreibung;Listenpreis EUR",
        "A1;Lampe;x;12,50",
        "Artikel-Nr.;Produktname;Beschreibung;Listenpreis EUR;",
    ),
    (
        "Artikel-Nr. (SKU);Artikelbezeichnung 1;Listenpreis netto EUR",
        "A1;Lampe;12,50",
        "Artikel-Nr. (SKU);Artikelbezeichnung 1;;Listenpreis netto EUR;",
    ),
    (
        "Artnr;Naam;Verkoopprijs incl. BTW",
        "A1;Lamp;12,50",
        "Artnr;Naam;;Verkoopprijs incl. BTW;",
    ),
    ("Mat.-Nr.;Name;Preis zzgl. MwSt.", "A1;Lampe;12,50", "Mat.-Nr.;Name;;Preis zzgl. MwSt.;"),
    # Czech, Danish
    (
        "Kód;Název;Popis;Cena s DPH;Aktivní",
        "A1;Lampa;x;1 299,00 Kč;ano",
        "Kód;Název;Popis;Cena s DPH;Aktivní",
    ),
    (
        "Varenummer;Navn;Pris;Aktiv",
        "A1;Lampe;1.299,00 kr.;nej",
        "Varenummer;Navn;;Pris;Aktiv",
    ),
    # French
    (
        "Référence;Désignation;Descriptif;Prix TTC;Actif",
        "A1;Lampe;x;12,50;oui",
        "Référence;Désignation;Descriptif;Prix TTC;Actif",
    ),
    (
        "UGS;Nom;Tarif régulier",
        "A1;Lampe;12,50",
        "UGS;Nom;;Tarif régulier;",
    ),
    # Spanish
    (
        "Código;Nombre;Descripción;Precio;Activo",
        "A1;Silla;x;12,50;sí",
        "Código;Nombre;Descripción;Precio;Activo",
    ),
    (
        "Referencia;Título;PVP",
        "A1;Silla;12,50",
        "Referencia;Título;;PVP;",
    ),
    # Italian
    (
        "Codice articolo;Denominazione;Descrizione;Prezzo di listino",
        "A1;Sedia;x;12,50",
        "Codice articolo;Denominazione;Descrizione;Prezzo di listino;",
    ),
    # Dutch
    (
        "Artikelcode;Naam;Omschrijving;Verkoopprijs;Actief",
        "A1;Stoel;x;12,50;ja",
        "Artikelcode;Naam;Omschrijving;Verkoopprijs;Actief",
    ),
    # Polish
    (
        "Kod produktu;Nazwa;Opis;Cena brutto;Aktywny",
        "A1;Lampa;x;12,50;tak",
        "Kod produktu;Nazwa;Opis;Cena brutto;Aktywny",
    ),
    # Portuguese
    (
        "Referência;Nome do produto;Descrição;Preço;Ativo",
        "A1;Mesa;x;12,50;sim",
        "Referência;Nome do produto;Descrição;Preço;Ativo",
    ),
    # Russian
    (
        "Артикул;Наименование;Описание;Цена, руб.;Активен",
        "A1;Лампа;x;12,50;да",
        "Артикул;Наименование;Описание;Цена, руб.;Активен",
    ),
    # Amazon, Etsy, Akeneo
    (
        "item_sku;item_name;standard_price;quantity",
        "A1;Lamp;5.00;3",
        "item_sku;item_name;;standard_price;",
    ),
    (
        "TITLE;DESCRIPTION;PRICE;CURRENCY_CODE;QUANTITY;SKU",
        "Lamp;x;5.00;EUR;3;A1",
        "SKU;TITLE;DESCRIPTION;PRICE;",
    ),
    (
        "sku;enabled;family;name-en_US;description-en_US-ecommerce;price-EUR",
        "A1;1;x;Lamp;x;5.00",
        "sku;name-en_US;description-en_US-ecommerce;price-EUR;enabled",
    ),
    # A unit price alone is the price, as nothing else looks like one.
    (
        "sku;name;unit price",
        "A1;Lamp;5.00",
        "sku;name;;unit price;",
    ),
    # States in words that mean nothing else.
    (
        "sku;title;status",
        "A1;Lamp;Enabled",
        "sku;title;;;status",
    ),
    (
        "sku;title;published",
        "A1;Lamp;TRUE",
        "sku;title;;;published",
    ),
    # The own name goes before another one, and before what says that it is another price.
    (
        "sku;name;title;price;cost",
        "A1;Lamp;Desk lamp;5.00;3.00",
        "sku;name;;price;",
    ),
    # Of two, the one that has values.
    (
        "sku;Title;Product name",
        "A1;;Lamp",
        "sku;Product name;;;",
    ),
]


@pytest.mark.parametrize(("header", "record", "expected"), CLEAR)
def test_columns_that_are_clear_are_read_without_a_question(
    header: str, record: str, expected: str
) -> None:
    matched = found(header, record)
    assert codes(matched) == []
    wanted = dict(zip(FIELDS, expected.split(";"), strict=True))
    assert fields(matched) == {name: column for name, column in wanted.items() if column}


CLEAR_WORDS = [
    (("ja", "nej"), "true false"),
    (("yes", "nein", "true"), "true false true"),
    (("✓", "✗"), "true false"),
    (("1.00", "0.00"), "true false"),
]


@pytest.mark.parametrize(("words", "expected"), CLEAR_WORDS)
def test_words_of_several_languages_are_known_beside_each_other(
    words: tuple[str, ...], expected: str
) -> None:
    matched = found("sku;name;active", *(f"A{n};Lamp;{word}" for n, word in enumerate(words)))
    assert codes(matched) == []
    (rule,) = [rule for rule in matched.rules.columns if rule.field == "active"]
    assert " ".join(rule.values[word] for word in words) == expected


def test_dashes_for_decimals_settle_the_mark() -> None:
    for first, mark in (("12.–", "."), ("500:-", ","), ("50,-", ",")):
        matched = found("sku;name;price", f"A1;Lamp;{first}", f"A2;Cup;3{mark}50")
        assert codes(matched) == []
        assert [r.decimal for r in matched.rules.columns if r.field == "price"] == [mark]


@pytest.mark.parametrize(
    ("prices", "currency"),
    [
        (["5,50 €", "6,50 €", "$7"], "EUR"),
        (["5 kr", "6 kr", "7 SEK", "$8"], "SEK"),
        (["5,50 €", "$7"], None),
    ],
)
def test_the_currency_of_most_prices_is_the_columns(
    prices: list[str], currency: str | None
) -> None:
    matched = found("sku;name;price", *(f"A{n};Lamp;{price}" for n, price in enumerate(prices)))
    assert codes(matched) == []
    assert [r.currency for r in matched.rules.columns if r.field == "price"] == [currency]


ASKED = [
    # No SKU, and what may be one
    ("foo;name;price", ["A1;Lamp;5.00"], ["no_sku"]),
    ("EAN;name;price", ["4006381333931;Lamp;5.00"], ["no_sku"]),
    ("id;name;price", ["17;Lamp;5.00"], ["no_sku"]),
    ("1;2;3", ["A1;Lamp;5.00"], ["no_header"]),
    # Several columns for one field
    ("sku;sku;name", ["A1;B1;Lamp"], ["two_columns"]),
    ("sku;Title;Product name", ["A1;Lamp;Desk lamp"], ["two_columns"]),
    ("Artikelnummer;Bestellnummer;Name", ["A1;B1;Lampe"], ["two_columns"]),
    # Which price?
    ("sku;name;Price tax excluded;Unit price", ["A1;Lamp;12.00;24.00"], ["two_columns"]),
    ("sku;name;price;unit price", ["A1;Lamp;12.00;24.00"], ["two_columns"]),
    ("sku;name;Regular price;Sale price", ["A1;Lamp;5.00;4.00"], ["two_columns"]),
    ("sku;name;Netto;VK brutto;EK", ["A1;Lamp;5.00;5.95;3.00"], ["two_columns"]),
    ("sku;name;Einkaufspreis", ["A1;Lamp;5.00"], ["unclear_price"]),
    ("sku;name;UVP", ["A1;Lamp;5.00"], ["unclear_price"]),
    ("sku;name;UVP inkl. MwSt.", ["A1;Lamp;5.00"], ["unclear_price"]),
    ("sku;name;Preis netto;Preis brutto", ["A1;Lamp;5.00;5.95"], ["two_columns"]),
    ("Parent (SKU);name", ["A1;Lamp"], ["no_sku"]),
    ("sku;name;Hinta;Unit price", ["A1;Lamp;12,00;24,00"], ["two_columns"]),
    ("sku;name;Preis", ["A1;Lamp;auf Anfrage"], ["unclear_price"]),
    ("sku;name;price;Currency", ["A1;Lamp;5.00;EUR", "A2;Cup;6.00;USD"], ["unclear_price"]),
    ("sku;name;Netto", ["A1;Lamp;5,00"], ["unclear_price"]),
    ("sku;name;Price (cents)", ["A1;Lamp;1999"], ["unclear_price"]),
    ("sku;name;1+;10+", ["A1;Lamp;5.00;4.50"], ["two_columns"]),
    ("sku;name;ab 1 Stk.;ab 10 Stk.", ["A1;Lamp;5,00;4,50"], ["two_columns"]),
    ("sku;name;1-9;10-99", ["A1;Lamp;5.00;4.50"], ["two_columns"]),
    ("sku;name;Retail;Dealer", ["A1;Lamp;5.00;4.50"], ["two_columns"]),
    ("sku;name;Net;Gross", ["A1;Lamp;5.00;5.95"], ["two_columns"]),
    # Which decimal mark?
    ("sku;name;price", ["A1;Lamp;1,234"], ["unclear_decimal"]),
    ("sku;name;price", ["A1;Lamp;1.234,56", "A2;Lamp;1,234.56"], ["unclear_decimal"]),
    # Which products are active?
    ("SKU;Name;Published", ["A1;Lamp;1", "A2;Lamp;-1"], ["unclear_active"]),
    ("sku;name;Status", ["A1;Lamp;lieferbar"], ["unclear_active"]),
    ("sku;name;Status", ["A1;Lamp;1", "A2;Lamp;2"], ["unclear_active"]),
    ("sku;name;discontinued", ["A1;Lamp;0", "A2;Lamp;1"], ["unclear_active"]),
    ("sku;name;Status;Visible", ["A1;Lamp;active;yes"], ["unclear_active", "unclear_active"]),
    ("sku;name;enabled", ["A1;Lamp;perhaps"], ["unclear_active"]),
    # Numbers with something behind each that nobody knows
    ("sku;name;price", ["A1;Lamp;5 Dukaten", "A2;Cup;6 Dukaten"], ["unclear_price"]),
    ("sku;name;Preis", ["A1;Lamp;5 €/Tsd", "A2;Cup;6 €/Tsd"], ["unclear_price"]),
    # Columns with nothing in them
    ("sku;name;price", [";Lamp;5.00", ";Cup;6.00"], ["no_sku"]),
    ("Artikelnummer;id;name", [";1;Lamp", ";2;Cup"], ["no_sku"]),
    ("Código;nome;Descrição", ["A1;;Abajur", "A2;;Cadeira"], ["unclear_name"]),
    # A word that is a number, or what products are called
    ("item;precio", ["Silla;5.00", "Mesa;6.00"], ["no_sku", "unclear_name"]),
    # Two languages
    ("sku;name_de;name-fr;price", ["A1;Lampe;lampe;5.00"], ["two_columns"]),
    # Which text is the name?
    ("sku;Kurztext;price", ["A1;Lampe;5.00"], ["unclear_name"]),
    ("Item No.;Description;Price", ["A1;Desk lamp, red;5.00"], ["unclear_name"]),
    ("Artikelnummer;Beschreibung;Preis", ["A1;Lampe;5,00", "A2;Topf;6,00"], ["unclear_name"]),
]


@pytest.mark.parametrize(("header", "records", "expected"), ASKED)
def test_what_names_and_values_leave_open_is_asked(
    header: str, records: list[str], expected: list[str]
) -> None:
    matched = found(header, *records)
    assert codes(matched) == expected
    for question in matched.questions:
        assert question.message[0].isupper()
        assert question.message.rstrip()[-1] in ".?"


@pytest.mark.parametrize(
    ("header", "record"),
    [
        ("sku;name;Price tax excluded;Unit price", "A1;Lamp;12.00;"),  # nothing in it
        ("sku;name;VK netto;Unit price", "A1;Lamp;12.00;12.00"),  # the same
        ("sku;name;price;36-38;40-42", "A1;Lamp;12.00;3;4"),  # sizes
        ("sku;name;price;1+;10+", "A1;Lamp;12.00;12.00;11.00"),  # its own name
        ("sku;name;price;availability", "A1;Lamp;12.00;in stock"),  # another matter
        ("sku;name;discontinued", "A1;Lamp;0"),  # of none
        ("sku;name;status", "A1;Lamp;"),
        ("sku;name;active", "A1;Lamp;perhaps"),  # each is refused by its line
        ("sku;name;price;Weight;Preisgruppe", "A1;Lamp;12.00;0.35;B"),
        ("sku;name;price", ";Lamp;12.00"),  # the one record that there is
        ("sku;name;name_de;price", "A1;Lamp;Lampe;5.00"),  # the own name goes before
        ("sku;name;price;Currency", "A1;Lamp;5.00;EUR"),
        ("sku;name;Preisgruppe;Weight", "A1;Lamp;2;0.35"),
        ("sku;description;price", "A1;Desk lamp, red;12.00"),  # its fields' own names
        ("Artikelnummer;Langtext", "A1;" + "Eine Lampe für den Schreibtisch, " * 5),
        ("Artikelnummer;Langtext", "A1;<b>Eine Lampe</b>"),
    ],
)
def test_what_makes_no_difference_is_not_asked(header: str, record: str) -> None:
    assert codes(found(header, record)) == []


def test_a_question_tells_what_speaks_for_each_column() -> None:
    (question,) = found("sku;name;Price tax excluded;Unit price", "A1;Lamp;12.00;24.00").questions
    for part in ("Price tax excluded", "12.00", "Unit price", "24.00", "one unit or of a kilogram"):
        assert part in question.message
    (question,) = found("EAN;name", "4006381333931;Lamp").questions
    assert question.column == "EAN"
    assert "number on the packaging" in question.message


def test_values_settle_how_they_are_read() -> None:
    matched = found(
        "Artikelnummer;Bezeichnung;VK;aktiv",
        "A1;Lampe;1.299,00 €;ja",
        "A2;Stuhl;12,50 €;nein",
    )
    assert codes(matched) == []
    price = next(rule for rule in matched.rules.columns if rule.field == "price")
    assert (price.decimal, price.currency) == (",", "EUR")
    active = next(rule for rule in matched.rules.columns if rule.field == "active")
    assert dict(active.values) == {"ja": "true", "nein": "false"}
    assert "decimal comma" in matched.notes[0]


def test_amounts_are_read_however_few_of_a_price_column_are_any() -> None:
    matched = found("sku;name;price", "A1;Lamp;12,50 €", "A2;Cup;on request", "A3;Pot;5,00 €/m")
    assert matched.questions == []
    assert (matched.rules.columns[2].decimal, matched.rules.columns[2].currency) == (",", "EUR")


@pytest.mark.parametrize("price", ["free {}", "0{}-Feb", "{}/12"])
def test_prices_that_are_no_amounts_at_all_are_refused_by_their_lines(price: str) -> None:
    records = [f"A{n};Lamp;{price.format(n)}" for n in (1, 2)]
    assert codes(found("sku;name;price", *records)) == []


def test_a_unit_that_is_behind_all_prices_belongs_to_their_currency() -> None:
    matched = found("sku;name;price", "A1;Lamp;1 260 ₽ /шт", "A2;Cup;330 руб. за шт.")
    assert matched.questions == []
    assert matched.rules.columns[2].currency == "RUB/шт"
    (note,) = matched.notes
    assert "in RUB/шт" in note


@pytest.mark.parametrize(
    ("one", "decimal", "group"),
    [
        ("1 260 ₽", ",", " "),
        ("12\u00a0500", ",", " "),
        ("1'260 CHF", ".", "'"),
        ("1260", None, None),
    ],
)
def test_whole_numbers_in_groups_are_read(one: str, decimal: str | None, group: str | None) -> None:
    matched = found("sku;name;price", f"A1;Lamp;{one}", "A2;Cup;330")
    rule = matched.rules.columns[2]
    assert (codes(matched), rule.decimal, rule.group) == ([], decimal, group)


VARIANTS = "slug;name;images;sku;price"


def test_further_lines_of_a_product_are_asked_about_and_not_refused_in_silence() -> None:
    lines = ("lamp;Lamp;l.jpg;L-1;5.00", ";;;L-2;6.00", "cup;Cup;c.jpg;C-1;7.00")
    (question,) = found(VARIANTS, *lines).questions
    assert (question.code, question.column) == ("blank_names", "name")
    assert "“L-2”" in question.message
    assert "column 1 (“slug”)" in question.message
    columns = [{"column": name, "field": name} for name in ("sku", "name", "price")]
    assert codes(found(VARIANTS, *lines, columns=columns)) == ["blank_names"]
    filled = [columns[0], {**columns[1], "fill_down": True}, columns[2]]
    for answer in ({"columns": filled}, {"columns": columns, "blank": {"name": "keep"}}):
        assert codes(found(VARIANTS, *lines, **answer)) == []


@pytest.mark.parametrize(
    ("header", "lines"),
    [
        # Nothing that only the lines with a name have
        ("sku;name;description;price", ("L-1;Lamp;Steel;5.00", "L-2;;;6.00")),
        # A record that lacks its price as well has been damaged
        (VARIANTS, ("lamp;Lamp;l.jpg;L-1;5.00", ";;;L-2;", "cup;Cup;c.jpg;C-1;7.00")),
        # Nothing stands above the first one
        (VARIANTS, (";;;L-2;6.00", "lamp;Lamp;l.jpg;L-1;5.00")),
        # One among many
        (VARIANTS, (*(f"l{n};Lamp;l.jpg;L-{n};5.00" for n in range(30)), ";;;M-1;6.00")),
    ],
)
def test_other_records_without_a_name_are_refused_by_their_lines(
    header: str, lines: tuple[str, ...]
) -> None:
    assert codes(found(header, *lines)) == []


def test_plain_files_need_no_rule_and_hear_of_nothing() -> None:
    matched = found("sku;name;price;active", "A1;Lamp;5.00;true", "A2;Lamp;12;no")
    assert matched.notes == []
    assert all(rule.decimal is None and not rule.values for rule in matched.rules.columns)


def test_of_left_out_columns_those_that_look_like_a_field_are_named_first() -> None:
    plain = [f"Attribute {number}" for number in range(40)]
    header = ";".join(["sku", "name", "price", *plain, "Einkaufspreis", "EAN"])
    (note,) = found(header, "A1;Lamp;5.00" + ";x" * 40 + ";3.00;400").notes
    assert note.index("Einkaufspreis") < note.index("Attribute 1")
    assert note.index("EAN") < note.index("Attribute 1")
    assert "and 22 more" in note


def test_earlier_choices_of_the_supplier_count_and_those_of_others_are_asked() -> None:
    memory = {key_of("Mat."): "sku", key_of("Text"): "name"}
    own = found("Mat.;Text", "A1;Lampe", memory=Memory(supplier=memory))
    assert (fields(own), codes(own)) == ({"sku": "Mat.", "name": "Text"}, [])
    others = found("Mat.;Text", "A1;Lampe", memory=Memory(catalogue=memory))
    assert codes(others) == ["no_sku", "unclear_name"]
    assert others.columns[0].suggestions[0].field == "sku"


def test_what_is_spelt_nearly_so_is_suggested_and_not_taken() -> None:
    matched = found("sku;Produktbezeichnug", "A1;Lampe")
    assert fields(matched) == {"sku": "sku"}
    assert [one.field for one in matched.columns[1].suggestions] == ["name"]
    assert 0.5 < matched.columns[1].suggestions[0].score < 0.9


def test_rules_that_name_columns_say_all_of_it() -> None:
    columns = [{"column": "foo", "field": "sku"}, {"column": 2, "field": "price"}]
    matched = found("foo;price;name", "A1;12,50;Lamp", columns=columns)
    assert fields(matched) == {"sku": "foo", "price": 2}
    assert matched.rules.columns[1].decimal == ","
    assert codes(matched) == []
    with pytest.raises(RulesError, match="There is no column “bar”"):
        found("foo;name", "A1;Lamp", columns=[{"column": "bar", "field": "sku"}])
    no_sku = found("foo;name", "A1;Lamp", columns=[{"column": "name", "field": "name"}])
    assert codes(no_sku) == ["no_sku"]


def test_columns_whose_names_are_blank_or_twice_are_named_by_number() -> None:
    columns = [{"column": 2, "field": "sku"}, {"column": 3, "field": "name"}]
    matched = found("a;;a;A ", "x;A1;Lamp;y", columns=columns)
    assert fields(matched) == {"sku": 2, "name": 3}
    assert fields(found("x;sku;sku ", "x;A1;B1")) == {"sku": 2}


def test_no_name_is_both_strong_and_weak_and_keys_are_folded() -> None:
    assert not STRONG.keys() & WEAK.keys()
    assert key_of("Réf. Article!") == "refarticle"
    assert bare_key_of("Price ($)") == bare_key_of("PRICE [required]") == "price"
    assert bare_key_of("Price (old)") != "price"
    assert bare_key_of("Active (1 = yes, 0 = no)") == "active"


def test_fingerprints_know_no_order_and_no_spelling() -> None:
    assert fingerprint(["SKU", "Name", ""]) == fingerprint(["name ", "sku"])
    assert fingerprint(["sku", "name"]) != fingerprint(["sku", "name", "price"])
    assert fingerprint(["", " "]) == ""


def test_five_hundred_columns_of_long_names_take_no_time() -> None:
    header = [f"Spalte <b>{number}</b> {'“x” ' * 200}" for number in range(499)]
    records = [["A1"] * 499 for _ in range(500)]
    began = time.perf_counter()
    matched = match(["sku", *header], [["A1", *r] for r in records], Rules(), Memory())
    assert time.perf_counter() - began < 20  # half a second on an idle machine
    assert len(matched.columns) == 500


# --- Formats --------------------------------------------------------------------------

PRICE_LIST = KnownFormat(
    "Müller GmbH, price list, version 3",
    parse_rules(
        {
            "columns": [
                {"column": "Artikel", "field": "sku"},
                {"column": "Text", "field": "name"},
                {"column": "VK", "field": "price", "decimal": ","},
            ]
        }
    ),
    ["Artikel", "Text", "VK", "Lager"],
)


def as_price_list(header: str, *records: str) -> Matched:
    return read_as(
        PRICE_LIST, header.split(";"), [record.split(";") for record in records], Memory()
    )


def test_a_format_finds_its_columns_in_another_order_and_spelling() -> None:
    matched = as_price_list("lager;VK ;TEXT;Artikel", "3;1,50;Lampe;A1")
    assert codes(matched) == []
    assert fields(matched) == {"sku": "Artikel", "name": "TEXT", "price": "VK "}
    assert matched.notes[0] == "Read as Müller GmbH, price list, version 3."
    assert not any("changed" in note for note in matched.notes)


def test_columns_that_no_field_is_read_from_may_come_and_go() -> None:
    matched = as_price_list("Artikel;Text;VK;Farbe", "A1;Lampe;1,50;rot")
    assert codes(matched) == []
    assert "no longer there: “Lager”; new: “Farbe”" in matched.notes[1]


def test_only_what_has_changed_is_asked() -> None:
    matched = as_price_list("Artikel;Text;Verkaufspreis;Lager", "A1;Lampe;1,50;3")
    assert codes(matched) == ["changed_columns"]
    (question,) = matched.questions
    assert question.column == "VK"
    assert "“Verkaufspreis” may be it" in question.message
    # It stands in its place already, with the same rules.
    assert fields(matched) == {"sku": "Artikel", "name": "Text", "price": "Verkaufspreis"}
    assert matched.rules.columns[2].decimal == ","
    new = as_price_list("Artikel;Text;VK;Lager;Beschreibung", "A1;Lampe;1,50;3;x")
    assert codes(new) == ["changed_columns"]
    assert "means description" in new.questions[0].message


READY_MADE_HEADERS = {
    "Shopify": (
        "Handle;Title;Body (HTML);Vendor;Product Category;Type;Tags;Published;Option1 Name;"
        "Option1 Value;Variant SKU;Variant Grams;Variant Inventory Tracker;Variant Price;"
        "Variant Compare At Price;Variant Barcode;Image Src;Gift Card;SEO Title;Cost per item;"
        "Status",
        {"sku": "Variant SKU", "name": "Title", "price": "Variant Price", "active": "Status"},
    ),
    "WooCommerce": (
        "ID;Type;SKU;GTIN, UPC, EAN, or ISBN;Name;Published;Is featured?;Visibility in catalog;"
        "Short description;Description;Date sale price starts;Tax status;Tax class;In stock?;Stock;"
        "Weight (kg);Sale price;Regular price;Categories;Tags;Images;Parent;Position",
        {"sku": "SKU", "name": "Name", "price": "Regular price", "active": "Published"},
    ),
    "Magento 2": (
        "sku;store_view_code;attribute_set_code;product_type;categories;product_websites;name;"
        "description;short_description;weight;product_online;tax_class_name;visibility;price;"
        "special_price;url_key;qty",
        {"sku": "sku", "name": "name", "price": "price", "active": "product_online"},
    ),
    "PrestaShop": (
        "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Tax rules ID;"
        "Wholesale price;On sale (0/1);Reference #;Supplier reference #;EAN13;Quantity;"
        "Unit price;Summary;Description",
        {
            "sku": "Reference #",
            "name": "Name *",
            "price": "Price tax excluded",
            "active": "Active (0/1)",
        },
    ),
    "Google Merchant": (
        "id;title;description;link;image link;availability;price;sale price;brand;gtin;condition",
        {"sku": "id", "name": "title", "price": "price"},
    ),
}


@pytest.mark.parametrize("name", READY_MADE_HEADERS)
def test_ready_made_formats_know_the_columns_of_their_templates(name: str) -> None:
    text, expected = READY_MADE_HEADERS[name]
    header = text.split(";")
    ready = next(one for one in READY_MADE if one.name == name)
    assert set(map(key_of, ready.columns)) <= set(map(key_of, header))
    others = [o.name for o in READY_MADE if set(map(key_of, o.columns)) <= set(map(key_of, header))]
    assert others[0] == name
    known = KnownFormat(name, parse_rules(ready.rules), ready.columns, lenient=True)
    matched = read_as(known, header, [[""] * len(header)], Memory())
    assert codes(matched) == []
    assert {**fields(matched), **expected} == fields(matched)


def test_of_a_shop_without_skus_the_column_that_has_them_is_asked_and_nothing_left_out() -> None:
    ready = next(one for one in READY_MADE if one.name == "Shopify")
    known = KnownFormat("Shopify", parse_rules(ready.rules), ready.columns, lenient=True)
    header = ["Handle", "Title", "Variant SKU", "Variant Price", "Status"]
    records = [["lamp", "Lamp", "", "5.00", "active"], ["cup", "Cup", "", "6.00", "draft"]]
    matched = read_as(known, header, records, Memory())
    (question,) = matched.questions
    assert question.code == "no_sku"
    assert "nothing stands in column 3 (“Variant SKU”)" in question.message
    assert "“lamp”" in question.message
    assert matched.rules.only_if == ()
    records[0][2] = "L-1"
    matched = read_as(known, header, records, Memory())
    assert (codes(matched), len(matched.rules.only_if)) == ([], 1)


@pytest.mark.parametrize(
    ("values", "type", "options"),
    [
        (["1.100", "1.101", "1.102"], "decimal", {"scale": 3}),
        (["red|blue", "blue"] * 10, "choices", {"choices": ["blue", "red"]}),
        (["ja", "nein"] * 10, "boolean", {}),
        (["J", "N"] * 10, "boolean", {}),
        (["aktiv", "inaktiv"] * 10, "choice", {"choices": ["aktiv", "inaktiv"]}),
        (["31/12/2026", "02/03/2026"], "date", {}),
        (["2026. 03. 02."], "date", {}),
    ],
)
def test_the_field_that_is_proposed_takes_the_columns_values(
    values: list[str], type: str, options: dict[str, Any]
) -> None:
    proposal = propose("Extra", values, [])
    assert (proposal.type, dict(proposal.options)) == (type, options)


@pytest.mark.parametrize(
    ("days", "order", "asked"),
    [
        (["03/03/2026", "07/07/2026"], None, []),  # whichever way it is read
        (["31/12/2026", "02/03/2026"], "dmy", []),
        (["12/31/2026", "02/03/2026"], "mdy", []),
        (["02/03/2026", "04/05/2026"], None, ["unclear_date"]),
        (["31/12/2026", "12/31/2026"], None, ["unclear_date"]),
        (["2026/12/31", "2026-03-02"], None, []),
        (["2026. 03. 02.", "2026 12 31"], "ymd", []),  # which no field reads without a rule
        (["3. 3. 2026"], "dmy", []),
        (["3 3 2026"], None, ["unclear_date"]),
    ],
)
def test_the_order_of_a_date_is_asked_where_the_values_leave_it_open(
    days: list[str], order: str | None, asked: list[str]
) -> None:
    memory = Memory(own=OwnNames({"day": Definition("day", "Day", "date")}))
    records = (f"A{number};Lamp;{day}" for number, day in enumerate(days))
    matched = found("sku;name;Day", *records, memory=memory)
    (rule,) = (rule for rule in matched.rules.columns if rule.field == "fields.day")
    assert (rule.date, codes(matched)) == (order, asked)


def test_no_field_is_proposed_that_another_ones_column_could_mean() -> None:
    proposal = propose("Pack-Size", ["a", "b"], ["pack size", "pack_size"])
    assert (proposal.label, proposal.key) == ("Pack-Size 2", "pack_size_2")
