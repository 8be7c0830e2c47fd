"""The catalogue's raw SQL.

``upsert`` is the one statement that writes products in bulk. It needs PostgreSQL 15 or
later; docs/decisions/0003-apply.md has the figures behind its shape.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper


class ConcurrentEdit(Exception):
    """A product changed between comparing and writing. Roll back and run it again."""


@dataclass(frozen=True)
class Upserted:
    """How many of the source's rows ended how. ``nameless`` are new products without a name."""

    created: int
    updated: int
    unchanged: int
    skipped: int
    superseded: int
    nameless: list[tuple[int, list[str]]] = field(default_factory=list)  # line, cells

    @property
    def rows(self) -> int:
        """All of them."""
        done = self.created + self.updated + self.unchanged + self.skipped + self.superseded
        return done + len(self.nameless)


# Statistics about a staging table do not exist, so the planner guesses, and sometimes badly
# (a nested loop of 870 ms for a chunk of 15 ms). These settings leave it one plan: read a range
# of each index on lower(sku), in order, and merge them.
APPLY_SETTINGS = """
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_nestloop = off;
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB';
-- A chunk that a crash of the server takes back is simply applied again: its changes, its
-- counts and its done mark are one transaction. The job's last transaction waits for the disk.
SET LOCAL synchronous_commit = off;
"""

# %(first_key)s and %(end_key)s bound lower(sku) on both sides of the join; end_key may be NULL.
_WANTED = """
WITH source AS MATERIALIZED (
    {source}
), {aside} stored AS (
    SELECT * FROM catalog_product
    WHERE lower(sku) >= %(first_key)s
      AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
), wanted AS MATERIALIZED (
    SELECT
        source.key, source.line, source.record,
        source.sku AS sku, {name} AS name, {description} AS description,
        {price} AS price, {active} AS active,
        stored.id AS product_id, COALESCE(stored.version, 0) AS old_version,
        stored.sku AS old_sku, stored.name AS old_name,
        stored.description AS old_description, stored.price AS old_price,
        stored.active AS old_active, stored.changed_in_id AS old_changed_in,
        stored.updated_at AS old_updated_at
    FROM source LEFT JOIN stored ON lower(stored.sku) = source.key
    WHERE source.next_line IS NULL
      AND (stored.id IS NULL
           OR (%(may_update)s
               AND (stored.sku, stored.name, stored.description, stored.price, stored.active)
                   IS DISTINCT FROM (source.sku, {name}, {description}, {price}, {active})))
)"""

# Which values of a row of "wanted" change, as a sum of Change.Field numbers.
CHANGED_FIELDS = """CASE WHEN old_sku IS DISTINCT FROM sku THEN 1 ELSE 0 END
        + CASE WHEN old_name IS DISTINCT FROM name THEN 2 ELSE 0 END
        + CASE WHEN old_description IS DISTINCT FROM description THEN 4 ELSE 0 END
        + CASE WHEN old_price IS DISTINCT FROM price THEN 8 ELSE 0 END
        + CASE WHEN old_active IS DISTINCT FROM active THEN 16 ELSE 0 END"""

_UPSERT = """
{wanted}, written AS (
    INSERT INTO catalog_product (
        sku, name, description, price, active,
        version, created_at, updated_at, created_in_id, changed_in_id
    )
    SELECT sku, name, description, price, active,
           old_version + 1, now(), now(), %(change_set)s, %(change_set)s
    FROM wanted
    WHERE product_id IS NOT NULL OR (%(may_create)s AND name IS NOT NULL)
    ON CONFLICT (lower(sku)) DO UPDATE SET
        sku = EXCLUDED.sku, name = EXCLUDED.name, description = EXCLUDED.description,
        price = EXCLUDED.price, active = EXCLUDED.active, version = EXCLUDED.version,
        updated_at = EXCLUDED.updated_at, changed_in_id = EXCLUDED.changed_in_id
    -- Only over the very state that was compared: else the values before would be wrong.
    WHERE catalog_product.version = EXCLUDED.version - 1
    RETURNING 1
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields,
        old_sku, old_name, old_description, old_price, old_active,
        old_version, old_changed_in, old_updated_at
    )
    SELECT
        %(change_set)s, product_id,
        {changed_fields},
        NULLIF(old_sku, sku), NULLIF(old_name, name), NULLIF(old_description, description),
        CASE WHEN old_price IS DISTINCT FROM price THEN old_price END,
        CASE WHEN old_active IS DISTINCT FROM active THEN old_active END,
        old_version, old_changed_in, old_updated_at
    FROM wanted WHERE product_id IS NOT NULL
)
SELECT
    from_source.total, from_source.superseded,
    from_wanted.new, from_wanted.existing, from_wanted.nameless,
    (SELECT count(*) FROM written)
FROM (
    SELECT count(*) AS total, count(next_line) AS superseded FROM source
) AS from_source, (
    SELECT
        count(*) FILTER (WHERE product_id IS NULL) AS new,
        count(product_id) AS existing,
        json_agg(json_build_array(line, record)) FILTER (
            WHERE product_id IS NULL AND name IS NULL AND %(may_create)s
        ) AS nameless
    FROM wanted
) AS from_wanted
"""

