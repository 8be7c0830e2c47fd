"""``python -m benchmarks full-lists``: what a supplier and a full list add to the same imports."""

import argparse
import csv
import os
from typing import Any

from benchmarks.bench_import import job_seconds
from benchmarks.bench_rules import COUNTS
from benchmarks.floor import Floor
from benchmarks.running import Client, checkpoint, clear, database_version, running_stack, spread
from benchmarks.supplier_file import HEADER, SupplierFile, write_supplier_file
from product_importer.local.stack import Stack

MISSING_EVERY = 100  # one record in so many is not in the second file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the medians are told")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Returns seconds and ratios; a problem if counts differ or nothing is missing."""
    with running_stack(workers=options.workers) as (stack, client):
        file = write_supplier_file(stack.folder / "all.csv", options.rows)
        shorter = _without_some(file)
        format_id = _make_format(client)
        floor = Floor(stack.environ["DATABASE_URL"], file.path)
        _import(stack, client, file)  # the first import of a worker takes longer
        runs = [_run(stack, client, floor, format_id, file, shorter) for _ in range(options.repeat)]
        machine: dict[str, Any] = {"cores": os.cpu_count(), "postgres": database_version(stack)}
        machine["load"] = [round(load, 1) for load in os.getloadavg()]
        floor.close()
    return _report(options, runs, machine)


def _run(
    stack: Stack,
    client: Client,
    floor: Floor,
    format_id: str,
    file: SupplierFile,
    shorter: SupplierFile,
) -> dict[str, Any]:
    """Seconds of the floor and of each import, and the counts of some."""
    one: dict[str, Any] = {"floor": floor.fresh()}
    for name, fields in (("fresh", {}), ("supplier", {"format": format_id})):
        clear(stack)
        one[name], one[f"{name}_counts"] = _import(stack, client, file, **fields)
    one["shorter"], _ = _import(stack, client, shorter, format=format_id)
    full = {"format": format_id, "full_list": "true"}
    one["full_list"], one["missing"] = _import(stack, client, shorter, **full)
    return one


def _import(
    stack: Stack, client: Client, file: SupplierFile, **fields: str
) -> tuple[float, dict[str, int]]:
    checkpoint(stack)
    job, _ = client.follow(client.upload(file, **fields))
    return job_seconds(job), {name: job[name] for name in (*COUNTS, "missing")}


def _make_format(client: Client) -> str:
    """A format of a supplier."""
    rules = {"columns": [{"column": name, "field": name} for name in HEADER]}
    made = client.post("formats/", supplier=client.make_supplier(), name="All", rules=rules)
    return str(made["id"])


def _without_some(file: SupplierFile) -> SupplierFile:
    """The same file without one record in a hundred."""
    path = file.path.with_name("shorter.csv")
    with (
        file.path.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target)
        for number, record in enumerate(csv.reader(source)):
            if number % MISSING_EVERY or not number:
                writer.writerow(record)
    return SupplierFile(path, file.rows, file.duplicates, file.bad, path.stat().st_size)


def _report(
    options: argparse.Namespace, runs: list[dict[str, Any]], machine: dict[str, Any]
) -> dict[str, Any]:
    differing = [one for one in runs if one["fresh_counts"] != one["supplier_counts"]]
    problems = [f"the counts differ: {one}" for one in differing]
    problems += ["nothing was missing" for one in runs if not one["missing"]["missing"]]
    return {
        "machine": machine,
        "rows": options.rows,
        "seconds": {
            name: spread([one[name] for one in runs])
            for name in ("floor", "fresh", "supplier", "shorter", "full_list")
        },
        "supplier_adds_over_floor": spread(
            [(one["supplier"] - one["fresh"]) / one["floor"] for one in runs]
        ),
        "full_list_over_without": spread([one["full_list"] / one["shorter"] for one in runs]),
        "missing": runs[-1]["missing"]["missing"],
        "problems": problems,
    }
