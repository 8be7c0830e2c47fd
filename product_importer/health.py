"""``/healthz`` (the process answers) and ``/readyz`` (so do its parts)."""

from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from catalog.models import ChangeSet
from catalog.operations import whose_turn
from imports.models import ImportJob
from product_importer.celery import WORKER_KEY_PREFIX
from webhooks.queries import oldest_due_seconds


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is looked at."""
    return HttpResponse("ok", content_type="text/plain")


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Each part by name: ``ok`` or what is wrong. 503 while one of them is missing."""
    parts: dict[str, Any] = {"database": _database(), "broker": "", "worker": ""}
    parts["broker"], parts["worker"] = _broker_and_worker()
    ready = all(value == "ok" for value in parts.values())
    answers = parts["database"] == "ok"
    parts["oldest_due_seconds"] = _oldest_due() if answers else None
    parts["oldest_due_delivery_seconds"] = oldest_due_seconds() if answers else None
    return JsonResponse({"ready": ready, **parts}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return "does not answer"
    return "ok"


def _broker_and_worker() -> tuple[str, str]:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1, **settings.REDIS_TLS
        ) as client:
            alive = next(client.scan_iter(WORKER_KEY_PREFIX + "*", count=1000), None)
    except redis.RedisError:
        return "does not answer", "unknown"
    return "ok", "ok" if alive else "no worker reports"


def _oldest_due() -> float:
    """Seconds since the oldest due work last got on; 0 where nothing is due.

    What waits for its turn behind another change set is not due; the one that it waits for is.
    """
    turn = whose_turn()
    behind = Q(resolved_at__isnull=False, change_set__status=ChangeSet.Status.WAITING)
    jobs = ImportJob.unfinished().exclude(behind & ~Q(change_set=turn))
    due = list(jobs.order_by("progress_at").values_list("progress_at", flat=True)[:1])
    if turn is not None and turn.kind in ChangeSet.BULK:
        due.append(turn.progress_at)
    return round((timezone.now() - min(due)).total_seconds(), 1) if due else 0.0
