"""``python -m benchmarks browse``: lists, filters, pages, counts, export and clearing over HTTP."""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import psycopg
import requests

from benchmarks.bench_import import ListPageLatency
from benchmarks.memory import PeakMemory
from benchmarks.running import (
    Client,
    checkpoint,
    clear,
    database_version,
    running_stack,
    sql,
    wait_for_search_index,
)
from benchmarks.supplier_file import write_supplier_file
from product_importer.local.stack import Stack

RARE = "SKU-00007919-01"  # one product
COMMON = "lamp"  # in the name of about every seventh, in more descriptions
ABSENT = "zzz-no-such-thing"

# A person's requests: what is asked for, as the list takes it.
CASES: dict[str, dict[str, str]] = {
    "first page": {},
    **{
        f"by {order}": {"ordering": order}
        for order in ("sku", "name", "price", "active", "created_at")
    },
    "by -updated_at": {"ordering": "-updated_at"},
    "q common": {"q": COMMON},
    "q rare": {"q": RARE},
    "q absent": {"q": ABSENT},
    "sku common": {"sku": "sku-0"},
    "sku rare": {"sku": RARE},
    "name common": {"name": COMMON},
    "name absent": {"name": ABSENT},
    "description common": {"description": COMMON},
    "description absent": {"description": ABSENT},
    "active": {"active": "true"},
    "q absent by price": {"q": ABSENT, "ordering": "price"},
    "q common by -name": {"q": COMMON, "ordering": "-name"},
    "last page": {"cursor": "last"},
    "last page by name": {"cursor": "last", "ordering": "name"},
}

