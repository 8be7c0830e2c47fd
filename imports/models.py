"""Import jobs: one uploaded file on its way into the catalogue; suppliers, formats, feeds."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.files.storage import Storage, storages
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.fields.files import FieldFile
from django.db.models.functions import Lower
from django.utils import timezone

from catalog.models import ChangeSet
from imports.mapping.rules import layout_keeps, layout_key
from imports.schedule import MAX_LENGTH as SCHEDULE_MAX_LENGTH
from imports.schedule import ZONE_MAX_LENGTH
from product_importer.common import request_id as origin
from product_importer.common.address_guard import MAX_LENGTH as URL_MAX_LENGTH

# What only the work itself and the page of one job need: a header alone may be a megabyte.
INNER = ("rules", "found", "layout", "unpacked", "checkpoint", "shown", "differing_skus")
NAME_MAX_LENGTH = 100
CREDENTIAL_MAX_LENGTH = 255


def uploads() -> Storage:
    """Where uploaded files are kept (``STORAGES["uploads"]``)."""
    return storages["uploads"]


def upload_path(job: "ImportJob", filename: str) -> str:
    """A folder per day; the storage makes the name unique."""
    return f"{job.created_at:%Y/%m/%d}/{filename[-100:]}"


def table_path(job: "ImportJob", filename: str) -> str:
    """Beside the upload that the table was unpacked from; the storage makes the name unique."""
    folder, _, name = str(job.file.name).rpartition("/")
    return f"{folder}/{name.partition('.')[0][-80:]}.table.csv"


def percent(usual: int, help_text: str, *, limit: int = 100) -> Any:
    """A bound in per cent; empty: none."""
    return models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        default=usual,
        db_default=usual,
        validators=[MaxValueValidator(limit)],
        help_text=f"{help_text}, in per cent; empty: any number",
    )


class Supplier(models.Model):
    """Who sends files. Its formats say how they are read.

    Its stop rules say what is usual: an import within them applies by itself, one outside waits
    for a review (``imports.pipeline.stop_rules``).
    """

    name = models.CharField(max_length=NAME_MAX_LENGTH)
    stop_refused = percent(5, "refused records, of all")
    stop_missing = percent(10, "products that a full list lacks, of those the supplier brought in")
    stop_price_change = percent(20, "a price that changes by more counts", limit=1000)
    stop_price_share = percent(10, "such prices, of the products that have one")
    stop_created = percent(50, "new products, of all in the file, after the first import")
    stop_fewer = percent(20, "records fewer than in the last import")
    stop_age = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        default=30,
        db_default=30,
        validators=[MaxValueValidator(3650)],
        help_text="days since the file was last changed, where that is known; empty: any number",
    )
    stop_columns = models.BooleanField(
        default=True, db_default=True, help_text="other columns than in the last import"
    )
    second_person = models.BooleanField(
        default=False,
        db_default=False,
        help_text="who uploaded a file cannot apply its review: somebody else has to",
    )
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="imports_supplier_name_key",
                violation_error_message="There is a supplier of this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


def deactivate() -> dict[str, Any]:
    """What usually becomes of a product that a full list lacks."""
    return {"action": "deactivate"}


class Format(models.Model):
    """How one kind of a supplier's files is read: its newest version.

    The ready-made ones (``imports.mapping.ready_made``) have no supplier and stay as they are.
    """

    supplier = models.ForeignKey(
        Supplier, on_delete=models.CASCADE, null=True, blank=True, related_name="formats"
    )
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    version = models.PositiveIntegerField(default=1)
    ready_made = models.BooleanField(default=False, editable=False)
    full_list = models.BooleanField(
        default=False,
        db_default=False,
        help_text="such a file is the supplier's whole list: what it lacks is gone",
    )
    # What becomes of a product that a full list lacks (imports.operations.suppliers.clean_missing).
    if_missing = models.JSONField(
        default=deactivate, db_default=models.Value({"action": "deactivate"}, models.JSONField())
    )
    rules = models.JSONField(help_text="imports.mapping.rules.Rules, of the newest version")
    columns = models.JSONField(default=list, help_text="the columns' names in such a file")
    # Of the columns' names (imports.mapping.matching.fingerprint); blank: never recognised by them.
    fingerprint = models.CharField(max_length=64, blank=True, default="", db_index=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "supplier",
                Lower("name"),
                name="imports_format_name_key",
                violation_error_message="The supplier has a format of this name already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.supplier}, {self.name}" if self.supplier else self.name


class FormatVersion(models.Model):
    """What a format was at a time, and whose change it was."""

    format = models.ForeignKey(
        Format, on_delete=models.CASCADE, related_name="versions", db_index=False
    )
    number = models.PositiveIntegerField(help_text="from 1")
    rules = models.JSONField()
    columns = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-number"]
        default_permissions = ()  # those of the format
        constraints = [
            models.UniqueConstraint(fields=["format", "number"], name="imports_formatversion_key")
        ]

    def __str__(self) -> str:
        return f"{self.format}, version {self.number}"


class ImportJob(models.Model):
    """One uploaded file on its way into the catalogue.

    The row is the whole truth about the job: what was read (``checkpoint``), how it ended,
    and its counts, which always hold

        total = created + updated + unchanged + superseded + skipped + rejected

    once the job is completed. Celery messages only say "look here".

    For a job with ``review`` the counts stay 0 until it is applied: ``shown`` has what they
    would be.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        PROCESSING = "processing", "Processing"
        AWAITING_MAPPING = "awaiting_mapping", "Awaiting mapping"
        AWAITING_REVIEW = "awaiting_review", "Awaiting review"
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

    FINAL = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    ACTIVE = (Status.PENDING, Status.PROCESSING)
    AWAITING = (Status.AWAITING_MAPPING, Status.AWAITING_REVIEW)  # a person
    COUNTS = ("created", "updated", "unchanged", "superseded", "skipped", "rejected")

    undone_by: ChangeSet | None = None  # the undo that stands, where somebody has looked

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
    # What the checks of an import without a review have come to (imports.pipeline.caution); blank
    # before they were made. One that they hold is an import with ``review`` from then on.
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
        "Feed",
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
    # why it is not looked for, once the file is read (imports.pipeline.missing).
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
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(status__in=["pending", "processing"]),
                name="imports_job_active",
            ),
            models.Index(fields=["status"], name="imports_job_status"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.pk})"

    @classmethod
    def listed(cls) -> models.QuerySet["ImportJob"]:
        """The jobs with what a list shows of them, and without what is long."""
        return cls.objects.defer(*INNER, "warnings", "error")

    @classmethod
    def unfinished(cls) -> models.QuerySet["ImportJob"]:
        """The jobs that a worker has still to do something for, as for a list."""
        return cls.listed().filter(status__in=cls.ACTIVE)

    @property
    def is_final(self) -> bool:
        return self.status in self.FINAL

    @property
    def log_context(self) -> dict[str, Any]:
        """What the log lines of its tasks carry."""
        return {
            "request_id": self.request_id,
            "job_id": self.pk,
            "change_set_id": self.change_set_id,
        }

    @property
    def is_approved(self) -> bool:
        """Whether it may write: nobody asked for a review, or somebody has looked at it."""
        return not self.review or self.approved_at is not None

    @property
    def is_to_compare(self) -> bool:
        """Whether its records are compared with the catalogue before anything is written."""
        return not self.is_approved or self.caution == self.Caution.LOOKING

    @property
    def imported_nothing(self) -> bool:
        """Whether it came to its end, and all of it was refused."""
        dealt_with = self.created or self.updated or self.unchanged or self.skipped
        return self.status == self.Status.COMPLETED and self.rejected > 0 and not dealt_with

    @property
    def outcome(self) -> str:
        """Its status, or ``nothing`` or ``undone`` where that says more, as pages style it.

        Who shows jobs tells them of undos (``imports.queries.outcomes.tell_undone``).
        """
        if self.undone_by is not None:
            return "undone"
        return "nothing" if self.imported_nothing else self.status

    @property
    def outcome_label(self) -> str:
        """The outcome in words."""
        if self.undone_by is not None and self.status == self.Status.COMPLETED:
            return "Undone" if self.undone_by.is_final else "Being undone"
        label = "Nothing imported" if self.imported_nothing else self.get_status_display()
        return f"{label}, undone" if self.undone_by is not None else label

    @property
    def left_records(self) -> int:
        """How many that were read are in none of the counts: still to do, or left there."""
        return max(0, self.total_records - self.accounted_records)

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What became of its records so far, in words and without what is none; it adds up."""
        left = "left as they were" if self.is_final else "to do"
        named = [(name, getattr(self, name)) for name in self.COUNTS] + [(left, self.left_records)]
        return [(name, count) for name, count in named if count]

    @property
    def shown_counts(self) -> dict[str, int]:
        """What applying a reviewed job would come to, as it was shown and with what is left out."""
        counts = dict(self.shown["counts"])
        counts["created"] -= self.left_out_created
        counts["updated"] -= self.left_out_updated
        counts["skipped"] += self.left_out_created + self.left_out_updated
        if "missing" in counts:
            counts["missing"] -= self.left_out_missing
        return counts

    @property
    def left_out(self) -> int:
        return self.left_out_created + self.left_out_updated + self.left_out_missing

    @property
    def looks_for_missing(self) -> bool:
        """Whether products that its supplier brought in, and that its file lacks, are dealt with.

        Known once the file is read. Without a supplier, be it deleted meanwhile, there are none.
        """
        return bool(self.full_list) and self.supplier_id is not None and not self.missing_off

    @property
    def missing_action(self) -> str:
        """What becomes of those: deactivate, delete, or set (a field)."""
        return str((self.if_missing or deactivate())["action"])

    @property
    def missing_done(self) -> str:
        """The same of those that it has dealt with, in words."""
        what = self.if_missing or deactivate()
        done = {"deactivate": "deactivated", "delete": "deleted"}
        return done.get(what["action"]) or f"{what['field']} set to {what['value']}"

    @property
    def shown_changes(self) -> int:
        """How many products of its review would be changed, without what is left out."""
        counts = self.shown_counts
        return int(sum(counts.get(name, 0) for name in ("created", "updated", "missing")))

    @property
    def has_changed(self) -> bool:
        """Whether it has changed anything in the catalogue so far."""
        return bool(self.created or self.updated or self.missing)

    @property
    def has_file(self) -> bool:
        """Whether the uploaded file is kept; after ``KEEP_UPLOADS`` it is not."""
        return bool(self.file)

    @property
    def readable(self) -> FieldFile:
        """What the records are read from: the unpacked table, or the upload itself."""
        return self.table or self.file

    @property
    def readable_size(self) -> int:
        """Its bytes."""
        return self.table_size if self.table else self.file_size

    @property
    def may_keep(self) -> bool:
        """Whether its rules may leave stored values as they are, record by record."""
        return layout_keeps(self.layout)

    @property
    def has_own(self) -> bool:
        """Whether its file has columns for fields of one's own."""
        return bool(self.layout.get("own"))

    @property
    def found_by(self) -> str:
        """The key of the own field that its products are found by; blank where that is the SKU."""
        return layout_key(self.layout)[0]

    @property
    def creates_unmatched(self) -> bool:
        """Whether a record whose key no product has may become a new one, if its mode lets it."""
        return layout_key(self.layout)[1] == "create"

    @property
    def may_create(self) -> bool:
        """Whether a product may be made of a record that none is found for.

        Where such are refused, none is made either of what somebody deletes in the meantime.
        """
        refused = bool(self.found_by) and not self.creates_unmatched
        return self.mode != self.Mode.UPDATE_ONLY and not refused

    @property
    def accounted_records(self) -> int:
        """The sum that must equal ``total_records`` when the job completes."""
        return sum(getattr(self, name) for name in self.COUNTS)


