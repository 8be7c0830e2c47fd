"""From the file to the staging table: the stages “read” and “check duplicates”."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import F
from django.utils import timezone
from structlog import get_logger

from imports import sql
from imports.ending import Overtaken, count_attempt, fail_import, note_trouble
from imports.models import ImportChunk, ImportJob, RowError
from imports.reader import Batch, Checkpoint, Layout, Problem, UnreadableFile, inspect, read_batches
from imports.task_names import ADVANCE
from webhooks import tally
from webhooks.kick import kick_after_commit

logger = get_logger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage

SLICE_SECONDS = 0.25  # of reading per transaction: four steps of progress a second
RUN_SECONDS = 20.0  # of reading per task: tasks stay short


def prepare(job: ImportJob) -> bool:
    """Bring a job to where everything is read and ordered; return whether it is there."""
    if not _begin_run(job):
        return False
    try:
        if job.stage == Stage.STAGING and not stage_records(job):
            kick_after_commit(ADVANCE, job.pk)  # more to read: the next task goes on
            return False
        return resolve(job)
    except UnreadableFile as error:
        fail_import(job.pk, str(error))
    except FileNotFoundError:
        fail_import(job.pk, "The uploaded file is no longer in the storage. Upload it again.")
    except Overtaken as error:
        logger.info("overtaken", reason=str(error))
    except (OSError, Error) as error:
        note_trouble(job.pk, error)
        raise
    return False


def _begin_run(job: ImportJob) -> bool:
    """Count a run of reading or ordering; a job that never gets on fails here."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not sql.try_lock_job(cursor, job.pk):
            return False
        job.refresh_from_db()
        if job.status not in ImportJob.ACTIVE or not count_attempt(job):
            return False
        ImportJob.objects.filter(pk=job.pk, status__in=ImportJob.ACTIVE).update(
            status=Status.PROCESSING,
            stage=job.stage or Stage.STAGING,
            started_at=job.started_at or timezone.now(),
        )
    job.refresh_from_db()
    return job.status == Status.PROCESSING


# --- Stage: the file into the staging table -------------------------------------------


def stage_records(job: ImportJob, *, seconds: float = RUN_SECONDS) -> bool:
    """Read the file from its checkpoint on, slice by slice; return whether all of it is read.

    A slice is one transaction: its rows, its refused records, the checkpoint behind it.
    Raises ``UnreadableFile`` and ``FileNotFoundError``.
    """
    with job.file.open("rb") as handle:
        file = cast(BinaryIO, handle.file)
        layout, checkpoint = _reading_state(job, file)
        batches = read_batches(file, layout, checkpoint)
        deadline = time.monotonic() + seconds
        while True:
            checkpoint, ended = _stage_slice(job, checkpoint, batches, file)
            if ended:
                return True
            if time.monotonic() > deadline:
                return False


def _reading_state(job: ImportJob, file: BinaryIO) -> tuple[Layout, Checkpoint]:
    """Where to go on; from the first record, if nothing is staged or if it was lost."""
    if job.layout:
        layout = Layout(**job.layout)
        checkpoint = Checkpoint(**job.checkpoint)
        with connection.cursor() as cursor:
            if (
                sql.staging_exists(cursor, job.pk)
                and sql.count_staged(cursor, job.pk) == job.staged_records
            ):
                return layout, checkpoint
    layout = inspect(file)
    checkpoint = Checkpoint(layout.offset, layout.line)
    restart_staging(job, layout=layout.as_json(), checkpoint=asdict(checkpoint))
    return layout, checkpoint


@transaction.atomic
def restart_staging(job: ImportJob, *, layout: dict[str, Any], checkpoint: dict[str, Any]) -> None:
    """Begin to read the file from its first record, with an empty staging table.

    What chunks have applied already, and refused while applying, stays counted.
    """
    with connection.cursor() as cursor:
        sql.create_staging(cursor, job.pk)
    moved = ImportJob.objects.filter(pk=job.pk, status=Status.PROCESSING)
    if not moved.select_for_update(of=("self",)).order_by("pk").first():
        raise Overtaken(f"job {job.pk} is no longer processed")
    read_errors = RowError.objects.filter(job=job, while_applying=False)
    count = read_errors._raw_delete(read_errors.db)
    moved.update(
        stage=Stage.STAGING,
        layout=layout,
        checkpoint=checkpoint,
        bytes_read=0,
        staged_records=0,
        total_records=0,
        rejected=F("rejected") - count,
        processed_records=F("processed_records") - count,
        warnings=[*same_file_warning(job), *layout["warnings"]],
        progress_at=timezone.now(),
    )
    job.refresh_from_db()


