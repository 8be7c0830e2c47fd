"""The search index as SQL: one text per product in a table of its own, with trigrams.

Writers know nothing of it. Products have growing numbers, every update of one is a ``Change`` with
a growing number, and what an undo brings back is a ``BroughtBack``: so three numbers
(``SearchIndex``) say what the index covers, and what lies beyond them can be looked at directly.
(docs/decisions/0029-search-index.md)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, transaction
from django.db.backends.utils import CursorWrapper

TRIGRAMS = "catalog_searchentry_trigrams"
SLICE_ROWS = 10_000  # of products or changes in one transaction: half a second
# Hits that are looked up one by one, and products that are looked at because the index does not
# cover them yet. With more of them, looking at the whole table is about as quick.
MOST_HITS = 20_000
MOST_BEYOND = 20_000

# Each value as a filter compares it (icontains), so that what a value contains the text contains.
_TEXT = "upper(sku) || E'\\n' || upper(name) || E'\\n' || upper(description)"
_TEXT_FIELDS = 7  # of Change.Field: SKU, name, description

_SETTINGS = """
SET LOCAL jit = off;
SET LOCAL synchronous_commit = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off;
-- What the pending list of the index is sorted in.
SET LOCAL work_mem = '64MB';
SET LOCAL maintenance_work_mem = '64MB'
"""


@dataclass(frozen=True)
class Marks:
    """Numbers up to which something holds: of products, changes and what was brought back."""

    product: int
    change: int
    brought_back: int


# --- Building and following -----------------------------------------------------------

# A collation that changes a letter by those beside it (ICU: the Greek sigma at the end of a word)
# would give a part of a word other trigrams than the word has.
_LETTERS_STAND_ALONE = """
SELECT lower(U&'\\0391\\03A3' || U&'\\0392') = lower(U&'\\0391\\03A3') || lower(U&'\\0392')
   AND lower('I' || U&'\\0307') = lower('I') || lower(U&'\\0307')
"""


def enable_trigrams(cursor: CursorWrapper) -> str:
    """Make the extension if it is not there; return why there can be no index, or nothing."""
    try:
        with transaction.atomic():
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError:  # not installed, or not allowed
        return (
            "PostgreSQL does not have the extension pg_trgm, or the product may not create it. "
            "Install the contrib package of the server, or run CREATE EXTENSION pg_trgm."
        )
    cursor.execute(_LETTERS_STAND_ALONE)
    if not cursor.fetchone()[0]:
        return "The collation of this database changes letters by those that stand beside them."
    return ""


def begin(cursor: CursorWrapper, marks: Marks) -> None:
    """Empty the index and begin anew: no product, and the changes from now on."""
    cursor.execute("TRUNCATE catalog_searchentry, catalog_sortentry")
    cursor.execute(
        f"CREATE INDEX IF NOT EXISTS {TRIGRAMS} ON catalog_searchentry"
        " USING gin (text gin_trgm_ops) WITH (gin_pending_list_limit = 32768)"
    )
    cursor.execute("DELETE FROM catalog_searchindex")
    cursor.execute(
        "INSERT INTO catalog_searchindex"
        " (id, product, change, brought_back, every_letter, begun_at)"
        " VALUES (1, 0, %s, %s, COALESCE(array_length(show_trgm(%s), 1), 0) > 0, now())",
        [marks.change, marks.brought_back, "\u00e9\u0436"],
    )


def drop(cursor: CursorWrapper) -> None:
    """Leave nothing of the index."""
    cursor.execute("DELETE FROM catalog_searchindex")
    cursor.execute("TRUNCATE catalog_searchentry, catalog_sortentry")
    cursor.execute(f"DROP INDEX IF EXISTS {TRIGRAMS}")


_DRAWN = "COALESCE(pg_sequence_last_value(pg_get_serial_sequence('{}', 'id')::regclass), 0)"


def last_numbers(cursor: CursorWrapper) -> Marks:
    """The highest numbers that were drawn. Some up to them may not be committed yet."""
    tables = ("catalog_product", "catalog_change", "catalog_broughtback")
    cursor.execute(f"SELECT {', '.join(map(_DRAWN.format, tables))}")
    return Marks(*cursor.fetchone())


# Whoever has taken a number of one of these tables and not committed yet holds this lock, which
# is taken before the number is.
_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation IN ('catalog_product'::regclass, 'catalog_change'::regclass)
  AND pid IS DISTINCT FROM pg_backend_pid()
"""


def writers(cursor: CursorWrapper) -> set[str]:
    """The transactions that may be writing products now."""
    cursor.execute(_WRITERS)
    return {name for (name,) in cursor.fetchall()}


