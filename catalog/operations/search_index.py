"""The keeping of the search index, in the background and in slices.

    settled numbers -> begin, where there is none -> slices -> caught up

Searches are exact however far it is behind (``catalog.sql.search``); it only makes them quick. A
slice is one transaction; any number of workers may be at it, and each may be killed at any point.
"""

import time
from collections.abc import Callable
from dataclasses import astuple, fields
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone
from structlog import get_logger

from catalog.models import ChangeSet, SearchIndex
from catalog.queries.products import estimated_products
from catalog.sql import search
from product_importer.common.locks import AdvisoryLock

logger = get_logger(__name__)

KEEP = "catalog.keep_search_index"  # the name of the task (catalog/tasks.py)

FROM_PRODUCTS = 50_000  # below, looking at all products takes some 20 ms
RUN_SECONDS = 2.5  # of slices in one run of the task, which comes every three seconds
POLL_SECONDS = 0.05
MAX_WAIT = timedelta(minutes=10)  # for a quiet moment
WHY_NOT_KEY, WHY_NOT_SECONDS = "catalog.search_index.why_not", 600

# Each says whether large work is under way, which the index shall not slow down; apps add theirs.
UNDER_WAY: list[Callable[[], bool]] = [
    ChangeSet.objects.filter(status__in=ChangeSet.UNFINISHED).exists
]


def keep_search_index(*, seconds: float = RUN_SECONDS) -> bool:
    """Bring the search index on, for about so many seconds; return whether it is up to date.

    It is begun by itself when the catalogue is large (``FROM_PRODUCTS``), and dropped where the
    setting ``SEARCH_INDEX`` is off.
    """
    deadline = time.monotonic() + seconds
    index = SearchIndex.objects.first()
    if not settings.SEARCH_INDEX:
        if index:
            _drop()
        return False
    with connection.cursor() as cursor:
        anew = index is None or search.mostly_gone(cursor)
        if index is None and (estimated_products() < FROM_PRODUCTS or why_no_trigrams()):
            return False
        if index and not anew and index.caught_up_at and not _beyond(search.last_numbers(cursor)):
            return True
    gives_way = not _has_waited(index)
    if gives_way and _large_work():
        return False
    goal = _settled(deadline)
    if goal is None or (anew and not _begin(goal)):
        return False
    return _follow(goal, deadline, gives_way)


def _drop() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.SEARCH_INDEX])
        search.drop(cursor)
    logger.info("search_index_dropped")


def why_no_trigrams() -> str:
    """Why this database can have no index of trigrams, asked now and then; nothing if it can."""
    reason: str | None = cache.get(WHY_NOT_KEY)
    if reason is None:
        with connection.cursor() as cursor:
            reason = search.enable_trigrams(cursor)
        cache.set(WHY_NOT_KEY, reason, WHY_NOT_SECONDS)
    return reason


def _beyond(last: search.Marks) -> bool:
    """Whether there is anything that the index does not cover."""
    index = SearchIndex.objects.first()
    if index is None:
        return True
    return any(getattr(last, one.name) > getattr(index, one.name) for one in fields(last))


def _has_waited(index: SearchIndex | None) -> bool:
    """Whether the index gave way for so long that this run is its own."""
    return bool(index and (index.moved_at or index.begun_at) < timezone.now() - MAX_WAIT)


def _large_work() -> bool:
    return any(under_way() for under_way in UNDER_WAY)


def _settled(deadline: float) -> search.Marks | None:
    """The highest numbers, once whoever may have taken one up to them has committed or given up."""
    with connection.cursor() as cursor:
        last = search.last_numbers(cursor)
        writing = search.writers(cursor)
        while writing:
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL_SECONDS)
            writing &= search.writers(cursor)
    return last


@transaction.atomic
def _begin(goal: search.Marks) -> bool:
    """Empty the index, unless another worker has done so meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [AdvisoryLock.SEARCH_INDEX])
        if not cursor.fetchone()[0]:
            return False
        if SearchIndex.objects.exists() and not search.mostly_gone(cursor):
            return True
        search.begin(cursor, goal)
    transaction.on_commit(lambda: logger.info("search_index_begun", products=goal.product))
    return True


def _follow(goal: search.Marks, deadline: float, gives_way: bool) -> bool:
    """Do slices until the goal is reached, the time is up or large work begins; was it reached?

    An import has use for each worker, so it is looked for after every slice.
    """
    for one in fields(search.Marks):
        while True:
            with transaction.atomic(), connection.cursor() as cursor:
                marks = search.lock_marks(cursor)
                if marks is None:
                    return False  # another worker is at it, or it is gone
                end = getattr(goal, one.name)
                if getattr(marks, one.name) >= end:
                    break
                search.follow(cursor, one.name, marks, goal)
            if time.monotonic() > deadline or (gives_way and _large_work()):
                return False
    with transaction.atomic(), connection.cursor() as cursor:
        if search.lock_marks(cursor) is None:
            return False
        search.tidy(cursor)
        SearchIndex.objects.update(caught_up_at=timezone.now())
    transaction.on_commit(lambda: logger.info("search_index_caught_up", up_to=astuple(goal)))
    return True


def describe_search_index() -> str:
    """How the search index stands, in a sentence for whoever runs the product."""
    if not settings.SEARCH_INDEX:
        return "The search index is off (SEARCH_INDEX): a search looks at the whole table."
    index = SearchIndex.objects.first()
    if index is None:
        reason = cache.get(WHY_NOT_KEY) or (
            f"It is built by itself from {FROM_PRODUCTS:,} products on, or is about to be."
        )
        return f"There is no search index: a search looks at the whole table. {reason}"
    with connection.cursor() as cursor:
        last = search.last_numbers(cursor)
    behind = sum(max(0, getattr(last, one.name) - getattr(index, one.name)) for one in fields(last))
    if index.caught_up_at is None:
        done = min(100, 100 * index.product // max(last.product, 1))
        return f"The search index is being built: {done} %. Until then a search looks at all."
    if behind:
        return f"The search index follows what was changed: about {behind:,} to go."
    return "The search index is up to date."
