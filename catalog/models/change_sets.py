"""Change sets, which every write to products belongs to, and what they hold beside the changes."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property

from catalog.values import SKU_MAX_LENGTH
from product_importer.common.request_id import LENGTH, request_id


class ChangeSet(models.Model):
    """Everything that one act changed in the catalogue: an import, a bulk act, an edit, an undo.

    Its number is also its place in the queue: large acts write to the catalogue one at a
    time, in the order in which they were started (``catalog.operations.change_sets.take_turn``).
    """

    class Kind(models.TextChoices):
        IMPORT = "import", "Import"
        CREATE = "create", "Create"
        EDIT = "edit", "Edit"
        DELETE = "delete", "Delete"
        BULK_EDIT = "bulk_edit", "Bulk edit"
        BULK_DELETE = "bulk_delete", "Bulk delete"
        UNDO = "undo", "Undo"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        APPLYING = "applying", "Applying"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    UNFINISHED = (Status.WAITING, Status.APPLYING)
    BULK = (Kind.BULK_EDIT, Kind.BULK_DELETE, Kind.UNDO)

    kind = models.CharField(max_length=20, choices=Kind)
    status = models.CharField(max_length=20, choices=Status, default=Status.WAITING)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    # Somebody else had begun it: ``actor`` is who went on with it, and not all of it is his.
    is_shared = models.BooleanField(default=False, db_default=False)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    # Whose file it was, of an import: the number of the supplier (the app "imports" has them). What
    # it created is what that supplier brought in (docs/decisions/0032-who-brought-a-product-in.md).
    supplier = models.BigIntegerField(null=True, blank=True, editable=False)
    # Of a bulk act: which products ("filters" or "ids", "up_to" the highest id of then) and
    # the values that they get; how many there were when it was asked for.
    request = models.JSONField(default=dict, blank=True)
    total = models.PositiveIntegerField(null=True, blank=True)
    # Of an undo: what it takes back, and how many products it left alone (UndoConflict).
    undo_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="undos"
    )
    conflicts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="runs since the last progress; too many fail the act"
    )
    created_at = models.DateTimeField(default=timezone.now)
    progress_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Its changes are cleared away after a while (catalog.operations.retention): from the first
    # moment on it cannot be undone any more, at the second they are gone. The counts stay.
    expired_at = models.DateTimeField(null=True, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True)
    request_id = models.CharField(
        max_length=LENGTH,
        default=request_id,
        db_default="",
        blank=True,
        editable=False,
        help_text="the request that started it, as in the logs",
    )

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("undo_changeset", "Can undo own change sets"),
            ("undo_others_changeset", "Can undo change sets of others"),
        ]
        constraints = [
            # The promise of one catalogue writer at a time, kept by the database.
            models.UniqueConstraint(
                fields=["status"],
                condition=models.Q(status="applying"),
                name="catalog_changeset_one_applying",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(status__in=["waiting", "applying"]),
                name="catalog_changeset_unfinished",
            ),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(cleared_at=None),
                name="catalog_changeset_uncleared",
            ),
            models.Index(
                fields=["supplier"],
                condition=models.Q(supplier__isnull=False),
                name="catalog_changeset_supplier",
            ),
        ]

    def __str__(self) -> str:
        # An import has a number of its own, in its address: "Import 3" would be two things.
        kind = "Change" if self.kind == self.Kind.IMPORT else self.get_kind_display()
        return f"{kind} {self.pk}"

    @property
    def label(self) -> str:
        """What people see it called: an import by its file, all others by their number."""
        name = self.imported_file if self.kind == self.Kind.IMPORT else ""
        return f"Import of {name}" if name else str(self)

    @property
    def label_within(self) -> str:
        """The same within a sentence."""
        return self.label[:1].lower() + self.label[1:]

    @cached_property
    def imported_file(self) -> str:
        """The name of an import's file. Lists annotate it as ``file_name``, for one query."""
        if "file_name" in self.__dict__:
            return str(self.__dict__["file_name"] or "")
        found = ChangeSet.objects.filter(pk=self.pk).order_by()
        return found.values_list("importjob__file_name", flat=True).first() or ""

    @property
    def is_final(self) -> bool:
        return self.status not in self.UNFINISHED

    @property
    def log_context(self) -> dict[str, Any]:
        """What the log lines of its tasks carry."""
        return {"request_id": self.request_id, "change_set_id": self.pk}

    @property
    def changed(self) -> int:
        """How many products it has created, updated or deleted so far."""
        return self.created + self.updated + self.deleted


class BulkSlice(models.Model):
    """A range of product ids (``first_id <= id <= last_id``) that a bulk act does at once.

    Of an undo, a range of one ``part`` of what it takes back (``catalog.sql.undo``); that of
    the updated products is one of changes.
    """

    part = models.CharField(max_length=12, blank=True, default="")
    change_set = models.ForeignKey(ChangeSet, on_delete=models.CASCADE, related_name="slices")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["first_id"]

    def __str__(self) -> str:
        return f"products {self.first_id} to {self.last_id}"


class UndoConflict(models.Model):
    """A product that an undo left as it is, because somebody changed it since."""

    class Reason(models.TextChoices):
        CHANGED = "changed", "Changed since"
        DELETED = "deleted", "Deleted since"
        SKU_TAKEN = "sku_taken", "Its SKU is in the catalogue again"
        TAKEN = "taken", "Another product has its value of a unique field"
        TOO_LONG = "too_long", "Its value is too long for a field that is unique now"

    change_set = models.ForeignKey(
        ChangeSet, on_delete=models.CASCADE, related_name="kept", help_text="the undo"
    )
    product_id = models.BigIntegerField()
    sku = models.CharField("SKU", max_length=SKU_MAX_LENGTH)
    reason = models.CharField(max_length=10, choices=Reason)
    other = models.ForeignKey(
        ChangeSet,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        help_text="what changed it last",
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.sku}: {self.get_reason_display()}"
