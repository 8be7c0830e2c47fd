"""Raw SQL of clearing: the values before of change sets that are too old to be undone.

Everything is found by an index: the change sets by a partial one over their ends, their rows by
block ranges and then by ranges of the rows' own numbers.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

SLICE_ROWS = 10_000  # numbers in one transaction; about 0.1 s

# Without statistics the planner does not know that the rows of a change set lie together.
SETTINGS = "SET LOCAL jit = off; SET LOCAL enable_seqscan = off"

# Undoing an undo needs what the change set that it took back had changed: so that one stays
# until its undos are old as well.
_OLD = """
    finished_at < %(before)s AND cleared_at IS NULL
    AND status IN ('completed', 'failed', 'cancelled')
    AND NOT EXISTS (
        SELECT FROM catalog_changeset AS undo
        WHERE undo.undo_of_id = change_set.id AND undo.expired_at IS NULL
    )
"""
_CHOOSE = f"""
SELECT id, updated + deleted + conflicts FROM catalog_changeset AS change_set
WHERE {_OLD} ORDER BY finished_at, id LIMIT %(most)s
"""


def choose(cursor: CursorWrapper, *, before: datetime, limit: int) -> list[tuple[int, int]]:
    """The oldest change sets that ended before then, each with how many rows it has, about."""
    cursor.execute(_CHOOSE, {"before": before, "most": limit})
    return list(cursor.fetchall())


def count_old(cursor: CursorWrapper, *, before: datetime) -> int:
    """How many rows those have altogether, by their counts."""
    cursor.execute(
        "SELECT COALESCE(sum(updated + deleted + conflicts), 0)"
        f" FROM catalog_changeset AS change_set WHERE {_OLD}",
        {"before": before},
    )
    return int(cursor.fetchone()[0])


_EXPIRE = f"""
UPDATE catalog_changeset AS change_set SET expired_at = COALESCE(expired_at, %(now)s)
WHERE id = ANY (%(ids)s) AND {_OLD} RETURNING id
"""


def expire(
    cursor: CursorWrapper, ids: Sequence[int], *, before: datetime, now: datetime
) -> list[int]:
    """End the time in which these can be undone; returns those that it has ended for.

    Whoever starts an undo, or a retry, locks the same rows: what came first counts. Run in a
    transaction of its own.
    """
    cursor.execute(
        "SELECT FROM catalog_changeset WHERE id = ANY (%s) ORDER BY id FOR UPDATE SKIP LOCKED",
        [list(ids)],
    )
    cursor.execute(_EXPIRE, {"ids": list(ids), "before": before, "now": now})
    return sorted(change_set_id for (change_set_id,) in cursor)


_MINE = "change_set_id BETWEEN %(first_set)s AND %(last_set)s AND change_set_id = ANY (%(ids)s)"


def row_ranges(cursor: CursorWrapper, table: str, ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where the rows of these change sets are: first and last number, ``SLICE_ROWS`` at most."""
    cursor.execute(SETTINGS)
    cursor.execute(
        f"SELECT min(id), max(id) FROM {table} WHERE {_MINE} GROUP BY id / {SLICE_ROWS} ORDER BY 1",
        _params(ids),
    )
    return iter(cursor.fetchall())


def delete_rows(
    cursor: CursorWrapper, table: str, ids: Sequence[int], *, first: int, last: int
) -> int:
    """Delete the rows of these change sets in a range of numbers; returns how many."""
    cursor.execute(SETTINGS)
    cursor.execute(
        f"DELETE FROM {table} WHERE id BETWEEN %(first)s AND %(last)s AND {_MINE}",
        {**_params(ids), "first": first, "last": last},
    )
    return int(cursor.rowcount)


def _params(ids: Sequence[int]) -> dict[str, Any]:
    return {"ids": list(ids), "first_set": min(ids), "last_set": max(ids)}