class Upload(models.Model):
    """A file on its way from a browser straight into the bucket, in parts.

    What has arrived, the bucket knows; whose it is and what becomes of it, this row. Once it is
    complete it has a job, and stays until it expires, for whoever did not hear the answer.
    """

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    file_name = models.CharField(max_length=255)
    file_size = models.BigIntegerField(help_text="bytes")
    name = models.CharField(max_length=255, help_text="in the storage")
    multipart_id = models.TextField(help_text="the bucket's name for the upload")
    part_size = models.BigIntegerField(help_text="bytes; the last part has the rest")
    job = models.OneToOneField(ImportJob, on_delete=models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()  # who may import may upload, and nobody sees what others do

    def __str__(self) -> str:
        return f"{self.file_name} ({self.pk})"

    @property
    def part_count(self) -> int:
        return -(-self.file_size // self.part_size)

    def size_of_part(self, number: int) -> int:
        """The bytes of a part; parts are numbered from 1."""
        return min(self.part_size, self.file_size - (number - 1) * self.part_size)


class ImportChunk(models.Model):
    """A range of SKUs of a job (``first_key <= lower(sku) < end_key``), applied in one transaction.

    For a review it is compared before, in one as well.

    ``first_key`` is the empty string for the first chunk, ``end_key`` is ``None`` for the last.
    """

    job = models.ForeignKey(
        ImportJob, on_delete=models.CASCADE, related_name="chunks", db_index=False
    )
    number = models.PositiveIntegerField()
    first_key = models.TextField()
    end_key = models.TextField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    compared = models.JSONField(null=True, help_text="its counts, once it is compared")
    done_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True)
    error = models.TextField(blank=True, default="", help_text="why the last attempt failed")
    refused_lines = models.JSONField(
        null=True, help_text="of the records it refused that are not kept as row errors"
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="imports_chunk_number_key")
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of job {self.job_id}"


class RowError(models.Model):
    """A refused record: where it starts, the column to mend, why, and its cells as read."""

    job = models.ForeignKey(
        ImportJob, on_delete=models.CASCADE, related_name="errors", db_index=False
    )
    line = models.BigIntegerField(help_text="the physical line where the record starts")
    column = models.TextField(blank=True, default="", help_text="as the file names it")
    code = models.CharField(max_length=40)
    message = models.TextField()
    record = models.JSONField(help_text="the cells as read")  # without blank ones at the end
    while_applying = models.BooleanField(
        default=False, help_text="refused by the catalogue, not by the reader"
    )
    sku = models.TextField(
        null=True, help_text="of a full list, where it could be read: that product is listed"
    )
    mended = models.JSONField(null=True, help_text="its cells as somebody mended them")
    is_mended = models.BooleanField(
        default=False, db_default=False, help_text="nothing is wrong with the mended cells"
    )
    mended_in = models.BigIntegerField(null=True, help_text="the import that took it, mended")

    class Meta:
        ordering = ["line"]
        indexes = [models.Index(fields=["job", "line"], name="imports_rowerror_job_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class SupersededRecord(models.Model):
    """A record that a later one with the same SKU replaced, both named by their lines."""

    job = models.ForeignKey(
        ImportJob, on_delete=models.CASCADE, related_name="superseded_records", db_index=False
    )
    line = models.BigIntegerField()
    sku = models.TextField()
    by_line = models.BigIntegerField()

    class Meta:
        ordering = ["line"]
        indexes = [models.Index(fields=["job", "line"], name="imports_superseded_job_line")]

    def __str__(self) -> str:
        return f"line {self.line} by line {self.by_line}"


class LeftOutRecord(models.Model):
    """A record of a review that somebody left out: applying skips it. ``action`` as shown."""

    job = models.ForeignKey(
        ImportJob, on_delete=models.CASCADE, related_name="left_out_records", db_index=False
    )
    chunk = models.PositiveIntegerField()
    line = models.BigIntegerField()
    action = models.CharField(max_length=1)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["job", "chunk", "line"], name="imports_left_out_key")
        ]

    def __str__(self) -> str:
        return f"line {self.line} of job {self.job_id}"


class Feed(models.Model):
    """A supplier's file at an address, that is fetched by a schedule and imported.

    It is due at ``next_run_at``. What a fetch needs to know of the last one is here; what came of
    each is a ``FeedRun``.
    """

    name = models.CharField(max_length=NAME_MAX_LENGTH)
    supplier = models.ForeignKey(Supplier, on_delete=models.CASCADE, related_name="feeds")
    format = models.ForeignKey(
        Format,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="feeds",
        help_text="blank: the file is recognised by its columns",
    )
    url = models.CharField("address", max_length=URL_MAX_LENGTH)
    username = models.CharField(max_length=CREDENTIAL_MAX_LENGTH, blank=True, default="")
    # Encrypted (imports.operations.feeds), and never shown again.
    password_token = models.TextField(blank=True, default="", editable=False)
    private_key_token = models.TextField(blank=True, default="", editable=False)
    headers_token = models.TextField(blank=True, default="", editable=False)
    pattern = models.CharField(
        max_length=NAME_MAX_LENGTH,
        blank=True,
        default="",
        help_text="of a folder, the newest file that is called like this, such as prices-*.csv",
    )
    schedule = models.CharField(max_length=SCHEDULE_MAX_LENGTH, help_text="imports.schedule")
    time_zone = models.CharField(max_length=ZONE_MAX_LENGTH)
    full_list = models.BooleanField(
        default=False, help_text="the file is the supplier's whole list: what it lacks is gone"
    )
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=500, blank=True, default="")
    # Since when it is known that no new file comes as expected (imports.operations.feed_overdue).
    overdue_at = models.DateTimeField(null=True, blank=True)
    next_run_at = models.DateTimeField(null=True, blank=True, help_text="blank: not by itself")
    # imports.fetching.source.Known, of the file that was imported last.
    known = models.JSONField(default=dict, blank=True)
    host_key = models.TextField(
        blank=True, default="", help_text="of an SFTP server, as it was at the first fetch"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    # When it, or a run of it, changed: what pages go by that show them.
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        permissions = [("run_feed", "Can run feed")]
        constraints = [
            models.UniqueConstraint(
                "supplier",
                Lower("name"),
                name="imports_feed_name_key",
                violation_error_message="The supplier has a feed of this name already.",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_run_at"],
                condition=models.Q(enabled=True),
                name="imports_feed_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.supplier}, {self.name}"

    @property
    def secrets_set(self) -> list[str]:
        """Which of its secrets there are, by name."""
        names = ("password", "private_key", "headers")
        return [name for name in names if getattr(self, f"{name}_token")]


class FeedRun(models.Model):
    """One fetch of a feed, with all of its tries, and the import that it came to.

    The row is the whole truth about it. A worker may take a run that is under way at
    ``next_try_at``; who takes it puts the end of his lease there, so that what a killed worker
    left behind is due again by itself. ``tries`` counts who took it, and is what his lease is
    known by: once somebody else has taken it, the one before changes nothing any more.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Under way"
        FETCHED = "fetched", "Fetched"
        UNCHANGED = "unchanged", "Nothing new"
        FAILED = "failed", "Failed"
        STOPPED = "stopped", "Stopped"

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="runs", db_index=False)
    due_at = models.DateTimeField(null=True, blank=True, help_text="blank: somebody asked for it")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    code = models.CharField(max_length=40, blank=True, default="", help_text="why, for programs")
    message = models.TextField(blank=True, default="", help_text="what happened, in a sentence")
    job = models.OneToOneField(
        ImportJob, on_delete=models.SET_NULL, null=True, blank=True, related_name="feed_run"
    )
    file_name = models.CharField(max_length=255, blank=True, default="")
    bytes = models.BigIntegerField(default=0, help_text="that were fetched")
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    # The worker that has it (a number of its own), until ``next_try_at``.
    leased_by = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()  # those of the feed
        constraints = [
            models.UniqueConstraint(
                fields=["feed"],
                condition=models.Q(state="running"),
                name="imports_feedrun_one_at_a_time",
            )
        ]
        indexes = [
            models.Index(fields=["feed", "-id"], name="imports_feedrun_of_feed"),
            models.Index(
                fields=["next_try_at"],
                condition=models.Q(state="running"),
                name="imports_feedrun_due",
            ),
            models.Index(fields=["at"], name="imports_feedrun_at"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of feed {self.feed_id}"

    @property
    def outcome(self) -> str:
        """What came of it: ``running, applied, unchanged, waiting, failed`` or ``stopped``.

        From the moment on that there is an import, what became of that.
        """
        if self.state != self.State.FETCHED:
            return self.state
        if self.job is None:
            return "applied"  # it is no longer known
        if self.job.imported_nothing:
            return "failed"
        return _OUTCOMES[ImportJob.Status(self.job.status)]

    @property
    def outcome_label(self) -> str:
        """The outcome in words."""
        if self.job is not None and self.job.undone_by is not None:
            return "Applied, undone"
        return _OUTCOME_LABELS[self.outcome]

    @property
    def reason(self) -> str:
        """What happened, in a sentence: of the fetch, or of the import."""
        job = self.job
        if self.state != self.State.FETCHED or job is None:
            return self.message
        if job.error:
            return job.error
        if job.status == ImportJob.Status.AWAITING_REVIEW and job.warnings:
            return str(job.warnings[0])
        if job.status == ImportJob.Status.AWAITING_MAPPING:
            questions = job.found.get("questions") or [{}]
            return str(questions[0].get("message", ""))
        if job.imported_nothing:
            return f"All {job.rejected:,} records were refused: nothing was imported."
        if job.status == ImportJob.Status.CANCELLED:
            return f"{job.cancelled_by or 'Somebody'} discarded the import."
        return self.message


_OUTCOMES = {
    ImportJob.Status.PENDING: "running",
    ImportJob.Status.PROCESSING: "running",
    ImportJob.Status.AWAITING_MAPPING: "waiting",
    ImportJob.Status.AWAITING_REVIEW: "waiting",
    ImportJob.Status.COMPLETED: "applied",
    ImportJob.Status.FAILED: "failed",
    ImportJob.Status.CANCELLED: "stopped",
}
_OUTCOME_LABELS = {
    "running": "Under way",
    "applied": "Applied",
    "unchanged": "Nothing new",
    "waiting": "Waits for a person",
    "failed": "Failed",
    "stopped": "Stopped",
}


class Notice(models.Model):
    """Something that people are told of: what happened, why, and where to look."""

    class Kind(models.TextChoices):
        NEEDS_REVIEW = "needs_review", "An import waits for review"
        UNUSUAL = "unusual", "An import looks unusual, and waits"
        NEEDS_MATCHING = "needs_matching", "An import waits for its columns to be matched"
        FAILED = "failed", "An import failed"
        NOTHING_IMPORTED = "nothing_imported", "An import ended, and all was refused"
        OVERDUE = "overdue", "A feed is overdue"
        FEED_FAILED = "feed_failed", "A feed could not be fetched"
        TEST = "test", "A test"

    kind = models.CharField(max_length=20, choices=Kind)
    supplier = models.ForeignKey(
        Supplier, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    job = models.ForeignKey(
        ImportJob, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    title = models.CharField(max_length=200, help_text="one line")
    sentence = models.TextField(blank=True, default="", help_text="why")
    link = models.CharField(max_length=300, help_text="a path of the site")
    counts = models.JSONField(default=dict, help_text="of records, by what becomes of them")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.title


# What somebody can choose to be told of: a test goes to whom it is for.
NOTICE_KINDS = tuple(kind.value for kind in Notice.Kind if kind != Notice.Kind.TEST)


def every_kind() -> list[str]:
    return list(NOTICE_KINDS)


CHAT_ADDRESSES = "addresses of chats"  # product_importer.common.encryption.Cipher


class NoticeRecipient(models.Model):
    """Who is told of what: a person, by e-mail, or a chat, by an address that takes JSON.

    A person without a row is told of the own imports (``imports.pipeline.notices`` makes it). What
    waits for a recipient goes out in one message, at ``not_before`` at the earliest.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    name = models.CharField(max_length=NAME_MAX_LENGTH, blank=True, default="")
    # Of a chat. Whoever knows it can write there: it is encrypted for ``CHAT_ADDRESSES``, and
    # people see what stands before its path.
    token = models.TextField(blank=True, default="")
    shown = models.CharField(max_length=300, blank=True, default="")
    kinds = ArrayField(models.CharField(max_length=20), default=every_kind, blank=True)
    every_supplier = models.BooleanField(default=True, help_text="or those that are chosen")
    suppliers = models.ManyToManyField(Supplier, blank=True, related_name="+")
    own_only = models.BooleanField(default=True, help_text="of the own imports alone")
    enabled = models.BooleanField(default=True, help_text="messages are sent")
    created_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="a worker sends, till then"
    )
    tries = models.PositiveSmallIntegerField(
        default=0, help_text="that failed, one after the other"
    )
    failing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["id"]
        default_permissions = ("change",)  # chats; everybody changes the own row
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user=None, name__gt="") | models.Q(user__isnull=False, name=""),
                name="imports_notice_for_person_or_chat",
            )
        ]

    def __str__(self) -> str:
        return str(self.user) if self.user else self.name


