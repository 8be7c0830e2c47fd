"""The verbs of the imports: from an uploaded file to the catalogue.

    start_import -> advance_import (stage, resolve, wait for the turn) -> apply_chunks
                 -> advance_import (finish)

Every step can be run twice, by two workers at once, and be killed at any point: what counts
is in the job's row, in the same transaction as the work that it tells of.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from catalog import operations as catalog
from catalog.models import ChangeSet
from catalog.sql import APPLY_SETTINGS, ConcurrentEdit, Upserted, upsert
from imports import sql
from imports.models import ImportChunk, ImportJob, RowError, job_snapshot
from imports.reader import Batch, Checkpoint, Layout, Problem, UnreadableFile, inspect, read_batches
from webhooks.kick import kick_after_commit
from webhooks.models import Event
from webhooks.operations import record_event

logger = logging.getLogger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage

# The names of the tasks that carry a job on (imports/tasks.py).
ADVANCE = "imports.advance"
APPLY_CHUNKS = "imports.apply_chunks"
TAKE_TURN = "imports.take_turn"
catalog.TURN_TASKS[ChangeSet.Kind.IMPORT] = TAKE_TURN

ATTEMPTS = 5  # runs without progress before a job fails
STALE_SECONDS = 6  # without progress: the sweep looks at the job
CLAIM_SECONDS = 5  # between claiming a chunk and locking it; then the claimant is dead
SLICE_SECONDS = 0.25  # of reading per transaction: four steps of progress a second
RUN_SECONDS = 20.0  # of reading per task: tasks stay short
APPLY_SECONDS = 2.0  # of applying per task
PARALLEL_RUNS = 16  # tasks that apply one job's chunks at a time, over all workers
EDIT_RETRIES = 20  # of one chunk whose products are being edited at the same time


class Overtaken(Exception):
    """Another worker, or a user, moved the job on; this run stops and loses nothing."""


class Refused(Exception):
    """The act is not possible; the message tells the user why and what to do."""


# --- Start ----------------------------------------------------------------------------


def start_import(
    *,
    file: "File[Any]",
    file_name: str,
    user: User | None,
    mode: str = ImportJob.Mode.UPSERT,
) -> ImportJob:
    """Store an uploaded file, commit the job, and wake a worker.

    Nothing of the file is parsed here. The job's place in the queue is the order of these
    calls. Raises ``Refused`` for a file over the limit.
    """
    size = file.size or 0
    if size > settings.IMPORT_MAX_FILE_SIZE:
        raise Refused(
            f"The file has {size / 1024**2:,.0f} MB; at most "
            f"{settings.IMPORT_MAX_FILE_SIZE / 1024**2:,.0f} MB are allowed. "
            "Split it, or remove columns that are not needed."
        )
    job = ImportJob(
        file_name=file_name[-255:],
        file_size=size,
        sha256=_sha256(file),
        created_by=user,
        mode=mode,
    )
    job.file.save(file_name, file, save=False)
    try:
        with transaction.atomic():
            job.change_set = catalog.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=user)
            job.save()
            kick_after_commit(ADVANCE, job.pk)
    except Exception:
        job.file.delete(save=False)  # no job, no file: nobody would ever look at it
        raise
    return job


def _sha256(file: "File[Any]") -> str:
    digest = hashlib.sha256()
    for block in file.chunks(1 << 20):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


# --- Advance: what a job needs next ---------------------------------------------------


def advance_import(job_id: int) -> None:
    """Do the next thing that a job needs, and wake whoever does the one after it.

    Does nothing for a job that another worker is busy with, that waits for its turn to write
    to the catalogue, or that has ended.
    """
    job = ImportJob.objects.select_related("change_set").get(pk=job_id)
    if job.status not in ImportJob.ACTIVE:
        return
    if job.resolved_at is None:
        _prepare(job)
    elif job.stage == Stage.RESOLVING:
        _begin_applying(job)
    else:
        _start_runs(job)


def take_turn(change_set_id: int) -> None:
    """Carry on the import whose turn to write to the catalogue has come."""
    for job in ImportJob.objects.filter(change_set=change_set_id, stage=Stage.RESOLVING):
        advance_import(job.pk)


def _prepare(job: ImportJob) -> None:
    """Bring a job to where it waits for its turn: everything read, duplicates resolved."""
    if not _begin_run(job):
        return
    try:
        if job.stage == Stage.STAGING and not stage_records(job):
            kick_after_commit(ADVANCE, job.pk)  # more to read: the next task goes on
            return
        resolve(job)
    except UnreadableFile as error:
        fail_import(job.pk, str(error))
    except FileNotFoundError:
        fail_import(job.pk, "The uploaded file is no longer in the storage. Upload it again.")
    except Overtaken as error:
        logger.info("%s", error)


def _begin_run(job: ImportJob) -> bool:
    """Count a run of reading or resolving; a job that never gets on fails here."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not sql.try_lock_job(cursor, job.pk):
            return False
        now = timezone.now()
        if job.attempts >= ATTEMPTS:
            fail_import(
                job.pk,
                f"The import was tried {ATTEMPTS} times without getting any further. "
                "The log of the worker has the reason.",
            )
            return False
        ImportJob.objects.filter(pk=job.pk).update(
            status=Status.PROCESSING,
            stage=job.stage or Stage.STAGING,
            started_at=job.started_at or now,
            attempts=F("attempts") + 1,
            progress_at=now,
        )
    job.refresh_from_db()
    return True


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
    read_errors = RowError.objects.filter(job=job, while_applying=False)
    count = read_errors._raw_delete(read_errors.db)
    ImportJob.objects.filter(pk=job.pk).update(
        stage=Stage.STAGING,
        layout=layout,
        checkpoint=checkpoint,
        bytes_read=0,
        staged_records=0,
        total_records=0,
        rejected=F("rejected") - count,
        processed_records=F("processed_records") - count,
        warnings=layout["warnings"],
        progress_at=timezone.now(),
    )
    job.refresh_from_db()


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
    job.warnings = [*job.warnings, *warnings]
    job.staged_records += rows
    return behind, ended


