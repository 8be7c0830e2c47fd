"""Products, and what change sets did to them."""

from decimal import Decimal

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Length, Lower
from django.utils import timezone

from catalog.models.change_sets import ChangeSet
from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    NAME_MAX_LENGTH,
    PRICE_DECIMAL_PLACES,
    PRICE_MAX_DIGITS,
    SKU_MAX_LENGTH,
)

models.TextField.register_lookup(Length)


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