class NoticeDelivery(models.Model):
    """A notice for one recipient."""

    class State(models.TextChoices):
        PENDING = "pending", "Waits to be sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Could not be sent"
        SHOWN = "shown", "On the page only"

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    recipient = models.ForeignKey(
        NoticeRecipient, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["notice", "recipient"], name="imports_notice_once")
        ]
        indexes = [
            models.Index(fields=["recipient", "id"], name="imports_notice_of_recipient"),
            models.Index(
                fields=["recipient"],
                condition=models.Q(state="pending"),
                name="imports_notice_pending",
            ),
        ]

    def __str__(self) -> str:
        return f"notice {self.notice_id} for {self.recipient_id}"


def job_snapshot(job: ImportJob) -> dict[str, Any]:
    """The public state of a job (the API's job, an event's data), as JSON-ready values."""

    def moment(value: Any) -> str | None:
        return value.isoformat().replace("+00:00", "Z") if value else None

    return {
        "id": job.pk,
        "status": job.status,
        "stage": job.stage,
        "file_name": job.file_name,
        "file_size": job.file_size,
        "mode": job.mode,
        "review": job.review,
        "supplier": job.supplier_id,
        "format": job.format_id,
        "format_version": job.format_version,
        "feed": job.feed_id,
        "checks": job.checks,
        "mends": job.mends_id,
        "full_list": bool(job.full_list),
        "total_records": job.total_records,
        "processed_records": job.processed_records,
        "created": job.created,
        "updated": job.updated,
        "unchanged": job.unchanged,
        "superseded": job.superseded,
        "skipped": job.skipped,
        "rejected": job.rejected,
        "missing": job.missing,
        "warnings": job.warnings,
        "error": job.error,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "change_set": job.change_set_id,
    }
