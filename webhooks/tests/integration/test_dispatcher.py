"""The dispatcher with a real receiver: what is due is sent, and what came of it is written down."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook

from conftest import WAIT_SECONDS, wait_for
from product_importer.common.locks import AdvisoryLock
from webhooks.delivery import dispatcher, retry_schedule, sending
from webhooks.delivery.http_client import Sender
from webhooks.models import MOST_CLAIMS, Attempt, Delivery, Endpoint, Event
from webhooks.operations import endpoints, retention
from webhooks.operations.events import record_event
from webhooks.sql import queue as sql
from webhooks.tests.conftest import LOOPBACK, Maker, elsewhere, run_dispatcher, tell
from webhooks.tests.receiver import Received, Receiver

pytestmark = pytest.mark.django_db
# For those in which two connections meet.
committed = pytest.mark.django_db(transaction=True)
WhileSending = Callable[[Callable[[], Any]], int]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **spans: float) -> None:
        self.now += timedelta(**spans)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


def fail_with(receiver: Receiver, status: int = 500, **headers: str) -> None:
    receiver.answer = (status, {k.replace("_", "-"): v for k, v in headers.items()}, b"no")


# --- The way of a delivery ------------------------------------------------------------


def test_an_event_reaches_its_endpoint_signed_and_the_attempt_is_recorded(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    event = tell(name="Größe 尺寸")
    began = time.monotonic()
    assert run_dispatcher() == 1
    took = (time.monotonic() - began) * 1000
    (got,) = receiver.received
    assert got.body == bytes(event.body)
    assert json.loads(got.body)["sequence"] == event.pk
    Webhook(endpoint.secret).verify(got.body, got.headers)  # type: ignore[attr-defined]
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.leased_by) == ("succeeded", 1, None)
    attempt = delivery.attempts.get()
    assert (attempt.response_status, attempt.response_body, attempt.error) == (200, "ok", "")
    assert attempt.address == "127.0.0.1"
    assert 0 < attempt.latency_ms < took


def test_only_those_hear_who_subscribe_and_are_enabled(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    wants = make_endpoint(events=["product.updated"])
    make_endpoint(events=["product.deleted"])
    make_endpoint(enabled=False)
    endpoints.delete_endpoint(endpoint_id=make_endpoint().pk)
    tell()
    assert run_dispatcher() == 1
    assert Delivery.objects.get().endpoint == wants


def test_a_change_that_is_rolled_back_sends_nothing(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    with transaction.atomic():
        record_event(type=Event.Type.PRODUCT_CREATED, data={})
        transaction.set_rollback(True)
    assert run_dispatcher() == 0
    assert receiver.received == []


@committed
def test_what_an_open_transaction_wrote_is_not_sent_yet(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    with transaction.atomic():
        record_event(type=Event.Type.PRODUCT_CREATED, data={})
        elsewhere(run_dispatcher).join()
        assert receiver.received == []
    run_dispatcher()
    assert len(receiver.received) == 1


def test_thousands_of_deliveries_verify_with_retries_and_a_rotation_among_them(
    receiver: Receiver, make_endpoint: Maker, clock: Clock
) -> None:
    first, second = make_endpoint(), make_endpoint(url=receiver.url + "/second")
    keys = [first.secret, second.secret]  # type: ignore[attr-defined]

    def fail_every_third() -> None:
        number = json.loads(receiver.received[-1].body)["data"]["n"]
        fail_with(receiver, 500 if number % 3 == 0 else 200)

    receiver.before_answer = fail_every_third
    tell(300, text="Größe, 尺寸, \u2028 and “quotes” 😀")
    run_dispatcher(seconds=60)
    keys.append(endpoints.rotate_secret(endpoint_id=first.pk))
    tell(300, text="after the rotation")
    while Delivery.objects.filter(state="pending").exists():
        run_dispatcher(seconds=60)
        clock.forward(seconds=7)
        receiver.before_answer = lambda: fail_with(receiver, 200)
    assert Delivery.objects.filter(state="succeeded").count() == 1200
    bodies = {event.message_id: bytes(event.body) for event in Event.objects.all()}
    old, other, new = [Webhook(key) for key in keys]
    rotated = 0
    for got in receiver.received:
        assert got.body == bodies[got.headers["webhook-id"]]
        if got.path.endswith("/second"):
            other.verify(got.body, got.headers)
        else:
            old.verify(got.body, got.headers)  # for a day after the rotation as well
        if len(got.headers["webhook-signature"].split(" ")) == 2:
            new.verify(got.body, got.headers)
            rotated += 1
    assert len(receiver.received) > 1500
    assert rotated > 300


# --- Policy ---------------------------------------------------------------------------


def test_a_failed_delivery_is_tried_again_by_the_schedule_and_then_given_up(
    receiver: Receiver, make_endpoint: Maker, clock: Clock
) -> None:
    make_endpoint()
    fail_with(receiver)
    tell()
    for delay in retry_schedule.DELAYS:
        assert run_dispatcher() == 1
        delivery = Delivery.objects.get()
        assert delivery.state == "pending"
        assert delivery.next_attempt_at is not None
        assert delay <= delivery.next_attempt_at - clock.now <= delay * 1.2
        clock.now = delivery.next_attempt_at - timedelta(milliseconds=1)
        assert run_dispatcher() == 0
        clock.forward(milliseconds=1)
    assert run_dispatcher() == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.attempts.count()) == ("failed", 10, 10)
    clock.forward(days=10)
    assert run_dispatcher() == 0
    assert len(set(receiver.ids())) == 1


@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
@pytest.mark.parametrize(
    ("asked", "least", "limit"),
    [
        ("3600", 3600, 3600),
        ("1", 5, 6),
        ("999999999999", 86_400, 86_400),
        ("soon", 5, 6),
        ("-5", 5, 6),
        ("date", 598, 601),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 5, 6),
    ],
)
def test_retry_after_makes_the_wait_longer_never_shorter(
    receiver: Receiver,
    make_endpoint: Maker,
    clock: Clock,
    asked: str,
    least: int,
    limit: int,
    name: str,
) -> None:
    make_endpoint()
    if asked == "date":
        asked = f"{clock.now + timedelta(minutes=10):%a, %d %b %Y %H:%M:%S} GMT"
    fail_with(receiver, 503, **{name: asked})
    tell()
    run_dispatcher()
    due = Delivery.objects.get().next_attempt_at
    assert due is not None
    assert least <= (due - clock.now).total_seconds() <= limit


@pytest.mark.parametrize("status", [301, 302, 304, 400, 404, 500, 503])
def test_only_2xx_succeeds(receiver: Receiver, make_endpoint: Maker, status: int) -> None:
    make_endpoint()
    fail_with(receiver, status)
    tell()
    run_dispatcher()
    assert Delivery.objects.get().state == "pending"


def test_410_disables_at_once(receiver: Receiver, make_endpoint: Maker) -> None:
    endpoint = make_endpoint()
    fail_with(receiver, 410)
    tell()
    run_dispatcher()
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert "410" in endpoint.disabled_reason
    assert Delivery.objects.get().state == "failed"


def test_an_endpoint_that_only_failed_for_five_days_is_disabled(
    receiver: Receiver, make_endpoint: Maker, clock: Clock
) -> None:
    endpoint = make_endpoint()
    fail_with(receiver)
    for day in range(5):
        tell()
        run_dispatcher()
        endpoint.refresh_from_db()
        assert endpoint.enabled, day
        clock.forward(days=1)
    tell()
    run_dispatcher()
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert "5 days" in endpoint.disabled_reason
    tell()
    assert run_dispatcher() == 0


def test_one_success_starts_the_five_days_anew(
    receiver: Receiver, make_endpoint: Maker, clock: Clock
) -> None:
    endpoint = make_endpoint()
    fail_with(receiver)
    tell()
    run_dispatcher()
    clock.forward(days=4.9)
    receiver.answer = (200, {}, b"")
    tell()
    run_dispatcher()
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None
    fail_with(receiver)
    clock.forward(days=1)
    tell()
    run_dispatcher()
    endpoint.refresh_from_db()
    assert endpoint.enabled


def test_nul_bytes_and_broken_text_in_a_response_are_kept_as_far_as_text_goes(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    receiver.answer = (200, {}, b"a\x00b\xff")
    tell()
    run_dispatcher()
    assert Attempt.objects.get().response_body == "ab�"


def test_a_header_with_bytes_that_are_no_text_can_be_stored(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    receiver.answer = (200, {"X-Odd": "a\x00b\xe9"}, b"ok")
    tell()
    run_dispatcher()
    assert Delivery.objects.get().is_final or Attempt.objects.get().error


# --- Tests, resending, recovering -----------------------------------------------------


def test_a_test_has_one_try_and_reaches_a_disabled_endpoint_before_its_backlog(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    tell(30)
    endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=False)
    fail_with(receiver)
    test = endpoints.send_test(endpoint_id=endpoint.pk)
    assert run_dispatcher() == 1
    test.refresh_from_db()
    assert (test.state, test.tries) == ("failed", 1)
    assert json.loads(receiver.received[0].body)["type"] == "webhook.test"
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None  # a test says nothing about events


def test_a_test_overtakes_a_backlog(receiver: Receiver, make_endpoint: Maker) -> None:
    endpoint = make_endpoint()
    tell(100)
    endpoints.send_test(endpoint_id=endpoint.pk)
    run_dispatcher()
    types = [json.loads(one.body)["type"] for one in receiver.received]
    assert "webhook.test" in types[:10]


def test_one_test_at_a_time(receiver: Receiver, make_endpoint: Maker) -> None:
    endpoint = make_endpoint()
    first = endpoints.send_test(endpoint_id=endpoint.pk)
    assert endpoints.send_test(endpoint_id=endpoint.pk) == first
    run_dispatcher()
    assert endpoints.send_test(endpoint_id=endpoint.pk) != first


def test_resending_keeps_the_id_and_the_log(receiver: Receiver, make_endpoint: Maker) -> None:
    make_endpoint()
    tell()
    run_dispatcher()
    endpoints.resend(delivery_id=Delivery.objects.get().pk)
    run_dispatcher()
    assert len(receiver.ids()) == 2
    assert len(set(receiver.ids())) == 1
    assert Delivery.objects.get().attempts.count() == 2


def test_recovering_sends_what_failed_and_what_was_missed_since(
    receiver: Receiver, make_endpoint: Maker, clock: Clock
) -> None:
    endpoint = make_endpoint(events=["product.updated"])
    tell()  # too long ago
    run_dispatcher()
    clock.forward(hours=1)
    since = clock.now
    fail_with(receiver, 410)
    failed = tell()
    run_dispatcher()
    missed = tell(3)
    with transaction.atomic():
        record_event(type=Event.Type.PRODUCT_DELETED, data={})  # not subscribed
    receiver.answer = (200, {}, b"")
    receiver.received.clear()
    endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=True)
    assert run_dispatcher() == 0
    assert endpoints.recover(endpoint_id=endpoint.pk, since=since) == 4
    run_dispatcher()
    assert len(receiver.ids()) == 4
    assert {failed.message_id, missed.message_id} <= set(receiver.ids())
    assert endpoints.recover(endpoint_id=endpoint.pk, since=since) == 0


# --- Edits while under way ------------------------------------------------------------


@pytest.fixture
def while_sending(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[], Any]], int]]:
    """Do something once the first requests are there; returns how many were begun before.

    They are answered when the dispatcher has read its endpoints once more.
    """
    answer = threading.Event()
    looks: list[bool] = []  # one for each that has ended
    claim = dispatcher._Run._claim

    def noted(run: Any) -> bool:
        looks.append(claim(run))
        return looks[-1]

    monkeypatch.setattr(dispatcher._Run, "_claim", noted)

    def wait_to_answer() -> None:
        answer.wait(WAIT_SECONDS)

    receiver.before_answer = wait_to_answer

    def run(act: Callable[[], Any]) -> int:
        thread = elsewhere(run_dispatcher)
        try:
            wait_for(lambda: len(receiver.received) == sending.FIRST_WINDOW)
            act()
            begun, before = len(receiver.received), len(looks)
            wait_for(lambda: len(looks) > before + 1)  # the first may have begun before the act
        finally:
            answer.set()
            thread.join()
        return begun

    yield run
    answer.set()


@committed
def test_disabling_takes_effect_at_the_next_attempt(
    receiver: Receiver, make_endpoint: Maker, while_sending: WhileSending
) -> None:
    endpoint = make_endpoint()
    tell(40)
    begun = while_sending(lambda: endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=False))
    assert len(receiver.received) == begun
    assert Delivery.objects.filter(state="pending", leased_by=None).count() == 40 - begun
    endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=True)
    run_dispatcher()
    assert not Delivery.objects.filter(state="pending").exists()
    assert len(set(receiver.ids())) == len(receiver.ids()) == 40


@committed
def test_an_edit_takes_effect_at_the_next_attempt(
    receiver: Receiver, make_endpoint: Maker, while_sending: WhileSending
) -> None:
    endpoint = make_endpoint()
    tell(20)
    begun = while_sending(
        lambda: endpoints.update_endpoint(endpoint_id=endpoint.pk, url=receiver.url + "-new")
    )
    paths = [one.path for one in receiver.received]
    assert paths[:begun] == ["/hook"] * begun
    assert paths[begun:] == ["/hook-new"] * (20 - begun)


@committed
def test_deleting_takes_effect_at_the_next_attempt(
    receiver: Receiver, make_endpoint: Maker, while_sending: WhileSending
) -> None:
    endpoint = make_endpoint()
    tell(20)
    begun = while_sending(lambda: endpoints.delete_endpoint(endpoint_id=endpoint.pk))
    assert len(receiver.received) == begun
    while retention.clear_log():
        pass
    retention.clear_log()
    assert not Endpoint.everything.exists()
    assert not Delivery.objects.exists()


# --- Fairness -------------------------------------------------------------------------


@committed
@pytest.mark.parametrize("dispatchers", [1, 2])
def test_at_most_eight_requests_are_under_way_to_one_endpoint(
    receiver: Receiver, make_endpoint: Maker, settings: Any, patience: None, dispatchers: int
) -> None:
    settings.WEBHOOK_PUMPS = dispatchers
    make_endpoint()
    under_way: list[int] = [0, 0]
    lock = threading.Lock()
    eight = threading.Event()

    def work() -> None:
        with lock:
            under_way[0] += 1
            under_way[1] = max(under_way)
            if under_way[0] == 8:
                eight.set()
        if len(receiver.ids()) > 100:  # the window has long opened
            eight.wait(WAIT_SECONDS)
        time.sleep(0.02)  # in which a ninth could come
        with lock:
            under_way[0] -= 1

    receiver.before_answer = work
    tell(200)
    threads = [elsewhere(run_dispatcher) for _ in range(dispatchers)]
    for thread in threads:
        thread.join()
    assert under_way[1] == 8
    assert len(receiver.ids()) == len(set(receiver.ids())) == 200


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Requests that wait longer than a test does."""
    sender = Sender(allowed=LOOPBACK, total_seconds=2 * WAIT_SECONDS)
    monkeypatch.setattr(sending, "_sender", lambda allowed: sender)
    yield
    sender.close()


