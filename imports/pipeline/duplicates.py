"""The same file again: known by its SHA-256, told, and held for review where that was asked for."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from django.core.files import File
from django.db import transaction
from django.utils import timezone

from catalog.operations import change_sets, undo
from imports.models import ImportJob
from imports.pipeline.finish import Overtaken, still_reading

Status = ImportJob.Status

BLOCK = 1 << 20  # bytes
TELL_SECONDS = 2.0  # between two signs of life


def recognise(job: ImportJob, file: "File[Any]") -> None:
    """See whether the very same file was imported before this job.

    ``review_if_known`` then has it reviewed. The job is not saved, the file is at its start again.
    """
    recognise_known(job, _sha256(file.chunks(BLOCK)))
    file.seek(0)


def recognise_known(job: ImportJob, sha256: str) -> None:
    """The same for a file whose SHA-256 is known already. The job is not saved."""
    job.sha256 = sha256
    _compare(job)
    job.review = job.review or (job.review_if_known and job.same_as is not None)


def recognise_stored(job: ImportJob, file: BinaryIO) -> None:
    """The same for a file that nobody has read before the worker: it went straight to the bucket.

    Where that has the job reviewed, it gives up its place in the queue. Raises ``Overtaken``.
    """
    sha256 = _sha256(_blocks(job, file))
    file.seek(0)
    with transaction.atomic():
        locked = ImportJob.objects.select_for_update(of=("self",)).get(pk=job.pk)
        if locked.status != Status.PROCESSING or locked.sha256:
            raise Overtaken(f"job {job.pk} moved on without this worker")
        locked.sha256 = sha256
        _compare(locked)
        if locked.review_if_known and locked.same_as is not None and not locked.review:
            locked.review = True
            if locked.change_set_id is not None:
                change_sets.drop_change_set(locked.change_set_id)
                locked.change_set = None
        locked.progress_at = timezone.now()
        fields = ["sha256", "same_as", "warnings", "review", "change_set", "progress_at"]
        locked.save(update_fields=fields)
    job.refresh_from_db()


def same_file_warning(job: ImportJob) -> list[str]:
    """What to say about a file that was imported before: when, by whom, and what came of it."""
    earlier = job.same_as
    if earlier is None:
        return []
    who = f" by {earlier.created_by}" if earlier.created_by else ""
    when = timezone.localtime(earlier.created_at)
    return [
        f"This very file was uploaded before, on {when:%d %b %Y at %H:%M %Z}{who}: as "
        f"{earlier.file_name}. If it was imported already, there is nothing new "
        "in it, and it overwrites what was changed since."
    ]


def _compare(job: ImportJob) -> None:
    job.same_as = _same_file(job)
    job.warnings = same_file_warning(job)


def _same_file(job: ImportJob) -> ImportJob | None:
    """The last earlier import of the very same file, unless it came to nothing or was undone."""
    earlier = (
        ImportJob.listed()
        .filter(sha256=job.sha256)
        .exclude(status__in=(Status.FAILED, Status.CANCELLED))
    )
    if job.pk is not None:
        earlier = earlier.filter(pk__lt=job.pk)
    for other in earlier.select_related("created_by", "change_set").order_by("-id")[:20]:
        if other.change_set is None or undo.undo_of(other.change_set) is None:
            return other
    return None


def _sha256(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _blocks(job: ImportJob, file: BinaryIO) -> Iterator[bytes]:
    told = time.monotonic()
    while block := file.read(BLOCK):
        yield block
        if time.monotonic() > told + TELL_SECONDS:
            still_reading(job.pk)
            told = time.monotonic()
