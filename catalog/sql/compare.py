"""Raw SQL of comparing: what the upsert would write, without writing it.

It reads the same rows as ``catalog.sql.upsert.upsert`` does (``wanted_rows``), so that a review
shows what applying will do.
"""

from collections.abc import Collection
from typing import Any

from django.db.backends.utils import CursorWrapper

from catalog.sql.upsert import CHANGED_FIELDS, wanted_rows

# The columns of a review, in the order of _ROWS. Logged, unlike staging: a crash of the server
# must not take away what somebody is looking at.
REVIEW_TABLE = """
CREATE TABLE {table} (
    chunk int NOT NULL,
    place int NOT NULL,
    line bigint NOT NULL,
    action "char" NOT NULL,
    fields smallint NOT NULL,
    flags smallint NOT NULL,
    sku text NOT NULL,
    old_sku text,
    old_name text, name text,
    old_description text, description text,
    old_price numeric(12, 2), price numeric(12, 2),
    old_active boolean, active boolean,
    PRIMARY KEY (chunk, place)
) WITH (autovacuum_enabled = false)
"""

CREATED, UPDATED = "c", "u"
ALL_FIELDS = 31  # of a created product
FLAG_TENFOLD = 1  # the price moves tenfold, up or down
FLAG_SCIENTIFIC = 2  # the SKU looks like 1.23E+12: what a spreadsheet makes of a long number
FLAG_LOST_ZEROS = 4  # the catalogue has the same digits with zeros before them

_TENFOLD = """(old_price > 0 AND price > 0
               AND (price >= old_price * 10 OR price * 10 <= old_price))"""
# The position is looked for first because it is cheap.
_SCIENTIFIC = """(strpos({sku}, '+') > 0 AND {sku} ~ '^[0-9]([.,][0-9]+)?[eE][+][0-9]+$')"""

_ROWS = f"""
    SELECT
        line,
        (CASE WHEN product_id IS NULL THEN '{CREATED}' ELSE '{UPDATED}' END)::"char" AS action,
        CASE WHEN product_id IS NULL THEN {ALL_FIELDS} ELSE {CHANGED_FIELDS} END AS fields,
        CASE WHEN {_TENFOLD} THEN {FLAG_TENFOLD} ELSE 0 END
        + CASE WHEN {_SCIENTIFIC.format(sku="sku")} THEN {FLAG_SCIENTIFIC} ELSE 0 END AS flags,
        key, sku, NULLIF(old_sku, sku) AS old_sku,
        NULLIF(old_name, name) AS old_name,
        CASE WHEN name IS DISTINCT FROM old_name THEN name END AS name,
        NULLIF(old_description, description) AS old_description,
        CASE WHEN description IS DISTINCT FROM old_description THEN description END AS description,
        CASE WHEN price IS DISTINCT FROM old_price THEN old_price END AS old_price,
        CASE WHEN price IS DISTINCT FROM old_price THEN price END AS price,
        CASE WHEN active IS DISTINCT FROM old_active THEN old_active END AS old_active,
        CASE WHEN active IS DISTINCT FROM old_active THEN active END AS active
    FROM wanted
    WHERE product_id IS NOT NULL OR (%(may_create)s AND name IS NOT NULL)
"""

_COLUMNS = """line, action, fields, flags, sku, old_sku, old_name, name,
        old_description, description, old_price, price, old_active, active"""

_COMPARE = """
{wanted}, shown AS MATERIALIZED ({rows}), kept AS (
    INSERT INTO {table} (chunk, place, {columns})
    SELECT %(chunk)s, row_number() OVER (ORDER BY key), {columns} FROM shown
)
SELECT from_source.*, from_wanted.*, from_shown.*
FROM (
    SELECT count(*) AS total, count(next_line) AS superseded,
           count(*) FILTER (WHERE next_line IS NULL AND {scientific}) AS scientific
    FROM source
) AS from_source, (
    SELECT count(*) FILTER (WHERE product_id IS NULL) AS new,
           count(product_id) AS existing,
           count(*) FILTER (WHERE product_id IS NULL AND name IS NULL) AS nameless
    FROM wanted
) AS from_wanted, (
    SELECT
        count(*) FILTER (WHERE action = 'c') AS created,
        count(*) FILTER (WHERE action = 'u') AS updated,
        count(*) FILTER (WHERE action = 'u' AND fields & 1 > 0) AS sku,
        count(*) FILTER (WHERE action = 'u' AND fields & 2 > 0) AS name,
        count(*) FILTER (WHERE action = 'u' AND fields & 4 > 0) AS description,
        count(*) FILTER (WHERE action = 'u' AND fields & 8 > 0) AS price,
        count(*) FILTER (WHERE action = 'u' AND fields & 16 > 0) AS active,
        count(*) FILTER (WHERE flags & 1 > 0) AS tenfold
    FROM shown
) AS from_shown
"""


