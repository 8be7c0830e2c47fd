"""Notices: who is told of what."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from imports.models.jobs import ImportJob
from imports.models.suppliers import NAME_MAX_LENGTH, Supplier


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
