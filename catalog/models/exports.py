"""Formats of exports."""

from django.db import models
from django.db.models.functions import Lower


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
