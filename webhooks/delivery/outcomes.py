"""What attempts make of their deliveries and of their endpoints, and what is told of them."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from structlog import get_logger

from product_importer.common import counters
from webhooks.delivery import retry_schedule
from webhooks.delivery.sending import Sent
from webhooks.models import Delivery, Endpoint
from webhooks.sql.queue import Outcome

logger = get_logger(__name__)

DISABLE_AFTER = timedelta(days=5)  # of nothing but failures


def log_figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "state": outcome.state,
        "response_status": outcome.response_status,
        "reason": outcome.error,
        "latency_ms": round(outcome.latency_ms),
    }


def counts_of(sent: list[Sent], outcomes: list[Outcome]) -> dict[str, float]:
    """Attempts and their seconds, and how many deliveries they ended."""
    added: dict[str, float] = {}
    for name, ok in (("succeeded", True), ("failed", False)):
        seconds = [one.response.total_ms / 1000 for one in sent if one.response.ok == ok]
        if seconds:
            added |= counters.ATTEMPT_SECONDS[name].counts(seconds)
        added[f"deliveries|{name}"] = sum(outcome.state == name for outcome in outcomes)
    return added


def note_failures(endpoint_ids: set[int], now: datetime) -> None:
    failed = Endpoint.objects.filter(pk__in=endpoint_ids)
    failed.filter(failing_since=None).update(failing_since=now)
    disable(
        failed.filter(failing_since__lte=now - DISABLE_AFTER),
        f"Every attempt failed for {DISABLE_AFTER.days} days.",
        now,
    )


def disable(which: QuerySet[Endpoint], reason: str, now: datetime) -> None:
    values = {"enabled": False, "disabled_reason": reason, "disabled_at": now}
    if which.filter(enabled=True).update(**values):
        ids = list(which.filter(disabled_at=now).values_list("pk", flat=True))
        logger.warning("endpoints_disabled", endpoint_ids=ids, reason=reason)


def outcome_of(sent: Sent, now: datetime) -> Outcome:
    """What an attempt makes of its delivery: done, failed for good, or due again."""
    response, claimed = sent.response, sent.claimed
    state, again = Delivery.State.SUCCEEDED, None
    if not response.ok:
        delay = None
        if not claimed.is_test and response.status != 410:
            asked = retry_schedule.parse_retry_after(response.retry_after, now)
            delay = retry_schedule.delay_after(claimed.tries + 1, retry_after=asked)
        state = Delivery.State.FAILED if delay is None else Delivery.State.PENDING
        again = None if delay is None else now + delay
    return Outcome(
        delivery_id=claimed.id,
        endpoint_id=claimed.endpoint_id,
        state=state,
        next_attempt_at=again,
        at=sent.at,
        address=response.address,
        response_status=response.status,
        error=response.error,
        detail=response.detail[:200],
        lookup_ms=response.lookup_ms,
        connect_ms=response.connect_ms,
        first_byte_ms=response.first_byte_ms,
        latency_ms=response.total_ms,
        response_headers=response.headers,
        response_body=response.body.decode("utf-8", "replace").replace("\0", ""),
        request_headers=response.sent_headers,
    )
