"""Events and deliveries that are kept no longer, batch by batch."""

from datetime import datetime

from django.db.backends.utils import CursorWrapper

_OLD = """
    SELECT event.id FROM webhooks_event AS event
    WHERE event.created_at < %(before)s AND NOT EXISTS (
        SELECT FROM webhooks_delivery AS delivery JOIN webhooks_endpoint AS endpoint
            ON endpoint.id = delivery.endpoint_id
        WHERE delivery.event_id = event.id AND delivery.state = 'pending' AND endpoint.enabled
    )
"""
_CLEAR_OLD = f"""
WITH old AS (
    {_OLD}
    ORDER BY event.created_at LIMIT %(most)s
), attempts AS (
    DELETE FROM webhooks_attempt USING webhooks_delivery AS delivery
    WHERE delivery.id = webhooks_attempt.delivery_id AND delivery.event_id IN (SELECT id FROM old)
), deliveries AS (
    DELETE FROM webhooks_delivery WHERE event_id IN (SELECT id FROM old)
)
DELETE FROM webhooks_event WHERE id IN (SELECT id FROM old)
"""


def clear_old(cursor: CursorWrapper, *, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` events that are older, with their log; returns how many."""
    cursor.execute(_CLEAR_OLD, {"before": before, "most": limit})
    return int(cursor.rowcount)


def count_old(cursor: CursorWrapper, *, before: datetime) -> int:
    """How many events ``clear_old`` would delete."""
    cursor.execute(f"SELECT count(*) FROM ({_OLD}) AS old", {"before": before})
    return int(cursor.fetchone()[0])


_CLEAR_DELETED = """
WITH gone AS (
    SELECT delivery.id FROM webhooks_delivery AS delivery
    WHERE delivery.endpoint_id = %(endpoint)s LIMIT %(most)s
), attempts AS (
    DELETE FROM webhooks_attempt WHERE delivery_id IN (SELECT id FROM gone)
)
DELETE FROM webhooks_delivery WHERE id IN (SELECT id FROM gone)
"""


def clear_deleted(cursor: CursorWrapper, *, endpoint_id: int, limit: int) -> int:
    """Delete up to ``limit`` deliveries of an endpoint that is deleted; returns how many."""
    cursor.execute(_CLEAR_DELETED, {"endpoint": endpoint_id, "most": limit})
    return int(cursor.rowcount)
