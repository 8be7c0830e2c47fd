"""``python -m benchmarks export``: 15 columns as CSV and as workbook, beside a bare COPY."""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import psutil
import psycopg

from benchmarks.memory import PeakMemory
from benchmarks.running import Client, database_version, running_stack, sql
from product_importer.local.stack import Stack

KEYS = (
    *("brand", "gtin", "mpn", "category", "stock", "cost", "compare_at_price", "weight", "image"),
    "season",
)
FILL = """
INSERT INTO catalog_product
    (sku, name, description, price, active, version, created_at, updated_at, own_fields)
SELECT 'SKU-' || lpad(n::text, 8, '0') || '-01', 'Oak lamp number ' || n,
    'A lamp of oak, with ' || n || ' parts, 20 cm high, for the living room',
    n % 1000 + 0.5, n % 3 > 0, 1, now(), now(),
    jsonb_build_object(
        'brand', 'Acme ' || n % 100, 'gtin', lpad(n::text, 14, '0'), 'mpn', 'M-' || n,
        'category', 'Home > Lamps > Oak', 'stock', n % 50,
        'cost', (n % 500)::numeric(10, 2)::text,
        'compare_at_price', (n % 1500)::numeric(10, 2)::text,
        'weight', (n % 10)::numeric(10, 3)::text,
        'image', 'https://example.com/images/' || n || '.jpg', 'season', 'Spring 2026')
FROM generate_series(1, {rows}) AS n
"""
FLOOR = f"""
COPY (SELECT sku, name, description, price, active, {", ".join(KEYS)} FROM catalog_product,
    jsonb_to_record(own_fields) AS own({", ".join(f"{key} text" for key in KEYS)}) ORDER BY id)
TO STDOUT (FORMAT csv)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the best is told as well")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with running_stack(workers=1) as (stack, client):
        make_fields(client)
        _fill(stack, options.rows)
        seconds: dict[str, list[float]] = {"floor": [], "csv": [], "xlsx": []}
        peaks: dict[str, float] = {}
        for _ in range(options.repeat):
            seconds["floor"].append(_timed(lambda: _copy(stack)))
            for kind in ("csv", "xlsx"):
                with PeakMemory(stack.processes["web"].pid) as memory:
                    seconds[kind].append(_timed(lambda kind=kind: _drain(client, kind)))  # type: ignore[misc]
                peaks[kind] = max(peaks.get(kind, 0), round(memory.peak / 1e6, 1))
        return {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "load": round(psutil.getloadavg()[0], 1),
            "rows": options.rows,
            "rows_per_second": {
                name: {
                    "median": round(options.rows / statistics.median(found)),
                    "best": round(options.rows / min(found)),
                }
                for name, found in seconds.items()
            },
            "csv_over_floor": round(min(seconds["csv"]) / min(seconds["floor"]), 2),
            "web_peak_rss_mb": peaks,
        }


def make_fields(client: Client) -> None:
    """The ten fields of ``KEYS``, where they are not there yet."""
    api = f"{client.base}/api/v1/fields/"
    client.session.post(f"{api}ready-made/", timeout=60).raise_for_status()
    there = {one["key"] for one in client.session.get(api, timeout=60).json()}
    if "season" not in there:
        season = {"label": "Season", "type": "text"}
        client.session.post(api, json=season, timeout=60).raise_for_status()


def _fill(stack: Stack, rows: int) -> None:
    sql(stack, FILL.format(rows=rows))
    sql(stack, "VACUUM ANALYZE catalog_product")


def _timed(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _copy(stack: Stack) -> None:
    with (
        psycopg.connect(stack.environ["DATABASE_URL"]) as connection,
        connection.cursor().copy(FLOOR) as copy,
    ):
        for _ in copy:
            pass


def _drain(client: Client, kind: str) -> None:
    address = f"{client.base}/api/v1/products/export.{kind}"
    with client.session.get(address, stream=True, timeout=600) as answer:
        answer.raise_for_status()
        for _ in answer.iter_content(1 << 18):
            pass
