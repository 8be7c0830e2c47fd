"""Undo: take back what a change set did, as a change set of its own.

    start_undo -> catalog.operations.bulk.run_bulk_act (its turn, slices, end)

What the change set updated gets its values before, what it created is deleted, what it deleted
comes back with its old number. A product that somebody changed since stays as it is and is
listed, with who changed it. An undo keeps the values before as well, so it can be undone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from catalog.models import BroughtBack, BulkSlice, ChangeSet, Field
from catalog.operations import change_sets
from catalog.queries.own_fields.fields import unique_keys
from catalog.sql import acts
from catalog.sql import undo as sql_undo
from product_importer.common.enqueue import send_after_commit
from product_importer.common.errors import NotPossible
from webhooks.models import Event
from webhooks.operations.events import record_changed_products, record_event

# Of apps above: a sentence why somebody may not undo a change set by now, or nothing.
REFUSALS: "list[Callable[[ChangeSet, User | None], str]]" = []


class NotUndoable(NotPossible):
    """The change set cannot be undone; the message says why."""


TOO_OLD = (
    "It is too old to be undone: what was before is no longer kept (KEEP_CHANGES_DAYS says how "
    "long it is). Import an older file, or change the products as they should be."
)


@dataclass(frozen=True)
class Forecast:
    """What undoing a change set would do now, in products. ``keep`` stay as they are."""

    restore: int
    delete: int
    bring_back: int
    keep: int

    @property
    def total(self) -> int:
        return self.restore + self.delete + self.bring_back


# --- Whether it can be ----------------------------------------------------------------


def undo_of(change_set: ChangeSet) -> ChangeSet | None:
    """The undo that stands: under way, or it has changed something and was not undone itself.

    One that failed goes on when it is asked for again. One that changed nothing, because all was
    changed since, may find it otherwise the next time.
    """
    for undo in change_set.undos.all():  # newest first
        failed = undo.status == ChangeSet.Status.FAILED
        if undo.is_final and (failed or not undo.changed):
            continue
        if undo_of(undo) is None:
            return undo
    return None


def half_done_undo_of(change_set: ChangeSet) -> ChangeSet | None:
    """The newest undo, if it failed after it had changed something; it goes on when asked again."""
    undo = change_set.undos.first()
    if undo is None or undo.status != ChangeSet.Status.FAILED or not undo.changed:
        return None
    return undo if undo_of(undo) is None else None


def why_not(change_set: ChangeSet) -> str:
    """A sentence why a change set cannot be undone, or nothing if it can."""
    if not change_set.is_final:
        return "It has not ended. Cancel it or wait for its end, then undo it."
    if not change_set.changed:
        return "It changed nothing: there is nothing to undo."
    if change_set.expired_at is not None:
        return TOO_OLD
    standing = undo_of(change_set)
    if standing is not None:
        return f"It was undone already, in change set {standing.pk}. Undo that one to redo it."
    return ""


def may_undo(change_set: ChangeSet, user: Any) -> bool:
    """Whether a user has the permission: for what others did, in part too, it is another one."""
    own = change_set.actor_id is not None and change_set.actor_id == user.pk
    own = own and not change_set.is_shared
    if own and user.has_perm("catalog.undo_changeset"):
        return True
    return bool(user.has_perm("catalog.undo_others_changeset"))


def forecast(change_set: ChangeSet) -> Forecast:
    """Count what an undo would find now; reads what the change set touched, changes nothing."""
    params = {"undone": change_set.pk, "before": change_set.undo_of_id}
    with transaction.atomic(), connection.cursor() as cursor:
        updated, created, changed, back, back_changed, free = sql_undo.forecast(
            cursor, params, unique=unique_keys(), changes=change_set.updated
        )
    return Forecast(
        restore=updated,
        delete=created + back,
        bring_back=free,
        keep=change_set.updated - updated + changed + back_changed + change_set.deleted - free,
    )


# --- Doing it -------------------------------------------------------------------------


@transaction.atomic
def start_undo(*, change_set_id: int, actor: User | None) -> ChangeSet:
    """Have a change set undone by a worker, when its turn has come; return the undo.

    An undo that failed half-way goes on instead, under the name of ``actor``. Raises
    ``NotUndoable``.
    """
    locked = ChangeSet.objects.select_for_update(of=("self",)).order_by("pk")
    change_set = locked.get(pk=change_set_id)
    if reason := why_not(change_set):
        raise NotUndoable(reason)
    for refusal in REFUSALS:
        if reason := refusal(change_set, actor):
            raise NotUndoable(reason)
    undo = change_set.undos.first()  # the newest
    if undo and undo.status == ChangeSet.Status.FAILED and undo_of(undo) is None:
        if not change_sets.reopen_change_set(undo.pk, actor=actor):
            raise NotUndoable(TOO_OLD)
    else:
        undo = change_sets.open_change_set(
            kind=ChangeSet.Kind.UNDO, actor=actor, undo_of=change_set, total=change_set.changed
        )
    send_after_commit(change_sets.TURN_TASKS[ChangeSet.Kind.UNDO], undo.pk)
    undo.refresh_from_db()
    return undo


def undo_slices(undo: ChangeSet) -> list[BulkSlice]:
    """Cut what is to be undone into slices. Run inside a transaction."""
    undone = undo.undo_of
    if undone is None:
        return []
    # What an undo counts as created it has brought back.
    created = "created" if undone.undo_of_id is None else "brought_back"
    parts = [("updated", undone.updated), (created, undone.created), ("deleted", undone.deleted)]
    with connection.cursor() as cursor:
        sql_undo.summarize(cursor)
        return [
            BulkSlice(change_set=undo, part=part, first_id=first, last_id=last)
            for part, count in parts
            if count
            for first, last in sql_undo.ranges(cursor, part, _params(undo))
        ]


def undo_slice(undo: ChangeSet, part: BulkSlice) -> dict[str, int]:
    """Undo one slice; return what became of its products. Run inside a transaction.

    Raises ``catalog.sql.upsert.ConcurrentEdit``: the caller rolls back and runs it again.
    """
    params = {**_params(undo), "first": part.first_id, "last": part.last_id}
    with connection.cursor() as cursor:
        cursor.execute(sql_undo.SETTINGS)
        if part.part == "updated":
            restored, kept = sql_undo.restore(cursor, params, unique=unique_keys())
            _tell(cursor, undo, sql_undo.RESTORED, params)
            return {"updated": restored, "conflicts": kept}
        if part.part == "deleted":
            back, kept = sql_undo.bring_back(cursor, params, unique=unique_keys())
            BroughtBack.objects.create(first_id=part.first_id, last_id=part.last_id)
            _tell(cursor, undo, sql_undo.BROUGHT_BACK, params)
            return {"created": back, "conflicts": kept}
        if part.part == "created":
            kept = sql_undo.keep_created(cursor, params)
            where, names = sql_undo.CREATED_AS_LEFT
        else:
            kept = sql_undo.keep_brought_back(cursor, params)
            where, names = sql_undo.BROUGHT_BACK_AS_LEFT
        values = tuple(params[name] for name in names)
        gone = acts.delete_products(
            cursor,
            where=where,
            params=values,
            change_set_id=undo.pk,
            tell=lambda: _tell(cursor, undo, acts.CHOSEN.format(where=where), values),
        )
        return {"deleted": gone, "conflicts": kept}


def try_again(undo: ChangeSet) -> dict[str, int]:
    """Undo what another product's SKU or value was in the way of, once all slices are done.

    The change set may have passed it on from one product to another: whether the one gave it back
    before the other was looked at, is a matter of chance. Returns what became of the products. Run
    inside a transaction; raises ``catalog.sql.upsert.ConcurrentEdit``.
    """
    restored = back = 0
    params = _params(undo)
    first_kept: list[int] = []
    with connection.cursor() as cursor:
        cursor.execute(sql_undo.SETTINGS)
        while kept := sql_undo.take_kept(cursor, params):
            first_kept = first_kept or kept
            changes, removed = _of_kept(cursor, params, kept)
            more, _ = sql_undo.restore(cursor, changes, unique=unique_keys())
            again, _ = sql_undo.bring_back(cursor, removed, unique=unique_keys())
            if again:  # the search index may be beyond what the slices told of
                BroughtBack.objects.create(first_id=kept[0], last_id=kept[-1])
            if not more and not again:
                break  # what is left is listed again
            restored, back = restored + more, back + again
        if restored or back:
            changes, removed = _of_kept(cursor, params, first_kept)
            _tell(cursor, undo, sql_undo.RESTORED_KEPT, changes)
            _tell(cursor, undo, sql_undo.BROUGHT_BACK_KEPT, removed)
    return {"updated": restored, "created": back, "conflicts": -restored - back}


def _of_kept(
    cursor: CursorWrapper, params: dict[str, Any], kept: list[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What restoring and what bringing back take, to go over these products alone."""
    of_kept = {**params, "kept": kept}
    first, last = sql_undo.changes_of(cursor, of_kept)
    changes = {**of_kept, "first": first, "last": last}
    return changes, {**of_kept, "first": kept[0], "last": kept[-1]}


