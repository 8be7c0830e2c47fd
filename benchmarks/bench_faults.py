"""``python -m benchmarks faults``: imports whose parts are killed, against an undisturbed one.

Each run imports the same file into the same catalogue and breaks something at a random moment.
Afterwards the catalogue, the counts, the refused and the superseded records and the change set
must be what they are without a fault.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
import requests

from benchmarks import stalled_fault
from benchmarks.bench_webhooks import FILL, Receiver
from benchmarks.running import Client, clear, database_version, running_stack, sql
from benchmarks.supplier_file import SupplierFile, write_supplier_file
from product_importer.local.processes import kill, left_in_group, stop, wait_until
from product_importer.local.stack import Stack
from product_importer.local.supervisor import Supervisor
from webhooks.tests.poison import POISON

END_SECONDS = 120.0  # within which an import has to end, whatever happened to it

# What an import leaves, without numbers and times. Products that a run created get other ids in
# each, so everything is told by SKU.
CATALOGUE = """
SELECT sku, name, description, price, active, version, created_in_id IS NOT NULL
FROM catalog_product ORDER BY lower(sku)
"""
CHANGES = """
SELECT product.sku, change.fields, change.old_sku, change.old_name, change.old_description,
       change.old_price, change.old_active, change.old_version
FROM catalog_change AS change JOIN catalog_product AS product ON product.id = change.product_id
WHERE change.change_set_id = %(change_set)s ORDER BY lower(product.sku), change.id
"""
LEFT = {
    "catalogue": CATALOGUE,
    "changes": CHANGES,
    "change set": """
        SELECT status, created, updated, deleted FROM catalog_changeset WHERE id = %(change_set)s
    """,
    "created in it": "SELECT count(*) FROM catalog_product WHERE created_in_id = %(change_set)s",
    "change sets": "SELECT count(*) FROM catalog_changeset WHERE kind = 'import'",
    "rejected": """
        SELECT line, "column", code, record::text FROM imports_rowerror
        WHERE job_id = %(job)s ORDER BY line
    """,
    "superseded": """
        SELECT line, by_line FROM imports_supersededrecord WHERE job_id = %(job)s ORDER BY line
    """,
    "counts": """
        SELECT status, error, total_records, processed_records, created, updated, unchanged,
               superseded, skipped, rejected, warnings::text
        FROM imports_importjob WHERE id = %(job)s
    """,
    "events": """
        SELECT type, count(*) FROM webhooks_event WHERE type LIKE 'import.%%' GROUP BY 1 ORDER BY 1
    """,
}

# A catalogue as it was before each run: products of the same file, some of them different. With
# "every" 2 and "other" 3 most records are new or differ; with 1 and 9 most change nothing.
SEED = """
INSERT INTO catalog_product (sku, name, description, price, active, version, created_at, updated_at)
SELECT sku, CASE WHEN number %% %(other)s = 0 THEN 'Before' ELSE name END, description, price,
       active, 1, now(), now()
FROM (SELECT row_number() OVER (ORDER BY lower(sku)) AS number, * FROM benchmark_products) AS rows
WHERE number %% %(every)s = 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--little", action="store_true", help="a file that changes little")
    parser.add_argument("--only", help="kinds of faults, separated by commas")
    parser.add_argument("--folder", type=Path, help="for its data")


def run(options: argparse.Namespace) -> dict[str, Any]:
    environ = {
        "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",  # where the receivers are
        "IMPORT_CHUNK_ROWS": "10000",  # more chunks than workers, whatever moment is struck
    }
    with running_stack(folder=options.folder, environ=environ) as (stack, client):
        file = write_supplier_file(stack.folder / "faults.csv", options.rows)
        chance = random.Random(options.seed)
        bench = Faults(stack, client, file, chance, little=options.little)
        bench.prepare()
        names = options.only.split(",") if options.only else list(FAULTS)
        runs = [bench.disturbed(names[number % len(names)]) for number in range(options.runs)]
        return {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(stack)},
            "rows": options.rows,
            "undisturbed_seconds": round(bench.seconds, 2),
            "runs": len(runs),
            "identical": sum(not run["differs"] for run in runs),
            "slowest_seconds": max(run["seconds"] for run in runs),
            "by_fault": {
                name: {
                    "runs": len(found),
                    "identical": sum(not run["differs"] for run in found),
                    "slowest_seconds": max(run["seconds"] for run in found),
                }
                for name in names
                if (found := [run for run in runs if run["fault"] == name])
            },
            "differing": [run for run in runs if run["differs"]],
        }


