"""The matching page as plain HTML: what a browser without scripts sees and can do."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from catalog.models import Product
from conftest import Messages
from imports.mapping.rules import parse_rules
from imports.models import Format, ImportJob, Supplier
from imports.operations import suppliers
from imports.tests.workbooks import TABLE, xlsx

pytestmark = pytest.mark.django_db

GERMAN = (
    "Preisliste Müller GmbH;;;\nStand: 1. Mai;;;\n"
    "Artikelnummer;Bezeichnung;Preis;aktiv\n"
    "A-1;Lampe;1.299,00;ja\nA-2;Stuhl;59,00;nein\n"
)
UNCLEAR = "code;title;Unit price;Cost price\nA-1;Lamp;1.50;1.10\nA-2;Chair;2.50;free\n"


@pytest.fixture
def waits(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """Upload a file as the home page does, and return its job, which waits for its columns."""

    def start(content: str | bytes, **values: Any) -> ImportJob:
        job = upload(content, **{"on_unclear": "always", **values})
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "awaiting_mapping", job.error
        return job

    return start


class Form:
    """The form of a page, as a browser holds it: its fields by name."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.fields: dict[str, str] = {}
        found = re.search(r'<form id="mapping".*?</form>', page, re.S)
        assert found, page
        body = found[0]
        for tag in re.findall(r"<input[^>]*>", body):
            kind = (re.findall(r'type="(\w+)"', tag) or ["text"])[0]
            if kind in ("radio", "checkbox") and " checked" not in tag:
                continue
            self._put(tag, *(re.findall(r'value="([^"]*)"', tag) or [""]))
        for tag, inner in re.findall(r"(<select[^>]*>)(.*?)</select>", body, re.S):
            options = re.findall(r'<option(?: value="([^"]*)")?( selected)?>', inner)
            chosen = [value for value, selected in options if selected] or [options[0][0]]
            self._put(tag, chosen[0])
        for tag, inner in re.findall(r"(<textarea[^>]*>)(.*?)</textarea>", body, re.S):
            self._put(tag, inner.removeprefix("\n"))

    def _put(self, tag: str, value: str) -> None:
        name = re.findall(r'name="([^"]*)"', tag)
        if name and name[0] != "csrfmiddlewaretoken":
            self.fields[name[0]] = html.unescape(value)


def open_form(page: Client, job: ImportJob) -> Form:
    answer = page.get(f"/imports/{job.pk}/mapping/")
    assert answer.status_code == 200
    return Form(answer.content.decode())


def shown(page: Client, job: ImportJob, form: Form, **choices: str) -> Form:
    """The page under other choices, by its button “Show”."""
    answer = page.post(f"/imports/{job.pk}/mapping/preview/", {**form.fields, **choices})
    assert answer.status_code == 200
    return Form(answer.content.decode())


def go_on(page: Client, job: ImportJob, form: Form, **choices: str) -> Any:
    return page.post(f"/imports/{job.pk}/mapping/", {**form.fields, **choices})


def text_of(form: Form) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", form.page)).split())


def test_a_sheet_that_was_chosen_by_number_is_shown_by_its_name(
    page: Client, waits: Callable[..., ImportJob], messages: Messages
) -> None:
    content = xlsx({"Cover": [["Our", "prices"]], "Prices": TABLE})
    job = waits(content, rules=parse_rules({"sheet": 2}))
    form = open_form(page, job)
    assert form.fields["sheet"] == "Prices"
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert Product.objects.count() == 2


