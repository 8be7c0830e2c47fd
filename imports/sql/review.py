"""The raw SQL of reviews: a table per job with what it would create and update, old and new."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.backends.utils import CursorWrapper
from psycopg import sql

from catalog.sql.compare import REVIEW_TABLE


def review_table(job_id: int) -> str:
    return f"imports_review_{int(job_id)}"


def _composed(statement: str, job_id: int, **parts: sql.Composable) -> str:
    """A statement with the review's table in the place of ``{table}``, and other parts."""
    table = sql.Identifier(review_table(job_id))
    return sql.SQL(statement).format(table=table, **parts).as_string()


def create_review(cursor: CursorWrapper, job_id: int) -> None:
    """Make an empty review, in place of one that may be there."""
    drop_review(cursor, job_id)
    cursor.execute(REVIEW_TABLE.format(table=review_table(job_id)))


def drop_review(cursor: CursorWrapper, job_id: int) -> None:
    cursor.execute(_composed("DROP TABLE IF EXISTS {table}", job_id))


def review_exists(cursor: CursorWrapper, job_id: int) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [review_table(job_id)])
    return bool(cursor.fetchone()[0])


# By how many per cent a price changes; without bound where it was 0. The index is for it: to sort
# half a million changes by it.
MOVE = """(CASE WHEN old_price > 0 THEN (price - old_price) * 100 / old_price
                WHEN old_price = 0 AND price > 0 THEN 'Infinity'::numeric END)"""
_MOVES = "action = 'u' AND old_price IS NOT NULL AND price IS NOT NULL"


def index_review(cursor: CursorWrapper, job_id: int) -> None:
    """Let a review be read in the order of how prices change."""
    name = sql.Identifier(f"{review_table(job_id)}_move")
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute(
        _composed(
            "CREATE INDEX {name} ON {table} ({move}, chunk, place) WHERE {moves}",
            job_id,
            name=name,
            move=sql.SQL(MOVE),
            moves=sql.SQL(_MOVES),
        )
    )
    cursor.execute(_composed("ANALYZE {table}", job_id))


@dataclass(frozen=True)
class Filters:
    """Which rows of a review; blank, 0 and ``None`` mean any.

    Those of one action (``c``, ``u``), that update one of ``fields``, that have one of ``flags``,
    whose price moves by more than ``more_than`` per cent, whose SKU or name contains ``text``, that
    are (not) ``left_out``.
    """

    action: str = ""
    fields: int = 0
    flags: int = 0
    more_than: Any = None  # a Decimal
    text: str = ""
    left_out: bool | None = None

    def where(self, job_id: int, *more: str) -> tuple[sql.Composable, dict[str, Any]]:
        """The condition, with ``more`` of them, and its parameters."""
        parts = ["true", *more]
        params: dict[str, Any] = {"job": job_id}
        if self.action:
            parts.append('action = %(action)s::"char"')
            params["action"] = self.action
        if self.fields:
            parts.append("action = 'u' AND fields & %(fields)s > 0")
            params["fields"] = self.fields
        if self.flags:
            parts.append("flags & %(flags)s > 0")
            params["flags"] = self.flags
        if self.more_than is not None:
            parts.append(_MOVES_MORE)
            params["more"] = self.more_than
        if self.text:
            escaped = self.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            params["text"] = f"%{escaped}%"
            parts.append(_CONTAINS)
        if self.left_out is not None:
            parts.append(f"line {'' if self.left_out else 'NOT '}IN ({_LEFT_OUT})")
        return sql.SQL(" AND ").join(sql.SQL(f"({part})") for part in parts), params


# The same as of MOVE, without a division, which costs more than to read the row.
_MOVES_MORE = f"""{_MOVES} AND CASE WHEN old_price > 0
    THEN abs(price - old_price) * 100 > %(more)s * old_price ELSE price > 0 END"""
_HAS_MOVE = f"{_MOVES} AND {MOVE} IS NOT NULL"
_LEFT_OUT = "SELECT line FROM imports_leftoutrecord WHERE job_id = %(job)s"
# A name that stays as it is, only the catalogue has.
_CONTAINS = """upper(sku) LIKE upper(%(text)s) OR upper(name) LIKE upper(%(text)s)
    OR upper(old_name) LIKE upper(%(text)s) OR (action = 'u' AND fields & 2 = 0 AND lower(sku) IN (
        SELECT lower(sku) FROM catalog_product WHERE upper(name::text) LIKE upper(%(text)s)))"""