class Faults:
    """A running stack, a file, and what its import leaves when nothing disturbs it."""

    def __init__(
        self,
        stack: Stack,
        client: Client,
        file: SupplierFile,
        chance: random.Random,
        *,
        little: bool = False,
    ) -> None:
        self.stack = stack
        self.client = client
        self.file = file
        self.chance = chance
        self.before = {"every": 1, "other": 9} if little else {"every": 2, "other": 3}
        self.supervisor = Supervisor(stack)
        self.seconds = 0.0
        self.expected: dict[str, str] = {}
        self.detail: dict[str, list[Any]] = {}

    # --- Runs -------------------------------------------------------------------------

    def prepare(self) -> None:
        """Import once to have the products for the catalogue before, once undisturbed."""
        clear(self.stack)
        self.end(self.client.upload(self.file))
        sql(self.stack, "DROP TABLE IF EXISTS benchmark_products")
        sql(
            self.stack,
            "CREATE TABLE benchmark_products AS "
            "SELECT sku, name, description, price, active FROM catalog_product",
        )
        self.start_over()
        started = time.perf_counter()
        job_id = self.client.upload(self.file)
        self.end(job_id)
        self.seconds = time.perf_counter() - started
        self.expected, self.detail = self.left(job_id)

    def start_over(self) -> None:
        clear(self.stack)
        sql(self.stack, SEED, self.before)

    def disturbed(self, name: str) -> dict[str, Any]:
        """One run with one fault at a random moment."""
        self.start_over()
        # A little before the start, too, and after the end of what is quick.
        moment = self.chance.uniform(0.0, self.seconds * 0.95)
        started = time.perf_counter()
        problem = ""
        job_id = 0
        try:
            job_id = FAULTS[name](self, moment)
            self.end(job_id)
        except (TimeoutError, RuntimeError, requests.RequestException) as error:
            problem = str(error)
        seconds = time.perf_counter() - started
        differs = [problem] if problem else self.compare(job_id)
        print(
            f"{name:28} at {moment:5.2f} s: "
            + ("differs: " + "; ".join(differs) if differs else "identical")
            + f", {seconds:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        return {
            "fault": name,
            "moment": round(moment, 2),
            "seconds": round(seconds, 1),
            "differs": differs,
        }

    def end(self, job_id: int) -> None:
        """Wait until a job has ended by itself."""
        wait_until(lambda: self.ended(job_id), seconds=END_SECONDS, what="the import ends")

    def ended(self, job_id: int) -> bool:
        """Whether a job is completed. Raises ``RuntimeError`` if it ended otherwise."""
        self.look_after()
        try:
            job = self.job(job_id)
        except (requests.RequestException, ValueError):
            return False  # the web or the database is away
        if job["status"] in ("failed", "cancelled"):
            raise RuntimeError(f"{job['status']}: {job['error']}")
        return bool(job["status"] == "completed")

    def look_after(self) -> None:
        """Start again what has ended, as ``bin/run`` does all the time."""
        with redirect_stdout(sys.stderr):
            self.supervisor.look_after()

    def job(self, job_id: int) -> dict[str, Any]:
        time.sleep(0.02)
        answer = self.client.session.get(f"{self.client.base}/api/v1/imports/{job_id}/", timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def left(self, job_id: int) -> tuple[dict[str, str], dict[str, list[Any]]]:
        """A digest of everything that an import leaves, and the short parts of it whole."""
        digests: dict[str, str] = {}
        detail: dict[str, list[Any]] = {}
        with psycopg.connect(self.stack.environ["DATABASE_URL"]) as connection:
            row = connection.execute(
                "SELECT change_set_id FROM imports_importjob WHERE id = %s", [job_id]
            ).fetchone()
            assert row is not None
            for name, query in LEFT.items():
                rows = connection.execute(query, {"job": job_id, "change_set": row[0]}).fetchall()
                text = json.dumps(rows, default=str, ensure_ascii=False)
                digests[name] = f"{len(rows)} {hashlib.sha256(text.encode()).hexdigest()}"
                detail[name] = rows[:3] if len(rows) > 3 else rows
        return digests, detail

    def compare(self, job_id: int) -> list[str]:
        found, detail = self.left(job_id)
        return [
            f"{name}: {detail[name]} instead of {self.detail[name]}"
            for name in LEFT
            if found[name] != self.expected[name]
        ]

    # --- Helpers of the faults ----------------------------------------------------------

    def upload_and(self, moment: float, act: Callable[[], None]) -> int:
        """Upload, and do this so many seconds later."""
        job_id = self.client.upload(self.file)
        time.sleep(moment)
        act()
        return job_id

    def restart_worker(self) -> None:
        self.stack.start_worker()

    def kill_and_wait(self, child: Callable[[], subprocess.Popen[bytes] | None]) -> None:
        """kill -9 of what ``bin/run`` has started, and a wait until it has started the next."""
        killed = child()
        assert killed is not None
        killed.kill()

        def started_again() -> bool:
            self.look_after()
            return child() is not killed

        wait_until(started_again, seconds=120, what="it is started again")

    def api(self, method: str, path: str, **data: Any) -> requests.Response:
        answer = self.client.session.request(
            method, f"{self.client.base}/api/v1/{path}", json=data or None, timeout=60
        )
        answer.raise_for_status()
        return answer

    def subscribe(self, url: str) -> int:
        """An endpoint that hears of the import's end; its id."""
        return int(self.api("post", "webhooks/", url=url, events=["import.completed"]).json()["id"])

    def pool_children(self) -> list[psutil.Process]:
        return psutil.Process(self.stack.processes["worker"].pid).children()


# --- The faults -----------------------------------------------------------------------


def worker_child(bench: Faults, moment: float) -> int:
    """kill -9 of one process that runs tasks."""

    def kill_one() -> None:
        children = bench.pool_children()
        if children:
            kill([bench.chance.choice(children)])

    return bench.upload_and(moment, kill_one)


def worker_children_again_and_again(bench: Faults, moment: float) -> int:
    """kill -9 of all processes that run tasks, three times."""

    def kill_all() -> None:
        for _ in range(3):
            kill(bench.pool_children())
            time.sleep(0.5)

    return bench.upload_and(moment, kill_all)


def whole_worker(bench: Faults, moment: float) -> int:
    """kill -9 of the worker and all of its children; a new one starts, as a platform does it."""

    def kill_family() -> None:
        worker = bench.stack.processes.pop("worker")
        kill([psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)])
        worker.wait()
        time.sleep(1)
        bench.restart_worker()

    return bench.upload_and(moment, kill_family)


