"""From the file to the staging table: the stages “read” and “check duplicates”.

What comes before in the same pass over the file, matching its columns, is in ``match``.
"""

import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any, BinaryIO, cast

from django.db import Error, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from django.utils import timezone
from structlog import get_logger

from catalog.queries.own_fields.fields import there_are
from imports.mapping.rules import RulesError, layout_keeps
from imports.models import ImportJob, RowError
from imports.pipeline import ordering
from imports.pipeline.checks import missing
from imports.pipeline.duplicates import TELL_SECONDS, recognise_stored, same_file_warning
from imports.pipeline.finish import (
    Overtaken,
    count_attempt,
    fail_import,
    note_trouble,
    still_reading,
)
from imports.pipeline.match import Unclear, await_mapping, match_columns, rules_to_keep
from imports.pipeline.unpack import unpack_upload
from imports.queries.mapping import Found
from imports.readers.csv import (
    Checkpoint,
    Layout,
    Problem,
    UnreadableFile,
    read_batches,
)
from imports.readers.csv.segments import Piece, piece_of
from imports.readers.csv.shared_reading import may_be_shared, shared_reading
from imports.sql import staging
from imports.task_names import ADVANCE, HELP_READING
from product_importer.common import counters
from product_importer.common.enqueue import send_after_commit

logger = get_logger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage

BEFORE_RESOLVING = (Stage.UNPACKING, Stage.MATCHING, Stage.STAGING)
SLICE_SECONDS = 0.25  # of reading per transaction: four steps of progress a second
RUN_SECONDS = 20.0  # of reading per task: tasks stay short
HELPERS = 3  # other workers that are asked to read along, at most
PER_FETCH = 4  # and of reading for each second of download, which the next task has to repeat


def prepare(job: ImportJob) -> bool:
    """Bring a job to where everything is read and ordered; return whether it is there."""
    if not _begin_run(job):
        return False
    try:
        if job.stage in BEFORE_RESOLVING and not stage_records(job):
            send_after_commit(ADVANCE, job.pk)  # more to read: the next task goes on
            return False
        return resolve(job)
    except UnreadableFile as error:
        fail_import(job.pk, str(error), hopeless=True)
    except Unclear as unclear:
        await_mapping(job, unclear.values)
    except FileNotFoundError:
        fail_import(
            job.pk, "The uploaded file is no longer in the storage. Upload it again.", hopeless=True
        )
    except Overtaken as error:
        logger.info("overtaken", reason=str(error))
    except Exception as error:
        if isinstance(error, (OSError, Error, *_errors_of_buckets())):
            note_trouble(job.pk, error)
        raise
    return False


def _errors_of_buckets() -> tuple[type[Exception], ...]:
    """What reading from a bucket fails with; looked for when something has failed."""
    # Not above: it takes half a megabyte of each worker, and many have no bucket.
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _begin_run(job: ImportJob) -> bool:
    """Count a run of reading or ordering; a job that never gets on fails here."""
    with transaction.atomic(), connection.cursor() as cursor:
        staging.lock_job(cursor, job.pk)
        now = ImportJob.objects.select_for_update(of=("self",)).get(pk=job.pk)
        if now.status not in ImportJob.ACTIVE or now.resolved_at is not None:
            return False  # ended, or resolved by another worker, who goes on with it
        if not count_attempt(now):
            return False
        ImportJob.objects.filter(pk=job.pk).update(
            status=Status.PROCESSING,
            stage=now.stage or Stage.UNPACKING,
            started_at=now.started_at or timezone.now(),
        )
    job.refresh_from_db()
    return job.status == Status.PROCESSING


# --- Stage: the file into the staging table -------------------------------------------


