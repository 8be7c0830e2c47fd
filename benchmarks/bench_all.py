"""``python -m benchmarks all``: one table of all ratios beside those that were committed last.

Each figure is a ratio within this run (or megabytes), so that it tells of the code and not of the
machine. ``--quick`` takes about ten minutes; ``--keep`` writes benchmarks/baseline.json anew, for
the change that moves a figure.
"""

import argparse
import io
import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import bench_browse, bench_scale
from benchmarks.bench_import import job_seconds
from benchmarks.floor import Floor
from benchmarks.memory import PeakMemory
from benchmarks.running import (
    Client,
    checkpoint,
    clear,
    database_version,
    running_stack,
)
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from imports.readers.csv import Checkpoint, inspect, read_batches
from product_importer.local.stack import Stack

BASELINE = Path(__file__).parent / "baseline.json"
WORSE = 1.25  # times the baseline: marked; the machine itself varies by some tenths
PAGES = ("first page", "by name", "q common", "q rare", "q absent", "last page")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=5, help="runs; the median is told")
    parser.add_argument("--quick", action="store_true", help="200,000 rows, three times")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/baseline.json")


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.quick:
        options.rows, options.repeat = 200_000, 3
    environ = {"DJANGO_SETTINGS_MODULE": "benchmarks.floor_settings"}
    with running_stack(environ=environ) as (stack, client):
        machine = {
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "postgres": database_version(stack),
            "load_before": round(os.getloadavg()[0], 1),
        }
        figures = _import(stack, client, options.rows, options.repeat)
        figures |= _browse(stack, client, options)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "rows": options.rows,
        "runs": options.repeat,
        "figures": {name: round(value, 3) for name, value in figures.items()},
    }
    before = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"figures": {}}
    sys.stderr.write(table(result["figures"], before) + "\n")
    if options.keep:
        BASELINE.write_text(json.dumps(result, indent=2) + "\n")
    return result


def table(figures: dict[str, float], before: dict[str, Any]) -> str:
    """The figures beside those of ``before``; ``!`` marks what is a quarter more or worse."""
    kept = before["figures"]
    lines = [f"{'':46}{'now':>10}{before.get('date', 'before'):>14}"]
    for name, value in figures.items():
        old = kept.get(name)
        mark = " !" if old and value > WORSE * old else ""
        lines.append(f"{name:46}{value:>10}{'' if old is None else old:>14}{mark}")
    return "\n".join(lines)


# --- The import and its parts ---------------------------------------------------------


def _import(stack: Stack, client: Client, rows: int, repeat: int) -> dict[str, float]:
    """An import and its parts over the floor of the same run, each the median of the ratios."""
    first = write_supplier_file(stack.folder / "all-1.csv", rows)
    second = write_supplier_file(stack.folder / "all-2.csv", rows, seed=2)  # all values others
    floor = Floor(stack.environ["DATABASE_URL"], first.path)
    ratios: dict[str, list[float]] = {}
    try:
        with PeakMemory(stack.processes["worker"].pid) as memory:
            for _ in range(repeat):
                unit = floor.fresh()
                for name, seconds in _import_once(stack, client, first, second).items():
                    ratios.setdefault(name, []).append(seconds / unit)
    finally:
        floor.close()
        first.path.unlink()
        second.path.unlink()
    return {
        **{f"{name} / floor": statistics.median(values) for name, values in ratios.items()},
        "worker, peak, MB": memory.peak / 1e6,
    }


def _import_once(
    stack: Stack, client: Client, first: SupplierFile, second: SupplierFile
) -> dict[str, float]:
    clear(stack)
    checkpoint(stack)
    fresh = bench_scale.import_once(stack, client, first, processes=2)
    reading = _read(first)
    found = {
        "fresh import": fresh["seconds"],
        "  bytes to rows": reading,
        "  rows to staging": max(0.0, fresh["staging_seconds"] - reading),
        "  ordering": fresh["resolving_seconds"],
        "  applying": fresh["applying_seconds"],
        "  the rest: messages, events, commit": fresh["seconds"]
        - sum(fresh[f"{stage}_seconds"] for stage in bench_scale.STAGES),
    }
    for name, file in (("the same again", first), ("all rows changed", second)):
        checkpoint(stack)
        job, _ = client.follow(client.upload(file))
        found[name] = job_seconds(job)
    return found


def _read(file: SupplierFile) -> float:
    """Seconds to make rows of the file's bytes, without a database."""
    data = io.BytesIO(file.path.read_bytes())
    started = time.perf_counter()
    layout = inspect(data)
    for _ in read_batches(data, layout, Checkpoint(layout.offset, layout.line)):
        pass
    return time.perf_counter() - started


# --- Pages, export, clearing ----------------------------------------------------------


def _browse(stack: Stack, client: Client, options: argparse.Namespace) -> dict[str, float]:
    options.requests = 20
    clear(stack)
    _, catching_up = bench_browse.fill(stack, client, options.rows)
    figures: dict[str, float] = {"search index behind an import, s": catching_up["seconds"]}
    cases = {name: bench_browse.CASES[name] for name in PAGES}
    for where, session, path in (
        ("API", client.session, "/api/v1/products/"),
        ("page", client.log_in(), "/products/"),
    ):
        found = bench_browse.latencies(session, client.base + path, cases, options)
        nothing = found.pop("SELECT 1")["p50"]
        figures |= {
            f"{where}, {name}, p95 / SELECT 1": a["p95"] / nothing for name, a in found.items()
        }
    with PeakMemory(stack.processes["web"].pid) as memory:
        bench_browse.export(stack, client)
    figures["web while exporting, peak, MB"] = memory.peak / 1e6
    figures["bulk delete / DELETE"] = bench_browse.bulk_delete(stack, client)["over_delete_from"]
    return figures
