"""From staging to the catalogue: the stage “apply”, one chunk and one transaction at a time."""

import time
from dataclasses import dataclass
from typing import cast

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from structlog import get_logger

from catalog.models import ChangeSet
from catalog.operations import products as catalog
from catalog.sql.compare import differing_skus
from catalog.sql.upsert import APPLY_SETTINGS, ConcurrentEdit, Upserted, upsert
from imports.models import ImportChunk, ImportJob
from imports.pipeline.compare import comparison
from imports.pipeline.finish import Overtaken
from imports.pipeline.stage import stage_again
from imports.readers.csv.cells import nameless
from imports.sql import staging
from product_importer.common import counters

Status = ImportJob.Status
Stage = ImportJob.Stage

logger = get_logger(__name__)

EDIT_RETRIES = 20  # of one chunk whose products are being edited at the same time
EXAMPLES = 5  # SKUs named for what turned out differently than the review showed


def begin_applying(job: ImportJob) -> bool:
    """Start to write, if it is this job's turn; else whoever finishes before it wakes it."""
    if job.change_set is None:
        with transaction.atomic():
            locked = ImportJob.objects.select_for_update(of=("self",)).get(pk=job.pk)
            if locked.change_set_id is None:
                locked.change_set = catalog.open_change_set(
                    kind=ChangeSet.Kind.IMPORT,
                    actor=job.retried_by or job.approved_by or job.created_by,
                )
                locked.save(update_fields=["change_set"])
        job.refresh_from_db()
    if not catalog.take_turn(cast(ChangeSet, job.change_set)):
        return False
    now = timezone.now()
    ImportJob.objects.filter(
        pk=job.pk,
        status=Status.PROCESSING,
        stage__in=(Stage.RESOLVING, Stage.COMPARING),
        resolved_at__isnull=False,
    ).update(
        stage=Stage.APPLYING,
        applying_at=now,
        applying_from=F("processed_records"),
        progress_at=now,
    )
    job.refresh_from_db()
    return True


def apply_chunk(chunk: ImportChunk) -> None:
    """Write one chunk: its products, their values before, its counts, its done mark.

    One transaction. Does nothing if the chunk is done; waits for a worker that is at it.
    """
    for _ in range(EDIT_RETRIES):
        try:
            if figures := _apply_chunk_once(chunk):
                logger.info("chunk_applied", **figures)
            return
        except ConcurrentEdit:
            continue  # somebody edited one of its products: compare again with what is there now
        except Overtaken:
            return  # cancelled: what this one did is taken back
    raise ConcurrentEdit(f"the products of chunk {chunk.number} keep changing")


@transaction.atomic
def _apply_chunk_once(chunk: ImportChunk) -> dict[str, float]:
    """Return the chunk's counts and ``seconds``, or nothing where there was nothing to do."""
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(APPLY_SETTINGS)
        mine = ImportChunk.objects.filter(pk=chunk.pk, done_at=None)
        # Waits for a worker that looks for a chunk: it may hold this row for a moment as well.
        if not mine.select_for_update(of=("self",)).order_by("pk").first():
            return {}  # done by another worker
        job = ImportJob.objects.get(pk=chunk.job_id)
        if job.status != Status.PROCESSING or job.stage != Stage.APPLYING:
            return {}
        if not staging.holds_rows(cursor, job.pk):
            stage_again(job)
            return {}
        differing = _differing(job, chunk)
        result = _upsert(job, chunk.first_key, chunk.end_key)
        if result.created or result.updated:
            catalog.tell_changed(
                cursor, cast(int, job.change_set_id), chunk.first_key, chunk.end_key
            )
    left_out = _refuse_nameless(job, result)
    seconds = time.monotonic() - started
    mine.update(done_at=timezone.now(), seconds=seconds, error="", refused_lines=left_out)
    # Last, because from here to the commit the other workers' chunks wait for these rows.
    moved = ImportJob.objects.filter(
        pk=job.pk, status=Status.PROCESSING, stage=Stage.APPLYING
    ).update(
        created=F("created") + result.created,
        updated=F("updated") + result.updated,
        unchanged=F("unchanged") + result.unchanged,
        superseded=F("superseded") + result.superseded,
        skipped=F("skipped") + result.skipped,
        rejected=F("rejected") + len(result.nameless),
        processed_records=F("processed_records") + result.rows,
        differing=F("differing") + len(differing),
        progress_at=timezone.now(),
    )
    if not moved:
        raise Overtaken(f"job {job.pk} is no longer applied")
    if left_out:
        warnings = ImportJob.objects.values_list("warnings", flat=True).get(pk=job.pk)
        if staging.PARTLY_KEPT not in warnings:
            ImportJob.objects.filter(pk=job.pk).update(warnings=[*warnings, staging.PARTLY_KEPT])
    if differing:
        told = ImportJob.objects.values_list("differing_skus", flat=True).get(pk=job.pk)
        ImportJob.objects.filter(pk=job.pk).update(
            differing_skus=[*told, *differing[: EXAMPLES - len(told)]]
        )
    catalog.count_changes(
        cast(int, job.change_set_id), created=result.created, updated=result.updated
    )
    counts = {
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "superseded": result.superseded,
        "skipped": result.skipped,
        "rejected": len(result.nameless),
    }
    records = {f"records|{outcome}": count for outcome, count in counts.items()}
    counters.add({**records, **counters.CHUNK_SECONDS.counts([seconds])})
    return {**counts, "seconds": round(seconds, 3)}