def stage_records(job: ImportJob, *, seconds: float = RUN_SECONDS) -> bool:
    """Read the file from its checkpoint on, slice by slice; return whether all of it is read.

    A slice is one transaction: its rows, its refused records, the checkpoint behind it. What is
    packed is unpacked first, and its table left to the next run. Raises ``UnreadableFile``,
    ``FileNotFoundError`` and ``Overtaken``.
    """
    with job.readable.open("rb") as handle:
        file = cast(BinaryIO, handle.file)
        began = time.monotonic()
        _fetch(job, file)
        seconds = max(seconds, PER_FETCH * (time.monotonic() - began))
        if not job.sha256:
            recognise_stored(job, file)
        if job.stage == Stage.UNPACKING and not unpack_upload(job, file):
            return False
        layout, checkpoint = _reading_state(job, file)
        deadline = time.monotonic() + seconds
        with closing(_read(file, layout, checkpoint)) as pieces:
            while True:
                checkpoint, ended = _stage_slice(job, checkpoint, pieces)
                if ended:
                    return True
                if time.monotonic() > deadline:
                    return False


def _read(file: BinaryIO, layout: Layout, checkpoint: Checkpoint) -> Generator[Piece, None, None]:
    """The pieces of a file from a checkpoint on; of a long one with the help of other workers."""
    if not may_be_shared(file, layout, checkpoint):
        for batch in read_batches(file, layout, checkpoint):
            yield piece_of(batch, file.tell())
        return
    with shared_reading(file, layout, checkpoint) as (name, pieces):
        for _ in range(HELPERS if name else 0):
            send_after_commit(HELP_READING, name)
        yield from pieces


def _fetch(job: ImportJob, file: BinaryIO) -> None:
    """Have the file on this machine: of one in a bucket, the first look at it downloads it.

    That may take longer than the sweep waits for a sign of life.
    """
    with ThreadPoolExecutor(1) as thread:
        fetching = thread.submit(lambda: file.tell())
        while not wait([fetching], timeout=TELL_SECONDS).done:
            still_reading(job.pk)
        fetching.result()


def _reading_state(job: ImportJob, file: BinaryIO) -> tuple[Layout, Checkpoint]:
    """Where to go on; from the first record, if nothing is staged or if it was lost."""
    if job.layout:
        layout = Layout(**job.layout)
        checkpoint = Checkpoint(**job.checkpoint)
        with connection.cursor() as cursor:
            if (
                staging.staging_exists(cursor, job.pk)
                and staging.count_staged(cursor, job.pk) == job.staged_records
            ):
                return layout, checkpoint
    found = match_columns(job, file)
    try:
        layout = found.layout()
    except RulesError as error:
        raise UnreadableFile(str(error)) from error
    checkpoint = Checkpoint(layout.offset, layout.line)
    kept = {"layout": layout.as_json(), "checkpoint": checkpoint.as_json()}
    restart_staging(job, found=found, **kept)
    return layout, checkpoint


@transaction.atomic
def restart_staging(
    job: ImportJob, *, found: Found, layout: dict[str, Any], checkpoint: dict[str, Any]
) -> None:
    """Begin to read the file from its first record, with an empty staging table.

    The job keeps the rules that it is read by from now on. What chunks have applied already, and
    refused while applying, stays counted. Raises ``Overtaken`` if the job is no longer where it
    was when it was looked at.
    """
    # Two workers may have been woken to read it: the first one's records must stay, and the late
    # one not hold the job's lock for long, under which the first one resolves.
    moved = ImportJob.objects.filter(
        pk=job.pk,
        status=Status.PROCESSING,
        stage=job.stage,
        layout=job.layout,
        checkpoint=job.checkpoint,
        staged_records=job.staged_records,
    )
    overtaken = Overtaken(f"job {job.pk} is not where this worker would read it from")
    if not moved.exists():
        raise overtaken
    with connection.cursor() as cursor:
        staging.lock_job(cursor, job.pk)
        if not moved.exists():
            raise overtaken
        staging.create_staging(
            cursor, job.pk, may_keep=layout_keeps(layout), has_own=bool(layout.get("own"))
        )
    if not moved.select_for_update(of=("self",)).order_by("pk").first():
        raise overtaken
    read_errors = RowError.objects.filter(job=job, while_applying=False)
    read_errors._raw_delete(read_errors.db)
    skipped = job.checkpoint.get("skipped", 0)
    # What reading counts is staged, skipped or refused.
    refused = F("total_records") - F("staged_records") - skipped
    moved.update(
        **rules_to_keep(job, found),
        stage=Stage.STAGING,
        layout=layout,
        checkpoint=checkpoint,
        bytes_read=0,
        staged_records=0,
        total_records=0,
        rejected=F("rejected") - refused,
        skipped=F("skipped") - skipped,
        processed_records=F("processed_records") - refused - skipped,
        warnings=[
            *same_file_warning(job),
            *job.unpacked.get("warnings", ()),
            *layout["warnings"],
        ],
        progress_at=timezone.now(),
    )
    job.refresh_from_db()


