"""``python -m benchmarks memory``: what web processes keep after many pages and large uploads."""

import argparse
import os
import zipfile
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
    parser.add_argument("--packed", type=int, default=40, help="uploads of archives and workbooks")
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
            files = _files(stack.folder, options.megabytes)
            try:
                for when, kinds, count in (
                    ("after uploads", files[:1], options.uploads),
                    ("after archives and workbooks", files[1:], options.packed),
                ):
                    uploads = [(client, kinds[number % len(kinds)]) for number in range(count)]
                    for _ in threads.map(lambda one: _upload(*one), uploads):
                        pass
                    found[when] = web_memory(stack)
            finally:
                for file in files:
                    file.unlink()
        shape = {name: getattr(options, name) for name in ("pages", "uploads", "packed")}
        return {**shape, "web_mb": found}


def _files(folder: Path, megabytes: int) -> list[Path]:
    """Bytes that are no CSV, plain, in an archive, and in what only its name calls a workbook."""
    plain = folder / "no-csv.csv"
    plain.write_bytes(os.urandom(1_000_000) * megabytes)
    packed = [folder / "no-csv.zip", folder / "no-workbook.xlsx"]
    for file in packed:
        with zipfile.ZipFile(file, "w") as archive:  # stored, so as large
            archive.write(plain, "products.csv")
    return [plain, *packed]


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
