"""From staging to a review: the stage “compare”. Nothing in the catalogue is touched.

The review is a table of its own per job, with what would be created and updated, old and new.
It is kept for a week after the job's end.
"""

from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from structlog import get_logger

from catalog.operations import change_sets
from catalog.sql import compare
from catalog.values import FIELDS
from imports.models import ImportChunk, ImportJob, job_snapshot
from imports.pipeline.checks import caution
from imports.pipeline.checks.missing import show_missing
from imports.pipeline.checks.stop_rules import refused_in, second_person_looks
from imports.pipeline.finish import Overtaken
from imports.pipeline.notices import tell_of_job
from imports.pipeline.staged import Staged, lock_chunk
from imports.queries.review import FLAGS
from imports.sql import review, staging
from imports.task_names import ADVANCE
from product_importer.common.enqueue import send_after_commit
from webhooks.models import Event
from webhooks.operations.events import record_event

Status = ImportJob.Status
Stage = ImportJob.Stage

logger = get_logger(__name__)


def begin_comparing(job: ImportJob) -> None:
    """Start to compare a job's chunks, with an empty review."""
    with transaction.atomic(), connection.cursor() as cursor:
        staging.lock_job(cursor, job.pk)
        mine = ImportJob.objects.filter(
            pk=job.pk,
            status=Status.PROCESSING,
            stage=Stage.RESOLVING,
            resolved_at__isnull=False,
            approved_at=None,
        ).filter(Q(review=True) | Q(caution=ImportJob.Caution.LOOKING))
        if not mine.exists():
            return
        review.create_review(cursor, job.pk)
        job.chunks.update(compared=None, claimed_at=None)
        now = timezone.now()
        job.left_out_records.all().delete()
        mine.update(
            stage=Stage.COMPARING,
            comparing_at=now,
            compared_records=0,
            progress_at=now,
            left_out_created=0,
            left_out_updated=0,
            left_out_missing=0,
            review_version=F("review_version") + 1,
        )
    job.refresh_from_db()


def compare_chunk(chunk: ImportChunk) -> None:
    """Compare one chunk with the catalogue: its rows of the review, its counts, its mark.

    One transaction. Does nothing if the chunk is compared; waits for a worker that is at it.
    """
    try:
        if records := _compare_chunk(chunk):
            logger.info("chunk_compared", records=records)
    except Overtaken:
        return  # cancelled: what this one did is taken back


@transaction.atomic
def _compare_chunk(chunk: ImportChunk) -> int:
    """Return how many records were compared."""
    with connection.cursor() as cursor:
        mine = ImportChunk.objects.filter(pk=chunk.pk, compared__isnull=True)
        staged = lock_chunk(cursor, mine, Stage.COMPARING)
        if staged is None:
            return 0
        job = staged.job
        counts = compare.compare(
            cursor, **comparison(staged, chunk), into=review.review_table(job.pk)
        )
        counts["unmatched"] = len(staged.unmatched(cursor, chunk))
        counts["total"] += counts["unmatched"]
        if job.looks_for_missing:
            place = counts["created"] + counts["updated"]
            counts["missing"] = show_missing(
                cursor, job, chunk, into=review.review_table(job.pk), place=place
            )
    mine.update(compared=counts, error="")
    moved = ImportJob.objects.filter(
        pk=job.pk, status=Status.PROCESSING, stage=Stage.COMPARING
    ).update(compared_records=F("compared_records") + counts["total"], progress_at=timezone.now())
    if not moved:
        raise Overtaken(f"job {job.pk} is no longer compared")
    return int(counts["total"])


def comparison(staged: Staged, chunk: ImportChunk) -> dict[str, Any]:
    """What comparing a chunk takes."""
    bounds = {"first_key": chunk.first_key, "end_key": chunk.end_key}
    return {**staged.taken, **bounds, "params": {}, "chunk": chunk.number}


