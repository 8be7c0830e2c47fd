"""What is promised of webhooks while workers, the broker and the database go away under load."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg
import pytest
import redis
import requests

from conftest import WAIT_SECONDS
from product_importer.local.prepared import migrated_database
from product_importer.local.processes import free_port, wait_until
from product_importer.local.stack import Stack
from webhooks.tests.receiver import Receiver, serve


@pytest.fixture
def stack(stores_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The product on stores of its own, which a test may take away."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    stack = Stack(stores_folder, port=free_port(0))
    try:
        stack.start_stores(redis_port=0, like=migrated_database())
        stack.environ["WEBHOOK_ALLOWED_CIDRS"] = "127.0.0.0/8"
        stack.manage("make_admin", "tester", environ={"ADMIN_PASSWORD": "a-password-for-tests-1"})
        stack.start_web(workers=1)
        stack.start_worker()
        stack.start_beat()
        stack.wait_for_web()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver, server = serve()
    receiver.before_answer = lambda: time.sleep(0.02)
    yield receiver
    server.shutdown()
    server.server_close()


class Load:
    """Creates products by API all the time; ``made`` are the SKUs that were accepted."""

    def __init__(self, api: requests.Session, base: str) -> None:
        self.api, self.base = api, base
        self.made: list[str] = []
        self.slowest = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._done.set()
        self._thread.join()

    def more(self, number: int = 15) -> None:
        """Wait until so many more were accepted."""
        wanted = len(self.made) + number
        wait_until(lambda: len(self.made) >= wanted, seconds=WAIT_SECONDS, what="products are made")

    def _run(self) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            sku = f"LOAD-{number}"
            started = time.monotonic()
            with suppress(requests.RequestException):
                answer = self.api.post(
                    f"{self.base}/products/", json={"sku": sku, "name": "x"}, timeout=300
                )
                if answer.status_code == 201:
                    self.made.append(sku)
                    self.slowest = max(self.slowest, time.monotonic() - started)


def kill_workers(stack: Stack) -> None:
    worker = psutil.Process(stack.processes["worker"].pid)
    for process in [*worker.children(recursive=True), worker]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    stack.processes["worker"].wait()
    stack.start_worker()


def kill_children(stack: Stack) -> None:
    for child in psutil.Process(stack.processes["worker"].pid).children():
        with suppress(psutil.NoSuchProcess):
            child.kill()


def flush_broker(stack: Stack) -> None:
    with redis.Redis.from_url(stack.environ["REDIS_URL"]) as client:
        client.flushall()


def restart_database(stack: Stack) -> None:
    assert stack.postgres is not None
    stack.postgres.stop()
    stack.postgres.start()


def crash_database(stack: Stack) -> None:
    """As when a backend is killed: the server ends every session and recovers from its log."""
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        pid = connection.info.backend_pid
        psutil.Process(pid).kill()
        with suppress(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_whatever_goes_away_every_committed_event_arrives(stack: Stack, receiver: Receiver) -> None:
    base = f"http://127.0.0.1:{stack.port}/api/v1"
    api = requests.Session()
    api.trust_env = False
    api.headers["Authorization"] = f"Token {stack.manage('api_token', 'tester').strip()}"
    for path in ("/one", "/two"):
        made = api.post(
            f"{base}/webhooks/", json={"url": receiver.url + path, "events": ["product.created"]}
        )
        made.raise_for_status()

    acts: list[Callable[[Stack], Any]] = [
        kill_children,
        flush_broker,
        kill_workers,
        restart_database,
        flush_broker,
        crash_database,
        kill_children,
    ]
    with Load(api, base) as load:
        for act in acts:
            load.more()
            act(stack)
        load.more()

    def pending() -> Any:
        with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
            statement = "SELECT count(*) FROM webhooks_delivery WHERE state = 'pending'"
            row = connection.execute(statement).fetchone()
        return row is not None and row[0] == 0

    wait_until(pending, seconds=WAIT_SECONDS, what="everything is delivered")
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        committed = connection.execute(
            "SELECT 'evt_' || replace(uid::text, '-', ''),"
            " convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'sku' FROM webhooks_event"
        ).fetchall()
    assert set(load.made) <= {sku for _, sku in committed}
    for path in ("/hook/one", "/hook/two"):
        arrived = {one.headers["webhook-id"] for one in receiver.received if one.path == path}
        assert arrived == {message for message, _ in committed}


def test_a_request_is_not_held_up_by_a_broker_that_is_dead_or_silent(stack: Stack) -> None:
    base = f"http://127.0.0.1:{stack.port}/api/v1"
    api = requests.Session()
    api.headers["Authorization"] = f"Token {stack.manage('api_token', 'tester').strip()}"
    receiver, server = serve()
    api.post(
        f"{base}/webhooks/", json={"url": receiver.url, "events": ["product.created"]}
    ).raise_for_status()

    def create(number: int) -> float:
        started = time.monotonic()
        api.post(f"{base}/products/", json={"sku": f"S-{number}", "name": "x"}).raise_for_status()
        return time.monotonic() - started

    # The middle one of some: any single one may meet with what else the machine does.
    usual = median(create(number) for number in range(5))
    assert stack.valkey is not None
    assert stack.valkey.child is not None
    broker = psutil.Process(stack.valkey.child.pid)
    broker.suspend()
    silent = median(create(number) for number in range(10, 20))
    broker.resume()
    broker.kill()
    dead = median(create(number) for number in range(20, 30))
    assert silent - usual < 0.5
    assert dead - usual < 0.5
    stack.valkey.child.wait()
    stack.valkey.start()

    def all_arrived() -> bool:
        if stack.processes["worker"].poll() is not None:
            stack.start_worker()  # as bin/run and every platform do
        return len(set(receiver.ids())) == 25

    wait_until(all_arrived, seconds=WAIT_SECONDS, what="all are delivered")
    server.shutdown()
    server.server_close()