def test_a_file_is_shown_as_it_was_found_and_goes_on(
    page: Client, user: User, waits: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waits(GERMAN)
    form = open_form(page, job)
    assert form.fields["delimiter"] == ";"
    assert form.fields["header_line"] == "3"
    assert [form.fields[f"field-{n}"] for n in (1, 2, 3, 4)] == ["sku", "name", "price", "active"]
    assert form.fields["decimal-price"] == ","
    assert "2 of 2 read well" in text_of(form)
    assert "1,299.00" in text_of(form)
    answer = go_on(page, job, form, supplier="Müller GmbH", format_name="Preisliste")
    assert answer.status_code == 302
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert str(Product.objects.get(sku="A-1").price) == "1299.00"
    assert not Product.objects.get(sku="A-2").active
    kept = Format.objects.get(supplier__name="Müller GmbH")
    assert (kept.name, kept.version, job.format_id, job.mapped_by) == (
        "Preisliste",
        1,
        kept.pk,
        user,
    )
    assert [rule["column"] for rule in kept.rules["columns"]] == [
        "Artikelnummer",
        "Bezeichnung",
        "Preis",
        "aktiv",
    ]
    assert "read as" in page.get(f"/imports/{job.pk}/").content.decode()


def test_the_next_file_of_the_supplier_needs_nobody(
    page: Client,
    waits: Callable[..., ImportJob],
    upload: Callable[..., ImportJob],
    messages: Messages,
) -> None:
    job = waits(GERMAN)
    go_on(page, job, open_form(page, job), supplier="Müller GmbH", format_name="Preisliste")
    messages.run_all()
    second = upload(GERMAN.replace("59,00", "61,00"), on_unclear="wait")
    messages.run_all()
    second.refresh_from_db()
    assert second.status == "completed", second.error
    assert (
        "Müller GmbH, Preisliste</a>, version 1"
        in page.get(f"/imports/{second.pk}/").content.decode()
    )


def test_a_job_that_waits_leads_to_the_page(page: Client, waits: Callable[..., ImportJob]) -> None:
    job = waits(UNCLEAR)
    answer = page.get(f"/imports/{job.pk}/")
    assert answer["Location"] == f"/imports/{job.pk}/mapping/"


def test_what_is_asked_is_chosen_for_nobody(page: Client, waits: Callable[..., ImportJob]) -> None:
    job = waits(UNCLEAR)
    form = open_form(page, job)
    assert "price" not in [form.fields[f"field-{n}"] for n in (1, 2, 3, 4)]
    answer = go_on(page, job, form)
    assert answer.status_code == 400
    assert "answer what is asked" in answer.content.decode()
    job.refresh_from_db()
    assert job.status == "awaiting_mapping"


def test_a_question_is_answered_and_the_records_follow(
    page: Client, waits: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waits(UNCLEAR)
    form = shown(page, job, open_form(page, job), **{"where-price": "3", "where-sku": "1"})
    assert form.fields["field-3"] == "price"
    assert "2 of 2 read well" in text_of(form)
    form = shown(page, job, form, **{"where-price": "4"})
    assert (form.fields["field-3"], form.fields["field-4"]) == ("", "price")
    assert "1 of 2 read well" in text_of(form)
    assert "“free” is not a price" in text_of(form)
    form = shown(page, job, form, **{"field-3": "price"})
    assert (form.fields["field-3"], form.fields["field-4"]) == ("price", "")
    form = shown(page, job, form, **{"where-price": "none"})
    assert (form.fields["field-3"], form.fields["field-4"]) == ("", "")
    assert go_on(page, job, form, **{"field-2": "name"}).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="A-1").price is None


def test_rules_are_edited_and_kept(
    page: Client, waits: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waits("sku,name,more,price,active\n1,<b>Lamp</b>,oak,1234,lieferbar\n2,Chair,,99,weg\n")
    form = open_form(page, job)
    form = shown(
        page,
        job,
        form,
        **{
            "prefix-sku": "M-",
            "clean_html-name": "1",
            "join-name": "3",
            "factor-price": "0.01",
            "round-price": ".99",
            "field-5": "active",
        },
    )
    words = {value: name[-1] for name, value in form.fields.items() if name.startswith("word-")}
    means = {
        f"means-active-{words['lieferbar']}": "true",
        f"means-active-{words['weg']}": "false",
    }
    form = shown(page, job, form, **{"separator-name": " in ", **means})
    assert "2 of 2 read well" in text_of(form)
    for chip in ("prefix “M-”", "HTML taken out", "× 0.01", "rounded to .99", "weg = inactive"):
        assert chip in text_of(form), chip
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    job.refresh_from_db()
    lamp = Product.objects.get(sku="M-1")
    assert (lamp.name, str(lamp.price), lamp.active) == ("Lamp in oak", "11.99", True)
    assert not Product.objects.get(sku="M-2").active


def test_records_are_filtered_and_a_constant_set(
    page: Client, waits: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waits("sku,name,kind\n1,Lamp,good\n2,Chair,bad\n3,Desk,\n")
    form = shown(
        page,
        job,
        open_form(page, job),
        **{
            "only-column-0": "3",
            "only-kind-0": "is",
            "only-words-0": "\r\ngood",
            "constant-price": "5.00",
        },
    )
    assert "2 of 3 read well , 1 is left out" in text_of(form)
    form = shown(page, job, form)  # as it is shown, it says the same
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert {(p.sku, str(p.price)) for p in Product.objects.all()} == {("1", "5.00"), ("3", "5.00")}


def test_a_wrong_rule_is_told_by_its_field_and_what_was_typed_stays(
    page: Client, waits: Callable[..., ImportJob]
) -> None:
    job = waits("sku,name,price\n1,Lamp,5\n")
    form = shown(page, job, open_form(page, job), **{"factor-price": "much"})
    assert "Price, factor: It has to be a number above 0" in text_of(form)
    assert form.fields["factor-price"] == "much"
    assert go_on(page, job, form).status_code == 400


def test_another_delimiter_gives_other_columns(
    page: Client, waits: Callable[..., ImportJob]
) -> None:
    job = waits("sku;name\nA;B\n")
    form = shown(page, job, open_form(page, job), delimiter=",")
    assert "field-2" not in form.fields
    form = shown(page, job, form, delimiter=";")
    assert (form.fields["field-1"], form.fields["field-2"]) == ("sku", "name")


def test_a_line_that_is_not_there_is_told_and_can_be_taken_back(
    page: Client, waits: Callable[..., ImportJob]
) -> None:
    job = waits("sku;name\nA;B\n")
    form = shown(page, job, open_form(page, job), header_line="12")
    assert "no line 12" in text_of(form)
    form = shown(page, job, form, header_line="1")
    assert (form.fields["field-1"], form.fields["field-2"]) == ("sku", "name")


def test_an_open_decimal_mark_is_asked_for(page: Client, waits: Callable[..., ImportJob]) -> None:
    job = waits("sku;name;price\nA;B;1,234\nC;D;5,678\n")
    form = open_form(page, job)
    assert "1 question to answer" in text_of(form)
    form = shown(page, job, form, **{"decimal-price": ","})
    assert "question" not in text_of(form).split("read well")[1]
    assert "0 of 2 read well" in text_of(form)
    form = shown(page, job, form, **{"decimal-price": "."})
    assert "1,234.00" in text_of(form)


def test_the_second_of_two_people_is_told_and_overwrites_nothing(
    page: Client, make_user: Callable[..., User], waits: Callable[..., ImportJob]
) -> None:
    job = waits("sku,name,price\n1,Lamp,5\n")
    other = Client()
    other.force_login(make_user("nora"))
    mine, hers = open_form(page, job), open_form(other, job)
    assert go_on(page, job, mine).status_code == 302
    answer = go_on(other, job, hers, **{"field-3": ""})
    assert answer.status_code == 409
    assert "matched by mara meanwhile" in answer.content.decode()
    job.refresh_from_db()
    assert [rule["field"] for rule in job.rules["columns"]] == ["sku", "name", "price"]
    path = f"/imports/{job.pk}/mapping/preview/"
    told = other.post(path, hers.fields, headers={"HX-Request": "true"})
    assert told.status_code == 409
    assert "not taken any more" in told.content.decode()
    assert other.get(f"/imports/{job.pk}/mapping/").status_code == 302


@pytest.mark.parametrize(
    "header",
    [
        "sku,name,<script>alert(1)</script>",
        'sku,name,"a ""quoted"" name"',
        "sku,name,",
        "sku,name,x,x",
    ],
)
def test_odd_names_of_columns_are_shown_and_can_be_chosen(
    page: Client, waits: Callable[..., ImportJob], messages: Messages, header: str
) -> None:
    width = header.count(",") + 1
    job = waits(f"{header}\n{','.join(['1', 'Lamp', 'words', 'more'][:width])}\n")
    form = open_form(page, job)
    assert "<script>alert" not in form.page
    form = shown(page, job, form, **{"field-3": "description"})
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="1").description == "words"


def test_500_columns_stay_usable(page: Client, waits: Callable[..., ImportJob]) -> None:
    names = ["sku", "name", *(f"spec {n}" for n in range(498))]
    job = waits(",".join(names) + "\n" + ",".join(["1"] * 500) + "\n")
    form = open_form(page, job)
    assert "columns that are left out" in text_of(form)
    form = shown(page, job, form, **{"field-500": "description"})
    assert form.fields["field-500"] == "description"
    assert go_on(page, job, form).status_code == 302


def test_a_viewer_looks_and_changes_nothing(
    make_user: Callable[..., User], static_files: None, waits: Callable[..., ImportJob]
) -> None:
    job = waits("sku,name\n1,Lamp\n")
    viewer = Client()
    viewer.force_login(make_user("vera", "viewer"))
    form = open_form(viewer, job)
    assert '<fieldset class="map" disabled>' in form.page
    assert go_on(viewer, job, form).status_code == 403
    assert "waits for somebody" in viewer.get(f"/imports/{job.pk}/").content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"had": "[" * 5000},
        {"had": json.dumps({"fields": {"sku": "x"}, "asked": [1, {"field": "sku"}], "where": 3})},
        {"had": json.dumps({"fields": 7, "dialect": 8, "header": {}})},
        {"header_line": "99999999999999999999"},
        {"encoding": "no such one"},
        {"delimiter": "\x00"},
        {"field-9999999": "sku", "only-column-0": "999999"},
        {"format": "123456789"},
        {"word-active-0": "\x00\x1f", "values-name": '"x'},
        {"first": "a,b,-1", "where-price": "x"},
    ],
)
def test_rubbish_in_the_form_is_no_error_of_the_server(
    page: Client, waits: Callable[..., ImportJob], fields: dict[str, str]
) -> None:
    job = waits("sku,name,active\n1,Lamp,ja\n")
    form = open_form(page, job)
    for path in ("preview/", ""):
        answer = page.post(f"/imports/{job.pk}/mapping/{path}", {**form.fields, **fields})
        assert answer.status_code in (200, 302, 400, 409)


