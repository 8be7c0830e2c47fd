"""The verbs of the catalogue."""

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from catalog.models import ChangeSet

UNFINISHED = (ChangeSet.Status.WAITING, ChangeSet.Status.APPLYING)
# Serialises the decision whose turn it is; any number that nothing else locks will do.
TURN_LOCK = 7_236_001


def open_change_set(*, kind: ChangeSet.Kind, actor: User | None) -> ChangeSet:
    """Start a large act. It waits for its turn to write to the catalogue."""
    return ChangeSet.objects.create(kind=kind, actor=actor)


@transaction.atomic
def take_turn(change_set: ChangeSet) -> bool:
    """Make this change set the one that writes to the catalogue, if it is its turn.

    It is, when no earlier one is unfinished and none is writing. Returns whether the
    change set holds the turn now; asking again while it does is harmless.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN_LOCK])
    writing = ChangeSet.objects.filter(status=ChangeSet.Status.APPLYING)
    if whose_turn() != change_set or writing.exclude(pk=change_set.pk).exists():
        return False
    ChangeSet.objects.filter(pk=change_set.pk).update(status=ChangeSet.Status.APPLYING)
    return True


def whose_turn() -> ChangeSet | None:
    """The change set that writes to the catalogue, or that may do so next."""
    return ChangeSet.objects.filter(status__in=UNFINISHED).order_by("id").first()


def count_changes(change_set_id: int, *, created: int, updated: int) -> None:
    """Add to a change set's counts, in the transaction of the changes."""
    ChangeSet.objects.filter(pk=change_set_id).update(
        created=F("created") + created, updated=F("updated") + updated
    )


def close_change_set(change_set_id: int, *, status: ChangeSet.Status) -> None:
    """End a large act, so that the next one has its turn."""
    ChangeSet.objects.filter(pk=change_set_id).update(status=status, finished_at=timezone.now())


def drop_change_set(change_set_id: int) -> None:
    """Remove a change set that changed nothing."""
    ChangeSet.objects.filter(pk=change_set_id, created=0, updated=0, deleted=0).delete()