def lock_marks(cursor: CursorWrapper) -> Marks | None:
    """What the index covers, for this transaction to move on; ``None`` if another is at it."""
    cursor.execute(
        "SELECT product, change, brought_back FROM catalog_searchindex FOR UPDATE SKIP LOCKED"
    )
    row = cursor.fetchone()
    return Marks(*row) if row else None


_FOLLOW = f"""
WITH given AS MATERIALIZED ({{given}}), written AS (
    INSERT INTO catalog_searchentry (product_id, text)
    SELECT id, {_TEXT} FROM catalog_product
    WHERE id = ANY (ARRAY(SELECT product_id FROM given WHERE counts))
    ON CONFLICT (product_id) DO UPDATE SET text = EXCLUDED.text
    WHERE catalog_searchentry.text <> EXCLUDED.text
), sorted AS (
    INSERT INTO catalog_sortentry (product_id, name, price, active, created_at, updated_at)
    SELECT id, name, COALESCE(price, -1), active, created_at, updated_at FROM catalog_product
    WHERE id = ANY (ARRAY(SELECT product_id FROM given))
    ON CONFLICT (product_id) DO UPDATE SET
        name = EXCLUDED.name, price = EXCLUDED.price, active = EXCLUDED.active,
        created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at
)
SELECT count(*), max(number) FROM given
"""
_GIVEN = {
    "product": """
        SELECT id AS number, id AS product_id, true AS counts FROM catalog_product
        WHERE id > %s AND id <= %s ORDER BY id LIMIT %s""",
    "change": f"""
        SELECT id AS number, product_id, fields & {_TEXT_FIELDS} > 0 AS counts
        FROM catalog_change WHERE id > %s AND id <= %s ORDER BY id LIMIT %s""",
    # Each is a slice of an undo (catalog.sql.undo.SLICE_ROWS).
    "brought_back": """
        SELECT back.id AS number, product.id AS product_id, true AS counts FROM (
            SELECT * FROM catalog_broughtback WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
        ) AS back LEFT JOIN catalog_product AS product
            ON product.id BETWEEN back.first_id AND back.last_id""",
}


def follow(cursor: CursorWrapper, what: str, marks: Marks, goal: Marks) -> int:
    """Bring the next slice of ``what`` (a field of ``Marks``) into the index.

    All numbers up to ``goal`` are committed or never will be. Returns how far the index has
    come. Run inside a transaction that holds the marks (``lock_marks``).
    """
    rows = 1 if what == "brought_back" else SLICE_ROWS
    start, end = getattr(marks, what), getattr(goal, what)
    cursor.execute(_SETTINGS)
    cursor.execute(_FOLLOW.format(given=_GIVEN[what]), [start, end, rows])
    found, last = cursor.fetchone()
    reached = int(last) if found >= rows else max(start, end)
    cursor.execute(f"UPDATE catalog_searchindex SET {what} = %s, moved_at = now()", [reached])
    return reached


def tidy(cursor: CursorWrapper) -> None:
    """Bring what lies in the pending list of the index to its place, where it is found quicker."""
    cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL maintenance_work_mem = '64MB'")
    cursor.execute("SELECT gin_clean_pending_list(%s::regclass)", [TRIGRAMS])
    cursor.execute(
        "DELETE FROM catalog_broughtback WHERE made_at < now() - interval '1 hour'"
        " AND id <= (SELECT brought_back FROM catalog_searchindex)"
    )


_MOSTLY_GONE = """
SELECT entries.reltuples > 2 * GREATEST(products.reltuples, 0) + 20000
FROM pg_class AS entries, pg_class AS products
WHERE entries.oid = 'catalog_searchentry'::regclass AND products.oid = 'catalog_product'::regclass
"""


def mostly_gone(cursor: CursorWrapper) -> bool:
    """Whether most entries are of products that were deleted."""
    cursor.execute(_MOSTLY_GONE)
    if not cursor.fetchone()[0]:
        return False
    # Statistics may be old; this reads an index of each table.
    cursor.execute(
        "SELECT (SELECT count(*) FROM catalog_searchentry)"
        " > 2 * (SELECT count(*) FROM catalog_product)"
    )
    return bool(cursor.fetchone()[0])


def forget_if_beyond(cursor: CursorWrapper, change_id: int) -> None:
    """Give the index up where changes are cleared away that it has not seen."""
    cursor.execute("DELETE FROM catalog_searchindex WHERE change < %s", [change_id])


# --- Searching ------------------------------------------------------------------------

_NEARLY_CAUGHT_UP = f"""
    {_DRAWN.format("catalog_product")} - product + {_DRAWN.format("catalog_change")} - change
    + COALESCE((SELECT sum(last_id - first_id + 1) FROM catalog_broughtback
                WHERE id > brought_back), 0) <= %s"""
