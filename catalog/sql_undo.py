"""Raw SQL of undo: restore, delete, bring back, slice by slice.

A product is as a change set left it if it carries its number (``changed_in_id``) or is at the
version that followed; one that an undo restored or brought back, if it carries the number that
it had before.
Undoing restores ``changed_in_id`` too, so that change sets can be undone one after the other,
newest first; versions only ever grow.
"""

from typing import Any

from django.db.backends.utils import CursorWrapper

from catalog.sql import PRODUCT_COLUMNS, ConcurrentEdit

# Change sets lie together in these tables, but without statistics the planner does not know it.
SETTINGS = """
SET LOCAL synchronous_commit = off;
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL work_mem = '64MB';
"""

SLICE_ROWS = 20_000

# What a change set did, in ranges of at most SLICE_ROWS numbers: of changes for the updated
# products, else of products.
_RANGES = {
    "updated": "SELECT id FROM catalog_change WHERE change_set_id = %(undone)s",
    "created": "SELECT id FROM catalog_product WHERE created_in_id = %(undone)s",
    "deleted": "SELECT id FROM catalog_removedproduct WHERE change_set_id = %(undone)s",
    # Brought back by an undo: what the change set that it undid had deleted.
    "brought_back": "SELECT id FROM catalog_removedproduct WHERE change_set_id = %(before)s",
}


def summarize(cursor: CursorWrapper) -> None:
    """Bring the block-range indexes up to date, which is else done in the background."""
    for name in ("catalog_change_set_brin", "catalog_removed_set_brin", "catalog_removed_id_brin"):
        cursor.execute("SELECT brin_summarize_new_values(%s::regclass)", [name])


def ranges(cursor: CursorWrapper, part: str, params: dict[str, Any]) -> list[tuple[int, int]]:
    """Cut one part of a change set into ranges: the first and the last number of each."""
    cursor.execute("SET LOCAL jit = off")
    cursor.execute(
        f"SELECT min(id), max(id) FROM ({_RANGES[part]}) AS rows "
        f"GROUP BY id / {SLICE_ROWS} ORDER BY 1",
        params,
    )
    return list(cursor.fetchall())


_AS_LEFT = """(
    product.changed_in_id = %(undone)s OR product.version = change.old_version + 1
    -- What an undo restored carries the number that it restored.
    OR (%(before)s::bigint IS NOT NULL AND product.changed_in_id IS NOT DISTINCT FROM (
        SELECT first.old_changed_in FROM catalog_change AS first
        WHERE first.product_id = change.product_id AND first.change_set_id = %(before)s
    ))
)"""
# Somebody took the SKU that a product had before.
_SKU_TAKEN = """(change.fields & 1 > 0 AND EXISTS (
    SELECT FROM catalog_product AS other
    WHERE lower(other.sku) = lower(change.old_sku) AND other.id <> product.id
))"""

_RESTORE = f"""
WITH done AS MATERIALIZED (
    SELECT
        change.id AS change_id, change.fields,
        change.old_sku, change.old_name, change.old_description, change.old_price,
        change.old_active, change.old_changed_in,
        product.id, product.sku, product.name, product.description, product.price,
        product.active, product.version, product.changed_in_id, product.updated_at,
        {_AS_LEFT} AS as_left, {_AS_LEFT} AND {_SKU_TAKEN} AS sku_taken,
        change.product_id
    FROM catalog_change AS change LEFT JOIN catalog_product AS product
        ON product.id = change.product_id
    WHERE change.id BETWEEN %(first)s AND %(last)s AND change.change_set_id = %(undone)s
), undone AS MATERIALIZED (
    SELECT * FROM done WHERE as_left AND NOT sku_taken
), written AS (
    UPDATE catalog_product AS product SET
        sku = CASE WHEN fields & 1 > 0 THEN old_sku ELSE undone.sku END,
        name = CASE WHEN fields & 2 > 0 THEN old_name ELSE undone.name END,
        description = CASE WHEN fields & 4 > 0 THEN old_description ELSE undone.description END,
        price = CASE WHEN fields & 8 > 0 THEN old_price ELSE undone.price END,
        active = CASE WHEN fields & 16 > 0 THEN old_active ELSE undone.active END,
        version = undone.version + 1, updated_at = now(), changed_in_id = old_changed_in
    FROM undone
    -- Only over the very state that was looked at: else the values before would be wrong.
    WHERE product.id = undone.id AND product.version = undone.version
    RETURNING 1
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields,
        old_sku, old_name, old_description, old_price, old_active,
        old_version, old_changed_in, old_updated_at
    )
    SELECT
        %(undo)s, id, fields,
        CASE WHEN fields & 1 > 0 THEN sku END, CASE WHEN fields & 2 > 0 THEN name END,
        CASE WHEN fields & 4 > 0 THEN description END, CASE WHEN fields & 8 > 0 THEN price END,
        CASE WHEN fields & 16 > 0 THEN active END,
        version, changed_in_id, updated_at
    FROM undone
), kept AS (
    INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
    SELECT
        %(undo)s, product_id, COALESCE(sku, old_sku, ''),
        CASE WHEN id IS NULL THEN 'deleted' WHEN as_left THEN 'sku_taken' ELSE 'changed' END,
        changed_in_id
    FROM done WHERE as_left IS NOT TRUE OR sku_taken
    RETURNING reason
)
SELECT (SELECT count(*) FROM undone), (SELECT count(*) FROM written),
       (SELECT count(*) FROM kept), (SELECT count(*) FROM kept WHERE reason = 'deleted')
"""