def _stage_slice(
    job: ImportJob,
    checkpoint: Checkpoint,
    pieces: Iterator[Piece],
) -> tuple[Checkpoint, bool]:
    """Copy about ``SLICE_SECONDS`` worth of the file into staging, in one transaction."""
    rows = 0
    problems: list[Problem] = []
    warnings: list[str] = []
    ended = True
    until = time.monotonic() + SLICE_SECONDS
    behind, position = checkpoint, job.bytes_read
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")  # a lost slice is read again
        with cursor.copy(staging.copy_rows_statement(job.pk)) as copy:
            for piece in pieces:
                copy.write(piece.text)
                rows += piece.rows
                problems += piece.problems
                warnings += piece.warnings
                behind, position = piece.checkpoint, piece.position
                if time.monotonic() > until or len(problems) > 5000:
                    ended = False
                    break
        if problems:
            width = len(job.layout["header"])
            kept = staging.keep_problems(cursor, job.pk, problems, width=width)
            if kept < len(problems) and staging.PARTLY_KEPT not in job.warnings:
                warnings.append(staging.PARTLY_KEPT)
        skipped = behind.skipped - checkpoint.skipped
        done = len(problems) + skipped
        moved = ImportJob.objects.filter(
            pk=job.pk,
            status=Status.PROCESSING,
            stage=Stage.STAGING,
            checkpoint=checkpoint.as_json(),
            staged_records=job.staged_records,
        ).update(
            checkpoint=behind.as_json(),
            bytes_read=min(job.readable_size, position),
            staged_records=F("staged_records") + rows,
            total_records=F("total_records") + rows + done,
            processed_records=F("processed_records") + done,
            rejected=F("rejected") + len(problems),
            skipped=F("skipped") + skipped,
            warnings=[*job.warnings, *warnings],
            stage=Stage.RESOLVING if ended else Stage.STAGING,
            attempts=0,
            progress_at=timezone.now(),
        )
        if not moved:
            # Cancelled, or another worker reads the same job: what this one did is taken back.
            raise Overtaken(f"job {job.pk} moved on without this worker")
        counters.add({"records|rejected": len(problems), "records|skipped": skipped})
    job.warnings = [*job.warnings, *warnings]
    job.staged_records += rows
    job.bytes_read = position
    return behind, ended


# --- Resolve: duplicates, and chunks for the workers ----------------------------------


