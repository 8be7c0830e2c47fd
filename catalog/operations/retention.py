"""Clearing: after ``KEEP_CHANGES`` a change set keeps its counts, but not what was before.

Changes, deleted products and the lists of what undos left alone go in small transactions, the
oldest first. A change set that has not ended, or that a younger undo still needs, keeps all.
"""

import time

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from catalog.models import BulkSlice, ChangeSet, Field
from catalog.sql import retention, search
from catalog.sql.fields import drop_indexes

CLEAR_SECONDS = 5.0  # of it in one run
SETS_AT_ONCE = 1000  # that have little each, such as edits
# Everything that belongs to change sets and is only read for undo and history.
TABLES = ("catalog_change", "catalog_removedproduct", "catalog_undoconflict")


def old_changes() -> int:
    """How many changes, deleted products and kept ones ``clear_changes`` would delete, about."""
    if settings.KEEP_CHANGES is None:
        return 0
    with connection.cursor() as cursor:
        return retention.count_old(cursor, before=timezone.now() - settings.KEEP_CHANGES)


def clear_changes(*, seconds: float = CLEAR_SECONDS) -> int:
    """Delete what change sets that are too old have kept for undo; return how many rows.

    For about so many seconds: the next run goes on where this one stopped.
    """
    if settings.KEEP_CHANGES is None:
        return 0
    deadline = time.monotonic() + seconds
    before = timezone.now() - settings.KEEP_CHANGES
    rows = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            ids = _some(retention.choose(cursor, before=before, limit=SETS_AT_ONCE))
            expired = retention.expire(cursor, ids, before=before, now=timezone.now())
        _forget_fields(expired)
        if not expired:
            return rows
        rows += _delete_rows_of(expired, deadline)
        if time.monotonic() > deadline:
            return rows


def _forget_fields(expired: list[int]) -> None:
    """A deleted field can come back as long as its clearing can be undone, and no longer."""
    for field in Field.objects.filter(cleared_in__in=expired):
        with transaction.atomic(), connection.cursor() as cursor:
            drop_indexes(cursor, field.pk)
            field.delete()


def _some(found: list[tuple[int, int]]) -> list[int]:
    """As many of the change sets as have a slice of rows together; at least one."""
    ids: list[int] = []
    total = 0
    for change_set_id, rows in found:
        if ids and total + rows > retention.SLICE_ROWS:
            break
        ids.append(change_set_id)
        total += rows
    return ids


def _delete_rows_of(ids: list[int], deadline: float) -> int:
    """Delete all rows of these change sets, and note that they are gone, if time allows."""
    rows = 0
    for table in TABLES:
        with transaction.atomic(), connection.cursor() as cursor:
            ranges = retention.row_ranges(cursor, table, ids)
        for first, last in ranges:
            with transaction.atomic(), connection.cursor() as cursor:
                if table == "catalog_change":
                    search.forget_if_beyond(cursor, last)
                rows += retention.delete_rows(cursor, table, ids, first=first, last=last)
            if time.monotonic() > deadline:
                return rows
    BulkSlice.objects.filter(change_set__in=ids).delete()  # of an act that failed
    ChangeSet.objects.filter(pk__in=ids).update(cleared_at=timezone.now())
    return rows