def test_a_format_is_chosen_on_the_page(
    page: Client, waits: Callable[..., ImportJob], user: User
) -> None:
    supplier = Supplier.objects.create(name="Acme")
    kept = suppliers.create_format(
        supplier_id=supplier.pk,
        name="list",
        rules={"columns": [{"field": "sku", "column": "b"}, {"field": "name", "column": "a"}]},
        columns=["a", "b", "c"],
        user=user,
    )
    job = waits("a,b\nLamp,L-1\n")
    form = shown(page, job, open_form(page, job), format=str(kept.pk))
    assert (form.fields["field-1"], form.fields["field-2"]) == ("name", "sku")
    assert (form.fields["supplier"], form.fields["format_name"]) == ("Acme", "list")


def test_a_format_whose_column_has_another_name_keeps_how_it_is_read(
    page: Client, waits: Callable[..., ImportJob], user: User
) -> None:
    supplier = Supplier.objects.create(name="Acme")
    columns = ["Nr", "Titel", "Liste", "Menge", "Einheit", "Farbe", "Holz", "Lager"]
    suppliers.create_format(
        supplier_id=supplier.pk,
        name="list",
        rules={
            "columns": [
                {"field": "sku", "column": "Nr"},
                {"field": "price", "column": "Liste", "decimal": ",", "factor": "2"},
            ]
        },
        columns=columns,
        user=user,
    )
    job = waits(";".join(columns).replace("Liste", "Betrag") + "\n1;L;1.000,50;1;m;x;y;z\n")
    form = open_form(page, job)
    assert "takes price from the column “Liste”" in text_of(form)
    assert (form.fields["supplier"], form.fields["format_name"]) == ("Acme", "list")
    assert go_on(page, job, form).status_code == 400
    form = shown(page, job, form, **{"field-3": "price"})
    assert "2,001.00" in text_of(form)
    assert go_on(page, job, form).status_code == 302
    kept = Format.objects.get(supplier=supplier)
    assert (kept.version, kept.rules["columns"][1]["column"]) == (2, "Betrag")


