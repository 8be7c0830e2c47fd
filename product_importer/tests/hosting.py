"""A hosting platform in small: what a deployment meets that a laptop does not.

Both stores behind TLS with a certificate that nobody vouches for, uploads in a bucket, no disk
that two processes share, and processes that are started from the lines of the Procfile.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import boto3
import psycopg
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer

from product_importer.environment import BASE_DIR
from product_importer.local.postgres import Postgres
from product_importer.local.prepared import migrated_database
from product_importer.local.processes import free_port, spawn, wait_until
from product_importer.local.valkey import Valkey

HOST = "importer.example.com"
PROCFILE = {
    name: command.strip()
    for name, command in (
        line.split(":", 1) for line in (BASE_DIR / "Procfile").read_text().splitlines() if line
    )
}
# https://devcenter.heroku.com/articles/dynos#shutdown: then SIGKILL. Render gives as long.
GRACE_SECONDS = 30
WAIT_SECONDS = 300  # a machine may be slow; what does not come, does not come sooner
HOLD = """
INSERT INTO catalog_product (sku, name, description, active, version, created_at, updated_at)
SELECT sku, 'Held', '', true, 1, now(), now() FROM unnest(%s::text[]) AS sku
"""
EMPTY = """
TRUNCATE catalog_product, catalog_change, catalog_changeset, catalog_removedproduct,
    imports_importjob, imports_importchunk, imports_rowerror, imports_supersededrecord,
    webhooks_event, webhooks_endpoint, django_celery_results_taskresult RESTART IDENTITY CASCADE