def worker_shutdown(bench: Faults, moment: float) -> int:
    """SIGTERM, as with every deployment."""

    def end() -> None:
        stop(bench.stack.processes.pop("worker"), signal.SIGTERM, seconds=20)
        bench.restart_worker()

    return bench.upload_and(moment, end)


def broker_flush(bench: Faults, moment: float) -> int:
    """Every message that is waiting or being worked on is gone."""

    def flush() -> None:
        with redis.Redis.from_url(bench.stack.environ["REDIS_URL"]) as client:
            client.flushall()

    return bench.upload_and(moment, flush)


def broker_restart(bench: Faults, moment: float) -> int:
    return bench.upload_and(moment, lambda: _broker_away(bench, 0.0))


def broker_down_for_30_seconds(bench: Faults, moment: float) -> int:
    return bench.upload_and(moment, lambda: _broker_away(bench, 30.0))


def _broker_away(bench: Faults, seconds: float) -> None:
    valkey = bench.stack.valkey
    assert valkey is not None
    assert valkey.child is not None
    valkey.child.kill()
    valkey.child.wait()
    time.sleep(seconds)
    valkey.start()


def broker_away_at_the_upload(bench: Faults, moment: float) -> int:
    """The upload is accepted without a broker; the import starts when it is back."""
    valkey = bench.stack.valkey
    assert valkey is not None
    assert valkey.child is not None
    valkey.child.kill()
    valkey.child.wait()
    job_id = bench.client.upload(bench.file)
    time.sleep(moment)
    valkey.start()
    return job_id


