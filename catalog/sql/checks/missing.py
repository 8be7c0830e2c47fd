"""Raw SQL of full lists: the products that a supplier brought in and that its file lacks."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

# Both sides are read in the order of their index on lower(sku), within the range, and merged
# (``upsert.APPLY_SETTINGS``). What this very change set created is in the file, under whatever SKU
# somebody has given it since.
_LACKING = """
SELECT id, lower(sku) AS key FROM catalog_product AS product
WHERE lower(sku) >= %(first_key)s AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
  AND created_in_id = ANY (%(brought_in)s) AND {condition}
  AND NOT EXISTS (
    SELECT FROM {source} AS record
    WHERE lower(record.sku) = lower(product.sku)
      AND lower(record.sku) >= %(first_key)s
      AND (%(end_key)s::text IS NULL OR lower(record.sku) < %(end_key)s)
  )
"""
_IDS = """
WITH lacking AS MATERIALIZED ({lacking})
SELECT id FROM lacking WHERE {also} ORDER BY id
"""


def sets_of(cursor: CursorWrapper, supplier_id: int, *, exclude: int | None) -> list[int]:
    """The change sets but ``exclude`` in which a supplier's products came in or came back."""
    cursor.execute(
        "SELECT id FROM catalog_changeset WHERE supplier = %s AND id IS DISTINCT FROM %s"
        " AND created > 0 ORDER BY id",
        [supplier_id, exclude],
    )
    return [change_set for (change_set,) in cursor]


def missing_products(
    cursor: CursorWrapper,
    *,
    source: str,
    brought_in: Sequence[int],
    condition: str,
    first_key: str,
    end_key: str | None,
    also: str = "true",
    params: dict[str, Any],
) -> list[int]:
    """The numbers of products that change sets ``brought_in``, and that a file lacks in a range.

    ``source`` is a table with the column ``sku`` and an index on ``lower(sku)``; ``condition``
    is one more on ``product``, ``also`` one on ``id`` and ``key`` (``lower(sku)``) that
    is asked only of what is missing; both with ``params``. Run inside a transaction, after
    ``upsert.APPLY_SETTINGS``.
    """
    if not brought_in:
        return []
    lacking = _LACKING.format(source=source, condition=condition)
    cursor.execute(
        _IDS.format(lacking=lacking, also=also),
        {**params, "first_key": first_key, "end_key": end_key, "brought_in": list(brought_in)},
    )
    return [product for (product,) in cursor]


# In the review of such a file; without a line in it, so under the negative number of the product.
_SHOW = """
INSERT INTO {into} (chunk, place, line, action, fields, flags, sku, old_name,
                    old_active, active, old_own_fields, own_fields)
SELECT %(chunk)s, %(place)s + row_number() OVER (ORDER BY lower(sku)), -id, 'm', %(fields)s, 0,
       sku, name,
       CASE WHEN %(fields)s = 16 THEN true END, CASE WHEN %(fields)s = 16 THEN false END,
       CASE WHEN %(fields)s = 32 THEN
           jsonb_build_object(%(key)s::text, COALESCE(own_fields -> %(key)s, 'null')) END,
       CASE WHEN %(fields)s = 32 THEN jsonb_build_object(%(key)s::text, %(value)s::jsonb) END
FROM catalog_product WHERE id = ANY (%(ids)s)
"""


def show_missing(
    cursor: CursorWrapper,
    ids: Sequence[int],
    *,
    into: str,
    chunk: int,
    place: int,
    fields: int,
    key: str = "",
    value: str | None = None,
) -> None:
    """Put products that a file lacks into a review, behind ``place`` rows of their chunk.

    ``fields`` are the ``Change.Field`` numbers of what becomes of them: 16 (deactivated), 32 (the
    field ``key`` gets ``value``, JSON text), 0 (deleted).
    """
    cursor.execute(
        _SHOW.format(into=into),
        {
            "ids": list(ids),
            "chunk": chunk,
            "place": place,
            "fields": fields,
            "key": key,
            "value": value,
        },
    )


def count_brought_in(
    cursor: CursorWrapper, supplier_id: int, *, condition: str, params: dict[str, Any]
) -> int:
    """How many products of a supplier there are for which ``condition`` holds."""
    cursor.execute(
        "SELECT count(*) FROM catalog_product AS product"
        f" WHERE created_in_id = ANY (%(brought_in)s) AND {condition}",
        {**params, "brought_in": sets_of(cursor, supplier_id, exclude=None)},
    )
    return int(cursor.fetchone()[0])