def _upsert(job: ImportJob, first_key: str, end_key: str | None) -> Upserted:
    with connection.cursor() as cursor:
        return upsert(
            cursor,
            source=staging.chunk_source(job.pk, may_keep=job.may_keep),
            aside=staging.RECORD_SUPERSEDED,
            params={"job": job.pk, "details": staging.DETAILS_ROWS},
            fields=job.layout["fields"].keys(),
            change_set_id=cast(int, job.change_set_id),
            first_key=first_key,
            end_key=end_key,
            may_create=job.mode != ImportJob.Mode.UPDATE_ONLY,
            may_update=job.mode != ImportJob.Mode.CREATE_ONLY,
            may_keep=job.may_keep,
        )


def _differing(job: ImportJob, chunk: ImportChunk) -> list[str]:
    """The SKUs that turn out differently than the review showed; mostly nothing has changed."""
    if not job.review or job.comparing_at is None:
        return []
    if not catalog.changed_since(job.comparing_at, but=job.change_set):
        return []
    with connection.cursor() as cursor:
        return differing_skus(
            cursor, **comparison(job, chunk), against=staging.review_table(job.pk)
        )


def _refuse_nameless(job: ImportJob, result: Upserted) -> list[int] | None:
    """Keep the refused records of a chunk; return the lines of those there was no room for."""
    if not result.nameless:
        return None
    has_column = "name" in job.layout["fields"]
    problems = [
        nameless(line, cells, has_column=has_column) for line, cells in sorted(result.nameless)
    ]
    width = len(job.layout["header"])
    with connection.cursor() as cursor:
        kept = staging.keep_problems(cursor, job.pk, problems, width=width, while_applying=True)
    return [problem.line for problem in problems[kept:]] or None


# --- Poison ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Poison:
    """A record that cannot be written, and why."""

    line: int
    sku: str
    reason: str


def find_poison(chunk: ImportChunk) -> Poison | None:
    """Find the record that a chunk fails for, by applying ever smaller parts of it.

    Everything is rolled back. ``None`` if the chunk does not fail now, or not for a record.
    """
    job = chunk.job
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(APPLY_SETTINGS)
        keys = staging.chunk_keys(cursor, job.pk, chunk.first_key, chunk.end_key)
        reason = _refusal(job, chunk.first_key, chunk.end_key)
        if reason is None or not keys:
            return None
        low, high = 0, len(keys)
        while high - low > 1:
            middle = (low + high) // 2
            found = _refusal(job, keys[low][0], keys[middle][0])
            if found is None:
                low = middle
            else:
                reason, high = found, middle
        return Poison(line=keys[low][1], sku=keys[low][2], reason=reason)


def _refusal(job: ImportJob, first_key: str, end_key: str | None) -> str | None:
    """Why a range of SKUs cannot be written, or ``None`` if it can."""
    try:
        with transaction.atomic():
            _upsert(job, first_key, end_key)
            transaction.set_rollback(True)
    except ConcurrentEdit:
        return None
    except Exception as error:
        # Whatever it is, a defect of ours too: the job has to end, and to say what it ends for.
        return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return None
