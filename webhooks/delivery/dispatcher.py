"""The dispatcher: takes due deliveries, sends them, writes down what came of it.

One task is one run, bounded in time; so many at a time as WEBHOOK_PUMPS says, over all workers.
The main thread talks to the database, other threads to the receivers (``sending``), and neither
waits for the other: no transaction is open while a request is.

An endpoint belongs to the dispatcher that holds its deliveries, so the limit of requests in flight
is kept in memory. How many of them an endpoint gets (its window) grows with its successes and
shrinks with its failures. All endpoints that fail share half of the threads, and so do all
requests beside an endpoint's first: those that hang cannot hold up those that answer.
"""

import queue
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from structlog import get_logger

from product_importer.common import counters
from product_importer.common.enqueue import send_after_commit
from webhooks.delivery.http_client import ERRORS
from webhooks.delivery.outcomes import counts_of, disable, log_figures, note_failures, outcome_of
from webhooks.delivery.pump_lock import PumpLock
from webhooks.delivery.sending import FIRST_WINDOW, Lane, Sent, log_ids, runner, threads
from webhooks.models import Endpoint
from webhooks.secrets import live_secrets
from webhooks.sql import queue as sql
from webhooks.task_names import DISPATCH

logger = get_logger(__name__)

STOCK = 16  # deliveries leased for each request in flight, so that none waits for the database
RUN_SECONDS = 10.0  # then another run has its turn
TURN_SECONDS = 0.05  # between two looks for what is due
RECORD_AT_ONCE = 64
LEASE = timedelta(seconds=40)
BEGIN_SECONDS = 20.0  # of a lease: what has not begun by then is given back
HANDOVER_SECONDS = 0.5  # for another worker to take over while requests are still under way


def dispatch_deliveries(*, seconds: float = RUN_SECONDS) -> int:
    """Send what is due until nothing is, or the time is up; returns how many attempts.

    Returns at once when other dispatchers are at it: they find what is due as well.
    """
    with connection.cursor() as cursor:
        if sql.taken_slots(cursor) >= settings.WEBHOOK_PUMPS:
            return 0  # without opening the connection that a hold needs
    with PumpLock() as lock:
        if not lock.take_slot(slots=settings.WEBHOOK_PUMPS):
            return 0
        run = _Run(lock, seconds)
        run.run()
    return run.attempts


