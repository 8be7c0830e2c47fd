"""``python -m benchmarks soak``: everything at once for a while; errors, growth, p95 of pages.

Imports of 100,000 rows (plain, reviewed, cancelled and retried, undone), edits and bulk acts by
API, people at the pages, webhooks to receivers of which some fail and some are slow, and idle
event streams. Exits 1 with ``problems``: an answer that was not expected, an event that was lost,
or something that grew beyond its bound.
"""

import argparse
import asyncio
import os
import random
import resource
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
import requests

from benchmarks.bench_webhooks import Receiver
from benchmarks.running import Client, database_version, running_stack, sql
from benchmarks.supplier_file import write_supplier_file
from product_importer.local.processes import wait_until
from product_importer.local.stack import Stack

# --- The bounds -----------------------------------------------------------------------
WARM_UP = 0.2  # share of the time after which caches, pools and heaps are as they stay
MEMORY_MB, MEMORY_SHARE = 30.0, 0.15  # that a role may grow after that: the larger of the two
CONNECTIONS_MORE = 5  # in the second half than in the first
DESCRIPTORS_MORE = 40
QUEUE_AGE_SECONDS = 30.0  # of due work and of due deliveries, at most
QUEUE_MESSAGES = 20  # left in the broker when all is quiet
IDLE_SECONDS = 3.0  # after which a client connects anew: the server closes after 5
STREAM_SECONDS = 40.0  # without a byte: a comment comes every 15 s
STREAM_LIFE = 590.0  # the product ends streams after 600 s
END_SECONDS = 180.0  # within which everything comes to rest

EVENTS = {
    # Acts that are told one by one, at a receiver that refuses every tenth at first.
    "/flaky": [
        *("product.created", "product.updated", "product.deleted", "products.bulk_deleted"),
        *("import.completed", "import.failed", "import.cancelled", "import.undone"),
    ],
    "/200/5": ["products.changed"],  # many
    "/200/1000": ["import.completed", "products.bulk_deleted"],  # slow
    "/500": ["import.completed"],  # never takes one
}
TAKES_NOTHING = "/500"
# The client's own book of what it did, which must be the events of the product.
LEDGER = tuple(EVENTS["/flaky"])

