"""The verbs of the outbox."""

import json
from typing import Any

from django.db import connection
from django.utils import timezone

from webhooks.models import Event


def record_event(*, type: Event.Type, data: dict[str, Any]) -> Event:
    """Write an event in the transaction of the change that it tells of.

    Raises ``RuntimeError`` outside a transaction: an event of a change that is then
    rolled back would be a lie.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("record_event must run in the transaction of the change it tells of")
    with connection.cursor() as cursor:
        # The sequence number is part of the bytes, so it is drawn before the row is written.
        cursor.execute("SELECT nextval(pg_get_serial_sequence('webhooks_event', 'id'))")
        (sequence,) = cursor.fetchone()
    now = timezone.now()
    body = {"type": type, "timestamp": now.isoformat(), "sequence": sequence, "data": data}
    event = Event(
        id=sequence,
        type=type,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        created_at=now,
    )
    event.save(force_insert=True)
    return event
