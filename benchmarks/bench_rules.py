"""``python -m benchmarks rules``: a fresh import by rules beside the same records without any."""

import argparse
import csv
import json
import os
import statistics
from pathlib import Path
from typing import Any

from benchmarks.bench_import import job_seconds
from benchmarks.running import Client, checkpoint, clear, database_version, running_stack
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from product_importer.local.stack import Stack

HEADER = ["Art.-Nr.", "Bezeichnung", "Text", "Preis", "Lager"]
WORDS = {"true": "lieferbar", "false": "vergriffen"}
RULES = {
    "columns": [
        {"column": "Art.-Nr.", "field": "sku", "prefix": "MU-"},
        {"column": "Bezeichnung", "field": "name"},
        {"column": "Text", "field": "description"},
        {"column": "Preis", "field": "price", "decimal": ","},
        {
            "column": "Lager",
            "field": "active",
            "values": {"lieferbar": "active", "vergriffen": "inactive"},
        },
    ]
}
COUNTS = ("created", "updated", "unchanged", "superseded", "skipped", "rejected")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Returns seconds of both, and the ratio of each pair of runs; a problem if counts differ."""
    with running_stack(workers=options.workers) as (stack, client):
        plain = write_supplier_file(stack.folder / "plain.csv", options.rows)
        ruled = as_supplier_writes(plain, stack.folder / "ruled.csv")
        pairs = [
            (_fresh(stack, client, plain), _fresh(stack, client, ruled, rules=json.dumps(RULES)))
            for _ in range(options.repeat)
        ]
        machine = {"cores": os.cpu_count(), "postgres": database_version(stack)}
    ratios = [by_rules[0] / without[0] for without, by_rules in pairs]
    differing = [pair for pair in pairs if pair[0][1] != pair[1][1]]
    return {
        "machine": machine,
        "rows": options.rows,
        "without_rules_seconds": round(statistics.median(pair[0][0] for pair in pairs), 2),
        "by_rules_seconds": round(statistics.median(pair[1][0] for pair in pairs), 2),
        "by_rules_over_without": round(statistics.median(ratios), 3),
        "min_max": [round(min(ratios), 3), round(max(ratios), 3)],
        "counts": dict(zip(COUNTS, pairs[0][1][1], strict=True)),
        "problems": [f"the counts differ: {pair}" for pair in differing],
    }


def as_supplier_writes(file: SupplierFile, path: Path) -> SupplierFile:
    """The same records with a decimal comma, grouped digits, words for the flag, semicolons."""
    with (
        file.path.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target, delimiter=";")
        writer.writerow(HEADER)
        records = csv.reader(source)
        next(records)
        for record in records:
            if len(record) == len(HEADER):
                record[4] = WORDS.get(record[4], record[4])
                if "," not in record[3]:
                    record[3] = f"{float(record[3]):,.2f}".translate(str.maketrans(".,", ",."))
            writer.writerow(record)
    return SupplierFile(path, file.rows, file.duplicates, file.bad, path.stat().st_size)


def _fresh(
    stack: Stack, client: Client, file: SupplierFile, **fields: str
) -> tuple[float, tuple[int, ...]]:
    """Seconds of a fresh import, and its counts."""
    clear(stack)
    checkpoint(stack)
    job, _ = client.follow(client.upload(file, **fields))
    return job_seconds(job), tuple(job[name] for name in COUNTS)
