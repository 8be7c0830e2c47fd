"""Feeds as pages and the API show them: their last runs, and what is due."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from itertools import takewhile

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from imports.models import INNER, Feed, FeedRun
from imports.queries.outcomes import tell_undone
from imports.schedule import ScheduleError, parse_schedule, zone_of

STRIP = 30  # runs in a strip
DAYS = 7  # of what is due
TIMES = 4  # of one feed on one day that are named


def listed_feeds() -> QuerySet[Feed]:
    return Feed.objects.select_related("supplier", "format", "created_by")


def listed_runs() -> QuerySet[FeedRun]:
    """Runs with what a list shows of their imports."""
    # The questions of one that waits for its columns are its reason.
    left_out = [f"job__{name}" for name in INNER if name != "found"]
    return FeedRun.objects.select_related("job__cancelled_by", "asked_by").defer(*left_out)


def tell_jobs(runs: Iterable[FeedRun]) -> list[FeedRun]:
    """Tell the imports of runs whether they were undone."""
    shown = list(runs)
    tell_undone(run.job for run in shown if run.job is not None)
    return shown


@dataclass
class FeedRow:
    """A feed in a list; ``runs`` are the last ones, the oldest first."""

    feed: Feed
    runs: list[FeedRun] = field(default_factory=list)

    @property
    def last(self) -> FeedRun | None:
        return self.runs[-1] if self.runs else None

    @property
    def summary(self) -> str:
        """What the strip says, for who does not see it."""
        counts: dict[str, int] = {}
        for run in self.runs:
            counts[run.outcome_label] = counts.get(run.outcome_label, 0) + 1
        said = ", ".join(f"{count} {label.lower()}" for label, count in counts.items())
        runs = "run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        return f"The last {runs}: {said}" if self.runs else "No run yet"


def with_runs(feeds: Iterable[Feed], *, count: int = STRIP) -> list[FeedRow]:
    """Feeds with their last runs: a few queries for all of them."""
    rows = {feed.pk: FeedRow(feed) for feed in feeds}
    number = Window(RowNumber(), partition_by=F("feed_id"), order_by=F("id").desc())
    numbered = FeedRun.objects.filter(feed__in=list(rows)).annotate(number=number)
    newest = numbered.filter(number__lte=count).values_list("pk", flat=True)
    for run in tell_jobs(listed_runs().filter(pk__in=list(newest)).order_by("id")):
        rows[run.feed_id].runs.append(run)
    return list(rows.values())


@dataclass(frozen=True)
class Due:
    """What is due of one feed on one day: its first times, and how many more there are."""

    feed: Feed
    times: list[datetime]
    more: int


def due_by_day(feeds: Iterable[Feed], *, days: int = DAYS) -> list[tuple[date, list[Due]]]:
    """What is due in the next days by the site's clock, day by day, in order of the first time."""
    found: dict[date, list[Due]] = {}
    for feed, all_times in due_times(feeds, days=days):
        by_day: dict[date, list[datetime]] = {}
        for time in all_times:
            by_day.setdefault(timezone.localtime(time).date(), []).append(time)
        for day, times in by_day.items():
            found.setdefault(day, []).append(Due(feed, times[:TIMES], max(0, len(times) - TIMES)))
    return [(day, sorted(found[day], key=lambda due: due.times[0])) for day in sorted(found)]


def due_times(feeds: Iterable[Feed], *, days: int = DAYS) -> list[tuple[Feed, list[datetime]]]:
    """When each feed is due in the next days; what should have been fetched already is due now."""
    now = timezone.now()
    # A week of every five minutes takes 30 ms to reckon, and many feeds have the same schedule.
    coming = cache(lambda schedule, zone: _coming(schedule, zone, now, now + timedelta(days=days)))
    found = []
    for feed in feeds:
        times: list[datetime] = []
        if feed.enabled and feed.next_run_at is not None:
            overdue = [feed.next_run_at] if feed.next_run_at <= now else []
            times = [*overdue, *coming(feed.schedule, feed.time_zone)]
        found.append((feed, times))
    return found


def _coming(schedule: str, zone: str, now: datetime, end: datetime) -> list[datetime]:
    try:
        times = parse_schedule(schedule).after(now, zone_of(zone))
        return list(takewhile(lambda time: time < end, times))
    except ScheduleError:
        return []
