"""Runs of feeds: from the time that is due to the import that it comes to.

    sweep_feeds (begin_due_runs) | feeds.ask_for_run -> fetch_feeds (take, fetch, end)

A worker takes runs by a lease (``FeedRun``) and fetches several at once, in threads that know
nothing of the database; what counts is written by short transactions before and after. So a
worker may be killed at any point, there may be any number of them, and a message may come twice,
late or never.
"""

import json
import secrets
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO, cast

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from structlog import get_logger

from catalog.operations import undo
from imports.fetching.fetch import fetch
from imports.fetching.source import Fetched, FetchFailed, Known, Limits, Source
from imports.files.temp import StoredFile, is_disk_full
from imports.models import Feed, FeedRun, ImportJob, uploads
from imports.operations import jobs
from imports.schedule import ScheduleError, next_time
from imports.sql.feeds import lock_feeds
from imports.task_names import FEEDS_QUEUE, FETCH_FEEDS
from product_importer.common.encryption import Unreadable, Vault
from product_importer.common.enqueue import kick_once_after_commit
from webhooks.models import Event
from webhooks.operations.events import record_event

logger = get_logger(__name__)

State = FeedRun.State

BATCH = 500  # feeds whose runs one transaction begins
# One worker process fetches at a time, many files at once: a server that drips holds up no import.
FETCHERS = 1
THREADS = 16
LEASE = timedelta(seconds=30)  # of a run; then another worker may take it
LEASE_BEATS = 5.0  # seconds between two extensions
LOOK_SECONDS = 1.0  # between two looks for what else is due
# Minutes before the next try, after the first, the second ... A fetch has tried again by itself
# before, over a minute or so (imports.fetching).
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30))
MAX_TRIES = len(WAITS) + 1
LONGEST_WAIT = timedelta(hours=1)  # that a server may ask for
FILE_NAME = "import.csv"  # of a file that its server gives no name

vault = Vault("credentials of feeds")


class Left(Exception):
    """Somebody switched the feed off, or deleted it, or another worker has the run."""


def wake_fetcher() -> None:
    """Have what is due fetched, once the surrounding transaction has committed."""
    kick_once_after_commit(FETCH_FEEDS, into=FEEDS_QUEUE)


# --- What is due ----------------------------------------------------------------------


def sweep_feeds() -> None:
    """Begin the runs that are due, and wake a worker for what waits for one."""
    while begin_due_runs() == BATCH:
        pass
    if FeedRun.objects.filter(state=State.RUNNING, next_try_at__lte=timezone.now()).exists():
        wake_fetcher()


@transaction.atomic
def begin_due_runs() -> int:
    """Begin a run of each feed that is due, up to ``BATCH``; returns how many there were.

    However many of its times have passed, it is one run. A feed with a run under way is left
    due, and has its turn after that.
    """
    now = timezone.now()
    under_way = FeedRun.objects.filter(feed=OuterRef("pk"), state=State.RUNNING)
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


# --- Fetching, in a worker ------------------------------------------------------------


@dataclass
class Fetch:
    """A run that this worker has; ``run_in_thread`` touches no row and no relation."""

    run: FeedRun
    source: Source
    known: Known
    limits: Limits
    left: threading.Event = field(default_factory=threading.Event)
    size: int = 0  # bytes so far

    def run_in_thread(self) -> tuple[Fetched, str] | None:
        """What is new, and its name in the storage. Raises ``FetchFailed``, ``Left``, ``OSError``.

        The name of the temporary file is that of a received one: what a killed worker leaves goes
        like one.
        """
        with TemporaryUploadedFile("feed", "", 0, None) as file:
            into = cast(BinaryIO, file.file)
            fetched = fetch(self.source, self.known, into, limits=self.limits, alive=self._alive)
            if fetched is None:
                return None
            file.size = fetched.size
            file.seek(0)
            name = (fetched.name or FILE_NAME)[-100:]
            return fetched, uploads().save(f"{timezone.now():%Y/%m/%d}/{name}", file)

    def _alive(self, size: int, total: int | None) -> None:
        self.size = size
        if self.left.is_set():
            raise Left


