"""The outbox: facts that outsiders may hear, written in the transaction of the change."""

from django.db import models
from django.utils import timezone


class Event(models.Model):
    """A fact that outsiders may hear. ``id`` is its sequence number; ``body`` the exact bytes.

    The body is ``{"type", "timestamp", "sequence", "data"}`` as JSON in UTF-8, stored as
    it will be sent, because a signature is over bytes.
    """

    class Type(models.TextChoices):
        PRODUCT_CREATED = "product.created"
        PRODUCT_UPDATED = "product.updated"
        PRODUCT_DELETED = "product.deleted"
        PRODUCTS_CHANGED = "products.changed"
        PRODUCTS_BULK_DELETED = "products.bulk_deleted"
        IMPORT_COMPLETED = "import.completed"
        IMPORT_FAILED = "import.failed"
        IMPORT_CANCELLED = "import.cancelled"
        IMPORT_UNDONE = "import.undone"
        WEBHOOK_TEST = "webhook.test"

    type = models.CharField(max_length=40, choices=Type)
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
