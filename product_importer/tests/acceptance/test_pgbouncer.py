"""PostgreSQL behind pgbouncer, which pools transactions: no session outlives one."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
import requests

from product_importer.local.processes import free_port, spawn, stop, wait_until
from product_importer.tests.hosting import WAIT_SECONDS, Hosting, assert_whole, products_csv
from webhooks.tests.receiver import serve

PGBOUNCER = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer")
SESSIONS = 4  # what docs/scaling.md calls the fewest
ROWS = 20_000

pytestmark = pytest.mark.skipif(
    not PGBOUNCER, reason="no pgbouncer: install it, or set PGBOUNCER to its path"
)

CONFIG = """
[databases]
product_importer = host={socket} dbname=product_importer user=product_importer

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = product_importer
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
"""


class Bouncer:
    """A pgbouncer before the database of ``hosting``, with ``SESSIONS`` sessions to give."""

    def __init__(self, hosting: Hosting) -> None:
        self.hosting = hosting
        self.port = free_port(0)
        self.config = hosting.folder / "pgbouncer.ini"
        self.config.write_text(
            CONFIG.format(socket=hosting.postgres.socket, port=self.port, sessions=SESSIONS)
        )
        self.log = hosting.log("pgbouncer")
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PGBOUNCER is not None
        user = self.hosting.postgres.user  # like the server: it refuses to run as root
        self.child = spawn([PGBOUNCER, self.config], log=self.log, user=user)
        wait_until(self._answers, seconds=WAIT_SECONDS, what="pgbouncer answers")

    def stop(self) -> None:
        assert self.child is not None
        stop(self.child, signal.SIGTERM, seconds=5)

    @property
    def url(self) -> str:
        return f"postgres://product_importer@127.0.0.1:{self.port}/product_importer"

    def counts(self) -> tuple[int, int]:
        """How many of us are connected to it, and how many sessions it has of the database."""
        admin = self.url.rsplit("/", 1)[0] + "/pgbouncer"
        with psycopg.connect(admin, autocommit=True) as connection:
            rows = connection.cursor(row_factory=psycopg.rows.dict_row).execute("SHOW POOLS")
            [pool] = [row for row in rows if row["database"] == "product_importer"]
        assert pool["pool_mode"] == "transaction"
        return (
            int(pool["cl_active"]) + int(pool["cl_waiting"]),
            sum(int(pool[f"sv_{state}"]) for state in ("active", "idle", "used", "tested")),
        )

    def _answers(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, self.log.read_text()
        try:
            with psycopg.connect(self.url):
                return True
        except psycopg.OperationalError:
            return False


class MostConnections:
    """Looks at a pool while something else happens."""

    def __init__(self, bouncer: Bouncer) -> None:
        self.clients = self.sessions = 0
        self._bouncer = bouncer
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "MostConnections":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.1):
            clients, sessions = self._bouncer.counts()
            self.clients = max(self.clients, clients)
            self.sessions = max(self.sessions, sessions)


@pytest.fixture
def bouncer(hosting: Hosting) -> Iterator[Bouncer]:
    bouncer = Bouncer(hosting)
    bouncer.start()
    yield bouncer
    hosting.stop_processes()  # before what they are connected to
    bouncer.stop()


def test_the_product_runs_on_a_handful_of_pooled_transactions(
    hosting: Hosting, bouncer: Bouncer
) -> None:
    """Migrate, import with refused records, follow, export, clear, undo, tell by webhook."""
    pooled = {
        "DATABASE_URL": bouncer.url,
        "PGSSLMODE": "disable",
        "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",
    }
    receiver, server = serve()
    hosting.run("python manage.py migrate --no-input", **pooled)
    hosting.begin_web(**{**pooled, "WEB_CONCURRENCY": "2"})
    for name in ("worker-1", "worker-2"):
        hosting.begin_worker(name, **pooled, IMPORT_CHUNK_ROWS="1000")
    hosting.begin("beat", **pooled)
    try:
        with hosting.api() as api, MostConnections(bouncer) as most:
            _use(hosting, api, receiver.url)
        print("clients and sessions, at most:", most.clients, most.sessions)
        assert most.sessions <= SESSIONS < most.clients
        due = "SELECT 1 FROM webhooks_delivery WHERE state = 'pending'"
        wait_until(lambda: not hosting.query(due), seconds=WAIT_SECONDS, what="all is delivered")
        assert hosting.query("SELECT 1 FROM webhooks_delivery WHERE state = 'failed'") == []
        told: Counter[str] = Counter()
        for one in {one.headers["webhook-id"]: one for one in receiver.received}.values():
            data = json.loads(one.body)["data"]
            told[data.get("action", "import")] += len(data.get("products", [0]))
        # Imported, cleared, brought back; and the two imports.
        assert told == {"created": 2 * ROWS, "deleted": ROWS, "import": 2}
        # And nobody was left with the settings or the locks of another.
        locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        wait_until(lambda: not hosting.query(locks), seconds=WAIT_SECONDS, what="no lock is left")
    finally:
        server.shutdown()
        server.server_close()
    for name in ("web", "worker-1", "worker-2"):
        log = hosting.log(name).read_text()
        assert "Traceback" not in log, log[-3000:]


def _use(hosting: Hosting, api: requests.Session, receiver: str) -> None:
    base = f"{hosting.base}/api/v1"
    made = api.post(
        f"{base}/webhooks/",
        json={"url": receiver, "events": ["import.completed", "products.changed"]},
        timeout=300,
    )
    assert made.status_code == 201, made.text
    job_id = hosting.upload(products_csv(ROWS))
    with api.get(f"{base}/imports/{job_id}/events/", stream=True, timeout=300) as stream:
        told = [line for line in stream.iter_lines() if line.startswith(b"data:")]
    assert b'"completed"' in told[-1]
    assert_whole(hosting, job_id, ROWS)

    bad = hosting.upload(b"sku,name,price\n" + b"".join(b"B-%d,x,free\n" % n for n in range(2500)))
    assert hosting.finished(bad)["rejected"] == 2500
    rejects = api.get(f"{base}/imports/{bad}/rejects.csv", timeout=300).text
    assert len(rejects.splitlines()) == 2501

    before = export(base, api)
    assert len(before) == ROWS + 1
    cleared = act(base, api, "products/bulk-delete/", {"confirm": True, "filters": {}})
    assert cleared["deleted"] == ROWS
    assert len(export(base, api)) == 1
    undone = act(base, api, f"change-sets/{cleared['id']}/undo/", {})
    assert undone["created"] == ROWS
    assert sorted(export(base, api)) == sorted(before)


def export(base: str, api: requests.Session) -> list[str]:
    """The lines of the export."""
    answer = api.get(f"{base}/products/export.csv", timeout=300)
    assert answer.status_code == 200
    return answer.text.splitlines()


def act(base: str, api: requests.Session, path: str, data: dict[str, object]) -> dict[str, int]:
    """Ask for a change set, and wait until it is done."""
    answer = api.post(f"{base}/{path}", json=data, timeout=300)
    assert answer.status_code == 202, answer.text
    change_set = answer.json()["id"]

    def done() -> dict[str, int] | None:
        found = api.get(f"{base}/change-sets/{change_set}/", timeout=300).json()
        return found if found["status"] == "completed" else None

    found = wait_until(done, seconds=WAIT_SECONDS, what="the change set is applied")
    assert found is not None
    return found