def _tell(cursor: CursorWrapper, undo: ChangeSet, source_sql: str, params: Any) -> None:
    """Tell outsiders of the products of a slice."""
    record_changed_products(cursor, change_set_id=undo.pk, source_sql=source_sql, params=params)


def _params(undo: ChangeSet) -> dict[str, Any]:
    undone = undo.undo_of
    before = undone.undo_of_id if undone else None
    return {"undo": undo.pk, "undone": undo.undo_of_id, "before": before}


def finish_undo(undo: ChangeSet) -> None:
    """What comes with the end of an undo: a field that was deleted is there again, retired."""
    if undo.undo_of is not None:
        Field.objects.filter(cleared_in=undo.undo_of).update(cleared_in=None)
    _tell_of_undo(undo)


def _tell_of_undo(undo: ChangeSet) -> None:
    """The event of an undo that has ended, if it is an import that was undone."""
    if undo.undo_of is None or undo.undo_of.kind != ChangeSet.Kind.IMPORT:
        return
    record_event(
        type=Event.Type.IMPORT_UNDONE,
        data={
            "change_set": undo.pk,
            "undo_of": undo.undo_of_id,
            "created": undo.created,
            "updated": undo.updated,
            "deleted": undo.deleted,
            "conflicts": undo.conflicts,
        },
    )
