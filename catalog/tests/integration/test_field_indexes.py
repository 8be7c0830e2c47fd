"""The indexes of fields of one's own: asked for, built beside writers, used, dropped."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Field, Product
from catalog.operations import field_indexes, fields, products
from catalog.operations.field_indexes import keep_field_indexes
from catalog.operations.fields import FieldInUse
from catalog.operations.products import Invalid
from catalog.queries.filters import filtered_products
from catalog.queries.pagination import get_page
from catalog.sql import fields as sql

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def unsent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No worker is told: what a worker does, the tests do. Indexes go with their fields."""
    monkeypatch.setattr("product_importer.common.enqueue._send_now", lambda *args: None)
    yield
    Field.objects.update(indexed=False)
    keep_field_indexes()


def define(label: str, type: str = "text", **more: Any) -> Field:
    return fields.create_field(data={"label": label, "type": type, "indexed": True, **more})


def there() -> dict[str, bool]:
    with connection.cursor() as cursor:
        return sql.field_indexes(cursor)


def plan(products: Any) -> str:
    """How PostgreSQL finds these where it may not read all products."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        return str(products.explain())


def fill(rows: int = 400) -> None:
    """Products of 20 brands, each with its own stock; every tenth has no value."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_product (sku, name, description, active, version, created_at,"
            " updated_at, own_fields) SELECT 'P-' || n, 'Lamp ' || n, '', true, 1, now(), now(),"
            " CASE WHEN n %% 10 > 0 THEN jsonb_build_object('brand', 'Brand ' || n %% 20,"
            " 'stock', n, 'cost', n || '.50', 'listed', '2026-01-' || (10 + n %% 20),"
            " 'fair', n %% 2 = 0) END"
            " FROM generate_series(1, %s) AS n",
            [rows],
        )


def test_a_second_worker_gives_way_to_the_one_that_builds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = define("Brand")
    seen: list[dict[str, bool]] = []

    def build(name: str, columns: str) -> None:
        if not seen:
            with ThreadPoolExecutor(1) as threads:  # which have connections of their own
                threads.submit(second_worker).result()
        seen.append(there())
        really_build(name, columns)

    def second_worker() -> None:
        keep_field_indexes()
        connection.close()

    really_build = field_indexes._build
    monkeypatch.setattr(field_indexes, "_build", build)
    keep_field_indexes()
    assert seen[0] == {}
    assert there() == {sql.order_index(field.pk): True, sql.part_index(field.pk): True}


def test_indexes_are_built_when_they_are_asked_for_and_dropped_when_not() -> None:
    brand, stock = define("Brand"), define("Stock", "integer")
    assert there() == {}
    keep_field_indexes()
    names = {sql.order_index(brand.pk), sql.part_index(brand.pk), sql.order_index(stock.pk)}
    assert there() == dict.fromkeys(names, True)
    fields.update_field(field_id=brand.pk, data={"indexed": False})
    fields.update_field(field_id=stock.pk, data={"retired": True})
    keep_field_indexes()
    assert there() == {}


@pytest.mark.parametrize(
    ("name", "text", "index"),
    [
        ("fields.brand", "Brand 7", "order"),
        ("fields.brand__in", "Brand 7|Brand 8", "order"),
        ("fields.brand__contains", "rand 17", "part"),
        ("fields.brand__isblank", "true", "order"),
        ("fields.stock__gte", "395", "order"),
        ("fields.stock__lte", "5", "order"),
        ("fields.cost", "7.50", "order"),
        ("fields.listed__lte", "2026-01-11", "order"),
        ("fields.fair", "true", "order"),
    ],
)
def test_a_filter_of_every_type_is_answered_by_the_field_s_index(
    name: str, text: str, index: str
) -> None:
    types = {"stock": "integer", "cost": "money", "listed": "date", "fair": "boolean"}
    key = name.removeprefix("fields.").partition("__")[0]
    field = define(key.capitalize(), types.get(key, "text"))
    fill()
    without = sorted(filtered_products({name: text}).values_list("pk", flat=True))
    keep_field_indexes()
    assert f"catalog_own_field_{field.pk}_{index}" in plan(filtered_products({name: text}))
    assert without
    assert sorted(filtered_products({name: text}).values_list("pk", flat=True)) == without


