"""Raw SQL of undo: restore, delete, bring back, slice by slice.

An undo takes back what its change set did, product by product, and nothing else. What that was
is on record: a row for every product that was updated or deleted, the number of the creator in
every product that was created; an undo brought back what its change set had deleted, but for
the products that it has listed as kept.

A state of a product carries the number of the change set that made it (``changed_in_id``), and
carries it again when an undo restores it or brings it back. So a product is as a change set left
it if it is in the state with that number. Versions only ever grow: one that is at the version
that followed has not been touched since. (docs/decisions/0008-undo.md)
"""

import re
from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper
from psycopg import sql

from catalog.field_values import UNIQUE_MAX_BYTES
from catalog.sql.acts import PRODUCT_COLUMNS
from catalog.sql.upsert import ConcurrentEdit

# Change sets lie together in these tables, but without statistics the planner does not know it.
# Nor does it know how many products there are, where the catalogue was cleared and analyzed before
# it came back: believed to be empty, it is read once for every row of a slice, or the slice once
# for every product. So products are found by a LATERAL with a limit, which says which way to go,
# or by an array of their numbers, and what is joined else is hashed.
SETTINGS = """
SET LOCAL synchronous_commit = off;
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_nestloop = off;
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
    # By an undo, which left some of them alone (_BROUGHT_BACK).
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


# The state that a plain act left carries its own number, the one that an undo left the number
# that its change set had found. An import that went on after somebody gave a product another SKU
# may have changed it twice: two states with one number. Then only the version tells.
_AS_LEFT = """(product.id IS NOT NULL AND (
    product.version = change.old_version + 1
    OR EXISTS (
        SELECT FROM catalog_change AS made
        WHERE made.product_id = change.product_id
          AND made.change_set_id = COALESCE(%(before)s::bigint, %(undone)s)
        HAVING count(*) = 1 AND product.changed_in_id IS NOT DISTINCT FROM
            CASE WHEN %(before)s::bigint IS NULL THEN %(undone)s ELSE min(made.old_changed_in) END
    )
))"""
# Somebody took the SKU that a product had before.
_SKU_TAKEN = """(change.fields & 1 > 0 AND EXISTS (
    SELECT FROM catalog_product AS other
    WHERE lower(other.sku) = lower(change.old_sku) AND other.id <> product.id
))"""

# The values before, key by key over those of now; and of the same keys those of now.
_OWN_RESTORED = """NULLIF(jsonb_strip_nulls(
            COALESCE(undone.own_fields, '{}') || old_own_fields), '{}')"""
_OWN_UNDONE = """(
            SELECT jsonb_object_agg(key, COALESCE(own_fields -> key, 'null'))
            FROM jsonb_object_keys(old_own_fields) AS key)"""


def _literals(unique: Sequence[str]) -> list[str]:
    return [sql.Literal(key).as_string() for key in unique]


def _too_long(unique: Sequence[str], values: str) -> str:
    """That a value which is to come back is longer than the index of a field that is unique takes.

    It was stored before the field became unique.
    """
    long = [
        f"COALESCE(octet_length({values} ->> {key}), 0) > {UNIQUE_MAX_BYTES}"
        for key in _literals(unique)
    ]
    return f"({' OR '.join(long)})" if long else "false"


def _twice(unique: Sequence[str]) -> str:
    """That a product before in the same slice gets the same value of a unique field: the field was
    not unique then, or somebody passed the value on in between."""
    again = [
        f"""(old_own_fields ->> {key} IS NOT NULL AND row_number() OVER (
            PARTITION BY old_own_fields ->> {key}, as_left AND NOT is_taken ORDER BY change_id
        ) > 1)"""
        for key in _literals(unique)
    ]
    return f"(fields & 32 > 0 AND ({' OR '.join(again)}))" if again else "false"


def _taken(unique: Sequence[str], *, unless: str = "") -> str:
    """That another product has the SKU, or a value of a unique field, which is to come back.

    ``unless`` are the products (``other``) that do not count.
    """
    held = [
        f"""EXISTS (
        SELECT FROM catalog_product AS other
        WHERE other.own_fields ->> {key} = change.old_own_fields ->> {key}
          AND other.own_fields ->> {key} IS NOT NULL AND other.id <> product.id {unless}
    )"""
        for key in _literals(unique)
    ]
    values = f" OR (change.fields & 32 > 0 AND ({' OR '.join(held)}))" if held else ""
    return f"({_SKU_TAKEN}{values})"


# Of a range, those that were kept at first (``take_kept``).
_ONLY_KEPT = "AND {product_id} = ANY (%(kept)s)"


def _restore(unique: Sequence[str], only: str = "") -> str:
    return f"""
