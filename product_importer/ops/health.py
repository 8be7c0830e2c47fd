"""``/healthz`` (the process answers) and ``/readyz`` (so do its parts)."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from catalog.models import ChangeSet
from catalog.operations.change_sets import whose_turn
from imports.models import ImportJob
from product_importer import __version__
from product_importer.celery import BEAT_KEY, WORKER_KEY_PREFIX
from product_importer.common.downloads import open_downloads
from product_importer.ops.probes import BROKER, DATABASE, SECONDS, own_connection
from product_importer.web.database import exhausted, pool_state
from webhooks.queries import oldest_due_seconds

T = TypeVar("T")

SILENT = "does not answer"


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers, and tells which version it runs; nothing else is looked at."""
    return HttpResponse("ok", content_type="text/plain", headers={"X-Version": __version__})


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Each part by name: ``ok`` or what is wrong. 503 while one of them is missing.

    But not for beat: without it lost messages and later attempts of webhooks wait, while all
    that the site is asked for goes on. ``connections`` are exhausted while requests of the process
    that answers wait in vain for one. Answers within ``probing.SECONDS``.
    """
    due, signs = ask(due_work, signs_of_life)
    parts = {
        "connections": "exhausted" if exhausted() else "ok",
        "database": "ok" if due else SILENT,
        "broker": "ok" if signs else SILENT,
        "worker": _reports(signs and signs.workers, "no worker reports"),
    }
    ready = all(value == "ok" for value in parts.values())
    answer: dict[str, Any] = {
        "ready": ready,
        **parts,
        "beat": _reports(signs and signs.beat, "beat does not report"),
        "oldest_due_seconds": due and due["work"],
        "oldest_due_delivery_seconds": due and due["delivery"],
        # Of the process that answers.
        "pool": pool_state(),
        "open_downloads": open_downloads(),
    }
    return JsonResponse(answer, status=200 if ready else 503)


def _reports(sign: Any, missing: str) -> str:
    if sign is None:
        return "unknown"
    return "ok" if sign else missing


def ask(
    of_database: Callable[[], T], of_broker: Callable[[], "Signs"]
) -> tuple[T | None, "Signs | None"]:
    """Ask database and broker at once; ``None`` for the one that gives no answer in time."""

    def connected() -> T:
        with own_connection():
            return of_database()

    until = time.monotonic() + SECONDS
    # The broker first: whoever asks it is answered within its timeouts, or told so.
    broker = BROKER.ask(of_broker)
    database = DATABASE.ask(connected)
    return _answer(database, until), _answer(broker, until)


def _answer(waited_for: "Future[T]", until: float) -> T | None:
    try:
        return waited_for.result(timeout=max(0.0, until - time.monotonic()))
    except (TimeoutError, Error, redis.RedisError):
        return None


# --- What is asked ----------------------------------------------------------------------


@dataclass(frozen=True)
class Signs:
    """What the broker knows: workers that report, whether beat does, messages by queue."""

    workers: int
    beat: bool
    messages: dict[str, int]


def signs_of_life() -> Signs:
    """Raises ``redis.RedisError``."""
    queues = [queue.name for queue in settings.CELERY_TASK_QUEUES]
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1, **settings.REDIS_TLS
    ) as client:
        workers = sum(1 for _ in client.scan_iter(WORKER_KEY_PREFIX + "*", count=1000))
        pipeline = client.pipeline(transaction=False)
        pipeline.exists(BEAT_KEY)
        for queue in queues:
            pipeline.llen(queue)
        beat, *lengths = pipeline.execute()
    return Signs(workers, bool(beat), dict(zip(queues, lengths, strict=True)))


def due_work() -> dict[str, float]:
    """Seconds since the oldest due ``work`` got on, and since the oldest ``delivery`` was due."""
    return {"work": _oldest_due(), "delivery": oldest_due_seconds()}


def _oldest_due() -> float:
    """Seconds since the oldest due work last got on; 0 where nothing is due.

    What waits for its turn behind another change set is not due; the one that it waits for is.
    """
    turn = whose_turn()
    behind = Q(resolved_at__isnull=False, change_set__status=ChangeSet.Status.WAITING)
    jobs = ImportJob.unfinished().exclude(behind & ~Q(change_set=turn))
    due = list(jobs.order_by("progress_at").values_list("progress_at", flat=True)[:1])
    if turn is not None and not jobs.filter(change_set=turn).exists():
        due.append(turn.progress_at)  # a bulk act; or an import without a job that gets on
    return round((timezone.now() - min(due)).total_seconds(), 1) if due else 0.0
