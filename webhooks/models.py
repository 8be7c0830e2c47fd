"""The outbox: facts that outsiders may hear, who hears them, and every try to tell them."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.utils import timezone

from product_importer.common import request_id as origin
from product_importer.common.address_guard import MAX_LENGTH

# Leases of a delivery that ended without a result, one after the other: then it is parked,
# because it might be what ends the workers.
MOST_CLAIMS = 10

DESCRIPTION_MAX_LENGTH = 200


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
        IMPORT_AWAITING_REVIEW = "import.awaiting_review"
        IMPORT_AWAITING_MAPPING = "import.awaiting_mapping"
        IMPORT_COMPLETED = "import.completed"
        IMPORT_FAILED = "import.failed"
        IMPORT_CANCELLED = "import.cancelled"
        IMPORT_UNDONE = "import.undone"
        FEED_FAILED = "feed.failed"
        WEBHOOK_TEST = "webhook.test"

    # Part of the webhook-id, so that no two installations use the same one.
    uid = models.UUIDField(db_default=RandomUUID(), editable=False)
    type = models.CharField(max_length=40, choices=Type)
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    request_id = models.CharField(
        max_length=origin.LENGTH,
        default=origin.request_id,
        db_default="",
        blank=True,
        editable=False,
        help_text="the request that it goes back to, as in the logs",
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"

    @property
    def message_id(self) -> str:
        """The ``webhook-id``, the same for every endpoint and on every try."""
        return message_id(self.uid)


def message_id(uid: UUID) -> str:
    return f"evt_{uid.hex}"


# What an endpoint may subscribe to: a test is sent to one endpoint alone.
SUBSCRIBABLE = tuple(kind.value for kind in Event.Type if kind != Event.Type.WEBHOOK_TEST)


class EndpointManager(models.Manager["Endpoint"]):
    """Endpoints that are not deleted: a deleted one only waits for its log to be cleared."""

    def get_queryset(self) -> models.QuerySet["Endpoint"]:
        return super().get_queryset().filter(deleted_at=None)


class Endpoint(models.Model):
    """A subscriber's URL, and the event types that it wants to hear of."""

    url = models.CharField("URL", max_length=MAX_LENGTH)
    description = models.CharField(max_length=DESCRIPTION_MAX_LENGTH, blank=True, default="")
    events = ArrayField(models.CharField(max_length=40))
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, blank=True, default="")
    disabled_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="the first failure after the last success"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    everything = models.Manager["Endpoint"]()
    objects = EndpointManager()

    class Meta:
        ordering = ["id"]
        # Relations reach deleted ones as well.
        base_manager_name = "everything"
        default_manager_name = "objects"

    def __str__(self) -> str:
        return self.url


class EndpointSecret(models.Model):
    """A signing secret, encrypted. After a rotation the old one lives on until ``expires_at``."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="secrets")
    token = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"secret {self.pk}"

    def __repr__(self) -> str:
        return f"<EndpointSecret {self.pk}>"


class Delivery(models.Model):
    """One event on its way to one endpoint.

    A pending delivery is due at ``next_attempt_at``. A dispatcher that takes it puts its own
    number into ``leased_by`` and the end of its lease into ``next_attempt_at``: what a lost one
    left behind is due again by itself.
    """

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    is_test = models.BooleanField(default=False)
    tries = models.PositiveSmallIntegerField(
        default=0, help_text="attempts since it was created, resent or recovered"
    )
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    leased_by = models.IntegerField(null=True, blank=True)
    claims = models.PositiveSmallIntegerField(
        default=0, help_text="leases that ended without a result, one after the other"
    )
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "event"], name="webhooks_delivery_once_an_endpoint"
            ),
        ]
        indexes = [
            # The claim reads the head of each endpoint's queue, however long it is.
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=models.Q(state="pending"),
                name="webhooks_delivery_due",
            ),
            models.Index(
                fields=["endpoint"],
                condition=models.Q(state="pending", is_test=True),
                name="webhooks_delivery_due_test",
            ),
            models.Index(
                fields=["endpoint", "leased_by"],
                condition=models.Q(leased_by__isnull=False),
                name="webhooks_delivery_leased",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(state="pending", claims__gte=MOST_CLAIMS),
                name="webhooks_delivery_to_park",
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def is_final(self) -> bool:
        return self.state != self.State.PENDING

    @property
    def is_retrying(self) -> bool:
        """Whether it has failed since it was created or resent, and is tried again."""
        return self.state == self.State.PENDING and self.tries > 0

    def is_leased(self, now: datetime) -> bool:
        """Whether a worker is sending it, or is just about to."""
        return self.leased_by is not None and (self.next_attempt_at or now) > now


class Attempt(models.Model):
    """One HTTP request of a delivery. Rows are only ever added."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, db_index=False, related_name="attempts"
    )
    at = models.DateTimeField(default=timezone.now)
    address = models.CharField(max_length=60, blank=True, default="")
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=30, blank=True, default="")
    detail = models.CharField(max_length=200, blank=True, default="")
    lookup_ms = models.FloatField(null=True, blank=True)
    connect_ms = models.FloatField(null=True, blank=True)
    first_byte_ms = models.FloatField(null=True, blank=True)
    latency_ms = models.FloatField(default=0)
    # Those of the request, with the time and the signatures of this attempt; none of old ones.
    request_headers = models.JSONField(null=True, blank=True)
    response_headers = models.JSONField(default=dict, blank=True)
    response_body = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["endpoint", "at"], name="webhooks_attempt_of_day")]

    def __str__(self) -> str:
        return f"attempt {self.pk}"

    @property
    def ok(self) -> bool:
        return self.response_status is not None and 200 <= self.response_status < 300


class Tally(models.Model):
    """A count that only grows (``product_importer.common.counters``)."""

    key = models.CharField(max_length=60, primary_key=True)
    value = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.key}: {self.value:g}"