def restore(cursor: CursorWrapper, params: dict[str, Any]) -> tuple[int, int]:
    """Give updated products their values before; return how many, and how many are kept.

    ``params``: ``undone`` and ``undo`` (change sets), ``first`` and ``last`` (numbers of
    changes). Run inside a transaction, after ``SETTINGS``. Raises ``ConcurrentEdit``.
    """
    cursor.execute(_RESTORE, params)
    undone, written, kept, gone = cursor.fetchone()
    if undone != written:
        raise ConcurrentEdit
    if gone:
        cursor.execute(_WHO_DELETED, params)
    return undone, kept


_WHO_DELETED = """
WITH gone AS MATERIALIZED (
    SELECT id, product_id FROM catalog_undoconflict
    WHERE change_set_id = %(undo)s AND reason = 'deleted' AND other_id IS NULL
), bounds AS (
    SELECT min(product_id) AS first, max(product_id) AS last FROM gone
), removed AS MATERIALIZED (
    SELECT removed.id, max(removed.sku) AS sku, max(removed.change_set_id) AS change_set_id
    FROM bounds JOIN catalog_removedproduct AS removed
        ON removed.id BETWEEN bounds.first AND bounds.last
    WHERE removed.id IN (SELECT product_id FROM gone)
    GROUP BY removed.id
)
UPDATE catalog_undoconflict AS conflict
SET other_id = removed.change_set_id, sku = removed.sku
FROM gone JOIN removed ON removed.id = gone.product_id
WHERE conflict.id = gone.id
"""

CREATED_AS_LEFT = (
    "id BETWEEN %s AND %s AND created_in_id = %s AND changed_in_id = created_in_id",
    ("first", "last", "undone"),
)
BROUGHT_BACK_AS_LEFT = (
    "id IN (SELECT removed.id FROM catalog_removedproduct AS removed"
    " WHERE removed.id BETWEEN %s AND %s AND removed.change_set_id = %s"
    " AND removed.changed_in_id IS NOT DISTINCT FROM catalog_product.changed_in_id)",
    ("first", "last", "before"),
)

_CREATED_AND_CHANGED = """
INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
SELECT %(undo)s, id, sku, 'changed', changed_in_id FROM catalog_product
WHERE id BETWEEN %(first)s AND %(last)s AND created_in_id = %(undone)s
  AND changed_in_id IS DISTINCT FROM created_in_id
"""
_BROUGHT_BACK_AND_CHANGED = """
INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
SELECT %(undo)s, product.id, product.sku, 'changed', product.changed_in_id
FROM catalog_removedproduct AS removed JOIN catalog_product AS product ON product.id = removed.id
WHERE removed.id BETWEEN %(first)s AND %(last)s AND removed.change_set_id = %(before)s
  AND product.changed_in_id IS DISTINCT FROM removed.changed_in_id
"""


def keep_created(cursor: CursorWrapper, params: dict[str, Any]) -> int:
    """List products that a change set created and that somebody changed since."""
    cursor.execute(_CREATED_AND_CHANGED, params)
    return int(cursor.rowcount)


