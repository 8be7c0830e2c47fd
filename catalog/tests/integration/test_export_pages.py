"""The pages of exports: columns and formats chosen, formats made and changed."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client

from catalog.export_columns import columns_as_json
from catalog.models import ExportFormat
from catalog.operations import export_formats, fields
from catalog.operations.products import create_product
from catalog.queries.export_formats import ready_made_exports

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(client: Client, make_user: Callable[..., User], static_files: None) -> Client:
    client.force_login(make_user("mara", role="manager"))
    return client


@pytest.fixture(autouse=True)
def product() -> None:
    fields.create_field(data={"label": "Brand", "type": "text"})
    data = {"sku": "A", "name": "Lamp", "price": "9.50", "fields": {"brand": "Acme"}}
    create_product(actor=None, data=data)


def file(answer: Any) -> str:
    async def body() -> bytes:
        return b"".join([bytes(piece) async for piece in cast(StreamingHttpResponse, answer)])

    assert answer.status_code == 200, answer.content.decode()
    return async_to_sync(body)().decode()


def rows(page: str) -> int:
    return page.count('name="place-')


def as_posted(form: Any) -> dict[str, str]:
    """What a browser sends of the form of a format as it is shown."""
    parser = _Form()
    parser.feed(form.content.decode())
    return parser.values


class _Form(HTMLParser):
    """The values of a page's inputs, selects and texts, by name, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.select = self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and "name" in given:
            # An input of a line has none of their breaks.
            self.values[given["name"]] = given.get("value", "").replace("\n", "")
        elif tag == "select":
            self.select = given.get("name", "")
        elif tag == "option" and self.select:
            if "selected" in given or self.select not in self.values:
                self.values[self.select] = given.get("value", "")
        elif tag == "textarea" and "name" in given:
            self.text = given.get("name", "")
            self.values[self.text] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self.select = ""
        elif tag == "textarea":
            # The break behind the tag is none of the text, and the others are sent as two signs.
            typed = self.values[self.text].removeprefix("\n")
            self.values[self.text] = typed.replace("\n", "\r\n")
            self.text = ""

    def handle_data(self, data: str) -> None:
        if self.text:
            self.values[self.text] += data


def test_the_list_leads_to_columns_and_formats_with_its_filters(manager: Client) -> None:
    page = manager.get("/products/", {"fields.brand": "Acme"}).content.decode()
    assert 'href="/products/export/?fields.brand=Acme">Columns and formats' in page
    asked = manager.get("/products/export/", {"fields.brand": "Acme"}).content.decode()
    assert "1 product, filtered by Brand: <b>Acme</b>" in asked
    assert '<input type="hidden" name="fields.brand" value="Acme">' in asked
    assert "Google Merchant (with a currency)" in asked


def test_ticked_columns_are_those_of_the_file(manager: Client) -> None:
    answer = manager.get("/products/export.csv", {"columns": ["brand", "sku"], "currency": ""})
    assert file(answer) == "brand,sku\nAcme,A\n"


def test_what_is_missing_is_told_on_the_page_with_what_was_chosen(manager: Client) -> None:
    asked = {"export_format": "Google Merchant", "currency": "", "q": "Lamp"}
    answer = manager.get("/products/export.csv", asked)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "Write the currency in three letters" in page
    assert 'selected value="Google Merchant"' in page
    assert 'name="q" value="Lamp"' in page
    right = file(manager.get("/products/export.csv", {**asked, "currency": "EUR"}))
    assert "9.50 EUR" in right


def test_a_format_is_made_of_ticked_columns_in_another_order(manager: Client) -> None:
    shown = manager.get("/export-formats/new/", {"columns": ["sku", "brand"]})
    assert rows(shown.content.decode()) == 8  # the five, one own field, two free ones
    form = as_posted(shown) | {
        "name": "Shop",
        "delimiter": ";",
        "place-0": "2",
        "column-0": "Nr",
        "place-1": "1",
        "column-1": "Marke",
        "words-1": "Acme = ACME",
        "column-6": "Kind",
        "text-6": "lamp",
    }
    answer = manager.post("/export-formats/new/", form, follow=True)
    assert "“Shop” was saved" in answer.content.decode()
    assert file(manager.get("/products/export.csv", {"export_format": "Shop"})) == (
        "Marke;Nr;Kind\nACME;A;lamp\n"
    )


def test_a_merchandiser_says_in_inputs_how_values_are_written(manager: Client) -> None:
    form = as_posted(manager.get("/export-formats/new/", {"columns": ["price", "active"]})) | {
        "name": "Shop",
        "decimal-0": ",",
        "money-0": "write",
        "currency-0": "EUR",
        "blank-0": "ask us",
        "yes-1": "ja",
        "no-1": "nein",
        "field-6": "price",
        "column-6": "dear",
        "at_least-6": "9",
        "yes-6": "very",
        "field-7": "fields.brand",
        "prefix-7": "by ",
    }
    answer = manager.post("/export-formats/new/", form, follow=True)
    assert "“Shop” was saved" in answer.content.decode()
    assert file(manager.get("/products/export.csv", {"export_format": "Shop"})) == (
        'price,active,dear,brand\n"9,50 EUR",ja,very,by Acme\n'
    )
    kept = ExportFormat.objects.get()
    told = manager.get(f"/export-formats/{kept.pk}/").content.decode()
    for part in ("decimal comma", "in EUR", "without a value: “ask us”", "true = ja", "yes from 9"):
        assert part.replace("true", "yes") in told, part


