"""Direct uploads: a large file goes from the browser straight into the bucket, in parts.

    create_upload -> sign_parts (the browser sends them) -> complete_upload, which starts the import

An upload under way is a row (``Upload``); which parts have arrived is what the bucket says. So a
lost connection or a closed page costs the parts that were on the way, and each call may come
twice. Nothing here asks the bucket inside a transaction. Every call that asks it may raise
``BucketAway``.
"""

import logging
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from imports.files import multipart
from imports.files.orphans import clear_orphans
from imports.files.temp import StoredFile
from imports.models import ImportJob, Upload
from imports.operations import jobs
from imports.operations.jobs import Refused

logger = logging.getLogger(__name__)

KEPT = timedelta(days=1)  # for an upload to arrive
URL_SECONDS = 900  # for a part to begin to be sent
MAX_PARTS = 10_000  # of one upload: S3's own limit
BATCH = 100  # expired uploads that one run clears away


class Gone(Refused):
    """There is no such upload any more."""


class Off(Refused):
    """Files go through the web process here."""


class NoSuchPart(Refused):
    """The file does not have this part."""


class NotArrived(Refused):
    """Parts are missing."""


def is_on() -> bool:
    """Whether large files go straight to the bucket."""
    return bool(settings.UPLOADS_BUCKET and settings.UPLOADS_DIRECT)


