"""How many requests the API takes, and that it does not depend on the broker for it."""

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from product_importer.settings import api_rate
from product_importer.web import throttling

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

NOW = 1_000_000_040.0  # 20 s into a minute


TIMEOUT_SECONDS = throttling.TIMEOUT_SECONDS


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling._Throttle, "timer", staticmethod(lambda: NOW))


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Counting is what is tested here, also on a machine that is too busy to answer in time."""
    monkeypatch.setattr(throttling, "TIMEOUT_SECONDS", 30.0)
    monkeypatch.setattr(throttling, "_silent_until", 0.0)
    throttling._broker.cache_clear()
    yield
    monkeypatch.undo()
    throttling._broker.cache_clear()


@pytest.fixture
def limit(settings: Settings) -> Callable[..., None]:
    def set_rates(**rates: str) -> None:
        given = {"user": None, "anonymous": None, "heavy": None, **rates}
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": given}

    return set_rates


@pytest.fixture
def logged_in(make_user: Callable[..., User]) -> Callable[[str], Client]:
    def start(name: str) -> Client:
        client = Client()
        client.force_login(make_user(name))
        return client

    return start


def ask(client: Client, count: int = 1, path: str = "/api/v1/products/") -> list[int]:
    return [client.get(path).status_code for _ in range(count)]


def test_beyond_the_rate_the_answer_tells_how_long_to_wait(
    limit: Callable[..., None], logged_in: Callable[[str], Client]
) -> None:
    limit(user="3/min")
    client = logged_in("mara")
    assert ask(client, 3) == [200] * 3
    answer = client.get("/api/v1/products/")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "40"
    assert answer.json()["code"] == "throttled"
    assert "Wait 40 s" in answer.json()["detail"]


def test_each_user_is_counted_apart(
    limit: Callable[..., None], logged_in: Callable[[str], Client]
) -> None:
    limit(user="2/min")
    first, second = logged_in("mara"), logged_in("nora")
    assert ask(first, 3) == [200, 200, 429]
    assert ask(second, 2) == [200, 200]


def test_the_next_window_starts_anew(
    limit: Callable[..., None],
    logged_in: Callable[[str], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit(user="1/min")
    client = logged_in("mara")
    assert ask(client, 2) == [200, 429]
    monkeypatch.setattr(throttling._Throttle, "timer", staticmethod(lambda: NOW + 40))
    assert ask(client) == [200]


def test_strangers_are_counted_by_their_address(limit: Callable[..., None]) -> None:
    limit(anonymous="2/min")
    here, there = Client(REMOTE_ADDR="198.51.100.20"), Client(REMOTE_ADDR="198.51.100.21")
    assert ask(here, 3, "/api/v1/schema/") == [200, 200, 429]
    assert ask(there, 1, "/api/v1/schema/") == [200]


def test_what_costs_more_has_a_limit_of_its_own(
    limit: Callable[..., None], logged_in: Callable[[str], Client]
) -> None:
    limit(heavy="2/min")
    client = logged_in("mara")
    posts = [
        client.post("/api/v1/products/bulk-delete/", {}, "application/json").status_code
        for _ in range(3)
    ]
    assert posts == [400, 400, 429]
    assert ask(client, 1, "/api/v1/products/export.csv") == [429]
    assert ask(client, 3) == [200] * 3


def test_the_heavy_acts_are_acts() -> None:
    from product_importer.urls import router

    named = 0
    for _, view, _ in router.registry:
        heavy = getattr(view, "heavy_actions", ())
        assert set(heavy) <= getattr(view, "permissions_of", {}).keys()
        named += len(heavy)
    assert named == 14


@pytest.mark.parametrize("broker", ["dead", "silent"])
def test_without_a_broker_nobody_is_throttled_or_held_up(
    broker: str,
    limit: Callable[..., None],
    logged_in: Callable[[str], Client],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
) -> None:
    limit(user="1/min", heavy="1/min")
    client = logged_in("mara")
    asked: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker == "dead":
            listener.close()
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        monkeypatch.setattr(throttling, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)
        monkeypatch.setattr(throttling, "REST_SECONDS", 300.0)  # for all three, however slow
        away = throttling._broker()

        def ask_broker() -> Any:
            asked.append(away)
            return away

        monkeypatch.setattr(throttling, "_broker", ask_broker)
        with caplog.at_level(logging.WARNING, logger=throttling.__name__):
            assert ask(client, 3) == [200] * 3
    assert len(asked) == 1  # the others do not even wait
    waits = away.get_connection_kwargs()
    assert waits["socket_connect_timeout"] == waits["socket_timeout"] == TIMEOUT_SECONDS < 0.2
    assert waits["retry"].get_retries() == 0
    told = [record for record in caplog.records if record.name == throttling.__name__]
    assert len(told) == 1
    assert "throttles nobody" in told[0].getMessage()


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from product_importer import settings as module

    values = {"GOOD": "5/sec", "NONE": "off", "BAD": "many", "ZERO": "0/min"}
    monkeypatch.setattr(module.env, "_values", values)


@pytest.mark.usefixtures("_environment")
def test_a_rate_is_read_from_the_environment() -> None:
    assert api_rate("GOOD", "1/min") == "5/sec"
    assert api_rate("ABSENT", "1/min") == "1/min"
    assert api_rate("NONE", "1/min") is None
    for wrong in ("BAD", "ZERO"):
        with pytest.raises(ImproperlyConfigured, match="write one like 600/min, or off"):
            api_rate(wrong, "1/min")
