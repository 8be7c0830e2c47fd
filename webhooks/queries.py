"""What pages, API and probes read of the webhooks."""

from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone

from webhooks.models import Attempt, Endpoint
from webhooks.sql import figures

HOURS = 24


@dataclass
class Day:
    """How an endpoint did in the last 24 hours. ``hours`` has the oldest first."""

    hours: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * HOURS)
    succeeded: int = 0
    attempts: int = 0
    median_ms: float | None = None
    last_failure: Attempt | None = None

    @property
    def percent(self) -> float | None:
        """Share of the attempts that succeeded."""
        return 100 * self.succeeded / self.attempts if self.attempts else None


def events_kept() -> str:
    """How long events can be recovered, as the end of a sentence."""
    keep: timedelta | None = settings.KEEP_EVENTS
    return "for ever" if keep is None else f"for {keep.days} days"


def days_of(endpoints: list[Endpoint]) -> dict[int, Day]:
    """The last 24 hours of these endpoints, by their number."""
    now = timezone.now()
    ids = [endpoint.pk for endpoint in endpoints]
    days = {endpoint_id: Day() for endpoint_id in ids}
    with connection.cursor() as cursor:
        rows = figures.day_figures(cursor, endpoint_ids=ids, now=now)
    for endpoint_id, hours_ago, succeeded, attempts, median in rows:
        day = days[endpoint_id]
        if hours_ago is None:
            day.succeeded, day.attempts, day.median_ms = succeeded, attempts, median
        else:
            place = HOURS - 1 - min(max(hours_ago, 0), HOURS - 1)
            before = day.hours[place]
            day.hours[place] = (before[0] + succeeded, before[1] + attempts - succeeded)
    is_good = Q(response_status__range=(200, 299))
    failures = Attempt.objects.defer("response_headers", "response_body", "request_headers").filter(
        ~is_good | Q(response_status=None)
    )
    recent = failures.filter(endpoint__in=ids, at__gt=now - timedelta(hours=HOURS))
    for attempt in recent.order_by("endpoint_id", "-at").distinct("endpoint_id"):
        days[attempt.endpoint_id].last_failure = attempt
    return days


def oldest_due_seconds() -> float:
    """Seconds for which the longest waiting delivery has been due; 0 where none is."""
    now = timezone.now()
    with connection.cursor() as cursor:
        since = figures.oldest_due(cursor, now=now)
    return round((now - since).total_seconds(), 1) if since else 0.0


def pending_deliveries(*, limit: int) -> int:
    """How many deliveries wait, counted up to ``limit``."""
    with connection.cursor() as cursor:
        return figures.count_pending(cursor, limit=limit)


def endpoint_states() -> dict[str, int]:
    """How many endpoints are ``working``, ``failing`` (enabled both), or ``disabled``."""
    failing = Q(enabled=True, failing_since__isnull=False)
    return Endpoint.objects.aggregate(
        working=Count("id", filter=Q(enabled=True) & ~failing),
        failing=Count("id", filter=failing),
        disabled=Count("id", filter=Q(enabled=False)),
    )