WITH looked_at AS MATERIALIZED (
    SELECT
        change.id AS change_id, change.fields,
        change.old_sku, change.old_name, change.old_description, change.old_price,
        change.old_active, change.old_own_fields, change.old_changed_in,
        product.id, product.sku, product.name, product.description, product.price,
        product.active, product.own_fields, product.version, product.changed_in_id,
        product.updated_at,
        {_AS_LEFT} AS as_left, {_AS_LEFT} AND {_SKU_TAKEN} AS sku_taken,
        {_AS_LEFT} AND {_taken(unique)} AS is_taken,
        {_too_long(unique, "change.old_own_fields")} AS too_long,
        change.product_id
    FROM catalog_change AS change LEFT JOIN LATERAL (
        SELECT * FROM catalog_product WHERE id = change.product_id LIMIT 1
    ) AS product ON true
    WHERE change.id BETWEEN %(first)s AND %(last)s AND change.change_set_id = %(undone)s {only}
), done AS {"" if unique else "NOT"} MATERIALIZED (
    SELECT *, is_taken OR too_long OR {_twice(unique)} AS stays FROM looked_at
), undone AS MATERIALIZED (
    SELECT * FROM done WHERE as_left AND NOT stays
), written AS (
    UPDATE catalog_product AS product SET
        sku = CASE WHEN fields & 1 > 0 THEN old_sku ELSE undone.sku END,
        name = CASE WHEN fields & 2 > 0 THEN old_name ELSE undone.name END,
        description = CASE WHEN fields & 4 > 0 THEN old_description ELSE undone.description END,
        price = CASE WHEN fields & 8 > 0 THEN old_price ELSE undone.price END,
        active = CASE WHEN fields & 16 > 0 THEN old_active ELSE undone.active END,
        own_fields = CASE WHEN fields & 32 > 0 THEN {_OWN_RESTORED} ELSE undone.own_fields END,
        version = undone.version + 1, updated_at = now(), changed_in_id = old_changed_in
    FROM undone
    -- Only over the very state that was looked at: else the values before would be wrong.
    WHERE product.id = undone.id AND product.version = undone.version
      AND product.id = ANY (ARRAY(SELECT id FROM undone))
    RETURNING 1
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields,
        old_sku, old_name, old_description, old_price, old_active, old_own_fields,
        old_version, old_changed_in, old_updated_at
    )
    SELECT
        %(undo)s, id, fields,
        CASE WHEN fields & 1 > 0 THEN sku END, CASE WHEN fields & 2 > 0 THEN name END,
        CASE WHEN fields & 4 > 0 THEN description END, CASE WHEN fields & 8 > 0 THEN price END,
        CASE WHEN fields & 16 > 0 THEN active END,
        CASE WHEN fields & 32 > 0 THEN {_OWN_UNDONE} END,
        version, changed_in_id, updated_at
    FROM undone
), kept AS (
    INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
    SELECT
        %(undo)s, product_id, COALESCE(sku, old_sku, ''),
        CASE WHEN id IS NULL THEN 'deleted' WHEN sku_taken THEN 'sku_taken'
             WHEN as_left AND too_long THEN 'too_long' WHEN as_left THEN 'taken'
             ELSE 'changed' END,
        CASE WHEN as_left THEN (
            SELECT other.changed_in_id FROM catalog_product AS other
            WHERE lower(other.sku) = lower(old_sku)
        ) ELSE changed_in_id END
    FROM done WHERE NOT as_left OR stays
    RETURNING reason
)
SELECT (SELECT count(*) FROM undone), (SELECT count(*) FROM written),
       (SELECT count(*) FROM kept), (SELECT count(*) FROM kept WHERE reason = 'deleted')
