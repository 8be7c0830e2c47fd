"""Raw SQL of a quick look at records before they are applied: does anything look unusual?

It may see something where there is nothing, and then all records are compared
(``catalog.sql.compare``), which is exact; docs/decisions/0028-checks-for-every-import.md has why
and the figures.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

# What a spreadsheet makes of SKUs. Each is guarded by what is cheap to look at: a regular
# expression costs as much as to read the row.
SCIENTIFIC = """(strpos({sku}, '+') > 0 AND {sku} ~ '^[0-9]([.,][0-9]+)?[eE][+][0-9]+$')"""
DECIMAL = """(right({sku}, 2) = '.0' AND {sku} ~ '^[0-9]+[.]0$')"""
_MONTHS = "(Jan|Feb|Mar|Mär|Mrz|Apr|Avr|May|Mai|Mag|Jun|Jul|Aug|Sep|Oct|Okt|Ott|Nov|Dec|Dez|Dic)"
# The last is what the date cell of a workbook is read as.
DATE = f"""((octet_length({{sku}}) BETWEEN 5 AND 8
             AND {{sku}} ~ '^([0-9][0-9]?[.]?[- ]{_MONTHS}|{_MONTHS}[- ][0-9][0-9])$')
            OR (octet_length({{sku}}) = 10 AND substr({{sku}}, 5, 1) = '-'
                AND {{sku}} ~ '^(19|20)[0-9][0-9]-[01][0-9]-[0-3][0-9]$'))"""
_DAMAGED = f"""((ascii(sku) BETWEEN 48 AND 57 AND ({SCIENTIFIC} OR {DECIMAL} OR {DATE}))
    OR (octet_length(sku) BETWEEN 6 AND 7 AND {DATE}))""".format(sku="sku")

# Prices that stay, as most do, are told by the first comparison: the products cost ten times it.
TENFOLD = """({new} <> {old} AND {old} > 0 AND {new} > 0
    AND ({new} >= {old} * 10 OR {new} * 10 <= {old}))"""

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
SELECT count(*) FILTER (WHERE {_DAMAGED}), count(*) FILTER (WHERE {ODD.format(sku="sku")}),
       count(*), count(*) - count(name)
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
# One pass over the products: those that no record is for come along, for what they are called,
# and of a full list because it lacks them (which a supplier's stop rules ask).
_LOOK_AT_VALUES = f"""
SELECT count(stored.price) FILTER (WHERE record.sku IS NOT NULL),
       count(stored.price) FILTER (WHERE record.sku IS NOT NULL AND record.price IS NULL),
       count(record.sku),
       count(*) FILTER (WHERE stored.name <> record.name),
       count(*) FILTER (WHERE {ODD.format(sku="stored.sku")}),
       {{moved}}, {{missing}}, {{brought_in}},
       array_agg(ARRAY[record.line::text, lower(record.sku)])
           FILTER (WHERE {TENFOLD.format(old="stored.price", new="record.price")})
FROM {{table}} AS record RIGHT JOIN catalog_product AS stored
  ON lower(stored.sku) = lower(record.sku)
