"""Change sets, to which every write to products belongs, and their turns to write.

The events of a write are in its transaction.
"""

from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Case, F, Q, When
from django.utils import timezone
from structlog import get_logger

from catalog.models import ChangeSet
from catalog.sql import acts
from product_importer.common import counters
from product_importer.common.enqueue import send_after_commit
from product_importer.common.locks import AdvisoryLock
from webhooks.operations.events import record_changed_products

logger = get_logger(__name__)

# The task that carries a large act of a kind on when its turn has come; the apps fill it in.
TURN_TASKS: dict[str, str] = {}


def open_change_set(*, kind: ChangeSet.Kind, actor: User | None, **details: Any) -> ChangeSet:
    """Start a large act. It waits for its turn to write to the catalogue."""
    return ChangeSet.objects.create(kind=kind, actor=actor, **details)


@transaction.atomic
def take_turn(change_set: ChangeSet) -> bool:
    """Make this change set the one that writes to the catalogue, if it is its turn.

    It is, when none is writing and no earlier one is unfinished. Returns whether the
    change set holds the turn now; asking again while it does is harmless.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.TURN])
    if whose_turn() != change_set:
        return False
    # Unless it was cancelled this very moment: then nobody would ever give the turn back.
    mine = ChangeSet.objects.filter(pk=change_set.pk, status__in=ChangeSet.UNFINISHED)
    return bool(mine.update(status=ChangeSet.Status.APPLYING))


def whose_turn() -> ChangeSet | None:
    """The change set that writes to the catalogue, or that may do so next.

    One that was ended and goes on (``reopen_change_set``) has its old place, before those that
    wait, but it does not interrupt the one that writes.
    """
    unfinished = ChangeSet.objects.filter(status__in=ChangeSet.UNFINISHED)
    writing = Case(When(status=ChangeSet.Status.APPLYING, then=0), default=1)
    return unfinished.order_by(writing, "id").first()


def count_changes(
    change_set_id: int,
    *,
    created: int = 0,
    updated: int = 0,
    deleted: int = 0,
    conflicts: int = 0,
) -> None:
    """Add to a change set's counts, in the transaction of the changes: it got on."""
    ChangeSet.objects.filter(pk=change_set_id).update(
        created=F("created") + created,
        updated=F("updated") + updated,
        deleted=F("deleted") + deleted,
        conflicts=F("conflicts") + conflicts,
        attempts=0,
        progress_at=timezone.now(),
    )


def tell_chosen(cursor: CursorWrapper, change_set_id: int, ids: list[int]) -> None:
    """Tell of products that a change set is about to delete."""
    record_changed_products(
        cursor,
        change_set_id=change_set_id,
        source_sql=acts.CHOSEN.format(where="id = ANY (%s)"),
        params=(ids,),
    )


def close_change_set(change_set_id: int, *, status: ChangeSet.Status, error: str = "") -> None:
    """End a large act, so that the next one has its turn."""
    ChangeSet.objects.filter(pk=change_set_id).update(
        status=status, error=error, finished_at=timezone.now()
    )
    _wake_next()
    counters.add({f"change_sets|{status}": 1})
    ended = {"change_set_id": change_set_id, "status": status}
    transaction.on_commit(partial(logger.info, "change_set_closed", **ended))


@transaction.atomic
def reopen_change_set(change_set_id: int, *, actor: User | None) -> bool:
    """Let an act that was ended too early go on under the name of ``actor``, or as it was.

    In the same change set, so that all of it is still undone at once. Where another one has
    changed something in it before, it is shared (``ChangeSet.is_shared``), and nobody can undo it
    as his own. Not if what it changed is too old to be undone: returns whether it goes on.
    """
    ended = ChangeSet.objects.filter(pk=change_set_id, expired_at=None)
    if actor is not None:
        begun = ended.exclude(created=0, updated=0, deleted=0)
        begun.exclude(actor=actor).update(is_shared=True)
        ended.update(actor=actor)
    reopened = ended.update(status=ChangeSet.Status.WAITING, error="", attempts=0, finished_at=None)
    return bool(reopened)


def changed_since(moment: datetime, *, exclude: ChangeSet | None) -> bool:
    """Whether anything may have written to the catalogue since then; ``exclude`` is left out."""
    others = ChangeSet.objects.exclude(pk=exclude.pk) if exclude else ChangeSet.objects.all()
    return (
        others.exclude(created=0, updated=0, deleted=0)
        .filter(Q(finished_at__gte=moment) | Q(finished_at=None))
        .exists()
    )


def drop_change_set(change_set_id: int) -> None:
    """Remove a change set that changed nothing."""
    ChangeSet.objects.filter(pk=change_set_id, created=0, updated=0, deleted=0).delete()
    _wake_next()


def _wake_next() -> None:
    """Tell a worker whose turn it is now; if the message is lost, a sweep does."""
    next_one = whose_turn()
    if next_one is not None and next_one.kind in TURN_TASKS:
        send_after_commit(TURN_TASKS[next_one.kind], next_one.pk)