def database_crash(bench: Faults, moment: float) -> int:
    """An immediate stop: what is not in the log is lost, and unlogged staging is emptied."""

    def crash() -> None:
        postgres = bench.stack.postgres
        assert postgres is not None
        assert postgres.child is not None
        postgres.child.send_signal(signal.SIGQUIT)
        postgres.child.wait()
        postgres.start()

    return bench.upload_and(moment, crash)


def database_backend(bench: Faults, moment: float) -> int:
    """All sessions of the database end at once, as after a failover."""
    return bench.upload_and(
        moment,
        lambda: sql(
            bench.stack,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        ),
    )


def beat_away(bench: Faults, moment: float) -> int:
    """No sweep for a while, and the messages are lost."""

    def kill() -> None:
        beat = bench.stack.processes.pop("beat")
        beat.kill()
        beat.wait()
        with redis.Redis.from_url(bench.stack.environ["REDIS_URL"]) as client:
            client.flushall()
        time.sleep(2)
        bench.stack.start_beat()

    return bench.upload_and(moment, kill)


def cancel_and_retry(bench: Faults, moment: float) -> int:
    """Somebody cancels, and thinks again."""
    job_id = bench.client.upload(bench.file)
    time.sleep(moment)
    base = f"{bench.client.base}/api/v1/imports/{job_id}/"
    if bench.client.session.post(f"{base}cancel/", timeout=30).ok:
        sql(bench.stack, "DELETE FROM webhooks_event WHERE type = 'import.cancelled'")
        time.sleep(bench.chance.uniform(0, 4))  # the sweep may have cleared away, or not
        bench.client.session.post(f"{base}retry/", timeout=30).raise_for_status()
    return job_id


