"""The verbs of the imports: from an uploaded file to the catalogue.

    start_import -> advance_import (match columns) -> [wait for save_mapping]
                 -> advance_import (read, order) -> [compare, wait for apply_import]
                 -> advance_import (wait for the turn) -> run_chunks (apply) -> finish

cancel_import stops a job at any point, retry_import lets one that ended too early go on.

Every step can be run twice, by two workers at once, and be killed at any point: what counts
is in the job's row, in the same transaction as the work that it tells of. Whoever locks a
job's row and its change set's locks them in this order; chunks lock both last.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils import timezone
from structlog import get_logger
from structlog.contextvars import bind_contextvars, bound_contextvars

from catalog.models import ChangeSet
from catalog.operations import change_sets, search_index, undo
from imports.files.temp import StoredFile, clear_old_uploads, is_disk_full
from imports.mapping.rules import Rules, rules_as_json
from imports.models import Feed, Format, ImportJob, Supplier
from imports.models.job_fields import JobFields
from imports.pipeline import apply, chunks, compare, duplicates, stage
from imports.pipeline.checks import caution
from imports.pipeline.finish import end_cancelled, fail_import, sweep_leftovers
from imports.sql import review
from imports.task_names import ADVANCE, TAKE_TURN
from product_importer.common.enqueue import send_after_commit
from product_importer.common.errors import NotPossible

Status = ImportJob.Status
Stage = ImportJob.Stage

change_sets.TURN_TASKS[ChangeSet.Kind.IMPORT] = TAKE_TURN
search_index.UNDER_WAY.append(
    ImportJob.objects.filter(status__in=(Status.PENDING, Status.PROCESSING)).exists
)

STALE_SECONDS = 6  # without progress: the sweep looks at the job

logger = get_logger(__name__)


class Refused(NotPossible):
    """The act is not possible; the message tells the user why and what to do."""


class SecondPerson(Refused):
    """Somebody else than who uploaded the file has to decide."""


class NoRoom(Refused):
    """The disk is full."""


NO_ROOM = (
    "The server has no room for this file: its disk is full. Nothing was imported. Tell your ops "
    "staff, and upload it again."
)


FILE_GONE = (
    "The uploaded file is no longer kept (KEEP_UPLOADS_DAYS says how long files are). Upload it "
    "again: products that are as in the file stay as they are."
)


# --- Start ----------------------------------------------------------------------------


def check_size(size: int) -> None:
    """Raise ``Refused`` for a file of this many bytes, if it is over the limit."""
    if size > settings.IMPORT_MAX_FILE_SIZE:
        raise Refused(
            f"The file has {size / 1024**2:,.0f} MB; at most "
            f"{settings.IMPORT_MAX_FILE_SIZE / 1024**2:,.0f} MB are allowed. "
            "Split it, or remove columns that are not needed."
        )


def start_import(
    *,
    file: "File[Any] | StoredFile",
    file_name: str,
    user: User | None,
    mode: str = ImportJob.Mode.UPSERT,
    review: bool = False,
    review_if_known: bool = False,
    rules: Rules | None = None,
    format: Format | None = None,
    on_unclear: str = ImportJob.OnUnclear.FAIL,
    checks: str = ImportJob.Checks.STOP,
    mends: ImportJob | None = None,
    full_list: bool | None = None,
    file_modified_at: datetime | None = None,
    supplier: Supplier | None = None,
    feed: Feed | None = None,
) -> ImportJob:
    """Store an uploaded file, commit the job, and wake a worker.

    Nothing of the file is parsed here. The job's place in the queue is the order of these
    calls; with ``review`` it has none until it is applied. ``review_if_known`` asks for a review
    if the very same file was imported before: of a file that is in the storage already, the
    worker that reads it finds that out. ``rules`` go before those of ``format``; ``on_unclear``
    says what becomes of a file that leaves a question open. ``checks`` tells whether one whose
    changes look unusual waits for somebody, or only warns. ``mends`` is the import whose refused
    records these are. ``full_list``: the file is its supplier's whole list (``None``: as its format
    says), and what it lacks is dealt with. ``file_modified_at`` is when the file was last changed
    where it comes from. ``supplier`` is whose file it is, whatever its columns are recognised as;
    ``feed`` is what fetched it. Raises ``Refused`` for a file over the limit, where there is no
    room for it, and for a format of another supplier.
    """
    size = file.size or 0
    check_size(size)
    if format and supplier and format.supplier_id not in (None, supplier.pk):
        raise Refused(f"The format “{format.name}” is {format.supplier}’s, not {supplier}’s.")
    job = ImportJob(
        file_name=file_name[-255:],
        file_size=size,
        created_by=user,
        mode=mode,
        review=review,
        review_if_known=review_if_known,
        rules=rules_as_json(rules) if rules else {},
        format=format,
        supplier=supplier or (format.supplier if format else None),
        feed=feed,
        on_unclear=on_unclear,
        checks=checks,
        mends=mends,
        full_list=False if mends else full_list,  # mended records are never all
        file_modified_at=file_modified_at,
    )
    if isinstance(file, StoredFile):
        job.file.name = file.name
        if file.sha256:
            duplicates.recognise_known(job, file.sha256)
        _begin(job)
        return job
    duplicates.recognise(job, file)
    _store(job, file, file_name)
    try:
        _begin(job)
    except Exception:
        job.file.delete(save=False)  # no job, no file: nobody would ever look at it
        raise
    with bound_contextvars(**job.log_context):
        logger.info("import_started", bytes=size, mode=mode, review=job.review)
    return job


@transaction.atomic
def _begin(job: ImportJob) -> None:
    """Raises ``Refused`` for a format or a supplier that somebody has just deleted."""
    if job.format_id is not None:
        formats = Format.objects.select_for_update(of=("self",), no_key=True)
        if not formats.filter(pk=job.format_id).exists():
            raise Refused("The format was deleted meanwhile. Choose another one.")
    if job.supplier_id is not None:
        # After its formats, in the order in which a supplier is deleted.
        suppliers = Supplier.objects.select_for_update(of=("self",), no_key=True)
        if not suppliers.filter(pk=job.supplier_id).exists():
            raise Refused("The supplier was deleted meanwhile. Choose another one.")
    if not job.review:
        job.change_set = change_sets.open_change_set(
            kind=ChangeSet.Kind.IMPORT, actor=job.created_by
        )
    job.save()
    send_after_commit(ADVANCE, job.pk)


def _store(job: ImportJob, file: "File[Any]", file_name: str) -> None:
    """Keep the uploaded file. Raises ``NoRoom``; no half of it is left then."""
    try:
        job.file.save(file_name, file, save=False)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise NoRoom(NO_ROOM) from error


# --- Advance: what a job needs next ---------------------------------------------------


def advance_import(job_id: int) -> None:
    """Do the next thing that a job needs, and wake whoever does the one after it.

    Does nothing for a job that another worker is busy with, that waits for its turn to write
    to the catalogue or for somebody who reviews it, or that has ended.
    """
    job = ImportJob.objects.select_related("change_set").get(pk=job_id)
    bind_contextvars(**job.log_context)  # until the task ends, with an error too
    if job.status not in ImportJob.ACTIVE:
        return
    if job.resolved_at is None and not stage.prepare(job):
        return
    job.refresh_from_db()
    if job.status != Status.PROCESSING:
        return
    if job.stage in (Stage.RESOLVING, Stage.COMPARING) and not _begin_next(job):
        return
    chunks.start_runs(job)


def _begin_next(job: ImportJob) -> bool:
    """Begin to compare or to apply a job that is read; false if it waits for its turn.

    One without a review is looked at when it has its turn: what it would do to the catalogue
    depends on all that come before it.
    """
    if job.is_approved:
        if not apply.take_turn(job):
            return False
        if job.stage == Stage.RESOLVING and not caution.look(job):
            return False
    if not job.is_to_compare:
        try:
            apply.begin_applying(job)
        except ValueError as error:
            fail_import(job.pk, str(error), hopeless=True)
            return False
    elif job.stage == Stage.RESOLVING:
        compare.begin_comparing(job)
    return True


def run_chunks(job_id: int) -> None:
    """Compare or apply chunks of a job, for a while."""
    chunks.run_chunks(job_id)


def take_turn(change_set_id: int) -> None:
    """Carry on the import whose turn to write to the catalogue has come."""
    waiting = (Stage.RESOLVING, Stage.COMPARING)
    for job in ImportJob.objects.filter(change_set=change_set_id, stage__in=waiting):
        advance_import(job.pk)


# --- What people decide ---------------------------------------------------------------


@transaction.atomic
def apply_import(*, job_id: int, user: User | None, version: int | None = None) -> ImportJob:
    """Apply what a review showed, but for what was left out. It takes its place in the queue now.

    ``version`` is that of the review that ``user`` saw (``ImportJob.review_version``), if any.
    Raises ``Refused`` for a job that does not wait for it, or if somebody has left out other
    records since, or a newer file was imported; ``SecondPerson`` where ``user`` may not decide
    about his own file.
    """
    job = locked_job(job_id)
    if job.status != Status.AWAITING_REVIEW:
        raise Refused(f"Only an import that waits for review can be applied. {state_of(job)}")
    if told := needs_second_person(job, user):
        raise SecondPerson(told)
    if version is not None and version != job.review_version:
        raise Refused(
            "Somebody has left out other records since you saw it, or a newer file was imported: "
            f"{job.left_out:,} are left out now. Look at it again, then apply it."
        )
    job.approved_at, job.approved_by = timezone.now(), user
    job.change_set = change_sets.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=user)
    go_on(job, since=job.compared_at, status=Status.PROCESSING)
    return job


def needs_second_person(job: ImportJob, user: Any) -> str:
    """Why ``user`` cannot apply a review, by what its supplier is set to; mostly nothing."""
    if job.supplier is None or not job.supplier.second_person:
        return ""
    if user is not None and user.pk not in _whose(job):
        return ""
    return (
        f"Imports of {job.supplier} are applied by a second person: somebody else than who "
        "uploaded the file, or made its feed, has to look at it and apply it."
    )


def _whose(job: JobFields) -> set[int | None]:
    """Whose file it is: who uploaded it, or owns its feed; of mended records also the file's."""
    whose = {job.created_by_id, job.feed.created_by_id if job.feed else None}
    return whose | _whose(job.mends) if job.mends else whose


