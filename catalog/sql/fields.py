"""Raw SQL of the fields of one's own: unique indexes, and what their values are."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper
from psycopg import sql

from catalog.sql.violations import violated

BATCH_ROWS = 20_000


def unique_index(field_id: int) -> str:
    return f"catalog_own_field_{int(field_id)}_key"


def is_taken(error: Exception) -> bool:
    """Whether a statement failed for a value of a unique field that another product has."""
    return re.fullmatch(r"catalog_own_field_[0-9]+_key", violated(error)) is not None


def create_unique_index(cursor: CursorWrapper, field_id: int, key: str) -> None:
    """Have the database refuse a value that another product has.

    Waits for writers of products, and they for it. Raises ``IntegrityError`` where two products
    share a value already.
    """
    cursor.execute(
        sql.SQL(
            "CREATE UNIQUE INDEX {name} ON catalog_product ((own_fields ->> {key}))"
            " WHERE own_fields ->> {key} IS NOT NULL"
        )
        .format(name=sql.Identifier(unique_index(field_id)), key=sql.Literal(key))
        .as_string()
    )


def order_index(field_id: int) -> str:
    """The index of what a field is compared and sorted by."""
    return f"catalog_own_field_{int(field_id)}_order"


def part_index(field_id: int) -> str:
    """The index of the trigrams of a field's texts."""
    return f"catalog_own_field_{int(field_id)}_part"


def field_indexes(cursor: CursorWrapper) -> dict[str, bool]:
    """The indexes of both kinds that there are, and whether each is whole."""
    cursor.execute(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid = 'catalog_product'::regclass"
        " AND relname ~ '^catalog_own_field_[0-9]+_(order|part)$'"
    )
    return dict(cursor.fetchall())


def is_building(cursor: CursorWrapper) -> bool:
    """Whether somebody builds an index of products right now."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index"
        " WHERE datname = current_database()"  # another one may use the same number
        " AND relid = 'catalog_product'::regclass)"
    )
    return bool(cursor.fetchone()[0])


def create_index_concurrently(cursor: CursorWrapper, name: str, columns: str) -> None:
    """Build an index while others write; never inside a transaction."""
    cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON catalog_product {columns}")


def drop_index_concurrently(cursor: CursorWrapper, name: str) -> None:
    """Drop an index without holding up those who read and write; never inside a transaction."""
    cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def analyze_products(cursor: CursorWrapper) -> None:
    """Let the planner know what a new index is of."""
    cursor.execute("ANALYZE catalog_product")


def drop_indexes(cursor: CursorWrapper, field_id: int) -> None:
    """Leave no index of a field, before it goes: another may have its key, of another type."""
    drop_unique_index(cursor, field_id)
    for name in (order_index(field_id), part_index(field_id)):
        cursor.execute(f"DROP INDEX IF EXISTS {name}")


def drop_unique_index(cursor: CursorWrapper, field_id: int) -> None:
    name = sql.Identifier(unique_index(field_id))
    cursor.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(name).as_string())


def lock_definitions(cursor: CursorWrapper, keys: Sequence[str]) -> None:
    """Let nobody change or delete these fields until the transaction ends; they all may do so."""
    cursor.execute("SELECT FROM catalog_field WHERE key = ANY(%s) FOR KEY SHARE", [list(keys)])


def count_values(cursor: CursorWrapper, key: str) -> int:
    """How many products have a value under a key."""
    cursor.execute(
        "SELECT count(*) FROM catalog_product WHERE own_fields ->> %s IS NOT NULL", [key]
    )
    return int(cursor.fetchone()[0])


def shared_values(cursor: CursorWrapper, key: str) -> list[tuple[str, int]]:
    """The values that several products have, with how many, the most frequent ten first."""
    cursor.execute(
        "SELECT own_fields ->> %(key)s AS value, count(*) FROM catalog_product"
        " WHERE own_fields ->> %(key)s IS NOT NULL"
        " GROUP BY value HAVING count(*) > 1 ORDER BY count(*) DESC, value LIMIT 10",
        {"key": key},
    )
    return list(cursor.fetchall())


def distinct_values(cursor: CursorWrapper, key: str) -> Iterator[tuple[Any, int, str]]:
    """Each value under a key as JSON, with how many products have it and the SKU of one."""
    cursor.execute(
        "SELECT own_fields -> %(key)s AS value, count(*), min(sku) FROM catalog_product"
        " WHERE own_fields ->> %(key)s IS NOT NULL GROUP BY value",
        {"key": key},
    )
    while rows := cursor.fetchmany(BATCH_ROWS):
        for text, count, sku in rows:
            yield json.loads(text), count, sku


def products_by_value(
    cursor: CursorWrapper,
    key: str,
    values: list[str],
    *,
    limit: int,
    supplier: int | None = None,
) -> list[tuple[str, str]]:
    """The products that have one of some values under a key: value and SKU, by SKU.

    ``supplier``: of those that this one brought in.
    """
    within = (
        " AND created_in_id IN (SELECT id FROM catalog_changeset WHERE supplier = %(supplier)s)"
    )
    cursor.execute(
        sql.SQL(
            "SELECT own_fields ->> {key} AS value, sku FROM catalog_product"
            " WHERE own_fields ->> {key} IS NOT NULL AND own_fields ->> {key} = ANY (%(values)s)"
            "{within} ORDER BY lower(sku) LIMIT %(limit)s"
        )
        .format(key=sql.Literal(key), within=sql.SQL("" if supplier is None else within))
        .as_string(),
        {"values": values, "supplier": supplier, "limit": limit},
    )
    return list(cursor.fetchall())


# The values of a product under one key are taken away, or written anew in the form of another
# type; old and new are arrays of JSON texts in step.
_SET_VALUE = """
WITH chosen AS MATERIALIZED (
    SELECT id, version, changed_in_id, updated_at, own_fields FROM catalog_product
    WHERE {where} AND own_fields -> %s IS DISTINCT FROM %s::jsonb FOR UPDATE
), written AS (
    UPDATE catalog_product AS product
    SET own_fields = NULLIF(jsonb_strip_nulls(
            COALESCE(product.own_fields, '{{}}')
            || jsonb_build_object(%s::text, COALESCE(%s::jsonb, 'null'))), '{{}}'),
        version = product.version + 1, updated_at = now(), changed_in_id = %s
    WHERE product.id = ANY (ARRAY(SELECT id FROM chosen))
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields, old_own_fields,
        old_version, old_changed_in, old_updated_at
    )
    SELECT %s, id, 32, jsonb_build_object(%s::text, COALESCE(own_fields -> %s, 'null')),
           version, changed_in_id, updated_at
    FROM chosen
)
SELECT count(*) FROM chosen
"""


def set_value(
    cursor: CursorWrapper,
    *,
    where: str,
    params: tuple[Any, ...],
    key: str,
    value: str | None,
    change_set_id: int,
) -> int:
    """Give the products that ``where`` holds for a value (JSON text; None: none) under a key.

    Those that have it already are left alone. Returns how many products changed. Run inside a
    transaction.
    """
    cursor.execute(
        _SET_VALUE.format(where=where),
        [*params, key, value, key, value, change_set_id, change_set_id, key, key],
    )
    return int(cursor.fetchone()[0])