# What a value becomes: from the file where the file has the column, else as stored. A new
# product has an empty description, no price, and is active, unless the file says otherwise.
_FROM_FILE = {
    "name": "source.name",
    "description": "COALESCE(source.description, '')",
    "price": "source.price",
    "active": "COALESCE(source.active, stored.active, true)",
}
# The same where a row may keep stored values, though the file has the column: those of the fields
# whose Change.Field numbers are in the row's "kept". A blank flag is kept without it.
_UNLESS_KEPT = {
    **_FROM_FILE,
    "name": "CASE WHEN source.kept & 2 > 0 THEN stored.name ELSE source.name END",
    "description": """CASE WHEN source.kept & 4 > 0 THEN COALESCE(stored.description, '')
        ELSE COALESCE(source.description, '') END""",
    "price": "CASE WHEN source.kept & 8 > 0 THEN stored.price ELSE source.price END",
}
_AS_STORED = {
    "name": "stored.name",
    "description": "COALESCE(stored.description, '')",
    "price": "stored.price",
    "active": "COALESCE(stored.active, true)",
}


def wanted_rows(
    *, source: str, fields: Collection[str], may_keep: bool = False, aside: str = ""
) -> str:
    """The named queries ``source`` and ``wanted``: what is new or differs from what is stored.

    ``may_keep``: the source has a column ``kept``, the sum of the Change.Field numbers of what
    a row leaves as it is stored. Their parameters are ``first_key``, ``end_key``, ``may_update``
    and those of ``source``.
    """
    from_file = _UNLESS_KEPT if may_keep else _FROM_FILE
    values = {
        name: (from_file if name in fields else _AS_STORED)[name]
        for name in ("name", "description", "price", "active")
    }
    return _WANTED.format(source=source, aside=f"{aside}," if aside else "", **values)


def upsert(
    cursor: CursorWrapper,
    *,
    source: str,
    aside: str = "",
    params: dict[str, Any],
    fields: Collection[str],
    change_set_id: int,
    first_key: str,
    end_key: str | None,
    may_create: bool = True,
    may_update: bool = True,
    may_keep: bool = False,
) -> Upserted:
    """Write a range of SKUs into the catalogue, and the values before into the change set.

    ``source`` is a query with the columns ``key`` (``lower(sku)``), ``line``, ``next_line`` (of
    the same key; NULL in the one row of a key that counts), ``record`` (JSON or NULL) and
    ``sku, name, description, price, active``. All of its keys lie in
    ``first_key <= key < end_key``. ``aside`` is one more named query that may read ``source``.
    ``fields`` are the columns that the file has; ``may_keep`` is as in ``wanted_rows``. Run inside
    a transaction, after ``APPLY_SETTINGS``. Raises ``ConcurrentEdit`` when a product changed
    meanwhile: the caller rolls back and runs it again.
    """
    cursor.execute(
        _UPSERT.format(
            wanted=wanted_rows(source=source, fields=fields, may_keep=may_keep, aside=aside),
            changed_fields=CHANGED_FIELDS,
        ),
        {
            **params,
            "first_key": first_key,
            "end_key": end_key,
            "change_set": change_set_id,
            "may_create": may_create,
            "may_update": may_update,
        },
    )
    total, superseded, new, updated, nameless, written = cursor.fetchone()
    nameless = nameless or []
    created = new - len(nameless) if may_create else 0
    if written != created + updated:
        raise ConcurrentEdit
    winners = total - superseded
    if may_update:
        skipped = 0 if may_create else new
        unchanged = winners - new - updated
    else:
        skipped = winners - new
        unchanged = 0
    return Upserted(
        created=created,
        updated=updated,
        unchanged=unchanged,
        skipped=skipped,
        superseded=superseded,
        nameless=[(line, cells) for line, cells in nameless],
    )


PRODUCT_COLUMNS = (
    "id, sku, name, description, price, active, version, created_at, updated_at, "
    "created_in_id, changed_in_id"
)
_KEEP = f"""
INSERT INTO catalog_removedproduct (change_set_id, {PRODUCT_COLUMNS})
SELECT %s, {PRODUCT_COLUMNS} FROM catalog_product WHERE {{where}}
"""
_DELETE = "DELETE FROM catalog_product WHERE {where}"
# Every edit commits a change set, so one that came in between shows here.
_EDITS = "SELECT count(*) FROM catalog_changeset WHERE id > %s - 10000"


def delete_products(
    cursor: CursorWrapper,
    *,
    where: str,
    params: tuple[Any, ...],
    change_set_id: int,
    tell: Callable[[], None] = lambda: None,
) -> int:
    """Delete what ``where`` (a condition on ``catalog_product``) holds for, and keep it whole.

    Returns how many products are gone. Run inside a transaction. Two statements, because
    passing the rows from one to the other takes longer than to read them twice; raises
    ``ConcurrentEdit`` when somebody edited a product meanwhile: the caller rolls back and
    runs it again. ``tell`` is called while the products can still be found.
    """
    cursor.execute(_EDITS, [change_set_id])
    edits = cursor.fetchone()
    tell()
    cursor.execute(_KEEP.format(where=where), [change_set_id, *params])
    kept = cursor.rowcount
    cursor.execute(_DELETE.format(where=where), params)
    gone = int(cursor.rowcount)
    cursor.execute(_EDITS, [change_set_id])
    if gone != kept or cursor.fetchone() != edits:
        raise ConcurrentEdit
    return gone


