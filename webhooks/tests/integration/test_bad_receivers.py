"""Whatever a receiver does is the outcome of its own attempts, and of nobody else's."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import wait_for
from webhooks.delivery import retry_schedule, sending
from webhooks.delivery.http_client import CUT, HEADER_BYTES, Response, Sender
from webhooks.delivery.outcomes import outcome_of
from webhooks.models import Attempt, Delivery, Endpoint, Event
from webhooks.operations.events import record_event
from webhooks.sql import queue as sql
from webhooks.tests.conftest import LOOPBACK, Maker, elsewhere, run_dispatcher, tell
from webhooks.tests.poison import POISON
from webhooks.tests.receiver import Received, Receiver

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)
some = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# --- What it answers ------------------------------------------------------------------

numbers = st.integers(-(10**22), 10**22).map(str) | st.sampled_from(["0000", "0001", "9999", "٣"])
clocks = st.from_regex(r"[0-9]{1,3}:[0-9]{2}(:[0-9]{1,3})?", fullmatch=True)
zones = st.from_regex(r"[+-][0-9]{1,22}", fullmatch=True) | st.sampled_from(["GMT", "EST", "", "Z"])
dates = st.builds(
    "{}, {} {} {} {} {}".format,
    st.sampled_from(["Mon", "Friday", "", "\xe9"]),
    st.integers(0, 32) | numbers,
    st.sampled_from(["Jan", "Feb", "December", "13"]),
    st.integers(0, 10_000) | numbers,
    clocks | numbers,
    zones,
)
anything = st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))


@settings(max_examples=200, deadline=None)
@given(dates | numbers | anything, st.integers(1, retry_schedule.TRIES))
def test_whatever_retry_after_says_the_next_try_is_within_a_day_and_a_bit(
    value: str, tries: int
) -> None:
    asked = retry_schedule.parse_retry_after(value, timezone.now())
    assert asked is None or asked >= timedelta(0)
    delay = retry_schedule.delay_after(tries, retry_after=asked)
    assert (delay is None) == (tries == retry_schedule.TRIES)
    if delay is not None:
        planned = retry_schedule.DELAYS[tries - 1]
        assert (
            planned
            <= delay
            <= max(planned, retry_schedule.RETRY_AFTER_MOST) * (1 + retry_schedule.JITTER)
        )


fields = st.tuples(
    st.sampled_from([b"Retry-After", b"retry-after", b"Set-Cookie", b"Content-Type", b"X\0"])
    | st.binary(max_size=20),
    dates.map(lambda date: date.encode("latin-1", "replace")) | st.binary(max_size=60),
)


@pytest.fixture
def leased(make_endpoint: Maker) -> Delivery:
    make_endpoint()
    tell()
    return Delivery.objects.get()


@some
@given(
    status=st.integers(100, 999),
    reason=st.binary(max_size=20),
    headers=st.lists(fields, max_size=6),
    body=st.binary(max_size=40),
)
def test_whatever_a_receiver_answers_can_be_recorded(
    receiver: Receiver,
    leased: Delivery,
    status: int,
    reason: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    lines = [b"HTTP/1.1 %d " % status + reason, *(b": ".join(field) for field in headers)]
    receiver.raw_answer = lambda got: b"\r\n".join(lines) + b"\r\n\r\n" + body
    response = Sender(allowed=LOOPBACK).post(receiver.url, body=b"{}", headers={})
    assert (response.status is None) == bool(response.error)
    claimed = sql.Claimed(
        leased.pk, leased.endpoint_id, 0, False, leased.event.uid, b"{}", leased.event_id, ""
    )
    outcome = outcome_of(sending.Sent(claimed, timezone.now(), response), timezone.now())
    assert outcome.state == (
        "succeeded" if response.ok else "failed" if response.status == 410 else "pending"
    )
    Delivery.objects.update(leased_by=7, state="pending", tries=0)
    with transaction.atomic(), connection.cursor() as cursor:
        assert sql.record(cursor, dispatcher=7, outcomes=[outcome], now=timezone.now()) == 1


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again in some seconds is not due yet, however long a test takes."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.mark.usefixtures("no_time_passes")
def test_a_poisonous_receiver_has_failed_attempts_and_the_healthy_one_its_events(
    receiver: Receiver, make_endpoint: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    poisonous = make_endpoint(url=receiver.url + "/poison?key=of-the-receiver")
    healthy = make_endpoint()
    answers = iter(POISON)
    receiver.raw_answer = lambda got: next(answers) if "poison" in got.path else None
    tell(len(POISON))
    while run_dispatcher():
        pass
    told = [one.headers["webhook-id"] for one in receiver.received if "poison" not in one.path]
    assert Counter(told) == {event.message_id: 1 for event in Event.objects.all()}
    assert set(healthy.deliveries.values_list("state", "tries")) == {("succeeded", 1)}
    waiting = poisonous.deliveries.filter(
        state="pending", tries=1, leased_by=None, claims=0, next_attempt_at__gt=timezone.now()
    )
    assert waiting.count() == len(POISON)
    assert Attempt.objects.filter(endpoint=poisonous).count() == len(POISON)
    assert not Attempt.objects.filter(error="internal_error").exists()
    assert "of-the-receiver" not in caplog.text  # an address may hold a secret


def test_of_a_receivers_headers_so_much_is_kept_and_it_says_so(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    fields = {f"X-{number}": "é" * 1000 for number in range(90)}
    receiver.answer = (503, {**fields, "Retry-After": "7200"}, b"no")
    tell()
    run_dispatcher()
    attempt = Attempt.objects.get()
    kept = attempt.response_headers
    assert sum(len((name + value).encode()) for name, value in kept.items()) <= HEADER_BYTES
    assert kept["X-5"] == "é" * 1000
    assert "16 kB" in kept[CUT]
    due = attempt.delivery.next_attempt_at
    assert due is not None
    assert due > timezone.now() + timedelta(minutes=100)  # read where it was cut off as well


# --- What cannot be worked out or written down ----------------------------------------


@pytest.fixture
def beside(
    receiver: Receiver,
    make_endpoint: Maker,
    monkeypatch: pytest.MonkeyPatch,
    no_time_passes: None,
) -> Callable[[Callable[[], Response]], Attempt]:
    """Send twenty events to a healthy endpoint and one to another, whose response is made up.

    Returns the attempt that was recorded of the other one, and sees to the healthy ones'.
    """

    def act(make_up: Callable[[], Response]) -> Attempt:
        healthy = make_endpoint(events=["product.updated"])
        other = make_endpoint(events=["product.created"])
        real = sending._send

        def send(claimed: sql.Claimed, *args: Any) -> sending.Sent:
            if claimed.endpoint_id != other.pk:
                return real(claimed, *args)
            return sending.Sent(claimed, timezone.now(), make_up())

        monkeypatch.setattr(sending, "_send", send)
        with transaction.atomic():
            record_event(type=Event.Type.PRODUCT_CREATED, data={})
        tell(20)
        while run_dispatcher():
            pass
        assert healthy.deliveries.filter(state="succeeded", tries=1).count() == 20
        assert len(receiver.ids()) == len(set(receiver.ids())) == 20
        return Attempt.objects.get(endpoint=other)

    return act


Beside = Callable[[Callable[[], Response]], Attempt]
GOOD = Response(status=503, headers={"X": "y"}, body=b"no", address="127.0.0.1", total_ms=5)


@pytest.mark.parametrize(
    "made_up",
    [
        pytest.param(replace(GOOD, headers={"X": "\0"}), id="NUL in a header"),
        pytest.param(replace(GOOD, headers={"\ud800": ""}), id="lone surrogate in a header"),
        pytest.param(replace(GOOD, address="\0"), id="NUL in the address"),
        pytest.param(replace(GOOD, address="1" * 99), id="too long for its column"),
        pytest.param(replace(GOOD, detail="\udcff"), id="lone surrogate in a text"),
        pytest.param(replace(GOOD, status=2**40), id="out of range"),
    ],
)
def test_what_the_database_refuses_is_a_failed_attempt_and_spoils_no_other(
    beside: Beside, caplog: pytest.LogCaptureFixture, made_up: Response
) -> None:
    attempt = beside(lambda: made_up)
    assert (attempt.response_status, attempt.error) == (None, "internal_error")
    assert (attempt.response_headers, attempt.response_body) == ({}, "")
    assert (attempt.delivery.state, attempt.delivery.tries) == ("pending", 1)
    assert attempt.delivery.next_attempt_at is not None
    assert attempt.delivery.next_attempt_at > timezone.now()
    assert caplog.text.count("attempt_not_recorded") == 1


def test_what_cannot_be_worked_out_is_a_failed_attempt_as_well(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(value: str, now: Any) -> None:
        if value == "poison":
            raise OverflowError

    monkeypatch.setattr(retry_schedule, "parse_retry_after", overflow)
    attempt = beside(lambda: replace(GOOD, retry_after="poison"))
    assert attempt.error == "internal_error"
    assert attempt.delivery.state == "pending"


def test_an_event_that_was_taken_is_not_sent_again_because_the_answer_cannot_be_recorded(
    beside: Beside,
) -> None:
    attempt = beside(lambda: replace(GOOD, status=204, headers={"X": "\0"}))
    assert (attempt.response_status, attempt.error) == (204, "internal_error")
    assert attempt.delivery.state == "succeeded"


def test_a_defect_in_a_thread_is_the_outcome_of_that_attempt(
    beside: Beside, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = beside(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert (attempt.response_status, attempt.error) == (None, "internal_error")
    assert attempt.delivery.state == "pending"
    assert "attempt_broke" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_what_can_be_recorded_in_no_way_is_left_to_its_lease(
    receiver: Receiver,
    make_endpoint: Maker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other, healthy = make_endpoint(), make_endpoint()
    record = sql.record

    def refuse(cursor: Any, *, outcomes: list[sql.Outcome], **options: Any) -> int:
        assert other.pk not in [one.endpoint_id for one in outcomes]
        return record(cursor, outcomes=outcomes, **options)

    monkeypatch.setattr(sql, "record", refuse)
    tell(3)
    assert run_dispatcher() == 3
    assert healthy.deliveries.filter(state="succeeded").count() == 3
    assert other.deliveries.filter(state="pending", leased_by__isnull=False, claims=1).count() == 3
    assert caplog.text.count("attempt_lost") == 3


# --- When it does not answer ----------------------------------------------------------


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Requests that wait longer than a test does."""
    sender = Sender(allowed=LOOPBACK, total_seconds=170)
    monkeypatch.setattr(sending, "_sender", lambda allowed: sender)
    yield
    sender.close()