"""


def restore(
    cursor: CursorWrapper, params: dict[str, Any], *, unique: Sequence[str] = ()
) -> tuple[int, int]:
    """Give updated products their values before; return how many, and how many are kept.

    ``params``: ``undone`` and ``undo`` (change sets), ``first`` and ``last`` (numbers of
    changes), and ``kept`` where only these products are meant. ``unique`` are the keys of own
    fields that no two products share. Run inside a transaction, after ``SETTINGS``. Raises
    ``ConcurrentEdit``.
    """
    only = _ONLY_KEPT.format(product_id="change.product_id") if "kept" in params else ""
    cursor.execute(_restore(unique, only), params)
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
    -- The last time: a product can be deleted again after an undo.
    SELECT DISTINCT ON (removed.id) removed.id, removed.sku, removed.change_set_id
    FROM bounds JOIN catalog_removedproduct AS removed
        ON removed.id BETWEEN bounds.first AND bounds.last
    WHERE removed.id IN (SELECT product_id FROM gone)
    ORDER BY removed.id, removed.version DESC
)
UPDATE catalog_undoconflict AS conflict
SET other_id = removed.change_set_id, sku = removed.sku
FROM gone JOIN removed ON removed.id = gone.product_id
WHERE conflict.id = gone.id
"""

# That a change set created and left like this. One that it changed as well (see _AS_LEFT) was
# changed by somebody in between.
_CREATED_AS_LEFT = """(
    changed_in_id IS NOT DISTINCT FROM created_in_id
    AND (version = 1 OR NOT EXISTS (
        SELECT FROM catalog_change AS made
        WHERE made.product_id = catalog_product.id AND made.change_set_id = created_in_id
    ))
)"""
_CREATED = f"""
    id BETWEEN %(first)s AND %(last)s AND created_in_id = %(undone)s AND {_CREATED_AS_LEFT}
"""

# What an undo brought back, of a range of products or of all: what its change set had deleted,
# but for what the undo has listed as kept, and for slices that it has not done because it
# failed. By NOT IN, which reads the list once and not for every product.
_BROUGHT_BACK = """
SELECT removed.id, removed.changed_in_id FROM catalog_removedproduct AS removed
WHERE removed.change_set_id = %(before)s {and_removed_in_range}
  AND removed.id NOT IN (
    SELECT kept.product_id FROM catalog_undoconflict AS kept
    WHERE kept.change_set_id = %(undone)s {and_kept_in_range}
  )
  AND NOT EXISTS (
    SELECT FROM catalog_bulkslice AS slice
    WHERE slice.change_set_id = %(undone)s AND slice.part = 'deleted' AND slice.done_at IS NULL
      AND removed.id BETWEEN slice.first_id AND slice.last_id
  )
"""
_ALL_BROUGHT_BACK = _BROUGHT_BACK.format(and_removed_in_range="", and_kept_in_range="")
_BROUGHT_BACK_IN_RANGE = _BROUGHT_BACK.format(
    and_removed_in_range="AND removed.id BETWEEN %(first)s AND %(last)s",
    and_kept_in_range="AND kept.product_id BETWEEN %(first)s AND %(last)s",
)
# With what became of it.
_NOW_OF_BACK = """
({brought_back}) AS back CROSS JOIN LATERAL (
    SELECT id, sku, changed_in_id, changed_in_id IS NOT DISTINCT FROM back.changed_in_id AS as_left
    FROM catalog_product WHERE id = back.id LIMIT 1
) AS product
"""
_BACK_IN_RANGE = _NOW_OF_BACK.format(brought_back=_BROUGHT_BACK_IN_RANGE)
_BACK_AS_LEFT = f"id = ANY (ARRAY(SELECT product.id FROM {_BACK_IN_RANGE} WHERE as_left))"


def _in_order(condition: str) -> tuple[str, tuple[str, ...]]:
    """A condition with its parameters in order instead of by name, and their names."""
    return re.sub(r"%\(\w+\)s", "%s", condition), tuple(re.findall(r"%\((\w+)\)s", condition))


CREATED_AS_LEFT = _in_order(_CREATED)
BROUGHT_BACK_AS_LEFT = _in_order(_BACK_AS_LEFT)