def _may_not_redo(change_set: ChangeSet, user: User | None) -> str:
    """Why ``user`` may not undo an undo, which applies an import again that a second person did."""
    undos = 0
    while change_set.undo_of is not None:
        change_set, undos = change_set.undo_of, undos + 1
    if undos % 2 == 0:  # it takes back what the import did
        return ""
    job = ImportJob.objects.filter(change_set=change_set, approved_at__isnull=False).first()
    return needs_second_person(job, user) if job else ""


undo.REFUSALS.append(_may_not_redo)


@transaction.atomic
def leave_out(
    *,
    job_id: int,
    user: User | None,
    filters: review.Filters,
    lines: Collection[int] = (),
    out: bool = True,
) -> ImportJob:
    """Leave records of a review out, or (``out`` false) take them in again: all that match.

    Of ``lines``, if there are any. Raises ``Refused`` for a job that does not await review.
    """
    job = locked_job(job_id)
    if job.status != Status.AWAITING_REVIEW:
        raise Refused(f"Records are left out of an import that waits for review. {state_of(job)}")
    with connection.cursor() as cursor:
        change = review.leave_out if out else review.take_in
        if not change(cursor, job_id, filters, lines):
            return job
    counts = dict(job.left_out_records.values_list("action").annotate(count=Count("id")).order_by())
    job.left_out_created, job.left_out_updated = counts.get("c", 0), counts.get("u", 0)
    job.left_out_missing = counts.get("m", 0)
    job.review_version += 1
    left_out = ("left_out_created", "left_out_updated", "left_out_missing")
    job.save(update_fields=[*left_out, "review_version"])
    log_act("records_left_out", job, user)
    return job


