"""Feeds: files at an address, fetched by a schedule."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from imports.models.jobs import ImportJob
from imports.models.suppliers import NAME_MAX_LENGTH, Format, Supplier
from imports.schedule import MAX_LENGTH as SCHEDULE_MAX_LENGTH
from imports.schedule import ZONE_MAX_LENGTH
from product_importer.common.address_guard import MAX_LENGTH as URL_MAX_LENGTH

CREDENTIAL_MAX_LENGTH = 255


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
    # Encrypted (imports.operations.feeds.feeds), and never shown again.
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
    # Since when it is known that no new file comes as expected (imports.operations.feeds.overdue).
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
        if self.job is not None and self.job.is_discarded:
            return "Discarded"
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
            did = "discarded" if job.is_discarded else "cancelled"
            return f"{job.cancelled_by or 'Somebody'} {did} the import."
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
