"""``python -m benchmarks import``: a whole import beside the floor, on one database, in one run."""

import argparse
import json
import os
import statistics
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import requests

from benchmarks.floor import Floor
from benchmarks.memory import PeakMemory
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from product_importer.environment import BASE_DIR
from product_importer.local.processes import end_leftovers, free_port, wait_until
from product_importer.local.stack import Stack

PASSWORD = "benchmark-password-1"  # noqa: S105 (of a database that lives for one run)
CLEAR = """
TRUNCATE catalog_product, catalog_change, catalog_changeset, imports_importjob,
    imports_importchunk, imports_rowerror, imports_supersededrecord, webhooks_event,
    django_celery_results_taskresult RESTART IDENTITY CASCADE
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")
    parser.add_argument("--scale", action="store_true", help="also four times as many rows")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")


def run(options: argparse.Namespace) -> dict[str, Any]:
    folder = BASE_DIR / ".data-benchmark"
    folder.mkdir(exist_ok=True)
    end_leftovers(folder / "processes")
    stack = Stack(folder, port=free_port(8765))
    try:
        stack.start_stores(redis_port=0)
        stack.manage("migrate", "--no-input")
        stack.manage("collectstatic", "--no-input")
        stack.manage("make_admin", "benchmark", environ={"ADMIN_PASSWORD": PASSWORD})
        token = stack.manage("api_token", "benchmark").strip()
        stack.start_web()
        stack.start_worker(concurrency=options.workers)
        stack.start_beat()
        stack.wait_for_web()
        client = Client(f"http://127.0.0.1:{stack.port}", token)
        client.wait_until_ready()
        result = {
            "machine": {"cores": os.cpu_count(), "postgres": _version(stack)},
            **_measure(stack, client, folder, options.rows, options.repeat),
        }
        if options.scale:
            larger = _measure(stack, client, folder, options.rows * 4, 1)
            result["scale"] = larger
            result["growth"] = {
                "rows": 4,
                "seconds": round(larger["fresh"]["seconds"] / result["fresh"]["seconds"], 2),
                "peak_rss": round(larger["worker_peak_rss_mb"] / result["worker_peak_rss_mb"], 3),
            }
        return result
    finally:
        stack.stop()


class Client:
    """The API, as another program would use it."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Token {token}"

    def wait_until_ready(self) -> None:
        wait_until(
            lambda: self.session.get(f"{self.base}/readyz", timeout=5).ok,
            seconds=30,
            what="the stack is ready",
        )

    def upload(self, file: SupplierFile) -> int:
        with file.path.open("rb") as handle:
            answer = self.session.post(
                f"{self.base}/api/v1/imports/", files={"file": handle}, timeout=300
            )
        answer.raise_for_status()
        return int(answer.json()["id"])

    def follow(self, job_id: int) -> tuple[dict[str, Any], float]:
        """Read a job's event stream to its end; also seconds to the first event."""
        started = time.perf_counter()
        first = None
        last: dict[str, Any] = {}
        url = f"{self.base}/api/v1/imports/{job_id}/events/"
        with self.session.get(url, stream=True, timeout=600) as stream:
            for line in stream.iter_lines():
                if line.startswith(b"data:"):
                    first = first or time.perf_counter() - started
                    last = json.loads(line[5:])
        if last.get("status") != "completed":
            raise RuntimeError(f"the import did not complete: {last}")
        return last, first or 0.0