@committed
def test_endpoints_that_hang_do_not_hold_up_one_that_answers(
    receiver: Receiver, make_endpoint: Maker, settings: Any, patience: None
) -> None:
    """They hang until the other one has all its events, so no clock is asked."""
    settings.WEBHOOK_THREADS = 16
    release = threading.Event()
    hung: list[str] = []

    def hang(got: Received) -> None:
        if got.path == "/hook/hang":
            hung.append(got.headers["webhook-id"])
            release.wait(2 * WAIT_SECONDS)

    receiver.raw_answer = hang
    for _ in range(12):
        make_endpoint(url=receiver.url + "/hang", events=["product.created"])
    make_endpoint(events=["product.updated"])
    with transaction.atomic():
        for _ in range(50):
            record_event(type=Event.Type.PRODUCT_CREATED, data={})
    Endpoint.objects.filter(url__endswith="hang").update(failing_since=timezone.now())
    thread = elsewhere(run_dispatcher)
    try:
        wait_for(lambda: len(hung) >= 8)
        for _ in range(20):
            wait_for(partial(receiver.has, tell().message_id))
        # Those that fail share half of the threads.
        assert len(hung) == 8
    finally:
        release.set()
        thread.join()


def test_a_run_goes_on_by_itself_when_no_worker_takes_over(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    receiver.before_answer = lambda: time.sleep(0.03)
    tell(40)
    # One that comes to its work late leaves again without an attempt.
    while Delivery.objects.filter(state="pending").exists():
        run_dispatcher(seconds=0.1)
    assert len(receiver.ids()) == len(set(receiver.ids())) == 40


# --- Lost dispatchers -----------------------------------------------------------------------


def lease(**values: Any) -> None:
    until = timezone.now() + timedelta(seconds=30)
    Delivery.objects.update(**{"leased_by": 99, "next_attempt_at": until, "claims": 1, **values})


def test_what_a_lost_dispatcher_held_is_sent_at_once(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    tell()
    lease()
    assert run_dispatcher() == 1


@committed
def test_what_a_living_dispatcher_holds_is_left_to_it_until_the_lease_ends(
    receiver: Receiver, make_endpoint: Maker, clock: Clock
) -> None:
    make_endpoint()
    tell(2)
    Delivery.objects.filter(pk=Delivery.objects.latest("pk").pk).update(
        leased_by=99, next_attempt_at=clock.now + timedelta(seconds=30)
    )
    done, alive = threading.Event(), threading.Event()

    def live() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, 99)", [AdvisoryLock.PUMP])
            alive.set()
            done.wait(WAIT_SECONDS)

    thread = elsewhere(live)
    try:
        assert alive.wait(WAIT_SECONDS)
        assert run_dispatcher() == 0  # the whole endpoint is the other dispatcher's
        clock.forward(seconds=31)
        assert run_dispatcher() == 2
    finally:
        done.set()
        thread.join()


@committed
def test_a_result_counts_only_while_the_lease_is_ours(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    tell()
    receiver.before_answer = lambda: elsewhere(lambda: lease(leased_by=98)).join()
    run_dispatcher()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.leased_by) == ("pending", 98)
    assert not delivery.attempts.exists()


def test_what_ends_workers_again_and_again_is_parked(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    tell()
    lease(claims=MOST_CLAIMS, next_attempt_at=timezone.now())
    tell()
    assert run_dispatcher() == 1
    parked = Delivery.objects.get(state="failed")
    assert parked.attempts.get().error == "worker_lost"
    endpoints.resend(delivery_id=parked.pk)
    assert run_dispatcher() == 1


def test_a_secret_that_cannot_be_read_sends_nothing_unsigned(
    receiver: Receiver, make_endpoint: Maker, settings: Any
) -> None:
    make_endpoint()
    settings.SECRET_KEY = "another"
    tell()
    run_dispatcher()
    assert receiver.received == []
    assert Attempt.objects.get().error == "no_secret"


# --- The claim's plan -----------------------------------------------------------------

BACKLOG = """
WITH event AS (
    INSERT INTO webhooks_event (type, body, created_at)
    SELECT 'product.updated', '{}', now() FROM generate_series(1, 5000) RETURNING id
)
INSERT INTO webhooks_delivery (
    event_id, endpoint_id, state, is_test, tries, next_attempt_at, claims, created_at
)
SELECT id, %s, 'pending', false, 0, now(), 0, now() FROM event
"""


def most_rows(plan: dict[str, Any]) -> int:
    """The most rows that a step of an executed plan gave or threw away."""
    own = plan.get("Actual Rows", 0) + plan.get("Rows Removed by Filter", 0)
    return max([int(own), *(most_rows(part) for part in plan.get("Plans", []))])


@pytest.mark.parametrize("emptied", [[], ["event"], ["delivery"], ["event", "delivery"]])
@pytest.mark.parametrize("analyzed", [[], ["event"], ["delivery"], ["event", "delivery"]])
def test_a_claim_reads_the_head_of_a_queue_only(
    make_endpoint: Maker, emptied: list[str], analyzed: list[str]
) -> None:
    """Whatever the statistics say: that the tables are empty still, or what is there now."""
    endpoints_ = [make_endpoint() for _ in range(3)]
    now = timezone.now()
    params: dict[str, Any] = {
        "dispatcher": 1, "endpoints": [], "rooms": [], "first_room": 4, "also_failing": True,
        "most_endpoints": 100, "most_claims": MOST_CLAIMS, "now": now + timedelta(seconds=9),
        "until": now + timedelta(seconds=40),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20s'")
        cursor.execute(BACKLOG, [endpoints_[0].pk])
        if emptied:
            cursor.execute("DELETE FROM webhooks_delivery; DELETE FROM webhooks_event")
            cursor.execute("ANALYZE " + ",".join(f"webhooks_{table}" for table in emptied))
            cursor.execute(BACKLOG, [endpoints_[0].pk])
        if analyzed:
            cursor.execute("ANALYZE " + ",".join(f"webhooks_{table}" for table in analyzed))
        sql.set_up_transaction(cursor)
        explaining = Explaining(cursor)
        for statement in (sql._CLAIM, sql._CAN_CLAIM):
            explaining.execute(statement, params)
        claimed = _claimed(cursor, params)
        assert len(claimed) == 4
        outcomes = [
            sql.Outcome(
                delivery_id=delivery_id, endpoint_id=endpoints_[0].pk, state="succeeded",
                next_attempt_at=None, at=now, address="", response_status=200, error="", detail="",
                lookup_ms=1, connect_ms=1, first_byte_ms=1, latency_ms=1, response_headers={},
                response_body="",
            )
            for delivery_id in claimed[:2]
        ]  # fmt: skip
        sql.record(cast(Any, explaining), dispatcher=1, outcomes=outcomes, now=now)
        sql.give_back(cast(Any, explaining), dispatcher=1, delivery_ids=claimed[2:], now=now)
        assert max(explaining.most) < 50
        assert _claimed(cursor, params) == []


class Explaining:
    """A cursor that carries a statement out, and notes the most rows that a step of it read."""

    rowcount = 0

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.most: list[int] = []

    def execute(self, statement: str, params: Any) -> None:
        self.cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, params)
        self.most.append(most_rows(self.cursor.fetchone()[0][0]["Plan"]))


def _claimed(cursor: Any, params: dict[str, Any]) -> list[int]:
    cursor.execute("SELECT id FROM webhooks_delivery WHERE leased_by = %(dispatcher)s", params)
    return [delivery_id for (delivery_id,) in cursor.fetchall()]
