"""Raw SQL of comparing: what the upsert would write, without writing it.

It reads the same rows as ``catalog.sql.upsert.upsert`` does (``wanted_rows``), so that a review
shows what applying will do.
"""

from collections.abc import Collection, Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

from catalog.sql.checks.caution import ALIKE, DATE, DECIMAL, SCIENTIFIC, TENFOLD, ZEROS_LOST
from catalog.sql.upsert import (
    CHANGED_FIELDS,
    OWN_CHANGED,
    Judged,
    has_own,
    judged_rows,
    own_before,
    wanted_rows,
)

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
    old_own_fields jsonb, own_fields jsonb,
    PRIMARY KEY (chunk, place)
) WITH (autovacuum_enabled = false)
"""

CREATED, UPDATED = "c", "u"
MISSING = "m"  # a product that a full list lacks (catalog.sql.checks.missing)
ALL_FIELDS = 31  # of a created product
FLAG_TENFOLD = 1  # the price moves tenfold, up or down
FLAG_SCIENTIFIC = 2  # the SKU looks like 1.23E+12: what a spreadsheet makes of a long number
FLAG_LOST_ZEROS = 4  # the catalogue has the same digits with zeros before them
FLAG_DECIMAL = 8  # the SKU is new and looks like 4711.0: what a table program makes of a number
FLAG_DATE = 16  # the SKU is new and looks like 12-Feb: what a spreadsheet makes of 2-12
FLAG_ALIKE = 32  # the SKU is new and differs from a stored one in what cannot be seen
FLAG_WIPED = 64  # the price is taken away


def _own_rows(fields: Collection[str]) -> str:
    """Of own fields the keys that change, before and after."""
    before = own_before(fields, old="old_own_fields", new="own_fields")
    after = own_before(fields, old="own_fields", new="old_own_fields")
    return f""",
        CASE WHEN product_id IS NOT NULL THEN {before} END AS old_own_fields,
        CASE WHEN product_id IS NULL THEN own_fields ELSE {after} END AS own_fields"""


def _rows(fields: Collection[str], judged: Judged) -> str:
    """What a review shows of the wanted rows of a file with these fields."""
    own = has_own(fields)
    changed = CHANGED_FIELDS + (OWN_CHANGED if own else "")
    return f"""
    SELECT
        line,
        (CASE WHEN product_id IS NULL THEN '{CREATED}' ELSE '{UPDATED}' END)::"char" AS action,
        CASE WHEN product_id IS NULL THEN {ALL_FIELDS} ELSE {changed} END AS fields,
        CASE WHEN {TENFOLD.format(old="old_price", new="price")} THEN {FLAG_TENFOLD} ELSE 0 END
        + CASE WHEN {SCIENTIFIC.format(sku="sku")} THEN {FLAG_SCIENTIFIC} ELSE 0 END
        + CASE WHEN product_id IS NULL AND {DECIMAL.format(sku="sku")}
               THEN {FLAG_DECIMAL} ELSE 0 END
        + CASE WHEN product_id IS NULL AND {DATE.format(sku="sku")} THEN {FLAG_DATE} ELSE 0 END
        + CASE WHEN old_price IS NOT NULL AND price IS NULL
               THEN {FLAG_WIPED} ELSE 0 END AS flags,
        key, sku, NULLIF(old_sku, sku) AS old_sku,
        NULLIF(old_name, name) AS old_name,
        CASE WHEN name IS DISTINCT FROM old_name THEN name END AS name,
        NULLIF(old_description, description) AS old_description,
        CASE WHEN description IS DISTINCT FROM old_description THEN description END AS description,
        CASE WHEN price IS DISTINCT FROM old_price THEN old_price END AS old_price,
        CASE WHEN price IS DISTINCT FROM old_price THEN price END AS price,
        CASE WHEN active IS DISTINCT FROM old_active THEN old_active END AS old_active,
        CASE WHEN active IS DISTINCT FROM old_active THEN active END AS active
        {_own_rows(fields) if own else ""}
    FROM {judged.rows}
    WHERE (product_id IS NOT NULL OR (%(may_create)s AND name IS NOT NULL)){judged.free}
