"""``python -m benchmarks webhooks``: deliveries per second, delay beside a backlog, fan-out."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import psycopg
import requests

from benchmarks.running import CLEAR, Client, database_version, running_stack
from product_importer.environment import BASE_DIR
from product_importer.local.processes import wait_until
from webhooks.signing import headers, new_secret

# Events of one type and their deliveries, as many acts at once would write them.
FILL = """
WITH event AS (
    INSERT INTO webhooks_event (type, body, created_at)
    SELECT 'product.updated',
           convert_to('{"type":"product.updated","timestamp":"2026-01-01T00:00:00+00:00",'
               || '"sequence":' || n || ',"data":{"id":' || n || ',"sku":"SKU-' || n
               || '","name":"Nordic oak table","price":"129.00","active":true}}', 'UTF8'),
           now()
    FROM generate_series(1, %(events)s) AS n RETURNING id
)
INSERT INTO webhooks_delivery (
    event_id, endpoint_id, state, is_test, tries, next_attempt_at, claims, created_at
)
SELECT event.id, endpoint, 'pending', false, 0, now(), 0, now()
FROM event CROSS JOIN unnest(%(endpoints)s::bigint[]) AS endpoint
"""
PENDING = (
    "SELECT count(*) FROM webhooks_delivery WHERE state = 'pending' AND endpoint_id = ANY (%s)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--deliveries", type=int, default=10_000, help="per measurement")
    parser.add_argument("--endpoints", type=int, default=8, help="that answer after 100 ms")
    parser.add_argument("--backlog", type=int, default=500_000, help="due deliveries that fail")
    parser.add_argument("--stuck", type=int, default=100, help="endpoints that hang together")
    parser.add_argument("--products", type=int, default=500_000, help="of the bulk act")
    parser.add_argument("--seconds", type=float, default=20, help="of each delay measurement")
    parser.add_argument("--only", nargs="*", default=["rate", "delay", "fanout"])


def run(options: argparse.Namespace) -> dict[str, Any]:
    receiver = Receiver()
    try:
        with (
            running_stack(environ={"WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8"}) as (stack, client),
            psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as database,
        ):
            bench = Bench(client, receiver, database)
            result: dict[str, Any] = {
                "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)}
            }
            if "rate" in options.only:
                result |= bench.rates(options.deliveries, options.endpoints)
            if "delay" in options.only:
                result["delay_while_another_fails"] = bench.delay(
                    "/500", options.backlog, options.seconds
                )
                result["delay_while_another_hangs"] = bench.delay(
                    "/hang", options.backlog, options.seconds
                )
                result[f"delay_while_{options.stuck}_hang"] = bench.delay(
                    "/hang", options.backlog, options.seconds, endpoints=options.stuck
                )
            if "fanout" in options.only:
                result["fan_out"] = bench.fan_out(options.products)
            return result
    finally:
        receiver.stop()


class Receiver:
    """The receiver in a process of its own."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.receiver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=BASE_DIR,
        )
        assert self.child.stdout is not None
        self.base = f"http://127.0.0.1:{int(self.child.stdout.readline())}"

    def first_seen(self, path: str) -> dict[str, float]:
        times: dict[str, float] = requests.get(f"{self.base}/times{path}", timeout=30).json()
        return times

    def stop(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait(10)


class Bench:
    def __init__(
        self, client: Client, receiver: Receiver, database: "psycopg.Connection[Any]"
    ) -> None:
        self.client, self.receiver, self.database = client, receiver, database
        self.api = f"{client.base}/api/v1"

    def rates(self, deliveries: int, endpoints: int) -> dict[str, Any]:
        bare = self._bare(deliveries)
        one = self._rate("/200", deliveries, 1)
        four = self._rate("/200", deliveries, 4)
        slow = self._rate("/200/100", deliveries, endpoints)
        return {
            "deliveries": deliveries,
            "bare_loop_per_second": round(bare),
            "instant_one_endpoint_per_second": round(one),
            "instant_four_endpoints_per_second": round(four),
            "over_the_bare_loop": round(one / bare, 2),
            "endpoints_at_100_ms": endpoints,
            "at_100_ms_per_second": round(slow),
        }

    def _bare(self, number: int) -> float:
        """A loop of ``Session.post`` with the same body and headers, one after the other."""
        body = b'{"type":"product.updated","sequence":1,"data":{"id":1,"sku":"SKU-1"}}' * 3
        signed = headers([new_secret()], message_id="evt_bare", timestamp=1, body=body)
        session = requests.Session()
        started = time.perf_counter()
        for _ in range(number):
            session.post(self.receiver.base + "/200", data=body, headers=signed, timeout=15)
        return number / (time.perf_counter() - started)

    def _rate(self, path: str, deliveries: int, endpoints: int) -> float:
        """Deliveries per second from the commit to the last recorded attempt."""
        ids = [self._subscribe(path, ["import.failed"]) for _ in range(endpoints)]
        self.database.execute("CHECKPOINT")
        started = time.perf_counter()
        self.database.execute(FILL, {"events": deliveries // endpoints, "endpoints": ids})
        self._wake(ids[0])
        wait_until(lambda: not self._count(PENDING, [ids]), seconds=300, what="all are delivered")
        seconds = time.perf_counter() - started
        for endpoint_id in ids:
            self._delete(endpoint_id)
        return deliveries / seconds

    def delay(
        self, path: str, backlog: int, seconds: float, *, endpoints: int = 1
    ) -> dict[str, Any]:
        """The first attempt's delay at an endpoint that answers, beside some with a backlog."""
        self.database.execute(CLEAR)
        bad = [self._subscribe(path, ["import.failed"]) for _ in range(endpoints)]
        good = self._subscribe("/200/20", ["product.created"])
        self.database.execute(FILL, {"events": backlog // endpoints, "endpoints": bad})
        self.database.execute("ANALYZE webhooks_delivery")
        self._wake(bad[0])
        sent_until = time.perf_counter() + seconds
        number = 0
        while time.perf_counter() < sent_until:
            number += 1
            self._post("products/", sku=f"DELAY-{path}-{number}", name="x").raise_for_status()
            time.sleep(0.1)
        wait_until(
            lambda: not self._count(PENDING, [[good]]), seconds=120, what="all are delivered"
        )
        rows = self.database.execute(
            "SELECT 'evt_' || replace(event.uid::text, '-', ''),"
            " extract(epoch FROM event.created_at)::float8"
            " FROM webhooks_event AS event WHERE event.type = 'product.created'"
        ).fetchall()
        seen = self.receiver.first_seen("/200/20")
        delays = sorted(seen[message] - at for message, at in rows)
        attempts = self._count(
            "SELECT count(*) FROM webhooks_attempt WHERE endpoint_id = ANY (%s)", [bad]
        )
        for endpoint_id in [*bad, good]:
            self._delete(endpoint_id)
        return {
            "backlog": backlog,
            "attempts_of_the_backlog_meanwhile": attempts,
            "events": len(delays),
            "p50_seconds": round(statistics.median(delays), 3),
            "p95_seconds": round(delays[int(0.95 * (len(delays) - 1))], 3),
            "most_seconds": round(delays[-1], 3),
        }

    def fan_out(self, products: int) -> dict[str, Any]:
        """What a subscriber to ``products.changed`` adds to a bulk delete of all products."""
        alone = self._bulk_delete(products)
        listener = self._subscribe("/200/20", ["products.changed"])
        heard = self._bulk_delete(products)
        queued = self._count(
            "SELECT count(*) FROM webhooks_delivery WHERE endpoint_id = %s", [listener]
        )
        longest = self._count("SELECT max(octet_length(body)) FROM webhooks_event", [])
        self._delete(listener)
        return {
            "products": products,
            "bulk_delete_seconds": round(alone, 2),
            "with_a_subscriber_seconds": round(heard, 2),
            "added_seconds": round(heard - alone, 2),
            "deliveries": queued,
            "largest_body": longest,
        }

    def _bulk_delete(self, products: int) -> float:
        self.database.execute(CLEAR)
        self.database.execute(
            "INSERT INTO catalog_product (sku, name, description, price, active, version,"
            " created_at, updated_at) SELECT 'SKU-' || lpad(n::text, 8, '0'), 'Lamp ' || n,"
            " repeat('text ', 15), 9.99, true, 1, now(), now()"
            " FROM generate_series(1, %s) AS n",
            [products],
        )
        self.database.execute("ANALYZE catalog_product")
        self.database.execute("CHECKPOINT")
        started = time.perf_counter()
        self._post("products/bulk-delete/", confirm=True).raise_for_status()
        wait_until(
            lambda: self._count(
                "SELECT count(*) FROM catalog_changeset WHERE status = 'completed'", []
            ),
            seconds=300,
            what="the products are deleted",
        )
        return time.perf_counter() - started

    def _subscribe(self, path: str, events: list[str]) -> int:
        answer = self._post("webhooks/", url=self.receiver.base + path, events=events)
        answer.raise_for_status()
        return int(answer.json()["id"])

    def _wake(self, endpoint_id: int) -> None:
        self._post(f"webhooks/{endpoint_id}/test/").raise_for_status()

    def _delete(self, endpoint_id: int) -> None:
        self.client.session.delete(f"{self.api}/webhooks/{endpoint_id}/", timeout=60)

    def _post(self, path: str, **data: Any) -> requests.Response:
        return self.client.session.post(f"{self.api}/{path}", json=data, timeout=60)

    def _count(self, statement: str, params: list[Any]) -> int:
        row = self.database.execute(statement, params).fetchone()
        assert row is not None
        return int(row[0] or 0)