# What is right but not 200, by the kind of request: others may have changed or deleted a product.
ALSO_RIGHT: dict[str, tuple[int, ...]] = {
    "page: product": (404,),
    "api: edit": (404,),
    "api: delete": (404,),
    "api: history": (404,),
    "import: cancel": (409,),  # it has just ended
}
PAGES = {
    "home": "/",
    "products": "/products/",
    "products by name": "/products/?ordering=name",
    "products by -price": "/products/?ordering=-price",
    "products q common": "/products/?q=lamp",
    "products q absent": "/products/?q=zzz-no-such-thing",
    "products sku": "/products/?sku=sku-0000",
    "products active by -updated_at": "/products/?active=true&ordering=-updated_at",
    "imports": "/imports/",
    "changes": "/changes/",
    "webhooks": "/webhooks/",
    "admin": "/admin/",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rows", type=int, default=100_000, help="of each file")
    parser.add_argument("--streams", type=int, default=500, help="idle event streams")
    parser.add_argument("--readers", type=int, default=2, help="people at the pages")
    parser.add_argument("--editors", type=int, default=2, help="programs that edit products")
    parser.add_argument("--pause", type=float, default=3, help="seconds between two imports")
    parser.add_argument("--folder", type=Path, help="for its data")


def run(options: argparse.Namespace) -> dict[str, Any]:
    environ = {
        "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",
        # This is one user with the load of hundreds.
        "API_RATE_USER": "off",
        "API_RATE_HEAVY": "off",
    }
    receiver = Receiver()
    try:
        with running_stack(environ=environ, folder=options.folder) as (stack, client):
            return Soak(stack, client, receiver, options).run()
    finally:
        receiver.stop()


class Book:
    """What was asked and answered, by kind; shared by all threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.problems: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answered(self, kind: str, seconds: float) -> None:
        with self._lock:
            self.seconds.setdefault(kind, []).append(seconds)

    def did(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def problem(self, text: str) -> None:
        with self._lock:
            if not self.problems[text]:
                print(f"problem: {text}", file=sys.stderr, flush=True)
            self.problems[text] += 1


class Person:
    """A session that notes every answer."""

    def __init__(self, book: Book, base: str, session: requests.Session) -> None:
        self.book, self.base, self.session = book, base, session
        self._used = time.monotonic()

    def ask(self, kind: str, method: str, path: str, **options: Any) -> requests.Response | None:
        """The answer if it is right, else None; one that is not expected is a problem."""
        if time.monotonic() > self._used + IDLE_SECONDS:
            self.session.close()
        started = time.perf_counter()
        try:
            answer = self.session.request(method, self.base + path, timeout=60, **options)
        except requests.RequestException as error:
            self.book.problem(f"{kind}: {type(error).__name__}: {str(error)[:200]}")
            return None
        finally:
            self._used = time.monotonic()
        self.book.answered(kind, time.perf_counter() - started)
        if answer.status_code in ALSO_RIGHT.get(kind, ()):
            return None
        if not answer.ok:
            line = answer.text.strip().splitlines()[:1]
            self.book.problem(f"{kind}: {answer.status_code} {''.join(line)[:300]}")
            return None
        return answer

    def json(self, kind: str, method: str, path: str, **options: Any) -> dict[str, Any] | None:
        answer = self.ask(kind, method, path, **options)
        return None if answer is None else dict(answer.json())


class Soak:
    def __init__(
        self, stack: Stack, client: Client, receiver: Receiver, options: argparse.Namespace
    ) -> None:
        self.stack, self.client, self.receiver, self.options = stack, client, receiver, options
        self.book = Book()
        self.stopped = threading.Event()
        self.files = [
            write_supplier_file(stack.folder / f"soak-{seed}.csv", options.rows, seed=seed)
            for seed in (1, 2)
        ]

    def run(self) -> dict[str, Any]:
        seconds = self.options.minutes * 60
        subscriptions = self._subscribe()
        streams = Streams(self.book, self.client, self.options.streams, self._idle_job())
        watch = Watch(self.stack, self.client.base, self.book)
        threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in self._work()
        ]
        streams.start()
        watch.start()
        for thread in threads:
            thread.start()
        self.stopped.wait(seconds)
        self.stopped.set()
        watch.load_ends()
        for thread in threads:
            thread.join(END_SECONDS)
            if thread.is_alive():
                self.book.problem(f"{thread.name} did not come to an end")
        streams.stop()
        self._come_to_rest()
        watch.stop()
        delivered = self._check_deliveries(subscriptions)
        self._check_ledger()
        self._check_counts()
        grown = watch.report()
        return {
            "machine": {"cores": os.cpu_count(), "postgres": database_version(self.stack)},
            "minutes": self.options.minutes,
            "rows": self.options.rows,
            "did": dict(sorted(self.book.done.items())),
            "streams": streams.figures(),
            "events": delivered,
            "requests": {
                kind: {
                    "n": len(times),
                    "p50_ms": round(statistics.median(times) * 1000, 1),
                    "p95_ms": round(sorted(times)[ceil(0.95 * len(times)) - 1] * 1000, 1),
                    "most_ms": round(max(times) * 1000, 1),
                }
                for kind, times in sorted(self.book.seconds.items())
            },
            **grown,
            "problems": dict(self.book.problems),
        }

    def _work(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("importer", self._import),
            ("bulk actor", self._act_in_bulk),
            *((f"reader {n}", self._read) for n in range(self.options.readers)),
            *((f"editor {n}", self._editor(n)) for n in range(self.options.editors)),
        ]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever ends a thread is a finding
            name = threading.current_thread().name
            self.book.problem(f"{name} ended: {type(error).__name__}: {str(error)[:300]}")

    def _program(self) -> Person:
        session = requests.Session()
        session.trust_env = False
        session.headers.update(self.client.session.headers)
        return Person(self.book, f"{self.client.base}/api/v1", session)

    def _pause(self, seconds: float) -> bool:
        """Wait; returns whether to go on."""
        return not self.stopped.wait(seconds)

    # --- Imports ------------------------------------------------------------------------

    def _import(self) -> None:
        api = self._program()
        turn = 0
        while not self.stopped.is_set():
            kinds = (self._plain, self._plain, self._reviewed, self._undone, self._cancelled)
            kinds[turn % len(kinds)](api, self.files[turn % 2].path)
            turn += 1
            self._pause(self.options.pause)

    def _upload(self, api: Person, path: Path, **fields: str) -> int | None:
        fields = {"checks": "warn", **fields}
        with path.open("rb") as file:
            job = api.json("import: upload", "POST", "/imports/", files={"file": file}, data=fields)
        return None if job is None else int(job["id"])

    def _until(self, api: Person, job_id: int, *wanted: str) -> dict[str, Any] | None:
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            job = api.json("api: import", "GET", f"/imports/{job_id}/")
            if job is None or job["status"] in wanted:
                return job
            if job["status"] in ("failed", "cancelled", "completed"):
                self.book.problem(f"import {job['status']} instead of {wanted}: {job['error']}")
                return None
            time.sleep(0.2)
        self.book.problem(f"an import is not {' or '.join(wanted)} after {END_SECONDS:.0f} s")
        return None

    def _completed(self, api: Person, job_id: int) -> dict[str, Any] | None:
        job = self._until(api, job_id, "completed")
        if job is not None:
            self.book.did("import.completed")
        return job

    def _plain(self, api: Person, path: Path) -> None:
        job_id = self._upload(api, path)
        if job_id is not None and self._completed(api, job_id):
            self.book.did("imports, plain")

    def _reviewed(self, api: Person, path: Path) -> None:
        job_id = self._upload(api, path, review="true")
        if job_id is None or self._until(api, job_id, "awaiting_review") is None:
            return
        page = api.json("import: diff", "GET", f"/imports/{job_id}/diff/?page_size=100")
        if page and page["next"]:
            path_and_query = page["next"].removeprefix(api.base)
            api.json("import: diff", "GET", path_and_query)
        applied = api.json("import: apply", "POST", f"/imports/{job_id}/apply/")
        if applied and self._completed(api, job_id):
            self.book.did("imports, reviewed")

    def _cancelled(self, api: Person, path: Path) -> None:
        job_id = self._upload(api, path)
        if job_id is None:
            return
        time.sleep(random.uniform(0.1, 3))
        if api.json("import: cancel", "POST", f"/imports/{job_id}/cancel/") is None:
            if self._completed(api, job_id):
                self.book.did("imports, plain")
            return
        self.book.did("import.cancelled")
        retried = api.json("import: retry", "POST", f"/imports/{job_id}/retry/")
        if retried and self._completed(api, job_id):
            self.book.did("imports, cancelled and retried")

    def _undone(self, api: Person, path: Path) -> None:
        job_id = self._upload(api, path)
        job = None if job_id is None else self._completed(api, job_id)
        if job is None or job["change_set"] is None or not job["created"] + job["updated"]:
            return
        undo = api.json("import: undo", "POST", f"/imports/{job_id}/undo/")
        if undo and self._act_completed(api, undo["id"]):
            self.book.did("import.undone")
            self.book.did("imports, undone")

    # --- Edits --------------------------------------------------------------------------

    def _editor(self, number: int) -> Callable[[], None]:
        def edit() -> None:
            api = self._program()
            turn = 0
            while self._pause(0.2):
                turn += 1
                sku = f"EDIT-{number}-{turn}"
                made = api.json(
                    "api: create", "POST", "/products/", json={"sku": sku, "name": "Lamp"}
                )
                if made is None:
                    continue
                self.book.did("product.created")
                path = f"/products/{made['id']}/"
                for price in range(1, 4):
                    if api.json("api: edit", "PATCH", path, json={"price": str(price)}):
                        self.book.did("product.updated")
                api.json("api: history", "GET", f"{path}history/")
                if turn % 3 == 0 and api.ask("api: delete", "DELETE", path) is not None:
                    self.book.did("product.deleted")

        return edit

    def _act_in_bulk(self) -> None:
        api = self._program()
        turn = 0
        while self._pause(5):
            turn += 1
            chosen = {"confirm": True, "filters": {"sku": "EDIT-"}}
            if turn % 4:
                act = api.json(
                    "api: bulk update",
                    "POST",
                    "/products/bulk-update/",
                    json={**chosen, "active": turn % 2 == 0},
                )
            else:
                act = api.json("api: bulk delete", "POST", "/products/bulk-delete/", json=chosen)
            if act is None or not self._act_completed(api, act["id"]):
                continue
            self.book.did("bulk acts")
            if turn % 4 == 0:
                self.book.did("products.bulk_deleted")
                undo = api.json("api: undo", "POST", f"/change-sets/{act['id']}/undo/")
                if undo and self._act_completed(api, undo["id"]):
                    self.book.did("bulk deletes undone")

    def _act_completed(self, api: Person, change_set_id: int) -> bool:
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            act = api.json("api: change set", "GET", f"/change-sets/{change_set_id}/")
            if act is None:
                return False
            if act["status"] in ("completed", "failed", "cancelled"):
                if act["status"] != "completed":
                    self.book.problem(f"{act['kind']} {act['status']}: {act['error']}")
                return bool(act["status"] == "completed")
            time.sleep(0.2)
        self.book.problem(f"a bulk act has not ended after {END_SECONDS:.0f} s")
        return False

    # --- Pages --------------------------------------------------------------------------

    def _read(self) -> None:
        person = Person(self.book, self.client.base, self.client.log_in())
        api = self._program()
        while self._pause(0.1):
            for name, path in PAGES.items():
                person.ask(f"page: {name}", "GET", path)
                if not self._pause(0.1):
                    return
            listed = api.json("api: products", "GET", "/products/?q=lamp&ordering=-price")
            jobs = api.json("api: imports", "GET", "/imports/")
            if listed and listed["results"]:
                product = random.choice(listed["results"])
                person.ask("page: product", "GET", f"/products/{product['id']}/")
            if jobs and jobs["results"]:
                job = random.choice(jobs["results"])
                person.ask("page: import", "GET", f"/imports/{job['id']}/")
                if job["change_set"]:
                    person.ask("page: change", "GET", f"/changes/{job['change_set']}/")

    # --- Webhooks -----------------------------------------------------------------------

    def _subscribe(self) -> dict[str, int]:
        sql(self.stack, "TRUNCATE webhooks_endpoint CASCADE")  # of an earlier soak
        api = self._program()
        found = {}
        for path, events in EVENTS.items():
            made = api.json(
                "api: subscribe",
                "POST",
                "/webhooks/",
                json={"url": self.receiver.base + path, "events": events},
            )
            if made is None:
                raise RuntimeError("the endpoints could not be made")
            found[path] = int(made["id"])
        return found

    def _check_deliveries(self, subscriptions: dict[str, int]) -> dict[str, Any]:
        """Every event that an endpoint subscribes to came there, and is recorded as such."""
        figures = {}
        with psycopg.connect(self.stack.environ["DATABASE_URL"]) as database:
            for path, endpoint in subscriptions.items():
                wanted = {
                    message
                    for (message,) in database.execute(
                        "SELECT 'evt_' || replace(uid::text, '-', '') FROM webhooks_event"
                        " WHERE type = ANY (%s)",
                        [EVENTS[path]],
                    )
                }
                attempts = database.execute(
                    "SELECT count(*) FROM webhooks_attempt WHERE endpoint_id = %s", [endpoint]
                ).fetchone()
                got = self.receiver.first_seen(path).keys()
                figures[path] = {
                    "events": len(wanted),
                    "delivered": len(wanted & got),
                    "attempts": attempts[0] if attempts else 0,
                }
                if (lost := wanted - got) and path != TAKES_NOTHING:
                    self.book.problem(f"{path}: {len(lost)} of {len(wanted)} events did not come")
        return figures

    def _check_ledger(self) -> None:
        """The events of the product are what the clients did."""
        with psycopg.connect(self.stack.environ["DATABASE_URL"]) as database:
            rows = database.execute(
                "SELECT type, count(*) FROM webhooks_event WHERE type = ANY (%s) GROUP BY 1",
                [list(LEDGER)],
            ).fetchall()
        told: Counter[str] = Counter(dict(rows))
        for name in LEDGER:
            if told[name] != self.book.done[name]:
                self.book.problem(f"{name}: {told[name]} events of {self.book.done[name]} acts")

    # --- The end ------------------------------------------------------------------------

    def _idle_job(self) -> int:
        """An import that waits for somebody: its streams have nothing to tell."""
        api = self._program()
        path = self.stack.folder / "soak-idle.csv"
        path.write_text("sku,name\nIDLE-1,Waits for its review\n")
        job_id = self._upload(api, path, review="true")
        if job_id is None or self._until(api, job_id, "awaiting_review") is None:
            raise RuntimeError("the import to wait for did not come to its review")
        return job_id

    def _come_to_rest(self) -> None:
        """Wait until nothing is due any more, but what the receiver never takes."""
        pending = (
            "SELECT (SELECT count(*) FROM webhooks_delivery AS d JOIN webhooks_endpoint AS e"
            " ON e.id = d.endpoint_id WHERE d.state = 'pending' AND e.url NOT LIKE %s)"
            " + (SELECT count(*) FROM catalog_changeset WHERE status IN ('waiting', 'applying'))"
        )
        with psycopg.connect(self.stack.environ["DATABASE_URL"], autocommit=True) as database:

            def quiet() -> bool:
                time.sleep(0.2)
                row = database.execute(pending, [f"%{TAKES_NOTHING}"]).fetchone()
                return row is not None and not row[0]

            try:
                wait_until(quiet, seconds=END_SECONDS, what="everything is done and delivered")
            except TimeoutError as error:
                self.book.problem(str(error))

    def _check_counts(self) -> None:
        with psycopg.connect(self.stack.environ["DATABASE_URL"]) as database:
            (wrong,) = database.execute(
                "SELECT count(*) FROM imports_importjob WHERE status = 'completed' AND"
                " total_records <> created + updated + unchanged + superseded + skipped + rejected"
            ).fetchone() or (0,)
            (left,) = database.execute(
                "SELECT count(*) FROM pg_class WHERE relname ~ '^imports_staging_[0-9]+$'"
                " AND relname <> ALL (SELECT 'imports_staging_' || id FROM imports_importjob"
                "                     WHERE status = 'awaiting_review')"
            ).fetchone() or (0,)
        if wrong:
            self.book.problem(f"the counts of {wrong} imports do not add up")
        if left:
            self.book.problem(f"{left} staging tables were left behind")


# --- Idle streams -----------------------------------------------------------------------


class Streams:
    """Event streams of one import that waits, on raw sockets in one thread."""

    def __init__(self, book: Book, client: Client, number: int, job_id: int) -> None:
        self.book, self.number = book, number
        host, port = client.base.removeprefix("http://").split(":")
        self.address = (host, int(port))
        self.request = (
            f"GET /api/v1/imports/{job_id}/events/ HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: {client.session.headers['Authorization']!s}\r\n"
            "Accept: text/event-stream\r\n\r\n"
        ).encode()
        self.open = self.most_open = self.opened = self.received = 0
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Future[Any] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < self.number + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, self.number + 1000), hard))
        self._thread.start()

    def stop(self) -> None:
        if self.most_open < self.number:
            self.book.problem(f"only {self.most_open} of {self.number} streams were open at a time")
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(30)

    def figures(self) -> dict[str, int]:
        return {"open": self.most_open, "opened": self.opened, "bytes": self.received}

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = asyncio.gather(*(self._follow(number) for number in range(self.number)))
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            return

    async def _follow(self, number: int) -> None:
        await asyncio.sleep(number * 0.01)  # people do not all come in one moment
        while True:
            started = self._loop.time()
            try:
                await self._one_stream()
            except (OSError, TimeoutError) as error:
                self.book.problem(f"stream: {type(error).__name__}: {error}")
                await asyncio.sleep(1)
            lived = self._loop.time() - started
            if lived < STREAM_LIFE:
                self.book.problem("stream: it ended before its time")
                await asyncio.sleep(1)

    async def _one_stream(self) -> None:
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(self.request)
            head = await asyncio.wait_for(reader.readline(), STREAM_SECONDS)
            if b" 200 " not in head:
                self.book.problem(f"stream: {head.decode().strip()}")
                return
            self.opened += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            try:
                while data := await asyncio.wait_for(reader.read(4096), STREAM_SECONDS):
                    self.received += len(data)
                    if b"0\r\n\r\n" in data[-7:]:
                        return  # the end of the chunks
            finally:
                self.open -= 1
        finally:
            writer.close()


# --- Growth -----------------------------------------------------------------------------

SAMPLE_SECONDS = 1.0


class Watch:
    """Memory, descriptors, connections, queues: once a second, in a thread of its own."""

    def __init__(self, stack: Stack, base: str, book: Book) -> None:
        self.stack, self.base, self.book = stack, base, book
        self.samples: dict[str, list[tuple[float, float]]] = {}
        self._began = time.monotonic()
        self._load_ended = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def load_ends(self) -> None:
        """From now on it only comes to rest: growth is measured up to here."""
        self._load_ended = time.monotonic() - self._began

    def stop(self) -> None:
        self._done.set()
        self._thread.join(30)

    def _run(self) -> None:
        with (
            psycopg.connect(self.stack.environ["DATABASE_URL"], autocommit=True) as database,
            redis.Redis.from_url(self.stack.environ["REDIS_URL"]) as broker,
        ):
            while not self._done.wait(SAMPLE_SECONDS):
                try:
                    self._sample(database, broker)
                except (requests.RequestException, redis.RedisError, psycopg.Error) as error:
                    self.book.problem(f"watch: {type(error).__name__}: {str(error)[:200]}")

    def _sample(self, database: "psycopg.Connection[Any]", broker: "redis.Redis") -> None:
        for role, process in self._roles().items():
            memory = descriptors = 0
            for one in _family(process):
                try:
                    found = one.memory_info()
                    # Of PostgreSQL's processes, what each has for itself: the buffers are shared.
                    memory += found.rss - (found.shared if role == "postgres" else 0)
                    if role != "postgres":
                        descriptors += one.num_fds()
                except psutil.Error:
                    continue  # it ended just now
            self._note(f"{role} MB", memory / 1e6)
            if role != "postgres":
                self._note(f"{role} descriptors", descriptors)
        row = database.execute(
            "SELECT count(*), pg_database_size(current_database()) / 1e6 FROM pg_stat_activity"
            " WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        self._note("connections", float(row[0]))
        self._note("database MB", float(row[1]))
        for queue in ("celery", "webhooks"):
            length: Any = broker.llen(queue)
            self._note(f"messages in {queue}", length)
        answer = requests.get(f"{self.base}/readyz", timeout=30)
        ready = answer.json()
        if not ready["ready"]:
            self.book.problem(f"readyz: {answer.text[:200]}")
        self._note("oldest due seconds", ready["oldest_due_seconds"] or 0)
        self._note("oldest due delivery seconds", ready["oldest_due_delivery_seconds"] or 0)

    def _roles(self) -> dict[str, psutil.Process]:
        children = {name: child.pid for name, child in self.stack.processes.items()}
        for name, store in (("postgres", self.stack.postgres), ("valkey", self.stack.valkey)):
            if store and store.child:
                children[name] = store.child.pid
        return {name: psutil.Process(pid) for name, pid in children.items()}

    def _note(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append((time.monotonic() - self._began, float(value)))

    # --- At the end ---------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"memory_mb": {}, "descriptors": {}, "most": {}}
        for name, samples in self.samples.items():
            rows = [(at, value) for at, value in samples if at <= self._load_ended]
            values = [value for _, value in rows]
            if name.endswith(" MB") and name != "database MB":
                figures["memory_mb"][name.removesuffix(" MB")] = self._memory(name, rows)
            elif name.endswith("descriptors") or name == "connections":
                figures["descriptors"][name] = self._halves(name, values)
            else:
                figures["most"][name] = round(max(values), 1)
        for name in ("oldest due seconds", "oldest due delivery seconds"):
            if (most := figures["most"][name]) > QUEUE_AGE_SECONDS:
                self.book.problem(f"{name}: {most} at most, the bound is {QUEUE_AGE_SECONDS:.0f}")
        for queue in ("celery", "webhooks"):
            if (left := self.samples[f"messages in {queue}"][-1][1]) > QUEUE_MESSAGES:
                self.book.problem(f"{left:.0f} messages are left in the queue {queue}")
        sizes = [value for _, value in self.samples["database MB"]]
        figures["database_mb"] = {"start": round(sizes[0]), "end": round(sizes[-1])}
        return figures

    def _memory(self, name: str, rows: list[tuple[float, float]]) -> dict[str, Any]:
        """At the start, after warming up, at the end, MB per minute, and the median of each tenth.

        A leak is a straight line; what only fills caches and heaps flattens.
        """
        values = [value for _, value in rows]
        tenth = max(1, len(values) // 10)
        warm = int(len(values) * WARM_UP)
        settled = rows[warm:]
        slope = _slope(settled) * 60
        before = statistics.median(values[warm : warm + tenth])
        after = statistics.median(values[-tenth:])
        bound = max(MEMORY_MB, MEMORY_SHARE * before)
        if after - before > bound and name != "postgres MB" and name != "valkey MB":
            self.book.problem(f"{name}: {before:.0f} to {after:.0f}; {bound:.0f} more are allowed")
        return {
            "start": round(values[0], 1),
            "warm": round(before, 1),
            "end": round(after, 1),
            "most": round(max(values), 1),
            "per_minute": round(slope, 2),
            "tenths": [
                round(statistics.median(values[at : at + tenth]))
                for at in range(0, tenth * 10, tenth)
                if values[at : at + tenth]
            ],
        }

    def _halves(self, name: str, values: list[float]) -> dict[str, float]:
        """The most in each half of the time after warming up."""
        settled = values[int(len(values) * WARM_UP) :]
        middle = len(settled) // 2
        first, second = max(settled[:middle]), max(settled[middle:])
        allowed = CONNECTIONS_MORE if name == "connections" else DESCRIPTORS_MORE
        if second > first + allowed:
            self.book.problem(f"{name}: {first:.0f}, then {second:.0f}; {allowed} more are allowed")
        return {"first_half": first, "second_half": second}


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _slope(rows: list[tuple[float, float]]) -> float:
    """Least squares: the change of the value per second."""
    if len(rows) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*rows, strict=True)).slope
