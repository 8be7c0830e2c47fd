"""Waking workers: after the commit, once, quickly, and never at the cost of the request."""

import socket
import time
from typing import Any

import pytest
import redis
from celery import current_app
from django.conf import settings
from django.db import transaction

from product_importer.common import enqueue
from webhooks.delivery.pump_lock import PumpLock
from webhooks.operations import events
from webhooks.task_names import DISPATCH

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(enqueue, "_send_now", lambda task, args, *_: messages.append(task))
    return messages


def test_a_message_goes_out_after_the_commit_and_not_after_a_rollback(sent: list[str]) -> None:
    with transaction.atomic():
        enqueue.send_after_commit("a")
        assert sent == []
    assert sent == ["a"]
    with transaction.atomic():
        enqueue.send_after_commit("b")
        transaction.set_rollback(True)
    assert sent == ["a"]


def test_a_transaction_sends_one_message_however_often_it_asks(sent: list[str]) -> None:
    with transaction.atomic():
        for _ in range(5):
            enqueue.send_once_after_commit("once", into="")
            enqueue.send_after_commit("each")
    assert sorted(sent) == ["each"] * 5 + ["once"]


def test_a_message_that_is_not_needed_after_the_commit_is_not_sent(sent: list[str]) -> None:
    needed: list[bool] = []
    for wanted in (True, False):
        with transaction.atomic():
            enqueue.send_once_after_commit("a", into="", unless=lambda: not needed[-1])
            needed.append(wanted)
    assert sent == ["a"]


def test_no_message_is_sent_where_a_dispatcher_runs(
    sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "send_once_after_commit", enqueue.send_once_after_commit)
    with PumpLock() as hold:
        assert hold.take_slot(slots=1)
        with transaction.atomic():
            events.wake_dispatcher()
        assert sent == []
        hold.free_slot()
        with transaction.atomic():
            events.wake_dispatcher()
    assert sent == [DISPATCH]


def test_no_message_is_sent_where_enough_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda task, **_: sent.append(task))
    monkeypatch.setattr(enqueue, "_broker_away_until", 0.0)
    queue = "nobody-reads-this"
    with redis.Redis.from_url(settings.REDIS_URL, **settings.REDIS_TLS) as broker:
        broker.delete(queue)  # a queue that is empty is not there
        try:
            send_once("a", queue)
            assert sent == ["a"]
            broker.rpush(queue, *range(enqueue.ENOUGH_WAITING - 1))
            send_once("b", queue)
            assert sent == ["a", "b"]
            broker.rpush(queue, "one more")
            send_once("c", queue)
            send_once("d", "another")
            assert sent == ["a", "b", "d"]
        finally:
            broker.delete(queue)


def send_once(task: str, queue: str) -> None:
    with transaction.atomic():
        enqueue.send_once_after_commit(task, into=queue)


def test_a_broker_that_is_gone_costs_nothing_but_the_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"redis://127.0.0.1:{server.getsockname()[1]}/0"  # of nobody, once it is closed
    monkeypatch.setattr(current_app.conf, "broker_url", address)
    monkeypatch.setattr(enqueue, "_broker_away_until", 0.0)
    send_once("a", "webhooks")
    assert enqueue._broker_away_until > time.monotonic()
    assert "broker_did_not_take" in caplog.text


def test_a_broker_that_says_nothing_costs_a_request_less_than_half_a_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def seconds() -> float:
        monkeypatch.setattr(enqueue, "_broker_away_until", 0.0)
        started = time.monotonic()
        send_once("a", "webhooks")
        return time.monotonic() - started

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        address = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        monkeypatch.setattr(current_app.conf, "broker_url", address)
        # The quickest of some tells what the broker costs; the rest is what else the machine does.
        assert min(seconds() for _ in range(5)) < 0.5
    assert caplog.text.count("broker_did_not_take") == 5


def test_after_a_failure_the_broker_is_left_alone_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def fail(pid: int, url: str) -> Any:
        tries.append(pid)
        raise OSError("no broker")

    monkeypatch.setattr(enqueue, "_producers", fail)
    monkeypatch.setattr(enqueue, "_broker_away_until", 0.0)
    for _ in range(5):
        enqueue.send_after_commit("x")
    assert len(tries) == 1
    monkeypatch.setattr(enqueue, "_broker_away_until", time.monotonic() - 1)
    enqueue.send_after_commit("x")
    assert len(tries) == 2