_SET_ACTIVE = """
WITH chosen AS MATERIALIZED (
    SELECT id, version, changed_in_id, updated_at FROM catalog_product
    WHERE {where} AND active <> %s FOR UPDATE
), written AS (
    UPDATE catalog_product AS product
    SET active = %s, version = product.version + 1, updated_at = now(), changed_in_id = %s
    -- As an array, which leaves one plan: a join went through all that are chosen for every
    -- product where the catalogue was cleared and analyzed before it came back.
    WHERE product.id = ANY (ARRAY(SELECT id FROM chosen))
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields, old_active,
        old_version, old_changed_in, old_updated_at
    )
    SELECT %s, id, 16, NOT %s, version, changed_in_id, updated_at FROM chosen
)
SELECT count(*) FROM chosen
"""


def set_active(
    cursor: CursorWrapper,
    *,
    where: str,
    params: tuple[Any, ...],
    active: bool,
    change_set_id: int,
) -> int:
    """Activate or deactivate what ``where`` holds for and is not so yet, with the values before.

    Returns how many products changed. Run inside a transaction.
    """
    cursor.execute(
        _SET_ACTIVE.format(where=where),
        [*params, active, active, change_set_id, change_set_id, active],
    )
    return int(cursor.fetchone()[0])


# What a change set did in a range, for outsiders: id, sku and action of each product.
CHANGED_IN_KEYS = """
SELECT id, sku, CASE WHEN created_in_id = %(change_set)s
                     THEN 'created' ELSE 'updated' END AS action
FROM catalog_product
WHERE lower(sku) >= %(first_key)s AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
  AND changed_in_id = %(change_set)s
"""
CHANGED_IN_IDS = """
SELECT id, sku, 'updated' AS action FROM catalog_product
WHERE id BETWEEN %(first_id)s AND %(last_id)s AND changed_in_id = %(change_set)s
"""
CHOSEN = "SELECT id, sku, 'deleted' AS action FROM catalog_product WHERE {where}"


# Indexes that an operator may build for a very large catalogue; nothing needs them.
SEARCH_INDEXES = {
    "catalog_product_sku_trigrams": "USING gin (upper(sku::text) gin_trgm_ops)",
    "catalog_product_name_trigrams": "USING gin (upper(name::text) gin_trgm_ops)",
    "catalog_product_description_trigrams": "USING gin (upper(description::text) gin_trgm_ops)",
    "catalog_product_by_name": "(name, id)",
}


def enable_trigrams(cursor: CursorWrapper) -> bool:
    """Whether trigram indexes can be built: the extension is there, or was made now."""
    cursor.execute("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'")
    if cursor.fetchone()[0]:
        return True
    try:
        cursor.execute("CREATE EXTENSION pg_trgm")
    except DatabaseError:  # not installed, or not allowed
        return False
    return True


def build_search_index(cursor: CursorWrapper, name: str) -> None:
    """Build one of ``SEARCH_INDEXES`` while everybody goes on; anew if a build was cut short."""
    if search_indexes(cursor).get(name) == "usable":
        return
    cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON catalog_product {SEARCH_INDEXES[name]}")


def drop_search_indexes(cursor: CursorWrapper) -> None:
    for name in SEARCH_INDEXES:
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def search_indexes(cursor: CursorWrapper) -> dict[str, str]:
    """Those that are there: ``usable``, or ``cut short`` where building them did not end."""
    cursor.execute(
        "SELECT relname, CASE WHEN indisvalid THEN 'usable' ELSE 'cut short' END"
        " FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid = 'catalog_product'::regclass AND relname = ANY(%s)",
        [list(SEARCH_INDEXES)],
    )
    return dict(cursor.fetchall())


def prefer_whole_table(cursor: CursorWrapper) -> None:
    """Until the end of the transaction: no index but those of ``SEARCH_INDEXES`` is used."""
    cursor.execute(
        "SELECT set_config('jit', 'off', true), set_config('enable_indexscan', 'off', true),"
        " set_config('enable_bitmapscan', CASE WHEN EXISTS ("
        "  SELECT FROM pg_class WHERE relname = ANY(%s)) THEN 'on' ELSE 'off' END, true)",
        [list(SEARCH_INDEXES)],
    )


def catalogue_state(cursor: CursorWrapper) -> str:
    """A text that is another one after every write to products: all of them are change sets."""
    cursor.execute(
        "SELECT (SELECT max(id) FROM catalog_changeset),"
        " (SELECT max(finished_at) FROM catalog_changeset),"
        " (SELECT (id, created, updated, deleted)::text FROM catalog_changeset"
        "  WHERE status = 'applying')"
    )
    return str(cursor.fetchone())
