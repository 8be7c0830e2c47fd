"""The pump: takes due deliveries, sends them, writes down what came of it.

One task is one run, bounded in time; so many at a time as WEBHOOK_PUMPS says, over all workers.
The main thread talks to the database, other threads to the receivers, and neither waits for
the other: no transaction is open while a request is.

An endpoint belongs to the pump that holds its deliveries, so the limit of requests in flight is
kept in memory. How many of them an endpoint gets (its window) grows with its successes and
shrinks with its failures, and all endpoints that fail share half of the threads: those that
hang cannot hold up those that answer.
"""

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from requests.structures import CaseInsensitiveDict
from structlog import get_logger
from structlog.contextvars import bound_contextvars

from webhooks import endpoints, guard, schedule, signing, sql, tally
from webhooks.kick import kick_after_commit
from webhooks.models import Delivery, Endpoint, message_id
from webhooks.operations import PUMP
from webhooks.sender import ERRORS, Response, Sender

logger = get_logger(__name__)

IN_FLIGHT = 8  # requests to one endpoint at a time
FIRST_WINDOW = 2  # of an endpoint that the pump meets; success doubles it, failure halves it
STOCK = 16  # deliveries leased for each request in flight, so that none waits for the database
RUN_SECONDS = 10.0  # then another run has its turn
TURN_SECONDS = 0.05  # between two looks for what is due
RECORD_AT_ONCE = 64
LEASE = timedelta(seconds=40)
BEGIN_SECONDS = 20.0  # of a lease: what has not begun by then is given back
HANDOVER_SECONDS = 0.5  # for another worker to take over while requests are still under way
DISABLE_AFTER = timedelta(days=5)  # of nothing but failures


def pump_deliveries(*, seconds: float = RUN_SECONDS) -> int:
    """Send what is due until nothing is, or the time is up; returns how many attempts.

    Returns at once when other pumps are at it: they find what is due as well.
    """
    with connection.cursor() as cursor:
        slot = sql.take_slot(cursor, slots=settings.WEBHOOK_PUMPS)
        if slot is None:
            return 0
        try:
            sql.set_up_session(cursor)
            run = _Run(slot, seconds)
            run.run()
            sql.reset_session(cursor)
        except BaseException:
            connection.close()  # gives up slot, lock and settings, whatever state they are in
            raise
    return run.attempts


@dataclass
class _Lane:
    """An endpoint that this pump is busy with. Its runners are the requests in flight."""

    endpoint_id: int
    url: str = ""
    secrets: list[str] = field(default_factory=list)
    failing_since: datetime | None = None
    failing: bool = False
    window: int = FIRST_WINDOW
    stock: int = 2
    runners: int = 0
    waiting: deque[sql.Claimed] = field(default_factory=deque)
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
        taken: list[sql.Claimed] = []
        while self.waiting:
            try:
                taken.append(self.waiting.popleft())
            except IndexError:
                break  # a runner was quicker
        kept = [one for one in taken if but_tests and one.is_test]
        self.waiting.extend(kept)
        return [one.id for one in taken if one not in kept]


@dataclass(frozen=True)
class _Sent:
    claimed: sql.Claimed
    at: datetime
    response: Response


