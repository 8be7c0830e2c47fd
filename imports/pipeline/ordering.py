"""The stage “check duplicates”: staged records in the order of their SKUs, cut into chunks.

Of a file that comes again, most records change nothing. Where a sample says so, the ordering is
put off until the job has its turn and its records are looked at (``checks.caution``):
that look tells which of them differ, and only those are ordered and applied.
"""

from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from structlog import get_logger

from catalog.sql.checks import sift
from catalog.sql.checks.caution import Sifted
from imports.models import ImportChunk, ImportJob
from imports.sql import staging
from product_importer.common import counters

logger = get_logger(__name__)

# Below, it is soon done; above, to sift and then to order what is left would take as long.
LEAST_RECORDS = 20_000
MOST_DIFFER = 0.5


def order(cursor: CursorWrapper, job: ImportJob, *, rows: int) -> None:
    """Order a job's staged records, of which there are ``rows``, and cut them into chunks."""
    staging.index_staging(cursor, staging.staging_table(job.pk))
    if rows:
        _cut(cursor, job, rows)


def _cut(cursor: CursorWrapper, job: ImportJob, rows: int) -> None:
    bounds = staging.chunk_bounds(cursor, job.pk, rows=rows, chunk_rows=settings.IMPORT_CHUNK_ROWS)
    ImportChunk.objects.bulk_create(
        ImportChunk(job=job, number=number, first_key=first, end_key=end)
        for number, (first, end) in enumerate(
            zip(["", *bounds], [*bounds, None], strict=True), start=1
        )
    )


# --- Put off: sifted by the look ---------------------------------------------------------


def may_put_off(cursor: CursorWrapper, job: ImportJob) -> bool:
    """Whether a job's records are sifted before they are ordered.

    Not where all of them are of interest: somebody is to review them, products that the file lacks
    are looked for, or found by another key, or the words of a list added.
    """
    if (
        job.staged_records < LEAST_RECORDS
        or job.review
        or job.full_list
        or job.found_by
        or not job.may_update
        or job.lists_it_adds_to
    ):
        return False
    share = sift.share_that_differs(
        cursor,
        table=staging.staging_table(job.pk),
        rows=job.staged_records,
        fields=job.layout["fields"].keys(),
        may_keep=job.may_keep,
    )
    return share <= MOST_DIFFER


def is_put_off(job: ImportJob) -> bool:
    """Whether a job's records are read and not ordered."""
    return job.staged_records > 0 and not job.chunks.exists()


def sift_records(
    cursor: CursorWrapper, job: ImportJob, *, more_than: int | None
) -> tuple[str, Sifted]:
    """Copy the records of SKUs that differ to a table of their own, ordered; returns its name."""
    table = staging.create_sifted(cursor, job.pk)
    sifted = sift.sift(
        cursor,
        table=staging.staging_table(job.pk),
        into=table,
        fields=job.layout["fields"].keys(),
        may_keep=job.may_keep,
        more_than=more_than,
    )
    staging.index_staging(cursor, table)
    return table, sifted


def settle(cursor: CursorWrapper, job: ImportJob, sifted: Sifted, *, all_records: bool) -> None:
    """Order what is to be compared or applied: all records, or those that were kept as differing.

    The others are sifted out: they are unchanged products, one each, and counted.
    """
    staging.keep_sifted(cursor, job.pk, keep=not all_records)
    if all_records:
        order(cursor, job, rows=job.staged_records)
        return
    if sifted.kept:
        _cut(cursor, job, sifted.kept)
    _count(job, sifted.records - sifted.kept)
    logger.info("records_sifted", records=sifted.records, kept=sifted.kept)


def count_anew(cursor: CursorWrapper, job: ImportJob) -> None:
    """Take back the count of sifted-out records that are staged once more.

    The records that were kept were lost, and the whole file was read again: its records in chunks
    that are left are compared again.
    """
    if not job.sifted_out:
        return
    left = staging.count_left(cursor, job.pk) if job.chunks.exists() else job.staged_records
    _count(job, job.total_records - job.accounted_records - left)


def _count(job: ImportJob, records: int) -> None:
    ImportJob.objects.filter(pk=job.pk).update(
        unchanged=F("unchanged") + records,
        processed_records=F("processed_records") + records,
        sifted_out=F("sifted_out") + records,
    )
    counters.add({"records|unchanged": max(0, records)})
