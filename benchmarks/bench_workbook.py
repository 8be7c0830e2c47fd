"""``python -m benchmarks workbook``: the same rows as .xlsx and as CSV, and a bomb."""

import argparse
import csv
import gzip
import os
import statistics
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import psutil
import xlsxwriter

from benchmarks.bench_import import job_seconds
from benchmarks.running import Client, checkpoint, clear, database_version, running_stack
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from imports.readers.unpack import unpack
from product_importer.local.stack import Stack

SAMPLE_SECONDS = 0.1
CHILD = "imports.readers.unpack.child"
BOMB_SIZE = 10_000  # MB of zeros


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with running_stack(workers=options.workers) as (stack, client):
        file = write_supplier_file(stack.folder / f"supplier-{options.rows}.csv", options.rows)
        book = write_workbook(file)
        try:
            runs = [_measure(stack, client, file, book) for _ in range(options.repeat)]
        finally:
            file.path.unlink()
            book.path.unlink()
        ratios = [run["xlsx_seconds"] / run["csv_seconds"] for run in runs]
        return {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "rows": file.rows,
            "xlsx_mb": round(book.size / 1e6, 1),
            **{
                name: round(statistics.median(run[name] for run in runs), 1)
                for name in ("csv_seconds", "xlsx_seconds", "unpack_seconds")
            },
            "xlsx_over_csv": round(statistics.median(ratios), 2),
            "xlsx_over_csv_min_max": [round(min(ratios), 2), round(max(ratios), 2)],
            "child_peak_rss_mb": max(run["child_mb"] for run in runs),
            "bomb": _bomb(stack, client),
        }


def write_workbook(file: SupplierFile) -> SupplierFile:
    """The same rows as Excel writes them: prices are numbers, flags truths, where they are any."""
    path = file.path.with_suffix(".xlsx")
    with (
        file.path.open(encoding="utf-8", newline="") as handle,
        # Texts in one table for all cells, as Excel has them.
        xlsxwriter.Workbook(path, {"constant_memory": False}) as book,
    ):
        sheet = book.add_worksheet("Products")
        for number, row in enumerate(csv.reader(handle)):
            # A row of a sheet cannot lack a cell: that record is bad in another way.
            cells: list[Any] = [*row] if len(row) == 5 else [*row, "maybe"]
            with suppress(ValueError):
                cells[3] = float(row[3])
            cells[4] = {"true": True, "false": False}.get(cells[4], cells[4])
            sheet.write_row(number, 0, cells)
    return replace(file, path=path, size=path.stat().st_size)


class Watch:
    """Peak resident memory of the worker's own processes and of what unpacks for them, in MB."""

    def __init__(self, worker: int) -> None:
        self.worker = psutil.Process(worker)
        self.own = self.child = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            own = 0.0
            for process in [self.worker, *self.worker.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    size = process.memory_info().rss / 1e6
                    if CHILD in process.cmdline():
                        self.child = max(self.child, size)
                    else:
                        own += size
            self.own = max(self.own, own)


def _measure(
    stack: Stack, client: Client, file: SupplierFile, book: SupplierFile
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, each in (("csv", file), ("xlsx", book)):
        clear(stack)
        checkpoint(stack)
        with Watch(stack.processes["worker"].pid) as watch:
            job, _ = client.follow(client.upload(each))
        figures[f"{name}_seconds"] = job_seconds(job)
        figures[f"{name}_created"] = job["created"]
    if figures["csv_created"] != figures["xlsx_created"]:
        raise RuntimeError(f"not the same products: {figures}")
    figures["child_mb"] = round(watch.child, 1)
    figures["unpack_seconds"] = _alone(book.path)
    return figures


def _alone(path: Path) -> float:
    """Seconds of unpacking, without reading and applying."""
    with path.open("rb") as source, tempfile.NamedTemporaryFile() as target:
        started = time.perf_counter()
        unpack(source, cast(BinaryIO, target.file))
        return time.perf_counter() - started


def _bomb(stack: Stack, client: Client) -> dict[str, Any]:
    """10 GB of zeros as gzip, which does not tell its size."""
    clear(stack)
    path = stack.folder / "bomb.csv.gz"
    with gzip.open(path, "wb", 9) as file:
        for _ in range(BOMB_SIZE):
            file.write(bytes(1_000_000))
    bomb = SupplierFile(path, 0, 0, 0, path.stat().st_size)
    with Watch(stack.processes["worker"].pid) as before:
        time.sleep(1)
    error = ""
    with Watch(stack.processes["worker"].pid) as watch:
        try:
            client.follow(client.upload(bomb))
        except RuntimeError as failed:
            error = str(failed)
    path.unlink()
    return {
        "ends_in_a_sentence": "larger unpacked" in error,
        "child_peak_rss_mb": round(watch.child, 1),
        "worker_growth_mb": round(watch.own - before.own, 1),
    }