def test_a_field_that_moves_is_read_as_its_new_column_is_written(
    page: Client, waits: Callable[..., ImportJob]
) -> None:
    job = waits("sku;name;price;more\n1;Lamp;1.299,00;7.50\n")
    form = open_form(page, job)
    assert form.fields["decimal-price"] == ","
    form = shown(page, job, form, **{"field-4": "price", "factor-price": "2"})
    assert "15.00" in text_of(form)


def test_names_are_the_skus_of_a_list_without_numbers(
    page: Client, waits: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waits("Bezeichnung;Herkunft;Preis\nApfel;Tirol;2,50\nApfel;Elbe;2,20\n;;\nSumme;;\n")
    form = open_form(page, job)
    assert "the column of their names may be the SKU as well" in text_of(form)
    form = shown(page, job, form, **{"same-sku": "1"})
    assert [form.fields[f"field-{n}"] for n in (1, 2, 3)] == ["name", "", "price"]
    form = shown(page, job, form, **{"join-sku": "2"})
    form = shown(page, job, form, **{"separator-sku": "-", "prefix-sku": "HOF-"})
    assert form.fields["same-sku"] == "1"
    assert form.fields["field-2"] == "sku"
    answer = go_on(page, job, form, supplier="Hof", format_name="Liste")
    assert answer.status_code == 302
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert list(Product.objects.order_by("sku").values_list("sku", "name")) == [
        ("HOF-Apfel-Elbe", "Apfel"),
        ("HOF-Apfel-Tirol", "Apfel"),
        ("HOF-Summe", "Summe"),
    ]
    # The next one is read so by itself; looked at first, its page shows the same.
    again = waits("Bezeichnung;Herkunft;Preis\nBirne;Elbe;3,00\n", checks="warn")
    form = open_form(page, again)
    assert (form.fields["same-sku"], form.fields["prefix-sku"]) == ("1", "HOF-")
    form = shown(page, again, form)
    assert go_on(page, again, form).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="HOF-Birne-Elbe").name == "Birne"


