"""``python -m benchmarks memory``: what web processes keep after many pages and large uploads."""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from benchmarks.running import Client, running_stack, sql
from product_importer.local.stack import Stack

AT_ONCE = 8
PATHS = (
    "/products/",
    "/products/?q=lamp",
    "/imports/",
    "/changes/",
    "/",
    "/admin/",
)
PRODUCTS = """
INSERT INTO catalog_product (sku, name, description, price, active, version, created_at, updated_at)
SELECT 'S-' || n, 'Lamp ' || n, repeat('text ', 40), n, true, 1, now(), now()
FROM generate_series(1, 20000) AS n
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pages", type=int, default=2_000)
    parser.add_argument("--uploads", type=int, default=200, help="of files that are no CSV")
    parser.add_argument("--megabytes", type=int, default=70, help="of each upload")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with running_stack() as (stack, client):
        sql(stack, PRODUCTS)
        found = {"start": web_memory(stack)}
        session = client.log_in()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            paths = [PATHS[number % len(PATHS)] for number in range(options.pages)]
            for answer in threads.map(lambda p: session.get(client.base + p, timeout=60), paths):
                answer.raise_for_status()
            found["after pages"] = web_memory(stack)
            file = stack.folder / "no-csv.csv"
            file.write_bytes(os.urandom(1_000_000) * options.megabytes)
            try:
                upload = [(client, file)] * options.uploads
                for _ in threads.map(lambda one: _upload(*one), upload):
                    pass
            finally:
                file.unlink()
        found["after uploads"] = web_memory(stack)
        return {"pages": options.pages, "uploads": options.uploads, "web_mb": found}


def _upload(client: Client, file: Path) -> None:
    with file.open("rb") as handle:
        client.session.post(
            f"{client.base}/api/v1/imports/", files={"file": handle}, timeout=300
        ).raise_for_status()


def web_memory(stack: Stack) -> dict[str, Any]:
    """Resident megabytes: of each web process, and of all; ``pss`` shares out what they share."""
    master = psutil.Process(stack.processes["web"].pid)
    family = [master, *master.children(recursive=True)]
    each = [process.memory_full_info() for process in family]
    return {
        "each": [round(one.rss / 1e6) for one in each],
        "rss": round(sum(one.rss for one in each) / 1e6),
        "pss": round(sum(one.pss for one in each) / 1e6),
    }
