"""``python -m benchmarks scale``: one import on 1, 2 and 4 workers, and what it spends where.

Everything runs on this machine: the figures tell how the work is shared between Python and the
database, and how far more workers help before the machine is full. They do not tell of networks.
"""

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
import redis

from benchmarks.bench_import import job_seconds
from benchmarks.running import Client, checkpoint, clear, database_version, running_stack
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from product_importer.celery import WORKER_KEY_PREFIX
from product_importer.local.processes import wait_until
from product_importer.local.stack import Stack

LOOK_SECONDS = 0.02  # between two looks at the job's stage
STAGES = ("staging", "resolving", "applying")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--workers", default="1,2,4", help="how many, separated by commas")
    parser.add_argument("--processes", type=int, default=1, help="of each worker that run tasks")
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")


def run(options: argparse.Namespace) -> dict[str, Any]:
    counts = sorted(int(count) for count in options.workers.split(","))
    with running_stack(workers=options.processes) as (stack, client):
        file = write_supplier_file(stack.folder / f"supplier-{options.rows}.csv", options.rows)
        try:
            measured = {
                count: _measure(stack, client, file, count, options.processes, options.repeat)
                for count in counts
            }
        finally:
            file.path.unlink()
        first = measured[counts[0]]
        for figures in measured.values():
            figures["faster"] = round(first["seconds"] / figures["seconds"], 2)
        return {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "rows": file.rows,
            "file_mb": round(file.size / 1e6, 1),
            "processes_of_a_worker": options.processes,
            "runs": options.repeat,
            "workers": {str(count): figures for count, figures in measured.items()},
        }


@dataclass(frozen=True)
class Used:
    """Seconds of processor time up to a moment, by who used them; ``at`` is the wall clock."""

    at: float
    database: float
    workers: float
    web: float

    def since(self, start: "Used") -> "Used":
        return Used(
            self.at - start.at,
            self.database - start.database,
            self.workers - start.workers,
            self.web - start.web,
        )


def _used(stack: Stack) -> Used:
    assert stack.postgres is not None, "the embedded database is what can be looked at"
    assert stack.postgres.child is not None
    workers = [child for name, child in stack.processes.items() if name.startswith("worker")]
    return Used(
        at=time.perf_counter(),
        database=_processor_seconds(stack.postgres.child.pid),
        workers=sum(_processor_seconds(child.pid) for child in workers),
        web=_processor_seconds(stack.processes["web"].pid),
    )


def _processor_seconds(pid: int) -> float:
    """Of a process and its children, those that have ended included."""
    process = psutil.Process(pid)
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue  # ended just now: its parent has its seconds
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _measure(
    stack: Stack, client: Client, file: SupplierFile, workers: int, processes: int, repeat: int
) -> dict[str, Any]:
    _have_workers(stack, workers, processes)
    runs = []
    for _ in range(repeat):
        clear(stack)
        checkpoint(stack)
        runs.append(import_once(stack, client, file, workers * processes))
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    seconds = [run["seconds"] for run in runs]
    return {
        "seconds": round(median["seconds"], 2),
        "seconds_min_max": [round(min(seconds), 2), round(max(seconds), 2)],
        "rows_per_second": round(file.rows / median["seconds"]),
        **{name: round(value, 2) for name, value in median.items() if name != "seconds"},
    }


def _have_workers(stack: Stack, count: int, processes: int) -> None:
    """Start the workers that are missing, and wait until all of them report."""
    for number in range(1, count):
        if (name := f"worker-{number + 1}") not in stack.processes:
            stack.start_worker(name, concurrency=processes)
    with redis.Redis.from_url(stack.environ["REDIS_URL"]) as broker:
        wait_until(
            lambda: len(list(broker.scan_iter(WORKER_KEY_PREFIX + "*", count=1000))) == count,
            seconds=30,
            what=f"{count} workers report",
        )


def import_once(
    stack: Stack, client: Client, file: SupplierFile, processes: int
) -> dict[str, float]:
    """Import once; seconds by stage, and processor seconds by who used them."""
    job_id = client.upload(file)
    spans: dict[str, list[Used]] = {}
    with psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as connection:
        status = stage = ""
        started = _used(stack)
        while status not in ("completed", "failed", "cancelled"):
            time.sleep(LOOK_SECONDS)
            row = connection.execute(
                "SELECT status, stage FROM imports_importjob WHERE id = %s", [job_id]
            ).fetchone()
            assert row is not None
            before, (status, stage) = (status, stage), row
            if before != (status, stage):
                now = _used(stack)
                for name, span in spans.items():
                    if len(span) == 1 and name != stage:
                        span.append(now)
                if status == "processing" and stage in STAGES and stage not in spans:
                    spans[stage] = [now]
        whole = _used(stack).since(started)
        chunks = connection.execute(
            "SELECT sum(seconds) FROM imports_importchunk WHERE job_id = %s", [job_id]
        ).fetchone()
    job = client.session.get(f"{client.base}/api/v1/imports/{job_id}/", timeout=30).json()
    if job["status"] != "completed":
        raise RuntimeError(f"the import did not complete: {job}")
    assert chunks is not None
    applying = spans["applying"][1].since(spans["applying"][0])
    return {
        "seconds": job_seconds(job),
        **{
            f"{name}_seconds": span[1].at - span[0].at
            for name, span in spans.items()
            if len(span) == 2
        },
        "database_cpu_seconds": whole.database,
        "workers_cpu_seconds": whole.workers,
        "web_cpu_seconds": whole.web,
        "database_share_of_cpu": whole.database / (whole.database + whole.workers + whole.web),
        "cores_busy": (whole.database + whole.workers + whole.web) / whole.at,
        "applying_database_share_of_cpu": applying.database
        / (applying.database + applying.workers),
        "applying_cores_busy": (applying.database + applying.workers) / applying.at,
        # Of the time that the processes had while chunks were applied: how much of it they had
        # a chunk, and how much of that they waited for the database.
        "applying_busy_share": float(chunks[0]) / (applying.at * processes),
        "applying_wait_for_database_share": 1 - applying.workers / float(chunks[0]),
    }
