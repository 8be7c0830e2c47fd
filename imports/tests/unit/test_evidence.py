"""What a column's values could be: found, and left open where they leave it open."""

import pytest

from imports.mapping.matching.evidence import look_at


@pytest.mark.parametrize(
    ("values", "decimal", "mixed"),
    [
        (["1.299,00", "1.234"], ",", False),
        (["1,299.00", "5"], ".", False),
        (["12,5", "1.234"], ",", False),
        (["1,234", "2,500"], "?", False),
        (["1.234"], "?", False),
        (["1 234,567"], ",", False),
        (["0,125"], ",", False),
        (["1234,567"], ",", False),
        (["1.234.567"], ",", False),
        (["34.0000"], ".", False),
        (["5", "17"], "", False),
        (["12,50", "12.50"], "?", True),
    ],
)
def test_the_decimal_mark_is_found_over_the_column(
    values: list[str], decimal: str, mixed: bool
) -> None:
    price = look_at(values).price
    assert price
    assert (price.decimal, price.mixed) == (decimal, mixed)


def test_a_currency_that_all_values_mean_is_found() -> None:
    for values, currency in [
        (["5,00 €", "6,00", "EUR 7,00"], "EUR"),
        (["$5.99", "15.00 USD"], "USD"),
        (["$5.99"], "$"),
        (["$5.99", "5.99 €"], None),
    ]:
        price = look_at(values).price
        assert price
        assert price.currency == currency
        assert not price.plain


def test_prices_that_need_no_rule_say_so() -> None:
    price = look_at(["5", "6.50", "", "7.0000"]).price
    assert price
    assert (price.plain, price.places, price.reads) == (True, 1, 3)


def test_decimals_beyond_two_are_counted_without_zeros() -> None:
    price = look_at(["19.989999999999998", "34.0000"]).price
    assert price
    assert price.places == 15


def test_words_are_no_prices() -> None:
    assert look_at(["blue", "red", "5"]).price is None


@pytest.mark.parametrize(
    ("values", "name", "sure"),
    [
        (["ja", "Nein", ""], "ja/nein", True),
        (["Enabled", "Disabled"], "Enabled/Disabled", True),
        (["active", "draft", "archived"], "active/draft/archived", True),
        (["WAHR", "FALSCH"], "WAHR/FALSCH", True),
        (["1.0", "0.0"], "1.0/0.0", True),
        (["1", "0", "-1"], "true/false", False),
        (["1", "2"], "1/2", False),
        (["active", "in stock"], "true/false", False),
    ],
)
def test_the_vocabulary_of_a_flag_is_found(values: list[str], name: str, sure: bool) -> None:
    active = look_at(values).active
    assert active
    assert (active.name, active.sure) == (name, sure)


def test_words_that_no_table_knows_are_named() -> None:
    active = look_at(["yes", "no", "Perhaps"]).active
    assert active
    assert active.unknown == ("perhaps",)
    assert active.table == {"yes": "true", "no": "false"}
    assert look_at(["lieferbar", "vergriffen"]).active is None


def test_a_column_of_short_different_values_could_be_the_sku() -> None:
    assert look_at([f"A-{number}" for number in range(20)]).could_be_sku
    assert not look_at(["A", "A", "B", "C"]).could_be_sku
    assert not look_at(["A", "", "B"]).could_be_sku
    assert not look_at([f"A lamp of kind {number}" for number in range(20)]).could_be_sku


def test_texts_could_be_names_or_descriptions() -> None:
    texts = look_at(
        ["A lamp that stands on a table, of brass.", "A chair made of <b>oak</b> wood."]
    )
    assert texts.could_be_description
    assert texts.html == 0.5
    names = look_at(["Lamp", "Chair"])
    assert names.could_be_name
    assert not names.could_be_description
    assert not look_at(["12.50", "17"]).could_be_name


def test_words_for_nothing_and_errors_are_told_apart() -> None:
    found = look_at(["NULL", "#N/A", "5", "NULL"])
    assert (found.null_words, found.error_words, found.filled) == (("NULL",), ("#N/A",), 4)


def test_nothing_says_nothing() -> None:
    found = look_at(["", " "])
    assert (found.filled, found.blank, found.price, found.active) == (0, 2, None, None)
    assert not found.could_be_sku
