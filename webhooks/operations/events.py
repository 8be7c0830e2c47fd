"""The verbs of the outbox: events, and who is to hear of them.

An event and its deliveries are written in the transaction of the change that they tell of, or
not at all; a dispatcher (``webhooks.pump``) is woken after the commit.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from product_importer.common.enqueue import send_once_after_commit
from webhooks.models import Event
from webhooks.sql import outbox, queue
from webhooks.task_names import DISPATCH, DISPATCH_QUEUE

TEXT_MOST, LIST_MOST = 200, 10  # of a body that would be too long


def wake_dispatcher() -> None:
    """Have what is due sent, once the surrounding transaction has committed.

    No message where a dispatcher runs already: it looks once more before it ends. Nor where enough
    of them wait. With one for every change, they pile up while the workers are busy.
    """
    send_once_after_commit(DISPATCH, into=DISPATCH_QUEUE, unless=_all_dispatchers_run)


def _all_dispatchers_run() -> bool:
    try:
        with connection.cursor() as cursor:
            return queue.taken_slots(cursor) >= settings.WEBHOOK_PUMPS
    except Error:
        return False  # the change is committed whatever became of the connection


def record_event(*, type: Event.Type, data: dict[str, Any]) -> Event:
    """Write an event, and its deliveries, in the transaction of the change that it tells of.

    Raises ``RuntimeError`` outside a transaction: an event of a change that is then
    rolled back would be a lie.
    """
    event = add_event(type=type, data=data)
    with connection.cursor() as cursor:
        if outbox.add_deliveries(cursor, event_id=event.pk):
            wake_dispatcher()
    return event


def add_event(
    *, type: Event.Type, data: dict[str, Any], told_as: Event.Type | None = None
) -> Event:
    """Write an event that nobody is to hear of yet. Raises ``RuntimeError``, as above.

    ``told_as`` is the type that the message has, for a test of how that is received.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an event must be written in the transaction of the change it tells of")
    with connection.cursor() as cursor:
        # The sequence number is part of the bytes, so it is drawn before the row is written.
        cursor.execute("SELECT nextval(pg_get_serial_sequence('webhooks_event', 'id'))")
        (sequence,) = cursor.fetchone()
    now = timezone.now()
    body = _body(told_as or type, now, sequence, data)
    if len(body) >= outbox.BODY_BYTES:
        body = _body(told_as or type, now, sequence, _shortened(data))
    event = Event(id=sequence, type=type, body=body, created_at=now)
    event.save(force_insert=True)
    return event


def _body(type: Event.Type, now: datetime, sequence: int, data: dict[str, Any]) -> bytes:
    body = {"type": type, "timestamp": now.isoformat(), "sequence": sequence, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _shortened(value: Any) -> Any:
    """The same with long texts cut and long lists ended early, such as an import's warnings."""
    if isinstance(value, str) and len(value) > TEXT_MOST:
        return value[:TEXT_MOST] + "…"
    if isinstance(value, list):
        return [_shortened(one) for one in value[:LIST_MOST]]
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    return value


def kept_since(now: datetime) -> datetime:
    """Since when events are kept, with their log: so far back a missed one can be recovered."""
    if settings.KEEP_EVENTS is None:
        return datetime.min.replace(tzinfo=UTC)
    return now - settings.KEEP_EVENTS


def record_changed_products(
    cursor: CursorWrapper, *, change_set_id: int, source_sql: str, params: Any
) -> None:
    """Tell of what a bulk act changed, in its own transaction: ``products.changed``.

    ``source_sql`` is a query with the columns ``id``, ``sku`` and ``action`` (created, updated
    or deleted), with its ``params``. It is not run at all where nobody listens.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an event must be written in the transaction of the change it tells of")
    now = timezone.now()
    if not outbox.somebody_listens(
        cursor, type=Event.Type.PRODUCTS_CHANGED, recoverable=kept_since(now)
    ):
        return
    # What an outsider hears of must be on the disk, even where the change itself could be redone.
    cursor.execute("SET LOCAL synchronous_commit = on")
    if outbox.add_changed_products(
        cursor, change_set_id=change_set_id, source=source_sql, params=params, now=now
    ):
        wake_dispatcher()