@transaction.atomic
def cancel_import(*, job_id: int, user: User | None) -> ImportJob:
    """Stop a job, and keep who did. What it applied stays, counted, and can be undone.

    Nothing more of it is committed after this. Raises ``Refused`` for a job that has ended.
    """
    job = locked_job(job_id)
    if job.is_final:
        raise Refused(f"Only an import that has not ended can be cancelled. {state_of(job)}")
    job.cancelled_by = user
    end_cancelled(job)
    log_act("import_cancelled", job, user)
    return job


@transaction.atomic
def retry_import(*, job_id: int, user: User | None) -> ImportJob:
    """Let a failed or cancelled job go on where it stopped, under the name of ``user``.

    It goes on in the same change set, if it has changed anything: an import is undone as a whole.
    That is ``user``'s from now on, but not his alone if another one's changes are in it, and then
    undoing it takes the permission for what others did. Whose upload it was, ``created_by``
    keeps. Raises ``Refused`` for one that goes on by itself, or is completed, or was undone, be it
    half-way: the undo would not know of what comes now.
    """
    job = locked_job(job_id)
    if job.status not in (Status.FAILED, Status.CANCELLED):
        raise Refused(f"Only a failed or cancelled import can be retried. {state_of(job)}")
    if not job.has_file:
        raise Refused(FILE_GONE)
    if job.left_out and job.is_approved and job.details_expired_at is not None:
        raise Refused("Which records were left out is no longer known. Upload the file again.")
    if job.change_set is not None:
        if undo.undo_of(job.change_set) is not None:
            raise Refused("What it had applied was undone. Upload the file again.")
        if half := undo.half_done_undo_of(job.change_set):
            raise Refused(
                f"Its undo failed half-way, in change set {half.pk}. Undo it again, which goes on "
                "from there, and upload the file again."
            )
        if not change_sets.reopen_change_set(job.change_set.pk, actor=user):
            raise Refused("What it had applied is too old to go on with. Upload the file again.")
    elif job.is_approved:
        who = user or job.approved_by or job.created_by
        job.change_set = change_sets.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=who)
    if not job.review and not job.has_changed:
        job.caution = ""  # the catalogue may be another one by now
        if job.sifted_out:  # only what differed is staged: to look at that would tell of no file
            job.stage, job.layout, job.resolved_at = Stage.STAGING, {}, None
            if not job.chunks.exclude(done_at=None).exists():
                job.chunks.all().delete()  # cut for those few
    job.retried_by, job.retried_at = user, timezone.now()
    if job.stage == Stage.FINISHING:
        job.stage = Stage.APPLYING
    status = Status.PROCESSING if job.stage else Status.PENDING
    if job.stage in (Stage.COMPARING, Stage.APPLYING):
        job.stage = Stage.RESOLVING  # its turn, or its review, begins anew
    since = job.unclear_at or (None if job.is_approved else job.compared_at) or job.finished_at
    job.unclear_at = None
    if not job.is_approved:
        job.compared_at = None  # what was shown is compared anew
    go_on(job, since=since, status=status)
    log_act("import_retried", job, user)
    return job


