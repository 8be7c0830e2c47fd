"""From staging to a review: the stage “compare”. Nothing in the catalogue is touched.

The review is a table of its own per job, with what would be created and updated, old and new.
It is kept for a week after the job's end.
"""

from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from structlog import get_logger

from catalog.sql import compare
from catalog.sql.upsert import APPLY_SETTINGS
from catalog.values import FIELDS
from imports.models import ImportChunk, ImportJob
from imports.pipeline.finish import Overtaken
from imports.pipeline.stage import stage_again
from imports.sql import staging

Status = ImportJob.Status
Stage = ImportJob.Stage

logger = get_logger(__name__)

EXAMPLES = 3  # named in a warning


def begin_comparing(job: ImportJob) -> None:
    """Start to compare a job's chunks, with an empty review."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not staging.try_lock_job(cursor, job.pk):
            return
        mine = ImportJob.objects.filter(
            pk=job.pk,
            status=Status.PROCESSING,
            stage=Stage.RESOLVING,
            resolved_at__isnull=False,
            approved_at=None,
        )
        if not mine.exists():
            return
        staging.create_review(cursor, job.pk)
        job.chunks.update(compared=None, claimed_at=None)
        now = timezone.now()
        mine.update(stage=Stage.COMPARING, comparing_at=now, compared_records=0, progress_at=now)
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
        cursor.execute(APPLY_SETTINGS)
        mine = ImportChunk.objects.filter(pk=chunk.pk, compared__isnull=True)
        if not mine.select_for_update(of=("self",)).order_by("pk").first():
            return 0  # compared by another worker
        job = ImportJob.objects.get(pk=chunk.job_id)
        if job.status != Status.PROCESSING or job.stage != Stage.COMPARING:
            return 0
        if not staging.holds_rows(cursor, job.pk):
            stage_again(job)
            return 0
        counts = compare.compare(
            cursor,
            **comparison(job, chunk),
            into=staging.review_table(job.pk),
        )
    mine.update(compared=counts, error="")
    moved = ImportJob.objects.filter(
        pk=job.pk, status=Status.PROCESSING, stage=Stage.COMPARING
    ).update(compared_records=F("compared_records") + counts["total"], progress_at=timezone.now())
    if not moved:
        raise Overtaken(f"job {job.pk} is no longer compared")
    return int(counts["total"])


def comparison(job: ImportJob, chunk: ImportChunk) -> dict[str, Any]:
    """What comparing a chunk takes."""
    return {
        "source": staging.chunk_source(job.pk, may_keep=job.may_keep),
        "params": {},
        "fields": job.layout["fields"].keys(),
        "first_key": chunk.first_key,
        "end_key": chunk.end_key,
        "may_create": job.mode != ImportJob.Mode.UPDATE_ONLY,
        "may_update": job.mode != ImportJob.Mode.CREATE_ONLY,
        "may_keep": job.may_keep,
        "chunk": chunk.number,
    }


def finish_comparing(job_id: int) -> None:
    """Add up what the chunks found, warn of what a shopkeeper would want to know, and wait."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not staging.try_lock_job(cursor, job_id):
            return
        job = ImportJob.objects.get(pk=job_id)
        if job.status != Status.PROCESSING or job.stage != Stage.COMPARING or job.is_approved:
            return  # another worker was quicker, and somebody has even applied it since
        sums = _sums(job)
        sums["lost_zeros"] = compare.flag_lost_zeros(cursor, table=staging.review_table(job_id))
        now = timezone.now()
        ImportJob.objects.filter(
            pk=job_id, status=Status.PROCESSING, stage=Stage.COMPARING, approved_at=None
        ).update(
            status=Status.AWAITING_REVIEW,
            compared_at=now,
            progress_at=now,
            attempts=0,
            shown={
                "counts": {
                    "total": job.total_records,
                    "created": sums["created"],
                    "updated": sums["updated"],
                    "unchanged": sums["unchanged"],
                    "superseded": sums["superseded"],
                    "skipped": job.skipped + sums["skipped"],
                    "rejected": job.rejected + sums["nameless"],
                },
                "fields": {name: sums[name] for name in FIELDS},
                "warnings": _warnings(job, sums),
                "flags": {name: sums[name] for name in ("tenfold", "scientific", "lost_zeros")},
            },
        )


def _sums(job: ImportJob) -> dict[str, int]:
    names = (
        *("total", "superseded", "created", "updated", "unchanged", "skipped", "nameless"),
        *("existing", "tenfold", "scientific", *FIELDS),
    )
    parts = [counts for counts in job.chunks.values_list("compared", flat=True) if counts]
    return {name: sum(counts[name] for counts in parts) for name in names}


# --- What a shopkeeper would want to know before it happens ---------------------------


def _warnings(job: ImportJob, sums: dict[str, int]) -> list[str]:
    found = []
    met = sums["existing"]
    for field, word in (("price", "prices"), ("name", "names"), ("description", "descriptions")):
        if met > 1 and sums[field] * 2 > met:
            found.append(
                f"More than half of the {word} change: {sums[field]:,} of {met:,} products that "
                "are in the catalogue. Is it the right file?"
            )
    if sums["tenfold"]:
        rows = _flagged(job, compare.FLAG_TENFOLD)
        found.append(
            f"{_count(sums['tenfold'], 'price moves', 'prices move')} tenfold or more, for "
            f"example {', '.join('{sku} from {old_price} to {price}'.format(**r) for r in rows)}. "
            "Perhaps a decimal point was lost."
        )
    if sums["scientific"]:
        rows = _flagged(job, compare.FLAG_SCIENTIFIC)
        example = f", for example {', '.join(row['sku'] for row in rows)}" if rows else ""
        found.append(
            f"{_count(sums['scientific'], 'SKU looks', 'SKUs look')} damaged by a spreadsheet"
            f"{example}: a long number was cut. Take the SKUs from the original file."
        )
    if sums["lost_zeros"]:
        rows = _flagged(job, compare.FLAG_LOST_ZEROS)
        found.append(
            f"{_count(sums['lost_zeros'], 'new SKU has', 'new SKUs have')} lost the leading "
            "zeros that the same number has in the catalogue, for example "
            f"{', '.join(row['sku'] for row in rows)}: they would become second products."
        )
    if sums["nameless"]:
        has_column = "name" in job.layout["fields"]
        why = "have no name in the file" if has_column else "the file has no name column"
        found.append(
            f"{_count(sums['nameless'], 'record is', 'records are')} not in the catalogue, and "
            f"{why}: refused, because a new product needs a name."
        )
    return found


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _flagged(job: ImportJob, flag: int) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        return staging.read_review(cursor, job.pk, after=(0, 0), limit=EXAMPLES, flags=flag)