def compare(
    cursor: CursorWrapper,
    *,
    source: str,
    params: dict[str, Any],
    fields: Collection[str],
    first_key: str,
    end_key: str | None,
    may_create: bool,
    may_update: bool,
    may_keep: bool,
    into: str,
    chunk: int,
) -> dict[str, int]:
    """Put what ``upsert`` would create and update into a review table, and count it.

    The arguments are those of ``upsert``. Returns ``total, superseded, created, updated,
    unchanged, skipped, nameless``, the updates of each field, ``existing`` (products that the
    rows meet) and what looks suspicious (``tenfold, scientific``).
    """
    cursor.execute(
        _COMPARE.format(
            wanted=wanted_rows(source=source, fields=fields, may_keep=may_keep),
            rows=_ROWS,
            table=into,
            columns=_COLUMNS,
            scientific=_SCIENTIFIC.format(sku="sku"),
        ),
        {
            **params,
            "first_key": first_key,
            "end_key": end_key,
            "may_create": may_create,
            "may_update": may_update,
            "chunk": chunk,
        },
    )
    names = [column.name for column in cursor.description or ()]
    found = dict(zip(names, cursor.fetchone(), strict=True))
    winners = found["total"] - found["superseded"]
    new, differing = found.pop("new"), found["existing"]
    found["existing"] = winners - new
    if not may_create:
        found["nameless"] = 0
    found["skipped"] = (new if not may_create else 0) + (winners - new if not may_update else 0)
    found["unchanged"] = winners - new - differing if may_update else 0
    return found


_DIFFERING = """
{wanted}, now_is AS ({rows}), was AS (
    SELECT * FROM {table} WHERE chunk = %(chunk)s
)
SELECT COALESCE(now_is.sku, was.sku)
FROM now_is FULL JOIN was ON was.line = now_is.line
WHERE (now_is.line, now_is.action, now_is.fields, now_is.old_sku, now_is.old_name,
       now_is.old_description, now_is.old_price, now_is.old_active)
    IS DISTINCT FROM (was.line, was.action, was.fields, was.old_sku, was.old_name,
       was.old_description, was.old_price, was.old_active)
ORDER BY 1
"""


def differing_skus(
    cursor: CursorWrapper,
    *,
    source: str,
    params: dict[str, Any],
    fields: Collection[str],
    first_key: str,
    end_key: str | None,
    may_create: bool,
    may_update: bool,
    may_keep: bool,
    against: str,
    chunk: int,
) -> list[str]:
    """The SKUs of a chunk that ``upsert`` would treat differently now than a review showed."""
    cursor.execute(
        _DIFFERING.format(
            wanted=wanted_rows(source=source, fields=fields, may_keep=may_keep),
            rows=_ROWS,
            table=against,
        ),
        {
            **params,
            "first_key": first_key,
            "end_key": end_key,
            "may_create": may_create,
            "may_update": may_update,
            "chunk": chunk,
        },
    )
    return [sku for (sku,) in cursor]


_FLAG_LOST_ZEROS = f"""
UPDATE {{table}} AS shown SET flags = flags | {FLAG_LOST_ZEROS}
FROM (
    SELECT ltrim(sku, '0') AS digits FROM catalog_product
    WHERE lower(sku) >= '0' AND lower(sku) < '1' AND sku ~ '^0[0-9]+$'
) AS stored
WHERE shown.action = '{CREATED}' AND shown.sku = stored.digits
"""


def flag_lost_zeros(cursor: CursorWrapper, *, table: str) -> int:
    """Mark new SKUs that the catalogue has with leading zeros; return how many."""
    cursor.execute(_FLAG_LOST_ZEROS.format(table=table))
    return int(cursor.rowcount)
