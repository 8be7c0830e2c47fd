"""Things break while an import runs: a short run of ``python -m benchmarks faults``."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import open_folder, wait_for
from product_importer.environment import BASE_DIR
from product_importer.local.processes import spawn, stop
from product_importer.local.pytest_plugin import with_database, worker_number

BENCHMARK_SECONDS = 600
OWN_BROKER = 5  # the first of the databases that no process of the tests has
FAULTS = ("worker child", "whole worker", "broker flush", "database crash", "cancel and retry")
FIRST_PROCESSES = ("web master", "postmaster twice")
HOSTILE = ("poison receiver", "stalled clients")


@pytest.fixture(scope="module")
def disturbed() -> Any:
    """What one run of the benchmark tells, with every fault once: its servers are dear to start."""
    faults = (*FAULTS, *FIRST_PROCESSES, *HOSTILE)
    options = ("--rows", "20000", "--runs", str(len(faults)), "--only", ",".join(faults))
    return run_benchmark("faults", *options, seconds=3 * BENCHMARK_SECONDS)


# One after the other: what ends the web of one leaves its port to the other for a moment.
@pytest.mark.xdist_group("faults")
@pytest.mark.timeout(4 * BENCHMARK_SECONDS)
@pytest.mark.parametrize("faults", [FAULTS, FIRST_PROCESSES, HOSTILE], ids=", ".join)
def test_whatever_breaks_the_import_ends_as_if_nothing_had_happened(
    faults: tuple[str, ...], disturbed: Any
) -> None:
    assert [run for run in disturbed["differing"] if run["fault"] in faults] == []
    assert {name: disturbed["by_fault"][name]["identical"] for name in faults} == dict.fromkeys(
        faults, 1
    )


@pytest.mark.xdist_group("faults")
def test_feeds_come_once_each_whatever_is_killed() -> None:
    """A short run of ``python -m benchmarks feeds``."""
    sizes = ("--feeds", "12", "--megabytes", "5", "--fetches", "6", "--dead", "0", "--kills", "1")
    result = run_benchmark("feeds", *sizes)
    assert result["problems"] == []
    assert result["many"]["ended_as"] == {"completed": 12}
    assert {"https", "sftp"} <= set(result["large"])
    assert result["faults"]["ended_as"] == {"fetched": 6}


def run_benchmark(*arguments: str, seconds: float = BENCHMARK_SECONDS) -> Any:
    """What a benchmark tells, on servers of its own, because it kills them."""
    environ = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    with open_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", *arguments, "--folder", str(folder)],
            cwd=BASE_DIR,
            env=environ,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    return json.loads(done.stdout)


def start_worker(code: str, name: str, log: Path) -> subprocess.Popen[bytes]:
    """A worker of one process that is started by this code."""
    # Its own place in the broker: what other tests sent is not its business.
    broker = with_database(os.environ["REDIS_URL"], OWN_BROKER + worker_number())
    environ = {**os.environ, "REDIS_URL": broker}
    return spawn(
        [sys.executable, "-c", code, "--concurrency=1", f"--name={name}"],
        log=log,
        environ=environ,
        cwd=BASE_DIR,
    )


BROKEN = """
import sys
from product_importer import celery_worker
from product_importer.celery import app

class Broken:
    exitcode = 1
    def __init__(self, **options): pass
    def start(self): pass  # as Celery does after an error that it calls unrecoverable

app.Worker = Broken
sys.exit(celery_worker.main())
"""


def test_a_worker_that_an_error_ended_starts_again_in_the_same_process(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    child = start_worker(BROKEN, "again", log)
    try:
        wait_for(lambda: " ready." in log.read_text())
        assert "starts again" in log.read_text()
        assert child.poll() is None
    finally:
        stop(child, signal.SIGTERM, seconds=60)
    assert child.returncode == 0


HANGING = """
import sys, time
from product_importer import celery_worker  # first: it says what SIGTERM means
from celery.apps import worker

celery_worker.SHUTDOWN_SECONDS = 2.0
# As Celery does when it waits, inside the signal's handler, for a child that says no more.
worker.Worker.wait_for_soft_shutdown = lambda self: time.sleep(3600)
sys.exit(celery_worker.main())
"""


def test_a_shutdown_that_hangs_ends_in_time(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    child = start_worker(HANGING, "hangs", log)
    try:
        wait_for(lambda: " ready." in log.read_text())
    finally:
        stop(child, signal.SIGTERM, seconds=60)
    assert child.returncode == 1
