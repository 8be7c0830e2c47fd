"""Raw SQL of a quick look at records before they are applied: does anything look unusual?

It may see something where there is nothing, and then all records are compared
(``catalog.sql.compare``), which is exact; docs/decisions/0028-checks-for-every-import.md has why
and the figures.
"""

from collections.abc import Collection

from django.db.backends.utils import CursorWrapper

# What a spreadsheet makes of SKUs. Each is guarded by what is cheap to look at: a regular
# expression costs as much as to read the row.
SCIENTIFIC = """(strpos({sku}, '+') > 0 AND {sku} ~ '^[0-9]([.,][0-9]+)?[eE][+][0-9]+$')"""
DECIMAL = """(right({sku}, 2) = '.0' AND {sku} ~ '^[0-9]+[.]0$')"""
_MONTHS = "(Jan|Feb|Mar|Mär|Mrz|Apr|Avr|May|Mai|Mag|Jun|Jul|Aug|Sep|Oct|Okt|Ott|Nov|Dec|Dez|Dic)"
DATE = f"""(octet_length({{sku}}) BETWEEN 5 AND 8
            AND {{sku}} ~ '^([0-9][0-9]?[.]?[- ]{_MONTHS}|{_MONTHS}[- ][0-9][0-9])$')"""
_DAMAGED = f"""((ascii(sku) BETWEEN 48 AND 57 AND ({SCIENTIFIC} OR {DECIMAL} OR {DATE}))
    OR (octet_length(sku) BETWEEN 6 AND 7 AND {DATE}))""".format(sku="sku")

TENFOLD = """({old} > 0 AND {new} > 0 AND ({new} >= {old} * 10 OR {new} * 10 <= {old}))"""

# What two SKUs may differ in without anybody seeing it: dashes, marks that cannot be seen, and
# the wide and narrow letters of East Asian input.
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_ODD = f"[{_DASHES}{_UNSEEN}\u00a0\u2000-\u200a\u202f\u3000\uff01-\uffee]"
ODD = f"(octet_length({{sku}}) <> length({{sku}}) AND {{sku}} ~ '{_ODD}')"
FOLDED = f"""lower(normalize(regexp_replace(translate({{sku}}, '{_DASHES}', '----------'),
                                           '[{_UNSEEN}]', '', 'g'), NFKC))"""

# Of stored SKUs with zeros before them, what is left without; the range bounds the index.
ZEROS_LOST = """
    SELECT ltrim(sku, '0') AS sku FROM catalog_product
    WHERE lower(sku) >= '0' AND lower(sku) < '1' AND sku ~ '^0[0-9]+$'
"""

WIPED_SHARE = 20  # one in so many of the prices that were there

_LOOK_AT_RECORDS = f"""
SELECT count(*) FILTER (WHERE {_DAMAGED}), count(*) FILTER (WHERE {ODD.format(sku="sku")})
FROM {{table}}
"""
_LOOK_AT_ZEROS = f"""
SELECT EXISTS (
    SELECT FROM ({ZEROS_LOST}) AS lost
    WHERE EXISTS (SELECT FROM {{table}} AS record WHERE lower(record.sku) = lost.sku)
      AND NOT EXISTS (SELECT FROM catalog_product AS p WHERE lower(p.sku) = lost.sku)
)
"""
# Records that are not stored, and look like what is. What is odd on either side is little, or
# the whole catalogue is written so: then it is folded once on each side.
ALIKE = f"""
    WITH odd_stored AS MATERIALIZED (
        SELECT lower(sku) AS key, {FOLDED.format(sku="sku")} AS folded FROM catalog_product
        WHERE {ODD.format(sku="sku")}
    ), odd_record AS MATERIALIZED (
        SELECT lower(sku) AS key, {FOLDED.format(sku="sku")} AS folded FROM {{table}}
        WHERE {ODD.format(sku="sku")}
    ), alike AS (
        SELECT key FROM odd_record WHERE folded IN (SELECT folded FROM odd_stored)
        UNION
        SELECT key FROM odd_record
        WHERE EXISTS (SELECT FROM catalog_product AS p WHERE lower(p.sku) = folded)
        UNION
        SELECT folded FROM odd_stored
        WHERE EXISTS (SELECT FROM {{table}} AS record WHERE lower(record.sku) = folded)
    )
    SELECT key FROM alike
    WHERE NOT EXISTS (SELECT FROM catalog_product AS p WHERE lower(p.sku) = alike.key)
"""
_LOOK_AT_LIKENESS = f"SELECT EXISTS ({ALIKE})"
_STORED_ODD = f"SELECT EXISTS (SELECT FROM catalog_product WHERE {ODD.format(sku='sku')})"
_LOOK_AT_VALUES = f"""
SELECT count(*) FILTER (WHERE {TENFOLD.format(old="stored.price", new="record.price")}),
       count(stored.price),
       count(stored.price) FILTER (WHERE record.price IS NULL),
       count(*),
       count(*) FILTER (WHERE stored.name <> record.name)
FROM {{table}} AS record JOIN catalog_product AS stored ON lower(stored.sku) = lower(record.sku)
"""
# As the sessions of workers run it, a join of half a million records on either side: one plan
# that needs no statistics of the new table, and no other process to help, which takes as long.
_LOOK_SETTINGS = """
SET LOCAL work_mem = '128MB';
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_nestloop = off;
"""


def looks_unusual(
    cursor: CursorWrapper,
    *,
    table: str,
    fields: Collection[str],
    may_create: bool,
    may_update: bool,
) -> bool:
    """Whether staged records may do what a shopkeeper would want to know before it happens.

    ``table`` has ``line, sku, name, price``, with an index on ``lower(sku)``; ``fields`` are the
    columns that the file has. All records count here, those that a later line replaces too, and
    shares (of prices, of names) are taken for too large from half of their bound on: who finds
    them so compares what counts. Run inside a transaction.
    """
    cursor.execute("SET LOCAL jit = off")
    cursor.execute("SELECT EXISTS (SELECT FROM catalog_product)")
    stored = bool(cursor.fetchone()[0])
    cursor.execute(_LOOK_AT_RECORDS.format(table=table))
    damaged, odd = cursor.fetchone()
    if damaged or not stored:
        return bool(damaged)
    if may_create:
        cursor.execute(_LOOK_AT_ZEROS.format(table=table))
        if cursor.fetchone()[0]:
            return True
        cursor.execute(_STORED_ODD)
        if odd or cursor.fetchone()[0]:
            cursor.execute(_LOOK_AT_LIKENESS.format(table=table))
            if cursor.fetchone()[0]:
                return True
    if not may_update or not {"price", "name"} & set(fields):
        return False
    cursor.execute(_LOOK_SETTINGS)
    cursor.execute(_LOOK_AT_VALUES.format(table=table))
    tenfold, priced, wiped, met, renamed = cursor.fetchone()
    if "price" in fields and (tenfold or wiped * WIPED_SHARE * 2 > priced):
        return True
    return "name" in fields and met > 1 and renamed * 4 > met