ANY_RULES: list[dict[str, Any]] = [
    {"name": "p", "field": "price", "decimal": ",", "currency": ""},
    {"name": "q", "field": "price", "currency": "EUR", "suffix": " net"},
    {"name": "a", "field": "price", "at_least": "1.5", "values": {"true": "in", "FALSE": " out "}},
    {"name": "x", "constant": " y\n=z "},
    {"name": "e", "constant": ""},
    {"name": "b", "field": "active", "values": {"true": "", "false": "no"}, "otherwise": ""},
    {"name": "c", "field": "name", "prefix": " a\nb ", "blank": "\nx\n"},
    {"name": "d", "field": "sku", "values": {"a=b": '"c"', ' "q': "l\nm", "": "=", "z": ""}},
    {
        "name": "f",
        "field": "fields.brand",
        "values": {"x": '"y'},
        "otherwise": '"z',
        "decimal": ",",
    },
]


@pytest.mark.parametrize("column", ANY_RULES, ids=lambda column: column["name"])
def test_a_format_that_is_saved_as_it_is_shown_is_the_same(
    manager: Client, column: dict[str, Any]
) -> None:
    kept = export_formats.create_export_format(data={"name": "F", "columns": [column]})
    here = f"/export-formats/{kept.pk}/"
    answer = manager.post(here, as_posted(manager.get(here)) | {"name": "G"})
    assert answer.status_code == 302, answer.content.decode()
    kept.refresh_from_db()
    assert (kept.name, kept.columns) == ("G", [column])


def test_a_ready_made_format_is_copied_as_it_is(manager: Client) -> None:
    fields.create_ready_made()
    for name in ("Shopify", "WooCommerce", "Google Merchant"):
        form = as_posted(manager.get("/export-formats/new/", {"from": name}))
        assert form["name"] == f"{name} 2"
        manager.post("/export-formats/new/", form)
        kept = ExportFormat.objects.get(name=f"{name} 2")
        ready = next(one for one in ready_made_exports() if one.name == name)
        assert kept.columns == columns_as_json(ready.columns)


def test_more_columns_are_offered_with_what_was_typed(manager: Client) -> None:
    form = as_posted(manager.get("/export-formats/new/")) | {"name": "Mine", "more": "1"}
    form |= {"column-6": "Kind", "text-6": "lamp", "words-5": "a = b"}
    answer = manager.post("/export-formats/new/", form)
    again = as_posted(answer)
    assert answer.status_code == 200
    assert {name: again[name] for name in ("name", "text-6", "words-5")} == {
        "name": "Mine",
        "text-6": "lamp",
        "words-5": "a = b",
    }
    assert rows(answer.content.decode()) == 10
    assert not ExportFormat.objects.exists()


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ({"place-3": "first"}, "“first” is no place"),
        ({"words-0": "one two"}, "“one two” is no line of words"),
        ({"words-0": "a = b\na = c"}, "“a” stands there twice"),
        ({"others-0": "write"}, "Other words are other than some"),
        ({"at_least-3": "many"}, "at_least has to be a number"),
        ({"money-3": "write"}, "Write the currency in three letters"),
        ({"field-6": "sku", "text-6": "x"}, "either a field or a constant"),
        ({"field-6": "nothing"}, "There is no field “nothing”"),
        ({"text-6": "x"}, "It needs a name"),
        ({"column-3": "sku"}, "Two columns are named “sku”"),
        ({f"place-{n}": "" for n in range(6)}, "Send a list of 1 to 500 columns"),
    ],
)
def test_what_is_wrong_with_a_format_is_told_with_what_was_typed(
    manager: Client, typed: dict[str, str], what: str
) -> None:
    form = as_posted(manager.get("/export-formats/new/")) | {"name": "Mine"} | typed
    answer = manager.post("/export-formats/new/", form)
    assert answer.status_code == 422
    assert what in answer.content.decode()
    again = as_posted(answer)
    assert {name: again[name].replace("\r", "") for name in typed} == typed
    assert again["name"] == "Mine"
    assert not ExportFormat.objects.exists()


def test_a_format_is_deleted(manager: Client) -> None:
    columns = [{"name": "id", "field": "sku"}]
    kept = export_formats.create_export_format(data={"name": "F", "columns": columns})
    assert (
        "“F” was deleted"
        in manager.post(f"/export-formats/{kept.pk}/delete/", follow=True).content.decode()
    )
    assert manager.get(f"/export-formats/{kept.pk}/").status_code == 404


def test_an_editor_uses_formats_and_makes_none(
    client: Client, make_user: Callable[..., User], static_files: None
) -> None:
    client.force_login(make_user("edda", role="editor"))
    page = client.get("/export-formats/").content.decode()
    assert "WooCommerce" in page
    assert "New format" not in page
    assert client.get("/export-formats/new/").status_code == 403
