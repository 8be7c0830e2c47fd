"""What came of a fetch: written, and told, by one short transaction.

Each of these does nothing for a run that is over, or somebody else's by now.
"""

from dataclasses import asdict
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from structlog import get_logger

from imports.fetching.source import Fetched, FetchFailed, Unchanged
from imports.files.temp import StoredFile
from imports.models import Feed, FeedRun, ImportJob, Notice, uploads
from imports.operations import jobs
from imports.operations.feeds.overdue import note_nothing_new
from imports.pipeline.notices import tell_of_feed
from webhooks.models import Event
from webhooks.operations.events import record_event

logger = get_logger(__name__)

State = FeedRun.State

# Minutes before the next try, after the first, the second ... A fetch has tried again by itself
# before, over a minute or so (imports.fetching).
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30))
MAX_TRIES = len(WAITS) + 1
LONGEST_WAIT = timedelta(hours=1)  # that a server may ask for
FILE_NAME = "import.csv"  # of a file that its server gives no name
# Another server may be answering: the feed is switched off until somebody has looked.
STOPPING = frozenset({"host_key_changed"})
UNCHANGED = "The file is the one that was imported last."


@transaction.atomic
def end_unchanged(run: FeedRun, found: Unchanged) -> None:
    """End a run without an import; what is known of the file by now is kept for the next one."""
    if ours := _ours(run):
        feed = ours.feed
        feed.known, feed.host_key = asdict(found.known), found.host_key or feed.host_key
        feed.save(update_fields=["known", "host_key"])
        _finish(ours, State.UNCHANGED, message=UNCHANGED)
        note_nothing_new(feed)


def end_fetched(run: FeedRun, fetched: Fetched, name: str) -> None:
    """Start the import of a file that is in the storage, in the transaction that ends the run."""
    try:
        with transaction.atomic():
            ours = _ours(run)
            if ours is not None:
                _start_import(ours, fetched, name)
    except jobs.Refused as refused:
        ours = None
        fail(run, FetchFailed("refused", str(refused)))
    if ours is None:
        uploads().delete(name)


def _start_import(run: FeedRun, fetched: Fetched, name: str) -> None:
    feed = run.feed
    run.job = jobs.start_import(
        file=StoredFile(name, fetched.size, fetched.sha256),
        file_name=fetched.name or FILE_NAME,
        user=run.asked_by or feed.created_by,
        format=feed.format,
        supplier=feed.supplier,
        feed=feed,
        on_unclear=ImportJob.OnUnclear.WAIT,
        checks=ImportJob.Checks.STOP,
        full_list=feed.full_list or None,  # or as its format says
        file_modified_at=fetched.known.changed_at,
    )
    feed.known = asdict(fetched.known)
    feed.host_key = fetched.host_key or feed.host_key
    feed.overdue_at = None
    feed.save(update_fields=["known", "host_key", "overdue_at"])
    run.bytes, run.file_name = fetched.size, fetched.name[-255:]
    _finish(run, State.FETCHED)


@transaction.atomic
def fail(run: FeedRun, failure: FetchFailed) -> None:
    """Have a run tried again later, or end it with the reason, and tell of that."""
    ours = _ours(run)
    if ours is None:
        return
    ours.code, ours.message = failure.code[:40], failure.message
    if failure.host_key and not ours.feed.host_key:  # what was logged in to is known from then on
        Feed.objects.filter(pk=ours.feed_id).update(host_key=failure.host_key)
    if failure.temporary and ours.tries < MAX_TRIES:
        asked = timedelta(seconds=min(failure.retry_after, LONGEST_WAIT.total_seconds()))
        ours.next_try_at = timezone.now() + max(WAITS[ours.tries - 1], asked)
        ours.leased_by = None
        ours.save()
        Feed.objects.filter(pk=ours.feed_id).update(changed_at=timezone.now())
        return
    if failure.code in STOPPING:
        Feed.objects.filter(pk=ours.feed_id).update(
            enabled=False, next_run_at=None, disabled_reason=failure.message[:500]
        )
    again = _fails_as_before(ours)
    _finish(ours, State.FAILED, code=ours.code, message=ours.message)
    _tell_failed(ours, is_new=not again)


def _fails_as_before(run: FeedRun) -> bool:
    """Whether the run before this one failed for the same reason: people know of it then."""
    before = run.feed.runs.filter(pk__lt=run.pk).order_by("-pk").first()
    return before is not None and (before.state, before.code) == (State.FAILED, run.code)


def _tell_failed(run: FeedRun, *, is_new: bool) -> None:
    """Tell outsiders of each run that has failed for good, people of each trouble once."""
    feed = run.feed
    if is_new:
        tell_of_feed(
            Notice.Kind.FEED_FAILED,
            supplier=feed.supplier,
            name=feed.name,
            sentence=run.message,
            link=f"/feeds/{feed.pk}/",
            owner=feed.created_by,
        )
    record_event(
        type=Event.Type.FEED_FAILED,
        data={
            "feed": feed.pk,
            "name": feed.name,
            "supplier": feed.supplier_id,
            "run": run.pk,
            "due_at": run.due_at.isoformat().replace("+00:00", "Z") if run.due_at else None,
            "tries": run.tries,
            "code": run.code,
            "message": run.message,
        },
    )


def _ours(run: FeedRun) -> FeedRun | None:
    """The run, locked after its feed, unless it is over or somebody else's by now."""
    feeds = Feed.objects.select_for_update(of=("self",))
    feed = feeds.select_related("supplier", "format", "created_by").filter(pk=run.feed_id).first()
    runs = FeedRun.objects.select_for_update(of=("self",)).select_related("asked_by")
    found = runs.filter(
        pk=run.pk, state=State.RUNNING, tries=run.tries, leased_by=run.leased_by
    ).first()
    if feed is None or found is None:
        return None
    found.feed = feed
    return found


def _finish(run: FeedRun, state: FeedRun.State, *, code: str = "", message: str = "") -> None:
    now = timezone.now()
    run.state, run.code, run.message = state, code, message
    run.finished_at, run.next_try_at, run.leased_by = now, None, None
    run.save()
    Feed.objects.filter(pk=run.feed_id).update(changed_at=now)
    told = {"feed_id": run.feed_id, "run_id": run.pk, "outcome": state, "bytes": run.bytes}
    transaction.on_commit(lambda: logger.info("feed_run_ended", **told, code=code))