def finish_comparing(job_id: int) -> None:
    """Add up what the chunks found, and wait for somebody; or go on, if nobody has to see it.

    That is so for an import without a review that only looked unusual, or is to warn only.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        staging.lock_job(cursor, job_id)
        job = ImportJob.objects.select_for_update(of=("self",)).get(pk=job_id)
        if job.status != Status.PROCESSING or job.stage != Stage.COMPARING:
            return
        if not job.is_to_compare:
            return  # another worker was quicker, and somebody has even applied it since
        sums = _sums(job)
        table = review.review_table(job_id)
        sums["lost_zeros"] = compare.flag_lost_zeros(cursor, table=table)
        sums["alike"] = compare.flag_alike(cursor, table=table)
        review.index_review(cursor, job_id)
        reasons = caution.reasons_to_stop(job, sums)
        job.progress_at = timezone.now()
        job.attempts = 0
        if job.review:
            _await_review(job, sums, [*reasons, *caution.further_warnings(job, sums)])
        elif (
            reasons
            and not _all_refused(job, sums)  # then there is nothing to decide about
            and (job.checks == ImportJob.Checks.STOP or second_person_looks(job))
        ):
            _stop_for_review(job, reasons)
            _await_review(job, sums, [*reasons, *caution.further_warnings(job, sums)])
        else:
            job.caution = ImportJob.Caution.CLEAR
            job.warnings = [*reasons, *job.warnings]
            job.chunks.update(attempts=0, claimed_at=None)
            review.drop_review(cursor, job_id)
            send_after_commit(ADVANCE, job_id)
        job.save(
            update_fields=[
                *("status", "review", "caution", "change_set", "shown", "warnings"),
                *("compared_at", "progress_at", "attempts"),
            ]
        )
        if job.status == Status.AWAITING_REVIEW:
            record_event(
                type=Event.Type.IMPORT_AWAITING_REVIEW,
                data={
                    **job_snapshot(job),
                    "counts": job.shown["counts"],
                    "reasons": job.shown["warnings"],
                },
            )
            tell_of_job(job)


def _all_refused(job: ImportJob, sums: dict[str, int]) -> bool:
    return 0 < job.total_records == refused_in(job, sums)


def _stop_for_review(job: ImportJob, reasons: list[str]) -> None:
    """Make an import without a review one with it; it gives up its place in the queue."""
    job.review, job.caution = True, ImportJob.Caution.HELD
    job.warnings = [*reasons, *job.warnings]
    if job.change_set_id is not None:
        held, job.change_set = job.change_set_id, None
        job.save(update_fields=["change_set"])
        change_sets.drop_change_set(held)
    logger.info("import_held", job_id=job.pk, reasons=len(reasons))


def _await_review(job: ImportJob, sums: dict[str, int], warnings: list[str]) -> None:
    job.status, job.compared_at = Status.AWAITING_REVIEW, job.progress_at
    job.shown = {
        "counts": {
            "total": job.total_records,
            "created": sums["created"],
            "updated": sums["updated"],
            "unchanged": sums["unchanged"],
            "superseded": sums["superseded"],
            "skipped": job.skipped + sums["skipped"],
            "rejected": refused_in(job, sums),
            **({"missing": sums["missing"]} if job.full_list else {}),
        },
        "fields": {
            name: sums[name] for name in (*FIELDS, *(("own_fields",) if job.has_own else ()))
        },
        "warnings": warnings,
        "flags": {name: sums[name] for name in FLAGS},
    }


def _sums(job: ImportJob) -> dict[str, int]:
    names = (
        *("total", "superseded", "created", "updated", "unchanged", "skipped", "nameless"),
        *("taken", "unmatched", "own_fields", "missing"),
        *("existing", "priced", "tenfold", "scientific", "decimal", "date", "wiped", *FIELDS),
    )
    parts = [counts for counts in job.chunks.values_list("compared", flat=True) if counts]
    return {name: sum(counts.get(name, 0) for counts in parts) for name in names}
