"""What a job comes in, and what came of its records: parts of a file, ranges of SKUs, lines."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from imports.models.jobs import ImportJob


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
