"""The pages of exports: columns and formats chosen, formats made and changed."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client

from catalog.models import ExportFormat
from catalog.operations import export_formats, fields
from catalog.operations.products import create_product

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
    return page.count('name="place"')


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
    shown = manager.get("/export-formats/new/", {"columns": ["sku", "brand"]}).content.decode()
    assert rows(shown) == 8  # the five, one own field, two fixed texts
    form = {
        "name": "Shop",
        "delimiter": ";",
        "place": ["2", "1", "", "3"],
        "column": ["Nr", "Marke", "name", "Kind"],
        "field": ["sku", "fields.brand", "name", ""],
        "more": ["", '{"values": {"Acme": "ACME"}}', "", "lamp"],
    }
    answer = manager.post("/export-formats/new/", form, follow=True)
    assert "“Shop” was saved" in answer.content.decode()
    assert file(manager.get("/products/export.csv", {"export_format": "Shop"})) == (
        "Marke;Nr;Kind\nACME;A;lamp\n"
    )


def test_a_format_is_shown_as_it_is_and_saved_again_as_it_was(manager: Client) -> None:
    ready = manager.get("/export-formats/new/", {"from": "Shopify"}).content.decode()
    assert 'value="Shopify 2"' in ready
    assert 'value="Body (HTML)"' in ready
    columns = [{"name": "p", "field": "price", "decimal": ","}, {"name": "x", "constant": "y"}]
    kept = export_formats.create_export_format(data={"name": "F", "columns": columns})
    here = f"/export-formats/{kept.pk}/"
    page = manager.get(here)
    names = {"place": "place", "column": "name", "field": "field", "more": "more"}
    shown = page.context["rows"]
    form = {sent: [getattr(row, name) for row in shown] for sent, name in names.items()}
    assert json.loads(form["more"][0]) == {"decimal": ","}
    manager.post(here, {"name": "G", "delimiter": ",", **form})
    kept.refresh_from_db()
    assert (kept.name, kept.columns) == ("G", columns)


@pytest.mark.parametrize(
    ("place", "more", "what"),
    [
        ("first", "", "“first” is no place"),
        ("1", "{", "The rules of sku are no JSON object"),
        ("1", "[1]", "The rules of sku are no JSON object"),
        ("1", '{"colour": "red"}', "There is no “colour”"),
        ("", "", "Send a list of 1 to 500 columns"),
    ],
)
def test_what_is_wrong_with_a_format_is_told_with_what_was_typed(
    manager: Client, place: str, more: str, what: str
) -> None:
    form = {"name": "Mine", "place": place, "column": "sku", "field": "sku", "more": more}
    answer = manager.post("/export-formats/new/", form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert what in page
    assert 'value="Mine"' in page
    assert rows(page) == 1
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
