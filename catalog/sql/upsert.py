"""The catalogue's raw SQL.

``upsert`` is the one statement that writes products in bulk. It needs PostgreSQL 15 or
later; docs/decisions/0003-apply.md has the figures behind its shape.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from catalog.sql import fresh
from catalog.sql.violations import SKU_INDEX, violated


class ConcurrentEdit(Exception):
    """A product changed between comparing and writing. Roll back and run it again."""


@dataclass(frozen=True)
class Upserted:
    """How many of the source's rows ended how.

    ``nameless`` are new products without a name, ``taken`` those whose value of a unique field
    another product has, or an earlier row of the same range.
    """

    created: int
    updated: int
    unchanged: int
    skipped: int
    superseded: int
    nameless: list[tuple[int, str]] = field(default_factory=list)  # line, record
    taken: list[tuple[int, str, str, str]] = field(default_factory=list)  # and key, value

    @property
    def rows(self) -> int:
        """All of them."""
        done = self.created + self.updated + self.unchanged + self.skipped + self.superseded
        return done + len(self.nameless) + len(self.taken)


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
), {more} stored AS (
    SELECT * FROM catalog_product
    WHERE lower(sku) >= %(first_key)s
      AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
), wanted AS MATERIALIZED (
    SELECT
        source.key, source.line, source.record,
        source.sku AS sku, {name} AS name, {description} AS description,
        {price} AS price, {active} AS active,{own_columns}
        stored.id AS product_id, COALESCE(stored.version, 0) AS old_version,
        stored.sku AS old_sku, stored.name AS old_name,
        stored.description AS old_description, stored.price AS old_price,
        stored.active AS old_active, stored.changed_in_id AS old_changed_in,
        stored.updated_at AS old_updated_at
    FROM source LEFT JOIN stored ON lower(stored.sku) = source.key{merged}
    WHERE source.next_line IS NULL
      AND (stored.id IS NULL
           OR (%(may_update)s
               AND {differs}))
)"""
_DIFFERS = """(stored.sku, stored.name, stored.description, stored.price, stored.active{own_old})
                   IS DISTINCT FROM (source.sku, {name}, {description}, {price}, {active}{own})"""

_OWN_COLUMNS = "\n        merged.own_fields, stored.own_fields AS old_own_fields,"

# Which values of a row of "wanted" change, as a sum of Change.Field numbers.
CHANGED_FIELDS = """CASE WHEN old_sku IS DISTINCT FROM sku THEN 1 ELSE 0 END
        + CASE WHEN old_name IS DISTINCT FROM name THEN 2 ELSE 0 END
        + CASE WHEN old_description IS DISTINCT FROM description THEN 4 ELSE 0 END
        + CASE WHEN old_price IS DISTINCT FROM price THEN 8 ELSE 0 END
        + CASE WHEN old_active IS DISTINCT FROM active THEN 16 ELSE 0 END"""
OWN_CHANGED = " + CASE WHEN old_own_fields IS DISTINCT FROM own_fields THEN 32 ELSE 0 END"

# A file's values of own fields, key by key over the stored ones: null takes a value away. The two
# plain cases come first, for what the third costs (docs/decisions/0065-the-cost-of-own-fields.md).
# OFFSET keeps PostgreSQL from computing it wherever it is named.
_MERGED = """
    CROSS JOIN LATERAL (SELECT CASE
        WHEN stored.own_fields IS NULL THEN NULLIF(jsonb_strip_nulls(source.own_fields), '{}')
        WHEN source.own_fields IS NULL OR stored.own_fields = source.own_fields
            THEN stored.own_fields
        ELSE NULLIF(jsonb_strip_nulls(stored.own_fields || source.own_fields), '{}')
    END AS own_fields OFFSET 0) AS merged"""

# Rows whose value of a unique field is taken: by a row before them that brings it too, or by a
# product. Those that keep theirs are products that have it, so only the others are sorted. By a
# scalar query for each row, which has one plan; the unique index is partial
# (catalog.sql.fields), so the condition is said as it is there.
_JUDGED = """{repeated}, judged AS MATERIALIZED (
    SELECT wanted.*, CASE {cases} END AS taken FROM wanted
)"""
_BRINGS = """NOT (product_id IS NULL AND (name IS NULL OR NOT %(may_create)s))
          AND own_fields ->> {key} IS DISTINCT FROM old_own_fields ->> {key}
          AND own_fields ->> {key} IS NOT NULL"""
_REPEATED = """, repeated_{place} AS MATERIALIZED (
    SELECT line FROM (
        SELECT line, row_number() OVER (PARTITION BY own_fields ->> {key} ORDER BY key) AS number
        FROM wanted
        WHERE {brings}
    ) AS brought WHERE number > 1
)"""
_TAKEN = """WHEN {brings}
          AND (line IN (SELECT line FROM repeated_{place}) OR (
            SELECT other.id FROM catalog_product AS other
            WHERE other.own_fields ->> {key} = wanted.own_fields ->> {key}
              AND other.id IS DISTINCT FROM wanted.product_id LIMIT 1) IS NOT NULL)
        THEN {key} """