_CREATED_AND_CHANGED = f"""
INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
SELECT %(undo)s, id, sku, 'changed', changed_in_id FROM catalog_product
WHERE id BETWEEN %(first)s AND %(last)s AND created_in_id = %(undone)s AND NOT {_CREATED_AS_LEFT}
"""
_BROUGHT_BACK_AND_CHANGED = f"""
INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
SELECT %(undo)s, product.id, product.sku, 'changed', product.changed_in_id
FROM {_BACK_IN_RANGE} WHERE NOT as_left
"""


def keep_created(cursor: CursorWrapper, params: dict[str, Any]) -> int:
    """List products that a change set created and that somebody changed since."""
    cursor.execute(_CREATED_AND_CHANGED, params)
    return int(cursor.rowcount)


def keep_brought_back(cursor: CursorWrapper, params: dict[str, Any]) -> int:
    """List products that an undo brought back and that somebody changed since."""
    cursor.execute(_BROUGHT_BACK_AND_CHANGED, params)
    return int(cursor.rowcount)


def _bring_back(unique: Sequence[str], only: str) -> str:
    return f"""
WITH gone AS MATERIALIZED (
    SELECT *, {_too_long(unique, "own_fields")} AS too_long FROM (
        -- It may have been there and deleted again since: versions only grow.
        SELECT *, max(version) OVER (PARTITION BY id) AS last_version
        FROM catalog_removedproduct WHERE id BETWEEN %(first)s AND %(last)s
    ) AS removed WHERE change_set_id = %(undone)s {only}
), back AS (
    INSERT INTO catalog_product ({PRODUCT_COLUMNS})
    OVERRIDING SYSTEM VALUE
    SELECT id, sku, name, description, price, active, own_fields, last_version + 1, created_at,
           now(), created_in_id, changed_in_id
    FROM gone WHERE NOT too_long
    ON CONFLICT DO NOTHING
    RETURNING id
), kept AS (
    INSERT INTO catalog_undoconflict (change_set_id, product_id, sku, reason, other_id)
    SELECT
        %(undo)s, gone.id, gone.sku,
        -- Or it is there itself: another undo brought it back, and somebody gave it another SKU.
        CASE WHEN other.id IS NOT NULL THEN 'sku_taken'
             WHEN itself.id IS NOT NULL THEN 'changed' WHEN too_long THEN 'too_long'
             ELSE 'taken' END,
        COALESCE(other.changed_in_id, itself.changed_in_id)
    FROM gone LEFT JOIN LATERAL (
        SELECT id, changed_in_id FROM catalog_product WHERE lower(sku) = lower(gone.sku) LIMIT 1
    ) AS other ON true LEFT JOIN LATERAL (
        SELECT id, changed_in_id FROM catalog_product WHERE id = gone.id LIMIT 1
    ) AS itself ON true
    WHERE gone.id NOT IN (SELECT id FROM back)
    RETURNING 1
)
SELECT (SELECT count(*) FROM back), (SELECT count(*) FROM kept)
"""


def bring_back(
    cursor: CursorWrapper, params: dict[str, Any], *, unique: Sequence[str] = ()
) -> tuple[int, int]:
    """Insert deleted products again, with their old numbers; return how many, and how many not.

    ``params`` and ``unique`` are as for ``restore``, ranges those of products. One whose SKU is in
    the catalogue again, in whatever spelling, stays away. All that are not brought back are listed:
    who undoes the undo relies on it (``_BROUGHT_BACK``).
    """
    only = _ONLY_KEPT.format(product_id="id") if "kept" in params else ""
    cursor.execute(_bring_back(unique, only), params)
    back, kept = cursor.fetchone()
    return back, kept


_TAKE_KEPT = """
DELETE FROM catalog_undoconflict
WHERE change_set_id = %(undo)s AND reason IN ('taken', 'sku_taken')
RETURNING product_id
"""
_SPAN = """
SELECT min(id), max(id) FROM catalog_change
WHERE change_set_id = %(undone)s AND product_id = ANY (%(kept)s)
"""


def take_kept(cursor: CursorWrapper, params: dict[str, Any]) -> list[int]:
    """Take from the list of what an undo keeps the products that something was in the way of."""
    cursor.execute(_TAKE_KEPT, params)
    return sorted(row[0] for row in cursor.fetchall())