class _Run:
    """One run of the pump, in one process."""

    def __init__(self, slot: int, seconds: float) -> None:
        self.slot: int | None = slot
        self.seconds = seconds
        self.stop_at = time.monotonic() + seconds
        self.handed_over_at = 0.0
        self.pump = 0  # our number: in leased_by
        self.attempts = 0
        self.lanes: dict[int, _Lane] = {}
        self.runners = 0
        # From the threads: what was sent, a lane whose runner ended, or a defect of ours.
        self.reports: queue.SimpleQueue[_Sent | _Lane | Exception] = queue.SimpleQueue()

    def run(self) -> None:
        with connection.cursor() as cursor:
            while not self.pump:
                number = random.randrange(1, 2**31)  # noqa: S311 (a name, no secret)
                self.pump = number if sql.begin_pump(cursor, pump=number) else 0
            now = timezone.now()
            sql.free_lost(cursor, now=now)
            parked = sql.park(cursor, detail=ERRORS["worker_lost"], now=now)
            tally.add({"deliveries|failed": parked})
        if parked:
            logger.error("deliveries_parked", number=parked)
        while True:
            self._keep_turn()
            found = self.slot is not None and self._claim()
            self._start_runners()
            if not self.runners and not found:
                self._leave()
                if self.slot is None:
                    break
            self._record(self._collect())
        with connection.cursor() as cursor:
            sql.end_pump(cursor, pump=self.pump)

    # --- Turns ------------------------------------------------------------------------

    def _keep_turn(self) -> None:
        """When the time is up, let another run take over while our last requests end.

        If no worker is free to do so, go on ourselves rather than wait for a slow receiver.
        """
        now = time.monotonic()
        with connection.cursor() as cursor:
            if self.slot is not None and now > self.stop_at:
                for lane in self.lanes.values():
                    self._give_back(lane.drain())
                sql.free_slot(cursor, slot=self.slot)
                self.slot = None
                self.handed_over_at = now
                kick_after_commit(PUMP)
            elif self.slot is None and now > self.handed_over_at + HANDOVER_SECONDS:
                self.handed_over_at = now
                self.slot = sql.take_slot(cursor, slots=settings.WEBHOOK_PUMPS)
                self.stop_at = now + self.seconds

    def _leave(self) -> None:
        """Give up the slot because nothing is due; take it again if something is after all.

        Whoever was woken while we held the slot has left: so look once more.
        """
        if self.slot is None:
            return
        with connection.cursor() as cursor:
            sql.free_slot(cursor, slot=self.slot)
            self.slot = None
            if sql.can_claim(cursor, pump=self.pump, now=timezone.now()):
                self.slot = sql.take_slot(cursor, slots=settings.WEBHOOK_PUMPS)

    # --- Claiming ---------------------------------------------------------------------

    def _claim(self) -> bool:
        """Lease what is due, as far as there is room; returns whether there was anything."""
        self._refresh()
        for lane in self.lanes.values():
            if not lane.waiting:
                lane.stock = min(STOCK, lane.stock * 2)
        now = timezone.now()
        with transaction.atomic(), connection.cursor() as cursor:
            claimed = sql.claim(
                cursor,
                pump=self.pump,
                rooms={lane.endpoint_id: lane.room for lane in self.lanes.values()},
                first_room=FIRST_WINDOW * 2,
                also_failing=self._failing_runners() < settings.WEBHOOK_THREADS // 2,
                most_endpoints=settings.WEBHOOK_THREADS,
                now=now,
                until=now + LEASE,
            )
        begin_by = time.monotonic() + BEGIN_SECONDS
        new = {one.endpoint_id for one in claimed} - self.lanes.keys()
        self.lanes |= {endpoint_id: _Lane(endpoint_id) for endpoint_id in new}
        self._read_endpoints(new)
        for endpoint_id in new:
            if self.lanes[endpoint_id].failing_since is not None:
                self.lanes[endpoint_id].note(ok=False)
        for one in claimed:
            lane = self.lanes[one.endpoint_id]
            if not lane.waiting:
                lane.begin_by = begin_by
            (lane.waiting.appendleft if one.is_test else lane.waiting.append)(one)
        self.lanes = {pk: lane for pk, lane in self.lanes.items() if lane.waiting or lane.runners}
        return bool(claimed)

    def _refresh(self) -> None:
        """Read the endpoints anew, and give back what has waited too long."""
        self._read_endpoints(self.lanes.keys())
        for lane in self.lanes.values():
            if lane.waiting and time.monotonic() > lane.begin_by:
                lane.stock = max(1, lane.stock // 4)
                self._give_back(lane.drain())

    def _read_endpoints(self, endpoint_ids: Collection[int]) -> None:
        """Where to send and how to sign, as it is now: an edit counts from the next attempt on."""
        wanted = list(endpoint_ids)
        if not wanted:
            return
        secrets = endpoints.live_secrets(wanted, timezone.now())
        rows = Endpoint.everything.in_bulk(wanted)
        for endpoint_id in wanted:
            lane, row = self.lanes[endpoint_id], rows.get(endpoint_id)
            if row is None or row.deleted_at is not None:
                lane.drain()  # nobody is to hear of it, nor of what became of it
                continue
            lane.url, lane.secrets = row.url, secrets[endpoint_id]
            lane.failing_since = row.failing_since
            if not row.enabled:
                self._give_back(lane.drain(but_tests=True))

    def _give_back(self, delivery_ids: list[int]) -> None:
        if delivery_ids:
            with connection.cursor() as cursor:
                sql.give_back(cursor, pump=self.pump, delivery_ids=delivery_ids, now=timezone.now())

    # --- Sending ----------------------------------------------------------------------

    def _failing_runners(self) -> int:
        return sum(lane.runners for lane in self.lanes.values() if lane.failing)

    def _start_runners(self) -> None:
        """A runner for each request that may be in flight, endpoint by endpoint in turn."""
        failing = self._failing_runners()
        wanted = {
            lane.endpoint_id: min(lane.window - lane.runners, len(lane.waiting))
            for lane in self.lanes.values()
        }
        while wanted:
            for endpoint_id in list(wanted):
                lane = self.lanes[endpoint_id]
                wanted[endpoint_id] -= 1
                full = lane.failing and failing >= settings.WEBHOOK_THREADS // 2
                if wanted[endpoint_id] < 0 or full:
                    del wanted[endpoint_id]
                    continue
                if self.runners >= settings.WEBHOOK_THREADS:
                    return
                failing += lane.failing
                lane.runners += 1
                self.runners += 1
                _threads().run(_runner(lane, self.reports))

    def _collect(self) -> list[_Sent]:
        """What the threads report, until there is enough of it, or it is time to look again."""
        sent: list[_Sent] = []
        until = time.monotonic() + TURN_SECONDS
        while self.runners and len(sent) < RECORD_AT_ONCE:
            try:
                report = self.reports.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(report, Exception):
                raise report
            if isinstance(report, _Lane):
                report.runners -= 1
                self.runners -= 1
            else:
                sent.append(report)
                self.lanes[report.claimed.endpoint_id].note(ok=report.response.ok)
        return sent

    # --- Recording --------------------------------------------------------------------

    def _record(self, sent: list[_Sent]) -> None:
        """Write down attempts in one transaction, and what they tell of their endpoints."""
        if not sent:
            return
        self.attempts += len(sent)
        now = timezone.now()
        real = [one for one in sent if not one.claimed.is_test]
        good = {one.claimed.endpoint_id for one in real if one.response.ok}
        bad = {one.claimed.endpoint_id for one in real} - good
        gone = {one.claimed.endpoint_id for one in real if one.response.status == 410}
        mended = [pk for pk in good if self.lanes[pk].failing_since is not None]
        outcomes = [_outcome(one, now) for one in sent]
        with transaction.atomic(), connection.cursor() as cursor:
            sql.record(cursor, pump=self.pump, outcomes=outcomes, now=now)
            if mended:
                Endpoint.everything.filter(pk__in=mended).update(failing_since=None)
            if bad:
                _note_failures(bad, now)
            if gone:
                reason = "It answered 410 Gone, which asks for no more deliveries."
                _disable(Endpoint.objects.filter(pk__in=gone), reason, now)
            tally.add(_tallies(sent, outcomes))
        for one, outcome in zip(sent, outcomes, strict=True):
            logger.info("delivery_attempted", **_ids(one.claimed), **_figures(outcome))


def _ids(claimed: sql.Claimed) -> dict[str, Any]:
    """What the log lines about a delivery carry. Not the URL: it may hold a secret."""
    return {
        "request_id": claimed.request_id,
        "delivery_id": claimed.id,
        "endpoint_id": claimed.endpoint_id,
        "event_id": claimed.event_id,
    }


def _figures(outcome: sql.Outcome) -> dict[str, Any]:
    return {
        "state": outcome.state,
        "response_status": outcome.response_status,
        "reason": outcome.error,
        "latency_ms": round(outcome.latency_ms),
    }


def _tallies(sent: list[_Sent], outcomes: list[sql.Outcome]) -> dict[str, float]:
    """Attempts and their seconds, and how many deliveries they ended."""
    added: dict[str, float] = {}
    for name, ok in (("succeeded", True), ("failed", False)):
        seconds = [one.response.total_ms / 1000 for one in sent if one.response.ok == ok]
        if seconds:
            added |= tally.ATTEMPT_SECONDS[name].counts(seconds)
        added[f"deliveries|{name}"] = sum(outcome.state == name for outcome in outcomes)
    return added


def _note_failures(endpoint_ids: set[int], now: datetime) -> None:
    failed = Endpoint.objects.filter(pk__in=endpoint_ids)
    failed.filter(failing_since=None).update(failing_since=now)
    _disable(
        failed.filter(failing_since__lte=now - DISABLE_AFTER),
        f"Every attempt failed for {DISABLE_AFTER.days} days.",
        now,
    )


def _disable(which: QuerySet[Endpoint], reason: str, now: datetime) -> None:
    values = {"enabled": False, "disabled_reason": reason, "disabled_at": now}
    if which.filter(enabled=True).update(**values):
        ids = list(which.filter(disabled_at=now).values_list("pk", flat=True))
        logger.warning("endpoints_disabled", endpoint_ids=ids, reason=reason)


def _outcome(sent: _Sent, now: datetime) -> sql.Outcome:
    """What an attempt makes of its delivery: done, failed for good, or due again."""
    response, claimed = sent.response, sent.claimed
    state, again = Delivery.State.SUCCEEDED, None
    if not response.ok:
        delay = None
        if not claimed.is_test and response.status != 410:
            headers = CaseInsensitiveDict(response.headers)
            asked = schedule.parse_retry_after(headers.get("Retry-After", ""), now)
            delay = schedule.delay_after(claimed.tries + 1, retry_after=asked)
        state = Delivery.State.FAILED if delay is None else Delivery.State.PENDING
        again = None if delay is None else now + delay
    return sql.Outcome(
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
    )


# --- Threads --------------------------------------------------------------------------


def _runner(
    lane: _Lane, reports: "queue.SimpleQueue[_Sent | _Lane | Exception]"
) -> Callable[[], None]:
    """Sends what waits for an endpoint, one after the other, as long as its window allows."""

    def run() -> None:
        try:
            while lane.runners <= lane.window and time.monotonic() < lane.begin_by:
                try:
                    claimed = lane.waiting.popleft()
                except IndexError:
                    break
                with bound_contextvars(**_ids(claimed)):  # this thread has no other context
                    reports.put(_send(claimed, lane.url, lane.secrets))
            reports.put(lane)
        except Exception as error:
            reports.put(error)  # the sender lets nothing through: a defect, which the run raises

    return run


def _send(claimed: sql.Claimed, url: str, secrets: list[str]) -> _Sent:
    at = timezone.now()
    if not secrets:
        return _Sent(claimed, at, Response(error="no_secret", detail=ERRORS["no_secret"]))
    headers = signing.headers(
        secrets,
        message_id=message_id(claimed.uid),
        timestamp=int(at.timestamp()),
        body=claimed.body,
    )
    sender = _sender(tuple(settings.WEBHOOK_ALLOWED_CIDRS))
    return _Sent(claimed, at, sender.post(url, body=claimed.body, headers=headers))


@cache
def _sender(allowed: tuple[guard.Network, ...]) -> Sender:
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
def _threads() -> _Threads:
    return _Threads()