def log_act(event: str, job: ImportJob, user: User | None) -> None:
    """Tell what somebody did with a job, once it holds."""
    who = {"job_id": job.pk, "by": user.pk if user else None}
    transaction.on_commit(partial(logger.info, event, **who))


def locked_job(job_id: int) -> ImportJob:
    return (
        ImportJob.objects.select_for_update(of=("self",))
        .select_related("change_set", "created_by", "approved_by", "supplier")
        .get(pk=job_id)
    )


def go_on(job: ImportJob, *, since: datetime | None, status: ImportJob.Status) -> None:
    """Let a job go on that waited for people ``since``; its clock stood still meanwhile."""
    now = timezone.now()
    if since is not None and job.started_at is not None:
        job.paused_seconds += (now - since).total_seconds()
    job.status = status
    job.error = job.trouble = ""
    job.is_hopeless = False
    job.attempts = 0
    job.finished_at = None
    job.progress_at = now
    job.save()
    job.chunks.update(attempts=0, claimed_at=None, error="")
    send_after_commit(ADVANCE, job.pk)


def state_of(job: ImportJob) -> str:
    """A sentence that tells what an act does not fit to."""
    if job.status == Status.AWAITING_REVIEW:
        return "This one waits for review: apply or discard it."
    if job.status == Status.AWAITING_MAPPING:
        return "This one waits for its columns: match them, or cancel it."
    return f"This one is {job.status_label.lower()}."


def may_undo(job: ImportJob, user: Any) -> bool:
    """Whether a user has the permission to undo this import."""
    return job.change_set is not None and undo.may_undo(job.change_set, user)


def undo_import(*, job_id: int, user: User | None) -> ChangeSet:
    """Take back what an import did, in a worker. Raises ``Refused`` where it cannot be."""
    job = ImportJob.objects.select_related("change_set").get(pk=job_id)
    if not job.is_final:
        raise Refused("The import has not ended. Cancel it first, then undo what it applied.")
    if job.change_set is None:
        raise Refused("The import changed nothing: there is nothing to undo.")
    try:
        return undo.start_undo(change_set_id=job.change_set.pk, actor=user)
    except undo.NotUndoable as error:
        raise Refused(str(error)) from error


# --- Sweep ----------------------------------------------------------------------------


def sweep_imports() -> list[int]:
    """Wake workers for what is due and not moving: lost messages, killed workers, turns.

    Also clears away what jobs that have ended left behind.
    """
    sweep_leftovers()
    clear_old_uploads(settings.FILE_UPLOAD_TEMP_DIR)  # of a server on this disk
    quiet = timezone.now() - timedelta(seconds=STALE_SECONDS)
    waits_for_turn = Q(stage__in=(Stage.RESOLVING, Stage.COMPARING)) & Q(
        change_set__status=ChangeSet.Status.WAITING
    )
    due = ImportJob.unfinished().filter(Q(progress_at__lt=quiet) | waits_for_turn)
    ids = list(due.order_by("id").values_list("pk", flat=True)[:20])
    for job_id in ids:
        send_after_commit(ADVANCE, job_id)
    return ids