class _Run:
    """One run of the dispatcher, in one process."""

    def __init__(self, lock: PumpLock, seconds: float) -> None:
        self.lock = lock
        self.dispatcher = lock.number
        self.seconds = seconds
        self.stop_at = time.monotonic() + seconds
        self.handed_over_at = 0.0
        self.attempts = 0
        self.lanes: dict[int, Lane] = {}
        self.runners = 0
        # From the threads: what was sent, and a lane whose runner ended.
        self.reports: queue.SimpleQueue[Sent | Lane] = queue.SimpleQueue()

    def run(self) -> None:
        with self._transaction() as cursor:
            now = timezone.now()
            sql.free_lost(cursor, now=now)
            lost = sql.give_up_lost(cursor, detail=ERRORS["worker_lost"], now=now)
            counters.add({"deliveries|failed": lost})
        if lost:
            logger.error("deliveries_parked", number=lost)
        while True:
            self._keep_turn()
            found = self.lock.has_slot and self._claim()
            self._start_runners()
            if not self.runners and not found:
                self._leave()
                if not self.lock.has_slot:
                    break
            sent = self._collect()
            if sent:
                self._record(sent)

    @contextmanager
    def _transaction(self) -> Iterator[CursorWrapper]:
        with transaction.atomic(), connection.cursor() as cursor:
            sql.set_up_transaction(cursor)
            yield cursor

    # --- Turns ------------------------------------------------------------------------

    def _keep_turn(self) -> None:
        """When the time is up, let another run take over while our last requests end.

        If no worker is free to do so, go on ourselves rather than wait for a slow receiver.
        """
        now = time.monotonic()
        if self.lock.has_slot and now > self.stop_at:
            for lane in self.lanes.values():
                self._give_back(lane.drain())
            self.lock.free_slot()
            self.handed_over_at = now
            send_after_commit(DISPATCH)
        elif not self.lock.has_slot and now > self.handed_over_at + HANDOVER_SECONDS:
            self.handed_over_at = now
            self.lock.take_slot(slots=settings.WEBHOOK_PUMPS)
            self.stop_at = now + self.seconds

    def _leave(self) -> None:
        """Give up the slot because nothing is due; take it again if something is after all.

        Whoever was woken while we held the slot has left: so look once more.
        """
        if not self.lock.has_slot:
            return
        self.lock.free_slot()
        with self._transaction() as cursor:
            found = sql.can_claim(cursor, dispatcher=self.dispatcher, now=timezone.now())
        if found:
            self.lock.take_slot(slots=settings.WEBHOOK_PUMPS)

    # --- Claiming ---------------------------------------------------------------------

    def _claim(self) -> bool:
        """Lease what is due, as far as there is room; returns whether there was anything."""
        self._refresh()
        for lane in self.lanes.values():
            if not lane.waiting:
                lane.stock = min(STOCK, lane.stock * 2)
        now = timezone.now()
        with self._transaction() as cursor:
            claimed = sql.claim(
                cursor,
                dispatcher=self.dispatcher,
                rooms={lane.endpoint_id: lane.room for lane in self.lanes.values()},
                first_room=FIRST_WINDOW * 2,
                also_failing=self._failing_runners() < _half_of_the_threads(),
                most_endpoints=settings.WEBHOOK_THREADS,
                now=now,
                until=now + LEASE,
            )
        begin_by = time.monotonic() + BEGIN_SECONDS
        new = {one.endpoint_id for one in claimed} - self.lanes.keys()
        self.lanes |= {endpoint_id: Lane(endpoint_id) for endpoint_id in new}
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
        secrets = live_secrets(wanted, timezone.now())
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
            with self._transaction() as cursor:
                sql.give_back(
                    cursor,
                    dispatcher=self.dispatcher,
                    delivery_ids=delivery_ids,
                    now=timezone.now(),
                )

    # --- Sending ----------------------------------------------------------------------

    def _failing_runners(self) -> int:
        return sum(lane.runners for lane in self.lanes.values() if lane.failing)

    def _start_runners(self) -> None:
        """A runner for each request that may be in flight, endpoint by endpoint in turn."""
        failing, half = self._failing_runners(), _half_of_the_threads()
        busy = sum(lane.runners > 0 for lane in self.lanes.values())
        wanted = {
            lane.endpoint_id: min(lane.window - lane.runners, len(lane.waiting))
            for lane in self.lanes.values()
        }
        while wanted:
            for endpoint_id in list(wanted):
                lane = self.lanes[endpoint_id]
                wanted[endpoint_id] -= 1
                full = lane.failing and failing >= half
                # Nobody knows yet which of the requests under way will hang. So each endpoint has
                # one at once, as long as fewer than half as many as there are threads have any.
                full |= lane.runners > 0 and self.runners - busy >= half
                if wanted[endpoint_id] < 0 or full:
                    del wanted[endpoint_id]
                    continue
                if self.runners >= settings.WEBHOOK_THREADS:
                    return
                failing += lane.failing
                busy += lane.runners == 0
                lane.runners += 1
                self.runners += 1
                threads().run(runner(lane, self.reports))

    def _collect(self) -> list[Sent]:
        """What the threads report, until there is enough of it, or it is time to look again."""
        sent: list[Sent] = []
        until = time.monotonic() + TURN_SECONDS
        while self.runners and len(sent) < RECORD_AT_ONCE:
            try:
                report = self.reports.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(report, Lane):
                report.runners -= 1
                self.runners -= 1
            else:
                sent.append(report)
                self.lanes[report.claimed.endpoint_id].note(ok=report.response.ok)
        return sent

    # --- Recording --------------------------------------------------------------------

    def _record(self, sent: list[Sent]) -> None:
        """Write down attempts; one that cannot be written takes none of the others with it."""
        try:
            self._write(sent)
        except (OperationalError, InterfaceError):
            raise  # the database is not there; it has nothing against what it was told
        except Exception:  # whatever is wrong with one of them: by halves, it is found
            if len(sent) == 1:
                self._record_reduced(sent[0])
            else:
                self._record(sent[: len(sent) // 2])
                self._record(sent[len(sent) // 2 :])

    def _record_reduced(self, sent: Sent) -> None:
        """Within the handling of the error that kept it from being written."""
        logger.exception("attempt_not_recorded", **log_ids(sent.claimed))
        try:
            self._write([sent.reduced()])
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # its lease will end, and MOST_CLAIMS of them end the delivery
            logger.exception("attempt_lost", **log_ids(sent.claimed))

    def _write(self, sent: list[Sent]) -> None:
        """Write down attempts in one transaction, and what they tell of their endpoints."""
        now = timezone.now()
        real = [one for one in sent if not one.claimed.is_test]
        good = {one.claimed.endpoint_id for one in real if one.response.ok}
        bad = {one.claimed.endpoint_id for one in real} - good
        gone = {one.claimed.endpoint_id for one in real if one.response.status == 410}
        mended = [pk for pk in good if self.lanes[pk].failing_since is not None]
        outcomes = [outcome_of(one, now) for one in sent]
        with self._transaction() as cursor:
            sql.record(cursor, dispatcher=self.dispatcher, outcomes=outcomes, now=now)
            if mended:
                Endpoint.everything.filter(pk__in=mended).update(failing_since=None)
            if bad:
                note_failures(bad, now)
            if gone:
                reason = "It answered 410 Gone, which asks for no more deliveries."
                disable(Endpoint.objects.filter(pk__in=gone), reason, now)
            counters.add(counts_of(sent, outcomes))
        self.attempts += len(sent)
        for one, outcome in zip(sent, outcomes, strict=True):
            logger.info("delivery_attempted", **log_ids(one.claimed), **log_figures(outcome))


def _half_of_the_threads() -> int:
    return max(1, settings.WEBHOOK_THREADS // 2)
