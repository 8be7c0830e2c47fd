"""Runs of feeds: from the time that is due to the import that it comes to.

    schedule.sweep_feeds | feeds.ask_for_run -> fetch_feeds (take, fetch, outcomes)

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
from dataclasses import dataclass, field
from datetime import timedelta
from typing import BinaryIO, cast

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection, transaction
from django.utils import timezone
from structlog import get_logger

from catalog.operations import undo
from imports.fetching.fetch import fetch
from imports.fetching.source import Fetched, FetchFailed, Known, Limits, Source, Unchanged
from imports.files.temp import is_disk_full
from imports.models import Feed, FeedRun, ImportJob, uploads
from imports.operations.feeds.outcomes import (
    FILE_NAME,
    MAX_TRIES,
    end_fetched,
    end_unchanged,
    fail,
)
from imports.sql.feeds import lock_feeds
from product_importer.common.encryption import Cipher, Undecryptable

logger = get_logger(__name__)

State = FeedRun.State

# One worker process fetches at a time, many files at once: a server that drips holds up no import.
FETCHERS = 1
THREADS = 16
LEASE = timedelta(seconds=30)  # of a run; then another worker may take it
LEASE_BEATS = 5.0  # seconds between two extensions
LOOK_SECONDS = 1.0  # between two looks for what else is due
NO_ROOM = "The server has no room for the file: its disk is full. Tell your ops staff."

cipher = Cipher("credentials of feeds")


class Left(Exception):
    """Somebody switched the feed off, or deleted it, or another worker has the run."""


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

    def run_in_thread(self) -> "Brought":
        """What came, and its name in the storage. Raises ``FetchFailed``, ``Left``, ``OSError``.

        The name of the temporary file is that of a received one: what a killed worker leaves goes
        like one.
        """
        with TemporaryUploadedFile("feed", "", 0, None) as file:
            into = cast(BinaryIO, file.file)
            fetched = fetch(self.source, self.known, into, limits=self.limits, alive=self._alive)
            if isinstance(fetched, Unchanged):
                return fetched
            file.size = fetched.size
            file.seek(0)
            name = (fetched.name or FILE_NAME)[-100:]
            return fetched, uploads().save(f"{timezone.now():%Y/%m/%d}/{name}", file)

    def _alive(self, size: int, total: int | None) -> None:
        self.size = size
        if self.left.is_set():
            raise Left


Brought = Unchanged | tuple[Fetched, str]


def limits() -> Limits:
    """The bounds of a fetch."""
    return Limits(
        bytes=settings.IMPORT_MAX_FILE_SIZE, allowed=tuple(settings.WEBHOOK_ALLOWED_CIDRS)
    )


def source_of(feed: Feed) -> Source:
    """Where a feed's file is. Raises ``FetchFailed`` if its secrets cannot be read."""
    try:
        password, key, headers = (
            cipher.decrypt(token) if token else ""
            for token in (feed.password_token, feed.private_key_token, feed.headers_token)
        )
    except Undecryptable as error:
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
    under_way: dict[Future[Brought], Fetch] = {}
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
def _take(worker: int, limit: int) -> list[FeedRun]:
    """Take runs that are due, for the time of a lease; none where enough workers fetch already."""
    if limit <= 0:
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
        .order_by("next_try_at", "pk")[:limit]
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
        fail(run, FetchFailed("worker_lost", text))
        return None
    try:
        source = source_of(run.feed)
    except FetchFailed as failure:
        fail(run, failure)
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


def _end(fetching: Fetch, future: "Future[Brought]") -> None:
    """Write what came of it. Does nothing for a run that is somebody else's by now.

    What goes wrong here, too, is this run's own: the others that are fetched meanwhile go on.
    """
    run = fetching.run
    try:
        result = future.result()
        if isinstance(result, Unchanged):
            end_unchanged(run, result)
        else:
            end_fetched(run, *result)
    except Left:
        logger.info("feed_left", run_id=run.pk)
    except FetchFailed as failure:
        fail(run, failure)
    except Exception as error:  # whatever a server, the disk or the storage comes up with
        if is_disk_full(error):
            fail(run, FetchFailed("no_room", NO_ROOM, temporary=True))
            return
        logger.exception("feed_fetch_broke", run_id=run.pk, feed_id=run.feed_id)
        text = f"The fetch ended by an error of ours ({type(error).__name__}); the log has more."
        fail(run, FetchFailed("error", text, temporary=True))
