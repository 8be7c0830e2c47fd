"""``python -m benchmarks trust``: review, recording for undo, undo and cancel, beside the floor."""

import argparse
import os
import signal
import statistics
import time
from typing import Any

import psycopg

from benchmarks.bench_import import job_seconds
from benchmarks.floor import Floor
from benchmarks.running import Client, checkpoint, clear, database_version, running_stack, sql
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from product_importer.local.processes import stop, wait_until
from product_importer.local.stack import Stack

STAGES = ("staging", "resolving", "comparing", "applying")
LOOK_SECONDS = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")
    parser.add_argument("--cancels", type=int, default=3, help="at each stage")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with running_stack(workers=options.workers) as (stack, client):
        first = write_supplier_file(stack.folder / "first.csv", options.rows)
        # The same SKUs, nearly all of them, with everything else different.
        second = write_supplier_file(stack.folder / "second.csv", options.rows, seed=2)
        floor = Floor(stack.environ["DATABASE_URL"], first.path)
        figures: dict[str, list[float]] = {}

        def keep(name: str, seconds: float) -> None:
            figures.setdefault(name, []).append(seconds)

        try:
            for _ in range(options.repeat):
                keep("floor", floor.fresh())
                _review(stack, client, first, second, keep)
                _undo(stack, client, first, second, keep)
                _without_recording(stack, client, first, second, keep, options.workers)
            cancels = _cancels(stack, client, first, second, options.cancels)
        finally:
            floor.close()
        return {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "rows": options.rows,
            "runs": options.repeat,
            **_report(figures),
            "cancel_to_stop_seconds": cancels,
        }


def _report(figures: dict[str, list[float]]) -> dict[str, Any]:
    def over(name: str, base: str) -> dict[str, float]:
        ratios = [a / b for a, b in zip(figures[name], figures[base], strict=True)]
        return {
            "seconds": round(statistics.median(figures[name]), 2),
            f"over_{base}": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "most": round(max(ratios), 2),
        }

    figures["recording"] = [
        a - b for a, b in zip(figures["update"], figures["update_unrecorded"], strict=True)
    ]
    return {
        "floor_seconds": round(statistics.median(figures["floor"]), 2),
        "review_of_new_products": over("review_new", "floor"),
        "review_of_changes": over("review_changes", "floor"),
        "diff_page_seconds": round(max(figures["diff_page"]), 3),
        "import_that_changes_all": over("update", "floor"),
        "the_same_without_recording": over("update_unrecorded", "floor"),
        "recording": over("recording", "floor"),
        "undo": over("undo", "update"),
        "forecast_seconds": round(max(figures["forecast"]), 2),
    }


def _review(
    stack: Stack, client: Client, first: SupplierFile, second: SupplierFile, keep: Any
) -> None:
    """From the accepted upload to a page of the diff: of new products, and of changed ones."""
    clear(stack)
    for name, file in (("review_new", first), ("review_changes", second)):
        checkpoint(stack)
        job_id = client.upload(file, review="true")
        accepted = time.perf_counter()
        _wait(client, job_id, "status", "awaiting_review")
        started = time.perf_counter()
        page = client.session.get(f"{client.base}/api/v1/imports/{job_id}/diff/", timeout=30)
        page.raise_for_status()
        keep(name, time.perf_counter() - accepted)
        keep("diff_page", time.perf_counter() - started)
        for query in ("action=updated", "field=name&cursor=f30-1", "flag=tenfold"):
            started = time.perf_counter()
            client.session.get(f"{page.url}?{query}", timeout=30).raise_for_status()
            keep("diff_page", time.perf_counter() - started)
        if file is first:
            client.post(f"imports/{job_id}/apply/")
            client.follow(job_id)
        else:
            client.post(f"imports/{job_id}/cancel/")


def _undo(
    stack: Stack, client: Client, first: SupplierFile, second: SupplierFile, keep: Any
) -> None:
    """An import that changes nearly all products, and its undo."""
    clear(stack)
    client.follow(client.upload(first))
    checkpoint(stack)
    job, _ = client.follow(client.upload(second))
    keep("update", job_seconds(job))
    checkpoint(stack)
    started = time.perf_counter()
    url = f"{client.base}/changes/{job['change_set']}/undo/?count"  # with the numbers
    page = client.log_in().get(url, timeout=60)
    page.raise_for_status()
    keep("forecast", time.perf_counter() - started)
    keep("undo", client.undo(job["id"]))


def _without_recording(
    stack: Stack, client: Client, first: SupplierFile, second: SupplierFile, keep: Any, workers: int
) -> None:
    """The same import by a worker that does not keep the values before."""
    clear(stack)
    client.follow(client.upload(first))
    stop(stack.processes.pop("worker"), signal.SIGTERM, seconds=15)
    stack._spawn(
        "worker", ["python", "-m", "benchmarks.floor_worker", f"--concurrency={workers}"], {}
    )
    wait_until(_worker_answers(client), seconds=30, what="the worker answers")
    checkpoint(stack)
    job, _ = client.follow(client.upload(second))
    keep("update_unrecorded", job_seconds(job))
    stop(stack.processes.pop("worker"), signal.SIGTERM, seconds=15)
    stack.start_worker(concurrency=workers)
    wait_until(_worker_answers(client), seconds=30, what="the worker answers")


def _worker_answers(client: Client) -> Any:
    time.sleep(9)  # the mark of the worker before runs out (product_importer/celery.py)
    return lambda: client.session.get(f"{client.base}/readyz", timeout=5).ok


def _cancels(
    stack: Stack, client: Client, first: SupplierFile, second: SupplierFile, times: int
) -> dict[str, float]:
    """From the request to when no session works on the job any more, the longest per stage."""
    found: dict[str, float] = {}
    clear(stack)
    client.follow(client.upload(first))
    with psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as connection:
        for stage in STAGES:
            for _ in range(times):
                job_id = client.upload(
                    second, **({"review": "true"} if stage == "comparing" else {})
                )
                _wait(client, job_id, "stage", stage)
                started = time.perf_counter()
                client.post(f"imports/{job_id}/cancel/")
                while _at_work(connection, job_id):
                    time.sleep(LOOK_SECONDS)
                seconds = time.perf_counter() - started
                found[stage] = max(found.get(stage, 0.0), round(seconds, 2))
                _back_to(stack, client, first)
    return found


def _at_work(connection: psycopg.Connection[Any], job_id: int) -> bool:
    """Whether a session has a lock on the job's staging table or on the catalogue's rows."""
    row = connection.execute(
        """
        SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation
        WHERE pg_class.relname IN (%s, %s) AND pid <> pg_backend_pid()
          AND mode IN ('RowExclusiveLock', 'ShareLock', 'AccessShareLock')
        """,
        [f"imports_staging_{job_id}", f"imports_review_{job_id}"],
    ).fetchone()
    assert row is not None
    return bool(row[0])


def _back_to(stack: Stack, client: Client, first: SupplierFile) -> None:
    """Bring the catalogue back to the first file, for the next round."""
    sql(stack, "UPDATE imports_importjob SET sha256 = ''")
    client.follow(client.upload(first))


def _wait(client: Client, job_id: int, field: str, value: str) -> None:
    wait_until(lambda: _job(client, job_id)[field] == value, seconds=300, what=f"{field} {value}")


def _job(client: Client, job_id: int) -> dict[str, Any]:
    time.sleep(LOOK_SECONDS)
    answer = client.session.get(f"{client.base}/api/v1/imports/{job_id}/", timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