def limits() -> Limits:
    """The bounds of a fetch."""
    return Limits(
        bytes=settings.IMPORT_MAX_FILE_SIZE, allowed=tuple(settings.WEBHOOK_ALLOWED_CIDRS)
    )


def source_of(feed: Feed) -> Source:
    """Where a feed's file is. Raises ``FetchFailed`` if its secrets cannot be read."""
    try:
        password, key, headers = (
            vault.decrypt(token) if token else ""
            for token in (feed.password_token, feed.private_key_token, feed.headers_token)
        )
    except Unreadable as error:
        text = f"The password, key or headers of the feed cannot be read. {error} Or write them "
        raise FetchFailed("secret_unreadable", f"{text}again.") from error
    return Source(
        url=feed.url,
        username=feed.username,
        password=password,
        private_key=key,
        headers=tuple(json.loads(headers).items()) if headers else (),
        pattern=feed.pattern,
        host_key=feed.host_key,
    )


def known_of(feed: Feed, *, asked: bool) -> Known:
    """What a run may take for known: the file that was imported last.

    Not that of an import that failed. What somebody discarded or has undone stays as it is until
    somebody asks for it (``asked``) again.
    """
    last = ImportJob.objects.filter(feed=feed).select_related("change_set").order_by("-id").first()
    if last is None or last.status == ImportJob.Status.FAILED or last.imported_nothing:
        return Known()
    taken_back = last.status == ImportJob.Status.CANCELLED or (
        last.change_set is not None and undo.undo_of(last.change_set) is not None
    )
    return Known() if asked and taken_back else Known(**feed.known)


def fetch_feeds() -> int:
    """Fetch all that is due, several at once, until nothing is left; returns how many were taken.

    Does nothing where another worker is at it: that one finds what is due as well.
    """
    worker = secrets.randbits(62)
    under_way: dict[Future[tuple[Fetched, str] | None], Fetch] = {}
    taken = 0
    extended = time.monotonic()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="feed") as threads:
        try:
            while True:
                for one in _take(worker, THREADS - len(under_way)):
                    taken += 1
                    if (started := _begin(one)) is not None:
                        under_way[threads.submit(started.run_in_thread)] = started
                if not under_way:
                    return taken
                done, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    _end(under_way.pop(future), future)
                if time.monotonic() > extended + LEASE_BEATS:
                    _extend_leases(list(under_way.values()))
                    extended = time.monotonic()
        finally:
            for fetching in under_way.values():
                fetching.left.set()


@transaction.atomic
def _take(worker: int, most: int) -> list[FeedRun]:
    """Take runs that are due, for the time of a lease; none where enough workers fetch already."""
    if most <= 0:
        return []
    with connection.cursor() as cursor:
        lock_feeds(cursor)
    now = timezone.now()
    under_way = FeedRun.objects.filter(state=State.RUNNING)
    leased = under_way.filter(next_try_at__gt=now, leased_by__isnull=False)
    others = leased.exclude(leased_by=worker).values("leased_by").distinct().count()
    if others >= FETCHERS:
        return []
    locked = under_way.select_for_update(of=("self",), skip_locked=True)
    due = list(
        locked.filter(next_try_at__lte=now)
        .select_related("feed__supplier")
        .order_by("next_try_at", "pk")[:most]
    )
    for run in due:
        run.tries += 1
        run.leased_by = worker
        run.next_try_at = now + LEASE
    FeedRun.objects.bulk_update(due, ["tries", "leased_by", "next_try_at"])
    return due


def _begin(run: FeedRun) -> Fetch | None:
    """What a run's thread needs; ``None`` for a run that ends here."""
    if run.tries > MAX_TRIES:
        text = (
            f"The fetch was begun {MAX_TRIES} times, and each time its worker was lost before it "
            "came to an end. The log of the workers has the reason."
        )
        _fail(run, FetchFailed("worker_lost", text))
        return None
    try:
        source = source_of(run.feed)
    except FetchFailed as failure:
        _fail(run, failure)
        return None
    known = known_of(run.feed, asked=run.due_at is None)
    return Fetch(run=run, source=source, known=known, limits=limits())


