"""The sending of deliveries: endpoint by endpoint, in threads that talk to receivers alone.

A thread reports what it sent, and that it has ended; the database is the dispatcher's.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.utils import timezone
from structlog import get_logger
from structlog.contextvars import bound_contextvars

from product_importer.common import address_guard
from webhooks import signing
from webhooks.delivery.http_client import ERRORS, Response, Sender
from webhooks.models import message_id
from webhooks.sql.queue import Claimed

logger = get_logger(__name__)

IN_FLIGHT = 8  # requests to one endpoint at a time
FIRST_WINDOW = 2  # of an endpoint that the dispatcher meets; success doubles it, failure halves it


@dataclass
class Lane:
    """An endpoint that this dispatcher is busy with. Its runners are the requests in flight."""

    endpoint_id: int
    url: str = ""
    secrets: list[str] = field(default_factory=list)
    failing_since: datetime | None = None
    failing: bool = False
    window: int = FIRST_WINDOW
    stock: int = 2
    runners: int = 0
    waiting: deque[Claimed] = field(default_factory=deque)
    begin_by: float = 0.0  # by the monotonic clock

    @property
    def room(self) -> int:
        """How many more deliveries to lease."""
        return max(0, self.window * self.stock - len(self.waiting))

    def note(self, *, ok: bool) -> None:
        self.failing = not ok
        self.window = min(IN_FLIGHT, self.window * 2) if ok else max(1, self.window // 2)

    def drain(self, *, but_tests: bool = False) -> list[int]:
        """Take back what no runner has begun; returns the deliveries."""
        taken: list[Claimed] = []
        while self.waiting:
            try:
                taken.append(self.waiting.popleft())
            except IndexError:
                break  # a runner was quicker
        kept = [one for one in taken if but_tests and one.is_test]
        self.waiting.extend(kept)
        return [one.id for one in taken if one not in kept]


@dataclass(frozen=True)
class Sent:
    claimed: Claimed
    at: datetime
    response: Response

    def reduced(self) -> "Sent":
        """The same, with nothing of what the receiver said but that it took the event."""
        status = self.response.status if self.response.ok else None
        reduced = replace(internal_error(), status=status, total_ms=self.response.total_ms)
        return replace(self, response=reduced)


def internal_error() -> Response:
    return Response(error="internal_error", detail=ERRORS["internal_error"])


def log_ids(claimed: Claimed) -> dict[str, Any]:
    """What the log lines about a delivery carry. Not the URL: it may hold a secret."""
    return {
        "request_id": claimed.request_id,
        "delivery_id": claimed.id,
        "endpoint_id": claimed.endpoint_id,
        "event_id": claimed.event_id,
    }


def runner(lane: Lane, reports: "queue.SimpleQueue[Sent | Lane]") -> Callable[[], None]:
    """Sends what waits for an endpoint, one after the other, as long as its window allows."""

    def run() -> None:
        try:
            while lane.runners <= lane.window and time.monotonic() < lane.begin_by:
                try:
                    claimed = lane.waiting.popleft()
                except IndexError:
                    break
                with bound_contextvars(**log_ids(claimed)):  # this thread has no other context
                    reports.put(_attempt(claimed, lane))
        finally:
            reports.put(lane)

    return run


def _attempt(claimed: Claimed, lane: Lane) -> Sent:
    at = timezone.now()
    try:
        return _send(claimed, lane.url, lane.secrets)
    except Exception:  # the sender lets nothing through: a defect, but of this attempt alone
        logger.exception("attempt_broke")
        return Sent(claimed, at, internal_error())


def _send(claimed: Claimed, url: str, secrets: list[str]) -> Sent:
    at = timezone.now()
    if not secrets:
        return Sent(claimed, at, Response(error="no_secret", detail=ERRORS["no_secret"]))
    headers = signing.headers(
        secrets,
        message_id=message_id(claimed.uid),
        timestamp=int(at.timestamp()),
        body=claimed.body,
    )
    sender = _sender(tuple(settings.WEBHOOK_ALLOWED_CIDRS))
    return Sent(claimed, at, sender.post(url, body=claimed.body, headers=headers))


@cache
def _sender(allowed: tuple[address_guard.Network, ...]) -> Sender:
    """One for the process, so that connections are kept from run to run."""
    return Sender(allowed=allowed)


class _Threads:
    """Daemon threads that are kept; whoever runs something bounds their number."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def run(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._loop, name="webhook-sender", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self._work.get()()
            self._idle.release()


@cache
def threads() -> _Threads:
    return _Threads()