class ListPageLatency:
    """Fetches the product list again and again while something else runs."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seconds: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._fetch, daemon=True)

    def __enter__(self) -> "ListPageLatency":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._done.set()
        self._thread.join()

    def _fetch(self) -> None:
        session = requests.Session()
        session.trust_env = False
        login = f"{self.client.base}/login/"
        session.get(login, timeout=30)
        session.post(
            login,
            data={
                "username": "benchmark",
                "password": PASSWORD,
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            },
            headers={"Referer": login},
            timeout=30,
        ).raise_for_status()
        while not self._done.wait(0.1):
            started = time.perf_counter()
            session.get(f"{self.client.base}/products/", timeout=30).raise_for_status()
            self.seconds.append(time.perf_counter() - started)


def _measure(stack: Stack, client: Client, folder: Path, rows: int, repeat: int) -> dict[str, Any]:
    file = write_supplier_file(folder / f"supplier-{rows}.csv", rows)
    url = stack.environ["DATABASE_URL"]
    floor = Floor(url, file.path)
    worker = stack.processes["worker"].pid
    figures: dict[str, list[float]] = {
        name: []
        for name in ("floor", "floor_again", "fresh", "again", "first_event", "accepted", "rss")
    }
    jobs: list[dict[str, Any]] = []
    try:
        for _ in range(repeat):
            figures["floor"].append(floor.fresh())
            figures["floor_again"].append(floor.again())
            _clear(url)
            with PeakMemory(worker) as memory:
                for name in ("fresh", "again"):
                    _checkpoint(url)
                    started = time.perf_counter()
                    job_id = client.upload(file)
                    figures["accepted"].append(time.perf_counter() - started)
                    job, first_event = client.follow(job_id)
                    figures["first_event"].append(first_event)
                    figures[name].append(_job_seconds(job))
                    jobs.append(job)
            figures["rss"].append(memory.peak / 1e6)
        latency = _page_latency(url, client, file)
    finally:
        floor.close()
        file.path.unlink()
    return _report(file, figures, jobs, latency)


def _page_latency(url: str, client: Client, file: SupplierFile) -> list[float]:
    """The product list over HTTP while a fresh import runs."""
    _clear(url)
    job_id = client.upload(file)
    with ListPageLatency(client) as pages:
        client.follow(job_id)
    return pages.seconds


def _report(
    file: SupplierFile,
    figures: dict[str, list[float]],
    jobs: list[dict[str, Any]],
    latency: list[float],
) -> dict[str, Any]:
    median = {name: statistics.median(values) for name, values in figures.items()}

    def against_floor(name: str) -> dict[str, Any]:
        ratios = [a / b for a, b in zip(figures[name], figures["floor"], strict=True)]
        return {
            "seconds": round(median[name], 2),
            "over_floor": round(statistics.median(ratios), 2),
            "over_floor_min_max": [round(min(ratios), 2), round(max(ratios), 2)],
            "rows_per_second": round(file.rows / median[name]),
        }

    counts = ("created", "updated", "unchanged", "superseded", "skipped", "rejected")
    return {
        "rows": file.rows,
        "file_mb": round(file.size / 1e6, 1),
        "bad_rows_written": file.bad,
        "runs": len(figures["floor"]),
        "floor_seconds": round(median["floor"], 2),
        "floor_again_seconds": round(median["floor_again"], 2),
        "fresh": against_floor("fresh"),
        "again": against_floor("again"),
        "upload_accepted_seconds": round(median["accepted"], 2),
        "first_event_seconds": round(max(figures["first_event"]), 2),
        "worker_peak_rss_mb": round(max(figures["rss"]), 1),
        "list_page_while_importing_ms": {
            "requests": len(latency),
            "p50": round(1000 * statistics.median(latency), 1),
            "p95": round(1000 * sorted(latency)[int(0.95 * (len(latency) - 1))], 1),
        },
        "counts": {
            "fresh": {name: jobs[-2][name] for name in counts},
            "again": {name: jobs[-1][name] for name in counts},
        },
    }


def _job_seconds(job: dict[str, Any]) -> float:
    started, finished = (
        datetime.fromisoformat(job[name].replace("Z", "+00:00"))
        for name in ("started_at", "finished_at")
    )
    return (finished - started).total_seconds()


def _clear(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CLEAR)


def _checkpoint(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def _version(stack: Stack) -> str:
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])