def keep_brought_back(cursor: CursorWrapper, params: dict[str, Any]) -> int:
    """List products that an undo brought back and that somebody changed since."""
    cursor.execute(_BROUGHT_BACK_AND_CHANGED, params)
    return int(cursor.rowcount)


_BRING_BACK = f"""
WITH gone AS MATERIALIZED (
    SELECT * FROM catalog_removedproduct
    WHERE id BETWEEN %(first)s AND %(last)s AND change_set_id = %(undone)s
), back AS (
    INSERT INTO catalog_product ({PRODUCT_COLUMNS})
    OVERRIDING SYSTEM VALUE
    SELECT id, sku, name, description, price, active, version + 1, created_at, now(),
           created_in_id, changed_in_id
    FROM gone
    ON CONFLICT DO NOTHING
    RETURNING id
), kept AS (
    INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
    SELECT %(undo)s, gone.id, gone.sku, 'sku_taken', (
        SELECT other.changed_in_id FROM catalog_product AS other
        WHERE lower(other.sku) = lower(gone.sku)
    )
    FROM gone WHERE id NOT IN (SELECT id FROM back)
    RETURNING 1
)
SELECT (SELECT count(*) FROM back), (SELECT count(*) FROM kept)
"""


def bring_back(cursor: CursorWrapper, params: dict[str, Any]) -> tuple[int, int]:
    """Insert deleted products again, with their old numbers; return how many, and how many not.

    One whose SKU is in the catalogue again, in whatever spelling, stays away.
    """
    cursor.execute(_BRING_BACK, params)
    back, kept = cursor.fetchone()
    return back, kept


# What a slice did, for outsiders; now() is the time of its transaction, which marks its products.
# A limit in a LATERAL says which way to go, product by product. As a plain join it goes the
# other way where the catalogue was cleared and analyzed before it came back (it is believed to
# be empty then), and reads the slice once for every product.
RESTORED = """
SELECT product.id, product.sku, 'updated' AS action
FROM catalog_change AS change CROSS JOIN LATERAL (
    SELECT id, sku FROM catalog_product
    WHERE id = change.product_id AND updated_at = now() LIMIT 1
) AS product
WHERE change.id BETWEEN %(first)s AND %(last)s AND change.change_set_id = %(undone)s
"""
BROUGHT_BACK = """
SELECT product.id, product.sku, 'created' AS action
FROM catalog_removedproduct AS removed CROSS JOIN LATERAL (
    SELECT id, sku FROM catalog_product WHERE id = removed.id AND updated_at = now() LIMIT 1
) AS product
WHERE removed.id BETWEEN %(first)s AND %(last)s AND removed.change_set_id = %(undone)s
"""

_FORECAST = f"""
SELECT
    (SELECT count(*) FROM catalog_change AS change
        JOIN catalog_product AS product ON product.id = change.product_id
     WHERE change.change_set_id = %(undone)s AND {_AS_LEFT} AND NOT {_SKU_TAKEN}),
    (SELECT count(*) FROM catalog_product
     WHERE created_in_id = %(undone)s AND changed_in_id = created_in_id),
    (SELECT count(*) FROM catalog_product
     WHERE created_in_id = %(undone)s AND changed_in_id IS DISTINCT FROM created_in_id),
    (SELECT count(*) FROM catalog_removedproduct AS removed
        JOIN catalog_product AS product ON product.id = removed.id
     WHERE removed.change_set_id = %(before)s
       AND product.changed_in_id IS NOT DISTINCT FROM removed.changed_in_id),
    (SELECT count(*) FROM catalog_removedproduct AS removed
        JOIN catalog_product AS product ON product.id = removed.id
     WHERE removed.change_set_id = %(before)s
       AND product.changed_in_id IS DISTINCT FROM removed.changed_in_id),
    (SELECT count(*) FROM catalog_removedproduct AS removed
        LEFT JOIN catalog_product AS product ON lower(product.sku) = lower(removed.sku)
     WHERE removed.change_set_id = %(undone)s AND product.id IS NULL)
"""


def forecast(cursor: CursorWrapper, params: dict[str, Any]) -> tuple[int, ...]:
    """What undoing would find now: updated as left; created as left and not; brought back
    as left and not; deleted whose SKU is free."""
    cursor.execute("SET LOCAL jit = off")
    cursor.execute(_FORECAST, params)
    return tuple(cursor.fetchone())