"""
# Of the records whose prices move tenfold, those that no later line replaces: a file that repeats
# its SKUs has others. One look-up in the index of the records for each.
_LOOK_AGAIN = """
SELECT EXISTS (
    SELECT FROM unnest(%(lines)s::bigint[], %(keys)s::text[]) AS moved(line, key)
    WHERE NOT EXISTS (
        SELECT FROM {table} AS later
        WHERE lower(later.sku) = moved.key AND later.line > moved.line
    )
)
"""
_LOOK_AGAIN_SETTINGS = "SET LOCAL enable_nestloop = on; SET LOCAL enable_hashjoin = off"
LOOKED_AT_AGAIN = 20_000  # records at most: of more, some stand
MOVED = """count(*) FILTER (WHERE {new} <> {old}
    AND abs({new} - {old}) * 100 > %(more_than)s * {old})"""
_BROUGHT_IN = "stored.created_in_id = ANY (%(brought_in)s) AND {condition}"
# As the sessions of workers run it, a join of half a million records on either side: one plan
# that needs no statistics of the new table, and no other process to help, which takes as long.
LOOK_SETTINGS = """
SET LOCAL work_mem = '128MB';
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_nestloop = off;
"""


@dataclass(frozen=True)
class Seen:
    """What a look saw of a supplier's file: no less than what is unusual, of all that it met.

    ``met`` products are in the catalogue, ``priced`` of them with a price, ``moved`` with one that
    moves by more than was asked; ``nameless`` records have no name. A full list lacks ``missing``
    of the products that were ``brought_in``.
    """

    records: int
    nameless: int
    met: int = 0
    priced: int = 0
    moved: int = 0
    missing: int = 0
    brought_in: int = 0


@dataclass(frozen=True)
class Usual:
    """What is usual for a supplier, by ``is_unusual``.

    ``more_than`` is the change of a price in per cent that counts, if any does. Of a full list,
    ``brought_in`` are the change sets of what its supplier brought in; ``condition`` is one on
    the products ``stored`` among them, with ``params``.
    """

    is_unusual: Callable[[Seen], bool]
    more_than: int | None = None
    brought_in: Sequence[int] = ()
    condition: str = "true"
    params: dict[str, Any] | None = None


class Values(NamedTuple):
    """What ``_LOOK_AT_VALUES`` counts: ``odd`` products, and all else of the records."""

    priced: int
    wiped: int
    met: int
    renamed: int
    odd: int
    moved: int
    missing: int
    brought_in: int
    tenfold: list[tuple[str, str]]  # line and lower(sku) of each


class Sifted(NamedTuple):
    """What was seen of all records, where only those that differ are left (``sift`` beside this).

    ``nameless`` are those without a name, ``kept`` those that are left.
    """

    values: Values
    records: int
    nameless: int
    kept: int


def looks_unusual(
    cursor: CursorWrapper,
    *,
    table: str,
    fields: Collection[str],
    may_create: bool,
    may_update: bool,
    usual: Usual | None = None,
    sifted: Sifted | None = None,
) -> bool:
    """Whether staged records may do what a shopkeeper would want to know before it happens.

    ``table`` has ``line, sku, name, price``, with an index on ``lower(sku)``; ``fields`` are the
    columns that the file has; ``usual`` is asked of a supplier's file besides. All records count
    here, those that a later line replaces too (but for single prices), and shares are taken for too
    large from half of their bound on: who finds them so compares what counts. With ``sifted`` the
    table has only those that differ. Run inside a transaction.
    """
    cursor.execute("SET LOCAL jit = off")
    cursor.execute(_LOOK_AT_RECORDS.format(table=table))
    damaged, odd, records, nameless = cursor.fetchone()
    if damaged:
        return True
    if sifted is not None:
        records, nameless = sifted.records, sifted.nameless
        may_create = may_create and sifted.values.met < records
    elif not _any_stored(cursor):
        return usual is not None and usual.is_unusual(Seen(records, nameless))
    if may_create:
        cursor.execute(_LOOK_AT_ZEROS.format(table=table))
        if cursor.fetchone()[0]:
            return True
    looks = set(fields) & {"price", "name"} if may_update else set()
    values = None
    if sifted is None and (looks or usual is not None):
        values = _look_at_values(cursor, table, usual)
    if may_create and _looks_alike(cursor, table, odd=bool(odd), values=values):
        return True
    values = values or (sifted.values if sifted else None)
    if values is None:
        return False
    if _look_unusual(cursor, table, values, looks):
        return True
    if usual is None:
        return False
    moved = values.moved if "price" in looks else 0
    met = (values.met, values.priced, moved, values.missing, values.brought_in)
    return usual.is_unusual(Seen(records, nameless, *met))


def _any_stored(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT EXISTS (SELECT FROM catalog_product)")
    return bool(cursor.fetchone()[0])


def _look_unusual(
    cursor: CursorWrapper, table: str, values: Values, looks: Collection[str]
) -> bool:
    """Whether prices or names change as they seldom do; ``looks`` are those that the file has."""
    if "price" in looks and values.wiped * WIPED_SHARE * 2 > values.priced:
        return True
    if "price" in looks and values.tenfold and _stand(cursor, table, values.tenfold):
        return True
    return "name" in looks and values.met > 1 and values.renamed * 4 > values.met


def _looks_alike(cursor: CursorWrapper, table: str, *, odd: bool, values: Values | None) -> bool:
    """Whether records look like what is stored; ``odd``: whether any of them is odd."""
    if not odd and values is not None:
        odd = values.odd > 0
    elif not odd:
        cursor.execute(_STORED_ODD)
        odd = cursor.fetchone()[0]
    if not odd:
        return False
    cursor.execute("SET LOCAL enable_nestloop = on")  # what is odd is mostly little
    cursor.execute(_LOOK_AT_LIKENESS.format(table=table))
    return bool(cursor.fetchone()[0])


def _stand(cursor: CursorWrapper, table: str, records: list[tuple[str, str]]) -> bool:
    """Whether any of these records, each a line and a key, is the last one of its SKU."""
    if len(records) > LOOKED_AT_AGAIN:
        return True
    lines, keys = map(list, zip(*records, strict=True))
    cursor.execute(_LOOK_AGAIN_SETTINGS)
    cursor.execute(_LOOK_AGAIN.format(table=table), {"keys": keys, "lines": lines})
    return bool(cursor.fetchone()[0])


def _look_at_values(cursor: CursorWrapper, table: str, usual: Usual | None) -> Values:
    cursor.execute(LOOK_SETTINGS)
    parts = {"moved": "0", "missing": "0", "brought_in": "0"}
    if usual and usual.more_than is not None:
        parts["moved"] = MOVED.format(old="stored.price", new="record.price")
    if usual and usual.brought_in:
        brought_in = _BROUGHT_IN.format(condition=usual.condition)
        parts |= {
            "missing": f"count(*) FILTER (WHERE record.sku IS NULL AND {brought_in})",
            "brought_in": f"count(*) FILTER (WHERE {brought_in})",
        }
    params: dict[str, Any] = {}
    if usual:
        params = {"more_than": usual.more_than, "brought_in": list(usual.brought_in)}
        params |= usual.params or {}
    cursor.execute(_LOOK_AT_VALUES.format(table=table, **parts), params)
    values = Values(*cursor.fetchone())
    return values._replace(tenfold=values.tenfold or [])