"""


_COLUMNS = """line, action, fields, flags, sku, old_sku, old_name, name,
        old_description, description, old_price, price, old_active, active"""
_OWN_COLUMNS = ", old_own_fields, own_fields"

_COMPARE = """
{wanted}{judged}, shown AS MATERIALIZED ({rows}), kept AS (
    INSERT INTO {table} (chunk, place, {columns})
    SELECT %(chunk)s, row_number() OVER (ORDER BY key), {columns} FROM shown
)
SELECT from_source.*, from_wanted.*, from_shown.*
FROM (
    SELECT count(*) AS total, count(next_line) AS superseded,
           count(*) FILTER (WHERE next_line IS NULL AND {scientific}) AS scientific,
           count(price) FILTER (WHERE next_line IS NULL) AS priced
    FROM source
) AS from_source, (
    SELECT count(*) FILTER (WHERE product_id IS NULL) AS new,
           count(product_id) AS existing,
           count(*) FILTER (WHERE product_id IS NULL AND name IS NULL{free}) AS nameless,
           {taken} AS taken, {taken_new} AS taken_new,
           count(price) AS priced_wanted, count(old_price) AS priced_before
    FROM {judged_rows}
) AS from_wanted, (
    SELECT
        count(*) FILTER (WHERE action = 'c') AS created,
        count(*) FILTER (WHERE action = 'u') AS updated,
        count(*) FILTER (WHERE action = 'u' AND fields & 1 > 0) AS sku,
        count(*) FILTER (WHERE action = 'u' AND fields & 2 > 0) AS name,
        count(*) FILTER (WHERE action = 'u' AND fields & 4 > 0) AS description,
        count(*) FILTER (WHERE action = 'u' AND fields & 8 > 0) AS price,
        count(*) FILTER (WHERE action = 'u' AND fields & 16 > 0) AS active,
        count(*) FILTER (WHERE action = 'u' AND fields & 32 > 0) AS own_fields,
        count(*) FILTER (WHERE flags & 1 > 0) AS tenfold,
        count(*) FILTER (WHERE flags & 8 > 0) AS decimal,
        count(*) FILTER (WHERE flags & 16 > 0) AS date,
        count(*) FILTER (WHERE flags & 64 > 0) AS wiped
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
    unique: Sequence[str] = (),
) -> dict[str, int]:
    """Put what ``upsert`` would create and update into a review table, and count it.

    The arguments are those of ``upsert``. Returns ``total, superseded, created, updated,
    unchanged, skipped, nameless``, the updates of each field, ``existing`` (products that the
    rows meet), ``priced`` (those of them that had a price), and what looks suspicious
    (``tenfold, scientific, decimal, date, wiped``); ``taken`` are the rows that a unique field
    refuses.
    """
    judged = judged_rows(unique)
    cursor.execute(
        _COMPARE.format(
            wanted=wanted_rows(source=source, fields=fields, may_keep=may_keep),
            judged=judged.query,
            judged_rows=judged.rows,
            free=judged.free,
            taken="count(taken)" if unique else "0",
            taken_new="count(taken) FILTER (WHERE product_id IS NULL)" if unique else "0",
            rows=_rows(fields, judged),
            table=into,
            # A review that an older release began has no columns for own fields, and needs none.
            columns=_COLUMNS + (_OWN_COLUMNS if has_own(fields) else ""),
            scientific=SCIENTIFIC.format(sku="sku"),
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
    taken_new = found.pop("taken_new")
    found["existing"] = winners - new
    # Of those that stay as they are, the file has the price that is stored.
    same = found["priced"] - found.pop("priced_wanted") if "price" in fields else 0
    found["priced"] = same + found.pop("priced_before")
    if not may_create:
        found["nameless"] = 0
    found["skipped"] = (new - taken_new if not may_create else 0) + (
        winners - new if not may_update else 0
    )
    found["unchanged"] = winners - new - differing if may_update else 0
    return found


_DIFFERING = """
{wanted}{judged}, now_is AS ({rows}), was AS (
    SELECT * FROM {table} WHERE chunk = %(chunk)s
)
SELECT COALESCE(now_is.sku, was.sku)
FROM now_is FULL JOIN was ON was.line = now_is.line
WHERE (now_is.line, now_is.action, now_is.fields, now_is.old_sku, now_is.old_name,
       now_is.old_description, now_is.old_price, now_is.old_active{own_now})
    IS DISTINCT FROM (was.line, was.action, was.fields, was.old_sku, was.old_name,
       was.old_description, was.old_price, was.old_active{own_was})
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
    unique: Sequence[str] = (),
) -> list[str]:
    """The SKUs of a chunk that ``upsert`` would treat differently now than a review showed."""
    judged = judged_rows(unique)
    cursor.execute(
        _DIFFERING.format(
            wanted=wanted_rows(source=source, fields=fields, may_keep=may_keep),
            judged=judged.query,
            rows=_rows(fields, judged),
            table=against,
            own_now=", now_is.old_own_fields" if has_own(fields) else "",
            own_was=", was.old_own_fields" if has_own(fields) else "",
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
FROM ({ZEROS_LOST}) AS lost WHERE shown.action = '{CREATED}' AND shown.sku = lost.sku
"""
_FLAG_ALIKE = f"""
UPDATE {{table}} AS shown SET flags = flags | {FLAG_ALIKE}
FROM ({ALIKE}) AS alike WHERE shown.action = '{CREATED}' AND lower(shown.sku) = alike.key
"""


def flag_lost_zeros(cursor: CursorWrapper, *, table: str) -> int:
    """Mark new SKUs that the catalogue has with leading zeros; return how many."""
    cursor.execute(_FLAG_LOST_ZEROS.format(table=table))
    return int(cursor.rowcount)


def flag_alike(cursor: CursorWrapper, *, table: str) -> int:
    """Mark new SKUs that differ from stored ones in what cannot be seen; return how many."""
    cursor.execute(_FLAG_ALIKE.format(table=table))
    return int(cursor.rowcount)