def test_a_column_of_skus_of_its_own_goes_before_one_that_is_shared(
    page: Client, waits: Callable[..., ImportJob]
) -> None:
    job = waits("Bezeichnung;Kennung;Preis\nApfel;A-1;2,50\nBirne;B-1;2,20\n")
    form = shown(page, job, open_form(page, job), **{"same-sku": "1"})
    form = shown(page, job, form, **{"field-2": "sku"})
    assert "same-sku" not in form.fields
    assert [form.fields[f"field-{n}"] for n in (1, 2)] == ["name", "sku"]
    assert "B-1" in text_of(form)


@pytest.mark.parametrize(
    ("choice", "stored", "refused"),
    [
        ("fill_down", [("C-1", "Cup"), ("L-1", "Lamp"), ("L-2", "Lamp")], 0),
        ("refuse", [("C-1", "Cup"), ("L-1", "Lamp")], 1),
    ],
)
def test_what_becomes_of_a_products_further_lines_is_one_click(
    page: Client,
    waits: Callable[..., ImportJob],
    messages: Messages,
    choice: str,
    stored: list[tuple[str, str]],
    refused: int,
) -> None:
    lines = ["slug,name,images,sku,price", "l,Lamp,l.jpg,L-1,5", ",,,L-2,6", "c,Cup,c.jpg,C-1,7"]
    job = waits("\n".join(lines), on_unclear="wait")
    form = open_form(page, job)
    assert go_on(page, job, form).status_code == 400
    form = shown(page, job, form, **{"lines-name": choice})
    assert "may be further lines" not in text_of(form)
    assert go_on(page, job, shown(page, job, form)).status_code == 302
    messages.run_all()
    job.refresh_from_db()
    assert list(Product.objects.order_by("sku").values_list("sku", "name")) == stored
    assert job.errors.count() == refused


def test_the_upload_form_asks_for_a_look_and_takes_a_format(
    page: Client, messages: Messages, user: User
) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    supplier = Supplier.objects.create(name="Acme")
    kept = suppliers.create_format(
        supplier_id=supplier.pk,
        name="list",
        rules={"columns": [{"field": "sku", "column": "b"}, {"field": "name", "column": "a"}]},
        columns=["a", "b"],
        user=user,
    )
    file = SimpleUploadedFile("p.csv", b"a,b\nLamp,L-1\n")
    page.post("/imports/", {"file": file, "on_unclear": ["wait", "always"], "format": str(kept.pk)})
    job = ImportJob.objects.get()
    assert (job.on_unclear, job.format_id, job.supplier_id) == ("always", kept.pk, supplier.pk)
    answer = page.post("/imports/", {"file": SimpleUploadedFile("p.csv", b"x"), "format": "nope"})
    assert answer.status_code == 400
    assert 'value="always"' in page.get("/").content.decode()
    for path in ("/", "/imports/"):
        assert f'value="{kept.pk}"' in page.get(f"{path}?formats=1").content.decode()
