"""Products, and the change sets that every write to them belongs to."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Length, Lower, Now
from django.utils import timezone
from django.utils.functional import cached_property

from catalog import field_values
from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    NAME_MAX_LENGTH,
    PRICE_DECIMAL_PLACES,
    PRICE_MAX_DIGITS,
    SKU_MAX_LENGTH,
)
from product_importer.common import request_id as origin

models.TextField.register_lookup(Length)


class ChangeSet(models.Model):
    """Everything that one act changed in the catalogue: an import, a bulk act, an edit, an undo.

    Its number is also its place in the queue: large acts write to the catalogue one at a
    time, in the order in which they were started (``catalog.operations.products.take_turn``).
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
        max_length=origin.LENGTH,
        default=origin.request_id,
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


class Field(models.Model):
    """A field of one's own: what a product has beside the five, as its owners defined it.

    Its values are under its ``key`` in ``Product.own_fields``. One that is retired keeps them and
    is shown nowhere; one that is deleted is cleared by a change set of its own (``cleared_in``),
    and is retired again if that one is undone.
    """

    class Type(models.TextChoices):
        TEXT = "text", "Text"
        LONG_TEXT = "long_text", "Long text"
        INTEGER = "integer", "Whole number"
        DECIMAL = "decimal", "Decimal number"
        MONEY = "money", "Money"
        BOOLEAN = "boolean", "Yes or no"
        DATE = "date", "Date"
        CHOICE = "choice", "One of a list"
        CHOICES = "choices", "Several of a list"
        LINK = "link", "Link"
        IMAGE = "image", "Link to an image"
        GTIN = "gtin", "GTIN (EAN, UPC)"

    key = models.CharField(max_length=field_values.KEY_MAX_LENGTH, unique=True)
    label = models.CharField(max_length=field_values.LABEL_MAX_LENGTH)
    type = models.CharField(max_length=10, choices=Type)
    # ``choices`` of a list, ``scale`` (decimals) of a decimal number.
    options = models.JSONField(default=dict, blank=True)
    required = models.BooleanField(default=False)
    unique = models.BooleanField(default=False)
    help = models.CharField(max_length=255, blank=True, default="")
    position = models.PositiveIntegerField(default=0)
    in_list = models.BooleanField(default=True, help_text="shown in the list of products")
    in_events = models.BooleanField(default=True, help_text="told by webhooks")
    indexed = models.BooleanField(
        default=False, db_default=False, help_text="found and sorted by an index of its own"
    )
    retired = models.BooleanField(default=False)
    cleared_in = models.ForeignKey(
        ChangeSet, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(Lower("label"), name="catalog_field_label_key"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def definition(self) -> field_values.Definition:
        """What its values may be, as files, forms and the API ask."""
        return field_values.Definition(
            key=self.key,
            label=self.label,
            type=self.type,
            choices=tuple(self.options.get("choices", ())),
            scale=self.options.get("scale", field_values.MONEY_SCALE),
            required=self.required,
            unique=self.unique,
        )


class Product(models.Model):
    """One product. Its SKU is unique without regard to case; the database decides on case.

    ``version`` counts its states (1 = as created) and serves as the optimistic lock.
    ``created_in`` and ``changed_in`` hold the change sets that created and last changed
    it. They are neither constrained nor indexed: both are paid on every imported row
    (docs/decisions/0003-apply.md).
    """

    sku = models.CharField("SKU", max_length=SKU_MAX_LENGTH)
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    description = models.TextField(blank=True, default="")
    price = models.DecimalField(
        max_digits=PRICE_MAX_DIGITS, decimal_places=PRICE_DECIMAL_PLACES, null=True, blank=True
    )
    active = models.BooleanField(default=True)
    # The values of the catalogue's own fields by key; NULL where there are none, never an empty
    # object (catalog.field_values has their forms).
    own_fields = models.JSONField(null=True, blank=True, default=None)
    version = models.IntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    created_in = models.ForeignKey(
        ChangeSet,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        editable=False,
        related_name="+",
    )
    changed_in = models.ForeignKey(
        ChangeSet,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        editable=False,
        related_name="+",
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                Lower("sku"),
                name="catalog_product_sku_lower_key",
                violation_error_message="A product with this SKU exists already.",
                violation_error_code="unique",
            ),
            models.CheckConstraint(condition=~models.Q(sku=""), name="catalog_product_has_sku"),
            models.CheckConstraint(condition=~models.Q(name=""), name="catalog_product_has_name"),
            models.CheckConstraint(
                condition=models.Q(description__length__lte=DESCRIPTION_MAX_LENGTH),
                name="catalog_product_description_length",
            ),
            models.CheckConstraint(
                condition=models.Q(price__gte=Decimal(0)), name="catalog_product_price_not_negative"
            ),
        ]
        permissions = [
            ("export_product", "Can export products"),
            ("bulk_delete_product", "Can delete products in bulk"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class ExportFormat(models.Model):
    """Which columns an export has, under which names, and how their values are written.

    ``columns`` is JSON (``catalog.export_columns.columns_as_json``).
    """

    name = models.CharField(max_length=100)
    delimiter = models.CharField(max_length=1, default=",", help_text="of a CSV")
    columns = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(Lower("name"), name="catalog_exportformat_name_key"),
        ]

    def __str__(self) -> str:
        return self.name


class PersonSettings(models.Model):
    """What one person has set for the pages; all of it in one row, which a page reads at once."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # Of the product list: the columns that are shown (none: all), how many rows a page has.
    columns = models.JSONField(default=list, blank=True)
    page_size = models.PositiveSmallIntegerField(default=50)
    # Saved states of that list: {"name": ..., "query": ...}.
    views = models.JSONField(default=list, blank=True)
    keys = models.BooleanField(default=True, help_text="single keys do something on the pages")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"settings of user {self.pk}"


class Change(models.Model):
    """One product that a change set updated, with the values before.

    ``fields`` tells which values changed, as a sum of the ``Field`` numbers; ``old_*``
    holds the value before for those fields and is empty for the others; ``old_own_fields`` only
    the keys that changed, with null where there was no value. Products that a
    change set created carry its number (``Product.created_in``); those that it deleted are
    ``RemovedProduct``.
    """

    class Field(models.IntegerChoices):
        SKU = 1
        NAME = 2
        DESCRIPTION = 4
        PRICE = 8
        ACTIVE = 16
        OWN_FIELDS = 32

    change_set = models.ForeignKey(
        ChangeSet, on_delete=models.CASCADE, db_constraint=False, db_index=False
    )
    product = models.ForeignKey(
        Product, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    fields = models.SmallIntegerField()
    old_sku = models.CharField(max_length=SKU_MAX_LENGTH, null=True)
    old_name = models.CharField(max_length=NAME_MAX_LENGTH, null=True)
    old_description = models.TextField(null=True)
    old_price = models.DecimalField(
        max_digits=PRICE_MAX_DIGITS, decimal_places=PRICE_DECIMAL_PLACES, null=True
    )
    old_active = models.BooleanField(null=True)
    old_own_fields = models.JSONField(null=True)
    old_version = models.IntegerField()
    old_changed_in = models.BigIntegerField(null=True)
    old_updated_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["product"], name="catalog_change_product"),
            # Rows of a change set lie together, so block ranges find them at no cost.
            BrinIndex(fields=["change_set"], name="catalog_change_set_brin", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"product {self.product_id} in change set {self.change_set_id}"


class RemovedProduct(models.Model):
    """One product that a change set deleted, whole.

    ``id`` is the product's, and no key in the database: a product can be deleted again after
    an undo, and every index would be paid for with every deleted row
    (docs/decisions/0006-bulk-acts.md). The migration makes the table.
    """

    change_set = models.ForeignKey(ChangeSet, on_delete=models.DO_NOTHING, db_constraint=False)
    id = models.BigIntegerField(primary_key=True)
    sku = models.CharField("SKU", max_length=SKU_MAX_LENGTH)
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    description = models.TextField()
    price = models.DecimalField(
        max_digits=PRICE_MAX_DIGITS, decimal_places=PRICE_DECIMAL_PLACES, null=True
    )
    active = models.BooleanField()
    own_fields = models.JSONField(null=True)
    version = models.IntegerField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    created_in = models.BigIntegerField(null=True, db_column="created_in_id")
    changed_in = models.BigIntegerField(null=True, db_column="changed_in_id")

    class Meta:
        managed = False
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


# --- The search index -----------------------------------------------------------------


class SearchIndex(models.Model):
    """What the search index covers: a single row, or none where there is no index.

    ``product``, ``change`` and ``brought_back`` are numbers of rows: all up to them are in it.
    This table and that of the entries are unlogged, so a crash of the server empties both: the
    index is then built anew (docs/decisions/0029-search-index.md).
    """

    product = models.BigIntegerField()
    change = models.BigIntegerField()
    brought_back = models.BigIntegerField()
    every_letter = models.BooleanField(help_text="false: only ASCII letters have trigrams")
    begun_at = models.DateTimeField()
    moved_at = models.DateTimeField(null=True)
    caught_up_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "search index"

    def __str__(self) -> str:
        return "Search index"


class SearchEntry(models.Model):
    """The text of one product in which a search looks: SKU, name, description, in upper case.

    That of a product that was deleted stays for a while: a hit counts only if the product is
    there and matches itself.
    """

    product_id = models.BigIntegerField(primary_key=True)
    text = models.TextField()

    def __str__(self) -> str:
        return f"product {self.product_id}"


class SortEntry(models.Model):
    """What one product is sorted by; ``price`` is -1 for none.

    One that is no longer what the product has is passed over.
    """

    product_id = models.BigIntegerField(primary_key=True)
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    price = models.DecimalField(max_digits=PRICE_MAX_DIGITS, decimal_places=PRICE_DECIMAL_PLACES)
    active = models.BooleanField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=[name, "product_id"], name=f"catalog_sortentry_{name}")
            for name in ("name", "price", "active", "created_at", "updated_at")
        ]

    def __str__(self) -> str:
        return f"product {self.product_id}"


class BroughtBack(models.Model):
    """Products (``first_id <= id <= last_id``) among which deleted ones were brought back.

    They have their old numbers, so the search index would not notice them otherwise.
    """

    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    made_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"products {self.first_id} to {self.last_id}"
