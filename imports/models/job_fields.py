"""What is stored of an import job."""

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.db import models
from django.utils import timezone

from catalog.models import ChangeSet
from imports.models.suppliers import Format, Supplier
from product_importer.common import request_id as origin


def uploads() -> Storage:
    """Where uploaded files are kept (``STORAGES["uploads"]``)."""
    return storages["uploads"]


def upload_path(job: "JobFields", filename: str) -> str:
    """A folder per day; the storage makes the name unique."""
    return f"{job.created_at:%Y/%m/%d}/{filename[-100:]}"


def table_path(job: "JobFields", filename: str) -> str:
    """Beside the upload that the table was unpacked from; the storage makes the name unique."""
    folder, _, name = str(job.file.name).rpartition("/")
    return f"{folder}/{name.partition('.')[0][-80:]}.table.csv"


class JobFields(models.Model):
    """The columns of a job; ``imports.models.jobs.ImportJob`` has what follows from them."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        PROCESSING = "processing", "Processing"
        AWAITING_MAPPING = "awaiting_mapping", "Waiting for columns"
        AWAITING_REVIEW = "awaiting_review", "Waiting for review"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Stage(models.TextChoices):
        UNPACKING = "unpacking", "Unpack"
        MATCHING = "matching", "Match columns"
        STAGING = "staging", "Read"
        RESOLVING = "resolving", "Check duplicates"
        COMPARING = "comparing", "Compare"
        APPLYING = "applying", "Apply"
        FINISHING = "finishing", "Finish"

    class Mode(models.TextChoices):
        UPSERT = "upsert", "Create and update"
        CREATE_ONLY = "create_only", "Create only"
        UPDATE_ONLY = "update_only", "Update only"

    class OnUnclear(models.TextChoices):
        """What becomes of a file that cannot be read without a question."""

        FAIL = "fail", "Fail"
        WAIT = "wait", "Wait for somebody"
        ALWAYS = "always", "Wait for somebody, even if nothing is unclear"

    class Checks(models.TextChoices):
        STOP = "stop", "Stop, and ask"
        WARN = "warn", "Only warn"

    class Caution(models.TextChoices):
        LOOKING = "looking", "Something looks unusual: all records are compared"
        CLEAR = "clear", "It may be applied"
        HELD = "held", "It waits for somebody, or has waited"

    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    stage = models.CharField(max_length=20, choices=Stage, blank=True, default="")
    mode = models.CharField(max_length=20, choices=Mode, default=Mode.UPSERT)
    review = models.BooleanField(default=False)
    review_if_known = models.BooleanField(
        default=False,
        db_default=False,
        help_text="hold it for review if the very same file was imported before",
    )
    checks = models.CharField(
        max_length=4,
        choices=Checks,
        default=Checks.STOP,
        db_default=Checks.STOP,
        help_text="what becomes of it if what it would do looks unusual",
    )
    # What the checks of an import without a review have come to (imports.pipeline.checks.caution);
    # blank before they were made. One that they hold is an import with ``review`` from then on.
    caution = models.CharField(
        max_length=10, choices=Caution, blank=True, default="", db_default="", editable=False
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    # One that is reviewed gets its change set, and with it its place in the queue, when it is
    # applied: until then it holds nobody up.
    change_set = models.OneToOneField(ChangeSet, on_delete=models.SET_NULL, null=True, blank=True)

    file = models.FileField(storage=uploads, upload_to=upload_path, max_length=255)
    file_name = models.CharField(max_length=255)
    file_size = models.BigIntegerField(help_text="bytes")
    sha256 = models.CharField(
        "SHA-256",
        max_length=64,
        blank=True,
        db_index=True,
        help_text="blank until a worker has read a file that went straight to the bucket",
    )
    same_as = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="an earlier import of the very same file",
    )

    # What an archive or a workbook was unpacked to (imports.pipeline.unpack): it is read, and kept,
    # in the place of the upload, which stays as it came.
    table = models.FileField(
        storage=uploads,
        upload_to=table_path,
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="the table that was unpacked; blank for a file that is read as it is",
    )
    table_size = models.BigIntegerField(default=0, db_default=0, help_text="bytes")
    # Its kind, members and sheets, what was taken of them, and warnings
    # (imports.readers.unpack.Unpacked).
    unpacked = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))

    # How the file is to be read (imports.mapping.rules): as it was asked for, and from the moment
    # its columns are matched the very rules it is read by, whatever becomes of the format.
    rules = models.JSONField(default=dict, db_default={})
    supplier = models.ForeignKey(
        Supplier, on_delete=models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    format = models.ForeignKey(
        Format, on_delete=models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    format_version = models.PositiveIntegerField(null=True, blank=True)
    feed = models.ForeignKey(
        "imports.Feed",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="jobs",
        help_text="what fetched the file; blank where somebody uploaded it",
    )
    on_unclear = models.CharField(
        max_length=10, choices=OnUnclear, default=OnUnclear.FAIL, db_default="fail"
    )
    # Whether its file is the supplier's whole list, and what becomes of what it lacks: as asked
    # for, or else as its format says when its columns are matched. ``missing_off`` is a sentence
    # why it is not looked for, once the file is read (imports.pipeline.checks.missing).
    full_list = models.BooleanField(null=True, blank=True)
    if_missing = models.JSONField(null=True, blank=True)
    missing_off = models.TextField(blank=True, default="", db_default="")
    missing = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="products that the full list lacked, dealt with; in none of the other counts",
    )
    file_modified_at = models.DateTimeField(
        null=True, help_text="when the file was last changed where it comes from, if it is known"
    )
    # Of one that awaits its mapping: the rules as they were found, and the questions.
    found = models.JSONField(default=dict, db_default={})
    mends = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="mended_by",
        help_text="the import whose refused records, mended, are its file",
    )
    is_hopeless = models.BooleanField(
        default=False,
        db_default=False,
        help_text="it failed for what the file is: to try it again cannot help",
    )

    # What the reader found out before the first record (imports.readers.csv.Layout).
    layout = models.JSONField(default=dict)

    # How far the reading is (imports.readers.csv.Checkpoint), and the bytes of the file behind it.
    checkpoint = models.JSONField(default=dict)
    bytes_read = models.BigIntegerField(default=0)
    staged_records = models.PositiveIntegerField(default=0)
    # Unchanged ones that are counted, and no longer staged (imports.pipeline.ordering).
    sifted_out = models.PositiveIntegerField(default=0, db_default=0)

    total_records = models.PositiveIntegerField(default=0)
    processed_records = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    superseded = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)

    # What the review showed (imports.pipeline.compare.finish_comparing); how many records turned
    # out differently when they were applied, because the catalogue had changed, and some of them.
    shown = models.JSONField(default=dict)
    compared_records = models.PositiveIntegerField(default=0)
    differing = models.PositiveIntegerField(default=0)
    differing_skus = models.JSONField(default=list)
    # How many of what the review showed somebody left out (LeftOutRecord); a number that goes up
    # whenever that changes, so that nobody applies another choice than the one that he saw.
    left_out_created = models.PositiveIntegerField(default=0, db_default=0)
    left_out_updated = models.PositiveIntegerField(default=0, db_default=0)
    left_out_missing = models.PositiveIntegerField(default=0, db_default=0)
    review_version = models.PositiveIntegerField(default=0, db_default=0)

    warnings = models.JSONField(default=list)
    error = models.TextField(blank=True, default="")
    trouble = models.TextField(blank=True, default="", help_text="why the last attempt failed")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="runs since the last progress; too many fail the job"
    )

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    unclear_at = models.DateTimeField(null=True, blank=True, help_text="awaiting a mapping since")
    mapped_at = models.DateTimeField(null=True, blank=True)
    mapped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    resolved_at = models.DateTimeField(null=True, blank=True)
    comparing_at = models.DateTimeField(null=True, blank=True)
    compared_at = models.DateTimeField(null=True, blank=True, help_text="reviewable since")
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    # Who did it the last time; each time is a line of the log.
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    retried_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    retried_at = models.DateTimeField(null=True, blank=True)
    applying_at = models.DateTimeField(null=True, blank=True)
    applying_from = models.PositiveIntegerField(
        default=0, help_text="records that were dealt with when applying began"
    )
    paused_seconds = models.FloatField(
        default=0, help_text="spent waiting for people: in review, or between an end and a retry"
    )
    progress_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Its refused and superseded records are cleared away after a while
    # (imports.operations.retention): from the first moment on nobody is shown a part of them, at
    # the second they are gone.
    details_expired_at = models.DateTimeField(null=True, blank=True)
    details_cleared_at = models.DateTimeField(null=True, blank=True)
    request_id = models.CharField(
        max_length=origin.LENGTH,
        default=origin.request_id,
        db_default="",
        blank=True,
        editable=False,
        help_text="the request that started it, as in the logs",
    )

    class Meta:
        abstract = True
