"""How the deliveries do: what waits and since when, and the last 24 hours of endpoints."""

from datetime import datetime

from django.db.backends.utils import CursorWrapper

_OLDEST_DUE = """
SELECT min(due.next_attempt_at) FROM webhooks_endpoint AS endpoint CROSS JOIN LATERAL (
    SELECT next_attempt_at FROM webhooks_delivery
    WHERE endpoint_id = endpoint.id AND state = 'pending' AND next_attempt_at <= %(now)s
    ORDER BY next_attempt_at LIMIT 1
) AS due
WHERE endpoint.enabled AND endpoint.deleted_at IS NULL
"""


def oldest_due(cursor: CursorWrapper, *, now: datetime) -> datetime | None:
    """Since when the longest waiting delivery of an enabled endpoint has been due."""
    cursor.execute(_OLDEST_DUE, {"now": now})
    found: datetime | None = cursor.fetchone()[0]
    return found


# By the index of what is due, whose order it asks for: the queue is read, not the table.
_COUNT_PENDING = """
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery WHERE state = 'pending'
    ORDER BY endpoint_id, next_attempt_at LIMIT %(most)s
) AS pending
"""


def count_pending(cursor: CursorWrapper, *, limit: int) -> int:
    """How many deliveries wait, counted up to ``limit``."""
    cursor.execute(_COUNT_PENDING, {"most": limit})
    return int(cursor.fetchone()[0])


_DAY = """
SELECT endpoint_id, floor(extract(epoch FROM %(now)s - at) / 3600)::int AS hours_ago,
       count(*) FILTER (WHERE response_status BETWEEN 200 AND 299) AS succeeded,
       count(*) AS attempts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms)
           FILTER (WHERE response_status IS NOT NULL) AS median
FROM webhooks_attempt
WHERE endpoint_id = ANY (%(endpoints)s) AND at > %(now)s - interval '24 hours'
GROUP BY GROUPING SETS ((1, 2), (1))
"""


def day_figures(
    cursor: CursorWrapper, *, endpoint_ids: list[int], now: datetime
) -> list[tuple[int, int | None, int, int, float | None]]:
    """Of the last 24 hours: endpoint, hours ago, succeeded, attempts, median latency in ms.

    One row for each hour with attempts, and one with ``None`` for the whole day.
    """
    cursor.execute(_DAY, {"endpoints": endpoint_ids, "now": now})
    return list(cursor.fetchall())
