"""The product as it runs, on data of its own, for one benchmark."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import requests

from benchmarks.supplier_file import SupplierFile
from product_importer.environment import BASE_DIR
from product_importer.local import prepared
from product_importer.local.processes import end_leftovers, free_port, keep_bytecode, wait_until
from product_importer.local.stack import Stack

PASSWORD = "benchmark-password-1"  # noqa: S105 (of a database that lives for one run)
CLEAR = """
TRUNCATE catalog_product, catalog_change, catalog_changeset, catalog_removedproduct,
    imports_importjob, imports_importchunk, imports_rowerror, imports_supersededrecord,
    webhooks_event, django_celery_results_taskresult, catalog_broughtback,
    catalog_searchindex, catalog_searchentry, catalog_sortentry RESTART IDENTITY CASCADE
"""
# With the fields of the catalogue go their indexes, or the next ones would meet them.
DROP_FIELD_INDEXES = """
DO $$
DECLARE index_name text;
BEGIN
    FOR index_name IN SELECT relname FROM pg_class WHERE relname ~ '^catalog_own_field_[0-9]+_'
    LOOP
        EXECUTE format('DROP INDEX IF EXISTS %I', index_name);
    END LOOP;
END $$
"""

SEARCH_INDEX_BEHIND = """
SELECT (SELECT count(*) FROM catalog_product WHERE id > product)
     + (SELECT count(*) FROM catalog_change WHERE id > change)
FROM catalog_searchindex WHERE caught_up_at IS NOT NULL
"""


class Client:
    """The API, as another program would use it."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Token {token}"

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            with suppress(requests.RequestException):
                return self.session.get(f"{self.base}/readyz", timeout=30).ok
            return False

        wait_until(is_ready, seconds=300, what="the stack is ready")

    def upload(self, file: SupplierFile, **fields: str) -> int:
        """Start an import; files that change all prices and names are not to wait for anybody."""
        fields = {"checks": "warn", **fields}
        with file.path.open("rb") as handle:
            answer = self.session.post(
                f"{self.base}/api/v1/imports/", files={"file": handle}, data=fields, timeout=300
            )
        answer.raise_for_status()
        return int(answer.json()["id"])

    def post(self, path: str, **values: Any) -> dict[str, Any]:
        """What the API answers; ``path`` is below its root. Raises ``RuntimeError`` with it."""
        answer = self.session.post(f"{self.base}/api/v1/{path}", json=values, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{path}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found

    def make_supplier(self, **values: Any) -> int:
        """The only supplier, made anew: the benchmark before may have left one. Its number."""
        suppliers = f"{self.base}/api/v1/suppliers/"
        for old in self.session.get(suppliers, timeout=30).json()["results"]:
            self.session.delete(f"{suppliers}{old['id']}/", timeout=30).raise_for_status()
        return int(self.post("suppliers/", name="Benchmark", **values)["id"])

    def undo(self, job_id: int) -> float:
        """Undo an import, and wait for it; return the seconds."""
        started = time.perf_counter()
        undo = self.post(f"imports/{job_id}/undo/")
        address = f"{self.base}/api/v1/change-sets/{undo['id']}/"
        wait_until(
            lambda: self.session.get(address, timeout=30).json()["status"] == "completed",
            seconds=600,
            what="the undo",
        )
        return time.perf_counter() - started

    def follow(self, job_id: int) -> tuple[dict[str, Any], float]:
        """Read a job's event stream to its end; also seconds to the first event."""
        started = time.perf_counter()
        first = None
        last: dict[str, Any] = {}
        url = f"{self.base}/api/v1/imports/{job_id}/events/"
        while last.get("status") not in ("completed", "failed", "cancelled"):
            with self.session.get(url, stream=True, timeout=600) as stream:
                for line in stream.iter_lines():
                    if line.startswith(b"data:"):
                        first = first or time.perf_counter() - started
                        last = json.loads(line[5:])
        if last["status"] != "completed":
            raise RuntimeError(f"the import did not complete: {last}")
        return last, first or 0.0

    def log_in(self) -> requests.Session:
        """A session of a person at the pages."""
        session = requests.Session()
        session.trust_env = False
        login = f"{self.base}/login/"
        session.get(login, timeout=30)
        session.post(
            login,
            data={
                "username": "benchmark",
                "password": PASSWORD,
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            },
            headers={"Referer": login},
            timeout=30,
        ).raise_for_status()
        return session


@contextmanager
def running_stack(
    *, workers: int = 2, environ: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[Stack, Client]]:
    """Start everything on the data of the last benchmark, emptied; stop it at the end."""
    folder = folder or BASE_DIR / ".data-benchmark"
    folder.mkdir(exist_ok=True)
    keep_bytecode(folder)
    end_leftovers(folder / "processes")
    stack = Stack(folder, port=free_port(0))
    try:
        stack.start_stores(redis_port=0, like=prepared.migrated_database())
        stack.environ |= {"STATIC_ROOT": str(prepared.static_files()), **(environ or {})}
        stack.manage("migrate", "--no-input")
        stack.manage("make_admin", "benchmark", environ={"ADMIN_PASSWORD": PASSWORD})
        clear(stack)
        token = stack.manage("api_token", "benchmark").strip()
        stack.start_web()
        stack.start_worker(concurrency=workers)
        stack.start_beat()
        stack.wait_for_web()
        client = Client(f"http://127.0.0.1:{stack.port}", token)
        client.wait_until_ready()
        yield stack, client
    finally:
        stack.stop()


def spread(values: list[float], *, digits: int = 3) -> dict[str, float]:
    """The median of some runs' figures, and the least and the most."""
    told = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in told.items()}


def sql(stack: Stack, statement: str, params: dict[str, Any] | None = None) -> None:
    """Run one statement, outside any transaction."""
    with psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(statement, params)


def clear(stack: Stack) -> None:
    """Empty the tables; again where a worker at its search index waits for them as well."""
    for left in reversed(range(5)):
        try:
            sql(stack, CLEAR)
            break
        except psycopg.errors.DeadlockDetected:
            if not left:
                raise
    sql(stack, DROP_FIELD_INDEXES)


def wait_for_search_index(stack: Stack) -> float:
    """Wait until the search index covers all there is; return the seconds."""
    started = time.perf_counter()
    with psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as connection:
        wait_until(
            lambda: connection.execute(SEARCH_INDEX_BEHIND).fetchone() == (0,),
            seconds=3600,
            what="the search index has caught up",
        )
    return time.perf_counter() - started


def checkpoint(stack: Stack) -> None:
    sql(stack, "CHECKPOINT")


def database_version(stack: Stack) -> str:
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])
