"""The export: what comes out goes in again without a change."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.export import export_lines
from catalog.models import Product
from catalog.queries.filters import filtered_products
from catalog.values import clean_description, clean_name, clean_sku
from imports.mapping.cells.meaning import NO_TEXTS
from imports.readers.csv import inspect, read_batches

pytestmark = pytest.mark.django_db(transaction=True)

TRICKY = "='+-@\uff1d\uff0b\uff0d\uff20\t\r\n\",; 1.é\u2028#\\|"
text = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(codec="utf-8")), max_size=12)
# What programs and spreadsheets write where there is nothing is no text of a product in a file.
real = text.filter(lambda value: "\0" not in value and value.strip() not in NO_TEXTS)


def exported(**options: Any) -> str:
    return "".join(export_lines(filtered_products({}), **options))


def read_back(content: str) -> list[list[str]]:
    """The rows that an import would stage: sku, name, description, price, active."""
    file = io.BytesIO(content.encode())
    rows: list[list[str]] = []
    for batch in read_batches(file, inspect(file)):
        assert batch.problems == []
        for row in batch.rows:
            cells = [_unescaped(cell) for cell in row.split("\t")]
            rows.append(cells[1:6])
    return rows


def _unescaped(cell: str) -> str:
    for escaped, character in (("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r")):
        cell = cell.replace("\\\\", "\ue000").replace(escaped, character)
        cell = cell.replace("\ue000", "\\\\")
    return cell.replace("\\\\", "\\")


def _storable(clean: Callable[[str], str]) -> Callable[[str], bool]:
    def works(value: str) -> bool:
        try:
            return clean(value) == value
        except ValueError:
            return False

    return works


@pytest.mark.parametrize("spreadsheet", [False, True])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sku=real.filter(_storable(clean_sku)),
    name=real.filter(_storable(clean_name)),
    description=real.filter(lambda value: clean_description(value) == value),
)
def test_whatever_is_stored_is_read_back_as_it_was(
    spreadsheet: bool, sku: str, name: str, description: str
) -> None:
    Product.objects.all().delete()
    Product.objects.create(sku=sku, name=name, description=description, price=None, active=False)
    assert read_back(exported(spreadsheet=spreadsheet)) == [[sku, name, description, "", "f"]]


@pytest.mark.parametrize(
    ("stored", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-2 years", "'-2 years"),
        ("@home", "'@home"),
        ("\tindented", "'\tindented"),
        ("\rreturned", "'\rreturned"),
        ("'=quoted", "''=quoted"),
        ("\uff1dcmd", "'\uff1dcmd"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20home", "'\uff20home"),
        ("-12.50", "-12.50"),
        ("+49", "+49"),
        ("plain", "plain"),
        ("a=b", "a=b"),
        ("'s", "'s"),
    ],
)
def test_cells_are_guarded_for_spreadsheets_and_numbers_are_not(
    make_product: Callable[..., Product], stored: str, cell: str
) -> None:
    make_product(description=stored, price=Decimal("5.00"))
    lines = list(csv.reader(io.StringIO(exported(spreadsheet=True), newline="")))
    assert lines == [
        ["sku", "name", "description", "price", "active"],
        ["A-1", "Lamp", cell, "5.00", "true"],
    ]


def test_it_holds_what_the_filter_holds(make_product: Callable[..., Product]) -> None:
    make_product("A-1", "Lamp")
    make_product("B-1", "100%", active=False)
    assert "A-1" not in "".join(export_lines(filtered_products({"name": "0%"})))
    assert "".join(export_lines(filtered_products({"name": "\0"}))).count("\n") == 1
    off = "".join(export_lines(filtered_products({"active": "false"})))
    assert off.splitlines()[1:] == ["B-1,100%,,,false"]


def test_memory_does_not_grow_with_the_catalogue() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_product (sku, name, description, active, version, created_at,"
            " updated_at) SELECT 'S-' || n, 'name', repeat('x', 200), true, 1, now(), now()"
            " FROM generate_series(1, 30000) AS n"
        )
    largest = max(len(piece) for piece in export_lines(filtered_products({})))
    assert largest < 2_000_000