# --- Resolve: duplicates, and chunks for the workers ----------------------------------


def resolve(job: ImportJob) -> None:
    """Order the staged records by SKU and cut them into chunks; then wait for the turn.

    Of the records with one ``lower(sku)`` the last line wins. They always fall into the same
    chunk, so each chunk resolves its own while it is applied.
    """
    job.refresh_from_db()
    with transaction.atomic(), connection.cursor() as cursor:
        if not sql.try_lock_job(cursor, job.pk):
            return
        if job.staged_records and not sql.holds_rows(cursor, job.pk):
            stage_again(job)
            return
        sql.index_staging(cursor, job.pk)
        if not job.chunks.exists() and job.staged_records:
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
            resolved_at=now,
            progress_at=now,
        )
        if not moved:
            raise Overtaken(f"job {job.pk} is no longer processed")
    job.refresh_from_db()
    _begin_applying(job)


def stage_again(job: ImportJob) -> None:
    """Read the file once more: a crash of the server emptied the unlogged staging table."""
    logger.warning("job %s: the staged records are gone; reading the file again", job.pk)
    ImportJob.objects.filter(pk=job.pk, status=Status.PROCESSING).update(
        stage=Stage.STAGING, layout={}, resolved_at=None, progress_at=timezone.now()
    )
    ImportChunk.objects.filter(job=job, done_at=None).update(claimed_at=None)
    kick_after_commit(ADVANCE, job.pk)


# --- Apply: chunks, spread over the workers -------------------------------------------


def _begin_applying(job: ImportJob) -> None:
    """Start to write, if it is this job's turn; else whoever finishes before it wakes it."""
    change_set = job.change_set
    if change_set is None:
        fail_import(job.pk, "The change set of this import is gone. Upload the file again.")
        return
    if not catalog.take_turn(change_set):
        return
    now = timezone.now()
    ImportJob.objects.filter(pk=job.pk, status=Status.PROCESSING, stage=Stage.RESOLVING).update(
        stage=Stage.APPLYING, applying_at=job.applying_at or now, progress_at=now
    )
    _start_runs(job)


