"""The way back: a shop's export comes in, and goes out again in the shop's own shape."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from catalog.export import asked_layout, export_lines, workbook_pieces
from catalog.export_columns import OutputColumn
from catalog.field_values import Definition
from catalog.models import Product
from catalog.operations import fields, products
from catalog.queries.filters import filtered_products
from catalog.ready_made_exports import READY_MADE
from conftest import Messages
from imports.models import ImportJob

pytestmark = pytest.mark.django_db(transaction=True)

Table = list[dict[str, str]]


@pytest.fixture
def run(upload: Callable[..., ImportJob], messages: Messages) -> Callable[[str], ImportJob]:
    """Import a text, to its end."""

    def imported(text: str) -> ImportJob:
        job = upload(text, checks="warn")
        messages.run_all()
        job.refresh_from_db()
        assert (job.status, job.error, job.rejected) == ("completed", "", 0)
        return job

    return imported


def file_of(rows: Table, delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def exported(delimiter: str = ",", **asked: str) -> Table:
    lines = export_lines(filtered_products({}), layout=asked_layout(asked))
    return list(csv.DictReader(io.StringIO("".join(lines), newline=""), delimiter=delimiter))


def every_column(name: str) -> list[OutputColumn]:
    """A ready-made format's columns in a catalogue that has a field for each."""
    ready = next(one for one in READY_MADE if one.name == name)
    anything = _Anything()
    return ready.columns(anything)


