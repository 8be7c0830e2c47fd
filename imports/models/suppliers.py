"""Who sends files, and how they are read."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

NAME_MAX_LENGTH = 100


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
    for a review (``imports.pipeline.checks.stop_rules``).
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
    # Of the columns' names (imports.mapping.matching.match.fingerprint); blank: never recognised.
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
