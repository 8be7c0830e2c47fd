"""``python -m benchmarks fields``: ten more columns in a file, and lists filtered by one of them.

The floor is a COPY of the same rows, the ten as one jsonb value, and one upsert.
"""

import argparse
import csv
import json
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import psycopg
from stdnum import ean

from benchmarks.bench_browse import latencies
from benchmarks.bench_export import KEYS, make_fields
from benchmarks.bench_import import job_seconds
from benchmarks.floor import Floor
from benchmarks.running import (
    Client,
    checkpoint,
    clear,
    database_version,
    running_stack,
    spread,
    sql,
)
from benchmarks.supplier_file import HEADER, SupplierFile, write_supplier_file
from product_importer.local.processes import wait_until
from product_importer.local.stack import Stack

CATEGORIES = ("Home > Lamps > Oak", "Garden > Chairs", "Kitchen > Steel", "Travel")
FILTERS: dict[str, dict[str, str]] = {
    "is, one in a hundred": {"fields.brand": "Acme 7"},
    "is, one product": {"fields.mpn": "M-77"},
    "is, none": {"fields.mpn": "no such"},
    "contains": {"fields.mpn__contains": "-4711"},
    "from and to": {"fields.stock__gte": "10", "fields.stock__lte": "11"},
    "by the field": {"fields.brand": "Acme 7", "ordering": "-fields.stock"},
}
INDEXED = ("brand", "mpn", "stock")
INDEXES = 5  # of a text there are two: by its value, and by its parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the medians are told")
    parser.add_argument("--requests", type=int, default=40, help="of each filter")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Returns seconds, ratios and milliseconds; a problem if counts are not what they must be."""
    environ = {"DJANGO_SETTINGS_MODULE": "benchmarks.floor_settings"}
    with running_stack(environ=environ) as (stack, client):
        make_fields(client)
        plain = write_supplier_file(stack.folder / "plain.csv", options.rows)
        wide = _widen(plain, "wide.csv", more_stock=0)
        changed = _widen(plain, "changed.csv", more_stock=1)
        floor = FieldsFloor(stack.environ["DATABASE_URL"], wide.path)
        floor_changed = FieldsFloor(stack.environ["DATABASE_URL"], changed.path)
        try:
            client.follow(client.upload(wide))  # the first import of a worker takes longer
            runs = [
                _floors(floor, floor_changed) | _run(stack, client, wide, changed)
                for _ in range(options.repeat)
            ]
            lists = _lists(stack, client, options)
        finally:
            floor_changed.close()
            floor.close()
        result: dict[str, Any] = {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "load": [round(load, 1) for load in os.getloadavg()],
            "rows": options.rows,
            "file_mb": round(wide.size / 1e6),
        }
        return result | _report(runs) | lists


def _floors(floor: Floor, floor_changed: Floor) -> dict[str, Any]:
    """Seconds of the floor: of a fresh file, of the same again, of one value changed in all."""
    return {
        "floor": floor.fresh(),
        "floor_again": floor.again(),
        "floor_changed": floor_changed.again(),
    }


def _run(stack: Stack, client: Client, wide: SupplierFile, changed: SupplierFile) -> dict[str, Any]:
    one: dict[str, Any] = {}
    clear(stack)
    make_fields(client)
    problems: list[str] = []
    for name, file, told in (
        ("fresh", wide, "created"),
        ("again", wide, "unchanged"),
        ("changed", changed, "updated"),
    ):
        checkpoint(stack)
        job, _ = client.follow(client.upload(file))
        one[name] = job_seconds(job)
        good = file.rows - file.bad - file.duplicates
        if job[told] < 0.99 * good:
            problems.append(f"{name}: {job[told]} {told} of {good}")
    checkpoint(stack)
    one["undo"] = client.undo(job["id"])
    return one | {"problems": problems}


def _report(runs: list[dict[str, Any]]) -> dict[str, Any]:
    def over(name: str, base: str) -> dict[str, float]:
        return spread([one[name] / one[base] for one in runs], digits=2)

    return {
        "seconds": {
            name: round(statistics.median(one[name] for one in runs), 2)
            for name in (
                *("floor", "floor_again", "floor_changed"),
                *("fresh", "again", "changed", "undo"),
            )
        },
        "fresh_over_floor": over("fresh", "floor"),
        "again_over_floor": over("again", "floor"),
        "again_over_floor_again": over("again", "floor_again"),
        "changed_over_floor": over("changed", "floor"),
        # Beside the same upsert into the floor's table, as in ``benchmarks import``.
        "changed_over_floor_changed": over("changed", "floor_changed"),
        "undo_over_changed": over("undo", "changed"),
        "problems": [problem for one in runs for problem in one["problems"]],
    }


def _lists(stack: Stack, client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of lists filtered by a field: without its index, and with it."""
    sql(stack, "VACUUM ANALYZE catalog_product")

    def measured() -> dict[str, Any]:
        return {
            "api_ms": latencies(
                client.session, f"{client.base}/api/v1/products/", FILTERS, options
            ),
            "pages_ms": latencies(client.log_in(), f"{client.base}/products/", FILTERS, options),
        }

    without = measured()
    seconds = _index(stack, client, True)
    told = {"without_index": without, "index_seconds": seconds, "with_index": measured()}
    _index(stack, client, False)
    return told


