"""Clearing: uploaded files, refused and superseded records of imports that ended long ago.

A job that has not ended loses nothing, however old it is. One that failed or was cancelled can
be retried as long as its file is kept, and keeps its records as long.
"""

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from imports.models import FeedRun, ImportChunk, ImportJob, Notice, uploads
from imports.sql import staging

logger = logging.getLogger(__name__)

CLEAR_SECONDS = 5.0  # of each kind in one run
RECORDS_AT_ONCE = 5_000  # in one transaction
NOTICES_KEPT = timedelta(days=90)  # what they tell of is an import that is kept, or long mended
KEEP_FEED_RUNS = timedelta(days=400)  # so that a year's are beside the year before


class StorageTrouble(Exception):
    """Files could not be deleted; the message says which, the log says why."""


# --- Files ----------------------------------------------------------------------------


def old_uploads() -> QuerySet[ImportJob]:
    """The jobs whose files ``clear_uploads`` would delete, oldest first."""
    return _ended_before(settings.KEEP_UPLOADS).exclude(file="").order_by("finished_at", "id")


def clear_uploads(*, seconds: float = CLEAR_SECONDS) -> int:
    """Delete the files of imports that ended long ago; return how many.

    For about so many seconds. A file that the storage does not delete is named in
    ``StorageTrouble`` when all others are done; it is tried again with the next run.
    """
    deadline = time.monotonic() + seconds
    count = 0
    refused: list[str] = []
    for job_id in list(old_uploads().values_list("pk", flat=True)):
        try:
            count += _clear_upload(job_id)
        except Exception as error:  # of whatever storage is in use
            logger.exception("the file of import %s could not be deleted", job_id)
            refused.append(f"import {job_id}: {error}")
        if time.monotonic() > deadline:
            break
    if refused:
        raise StorageTrouble(
            f"{len(refused)} old files could not be deleted from the storage, for example "
            f"{refused[0]}. See to the reason; they are tried again."
        )
    return count


@transaction.atomic
def _clear_upload(job_id: int) -> bool:
    """Delete one file, and its table.

    The job's row is locked: a retry may be about to read it again.
    """
    locked = ImportJob.objects.select_for_update(of=("self",), skip_locked=True)
    job = locked.filter(pk=job_id, status__in=ImportJob.FINAL).exclude(file="").first()
    if job is None:
        return False
    # If the transaction fails now, the name is kept, and the file is deleted once more.
    if job.table:
        uploads().delete(str(job.table.name))
    uploads().delete(str(job.file.name))
    return bool(ImportJob.objects.filter(pk=job_id).update(file="", table=""))


# --- Records --------------------------------------------------------------------------


def old_details() -> QuerySet[ImportJob]:
    """The jobs whose records ``clear_details`` would delete, oldest first."""
    done_for = Q(status=ImportJob.Status.COMPLETED) | Q(file="")
    old = _ended_before(settings.KEEP_IMPORT_DETAILS).filter(done_for, details_cleared_at=None)
    return old.order_by("finished_at", "id")


def clear_details(*, seconds: float = CLEAR_SECONDS) -> int:
    """Delete refused and superseded records, and chunks, of imports that ended long ago.

    Returns how many records. For about so many seconds: the next run goes on.
    """
    deadline = time.monotonic() + seconds
    count = 0
    for job_id in list(old_details().values_list("pk", flat=True)):
        job = ImportJob.objects.filter(pk=job_id)
        job.filter(details_expired_at=None).update(details_expired_at=timezone.now())
        for table in staging.DETAILS:
            while True:
                with transaction.atomic(), connection.cursor() as cursor:
                    deleted = staging.delete_details(cursor, table, job_id, limit=RECORDS_AT_ONCE)
                count += deleted
                if time.monotonic() > deadline:
                    return count
                if not deleted:
                    break
        ImportChunk.objects.filter(job=job_id).delete()
        job.update(details_cleared_at=timezone.now())
    return count


# --- Notices --------------------------------------------------------------------------


def old_notices() -> QuerySet[Notice]:
    return Notice.objects.filter(created_at__lt=timezone.now() - NOTICES_KEPT).order_by("id")


def clear_notices(*, seconds: float = CLEAR_SECONDS) -> int:
    """Delete what people were told of long ago; return how many. For about so many seconds."""
    deadline = time.monotonic() + seconds
    count = 0
    while True:
        ids = list(old_notices().values_list("pk", flat=True)[:RECORDS_AT_ONCE])
        Notice.objects.filter(pk__in=ids).delete()
        count += len(ids)
        if len(ids) < RECORDS_AT_ONCE or time.monotonic() > deadline:
            return count


def _ended_before(keep: timedelta | None) -> QuerySet[ImportJob]:
    if keep is None:
        return ImportJob.objects.none()
    return ImportJob.objects.filter(
        status__in=ImportJob.FINAL, finished_at__lt=timezone.now() - keep
    )


# --- Runs of feeds --------------------------------------------------------------------


def clear_feed_runs() -> int:
    """Delete up to ``RECORDS_AT_ONCE`` runs that ended long ago; return how many.

    Their imports stay, each as long as any other.
    """
    old = FeedRun.objects.filter(at__lt=timezone.now() - KEEP_FEED_RUNS)
    ended = old.exclude(state=FeedRun.State.RUNNING).order_by("at").values("pk")
    return FeedRun.objects.filter(pk__in=ended[:RECORDS_AT_ONCE]).delete()[0]