_HITS = """
SELECT product, change, brought_back, CASE WHEN {nearly}
    THEN ARRAY(SELECT product_id FROM ({named}) AS named (product_id) LIMIT %s)
END
FROM catalog_searchindex
"""
SORTED = "SELECT product_id FROM catalog_sortentry WHERE {where}"
_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT FROM catalog_searchentry WHERE text LIKE upper(%s)"
_KNOWN = """
SELECT GREATEST(reltuples, 0), every_letter FROM pg_class, catalog_searchindex
WHERE oid = 'catalog_searchentry'::regclass
"""
# The hits by their trigrams, the rest by numbers: the planner cannot know how few they are.
_BY_INDEX = """
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = on
"""
_BY_SCAN = """
SET LOCAL jit = off;
SET LOCAL enable_seqscan = on;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off
"""
BEYOND = """catalog_product.id = ANY (ARRAY(
    SELECT unnest(%s::bigint[])
    UNION ALL SELECT id FROM catalog_product WHERE id > %s
    UNION ALL SELECT product_id FROM catalog_change WHERE id > %s
    UNION ALL SELECT product.id FROM catalog_broughtback AS back JOIN catalog_product AS product
        ON product.id BETWEEN back.first_id AND back.last_id WHERE back.id > %s
))"""


def candidates(
    cursor: CursorWrapper, patterns: list[tuple[str, str]], *, entries: float, soon: bool
) -> list[Any] | None:
    """The parameters of ``BEYOND``, a condition that holds for all products that may match.

    A match contains the first of every pair of ``patterns`` (as for ``LIKE``) in its SKU, name or
    description; the second is a part of it that may be enough to find it by. ``None`` where the
    index is no help: it is far behind, or there are too many hits; ``soon``: also where it would
    have to look at many of its ``entries``, as for words that are frequent and seldom stand
    together.

    What another transaction writes after this one has looked gets numbers beyond those that are
    returned. So the condition is exact at any later moment too.
    """
    wholes = [whole for whole, _ in patterns]
    if all(_is_too_many(_expected(cursor, whole), entries) for whole in wholes):
        return None
    telling = [part for _, part in patterns if _expected(cursor, part) <= MOST_HITS]
    for texts in dict.fromkeys([tuple(telling), *([] if soon else [tuple(wholes)])]):
        if texts:
            cursor.execute(_BY_INDEX)
            if params := _hits(cursor, _containing(texts), texts):
                return params
    return None


def named(cursor: CursorWrapper, text: str, params: list[Any]) -> list[Any] | None:
    """The same, for the products that a query over what the index has of them names."""
    cursor.execute(
        "SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = on"
    )
    return _hits(cursor, text, params)


def scanned(cursor: CursorWrapper, patterns: list[str]) -> list[Any] | None:
    """The same for texts without trigrams: by looking at all entries, in parallel.

    That takes less than half of what looking at the products takes.
    """
    cursor.execute(_BY_SCAN)
    return _hits(cursor, _containing(patterns), patterns)


def known(cursor: CursorWrapper) -> tuple[float, bool] | None:
    """How many entries the index has, as the planner knows, and whether every letter is indexed.

    If not, only those of ASCII have trigrams. ``None`` where there is no index.
    """
    cursor.execute(_KNOWN)
    row = cursor.fetchone()
    return None if row is None else (float(row[0]), row[1])


def _expected(cursor: CursorWrapper, pattern: str) -> float:
    """How many entries have this, as the planner guesses by a sample; of what is rare, some."""
    cursor.execute(_ESTIMATE, [pattern])
    return float(cursor.fetchone()[0][0]["Plan"]["Plan Rows"])


def _is_too_many(expected: float, entries: float) -> bool:
    """Whether there are certainly more than ``MOST_HITS``: an index finds all before the first."""
    return expected > max(5 * MOST_HITS, entries / 10)


def _containing(patterns: Sequence[str]) -> str:
    """A query for the products whose entries have all of so many patterns."""
    match = " AND ".join(["text LIKE upper(%s)"] * len(patterns))
    return f"SELECT product_id FROM catalog_searchentry WHERE {match}"


def _hits(cursor: CursorWrapper, text: str, params: Sequence[Any]) -> list[Any] | None:
    """The parameters of ``BEYOND`` by a query for products.

    ``None`` where the index is far behind, or more than ``MOST_HITS`` are found.
    """
    cursor.execute(
        _HITS.format(nearly=_NEARLY_CAUGHT_UP, named=text), [MOST_BEYOND, *params, MOST_HITS + 1]
    )
    row = cursor.fetchone()
    cursor.execute("SET LOCAL enable_indexscan = on; SET LOCAL enable_bitmapscan = on")
    if row is None or row[3] is None or len(row[3]) > MOST_HITS:
        return None
    *marks, hits = row
    return [hits, *marks]


