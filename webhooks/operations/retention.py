"""Clearing: after ``KEEP_EVENTS`` an event goes with its log, and so does a deleted endpoint's.

Workers do this without what only sending needs (``webhooks.tasks``).
"""

import time
from collections.abc import Callable
from functools import partial

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from webhooks.models import Endpoint
from webhooks.operations.events import kept_since
from webhooks.sql import clearing

CLEAR_AT_ONCE = 500  # events with their log, or deliveries, in one transaction
CLEAR_SECONDS = 5.0  # of it in one run


def clear_log(*, seconds: float = CLEAR_SECONDS) -> int:
    """Delete what is too old to be recovered, and what deleted endpoints left; return how many.

    In small transactions, for about so many seconds: the next run goes on.
    """
    deadline = time.monotonic() + seconds
    before = kept_since(timezone.now())
    count = _in_batches(partial(clearing.clear_old, before=before, limit=CLEAR_AT_ONCE), deadline)
    for endpoint in Endpoint.everything.exclude(deleted_at=None)[:20]:
        clear = partial(clearing.clear_deleted, endpoint_id=endpoint.pk, limit=CLEAR_AT_ONCE)
        cleared = _in_batches(clear, deadline)
        if not cleared:
            endpoint.delete()
        count += cleared
    return count


def old_events() -> int:
    """How many events ``clear_log`` would delete now, with their log."""
    with connection.cursor() as cursor:
        return clearing.count_old(cursor, before=kept_since(timezone.now()))


def _in_batches(clear: Callable[[CursorWrapper], int], deadline: float) -> int:
    """Clear batch after batch until one finds nothing or the time is up."""
    count = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cleared = clear(cursor)
        count += cleared
        if not cleared or time.monotonic() > deadline:
            return count