def _extend_leases(fetching: list[Fetch]) -> None:
    """Tell that a worker is at it, and how far; leave what is somebody else's by now."""
    until = timezone.now() + LEASE
    for one in fetching:
        ours = FeedRun.objects.filter(
            pk=one.run.pk, state=State.RUNNING, tries=one.run.tries, leased_by=one.run.leased_by
        )
        if not ours.update(next_try_at=until, bytes=one.size):
            one.left.set()


# --- The end of a fetch ---------------------------------------------------------------


def _end(fetching: Fetch, future: "Future[tuple[Fetched, str] | None]") -> None:
    """Write what came of it. Does nothing for a run that is somebody else's by now."""
    run = fetching.run
    try:
        result = future.result()
    except Left:
        logger.info("feed_left", run_id=run.pk)
    except FetchFailed as failure:
        _fail(run, failure)
    except Exception as error:  # whatever a server, the disk or the storage comes up with
        if is_disk_full(error):
            _fail(run, FetchFailed("no_room", NO_ROOM, temporary=True))
            return
        logger.exception("feed_fetch_broke", run_id=run.pk, feed_id=run.feed_id)
        text = f"The fetch ended by an error of ours ({type(error).__name__}); the log has more."
        _fail(run, FetchFailed("error", text, temporary=True))
    else:
        if result is None:
            _end_unchanged(run)
        else:
            _end_fetched(run, *result)


NO_ROOM = "The server has no room for the file: its disk is full. Tell your ops staff."
UNCHANGED = "The file is the one that was imported last."


@transaction.atomic
def _end_unchanged(run: FeedRun) -> None:
    if ours := _ours(run):
        _finish(ours, State.UNCHANGED, message=UNCHANGED)


def _end_fetched(run: FeedRun, fetched: Fetched, name: str) -> None:
    """Start the import of a file that is in the storage, in the transaction that ends the run."""
    try:
        with transaction.atomic():
            ours = _ours(run)
            if ours is not None:
                _start_import(ours, fetched, name)
    except jobs.Refused as refused:
        ours = None
        _fail(run, FetchFailed("refused", str(refused)))
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
    )
    feed.known = asdict(fetched.known)
    feed.host_key = fetched.host_key or feed.host_key
    feed.save(update_fields=["known", "host_key"])
    run.bytes, run.file_name = fetched.size, fetched.name[-255:]
    _finish(run, State.FETCHED)


@transaction.atomic
def _fail(run: FeedRun, failure: FetchFailed) -> None:
    """Have a run tried again later, or end it with the reason, and tell outsiders."""
    ours = _ours(run)
    if ours is None:
        return
    ours.code, ours.message = failure.code[:40], failure.message
    if failure.temporary and ours.tries < MAX_TRIES:
        asked = timedelta(seconds=failure.retry_after)
        ours.next_try_at = timezone.now() + max(WAITS[ours.tries - 1], min(asked, LONGEST_WAIT))
        ours.leased_by = None
        ours.save()
        Feed.objects.filter(pk=ours.feed_id).update(changed_at=timezone.now())
        return
    if failure.code in STOPPING:
        Feed.objects.filter(pk=ours.feed_id).update(
            enabled=False, next_run_at=None, disabled_reason=failure.message[:500]
        )
    _finish(ours, State.FAILED, code=ours.code, message=ours.message)
    feed = ours.feed
    record_event(
        type=Event.Type.FEED_FAILED,
        data={
            "feed": feed.pk,
            "name": feed.name,
            "supplier": feed.supplier_id,
            "run": ours.pk,
            "due_at": ours.due_at.isoformat().replace("+00:00", "Z") if ours.due_at else None,
            "tries": ours.tries,
            "code": ours.code,
            "message": ours.message,
        },
    )


# Another server may be answering: the feed is switched off until somebody has looked.
STOPPING = frozenset({"host_key_changed"})


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
