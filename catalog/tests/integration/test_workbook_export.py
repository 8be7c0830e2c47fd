"""The export as a workbook: what is in its cells, and what no workbook holds."""

import io
import zipfile
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from python_calamine import CalamineWorkbook
from rest_framework.test import APIClient

from catalog import export
from catalog.export import AS_IMPORTED, DoesNotFit, asked_layout, check_fits_workbook
from catalog.models import Product
from catalog.operations import fields
from catalog.operations.products import create_product
from catalog.queries.filters import filtered_products

pytestmark = pytest.mark.django_db

HERE = "/api/v1/products/export.xlsx"


def cells(**asked: str) -> list[list[Any]]:
    """The cells as a spreadsheet program has them."""
    pieces = export.workbook_pieces(filtered_products({}), layout=asked_layout(asked))
    book = CalamineWorkbook.from_filelike(io.BytesIO(b"".join(pieces)))
    return book.get_sheet_by_name("Products").to_python()


def define(label: str, type: str, **options: Any) -> None:
    fields.create_field(data={"label": label, "type": type, "options": options})


def make(sku: str, **data: Any) -> None:
    create_product(actor=None, data={"sku": sku, "name": sku, **data})


def test_texts_stay_texts_and_numbers_are_numbers() -> None:
    define("GTIN", "gtin")
    define("Stock", "integer")
    define("Until", "date")
    define("New", "boolean")
    define("Sizes", "choices", choices=["S", "M"])
    own = {"gtin": "0036000291452", "stock": 7, "until": "2026-03-02", "new": False}
    make("00017", price="12.5", description="=1+1", fields={**own, "sizes": ["S", "M"]})
    header, row = cells()
    assert header[:5] == ["sku", "name", "description", "price", "active"]
    assert row[:5] == ["00017", "00017", "=1+1", 12.5, True]
    gtin, stock, until, new, sizes = row[5:]
    assert (gtin, stock, new, sizes) == ("036000291452", 7, False, "S|M")
    assert until == date(2026, 3, 2)
    with zipfile.ZipFile(io.BytesIO(b"".join(export.workbook_pieces(filtered_products({}))))) as it:
        assert b"<f>" not in it.read("xl/worksheets/sheet1.xml")  # no formula


@pytest.mark.parametrize(
    "text", ["a & <b> ]]>", " both ends ", "two\nlines", "_x000D_", "\x01 \x1f", "\U0001f600é"]
)
def test_any_text_comes_back_as_it_is(text: str) -> None:
    make("A", description=text)
    assert cells(columns="description")[1][0] == text


def test_numbers_of_more_digits_than_a_spreadsheet_keeps_are_texts() -> None:
    define("Weight", "decimal", scale=3)
    make("A", fields={"weight": "123456789012345.123"})
    make("B", fields={"weight": "0.125"})
    assert cells(columns="weight") == [["weight"], ["123456789012345.123"], [0.125]]


def test_rows_of_several_pages_are_numbered_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "FIRST_ROWS", 2)
    monkeypatch.setattr(export, "MOST_ROWS", 2)
    for number in range(5):
        make(f"A-{number}")
    assert [row[0] for row in cells()] == ["sku", *(f"A-{number}" for number in range(5))]


def test_what_no_workbook_holds_is_told_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    make("A", description="\U0001f600" * 16_384)  # of two units each
    make("B", description="x" * 32_767)
    with pytest.raises(DoesNotFit, match="description has more in 1 product, A for one"):
        check_fits_workbook(filtered_products({}), AS_IMPORTED)
    check_fits_workbook(filtered_products({"sku": "B"}), AS_IMPORTED)
    check_fits_workbook(filtered_products({}), asked_layout({"columns": "sku,name"}))
    monkeypatch.setattr(export, "ROWS_AT_MOST", 1)
    with pytest.raises(DoesNotFit, match="A sheet holds 1 products, and 2 match"):
        check_fits_workbook(filtered_products({}), AS_IMPORTED)


def test_the_api_answers_409_with_what_to_do(
    make_user: Callable[..., User], static_files: None
) -> None:
    make("A", description="x" * 32_768)
    client = APIClient()
    client.force_authenticate(make_user())
    answer = client.get(HERE)
    assert answer.status_code == 409
    assert "Export as CSV, or without this column" in answer.data["detail"]
    whole = client.get(HERE, {"columns": "sku"})
    assert whole["Content-Type"] == export.XLSX
    assert whole["Content-Disposition"] == 'attachment; filename="products.xlsx"'


def test_memory_does_not_grow_with_the_workbook() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_product (sku, name, description, active, version, created_at,"
            " updated_at) SELECT 'S-' || n, 'name', md5(n::text) || repeat('x', 200), true, 1,"
            " now(), now() FROM generate_series(1, 30000) AS n"
        )
    sizes = [len(piece) for piece in export.workbook_pieces(Product.objects.all())]
    assert max(sizes) < 1_000_000
    assert len(sizes) > 5  # it is sent while it is made