# --- Sorting --------------------------------------------------------------------------

SORT_KEYS = {  # of a product, as its entry has it
    "name": "catalog_product.name",
    "price": "COALESCE(catalog_product.price, -1)",
    "active": "catalog_product.active",
    "created_at": "catalog_product.created_at",
    "updated_at": "catalog_product.updated_at",
}

_WALK = """
SELECT state.product, state.change, state.brought_back, walked.ids, walked.last
FROM (
    SELECT * FROM catalog_searchindex WHERE {nearly} OFFSET 0
) AS state CROSS JOIN LATERAL (
    SELECT array_agg(product_id) AS ids, (array_agg(key))[%s] AS last FROM (
        SELECT entry.product_id, entry.key FROM (
            SELECT product_id, {name} AS key FROM catalog_sortentry {beyond}
            ORDER BY {name} {way}, product_id {way} LIMIT %s
        ) AS entry JOIN catalog_product ON catalog_product.id = entry.product_id
        WHERE {key} = entry.key AND ({where})
        ORDER BY entry.key {way}, entry.product_id {way} LIMIT %s
    ) AS page
) AS walked
"""
_IN_ORDER = """
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off
"""


def walk(
    cursor: CursorWrapper,
    *,
    name: str,
    descending: bool,
    position: list[Any] | None,
    bounds: list[tuple[str, Any]],
    where: tuple[str, tuple[Any, ...]],
    rows: int,
    limit: int,
) -> tuple[list[Any], list[Any]] | None:
    """The next ``limit`` products by a column of ``SORT_KEYS`` from a position (key, id) on.

    At most ``rows`` entries are passed. ``where`` is a condition on ``catalog_product`` with its
    parameters; every match's column is in ``bounds``, each a sign and a value. Returns the
    parameters of ``BEYOND`` and the position of the last one found: among the products for which
    that holds are all up to this position. ``None`` where the index is no help.
    """
    sign = "<" if descending else ">"
    passed = [f"{name} {bound} %s" for bound, _ in bounds]
    if position:
        passed.append(f"({name}, product_id) {sign} (%s, %s)")
    beyond = f"WHERE {' AND '.join(passed)}" if passed else ""
    given = [*(value for _, value in bounds), *(position or [])]
    condition, params = where
    cursor.execute(_IN_ORDER)
    cursor.execute(
        _WALK.format(
            nearly=_NEARLY_CAUGHT_UP,
            name=name,
            key=SORT_KEYS[name],
            beyond=beyond,
            way="DESC" if descending else "ASC",
            where=condition,
        ),
        [MOST_BEYOND, limit, *given, rows, *params, limit],
    )
    row = cursor.fetchone()
    if row is None or row[3] is None or len(row[3]) < limit:
        return None
    cursor.execute("SET LOCAL enable_bitmapscan = on")
    *marks, ids, last = row
    return [ids, *marks], [last, ids[-1]]


def prefer_whole_table(cursor: CursorWrapper, *, unless_indexed: bool = False) -> None:
    """Until the end of the transaction: products are found by reading all, in parallel.

    ``unless_indexed``: or by an index that a condition fits to, if the planner finds that less.
    """
    cursor.execute(
        "SET LOCAL jit = off; SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off;"
        f" SET LOCAL enable_bitmapscan = {'on' if unless_indexed else 'off'}"
    )


def prefer_order_of_index(cursor: CursorWrapper) -> None:
    """Until the end of the transaction: products are passed in the order of an index."""
    cursor.execute(
        "SET LOCAL jit = off; SET LOCAL enable_seqscan = off;"
        " SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
    )


_FIRST_OF_FEW = """
SELECT id, count(*) OVER () FROM ({matches}) AS matches
ORDER BY sort_key {way}, id {way} LIMIT %s
"""


def first_of_few(
    cursor: CursorWrapper,
    matches: tuple[str, tuple[Any, ...]],
    *,
    count_limit: int,
    descending: bool,
    limit: int,
) -> tuple[list[int], int] | None:
    """The ids of the first ``limit`` matches and how many there are, by reading products once.

    ``matches`` is a query with its parameters, of ``id`` and ``sort_key`` without an order, that
    ends after more than ``count_limit`` rows: then this is ``None``. No match is ``[], 0``.
    """
    query, params = matches
    way = "DESC" if descending else "ASC"
    cursor.execute(_FIRST_OF_FEW.format(matches=query, way=way), [*params, limit])
    rows = cursor.fetchall()
    count = rows[0][1] if rows else 0
    return None if count > count_limit else ([number for number, _ in rows], count)
