"""``python -m benchmarks stalled``: another user's pages while clients take nothing of answers."""

import argparse
import math
import os
import time
from typing import Any

import requests

from benchmarks.running import Client, database_version, running_stack, sql
from benchmarks.stalled_clients import StalledClients
from product_importer.local.stack import Stack

PAGES = ("/", "/products/", "/imports/", "/api/v1/products/", "/api/v1/imports/")
SEED = """
INSERT INTO catalog_product (sku, name, description, price, active, version, created_at, updated_at)
SELECT 'S-' || n, 'Lamp ' || n, CASE WHEN n <= 200 THEN repeat('long ', 4000) ELSE 'A lamp' END,
    n % 1000, true, 1, now(), now() FROM generate_series(1, {rows}) AS n
"""
REFUSED = """
INSERT INTO imports_rowerror (job_id, line, "column", code, message, record, while_applying)
SELECT {job}, 10 + n, 'price', 'invalid_price', 'No price.',
    jsonb_build_array('S-' || n, repeat('name ', 40), 'free'), false
FROM generate_series(1, 30000) AS n
"""
# Made at once, and without passwords: each has a token only.
USERS = """
from django.contrib.auth.models import User
from product_importer.accounts.tokens import make_token
for number in range({count}):
    user, _ = User.objects.get_or_create(username=f"stalled-{{number}}", is_superuser=True)
    print("token", make_token(user=user)[1])
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--users", type=int, default=20, help="whose clients take nothing")
    parser.add_argument("--rejects", type=int, default=60, help="stalled downloads of rejects.csv")
    parser.add_argument("--exports", type=int, default=26)
    parser.add_argument("--lists", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with running_stack(environ={"API_RATE_HEAVY": "off"}) as (stack, client):
        asked = _prepare(stack, client, options)
        session = client.log_in()
        for one in (session, client.session):
            one.headers["Connection"] = "close"  # not one that the server closes just now
        _phase(client, session, 5)  # warm
        quiet = _phase(client, session, options.seconds)
        with StalledClients(stack.port, asked) as clients:
            time.sleep(5)  # until they have asked
            ready = client.session.get(f"{client.base}/readyz", timeout=60).json()
            attacked = _phase(client, session, options.seconds)
        after = _phase(client, session, 10)
        version = database_version(stack)
    ratio = round(attacked["p95_ms"] / quiet["p95_ms"], 2)
    wrong = attacked["not_200"] + after["not_200"]
    return {
        "machine": {"cores": os.cpu_count(), "postgres": version},
        "stalled": len(asked),
        "quiet": quiet,
        "attacked": attacked,
        "after": after,
        "p95_ratio": ratio,
        "cut_or_refused": clients.cut,
        "readyz": ready,
        "problems": [f"{wrong} answers were not 200"] * bool(wrong)
        + [f"p95 is {ratio} times the quiet one"] * (ratio >= 2),
    }


def _prepare(stack: Stack, client: Client, options: argparse.Namespace) -> list[tuple[str, str]]:
    """Fill the catalogue, and return what is asked for, by whom."""
    upload = {"file": ("p.csv", b"sku,name,price\nA-1,Lamp,1.50\nA-2,Lamp,free\n")}
    job = client.session.post(f"{client.base}/api/v1/imports/", files=upload, timeout=60).json()
    client.follow(job["id"])
    sql(stack, SEED.format(rows=options.rows))
    sql(stack, REFUSED.format(job=job["id"]))
    sql(stack, "VACUUM ANALYZE")
    printed = stack.manage("shell", "-c", USERS.format(count=options.users))
    tokens = [line.split()[1] for line in printed.splitlines() if line.startswith("token ")]
    paths = [
        *[f"/api/v1/imports/{job['id']}/rejects.csv"] * options.rejects,
        *["/api/v1/products/export.csv"] * options.exports,
        *["/api/v1/products/?page_size=200&description=long"] * options.lists,
    ]
    return [(path, tokens[n % len(tokens)]) for n, path in enumerate(paths)]


def _phase(client: Client, session: requests.Session, seconds: float) -> dict[str, Any]:
    """Another user's pages, one after the other for some time."""
    took: list[float] = []
    wrong = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for page in PAGES:
            one = client.session if page.startswith("/api/") else session
            started = time.perf_counter()
            try:
                wrong += one.get(client.base + page, timeout=60).status_code != 200
            except requests.RequestException:
                wrong += 1
            took.append(time.perf_counter() - started)
    took.sort()
    return {
        "requests": len(took),
        "p50_ms": round(1000 * took[len(took) // 2], 1),
        "p95_ms": round(1000 * took[math.ceil(0.95 * len(took)) - 1], 1),
        "max_ms": round(1000 * took[-1], 1),
        "not_200": wrong,
    }