_UPSERT = """
{wanted}{judged}, written AS (
    INSERT INTO catalog_product (
        sku, name, description, price, active{own},
        version, created_at, updated_at, created_in_id, changed_in_id
    )
    SELECT sku, name, description, price, active{own},
           old_version + 1, now(), now(), %(change_set)s, %(change_set)s
    FROM {rows}
    WHERE (product_id IS NOT NULL OR (%(may_create)s AND name IS NOT NULL)){free}
    ON CONFLICT (lower(sku)) DO UPDATE SET
        sku = EXCLUDED.sku, name = EXCLUDED.name, description = EXCLUDED.description,
        price = EXCLUDED.price, active = EXCLUDED.active{own_set}, version = EXCLUDED.version,
        updated_at = EXCLUDED.updated_at, changed_in_id = EXCLUDED.changed_in_id
    -- Only over the very state that was compared: else the values before would be wrong.
    WHERE catalog_product.version = EXCLUDED.version - 1
    RETURNING 1
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields,
        old_sku, old_name, old_description, old_price, old_active{old_own},
        old_version, old_changed_in, old_updated_at
    )
    SELECT
        %(change_set)s, product_id,
        {changed_fields},
        NULLIF(old_sku, sku), NULLIF(old_name, name), NULLIF(old_description, description),
        CASE WHEN old_price IS DISTINCT FROM price THEN old_price END,
        CASE WHEN old_active IS DISTINCT FROM active THEN old_active END{own_before},
        old_version, old_changed_in, old_updated_at
    FROM {rows} WHERE product_id IS NOT NULL{free}
)
SELECT
    from_source.total, from_source.superseded,
    from_wanted.new, from_wanted.existing, from_wanted.nameless, from_wanted.taken,
    (SELECT count(*) FROM written)
FROM (
    SELECT count(*) AS total, count(next_line) AS superseded FROM source
) AS from_source, (
    SELECT
        count(*) FILTER (WHERE product_id IS NULL{free}) AS new,
        count(product_id){filter_free} AS existing,
        json_agg(json_build_array(line, record)) FILTER (
            WHERE product_id IS NULL AND name IS NULL AND %(may_create)s{free}
        ) AS nameless,
        {taken} AS taken
    FROM {rows}
) AS from_wanted
"""

_TAKEN_ROWS = """json_agg(json_build_array(line, record, taken, own_fields ->> taken))
            FILTER (WHERE taken IS NOT NULL)"""

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


OWN_PREFIX = "fields."  # of a column of a file that is a field of one's own


def has_own(fields: Collection[str]) -> bool:
    """Whether a file has a column for a field of one's own."""
    return any(name.startswith(OWN_PREFIX) for name in fields)


def own_before(fields: Collection[str], *, old: str, new: str) -> str:
    """The values of ``old`` of the keys that change, with null where there was none, as SQL.

    ``fields`` are those of the file: no other key can change.
    """
    keys = [name.removeprefix(OWN_PREFIX) for name in fields if name.startswith(OWN_PREFIX)]
    listed = ", ".join(sql.Literal(key).as_string() for key in sorted(keys))
    return f"""CASE WHEN {old} IS DISTINCT FROM {new} THEN (
            SELECT jsonb_object_agg(key, COALESCE({old} -> key, 'null'))
            FROM unnest(ARRAY[{listed}]) AS key
            WHERE {old} -> key IS DISTINCT FROM {new} -> key) END"""


def wanted_rows(
    *, source: str, fields: Collection[str], may_keep: bool = False, more: str = ""
) -> str:
    """The named queries ``source`` and ``wanted``: what is new or differs from what is stored.

    ``may_keep``: the source has a column ``kept``, the sum of the Change.Field numbers of what
    a row leaves as it is stored. Their parameters are ``first_key``, ``end_key``, ``may_update``
    and those of ``source``. With own fields among ``fields``, ``wanted`` has ``own_fields`` and
    ``old_own_fields``.
    """
    return _WANTED.format(
        source=source,
        more=f"{more}," if more else "",
        own_columns=_OWN_COLUMNS if has_own(fields) else "",
        merged=merged(fields),
        differs=differs(fields, may_keep=may_keep),
        **_values(fields, may_keep=may_keep),
    )


def differs(fields: Collection[str], *, may_keep: bool) -> str:
    """Whether a row of ``source`` changes that of ``stored``, as SQL; it may read ``merged``."""
    own = has_own(fields)
    return _DIFFERS.format(
        own_old=", stored.own_fields" if own else "",
        own=", merged.own_fields" if own else "",
        **_values(fields, may_keep=may_keep),
    )


def merged(fields: Collection[str]) -> str:
    """The join to what values of own fields become, as SQL, behind that of both tables."""
    return _MERGED if has_own(fields) else ""


def _values(fields: Collection[str], *, may_keep: bool) -> dict[str, str]:
    """What the values of a row of ``source`` become over those of ``stored``, as SQL."""
    from_file = _UNLESS_KEPT if may_keep else _FROM_FILE
    return {
        name: (from_file if name in fields else _AS_STORED)[name]
        for name in ("name", "description", "price", "active")
    }


