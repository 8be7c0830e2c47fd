"""When feeds are due: their runs begin here, and a worker is woken that fetches them.

This is all of the feeds that beat's sweep needs, and it is light: what fetches is loaded by who
does it (``imports.tasks``).
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from structlog import get_logger

from imports.models import Feed, FeedRun
from imports.operations.feeds.overdue import note_late_feeds
from imports.schedule import ScheduleError, next_time
from imports.task_names import FEEDS_QUEUE, FETCH_FEEDS
from product_importer.common.enqueue import send_once_after_commit

logger = get_logger(__name__)

BATCH = 500  # feeds whose runs one transaction begins


def wake_fetcher() -> None:
    """Have what is due fetched, once the surrounding transaction has committed."""
    send_once_after_commit(FETCH_FEEDS, into=FEEDS_QUEUE)


def sweep_feeds() -> None:
    """Begin the runs that are due, wake a worker for what waits for one, tell of what is late."""
    while begin_due_runs() == BATCH:
        pass
    note_late_feeds()
    if FeedRun.objects.filter(
        state=FeedRun.State.RUNNING, next_try_at__lte=timezone.now()
    ).exists():
        wake_fetcher()


@transaction.atomic
def begin_due_runs() -> int:
    """Begin a run of each feed that is due, up to ``BATCH``; returns how many there were.

    However many of its times have passed, it is one run. A feed with a run under way is left
    due, and has its turn after that.
    """
    now = timezone.now()
    under_way = FeedRun.objects.filter(feed=OuterRef("pk"), state=FeedRun.State.RUNNING)
    due = list(
        Feed.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(~Exists(under_way), enabled=True, next_run_at__lte=now)
        .order_by("next_run_at", "pk")[:BATCH]
    )
    runs = [FeedRun(feed=feed, due_at=feed.next_run_at, at=now, next_try_at=now) for feed in due]
    # Somebody may have asked for one at this very moment: then that is it.
    FeedRun.objects.bulk_create(runs, ignore_conflicts=True)
    for feed in due:
        feed.next_run_at = next_run_of(feed, now)
        feed.changed_at = now
    Feed.objects.bulk_update(due, ["next_run_at", "changed_at"])
    return len(due)


def next_run_of(feed: Feed, after: datetime) -> datetime | None:
    """When a feed is due after a moment; ``None``: never, or its time zone is gone."""
    try:
        return next_time(feed.schedule, feed.time_zone, after)
    except ScheduleError as error:
        logger.warning("feed_has_no_next_time", feed_id=feed.pk, reason=str(error))
        return None
