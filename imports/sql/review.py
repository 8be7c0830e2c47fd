"""The raw SQL of reviews: a table per job with what it would create and update, old and new."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.backends.utils import CursorWrapper

from catalog.sql.compare import REVIEW_TABLE


def review_table(job_id: int) -> str:
    return f"imports_review_{int(job_id)}"


def create_review(cursor: CursorWrapper, job_id: int) -> None:
    """Make an empty review, in place of one that may be there."""
    drop_review(cursor, job_id)
    cursor.execute(REVIEW_TABLE.format(table=review_table(job_id)))


def drop_review(cursor: CursorWrapper, job_id: int) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {review_table(job_id)}")


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
    table = review_table(job_id)
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute(f"CREATE INDEX {table}_move ON {table} ({MOVE}, chunk, place) WHERE {_MOVES}")
    cursor.execute(f"ANALYZE {table}")


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

    def where(self, job_id: int) -> tuple[str, dict[str, Any]]:
        """The condition and its parameters."""
        parts = ["true"]
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
        return " AND ".join(f"({part})" for part in parts), params


# The same as of MOVE, without a division, which costs more than to read the row.
_MOVES_MORE = f"""{_MOVES} AND CASE WHEN old_price > 0
    THEN abs(price - old_price) * 100 > %(more)s * old_price ELSE price > 0 END"""
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
    where, params = filters.where(job_id)
    keys = [MOVE, "chunk", "place"] if by_move else ["chunk", "place"]
    if by_move:
        where += f" AND {_MOVES} AND {MOVE} IS NOT NULL"
    down = falling != backwards
    if after is not None:
        names = [f"after_{number}" for number in range(len(keys))]
        params |= dict(zip(names, after, strict=True))
        marks = ", ".join(f"%({name})s" for name in names)
        where += f" AND ({', '.join(keys)}) {'<' if down else '>'} ({marks})"
    order = ", ".join(f"{key} {'DESC' if down else 'ASC'}" for key in keys)
    cursor.execute("SELECT set_config('jit', 'off', true)")
    cursor.execute(
        f"SELECT *, {MOVE} AS move FROM {review_table(job_id)} WHERE {where} ORDER BY {order}"
        " LIMIT %(limit)s",
        {**params, "limit": limit},
    )
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return rows[::-1] if backwards else rows


def count_review(
    cursor: CursorWrapper, job_id: int, filters: Filters, *, by_move: bool = False
) -> int:
    """How many rows of a review match, as ``read_review`` takes them."""
    where, params = filters.where(job_id)
    if by_move:
        where += f" AND {_MOVES} AND {MOVE} IS NOT NULL"
    cursor.execute(f"SELECT count(*) FROM {review_table(job_id)} WHERE {where}", params)
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
        "INSERT INTO imports_leftoutrecord (job_id, chunk, line, action)"
        f" SELECT %(job)s, chunk, line, action FROM {review_table(job_id)}"
        f" WHERE {where} AND (NOT %(some)s OR line = ANY(%(lines)s)) ON CONFLICT DO NOTHING",
        {**params, "some": bool(lines), "lines": list(lines)},
    )
    return int(cursor.rowcount)


def take_in(cursor: CursorWrapper, job_id: int, filters: Filters, lines: Collection[int]) -> int:
    """The opposite."""
    where, params = filters.where(job_id)
    cursor.execute(
        "DELETE FROM imports_leftoutrecord WHERE job_id = %(job)s AND line IN ("
        f" SELECT line FROM {review_table(job_id)} WHERE {where})"
        " AND (NOT %(some)s OR line = ANY(%(lines)s))",
        {**params, "some": bool(lines), "lines": list(lines)},
    )
    return int(cursor.rowcount)


_OF_CHUNK = "SELECT line FROM imports_leftoutrecord WHERE job_id = {job} AND chunk = {chunk}"


def without_left_out(source: str, job_id: int, chunk: int) -> str:
    """The staged records of a chunk (``staging.chunk_source``) without those left out.

    What they replaced stays: it is superseded all the same.
    """
    left_out = _OF_CHUNK.format(job=int(job_id), chunk=int(chunk))
    kept = f"next_line IS NOT NULL OR line NOT IN ({left_out})"
    return f"SELECT * FROM ({source}) AS records WHERE {kept}"


def shown_without_left_out(job_id: int, chunk: int) -> str:
    """A review as a query without those of a chunk that are left out."""
    left_out = _OF_CHUNK.format(job=int(job_id), chunk=int(chunk))
    return (
        f"(SELECT * FROM {review_table(job_id)}"
        f" WHERE action <> 'm' AND line NOT IN ({left_out})) AS shown"
    )