@dataclass(frozen=True)
class Judged:
    """Which of the wanted rows may be written, where fields are unique: their names in SQL.

    ``query`` stands behind ``wanted``, ``rows`` is what to read from, ``free`` the condition of
    those that may, ``filter_free`` the same for an aggregate.
    """

    query: str = ""
    rows: str = "wanted"
    free: str = ""
    filter_free: str = ""


def judged_rows(unique: Sequence[str]) -> Judged:
    """Named queries up to ``judged``: ``wanted``, and in ``taken`` the key of a value taken."""
    if not unique:
        return Judged()
    keys = [sql.Literal(key).as_string() for key in unique]
    repeated, cases = (
        "".join(
            part.format(key=key, place=place, brings=_BRINGS.format(key=key))
            for place, key in enumerate(keys)
        )
        for part in (_REPEATED, _TAKEN)
    )
    query = _JUDGED.format(repeated=repeated, cases=cases)
    return Judged(query, "judged", " AND taken IS NULL", " FILTER (WHERE taken IS NULL)")


_HOLDS_PRODUCTS = """
SELECT EXISTS (
    SELECT FROM catalog_product
    WHERE lower(sku) >= %(first_key)s
      AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
)
"""


def _statement(
    *,
    source: str,
    more: str,
    fields: Collection[str],
    may_keep: bool,
    unique: Sequence[str],
    nothing_stored: bool,
) -> str:
    """The upsert for the columns of one file; own fields cost nothing where there are none."""
    own = has_own(fields)
    judged = judged_rows(unique)
    parts = {
        "judged": judged.query,
        "rows": judged.rows,
        "free": judged.free,
        "filter_free": judged.filter_free,
        "taken": _TAKEN_ROWS if unique else "NULL::json",
        "own": ", own_fields" if own else "",
    }
    if nothing_stored:
        return fresh.INSERT.format(
            source=source,
            more=f"{more}," if more else "",
            own_columns=_OWN_COLUMNS if own else "",
            merged=merged(fields),
            **_values(fields, may_keep=may_keep),
            **parts,
        )
    return _UPSERT.format(
        wanted=wanted_rows(source=source, fields=fields, may_keep=may_keep, more=more),
        changed_fields=CHANGED_FIELDS + (OWN_CHANGED if own else ""),
        old_own=", old_own_fields" if own else "",
        own_set=", own_fields = EXCLUDED.own_fields" if own else "",
        own_before=f",\n        {own_before(fields, old='old_own_fields', new='own_fields')}"
        if own
        else "",
        **parts,
    )


def _holds_products(cursor: CursorWrapper, first_key: str, end_key: str | None) -> bool:
    """Whether any product is stored in a range of keys."""
    cursor.execute(_HOLDS_PRODUCTS, {"first_key": first_key, "end_key": end_key})
    return bool(cursor.fetchone()[0])


def upsert(
    cursor: CursorWrapper,
    *,
    source: str,
    more: str = "",
    params: dict[str, Any],
    fields: Collection[str],
    change_set_id: int,
    first_key: str,
    end_key: str | None,
    may_create: bool = True,
    may_update: bool = True,
    may_keep: bool = False,
    unique: Sequence[str] = (),
) -> Upserted:
    """Write a range of SKUs into the catalogue, and the values before into the change set.

    ``source`` is a query with the columns ``key`` (``lower(sku)``), ``line``, ``next_line`` (of
    the same key; NULL in the one row of a key that counts), ``record`` (text or NULL) and
    ``sku, name, description, price, active``, and ``own_fields`` (JSON: values by key) if
    ``fields``, the columns that the file has, holds own ones (``fields.KEY``). All of its keys lie
    in ``first_key <= key < end_key``. ``more`` is one more named query that may read ``source``.
    ``may_keep`` is as in ``wanted_rows``; ``unique`` are the keys of own fields that no two
    products share. Run inside a transaction, after ``APPLY_SETTINGS``. Raises ``ConcurrentEdit``
    when a product changed or came meanwhile: the caller rolls back and runs it again.
    """
    nothing_stored = may_create and not _holds_products(cursor, first_key, end_key)
    statement = _statement(
        source=source,
        more=more,
        fields=fields,
        may_keep=may_keep,
        unique=unique,
        nothing_stored=nothing_stored,
    )
    given = {
        **params,
        "first_key": first_key,
        "end_key": end_key,
        "change_set": change_set_id,
        "may_create": may_create,
        "may_update": may_update,
    }
    try:
        cursor.execute(statement, given)
    except IntegrityError as error:
        if nothing_stored and violated(error) == SKU_INDEX:
            raise ConcurrentEdit from error
        raise
    total, superseded, new, updated, nameless, taken, written = cursor.fetchone()
    nameless, taken = nameless or [], taken or []
    created = new - len(nameless) if may_create else 0
    if written != created + updated:
        raise ConcurrentEdit
    winners = total - superseded - len(taken)
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
        nameless=[(line, record) for line, record in nameless],
        taken=sorted((line, record, key, value) for line, record, key, value in taken),
    )
