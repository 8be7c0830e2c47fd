"""Feeds that do not bring what is expected: people are told once, until a new file comes."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from imports.models import Feed, FeedRun, Notice
from imports.pipeline.notices import tell_of_feed

# After a run has begun, and it is not over. Its tries alone may take some three hours
# (imports.operations.feeds.outcomes); later, nothing is at work that should be.
LATE = timedelta(hours=4)
BATCH = 100  # feeds that one run of the sweep looks at

State = FeedRun.State


def note_late_feeds() -> None:
    """Tell of feeds whose run began long ago, and nothing has come of it."""
    now = timezone.now()
    late = FeedRun.objects.filter(
        state=State.RUNNING, at__lt=now - LATE, feed__overdue_at=None
    ).order_by("pk")
    for feed_id, at in late.values_list("feed_id", "at")[:BATCH]:
        with transaction.atomic():
            if feed := _locked(feed_id):
                text = f"It is being fetched since {at:%Y-%m-%d %H:%M} (UTC): nothing came yet."
                _note(feed, text, now)


def note_nothing_new(feed: Feed) -> None:
    """Tell of a feed whose file is the same for longer than its supplier's lists usually are.

    ``feed`` is locked.
    """
    now = timezone.now()
    usual = feed.supplier.stop_age
    fetched = feed.runs.filter(state=State.FETCHED).order_by("-pk").first()
    since = (fetched.finished_at if fetched else None) or feed.created_at
    if usual is not None and now - since > timedelta(days=usual + 1):
        if feed.overdue_at is None:
            text = f"No new file has come since {since:%Y-%m-%d}. Usual are at most {usual:,} days."
            _note(feed, text, now)
    elif feed.overdue_at is not None:
        Feed.objects.filter(pk=feed.pk).update(overdue_at=None)


def _locked(feed_id: int) -> Feed | None:
    feeds = Feed.objects.select_for_update(of=("self",)).select_related("supplier", "created_by")
    return feeds.filter(pk=feed_id, overdue_at=None).first()


def _note(feed: Feed, sentence: str, now: datetime) -> None:
    Feed.objects.filter(pk=feed.pk).update(overdue_at=now, changed_at=now)
    tell_of_feed(
        Notice.Kind.OVERDUE,
        supplier=feed.supplier,
        name=feed.name,
        sentence=sentence,
        link=f"/feeds/{feed.pk}/",
        owner=feed.created_by,
    )
