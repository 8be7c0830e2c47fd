"""How imports end: completed, failed, cancelled; and what is left to clear away."""

from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from structlog import get_logger
from structlog.contextvars import bound_contextvars

from catalog.models import ChangeSet
from catalog.operations import change_sets
from catalog.queries.own_fields.fields import definitions, there_are
from imports.models import ImportJob, job_snapshot
from imports.pipeline.checks.stop_rules import lock_reviews, tell_overtaken
from imports.pipeline.notices import tell_of_job
from imports.sql import review, staging
from product_importer.common import counters
from webhooks.models import Event
from webhooks.operations.events import record_event

logger = get_logger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage

ERROR_MAX_LENGTH = 2_000  # it may quote the file
ATTEMPTS = 5  # runs without progress before a job fails


class Overtaken(Exception):
    """Another worker, or a user, moved the job on; this run stops and loses nothing."""


@transaction.atomic
def finish_import(job_id: int) -> None:
    """Complete a job whose chunks are all done, or fail it if its counts do not add up."""
    job = ImportJob.objects.select_for_update(of=("self",)).get(pk=job_id)
    if job.status != Status.PROCESSING or job.stage not in (Stage.APPLYING, Stage.FINISHING):
        return
    if job.accounted_records != job.total_records:
        fail_import(
            job.pk,
            f"The counts do not add up: {job.total_records:,} records were read, "
            f"{job.accounted_records:,} are accounted for. Please report this.",
        )
        return
    job.warnings += filter(None, (_difference(job), _lacking(job), _deleted_since(job)))
    job.stage = Stage.FINISHING
    reviews = lock_reviews(job)
    _end(job, Status.COMPLETED)
    tell_overtaken(reviews)


COUNTS = ("created", "updated", "unchanged", "skipped", "rejected")


def _difference(job: ImportJob) -> str:
    """What was applied, against what the review had shown; nothing if it is the same.

    ``differing`` are the records whose change is another one. Some of those that change nothing
    have another reason than was shown (skipped, because the product was not there; unchanged,
    because it came, just as in the file): only the counts tell of them.
    """
    if not job.review or not job.shown:
        return ""
    shown = job.shown_counts
    counted = (*COUNTS, "missing") if "missing" in shown else COUNTS
    moved = sum(max(0, getattr(job, name) - shown[name]) for name in counted)
    number = max(job.differing, moved)
    if not number:
        return ""
    counts = ", ".join(
        f"{getattr(job, name):,} {job.COUNT_WORDS.get(name, name)} ({shown[name]:,} shown)"
        for name in counted
        if getattr(job, name) or shown[name]
    )
    examples = f" For example: {', '.join(job.differing_skus)}." if job.differing_skus else ""
    return (
        f"{number:,} record{'s' if number > 1 else ''} turned out differently than "
        f"shown, because the catalogue changed after the review: they were compared again and "
        f"applied as it is now. Applied: {counts}.{examples}"
    )


def _lacking(job: ImportJob) -> str:
    """Which required fields new products were made without: the file has no column of them."""
    if not job.created:
        return ""
    required = {key: one.label for key, one in definitions().items() if one.required}
    if not required:
        return ""
    given = {rule["field"] for rule in job.column_rules}
    labels = [label for key, label in required.items() if f"fields.{key}" not in given]
    if not labels:
        return ""
    return (
        f"The file has no column of {' and '.join(labels)}, which every product needs: "
        f"{job.created:,} new product{' was' if job.created == 1 else 's were'} made without. "
        "Fill it in, or undo the import."
    )


def _deleted_since(job: ImportJob) -> str:
    """Which fields the file was read for that are deleted by now: their values went with them."""
    own = {one["key"]: one["label"] for one in job.layout.get("own", ())}
    if not own:
        return ""
    kept = there_are()
    gone = [label for key, label in own.items() if key not in kept]
    if not gone:
        return ""
    one = len(gone) == 1
    return (
        f"{' and '.join(gone)} {'was' if one else 'were'} deleted after the file was read: what it "
        f"has for {'this field' if one else 'these fields'} is not in the catalogue."
    )


@transaction.atomic
def fail_import(job_id: int, message: str, *, hopeless: bool = False) -> None:
    """End a job with the reason why. What it applied stays, counted, in its change set.

    ``hopeless``: it is for what the file is, and nobody is offered to try it again.
    """
    job = ImportJob.objects.select_for_update(of=("self",)).get(pk=job_id)
    if job.is_final:
        return
    job.error = message[:ERROR_MAX_LENGTH]
    job.is_hopeless = hopeless
    _end(job, Status.FAILED)