def create_upload(*, user: User | None, file_name: str, file_size: int) -> Upload:
    """Start the upload of a file of ``file_size`` bytes (at least one).

    Raises ``Refused`` for one over the limit, ``Off`` where there are no direct uploads.
    """
    if not is_on():
        raise Off("There are no direct uploads here. POST the file to /api/v1/imports/.")
    jobs.check_size(file_size)
    now = timezone.now()
    name = f"{now:%Y/%m/%d}/{uuid.uuid4().hex}.csv"
    multipart_id = multipart.begin(name)
    try:
        return Upload.objects.create(
            created_by=user,
            file_name=file_name,
            file_size=file_size,
            name=name,
            multipart_id=multipart_id,
            part_size=max(settings.UPLOADS_PART_SIZE, -(-file_size // MAX_PARTS)),
            created_at=now,
            expires_at=now + KEPT,
        )
    except Exception:
        multipart.abort(name, multipart_id)  # no row, no upload: nobody would ever look at it
        raise


def sign_parts(*, upload: Upload, numbers: list[int]) -> dict[int, str]:
    """Addresses that take these parts by PUT within ``URL_SECONDS``, by number.

    Raises ``NoSuchPart``, and ``Refused`` if the upload is complete.
    """
    if upload.job_id is not None:
        raise Refused(f"The upload is complete: it is import {upload.job_id}.")
    wrong = [number for number in numbers if not 1 <= number <= upload.part_count]
    if wrong:
        raise NoSuchPart(f"There is no part {wrong[0]}: the parts are 1 to {upload.part_count}.")
    return {
        number: multipart.part_url(
            upload.name,
            upload.multipart_id,
            number=number,
            size=upload.size_of_part(number),
            seconds=URL_SECONDS,
        )
        for number in numbers
    }


def arrived_parts(upload: Upload) -> list[int]:
    """The numbers of the parts that the bucket has, whole. Raises ``Gone``."""
    if upload.job_id is not None:
        return list(range(1, upload.part_count + 1))
    try:
        return sorted(_arrived(upload))
    except multipart.NoSuchUpload:
        if multipart.size_of(upload.name) is None:
            raise _gone() from None
        return list(range(1, upload.part_count + 1))  # made one, and then the answer was lost


def complete_upload(*, upload: Upload, user: User | None, **options: Any) -> ImportJob:
    """Make one file of the parts and start its import; asked again, return the same job.

    ``options`` are those of ``start_import``.
    Raises ``NotArrived`` if parts are missing, ``Gone``, and what ``start_import`` raises.
    """
    if upload.job is not None:
        return upload.job
    size = _put_together(upload)
    with transaction.atomic():
        locked = _locked(upload)
        if locked is None:
            raise _gone()
        if locked.job_id is not None:
            return ImportJob.objects.get(pk=locked.job_id)
        job = jobs.start_import(
            file=StoredFile(upload.name, size),
            file_name=upload.file_name,
            user=user,
            **options,
        )
        locked.job = job
        locked.save(update_fields=["job"])
    return job


def cancel_upload(*, upload: Upload) -> None:
    """Throw away what has arrived. Raises ``Refused`` if it is complete."""
    if not _discard(upload):
        raise Refused("The upload is complete and its import has started: cancel the import.")


def clear_uploads() -> None:
    """Clear away expired uploads, parts that no row tells of, and files that no job refers to.

    Some of each at a time: this runs every few minutes.
    """
    now = timezone.now()
    expired = Upload.objects.filter(expires_at__lt=now).order_by("expires_at")
    ended = expired.filter(job__isnull=False).values_list("pk", flat=True)[:BATCH]
    Upload.objects.filter(pk__in=list(ended)).delete()
    if settings.UPLOADS_BUCKET:
        for upload in expired.filter(job__isnull=True)[:BATCH]:
            _discard(upload)
        _abort_unknown()
    clear_orphans(now)


def _abort_unknown() -> None:
    """Abort what has no row: its web process was killed before it could write one."""
    cleared = 0
    for name, multipart_id in multipart.unfinished(before=timezone.now() - 2 * KEPT):
        if not Upload.objects.filter(multipart_id=multipart_id).exists():
            multipart.abort(name, multipart_id)
            cleared += 1
        if cleared == BATCH:
            return


def _arrived(upload: Upload) -> dict[int, multipart.StoredPart]:
    """The parts that are there and as long as they should be. Raises ``NoSuchUpload``."""
    return {
        number: part
        for number, part in multipart.stored_parts(upload.name, upload.multipart_id).items()
        if number <= upload.part_count and part.size == upload.size_of_part(number)
    }


def _put_together(upload: Upload) -> int:
    """Have the bucket make one object of the parts; return the size that it has."""
    try:
        parts = _arrived(upload)
        if missing := sorted(set(range(1, upload.part_count + 1)) - parts.keys()):
            raise NotArrived(
                f"{len(missing):,} of {upload.part_count:,} parts have not arrived, among them "
                f"part {missing[0]}. Send them, then complete the upload again."
            )
        multipart.complete(upload.name, upload.multipart_id, parts)
    except multipart.NoSuchUpload:
        # Put together by a call whose answer was lost; if it was cancelled, there is no object.
        logger.info("upload %s is no longer in parts", upload.pk)
    size = multipart.size_of(upload.name)
    if size is None:
        raise _gone()
    try:
        jobs.check_size(size)
        if size != upload.file_size:
            raise Refused(
                f"What arrived has {size:,} bytes, the file {upload.file_size:,}. "
                "Nothing was imported; upload it again."
            )
    except Refused:
        _discard(upload)
        raise
    return size


def _discard(upload: Upload) -> bool:
    """Take an upload away, row, parts and object; ``False`` if it has become an import."""
    if upload.job_id is not None:
        return False
    multipart.abort(upload.name, upload.multipart_id)
    with transaction.atomic():
        locked = _locked(upload)
        if locked is None:
            return True  # by another call, at the same time
        if locked.job_id is not None:
            return False
        locked.delete()
    multipart.delete(upload.name)
    return True


def _locked(upload: Upload) -> Upload | None:
    """The row as it is once nobody else holds it.

    Without its job in the same query: who had to wait would see the new number and the old
    snapshot, in which there is no such job.
    """
    return Upload.objects.select_for_update().filter(pk=upload.pk).first()


def _gone() -> Gone:
    return Gone("This upload has expired or was cancelled. Upload the file again.")