def test_pages_in_the_order_of_a_field_go_along_its_index() -> None:
    field = define("Stock", "integer")
    fill()
    keep_field_indexes()
    everything = Product.objects.all()
    first = get_page(everything, ordering="-fields.stock", size=3)
    assert [product.sku for product in first.rows] == ["P-399", "P-398", "P-397"]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        second = get_page(everything, ordering="-fields.stock", size=3, cursor=first.next)
    assert [product.sku for product in second.rows] == ["P-396", "P-395", "P-394"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {queries[-1]['sql']}")
        lines = [line for (line,) in cursor.fetchall()]
    text = "\n".join(lines)
    assert sql.order_index(field.pk) in text
    assert "Index Cond: (ROW(" in text


@pytest.mark.parametrize("given", [{"fields.brand": "Brand 7"}, {"name": "Lamp 39"}])
def test_an_index_changes_no_page(given: dict[str, str]) -> None:
    define("Brand")
    define("Stock", "integer")
    fill()

    def walked(ordering: str) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            products = filtered_products(given)
            page = get_page(products, ordering=ordering, size=7, cursor=cursor)
            found += [product.sku for product in page.rows]
            cursor = page.next
            if not cursor:
                return found

    before = {name: walked(name) for name in ("fields.stock", "-fields.brand", "id")}
    keep_field_indexes()
    assert {name: walked(name) for name in before} == before
    assert len(before["id"]) >= 11


def test_what_a_build_that_was_cut_short_has_left_is_built_anew() -> None:
    field = define("Brand")
    keep_field_indexes()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
            [sql.order_index(field.pk)],
        )
    assert not there()[sql.order_index(field.pk)]
    keep_field_indexes()
    assert all(there().values())


def test_a_type_changes_only_when_no_index_is_of_it() -> None:
    field = define("Stock", "integer")
    keep_field_indexes()
    with pytest.raises(FieldInUse, match="has an index of its own"):
        fields.update_field(field_id=field.pk, data={"type": "text"})
    with pytest.raises(FieldInUse, match="has an index of its own"):
        fields.update_field(field_id=field.pk, data={"type": "text", "indexed": False})
    fields.update_field(field_id=field.pk, data={"indexed": False})
    keep_field_indexes()
    fields.update_field(field_id=field.pk, data={"type": "text", "indexed": True})
    keep_field_indexes()
    assert sql.part_index(field.pk) in there()


def test_a_field_that_is_deleted_takes_its_index_with_it() -> None:
    field = define("Stock", "integer")
    keep_field_indexes()
    fields.update_field(field_id=field.pk, data={"retired": True})
    fields.delete_field(field_id=field.pk, actor=None)
    assert there() == {}


def test_a_list_of_several_has_no_index() -> None:
    with pytest.raises(Invalid) as raised:
        define("Sizes", "choices", options={"choices": ["S", "M"]})
    assert list(raised.value.errors) == ["indexed"]


def test_the_page_and_the_api_ask_for_an_index(page: Client) -> None:
    page.post("/fields/new/", {"label": "Brand", "type": "text", "indexed": "on"})
    field = Field.objects.get()
    assert field.indexed
    assert 'name="indexed" checked' in page.get(f"/fields/{field.pk}/").content.decode()
    body = {"indexed": False}
    answer = page.patch(f"/api/v1/fields/{field.pk}/", body, content_type="application/json")
    assert answer.json()["indexed"] is False


def test_products_are_written_while_a_field_is_indexed() -> None:
    define("Brand")
    keep_field_indexes()
    long = "\U0001f4a1" * 1_000
    made = products.create_product(
        actor=None, data={"sku": "A", "name": "A", "fields": {"brand": long}}
    )
    assert list(filtered_products({"fields.brand": long})) == [made]
