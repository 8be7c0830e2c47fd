"""/healthz and /readyz true to their word: each part is taken away, told, and told when back."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from product_importer.local.prepared import migrated_database
from product_importer.local.processes import free_port, kill, wait_until
from product_importer.local.stack import Stack
from product_importer.ops.probes import AT_ONCE

TOLD_SECONDS = 10.0  # from a part's end, or its return, until the probe says so
START_SECONDS = 120.0  # for a process to start, however slow the machine, before it can be back
ANSWER_SECONDS = 4.0  # for any answer of a probe: three, and some for a busy machine


@pytest.fixture
def web_config() -> str:
    return "product_importer.gunicorn_conf"


@pytest.fixture
def stack(stores_folder: Path, web_config: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The product on stores of its own, which a test may take away."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    stack = Stack(stores_folder, port=free_port(0))
    try:
        stack.start_stores(redis_port=0, like=migrated_database())
        stack.environ |= {"METRICS_TOKEN": "of-the-probes", "LOG_FORMAT": "json"}
        Path(stack.environ["STATIC_ROOT"]).mkdir(exist_ok=True)
        stack.start_web(workers=1, config=web_config)
        stack.start_worker()
        stack.start_beat()
        stack.wait_for_web()
        yield stack
    finally:
        for name in stack.processes.keys() - {"web"}:  # how these end is for other tests
            kill_part(stack, name)
        stack.stop()


class Probe:
    """What a load balancer and Prometheus see; every answer within its time, or it fails."""

    def __init__(self, stack: Stack) -> None:
        self.base = f"http://127.0.0.1:{stack.port}"

    def get(self, path: str, **options: Any) -> requests.Response:
        started = time.monotonic()
        answer = requests.get(self.base + path, timeout=30, **options)
        seconds = time.monotonic() - started
        assert seconds < ANSWER_SECONDS, (path, seconds)
        return answer

    def ready(self) -> dict[str, Any]:
        answer = self.get("/readyz")
        told: dict[str, Any] = answer.json()
        assert answer.status_code == (200 if told["ready"] else 503)
        assert self.get("/healthz").text == "ok"
        return told

    def up(self) -> dict[str, bool]:
        answer = self.get("/metrics", headers={"Authorization": "Bearer of-the-probes"})
        assert answer.status_code == 200
        lines = [
            line for line in answer.text.splitlines() if line.startswith("product_importer_up")
        ]
        return {line.split('"')[1]: line.endswith(" 1.0") for line in lines}

    def tells(self, seconds: float = TOLD_SECONDS, **wanted: Any) -> None:
        """Wait until these are told, at most so many seconds."""
        told: dict[str, Any] = {}

        def right() -> bool:
            nonlocal told
            told = self.ready()
            return wanted.items() <= told.items()

        try:
            wait_until(right, seconds=seconds, what=f"{wanted} is told")
        except TimeoutError:
            raise AssertionError(f"{wanted} was not told, but {told}") from None


WELL: dict[str, Any] = {
    "ready": True,
    "database": "ok",
    "broker": "ok",
    "worker": "ok",
    "beat": "ok",
}


@contextmanager
def silent(stack: Stack, store: str) -> Iterator[None]:
    """A store that accepts connections, and says nothing."""
    child = getattr(stack, store).child
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def kill_part(stack: Stack, name: str) -> None:
    """kill -9, if it has not ended yet."""
    child = stack.processes[name]
    if child.poll() is None:
        process = psutil.Process(child.pid)
        kill([process, *process.children(recursive=True)])
    child.wait()


def test_each_part_that_goes_is_told_and_told_when_it_is_back(stack: Stack) -> None:
    probe = Probe(stack)
    probe.tells(**WELL)
    assert probe.up() == dict.fromkeys(("database", "broker", "worker", "beat"), True)
    for name in ("web", "worker", "beat"):  # every line of every process is JSON
        for line in stack.log_of(name).read_text().splitlines():
            assert json.loads(line)["timestamp"], (name, line)

    # Many questions at once, of which each process puts four at a time, are all answered.
    # (As many as a slow machine answers within the second that a question waits for its turn.)
    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        assert all(pool.map(lambda _: probe.ready()["ready"], range(2 * AT_ONCE)))

    # A silent database: no question waits for it, not even many of them.
    with silent(stack, "postgres"):
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: probe.ready(), range(6)))
        for told in answers:
            assert told == {**told, "ready": False, "database": "does not answer"}
            assert (told["broker"], told["worker"]) == ("ok", "ok")
        assert probe.up() == {"database": False, "broker": True, "worker": True, "beat": True}
    probe.tells(**WELL)

    # A database that is gone.
    assert stack.postgres is not None
    stack.postgres.stop()
    probe.tells(ready=False, database="does not answer", oldest_due_seconds=None)
    stack.postgres.start()
    probe.tells(**WELL)

    # Beat: told, but no reason to take the site away. The worker, killed with its children, is.
    kill_part(stack, "beat")
    probe.tells(ready=True, worker="ok", beat="beat does not report")
    kill_part(stack, "worker")
    probe.tells(ready=False, worker="no worker reports")
    stack.start_beat()
    probe.tells(TOLD_SECONDS + START_SECONDS, ready=False, beat="ok")
    assert probe.up() == {"database": True, "broker": True, "worker": False, "beat": True}
    stack.start_worker()
    probe.tells(TOLD_SECONDS + START_SECONDS, **WELL)

    # A broker that is silent, and one that is gone.
    with silent(stack, "valkey"):
        told = probe.ready()
        assert told == {**told, "broker": "does not answer", "worker": "unknown"}
        assert told["database"] == "ok"
    assert stack.valkey is not None
    assert stack.valkey.child is not None
    stack.valkey.child.send_signal(signal.SIGKILL)
    stack.valkey.child.wait()
    probe.tells(ready=False, broker="does not answer", worker="unknown", beat="unknown")
    assert probe.up()["broker"] is False
    stack.valkey.start()
    # Celery may start again to find it.
    probe.tells(TOLD_SECONDS + START_SECONDS, **WELL)