def resolve(job: ImportJob) -> bool:
    """Order the staged records by SKU and cut them into chunks; return whether that is done.

    Where few of them seem to change anything, that is put off (``imports.pipeline.ordering``).
    Of the records with one ``lower(sku)`` the last line wins. They always fall into the same
    chunk, so each chunk resolves its own while it is applied.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        staging.lock_job(cursor, job.pk)
        job.refresh_from_db()
        if job.stage != Stage.RESOLVING or job.resolved_at is not None:
            return False  # another worker was quicker, or found the staged records lost
        if job.staged_records and not staging.holds_rows(cursor, job.pk):
            stage_again(job)
            return False
        if job.found_by and not staging.is_matched(cursor, job.pk):
            _match_by_key(job, cursor)
        if job.chunks.exists():
            staging.index_staging(cursor, staging.staging_table(job.pk))
            job.chunks.filter(done_at=None).update(claimed_at=None)
        elif not ordering.may_put_off(cursor, job):
            ordering.order(cursor, job, rows=job.staged_records)
        ordering.count_anew(cursor, job)
        if not job.total_records:
            job.warnings.append("The file has a header and no records: nothing was imported.")
        job.warnings += _told_of_reading(job)
        if not job.chunks.filter(done_at__isnull=False).exists():  # else it is decided
            job.missing_off = missing.settle(job)
        if job.missing_off:
            job.warnings.append(job.missing_off)
        now = timezone.now()
        moved = ImportJob.objects.filter(
            pk=job.pk,
            status=Status.PROCESSING,
            stage=Stage.RESOLVING,
            layout=job.layout,
            staged_records=job.staged_records,
        ).update(
            warnings=job.warnings,
            missing_off=job.missing_off,
            attempts=0,
            trouble="",
            resolved_at=now,
            progress_at=now,
        )
        if not moved:
            raise Overtaken(f"job {job.pk} is no longer processed")
    logger.info("file_read", records=job.total_records, rejected=job.rejected)
    return True


def _match_by_key(job: ImportJob, cursor: CursorWrapper) -> None:
    """Find the products of the staged records by an own field. Raises ``UnreadableFile``."""
    definition = next(one for one in job.layout["own"] if one["key"] == job.found_by)
    if job.found_by not in there_are():
        raise UnreadableFile(
            f"The field {definition['label']}, by which products were to be found, is deleted."
        )
    if job.found_within_supplier:
        if job.supplier_id is None:
            raise UnreadableFile(
                f"Products are to be found by their {definition['label']} among those that the "
                "supplier brought in, and nobody said whose file this is. Upload it as a file of "
                "its supplier, or have all products looked at."
            )
        missing.note_supplier(job)
    staging.match_by_key(
        cursor,
        job.pk,
        job.found_by,
        supplier=job.supplier_id if job.found_within_supplier else None,
        create=job.creates_unmatched,
        has_sku=any(rule["field"] == "sku" for rule in job.column_rules),
        is_gtin=definition["type"] == "gtin",
    )


def _told_of_reading(job: ImportJob) -> list[str]:
    """What the rules did to many records, and nobody would see in any one of them."""
    told = []
    if skipped := job.checkpoint.get("skipped", 0):
        conditions = job.layout["rules"]["only_if"]
        names = " and ".join(f"“{str(condition['column'])[:40]}”" for condition in conditions)
        told.append(
            f"{skipped:,} record{'s' if skipped > 1 else ''} left out by the filter on {names}: "
            "counted as skipped."
        )
    if nothings := job.checkpoint.get("nothings", 0):
        told.append(
            f"{nothings:,} description{'s' if nothings > 1 else ''} that said NULL, nan, None or "
            "the like read as blank."
        )
    return told


def stage_again(job: ImportJob) -> None:
    """Read the file once more: a crash of the server emptied the unlogged staging table, or
    its own fields are other ones now (``imports.pipeline.staged``).

    Several workers find that at once. Who comes late, with a job as it was before, does nothing:
    the file may have been read by then.
    """
    found = ImportJob.objects.filter(
        pk=job.pk,
        status=Status.PROCESSING,
        stage=job.stage,
        layout=job.layout,
        resolved_at=job.resolved_at,
    )
    if found.update(stage=Stage.STAGING, layout={}, resolved_at=None, progress_at=timezone.now()):
        logger.warning("staged_records_lost", job_id=job.pk)  # or outdated: the file is read again
        send_after_commit(ADVANCE, job.pk)