@committed
@pytest.mark.parametrize("answered", [0, 6], ids=["strangers", "who answered before"])
def test_a_hundred_endpoints_that_hang_do_not_hold_up_one_that_answers(
    receiver: Receiver, make_endpoint: Maker, patience: None, answered: int
) -> None:
    """They hang until the other one has its event, so no clock is asked."""
    release = threading.Event()
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def hang(got: Received) -> None:
        if "hang" in got.path:
            with lock:
                seen[got.path] += 1
                hangs = seen[got.path] > answered
            if hangs:
                release.wait(170)

    receiver.raw_answer = hang
    for number in range(100):
        make_endpoint(url=f"{receiver.url}/hang/{number}", events=["product.created"])
    make_endpoint(events=["product.updated"])
    with transaction.atomic():
        for _ in range(answered + 8):
            record_event(type=Event.Type.PRODUCT_CREATED, data={})
    thread = elsewhere(run_dispatcher)
    try:
        wait_for(lambda: sum(seen.values()) >= answered * 16 + 128)
        for _ in range(3):
            wait_for(partial(receiver.has, tell().message_id))
    finally:
        release.set()
        thread.join()


@committed
def test_an_endpoint_that_failed_once_is_not_held_up_by_a_hundred_that_hang(
    receiver: Receiver, make_endpoint: Maker, patience: None
) -> None:
    release = threading.Event()

    def hang(got: Received) -> None:
        if "hang" in got.path:
            release.wait(170)

    receiver.raw_answer = hang
    for _ in range(100):
        make_endpoint(url=receiver.url + "/hang", events=["product.created"])
    make_endpoint(events=["product.updated"])
    with transaction.atomic():
        for _ in range(4):
            record_event(type=Event.Type.PRODUCT_CREATED, data={})
    Endpoint.objects.update(failing_since=timezone.now())
    thread = elsewhere(run_dispatcher)
    try:
        wait_for(lambda: len(receiver.received) >= 64)
        wait_for(partial(receiver.has, tell().message_id))
    finally:
        release.set()
        thread.join()