def web_in_the_middle_of_an_upload(bench: Faults, moment: float) -> int:
    """kill -9 of the web processes while the file comes in; the person uploads it again."""
    half = bench.file.path.read_bytes()
    stopped = threading.Event()

    def body() -> Any:
        yield (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n'
            b"Content-Type: text/csv\r\n\r\n"
        )
        yield half[: len(half) // 2]
        stopped.wait(20)
        yield half[len(half) // 2 :] + b"\r\n--x--\r\n"

    def upload() -> None:
        try:
            bench.client.session.post(
                f"{bench.client.base}/api/v1/imports/",
                data=body(),
                headers={"Content-Type": "multipart/form-data; boundary=x"},
                timeout=30,
            )
        except requests.RequestException:
            return  # as it has to be: the server died

    sender = threading.Thread(target=upload)
    sender.start()
    time.sleep(moment / 2)
    web = bench.stack.processes.pop("web")
    kill([*psutil.Process(web.pid).children(recursive=True), psutil.Process(web.pid)])
    web.wait()
    stopped.set()
    sender.join()
    bench.stack.start_web()
    bench.stack.wait_for_web()
    return bench.client.upload(bench.file)


def web_master(bench: Faults, moment: float) -> int:
    """kill -9 of the first of the web processes; the others have the port until they are ended."""
    master = bench.stack.processes["web"]
    job_id = bench.upload_and(
        moment, lambda: bench.kill_and_wait(lambda: bench.stack.processes["web"])
    )
    bench.stack.wait_for_web()
    if left := left_in_group(master.pid):
        raise RuntimeError(f"{len(left)} web processes were left")
    return job_id


def postmaster_twice(bench: Faults, moment: float) -> int:
    """kill -9 of the database server at work, and of the next one while it recovers."""
    postgres = bench.stack.postgres
    assert postgres is not None

    def kill_twice() -> None:
        bench.kill_and_wait(lambda: postgres.child)
        time.sleep(bench.chance.uniform(0, 0.3))
        bench.kill_and_wait(lambda: postgres.child)

    return bench.upload_and(moment, kill_twice)


DELIVERED = """
SELECT 'evt_' || replace(event.uid::text, '-', ''), delivery.state
FROM webhooks_delivery AS delivery JOIN webhooks_event AS event ON event.id = delivery.event_id
WHERE delivery.endpoint_id = %s
"""
UNTRIED = """
SELECT count(*) FROM webhooks_delivery AS delivery
WHERE endpoint_id = ANY (%s) AND NOT EXISTS (
    SELECT FROM webhooks_attempt AS attempt WHERE attempt.delivery_id = delivery.id
)
"""
LOST = "SELECT count(*) FROM webhooks_attempt WHERE error = 'worker_lost'"


def poison_receiver(bench: Faults, moment: float) -> int:
    """Two receivers answer what nobody can make sense of; a third one hears everything."""
    receiver = Receiver()
    paths = ("/poison", "/poison/0", "/200/20")
    endpoints = [bench.subscribe(receiver.base + path) for path in paths]
    try:
        job_id = bench.upload_and(
            moment,
            lambda: sql(bench.stack, FILL, {"events": len(POISON), "endpoints": endpoints}),
        )
        bench.end(job_id)
        _check_deliveries(bench, receiver, endpoints)
        return job_id
    finally:
        for endpoint_id in endpoints:
            bench.api("delete", f"webhooks/{endpoint_id}/")
        receiver.stop()


def _check_deliveries(bench: Faults, receiver: Receiver, endpoints: list[int]) -> None:
    """Raise ``RuntimeError`` unless all has been tried, and all of the last one's arrived."""
    good = endpoints[-1]
    with psycopg.connect(bench.stack.environ["DATABASE_URL"], autocommit=True) as connection:

        def found(query: str, *params: Any) -> list[tuple[Any, ...]]:
            return connection.execute(query, params or None).fetchall()

        wait_until(
            lambda: (
                found(UNTRIED, endpoints) == [(0,)]
                and "pending" not in {state for _, state in found(DELIVERED, good)}
            ),
            seconds=90,
            what="everything has been delivered",
        )
        delivered = found(DELIVERED, good)
        lost = found(LOST)[0][0]
    seen = receiver.first_seen("/200/20")
    missing = [uid for uid, state in delivered if state != "succeeded" or uid not in seen]
    if missing or lost or len(delivered) <= len(POISON):
        raise RuntimeError(
            f"{len(missing)} of {len(delivered)} deliveries did not arrive, {lost} worker_lost"
        )


def clients_that_do_not_read(bench: Faults, moment: float) -> int:
    """A user's clients ask for downloads and lists and read nothing; others are answered."""
    token = stalled_fault.token(bench.stack)
    job_id = bench.upload_and(moment, lambda: None)
    other = stalled_fault.refused_job(bench.stack, job_id)
    with stalled_fault.stalled_clients(bench.client.base, token, other):
        answers = stalled_fault.ask(bench.client, until=lambda: bench.ended(job_id))
    if set(answers) != {"200"}:
        raise RuntimeError(f"others were answered {dict(answers)}")
    return job_id


FAULTS: dict[str, Callable[[Faults, float], int]] = {
    "worker child": worker_child,
    "worker children, 3 times": worker_children_again_and_again,
    "whole worker": whole_worker,
    "worker shutdown": worker_shutdown,
    "broker flush": broker_flush,
    "broker restart": broker_restart,
    "database crash": database_crash,
    "database sessions": database_backend,
    "beat away": beat_away,
    "cancel and retry": cancel_and_retry,
    "web during upload": web_in_the_middle_of_an_upload,
    "broker away at the upload": broker_away_at_the_upload,
    "web master": web_master,
    "postmaster twice": postmaster_twice,
    "poison receiver": poison_receiver,
    "stalled clients": clients_that_do_not_read,
    "broker down for 30 s": broker_down_for_30_seconds,
}