"""


def write_certificate(file: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that it signed itself, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


class Hosting:
    """The stores, the bucket and the processes; ``environ`` is what every process gets."""

    def __init__(self, folder: Path, *, static_root: str) -> None:
        self.folder = folder
        self.static_root = static_root  # where the static files were collected
        self.code = BASE_DIR  # where the commands run
        self.postgres = Postgres(folder, like=migrated_database())
        self.valkey = Valkey(folder, password="of-tests", port=0)
        self.bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.certificate = write_certificate(folder / "certificate.pem")
        self.proxies: list[subprocess.Popen[bytes]] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environ: dict[str, str] = {}
        self.database: psycopg.Connection[Any] | None = None  # past TLS and pools
        self.token = ""
        self.port = 0
        self.blocker = 0  # the database session that holds chunks

    def start(self) -> None:
        """Start everything but the product, and release it as the Procfile says."""
        self.postgres.start()
        self.database = psycopg.connect(self.postgres.url(), autocommit=True)
        self.valkey.start()
        self.bucket.start()
        host, port = self.bucket.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.resource(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        ).create_bucket(Bucket="uploads")
        database = self._proxy(f"{self.postgres.socket}/.s.PGSQL.5432", "--postgres")
        broker = self._proxy(str(self.valkey.port))
        self.environ = {
            # Nothing comes along from the tests' own environment.
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "SECRET_KEY": "kD8vQz2Lm9Xw4Rt7" * 4,
            "ALLOWED_HOSTS": HOST,
            "CSRF_TRUSTED_ORIGINS": f"https://{HOST}",
            "DATABASE_URL": f"postgres://product_importer@127.0.0.1:{database}/product_importer",
            "PGSSLMODE": "require",
            "REDIS_URL": f"rediss://:of-tests@127.0.0.1:{broker}/0",
            "REDIS_TLS_VERIFY": "false",
            "UPLOADS_BUCKET": "uploads",
            "AWS_S3_ENDPOINT_URL": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "SHARED_DISK": "false",
            "STATIC_ROOT": self.static_root,
            "DATA_DIR": str(self.folder / "build"),
        }
        self.run(PROCFILE["release"])
        self.run("python manage.py make_admin ops", ADMIN_PASSWORD="a-password-for-tests-1")
        self.token = self.run("python manage.py api_token ops").strip()

    def stop(self) -> None:
        self.stop_processes()
        if self.database is not None:
            self.database.close()
        for proxy in self.proxies:
            proxy.kill()
            proxy.wait()
        self.bucket.stop()
        self.valkey.stop()
        self.postgres.stop()

    def stop_processes(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def empty(self) -> None:
        """No products, jobs, endpoints and messages."""
        self.query(EMPTY)
        with self.valkey.client() as broker:
            broker.flushall()

    # --- Processes --------------------------------------------------------------------

    def run(self, command: str, **environ: str) -> str:
        """Run a command to its end, and return what it printed."""
        done = subprocess.run(
            shlex.split(command),
            cwd=self.code,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def begin(self, kind: str, *, name: str = "", options: str = "", **environ: str) -> None:
        """Start a process of a kind from its line in the Procfile, without a shell around it.

        Each has a disk of its own, and is the head of a process group, as in a container.
        """
        name = name or kind
        self.processes[name] = spawn(
            shlex.split(f"{PROCFILE[kind]} {options}"),
            log=self.log(name),
            environ={**self.environ, "DATA_DIR": str(self.folder / name), **environ},
            cwd=self.code,
        )

    def begin_web(self, **environ: str) -> None:
        self.port = free_port(0)
        self.begin("web", **{"PORT": str(self.port), "WEB_CONCURRENCY": "1", **environ})
        wait_until(self._web_answers, seconds=WAIT_SECONDS, what="the web server answers")

    def begin_worker(self, name: str = "worker", **environ: str) -> None:
        """Start a worker, and wait until it takes messages."""
        self.log(name).unlink(missing_ok=True)
        self.begin("worker", name=name, options=f"--name={name}", **environ)
        wait_until(
            lambda: " ready." in self.log(name).read_text(),
            seconds=WAIT_SECONDS,
            what=f"{name} is ready",
        )

    def end(self, name: str, *, group: bool = False) -> float:
        """SIGTERM, to all of its processes (Heroku) or to the first one only (Docker, Render).

        Returns after how many seconds all of them were gone. One that is not by then would be
        killed by the platform: that is a failure.
        """
        child = self.processes.pop(name)
        started = time.monotonic()
        if child.poll() is None:
            (os.killpg if group else os.kill)(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        wait_until(lambda: not _group_lives(child.pid), seconds=5, what=f"{name} is gone")
        return time.monotonic() - started

    def kill(self, name: str) -> None:
        """The machine is gone: kill -9 of all of its processes."""
        child = self.processes.pop(name)
        if _group_lives(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _proxy(self, target: str, *options: str) -> int:
        port = free_port(0)
        command = [sys.executable, "-m", "product_importer.tests.tls_proxy"]
        command += ["--port", str(port), "--target", target]
        command += ["--certificate", str(self.certificate), *options]
        self.proxies.append(spawn(command, log=self.log(f"proxy-{port}"), cwd=BASE_DIR))
        return port

    # --- What is seen from outside ----------------------------------------------------

    def _web_answers(self) -> bool:
        assert self.processes["web"].poll() is None, self.log("web").read_text()[-3000:]
        try:
            return requests.get(f"{self.base}/healthz", headers={"Host": HOST}, timeout=5).ok
        except requests.RequestException:
            return False

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def api(self) -> Iterator[requests.Session]:
        """The API as a program reaches it, through a router that ended TLS."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Token {self.token}"
            session.headers["Host"] = HOST
            session.headers["X-Forwarded-Proto"] = "https"
            yield session

    def upload(self, content: bytes) -> int:
        with self.api() as api:
            answer = api.post(
                f"{self.base}/api/v1/imports/", files={"file": ("p.csv", content)}, timeout=300
            )
        assert answer.status_code == 202, answer.text
        return int(answer.json()["id"])

    def query(self, statement: str, *params: Any) -> list[dict[str, Any]]:
        """Rows from the database itself."""
        assert self.database is not None
        with self.database.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def job(self, job_id: int) -> dict[str, Any]:
        [found] = self.query("SELECT * FROM imports_importjob WHERE id = %s", job_id)
        return found

    def finished(self, job_id: int) -> dict[str, Any]:
        """Wait for the end of a job, and return its row."""
        wait_until(
            lambda: self.job(job_id)["status"] in ("completed", "failed", "cancelled"),
            seconds=WAIT_SECONDS,
            what="the import ends",
        )
        return self.job(job_id)

    @contextmanager
    def chunks_held(self, skus: list[str]) -> Iterator[None]:
        """Keep the chunks with these SKUs from ending: an open transaction has inserted them."""
        with psycopg.connect(self.postgres.url()) as blocker:
            blocker.execute(HOLD, [skus])
            self.blocker = blocker.info.backend_pid
            yield
            blocker.rollback()
        # The sessions of processes that were killed find out that nobody is there.
        wait_until(lambda: not self.held(), seconds=WAIT_SECONDS, what="no session waits")

    def held(self) -> int:
        """How many sessions wait for the transaction of ``chunks_held``, and for no other one's."""
        [found] = self.query(
            "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
            self.blocker,
        )
        return int(found["count"])


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def products_csv(rows: int) -> bytes:
    """``rows`` products, S-000000 onwards."""
    return b"sku,name,price\n" + b"".join(b"S-%06d,Lamp %d,1.50\n" % (n, n) for n in range(rows))


def assert_whole(hosting: Hosting, job_id: int, rows: int) -> None:
    """The import of ``products_csv(rows)`` into an empty catalogue ended as it should."""
    job = hosting.finished(job_id)
    assert (job["status"], job["error"]) == ("completed", "")
    assert (job["total_records"], job["processed_records"], job["created"]) == (rows, rows, rows)
    others = ("updated", "unchanged", "superseded", "skipped", "rejected")
    assert [job[name] for name in others] == [0] * len(others)
    assert hosting.query(
        "SELECT count(*), count(DISTINCT lower(sku)) AS skus, min(sku) AS first, max(sku) AS last"
        " FROM catalog_product WHERE created_in_id = %s AND version = 1",
        job["change_set_id"],
    ) == [{"count": rows, "skus": rows, "first": "S-000000", "last": f"S-{rows - 1:06d}"}]
    assert hosting.query("SELECT created, updated, deleted FROM catalog_changeset") == [
        {"created": rows, "updated": 0, "deleted": 0}
    ]
