"""The admin's first page: how the imports go, how large the catalogue is, what needs attention.

Every question is answered by an index, a cached count, or a bounded number of rows.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django_celery_results.models import TaskResult

from catalog.models import ChangeSet
from catalog.queries.products import glance
from imports.models import INNER, ImportJob, NoticeRecipient

DAYS = 30  # of the charts
RECENT = timedelta(days=7)  # of failures that want attention
QUIET = timedelta(minutes=1)  # of an unfinished act or job, before somebody should look
SHOWN = 5  # of each kind of trouble

Status = ImportJob.Status


@dataclass(frozen=True)
class Trouble:
    """One thing that wants a person: what it is, its page, why."""

    title: str
    link: str
    reason: str
    at: Any


@dataclass(frozen=True)
class ImportDay:
    """The imports that were started on one day, by how they ended."""

    day: date
    completed: int
    failed: int
    other: int

    @property
    def total(self) -> int:
        return self.completed + self.failed + self.other


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard to the context of the admin's first page, as far as the user may see."""
    user = request.user
    may_see_jobs = user.has_perm("imports.view_importjob")
    may_see_changes = user.has_perm("catalog.view_changeset")
    troubles: list[Trouble] = []
    if may_see_jobs:
        days = import_days()
        context |= {
            "job_states": job_states(),
            "import_days": days,
            "busiest_import_day": max(day.total for day in days),
        }
        troubles += failed_jobs() + quiet_jobs()
    if may_see_changes:
        troubles += failed_acts() + quiet_acts()
    if user.has_perm("imports.change_noticerecipient"):
        troubles += failing_notices()
    if user.has_perm("django_celery_results.view_taskresult"):
        troubles += failed_tasks()
    if user.has_perm("catalog.view_product"):
        context["glance"] = glance(DAYS)
    return {**context, "troubles": troubles, "sees_anything": may_see_jobs or may_see_changes}


def job_states() -> list[dict[str, Any]]:
    """How many jobs there are in each state, in the order of a job's life, with their list."""
    states = ImportJob.states()
    counted = ImportJob.objects.aggregate(
        **{name: Count("id", filter=condition) for name, (_, condition) in states.items()}
    )
    jobs = reverse("admin:imports_importjob_changelist")
    return [
        {
            "status": name,
            "label": label,
            "count": counted[name],
            "link": f"{jobs}?{urlencode({'state': name})}",
        }
        for name, (label, _) in states.items()
    ]


def import_days() -> list[ImportDay]:
    """The last ``DAYS`` days, oldest first."""
    since = timezone.localdate() - timedelta(days=DAYS - 1)
    rows = (
        ImportJob.objects.filter(created_at__date__gte=since)
        .order_by()
        .values(day=TruncDate("created_at"))
        .annotate(
            all=Count("id"),
            completed=Count("id", filter=Q(status=Status.COMPLETED)),
            failed=Count("id", filter=Q(status=Status.FAILED)),
        )
    )
    found = {row["day"]: row for row in rows}
    days = []
    for number in range(DAYS):
        day = since + timedelta(days=number)
        row = found.get(day, {"all": 0, "completed": 0, "failed": 0})
        other = row["all"] - row["completed"] - row["failed"]
        days.append(ImportDay(day, row["completed"], row["failed"], other))
    return days


def failed_jobs() -> list[Trouble]:
    failed = (
        ImportJob.objects.defer(*INNER)
        .filter(status=Status.FAILED, created_at__gte=timezone.now() - RECENT)
        .order_by("-id")
    )
    return [
        Trouble(
            f"Import failed: {job.file_name}",
            reverse("job-detail", args=[job.pk]),
            job.error,
            job.finished_at or job.created_at,
        )
        for job in failed[:SHOWN]
    ]


def quiet_jobs() -> list[Trouble]:
    """Jobs that no worker gets on with, while no earlier act holds them up."""
    if _somebody_writes():
        return []
    quiet = ImportJob.unfinished().filter(progress_at__lt=timezone.now() - QUIET).order_by("id")
    return [
        Trouble(
            f"Import waits: {job.file_name}",
            reverse("job-detail", args=[job.pk]),
            job.trouble or "No worker has got on with it. Check that a worker runs.",
            job.progress_at,
        )
        for job in quiet[:SHOWN]
    ]


def failed_acts() -> list[Trouble]:
    """Failed change sets; those of imports stand there as jobs."""
    failed = (
        ChangeSet.objects.defer("request")
        .filter(status=ChangeSet.Status.FAILED, created_at__gte=timezone.now() - RECENT)
        .exclude(kind=ChangeSet.Kind.IMPORT)
        .order_by("-id")
    )
    return [
        Trouble(
            f"{act} failed", reverse("change-detail", args=[act.pk]), act.error, act.finished_at
        )
        for act in failed[:SHOWN]
    ]


def quiet_acts() -> list[Trouble]:
    if _somebody_writes():
        return []
    quiet = (
        ChangeSet.objects.defer("request")
        .filter(
            status__in=ChangeSet.UNFINISHED,
            kind__in=ChangeSet.BULK,
            progress_at__lt=timezone.now() - QUIET,
        )
        .order_by("id")
    )
    return [
        Trouble(
            f"{act} waits",
            reverse("change-detail", args=[act.pk]),
            "No worker has got on with it. Check that a worker runs.",
            act.progress_at,
        )
        for act in quiet[:SHOWN]
    ]


def failing_notices() -> list[Trouble]:
    failing = NoticeRecipient.objects.exclude(failing_since=None).select_related("user")
    return [
        Trouble(
            f"Notices cannot be sent: {recipient}",
            reverse("chat-list"),
            recipient.last_error,
            recipient.failing_since,
        )
        for recipient in failing.order_by("-failing_since")[:SHOWN]
    ]


def failed_tasks() -> list[Trouble]:
    failed = TaskResult.objects.filter(
        status="FAILURE", date_done__gte=timezone.now() - RECENT
    ).order_by("-date_done")
    return [
        Trouble(
            f"Task failed: {task.task_name or task.task_id}",
            reverse("admin:django_celery_results_taskresult_change", args=[task.pk]),
            (task.result or "")[:300],
            task.date_done,
        )
        for task in failed[:SHOWN]
    ]


def _somebody_writes() -> bool:
    """Whether an act is writing to the catalogue right now: then the others wait as they should."""
    return ChangeSet.objects.filter(
        status=ChangeSet.Status.APPLYING, progress_at__gte=timezone.now() - QUIET
    ).exists()