def same_file_warning(job: ImportJob) -> list[str]:
    """What to say about a file that was imported before: when, by whom, and what came of it."""
    earlier = job.same_as
    if earlier is None:
        return []
    who = f" by {earlier.created_by}" if earlier.created_by else ""
    when = timezone.localtime(earlier.created_at)
    return [
        f"This very file was uploaded before, on {when:%d %b %Y at %H:%M %Z}{who}: see import "
        f"{earlier.pk} ({earlier.file_name}). If it was imported already, there is nothing new "
        "in it, and it overwrites what was changed since."
    ]


def _stage_slice(
    job: ImportJob,
    checkpoint: Checkpoint,
    batches: Iterator[Batch],
    file: BinaryIO,
) -> tuple[Checkpoint, bool]:
    """Copy about ``SLICE_SECONDS`` worth of the file into staging, in one transaction."""
    rows = 0
    problems: list[Problem] = []
    warnings: list[str] = []
    ended = True
    until = time.monotonic() + SLICE_SECONDS
    behind = checkpoint
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")  # a lost slice is read again
        with cursor.copy(sql.copy_rows_statement(job.pk)) as copy:
            for batch in batches:
                if batch.rows:
                    copy.write(sql.encode_rows(batch.rows))
                rows += len(batch.rows)
                problems += batch.problems
                warnings += batch.warnings
                behind = batch.checkpoint
                if time.monotonic() > until or len(problems) > 5000:
                    ended = False
                    break
        if problems:
            sql.copy_problems(cursor, job.pk, problems)
        moved = ImportJob.objects.filter(
            pk=job.pk,
            status=Status.PROCESSING,
            stage=Stage.STAGING,
            checkpoint=asdict(checkpoint),
            staged_records=job.staged_records,
        ).update(
            checkpoint=asdict(behind),
            bytes_read=min(job.file_size, file.tell()),
            staged_records=F("staged_records") + rows,
            total_records=F("total_records") + rows + len(problems),
            processed_records=F("processed_records") + len(problems),
            rejected=F("rejected") + len(problems),
            warnings=[*job.warnings, *warnings],
            stage=Stage.RESOLVING if ended else Stage.STAGING,
            attempts=0,
            progress_at=timezone.now(),
        )
        if not moved:
            # Cancelled, or another worker reads the same job: what this one did is taken back.
            raise Overtaken(f"job {job.pk} moved on without this worker")
        tally.add({"records|rejected": len(problems)})
    job.warnings = [*job.warnings, *warnings]
    job.staged_records += rows
    return behind, ended


# --- Resolve: duplicates, and chunks for the workers ----------------------------------


def resolve(job: ImportJob) -> bool:
    """Order the staged records by SKU and cut them into chunks; return whether that is done.

    Of the records with one ``lower(sku)`` the last line wins. They always fall into the same
    chunk, so each chunk resolves its own while it is applied.
    """
    job.refresh_from_db()
    with transaction.atomic(), connection.cursor() as cursor:
        if not sql.try_lock_job(cursor, job.pk):
            return False
        if job.staged_records and not sql.holds_rows(cursor, job.pk):
            stage_again(job)
            return False
        sql.index_staging(cursor, job.pk)
        if job.chunks.exists():
            job.chunks.filter(done_at=None).update(claimed_at=None)
        elif job.staged_records:
            bounds = sql.chunk_bounds(
                cursor,
                job.pk,
                rows=job.staged_records,
                chunk_rows=settings.IMPORT_CHUNK_ROWS,
            )
            ImportChunk.objects.bulk_create(
                ImportChunk(job=job, number=number, first_key=first, end_key=end)
                for number, (first, end) in enumerate(
                    zip(["", *bounds], [*bounds, None], strict=True), start=1
                )
            )
        if not job.total_records:
            job.warnings.append("The file has a header and no records: nothing was imported.")
        now = timezone.now()
        moved = ImportJob.objects.filter(pk=job.pk, status=Status.PROCESSING).update(
            stage=Stage.RESOLVING,
            warnings=job.warnings,
            attempts=0,
            trouble="",
            resolved_at=now,
            progress_at=now,
        )
        if not moved:
            raise Overtaken(f"job {job.pk} is no longer processed")
    logger.info("file_read", records=job.total_records, rejected=job.rejected)
    return True


def stage_again(job: ImportJob) -> None:
    """Read the file once more: a crash of the server emptied the unlogged staging table."""
    logger.warning("staged_records_lost", job_id=job.pk)  # the file is read again
    ImportJob.objects.filter(pk=job.pk, status=Status.PROCESSING).update(
        stage=Stage.STAGING, layout={}, resolved_at=None, progress_at=timezone.now()
    )
    kick_after_commit(ADVANCE, job.pk)
