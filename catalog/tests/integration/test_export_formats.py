"""Export formats: columns of one's own, the ready-made ones, and what cannot be."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from catalog.export import asked_layout, export_lines
from catalog.export_columns import columns_as_json, parse_columns, with_currency
from catalog.models import ExportFormat, Field
from catalog.operations import export_formats, fields
from catalog.operations.products import create_product
from catalog.queries.filters import BadFilter, filtered_products
from catalog.queries.own_fields.fields import definitions

pytestmark = pytest.mark.django_db

HERE = "/api/v1/export-formats/"


@pytest.fixture
def manager(make_user: Callable[..., User], static_files: None) -> APIClient:
    client = APIClient()
    client.force_authenticate(make_user())
    return client


def define(label: str, type: str = "text", **more: Any) -> None:
    fields.create_field(data={"label": label, "type": type, **more})


def make(sku: str, active: bool = True, price: str | None = None, **own: Any) -> None:
    data = {"sku": sku, "name": f"Lamp {sku}", "active": active, "price": price, "fields": own}
    create_product(actor=None, data=data)


def exported(**asked: str) -> list[str]:
    return "".join(export_lines(filtered_products({}), layout=asked_layout(asked))).splitlines()


def keep(name: str, columns: list[dict[str, Any]], **more: Any) -> ExportFormat:
    return export_formats.create_export_format(data={"name": name, "columns": columns, **more})


def test_a_format_has_its_columns_in_its_order_under_its_names() -> None:
    define("Brand")
    make("A", brand="Acme")
    brand = {"name": "Marke; Hersteller", "field": "fields.brand"}
    columns = [brand, {"name": "Nr", "field": "sku"}, {"name": "Kind", "constant": "a {where} %s"}]
    keep("Shop", columns, delimiter=";")
    assert exported(export_format="shop") == ['"Marke; Hersteller";Nr;Kind', "Acme;A;a {where} %s"]


@pytest.mark.parametrize(
    ("rules", "written"),
    [
        ({"decimal": ","}, ["9,50", "", "0,00"]),
        ({"currency": "EUR"}, ["9.50 EUR", "", "0.00 EUR"]),
        ({"prefix": "ab ", "suffix": " c"}, ["ab 9.50 c", "", "ab 0.00 c"]),
        ({"at_least": "1", "values": {"TRUE": "dear"}}, ["dear", "", "false"]),
        ({"values": {"0.00": "free"}, "otherwise": "paid"}, ["paid", "", "free"]),
        ({"blank": "on request"}, ["9.50", "on request", "0.00"]),
    ],
)
def test_rules_say_how_a_value_is_written(rules: dict[str, Any], written: list[str]) -> None:
    for sku, price in (("A", "9.5"), ("B", None), ("C", "0")):
        make(sku, price=price)
    keep("Prices", [{"name": "p", "field": "price", **rules}], delimiter="|")
    assert exported(export_format="Prices")[1:] == written


def test_a_currency_that_a_format_leaves_open_is_asked_for() -> None:
    make("A", price="9.5")
    kept = keep("Prices", [{"name": "p", "field": "price", "currency": ""}])
    assert exported(export_format=str(kept.pk), currency="CHF") == ["p", "9.50 CHF"]
    for wrong in ("", "euro", "€"):
        with pytest.raises(BadFilter, match="three letters"):
            asked_layout({"export_format": "Prices", "currency": wrong})
    with pytest.raises(BadFilter, match="three letters"):
        asked_layout({"currency": "0000"})


def test_a_column_whose_field_was_retired_since_is_left_out() -> None:
    define("Brand")
    make("A", brand="Acme")
    keep("Both", [{"name": "id", "field": "sku"}, {"name": "brand", "field": "fields.brand"}])
    keep("Brands", [{"name": "brand", "field": "fields.brand"}])
    fields.update_field(field_id=Field.objects.get().pk, data={"retired": True})
    assert exported(export_format="Both") == ["id", "A"]
    with pytest.raises(BadFilter, match="All fields of this format are retired"):
        asked_layout({"export_format": "Brands"})


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ({"name": "a"}, "either a field or a constant"),
        ({"name": "", "field": "sku"}, "needs a name"),
        ({"name": "a\nb", "field": "sku"}, "needs a name"),
        ({"name": "a", "field": "colour"}, "There is no field “colour”. There are: sku, name"),
        ({"name": "a", "field": "sku", "colour": "red"}, "There is no “colour”"),
        ({"name": "a", "field": "sku", "currency": "EUR"}, "Only a number has “currency”"),
        ({"name": "a", "field": "price", "at_least": "1_0"}, "at_least has to be a number"),
        ({"name": "a", "field": "price", "at_least": "\uff11"}, "at_least has to be a number"),
        ({"name": "a", "field": "price", "currency": "Eur"}, "three letters"),
        ({"name": "a", "field": "sku", "otherwise": "x"}, "otherwise is written in place"),
        ({"name": "a", "field": "sku", "decimal": ";"}, "decimal is a point or a comma"),
        ({"name": "a", "field": "sku", "values": ["x"]}, "values has to be an object of texts"),
        ({"name": "a", "field": "sku", "blank": "a\0b"}, "blank has to be a text"),
        ({"name": "a", "constant": "x", "prefix": "y"}, "A constant has no “prefix”"),
        ({"name": 7, "field": "sku"}, "name has to be a text"),
        ("sku", "Send an object"),
    ],
)
def test_columns_that_cannot_be_are_sentences(manager: APIClient, column: Any, what: str) -> None:
    sent = {"name": "F", "columns": [column]}
    answer = manager.post(HERE, sent, format="json")
    assert answer.status_code == 400
    assert what in answer.data["errors"]["columns"][0]["message"]


def test_a_format_is_made_changed_and_deleted_by_api(manager: APIClient) -> None:
    columns = [{"name": "id", "field": "sku"}]
    made = manager.post(HERE, {"name": "Shop", "columns": columns}, format="json")
    assert (made.status_code, made.data["columns"]) == (201, columns)
    here = f"{HERE}{made.data['id']}/"
    assert manager.patch(here, {"delimiter": "\t"}, format="json").data["delimiter"] == "\t"
    assert [one["name"] for one in manager.get(HERE).data["results"]] == ["Shop"]
    for wrong in ({"name": "shop"}, {"name": "12"}, {"name": "b", "delimiter": "x"}, {"nom": "b"}):
        body = {"name": "B", "columns": columns, **wrong}
        assert manager.post(HERE, body, format="json").status_code == 400, wrong
    assert manager.delete(here).status_code == 204
    assert manager.get(here).status_code == 404


def test_the_ready_made_formats_are_there_to_be_copied(manager: APIClient) -> None:
    define("Brand")
    ready = {one["name"]: one for one in manager.get(f"{HERE}ready-made/").data}
    assert list(ready) == ["Shopify", "WooCommerce", "Google Merchant"]
    vendor = {"name": "Vendor", "field": "fields.brand"}
    assert vendor in ready["Shopify"]["columns"]
    copy = manager.post(HERE, {**ready["Google Merchant"], "name": "Feed"}, format="json")
    assert (copy.status_code, copy.data["delimiter"]) == (201, "\t")
    assert copy.data["columns"] == ready["Google Merchant"]["columns"]


def test_columns_are_the_same_after_json() -> None:
    rules = {"at_least": "1", "values": {"true": "in"}, "otherwise": "out", "blank": "?"}
    data = [{"name": "a", "field": "price", **rules}, {"name": "b", "constant": ""}]
    columns = parse_columns(data, definitions())
    assert columns_as_json(columns) == data
    assert with_currency(columns, "") == columns


def test_a_format_that_there_is_not_is_told_with_those_that_there_are(manager: APIClient) -> None:
    keep("Mine", [{"name": "id", "field": "sku"}])
    for wrong in ("Yours", "99", "a\0b"):
        answer = manager.get("/api/v1/products/export.csv", {"export_format": wrong})
        assert answer.status_code == 400
        assert "There are: Mine, Shopify" in answer.data["errors"]["export_format"][0]["message"]
    both = {"export_format": "Mine", "columns": "sku"}
    assert manager.get("/api/v1/products/export.xlsx", both).status_code == 400


def test_google_is_told_the_price_with_its_currency_and_what_is_in_stock() -> None:
    define("Brand")
    define("Stock", "integer")
    define("GTIN", "gtin")
    make("A", price="9.5", brand="Acme", stock=0, gtin="73513537")
    make("B", price="12", stock=3)
    header, *lines = exported(export_format="google merchant", currency="EUR")
    found = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    wanted = ("id", "title", "availability", "price", "condition", "brand", "gtin")
    assert [[one[name] for name in wanted] for one in found] == [
        ["A", "Lamp A", "out_of_stock", "9.50 EUR", "new", "Acme", "73513537"],
        ["B", "Lamp B", "in_stock", "12.00 EUR", "new", "", ""],
    ]


def test_a_decimal_of_three_places_goes_out_so_that_nobody_takes_it_for_thousands() -> None:
    define("Weight", "decimal", options={"scale": 3})
    for sku, weight in (("A", "1.5"), ("B", "12.125"), ("C", "0.25"), ("D", "-3"), ("E", "1500")):
        make(sku, weight=weight)
    written = ["1.50", "12.1250", "0.25", "-3.00", "1500.00"]
    assert exported(columns="weight")[1:] == written


@pytest.mark.parametrize("way", ["format", "export_format"])
def test_an_address_names_an_export_format_either_way(manager: APIClient, way: str) -> None:
    define("Brand")
    make("A", brand="Acme")
    keep("Shop", [{"name": "Nr", "field": "sku"}])
    answer = manager.get(f"/api/v1/products/export.csv?{way}=shop")
    assert (answer.status_code, "shop.csv" in answer["Content-Disposition"]) == (200, True)
    assert manager.get(f"/api/v1/products/export.xlsx?{way}=shop").status_code == 200
    assert manager.get(f"/api/v1/products/export.csv?{way}=none").status_code == 400


def test_a_feed_has_each_column_that_a_field_is_named_after() -> None:
    for label in ("sale_price", "custom_label_0", "Attribute 1 name", "Meta: _care", "Type"):
        define(label)
    define("Fit (product.metafields.custom.fit)")
    define("Category")
    names = {
        name: {
            column.name
            for column in asked_layout({"export_format": name, "currency": currency}).columns
        }
        for name, currency in (("Google Merchant", "EUR"), ("WooCommerce", ""), ("Shopify", ""))
    }
    assert {"sale_price", "custom_label_0"} <= names["Google Merchant"]
    assert {"Attribute 1 name", "Meta: _care"} <= names["WooCommerce"]
    assert {"Fit (product.metafields.custom.fit)", "Product Category"} <= names["Shopify"]


def test_a_choice_may_have_the_sign_that_is_between_the_values_of_a_filter() -> None:
    define("Colour", "choice", options={"choices": ["a|b", "b", "c"]})
    for sku, colour in (("A", "a|b"), ("B", "b"), ("C", "c")):
        make(sku, colour=colour)
    for asked, found in (("a|b", ["A"]), ("a|b|c", ["A", "C"]), ("b|c", ["B", "C"])):
        products = filtered_products({"fields.colour__in": asked}).order_by("sku")
        assert [product.sku for product in products] == found


def test_rules_see_a_number_as_it_is_kept_and_write_it_so_that_it_is_clear() -> None:
    define("Weight", "decimal", options={"scale": 3})
    make("A", weight="1.5")
    make("B", weight="0")
    words = {"name": "W", "field": "fields.weight", "values": {"0.000": "none"}}
    keep("Words", [words])
    keep("Units", [{"name": "W", "field": "fields.weight", "decimal": ",", "suffix": " kg"}])
    assert exported(export_format="Words") == ["W", "1.50", "none"]
    assert exported(export_format="Units") == ["W", '"1,50 kg"', '"0,00 kg"']


def test_money_has_its_currency_in_a_feed_for_google() -> None:
    define("sale_price", "money")
    make("A", price="12", sale_price="9.5")
    head, row = exported(export_format="Google Merchant", currency="EUR")
    written = dict(zip(head.split("\t"), row.split("\t"), strict=True))
    assert (written["price"], written["sale_price"]) == ("12.00 EUR", "9.50 EUR")