def read_review(
    cursor: CursorWrapper,
    job_id: int,
    *,
    after: tuple[Any, ...] | None = None,
    limit: int,
    filters: Filters = Filters(),
    by_move: bool = False,
    falling: bool = False,
    backwards: bool = False,
) -> list[dict[str, Any]]:
    """Rows of a review after (or, ``backwards``, before) a place, in the order of their SKUs.

    A place is ``(chunk, place)``; ``by_move`` it is ``(move, chunk, place)``, and the rows are the
    changes of prices in the order of how much, ``falling`` or rising. Each has its ``move``.
    """
    keys = [MOVE, "chunk", "place"] if by_move else ["chunk", "place"]
    more = [_HAS_MOVE] if by_move else []
    down = falling != backwards
    places = {f"after_{number}": value for number, value in enumerate(after or ())}
    if after is not None:
        marks = ", ".join(f"%({name})s" for name in places)
        more.append(f"({', '.join(keys)}) {'<' if down else '>'} ({marks})")
    where, params = filters.where(job_id, *more)
    order = ", ".join(f"{key} {'DESC' if down else 'ASC'}" for key in keys)
    cursor.execute("SELECT set_config('jit', 'off', true)")
    cursor.execute(
        _composed(
            "SELECT *, {move} AS move FROM {table} WHERE {where} ORDER BY {order} LIMIT %(limit)s",
            job_id,
            move=sql.SQL(MOVE),
            where=where,
            order=sql.SQL(order),
        ),
        {**params, **places, "limit": limit},
    )
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return rows[::-1] if backwards else rows


def count_review(
    cursor: CursorWrapper, job_id: int, filters: Filters, *, by_move: bool = False
) -> int:
    """How many rows of a review match, as ``read_review`` takes them."""
    where, params = filters.where(job_id, *([_HAS_MOVE] if by_move else []))
    cursor.execute(
        _composed("SELECT count(*) FROM {table} WHERE {where}", job_id, where=where), params
    )
    return int(cursor.fetchone()[0])


def products_of(cursor: CursorWrapper, skus: Collection[str]) -> dict[str, tuple[int, str]]:
    """The numbers and names of the products with these SKUs, in any case; those there are."""
    cursor.execute(
        "SELECT key, id, name FROM unnest(%s::text[]) AS key"
        " JOIN catalog_product ON lower(sku) = lower(key)",
        [list(skus)],
    )
    return {key: (product_id, name) for key, product_id, name in cursor.fetchall()}


# --- Records that are left out ----------------------------------------------------------


def leave_out(cursor: CursorWrapper, job_id: int, filters: Filters, lines: Collection[int]) -> int:
    """Leave out the rows that match, of ``lines`` if there are any; returns how many are new."""
    where, params = filters.where(job_id)
    cursor.execute(
        _composed(
            "INSERT INTO imports_leftoutrecord (job_id, chunk, line, action)"
            " SELECT %(job)s, chunk, line, action FROM {table}"
            " WHERE {where} AND (NOT %(some)s OR line = ANY(%(lines)s)) ON CONFLICT DO NOTHING",
            job_id,
            where=where,
        ),
        {**params, "some": bool(lines), "lines": list(lines)},
    )
    return int(cursor.rowcount)


def take_in(cursor: CursorWrapper, job_id: int, filters: Filters, lines: Collection[int]) -> int:
    """The opposite."""
    where, params = filters.where(job_id)
    cursor.execute(
        _composed(
            "DELETE FROM imports_leftoutrecord WHERE job_id = %(job)s AND line IN ("
            " SELECT line FROM {table} WHERE {where})"
            " AND (NOT %(some)s OR line = ANY(%(lines)s))",
            job_id,
            where=where,
        ),
        {**params, "some": bool(lines), "lines": list(lines)},
    )
    return int(cursor.rowcount)


def _left_out_of(job_id: int, chunk: int) -> sql.Composed:
    """The lines of a chunk that are left out."""
    statement = "SELECT line FROM imports_leftoutrecord WHERE job_id = {} AND chunk = {}"
    return sql.SQL(statement).format(int(job_id), int(chunk))


def without_left_out(source: str, job_id: int, chunk: int) -> str:
    """The staged records of a chunk (``staging.chunk_source``) without those left out.

    What they replaced stays: it is superseded all the same.
    """
    statement = (
        "SELECT * FROM ({source}) AS records"
        " WHERE next_line IS NOT NULL OR line NOT IN ({left_out})"
    )
    left_out = _left_out_of(job_id, chunk)
    return sql.SQL(statement).format(source=sql.SQL(source), left_out=left_out).as_string()


def shown_without_left_out(job_id: int, chunk: int) -> str:
    """A review as a query without those of a chunk that are left out."""
    return _composed(
        "(SELECT * FROM {table} WHERE action <> 'm' AND line NOT IN ({left_out})) AS shown",
        job_id,
        left_out=_left_out_of(job_id, chunk),
    )