# The same in the admin, whose pages have numbers.
ADMIN_CASES: dict[str, dict[str, str]] = {
    "first page": {},
    "page in the middle": {"p": "4900"},
    "by name": {"o": "2"},
    "page in the middle by name": {"o": "2", "p": "4900"},
    "q common": {"q": COMMON},
    "q common, page 500": {"q": COMMON, "p": "500"},
    "q rare": {"q": RARE},
    "q absent": {"q": ABSENT},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--requests", type=int, default=40, help="of each kind")
    parser.add_argument("--deep", type=int, default=0, help="follow “next” this many times")


def run(options: argparse.Namespace) -> dict[str, Any]:
    environ = {"DJANGO_SETTINGS_MODULE": "benchmarks.floor_settings"}
    with running_stack(environ=environ) as (stack, client):
        products, catching_up = fill(stack, client, options.rows)
        result: dict[str, Any] = {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "products": products,
            "search_index": catching_up,
            "api_ms": latencies(client.session, f"{client.base}/api/v1/products/", CASES, options),
            "pages_ms": latencies(client.log_in(), f"{client.base}/products/", CASES, options),
            "admin_ms": latencies(
                client.log_in(), f"{client.base}/admin/catalog/product/", ADMIN_CASES, options
            ),
            "count_again_ms": _count(stack, client),
            "export": export(stack, client),
        }
        if options.deep:
            result["deep"] = _deep(client, options.deep)
        result["bulk_delete"] = bulk_delete(stack, client)
        return result


def fill(stack: Stack, client: Client, rows: int) -> tuple[int, dict[str, Any]]:
    """Import, and look at pages until the search index has caught up; also how that went."""
    file = write_supplier_file(stack.folder / f"supplier-{rows}.csv", rows)
    try:
        job, _ = client.follow(client.upload(file))
    finally:
        file.path.unlink()
    with ListPageLatency(client, "?q=" + RARE) as pages:
        seconds = wait_for_search_index(stack)
    sql(stack, "VACUUM ANALYZE catalog_product, catalog_searchentry")
    meanwhile = _figures(pages.seconds) if pages.seconds else {}
    return int(job["created"]), {"seconds": round(seconds, 1), "q rare meanwhile_ms": meanwhile}


def latencies(
    session: requests.Session,
    address: str,
    cases: dict[str, dict[str, str]],
    options: argparse.Namespace,
) -> dict[str, Any]:
    base = address.split("/", 3)
    floor = f"{base[0]}//{base[2]}/select-1/"
    found = {"SELECT 1": _times(session, lambda: floor, options.requests)}
    for name, query in cases.items():
        url = f"{address}?{urlencode(query)}"
        found[name] = _times(session, lambda url=url: url, options.requests)  # type: ignore[misc]
    return found


def _times(session: requests.Session, url: Callable[[], str], count: int) -> dict[str, float]:
    """Median and p95 of requests one after another, in milliseconds; the first is told apart."""
    seconds = []
    for _ in range(count + 1):
        started = time.perf_counter()
        answer = session.get(url(), timeout=60)
        seconds.append(time.perf_counter() - started)
        answer.raise_for_status()
    return {"first": round(1000 * seconds[0], 1), **_figures(seconds[1:])}


def _figures(seconds: list[float]) -> dict[str, float]:
    return {
        "p50": round(1000 * statistics.median(seconds), 1),
        "p95": round(1000 * sorted(seconds)[int(0.95 * (len(seconds) - 1))], 1),
    }


def _count(stack: Stack, client: Client) -> dict[str, float]:
    """The first page after an edit: the count of what matches has to be made anew."""
    product = client.session.get(f"{client.base}/api/v1/products/?page_size=1", timeout=60)
    address = f"{client.base}/api/v1/products/{product.json()['results'][0]['id']}/"
    seconds = []
    for number in range(10):
        client.session.patch(address, json={"price": f"{number}.50"}, timeout=60)
        started = time.perf_counter()
        client.session.get(f"{client.base}/api/v1/products/?q={COMMON}", timeout=60)
        seconds.append(time.perf_counter() - started)
    return _figures(seconds)


def _deep(client: Client, pages: int) -> dict[str, Any]:
    """Every page up to the last one asked for, by its “next”; the first and last hundred told."""
    url: str | None = f"{client.base}/api/v1/products/"
    seconds: list[float] = []
    while url and len(seconds) < pages:
        started = time.perf_counter()
        answer = client.session.get(url, timeout=60).json()
        seconds.append(time.perf_counter() - started)
        url = answer["next"]
    first, last = _figures(seconds[1:101]), _figures(seconds[-100:])
    return {
        "pages": len(seconds),
        "first_100_ms": first,
        "last_100_ms": last,
        "last_over_first": round(last["p50"] / first["p50"], 2),
    }


def export(stack: Stack, client: Client) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with PeakMemory(stack.processes["web"].pid) as memory:
        for name, query in (("plain", ""), ("for spreadsheets", "?spreadsheet=true")):
            rows = -1
            started = time.perf_counter()
            with client.session.get(
                f"{client.base}/api/v1/products/export.csv{query}", stream=True, timeout=600
            ) as answer:
                answer.raise_for_status()
                for block in answer.iter_content(1 << 18):
                    rows += block.count(b"\n")
            seconds = time.perf_counter() - started
            found[name] = {"lines_per_second": round(rows / seconds), "seconds": round(seconds, 2)}
    found["web_peak_rss_mb"] = round(memory.peak / 1e6, 1)
    return found


def bulk_delete(stack: Stack, client: Client) -> dict[str, Any]:
    """All products, with what undo needs, beside a bare DELETE of the same rows."""
    copy = "CREATE TABLE benchmark_products (LIKE catalog_product INCLUDING ALL)"
    sql(stack, "DROP TABLE IF EXISTS benchmark_products")
    sql(stack, copy)
    sql(stack, "INSERT INTO benchmark_products SELECT * FROM catalog_product")
    sql(stack, "VACUUM ANALYZE benchmark_products")
    checkpoint(stack)
    with psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as connection:
        started = time.perf_counter()
        connection.execute("DELETE FROM benchmark_products")
        floor = time.perf_counter() - started
    sql(stack, "DROP TABLE benchmark_products")
    checkpoint(stack)
    started = time.perf_counter()
    answer = client.session.post(
        f"{client.base}/api/v1/products/bulk-delete/", json={"confirm": True}, timeout=60
    )
    accepted = time.perf_counter() - started
    answer.raise_for_status()
    change_set = answer.json()
    while change_set["status"] not in ("completed", "failed"):
        time.sleep(0.1)
        address = f"{client.base}/api/v1/change-sets/{change_set['id']}/"
        change_set = client.session.get(address, timeout=60).json()
    seconds = time.perf_counter() - started
    if change_set["status"] != "completed":
        raise RuntimeError(f"the bulk delete did not complete: {change_set}")
    clear(stack)
    return {
        "deleted": change_set["deleted"],
        "delete_from_seconds": round(floor, 2),
        "accepted_seconds": round(accepted, 2),
        "seconds": round(seconds, 2),
        "over_delete_from": round(seconds / floor, 2),
    }
