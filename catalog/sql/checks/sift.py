"""Raw SQL that sifts staged records: which of them would change anything in the catalogue?

Of a file that comes again, few. One pass over records and products sees what the look of
``caution`` asks for and which records differ; only those, with all other records of their SKUs,
are ordered, compared and applied then. docs/decisions/0003-apply.md has the figures.
"""

from collections.abc import Collection

from django.db.backends.utils import CursorWrapper

from catalog.sql.checks.caution import LOOK_SETTINGS, MOVED, TENFOLD, Sifted, Values
from catalog.sql.upsert import differs, merged

SAMPLE_ROWS = 2_000

# A record differs that is not stored, or not as the file says it: by the upsert's own expression.
_ESTIMATE = """
SELECT count(*), count(*) FILTER (WHERE stored.id IS NULL OR {differs})
FROM (SELECT * FROM {table} TABLESAMPLE SYSTEM ({percent:.4f}) REPEATABLE (0)) AS source
LEFT JOIN catalog_product AS stored ON lower(stored.sku) = lower(source.sku){merged}
"""
_ESTIMATE_SETTINGS = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"

# OFFSET has each pair compared once, not in each of the sums. Of the products that stay as they
# are, as many as records: else some have more than one record.
_SIFT = f"""
WITH pair AS NOT MATERIALIZED (
    SELECT source.line, source.sku, source.name, source.price,
           stored.id AS stored, stored.name AS old_name, stored.price AS old_price,
           CASE WHEN stored.id IS NULL OR {{differs}} THEN lower(source.sku) END AS differing
    FROM {{table}} AS source
    LEFT JOIN catalog_product AS stored ON lower(stored.sku) = lower(source.sku){{merged}}
    OFFSET 0
), seen AS MATERIALIZED (
    SELECT count(*) AS records, count(*) - count(name) AS nameless,
           count(stored) AS met, count(old_price) AS priced,
           count(old_price) FILTER (WHERE price IS NULL) AS wiped,
           count(*) FILTER (WHERE old_name <> name) AS renamed,
           {{moved}} AS moved,
           array_agg(ARRAY[line::text, lower(sku)]) FILTER (
               WHERE {TENFOLD.format(old="old_price", new="price")}) AS tenfold,
           count(*) FILTER (WHERE differing IS NULL) AS staying,
           count(DISTINCT stored) FILTER (WHERE differing IS NULL) AS products,
           array_agg(differing) FILTER (WHERE differing IS NOT NULL) AS keys
    FROM pair
), kept AS (
    INSERT INTO {{into}}
    SELECT record.* FROM {{table}} AS record
    JOIN (SELECT DISTINCT key FROM seen, unnest(keys) AS key) AS differing
        ON differing.key = lower(record.sku)
    RETURNING 1
)
SELECT records, nameless, met, priced, wiped, renamed, moved, tenfold,
       staying <> products, (SELECT count(*) FROM kept)
FROM seen
"""
# Those of one SKU are resolved together where they are applied, and told.
_KEEP_REPEATED = """
INSERT INTO {into}
SELECT record.* FROM {table} AS record
JOIN (SELECT lower(sku) AS key FROM {table} GROUP BY 1 HAVING count(*) > 1) AS repeated
    ON repeated.key = lower(record.sku)
WHERE NOT EXISTS (SELECT FROM {into} AS kept WHERE kept.line = record.line)
"""
# To sort all pairs for one count takes longer than all the rest. The setting is there from
# PostgreSQL 16 on, and what it forbids too.
_NO_PRESORTING = """
SELECT set_config(name, 'off', true) FROM pg_settings WHERE name = 'enable_presorted_aggregate'
"""


def share_that_differs(
    cursor: CursorWrapper, *, table: str, rows: int, fields: Collection[str], may_keep: bool
) -> float:
    """About which share of a table's records would change something, by a sample of its blocks."""
    cursor.execute(_ESTIMATE_SETTINGS)
    percent = min(100.0, 100.0 * SAMPLE_ROWS / rows)
    cursor.execute(_ESTIMATE.format(table=table, percent=percent, **_parts(fields, may_keep)))
    looked_at, differing = cursor.fetchone()
    return float(differing / looked_at) if looked_at else 1.0


def sift(
    cursor: CursorWrapper,
    *,
    table: str,
    into: str,
    fields: Collection[str],
    may_keep: bool,
    more_than: int | None,
) -> Sifted:
    """Copy the records whose SKUs have one that would change something from ``table`` to ``into``.

    Both have the columns of a staging table (``imports.sql.staging``). What is left has one record
    for each SKU, and each is stored just so. ``more_than`` is as in ``caution.Usual``. Run inside
    a transaction.
    """
    cursor.execute(LOOK_SETTINGS)
    cursor.execute(_NO_PRESORTING)
    moved = MOVED.format(old="old_price", new="price") if more_than is not None else "0"
    statement = _SIFT.format(table=table, into=into, moved=moved, **_parts(fields, may_keep))
    cursor.execute(statement, {"more_than": more_than})
    records, nameless, met, priced, wiped, renamed, moved_, tenfold, repeated, kept = (
        cursor.fetchone()
    )
    if repeated:
        cursor.execute(_KEEP_REPEATED.format(table=table, into=into))
        kept += cursor.rowcount
    values = Values(
        priced=priced,
        wiped=wiped,
        met=met,
        renamed=renamed,
        odd=0,
        moved=moved_,
        missing=0,
        brought_in=0,
        tenfold=tenfold or [],
    )
    return Sifted(values, records=records, nameless=nameless, kept=kept)


def _parts(fields: Collection[str], may_keep: bool) -> dict[str, str]:
    return {"differs": differs(fields, may_keep=may_keep), "merged": merged(fields)}
