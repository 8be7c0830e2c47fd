"""``python -m benchmarks import``: a whole import beside the floor, on one database, in one run."""

import argparse
import os
import statistics
import threading
import time
from datetime import datetime
from typing import Any

from benchmarks.floor import Floor
from benchmarks.memory import PeakMemory
from benchmarks.running import Client, checkpoint, clear, database_version, running_stack
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from product_importer.local.stack import Stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")
    parser.add_argument("--scale", action="store_true", help="also four times as many rows")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with running_stack(workers=options.workers) as (stack, client):
        result = {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            **_measure(stack, client, options.rows, options.repeat),
        }
        if options.scale:
            larger = _measure(stack, client, options.rows * 4, 1)
            result["scale"] = larger
            result["growth"] = {
                "rows": 4,
                "seconds": round(larger["fresh"]["seconds"] / result["fresh"]["seconds"], 2),
                "peak_rss": round(larger["worker_peak_rss_mb"] / result["worker_peak_rss_mb"], 3),
            }
        return result


class ListPageLatency:
    """Fetches the product list again and again while something else runs."""

    def __init__(self, client: Client, query: str = "") -> None:
        self.client = client
        self.address = f"{client.base}/products/{query}"
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
        session = self.client.log_in()
        while not self._done.wait(0.1):
            started = time.perf_counter()
            session.get(self.address, timeout=30).raise_for_status()
            self.seconds.append(time.perf_counter() - started)


def _measure(stack: Stack, client: Client, rows: int, repeat: int) -> dict[str, Any]:
    file = write_supplier_file(stack.folder / f"supplier-{rows}.csv", rows)
    dearer = write_supplier_file(stack.folder / f"dearer-{rows}.csv", rows, dearer=1)
    floor = Floor(stack.environ["DATABASE_URL"], file.path)
    floor_dearer = Floor(stack.environ["DATABASE_URL"], dearer.path)
    worker = stack.processes["worker"].pid
    figures: dict[str, list[float]] = {
        name: []
        for name in (
            *("floor", "floor_again", "floor_changed", "fresh", "again", "changed"),
            *("first_event", "accepted", "rss"),
        )
    }
    jobs: list[dict[str, Any]] = []
    try:
        for _ in range(repeat):
            figures["floor"].append(floor.fresh())
            figures["floor_again"].append(floor.again())
            figures["floor_changed"].append(floor_dearer.again())
            clear(stack)
            with PeakMemory(worker) as memory:
                for name, content in (("fresh", file), ("again", file), ("changed", dearer)):
                    checkpoint(stack)
                    started = time.perf_counter()
                    job_id = client.upload(content)
                    figures["accepted"].append(time.perf_counter() - started)
                    job, first_event = client.follow(job_id)
                    figures["first_event"].append(first_event)
                    figures[name].append(job_seconds(job))
                    jobs.append(job)
            figures["rss"].append(memory.peak / 1e6)
        latency = _page_latency(stack, client, file)
    finally:
        floor_dearer.close()
        floor.close()
        file.path.unlink()
        dearer.path.unlink()
    return _report(file, figures, jobs, latency)


def _page_latency(stack: Stack, client: Client, file: SupplierFile) -> list[float]:
    """The product list over HTTP while a fresh import runs."""
    clear(stack)
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

    def against_floor(name: str, floor: str = "floor") -> dict[str, Any]:
        ratios = [a / b for a, b in zip(figures[name], figures[floor], strict=True)]
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
        # Each price by a cent, with what undo needs; beside the same upsert into the floor's table.
        "changed": against_floor("changed", "floor_changed"),
        "upload_accepted_seconds": round(median["accepted"], 2),
        "first_event_seconds": round(max(figures["first_event"]), 2),
        "worker_peak_rss_mb": round(max(figures["rss"]), 1),
        # None before the import of a short file is through.
        "list_page_while_importing_ms": {
            "requests": len(latency),
            "p50": round(1000 * statistics.median(latency), 1),
            "p95": round(1000 * sorted(latency)[int(0.95 * (len(latency) - 1))], 1),
        }
        if latency
        else None,
        "counts": {
            kind: {name: job[name] for name in counts}
            for kind, job in zip(("fresh", "again", "changed"), jobs[-3:], strict=True)
        },
    }


def job_seconds(job: dict[str, Any]) -> float:
    started, finished = (
        datetime.fromisoformat(job[name].replace("Z", "+00:00"))
        for name in ("started_at", "finished_at")
    )
    return (finished - started).total_seconds()