def changes_of(cursor: CursorWrapper, params: dict[str, Any]) -> tuple[int, int]:
    """The first and the last of the changes of the products ``kept``; 0 and 0 if there is none."""
    cursor.execute(_SPAN, params)
    first, last = cursor.fetchone()
    return first or 0, last or 0


# What a slice did, for outsiders; now() is the time of its transaction, which marks its products.
RESTORED = """
SELECT product.id, product.sku, 'updated' AS action
FROM catalog_change AS change CROSS JOIN LATERAL (
    SELECT id, sku FROM catalog_product
    WHERE id = change.product_id AND updated_at = now() LIMIT 1
) AS product
WHERE change.id BETWEEN %(first)s AND %(last)s AND change.change_set_id = %(undone)s
"""
RESTORED_KEPT = f"{RESTORED} {_ONLY_KEPT.format(product_id='change.product_id')}"
BROUGHT_BACK = """
SELECT product.id, product.sku, 'created' AS action
FROM catalog_removedproduct AS removed CROSS JOIN LATERAL (
    SELECT id, sku FROM catalog_product WHERE id = removed.id AND updated_at = now() LIMIT 1
) AS product
WHERE removed.id BETWEEN %(first)s AND %(last)s AND removed.change_set_id = %(undone)s
"""
BROUGHT_BACK_KEPT = f"{BROUGHT_BACK} {_ONLY_KEPT.format(product_id='removed.id')}"

# What the change set itself gave a value to, gives it back in time.
_UNLESS_ITS_OWN = "AND other.changed_in_id IS DISTINCT FROM %(undone)s"


_ONE_BY_ONE = """CROSS JOIN LATERAL (
        SELECT * FROM catalog_product WHERE id = change.product_id LIMIT 1
     ) AS product"""
_AT_ONCE = "JOIN catalog_product AS product ON product.id = change.product_id"


def _forecast(unique: Sequence[str], *, at_once: bool = False) -> str:
    return f"""
SELECT
    (SELECT count(*) FROM catalog_change AS change {_AT_ONCE if at_once else _ONE_BY_ONE}
     WHERE change.change_set_id = %(undone)s AND {_AS_LEFT}
       AND NOT {_taken(unique, unless=_UNLESS_ITS_OWN)}
       AND NOT {_too_long(unique, "change.old_own_fields")}),
    created.as_left, created.changed, brought_back.as_left, brought_back.changed,
    (SELECT count(*) FROM catalog_removedproduct AS removed
     WHERE removed.change_set_id = %(undone)s
       AND (SELECT id FROM catalog_product WHERE lower(sku) = lower(removed.sku)) IS NULL
       AND (SELECT id FROM catalog_product WHERE id = removed.id) IS NULL)
FROM (
    SELECT
        count(*) FILTER (WHERE {_CREATED_AS_LEFT}) AS as_left,
        count(*) FILTER (WHERE NOT {_CREATED_AS_LEFT}) AS changed
    FROM catalog_product WHERE created_in_id = %(undone)s
) AS created, (
    SELECT
        count(*) FILTER (WHERE as_left) AS as_left, count(*) FILTER (WHERE NOT as_left) AS changed
    FROM {_NOW_OF_BACK.format(brought_back=_ALL_BROUGHT_BACK)}
) AS brought_back
"""


_PAGES = """
SELECT pg_relation_size('catalog_product') / current_setting('block_size')::int
"""


def forecast(
    cursor: CursorWrapper,
    params: dict[str, Any],
    *,
    unique: Sequence[str] = (),
    changes: int = 0,
) -> tuple[int, ...]:
    """What undoing would find now: updated as left; created as left and not; brought back
    as left and not; deleted whose SKU is free.

    ``changes`` is how many products were updated. Those of more than there are pages of products
    are read with all others, at once: to look for each takes three times as long.
    """
    # Millions of products that an undo kept have to fit, or they are read for every product.
    cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
    cursor.execute(_PAGES)
    at_once = changes > cursor.fetchone()[0]
    if at_once:
        cursor.execute("SET LOCAL enable_nestloop = off")
    cursor.execute(_forecast(unique, at_once=at_once), params)
    return tuple(cursor.fetchone())