class _Anything(dict[str, Definition]):
    """As if there were a field for every key."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> Definition:
        return Definition(key, key, "integer")


def define_all(name: str) -> list[str]:
    """Define a field for each column of a format that is none of the five; return all columns."""
    columns = every_column(name)
    for column in columns:
        if column.key:
            key = {"key": "shop_id"} if column.name == "ID" else {}  # a name that products have
            fields.create_field(data={"label": column.name, "type": "text", **key})
    return [column.name for column in columns]


SHOPIFY = [
    {
        "Handle": "desk-lamp",
        "Title": "Desk lamp",
        "Body (HTML)": "<p>Steel, 20&nbsp;cm</p>",
        "Tags": "new, steel",
        "Published": "true",
        "Option1 Name": "Colour",
        "Option1 Value": "Red",
        "Variant SKU": "00017",
        "Variant Grams": "1200.0",
        "Variant Inventory Qty": "-2",
        "Variant Price": "19.90",
        "Variant Barcode": "4006381333931",
        "Image Src": "https://cdn.example.com/1.png?v=1",
        "Status": "active",
    },
    {
        "Handle": "desk-lamp",
        "Title": "Desk lamp",
        "Option1 Value": "Blue",
        "Variant SKU": "=18",
        "Variant Price": "21.00",
        "Status": "active",
    },
    {"Handle": "chair", "Title": "Chair", "Variant SKU": "C", "Status": "draft"},
]
WOOCOMMERCE = [
    {"ID": "7", "Type": "variable", "SKU": "U", "Name": "Lamp", "Published": "1", "Stock": "3"},
    {"ID": "8", "Type": "simple", "SKU": "V", "Name": "Bed", "Published": "-1", "Tags": "a, b"},
]
WOOCOMMERCE[1]["Regular price"] = "5.00"
GOOGLE = [
    {"id": "G", "title": "Lamp", "link": "https://x.example/g", "availability": "preorder"},
    {"id": "H", "title": "Bed", "price": "12.50 EUR", "condition": "used", "brand": "Acme"},
]


@pytest.mark.parametrize(
    ("name", "rows", "delimiter", "asked", "brand"),
    [
        ("Shopify", SHOPIFY, ",", {}, "Vendor"),
        ("WooCommerce", WOOCOMMERCE, ",", {}, "Brands"),
        ("Google Merchant", GOOGLE, "\t", {"currency": "EUR"}, "brand"),
    ],
)
def test_what_a_shop_exported_goes_out_in_its_shape_and_only_what_was_edited_is_other(
    run: Callable[[str], ImportJob],
    name: str,
    rows: Table,
    delimiter: str,
    asked: dict[str, str],
    brand: str,
) -> None:
    columns = define_all(name)
    original = [{column: row.get(column, "") for column in columns} for row in rows]
    assert run(file_of(original, delimiter)).created == len(rows)
    asked = {"export_format": name, **asked}
    if name == "Shopify":  # what its first line alone has, stands in each line of a product
        original[1] |= {one: original[0][one] for one in ("Tags", "Published", "Option1 Name")}
    assert exported(delimiter, **asked) == original
    key = next(one.key for one in asked_layout(asked).columns if one.name == brand)
    product = Product.objects.order_by("pk").last()
    assert product
    data = {"fields": {key: "Zen"}}
    products.update_product(product_id=product.pk, actor=None, data=data)
    edited = exported(delimiter, **asked)
    original[-1][brand] = "Zen"
    assert edited == original
    again = run(file_of(edited, delimiter))
    assert (again.unchanged, again.updated, again.created) == (len(rows), 0, 0)


def test_what_a_shopify_file_says_once_is_said_of_all_variants_and_of_no_other_product(
    run: Callable[[str], ImportJob],
) -> None:
    for label in ("Vendor", "Type", "Tags", "Image Src", "Fit (product.metafields.custom.fit)"):
        fields.create_field(data={"label": label, "type": "text"})
    header = "Handle,Title,Vendor,Type,Tags,Fit (product.metafields.custom.fit),Image Src"
    run(
        f"{header},Variant SKU,Variant Price,Status\n"
        "shirt,Shirt,Acme,Tops,new,slim,https://x.example/1.png,S-1,9.50,active\n"
        "shirt,,,,,,https://x.example/2.png,,,\n"  # a further picture
        "shirt,,,,,,,S-2,9.50,\n"
        "socks,Socks,Bolt,,,,,K-1,3.00,draft\n"
        "socks,,,,,,,K-2,3.00,\n"
    )
    found = {one.sku: one.own_fields for one in Product.objects.order_by("sku")}
    shirt = {"vendor": "Acme", "type": "Tops", "tags": "new"}
    shirt["fit_product_metafields_custom_fit"] = "slim"
    assert found == {
        "S-1": shirt | {"image_src": "https://x.example/1.png"},
        "S-2": shirt,
        "K-1": {"vendor": "Bolt"},
        "K-2": {"vendor": "Bolt"},
    }


def test_columns_that_the_catalogue_did_not_take_are_not_sent_back_blank(
    run: Callable[[str], ImportJob],
) -> None:
    fields.create_field(data={"label": "Handle", "type": "text"})
    columns = [column.name for column in every_column("Shopify")]
    run(file_of([{column: SHOPIFY[0].get(column, "") for column in columns}]))
    (row,) = exported(export_format="Shopify")
    assert row["Handle"] == "desk-lamp"
    assert not {"Tags", "Variant Grams", "Variant Barcode", "Image Src"} & row.keys()


@pytest.mark.parametrize("name", ["Shopify", "WooCommerce", "Google Merchant"])
def test_the_five_alone_come_back_unchanged_from_each_shop(
    run: Callable[[str], ImportJob], name: str
) -> None:
    run("sku,name,description,price,active\nA,Lamp,<p>x</p>,9.50,true\n")
    asked = (
        {"export_format": name, "currency": "EUR"} if name[0] == "G" else {"export_format": name}
    )
    lines = export_lines(filtered_products({}), layout=asked_layout(asked))
    again = run("".join(lines))
    assert (again.unchanged, again.updated, again.created) == (1, 0, 0)


def test_a_workbook_comes_back_unchanged(
    upload: Callable[..., ImportJob], messages: Messages, run: Callable[[str], ImportJob]
) -> None:
    fields.create_ready_made()
    values: dict[str, Any] = {"gtin": "4006381333931", "stock": 3, "weight": "0.5", "brand": "=A"}
    data = {"sku": "00017", "name": "Lamp", "price": "12.50", "fields": values}
    products.create_product(actor=None, data=data)
    content = b"".join(workbook_pieces(filtered_products({})))
    job = upload(content, "products.xlsx")
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.error, job.rejected) == ("completed", "", 0)
    assert (job.unchanged, job.updated) == (1, 0)


def test_the_type_of_shopify_is_the_category_and_goes_back_as_the_type(
    run: Callable[[str], ImportJob],
) -> None:
    fields.create_ready_made()
    run(
        "Handle,Title,Product Category,Type,Variant SKU,Variant Price,Status\n"
        "hat,Hat,Apparel > Hats,Beanie,H-1,9.50,active\n"
    )
    assert (Product.objects.get().own_fields or {})["category"] == "Beanie"
    (row,) = exported(export_format="Shopify")
    assert row["Type"] == "Beanie"
    assert "Product Category" not in row


def test_weights_of_three_decimals_come_back_unchanged(run: Callable[[str], ImportJob]) -> None:
    fields.create_ready_made()
    for sku, weight in (("A", "1.500"), ("B", "12.125")):
        data = {"sku": sku, "name": sku, "fields": {"weight": weight}}
        products.create_product(actor=None, data=data)
    for asked in ({}, {"export_format": "WooCommerce"}, {"columns": "sku,weight"}):
        lines = export_lines(filtered_products({}), layout=asked_layout(asked))
        again = run("".join(lines))
        assert (again.unchanged, again.updated) == (2, 0)