def _index(stack: Stack, client: Client, wanted: bool) -> float:
    """Ask for the indexes, or for none, and wait for the worker; seconds."""
    expected = INDEXES if wanted else 0
    started = time.perf_counter()
    api = f"{client.base}/api/v1/fields/"
    fields = {one["key"]: one for one in client.session.get(api, timeout=60).json()}
    for key in INDEXED:
        address = f"{api}{fields[key]['id']}/"
        client.session.patch(address, json={"indexed": wanted}, timeout=60).raise_for_status()
    wait_until(lambda: _indexes(stack) == expected, seconds=600, what="the indexes")
    return round(time.perf_counter() - started, 1)


def _indexes(stack: Stack) -> int:
    """How many indexes of own fields are ready."""
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE relname ~ '^catalog_own_field_[0-9]+_(order|part)$' AND indisvalid"
        ).fetchone()
    return int(found[0]) if found else 0


def _widen(plain: SupplierFile, name: str, *, more_stock: int) -> SupplierFile:
    """The records of a file with ten more columns; the last copy of a SKU has the same values."""
    path = plain.path.with_name(name)
    with (
        plain.path.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        reader = csv.reader(source)
        writer = csv.writer(target)
        next(reader)
        writer.writerow([*HEADER, *KEYS])
        for number, record in enumerate(reader):
            # A record that lacks a field stays one that does.
            more = _more(number, more_stock) if len(record) == len(HEADER) else []
            writer.writerow([*record, *more])
    return SupplierFile(path, plain.rows, plain.duplicates, plain.bad, path.stat().st_size)


def _more(number: int, more_stock: int) -> list[str]:
    digits = f"40{number:010d}"
    return [
        f"Acme {number % 100}",
        digits + ean.calc_check_digit(digits),
        f"M-{number}",
        CATEGORIES[number % len(CATEGORIES)],
        str(number % 50 + more_stock),
        f"{number % 500}.90",
        f"{number % 1500}.50",
        f"{number % 10}.250",
        f"https://example.com/images/{number}.jpg",
        "Spring 2026",
    ]


class FieldsFloor(Floor):
    """The floor of the same rows with ten more columns, which are one value as JSON."""

    more: ClassVar[dict[str, str]] = {"own_fields": "jsonb"}

    @staticmethod
    def good_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
        next(rows)
        for row in rows:
            if len(row) == len(HEADER) + len(KEYS) and "," not in row[3] and row[4] != "maybe":
                values = dict(zip(KEYS, row[5:], strict=True))
                stored = values | {"stock": int(values["stock"]), "gtin": "0" + values["gtin"]}
                yield [*row[:5], json.dumps(stored)]