def _start_runs(job: ImportJob) -> None:
    """Wake as many workers as the job can use; without chunks it is finished at once."""
    waiting = job.chunks.filter(done_at=None).count()
    if not waiting:
        _finish(job.pk)
    for _ in range(min(waiting, PARALLEL_RUNS)):
        kick_after_commit(APPLY_CHUNKS, job.pk)


def apply_chunks(job_id: int, *, seconds: float = APPLY_SECONDS) -> None:
    """Apply chunks of a job until none is free or the time is up; then pass the baton."""
    deadline = time.monotonic() + seconds
    while chunk := _claim_chunk(job_id):
        if chunk.attempts > ATTEMPTS:
            fail_import(
                job_id,
                f"Applying the SKUs from “{chunk.first_key}” on failed {ATTEMPTS} times"
                + (f": {chunk.error}" if chunk.error else ".")
                + " What was applied before stays in the catalogue.",
            )
            return
        try:
            apply_chunk(chunk)
        except Exception as error:
            # Kept for the message above; the worker's log and the task's result have it whole.
            ImportChunk.objects.filter(pk=chunk.pk).update(error=str(error)[:2000], claimed_at=None)
            raise
        if time.monotonic() > deadline:
            kick_after_commit(APPLY_CHUNKS, job_id)
            return
    applying = ImportJob.objects.filter(pk=job_id, status=Status.PROCESSING, stage=Stage.APPLYING)
    if applying.exists() and not ImportChunk.objects.filter(job=job_id, done_at=None).exists():
        _finish(job_id)