@transaction.atomic
def end_cancelled(job: ImportJob) -> None:
    """End a job that somebody cancelled; its row is locked.

    A chunk that is being applied finds the job ended before it commits, and rolls back.
    """
    _end(job, Status.CANCELLED)


_ENDS = {
    Status.COMPLETED: (ChangeSet.Status.COMPLETED, Event.Type.IMPORT_COMPLETED),
    Status.FAILED: (ChangeSet.Status.FAILED, Event.Type.IMPORT_FAILED),
    Status.CANCELLED: (ChangeSet.Status.CANCELLED, Event.Type.IMPORT_CANCELLED),
}


def _end(job: ImportJob, status: ImportJob.Status) -> None:
    """What every end needs: its change set closed (and the next one's turn), its event."""
    job.status = status
    job.finished_at = job.progress_at = timezone.now()
    change_set_status, event = _ENDS[status]
    if job.change_set_id is not None:
        if status != Status.COMPLETED and not job.has_changed:
            change_sets.drop_change_set(job.change_set_id)
            job.change_set_id = None
        else:
            change_sets.close_change_set(job.change_set_id, status=change_set_status)
    job.save(
        update_fields=[
            *("status", "stage", "error", "warnings", "finished_at", "progress_at"),
            *("cancelled_by", "is_hopeless"),
        ],
    )
    # Whoever cancels a job is in a request of his own: the event goes back to the upload.
    with bound_contextvars(**job.log_context):
        record_event(type=event, data=job_snapshot(job))
        tell_of_job(job)
        counters.add({f"imports|{status}": 1})
    figures = {
        "status": status,
        "records": job.total_records,
        "created": job.created,
        "updated": job.updated,
        "rejected": job.rejected,
        "missing": job.missing,
    }
    transaction.on_commit(partial(logger.info, "import_ended", **job.log_context, **figures))


# --- Clearing away --------------------------------------------------------------------


def sweep_leftovers() -> None:
    """Drop the staging tables of jobs that have ended or are gone, and reviews that are old.

    Not at the end itself: whoever cancels a job must not wait for the work that he stops.
    """
    with connection.cursor() as cursor:
        staged, reviewed = staging.jobs_with_tables(cursor)
    unfinished = ImportJob.objects.exclude(status__in=ImportJob.FINAL)
    needed = set(unfinished.filter(pk__in=[*staged, *reviewed]).values_list("pk", flat=True))
    for job_id in set(staged) - needed:
        _drop_staging(job_id)
    kept = ImportJob.objects.filter(pk__in=reviewed)
    if settings.KEEP_REVIEWS is not None:
        kept = kept.filter(finished_at__gte=timezone.now() - settings.KEEP_REVIEWS)
    for job_id in set(reviewed) - needed - set(kept.values_list("pk", flat=True)):
        with connection.cursor() as cursor:
            review.drop_review(cursor, job_id)


@transaction.atomic
def _drop_staging(job_id: int) -> None:
    """The table is locked before the job is read: a retry may be about to use it again."""
    with connection.cursor() as cursor:
        if not staging.try_lock_job(cursor, job_id) or not staging.lock_staging(cursor, job_id):
            return
        unfinished = ImportJob.objects.exclude(status__in=ImportJob.FINAL)
        if not unfinished.filter(pk=job_id).exists():
            staging.drop_staging(cursor, job_id)


# --- Attempts ----------------------------------------------------------------------------


def note_trouble(job_id: int, error: Exception) -> None:
    """Keep why an attempt failed, for the sentence that a job fails with in the end."""
    ImportJob.objects.filter(pk=job_id).update(trouble=str(error).strip()[:ERROR_MAX_LENGTH])


def still_reading(job_id: int) -> None:
    """Tell that a worker is at it: what it does takes long, and commits nothing meanwhile."""
    ImportJob.objects.filter(pk=job_id, status=Status.PROCESSING).update(progress_at=timezone.now())


def count_attempt(job: ImportJob) -> bool:
    """Count a run of a step that is not divided into chunks; fail a job that never gets on.

    Run inside a transaction that holds the job's lock.
    """
    if job.attempts >= ATTEMPTS:
        line = job.checkpoint.get("line")
        where = f" after line {line:,}" if line and job.stage == Stage.STAGING else ""
        fail_import(
            job.pk,
            f"The import was tried {ATTEMPTS} times without getting any further{where}"
            + (f": {job.trouble}." if job.trouble else ". The log of the worker has the reason.")
            + " Retry it, or mend the file and upload it again.",
        )
        return False
    now = timezone.now()
    ImportJob.objects.filter(pk=job.pk).update(attempts=F("attempts") + 1, progress_at=now)
    return True
