"""Keeping house: what is cleared away after a while, and by whom.

Beat has each part done every ten minutes, in small transactions and a few seconds;
``manage.py keep_house`` does all of it now. How long things are kept is set in days
(docs/settings.md); nothing that has not ended is ever cleared.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet, Sum
from django.utils import timezone
from django_celery_results.models import TaskResult
from knox.models import get_token_model

from catalog.operations import retention as catalog
from imports.operations import retention as imports
from webhooks.operations import retention as webhooks

CLEAR_SECONDS = 5.0  # of each kind in one run
ROWS_AT_ONCE = 5_000  # in one transaction
EXPIRED_TOKENS_KEPT = timedelta(days=30)  # so that somebody can see why it is refused


@dataclass(frozen=True)
class RetainedKind:
    """One kind of thing: what it is, how long it is kept, how many are old, how they go.

    ``keep`` is None for what has a time of its own, such as sessions. ``clear`` takes seconds
    and returns how many it cleared.
    """

    what: str
    setting: str
    keep: timedelta | None
    count: Callable[[], int]
    clear: Callable[..., int]


def retained_kinds() -> list[RetainedKind]:
    """All kinds of things, with the settings of now."""
    return [
        RetainedKind(
            "uploaded files",
            "KEEP_UPLOADS_DAYS",
            settings.KEEP_UPLOADS,
            lambda: imports.old_uploads().count(),
            imports.clear_uploads,
        ),
        RetainedKind(
            "refused and superseded records",
            "KEEP_IMPORT_DETAILS_DAYS",
            settings.KEEP_IMPORT_DETAILS,
            _old_records,
            imports.clear_details,
        ),
        RetainedKind(
            "changes and deleted products kept for undo",
            "KEEP_CHANGES_DAYS",
            settings.KEEP_CHANGES,
            catalog.old_changes,
            catalog.clear_changes,
        ),
        RetainedKind(
            "events with their deliveries and attempts",
            "KEEP_EVENTS_DAYS",
            settings.KEEP_EVENTS,
            webhooks.old_events,
            webhooks.clear_log,
        ),
        RetainedKind(
            "results of tasks",
            "KEEP_TASK_RESULTS_DAYS",
            settings.KEEP_TASK_RESULTS,
            lambda: _old_results().count(),
            lambda *, seconds: _clear(_old_results(), seconds),
        ),
        RetainedKind(
            "log-ins and failed log-ins",
            "KEEP_LOGINS_DAYS",
            settings.KEEP_LOGINS,
            lambda: sum(old.count() for old in _old_logins()),
            lambda *, seconds: sum(_clear(old, seconds) for old in _old_logins()),
        ),
        RetainedKind(
            "sessions that have run out",
            "",
            None,
            lambda: _old_sessions().count(),
            lambda *, seconds: _clear(_old_sessions(), seconds),
        ),
        RetainedKind(
            "API tokens that ran out 30 days ago",
            "",
            None,
            lambda: _old_tokens().count(),
            lambda *, seconds: _clear(_old_tokens(), seconds),
        ),
        RetainedKind(
            "notices of 90 days ago",
            "",
            None,
            lambda: imports.old_notices().count(),
            imports.clear_notices,
        ),
    ]


def clear_logins_and_results(*, seconds: float = CLEAR_SECONDS) -> int:
    """What no app of ours keeps: results of tasks, log-ins, sessions, tokens; return how many."""
    kinds = (_old_results(), *_old_logins(), _old_sessions(), _old_tokens())
    return sum(_clear(old, seconds) for old in kinds)


def _old_records() -> int:
    counts = imports.old_details().aggregate(n=Sum("rejected"), m=Sum("superseded"))
    return (counts["n"] or 0) + (counts["m"] or 0)


def _old_results() -> QuerySet[Any]:
    if settings.KEEP_TASK_RESULTS is None:
        nothing: QuerySet[Any] = TaskResult.objects.none()
        return nothing
    results: QuerySet[Any] = TaskResult.objects.all()
    return results.filter(date_done__lt=timezone.now() - settings.KEEP_TASK_RESULTS)


def _old_logins() -> list[QuerySet[Any]]:
    """What django-axes has of log-ins; one that fails counts for minutes, not for days."""
    if settings.KEEP_LOGINS is None:
        return []
    until = timezone.now() - settings.KEEP_LOGINS
    return [
        model.objects.filter(attempt_time__lt=until)
        for model in (AccessAttempt, AccessFailureLog, AccessLog)
    ]


def _old_sessions() -> QuerySet[Any]:
    return Session.objects.filter(expire_date__lt=timezone.now())


def _old_tokens() -> QuerySet[Any]:
    tokens: QuerySet[Any] = get_token_model().objects.all()
    return tokens.filter(expiry__lt=timezone.now() - EXPIRED_TOKENS_KEPT)


def _clear(old: QuerySet[Any], seconds: float) -> int:
    """Delete these rows batch by batch, for about so many seconds; return how many."""
    deadline = time.monotonic() + seconds
    count = 0
    while True:
        keys = list(old.order_by().values_list("pk", flat=True)[:ROWS_AT_ONCE])
        old.model.objects.filter(pk__in=keys).delete()
        count += len(keys)  # without what hangs on them
        if len(keys) < ROWS_AT_ONCE or time.monotonic() > deadline:
            return count