def _claim_chunk(job_id: int) -> ImportChunk | None:
    """Count an attempt at the next chunk that nobody works on.

    While a chunk is applied, its row is locked. The claim bridges the moment before that, and
    is why an attempt of a worker that was killed counts.
    """
    expired = timezone.now() - timedelta(seconds=CLAIM_SECONDS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        chunk = (
            ImportChunk.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(
                Q(claimed_at=None) | Q(claimed_at__lt=expired),
                job=job_id,
                done_at=None,
                job__status=Status.PROCESSING,
                job__stage=Stage.APPLYING,
            )
            .order_by("attempts", "number")
            .first()
        )
        if chunk is not None:
            chunk.attempts += 1
            chunk.claimed_at = timezone.now()
            chunk.save(update_fields=["attempts", "claimed_at"])
        return chunk


def apply_chunk(chunk: ImportChunk) -> None:
    """Write one chunk: its products, their values before, its counts, its done mark.

    One transaction. Does nothing if the chunk is done; waits for a worker that is at it.
    """
    for _ in range(EDIT_RETRIES):
        try:
            _apply_chunk_once(chunk)
            return
        except ConcurrentEdit:
            continue  # somebody edited one of its products: compare again with what is there now
    raise ConcurrentEdit(f"the products of chunk {chunk.number} keep changing")


@transaction.atomic
def _apply_chunk_once(chunk: ImportChunk) -> None:
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(APPLY_SETTINGS)
        mine = ImportChunk.objects.filter(pk=chunk.pk, done_at=None)
        # Waits for a worker that looks for a chunk: it may hold this row for a moment as well.
        if not mine.select_for_update(of=("self",)).order_by("pk").first():
            return  # done by another worker
        job = ImportJob.objects.get(pk=chunk.job_id)
        if job.status != Status.PROCESSING or job.stage != Stage.APPLYING:
            return
        if not sql.holds_rows(cursor, job.pk):
            stage_again(job)
            return
        change_set_id = cast(int, job.change_set_id)
        result = upsert(
            cursor,
            source=sql.chunk_source(job.pk),
            aside=sql.RECORD_SUPERSEDED,
            params={"job": job.pk},
            fields=job.layout["fields"].keys(),
            change_set_id=change_set_id,
            first_key=chunk.first_key,
            end_key=chunk.end_key,
            may_create=job.mode != ImportJob.Mode.UPDATE_ONLY,
            may_update=job.mode != ImportJob.Mode.CREATE_ONLY,
        )
        if result.created or result.updated:
            catalog.tell_changed(cursor, change_set_id, chunk.first_key, chunk.end_key)
    _refuse_nameless(job, result)
    mine.update(done_at=timezone.now(), seconds=time.monotonic() - started, error="")
    # Last, because from here to the commit the other workers' chunks wait for these rows.
    catalog.count_changes(change_set_id, created=result.created, updated=result.updated)
    ImportJob.objects.filter(pk=job.pk).update(
        created=F("created") + result.created,
        updated=F("updated") + result.updated,
        unchanged=F("unchanged") + result.unchanged,
        superseded=F("superseded") + result.superseded,
        skipped=F("skipped") + result.skipped,
        rejected=F("rejected") + len(result.nameless),
        processed_records=F("processed_records") + result.rows,
        progress_at=timezone.now(),
    )


def _refuse_nameless(job: ImportJob, result: Upserted) -> None:
    """Products that are new, in a file without a name column: only the catalogue could tell."""
    RowError.objects.bulk_create(
        RowError(
            job=job,
            line=line,
            column="",
            code="name_required",
            message="The product is not in the catalogue, and the file has no name column: "
            "a new product needs a name.",
            record=cells,
            while_applying=True,
        )
        for line, cells in result.nameless
    )


# --- End ------------------------------------------------------------------------------


@transaction.atomic
def _finish(job_id: int) -> None:
    """Complete a job whose chunks are all done, or fail it if its counts do not add up."""
    job = ImportJob.objects.select_for_update().get(pk=job_id)
    if job.status != Status.PROCESSING or job.stage not in (Stage.APPLYING, Stage.FINISHING):
        return
    if job.accounted_records != job.total_records:
        fail_import(
            job.pk,
            f"The counts do not add up: {job.total_records:,} records were read, "
            f"{job.accounted_records:,} are accounted for. Please report this.",
        )
        return
    job.status = Status.COMPLETED
    job.stage = Stage.FINISHING
    job.finished_at = job.progress_at = timezone.now()
    job.save(update_fields=["status", "stage", "finished_at", "progress_at"])
    _end(job, ChangeSet.Status.COMPLETED, Event.Type.IMPORT_COMPLETED)


@transaction.atomic
def fail_import(job_id: int, message: str) -> None:
    """End a job with the reason why. What it applied stays, counted, in its change set."""
    job = ImportJob.objects.select_for_update().get(pk=job_id)
    if job.is_final:
        return
    job.status = Status.FAILED
    job.error = message
    job.finished_at = job.progress_at = timezone.now()
    job.save(update_fields=["status", "error", "finished_at", "progress_at"])
    _end(job, ChangeSet.Status.FAILED, Event.Type.IMPORT_FAILED)


def _end(job: ImportJob, status: ChangeSet.Status, event: Event.Type) -> None:
    """What every end of a job needs: its change set closed (and the next one's turn), its event."""
    with connection.cursor() as cursor:
        sql.drop_staging(cursor, job.pk)
    if job.change_set_id is not None:
        if status == ChangeSet.Status.FAILED and not job.created and not job.updated:
            catalog.drop_change_set(job.change_set_id)
            job.change_set_id = None
        else:
            catalog.close_change_set(job.change_set_id, status=status)
    record_event(type=event, data=job_snapshot(job))


# --- Sweep ----------------------------------------------------------------------------


def sweep_imports() -> list[int]:
    """Wake workers for what is due and not moving: lost messages, killed workers, turns."""
    quiet = timezone.now() - timedelta(seconds=STALE_SECONDS)
    due = ImportJob.unfinished().filter(Q(progress_at__lt=quiet) | Q(stage=Stage.RESOLVING))
    ids = list(due.order_by("id").values_list("pk", flat=True)[:20])
    for job_id in ids:
        kick_after_commit(ADVANCE, job_id)
    return ids
