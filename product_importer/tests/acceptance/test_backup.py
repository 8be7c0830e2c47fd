"""docs/backup.md, tried: a dump in the middle of an import comes up on another machine."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from knox.models import get_token_model

from conftest import Messages, wait_for
from imports.models import ImportJob
from imports.pipeline import chunks
from product_importer.environment import BASE_DIR
from product_importer.local.processes import free_port
from product_importer.local.pytest_plugin import STACK, with_database, worker_number
from product_importer.local.stack import Stack
from webhooks import signing
from webhooks.models import Event
from webhooks.operations import endpoints, events
from webhooks.tests.receiver import Receiver, serve

DOCS = (BASE_DIR / "docs" / "backup.md").read_text()
RESTORED = f"product_importer_restored_{worker_number()}"
ROWS = "".join(f"A-{n:03},{{}}\n" for n in range(60))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


class Machines:
    """The machine that is backed up (the test's own database), and a new one."""

    def __init__(self, old: Stack, folder: Path) -> None:
        self.postgres = old.postgres
        self.old_url = with_database(old.environ["DATABASE_URL"], connection.settings_dict["NAME"])
        self.new_url = with_database(old.environ["DATABASE_URL"], RESTORED)
        self.dump = folder / "product-importer.dump"
        self.environ = {
            "SECRET_KEY": django_settings.SECRET_KEY,
            "DATABASE_URL": self.new_url,
            "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",
        }
        self.new = Stack(folder / "new", port=free_port(0))

    def documented(self, program: str, url: str) -> None:
        """Run the command of docs/backup.md that begins with this program."""
        lines = [line.strip() for line in DOCS.splitlines()]
        (command,) = [line for line in lines if line.startswith(f"{program} ")]
        path = self.postgres.program(program) if self.postgres else shutil.which(program)
        if path is None:
            pytest.skip(f"{program} is not installed")
        words = [
            word.replace("$DATABASE_URL", url).replace("product-importer.dump", str(self.dump))
            for word in command.replace('"', "").replace("'", "").split()[1:]
        ]
        done = subprocess.run([path, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def create_database(self) -> None:
        with psycopg.connect(self.old_url, autocommit=True) as database:
            database.execute(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
            database.execute(f"CREATE DATABASE {RESTORED} TEMPLATE template0")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.new_url, autocommit=True) as database:
            cursor = database.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        self.new.stop()
        with psycopg.connect(self.old_url, autocommit=True) as database:
            database.execute(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")


@pytest.fixture
def machines(
    pytestconfig: pytest.Config, tmp_path: Path, transactional_db: None
) -> Iterator[Machines]:
    tmp_path.chmod(0o755)
    found = Machines(pytestconfig.stash[STACK], tmp_path)
    yield found
    found.remove()


def documented_sql(word: str) -> str:
    """The statement of docs/backup.md that has this word in it."""
    (found,) = [line.strip() for line in DOCS.splitlines() if word in line and "UPDATE" in line]
    return found


def test_a_dump_in_the_middle_of_an_import_goes_on_on_another_machine(
    machines: Machines,
    upload: Callable[..., ImportJob],
    messages: Messages,
    receiver: Receiver,
    user: User,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 10
    monkeypatch.setattr(events, "wake_dispatcher", lambda: None)  # no dispatcher here
    _, token = get_token_model().objects.create(user)
    endpoint, secret = endpoints.create_endpoint(
        actor=user, url=receiver.url, events=["import.completed"]
    )
    first = upload("sku,name\n" + ROWS.format(*["Lamp"] * 60))
    messages.run_all(until=lambda: ImportJob.objects.get(pk=first.pk).is_final)
    first_event = Event.objects.get()  # it is due, and not delivered when the dump is made
    text = "sku,name\n" + ROWS.format(*["Chair"] * 60) + "B-1,\n"
    running = upload(text, checks="warn")  # half of the names change, and that is meant
    waiting = upload("sku,name\nC-1,Table\n")
    messages.run_all(until=lambda: ImportJob.objects.get(pk=running.pk).stage == "applying")
    while not ImportJob.objects.get(pk=running.pk).updated:
        chunks.run_chunks(running.pk, seconds=0)
    messages.run_all(until=lambda: ImportJob.objects.get(pk=waiting.pk).resolved_at)
    running.refresh_from_db()
    assert 0 < running.updated < 60  # in the middle

    machines.documented("pg_dump", machines.old_url)
    uploads = Path(django_settings.STORAGES["uploads"]["OPTIONS"]["location"])
    shutil.copytree(uploads, machines.new.folder / "uploads")
    machines.create_database()
    machines.documented("pg_restore", machines.new_url)
    machines.sql(documented_sql("Held back"))

    for name, value in machines.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REDIS_URL")  # the new machine has a broker of its own, and it is empty
    new = machines.new
    new.start_stores(redis_port=0)
    new.start_web(workers=1)
    new.start_worker()
    new.start_beat()
    new.wait_for_web()
    api = requests.Session()
    api.trust_env = False
    api.headers["Authorization"] = f"Token {token}"
    base = f"http://127.0.0.1:{new.port}/api/v1"

    def job(job_id: int) -> dict[str, Any]:
        found: dict[str, Any] = api.get(f"{base}/imports/{job_id}/", timeout=300).json()
        return found

    both = (running.pk, waiting.pk)
    wait_for(lambda: {job(number)["status"] for number in both} == {"completed"})
    done = job(running.pk)
    assert (done["status"], done["updated"], done["rejected"]) == ("completed", 60, 1)
    assert done["total_records"] == 61
    assert machines.sql("SELECT name, count(*) FROM catalog_product GROUP BY 1 ORDER BY 1") == [
        ("Chair", 60),
        ("Table", 1),
    ]
    left = "SELECT 1 FROM pg_class WHERE relkind = 'r' AND relname ~ '^imports_staging_'"
    wait_for(lambda: not machines.sql(left))

    undo = api.post(f"{base}/imports/{running.pk}/undo/", timeout=300).json()["id"]
    change_set = f"{base}/change-sets/{undo}/"
    wait_for(lambda: api.get(change_set, timeout=300).json()["status"] == "completed")
    assert machines.sql("SELECT name, count(*) FROM catalog_product GROUP BY 1 ORDER BY 1") == [
        ("Lamp", 60),
        ("Table", 1),
    ]

    # Held back until somebody lets them go; then signed with the secret of before.
    assert receiver.received == []
    api.patch(
        f"{base}/webhooks/{endpoint.pk}/", json={"enabled": True}, timeout=300
    ).raise_for_status()
    wait_for(lambda: receiver.received)
    (received,) = receiver.received
    assert received.headers["webhook-id"] == first_event.message_id
    assert json.loads(received.body)["data"]["id"] == first.pk
    assert received.headers["webhook-signature"] == signing.signature(
        secret,
        message_id=first_event.message_id,
        timestamp=int(received.headers["webhook-timestamp"]),
        body=received.body,
    )
    # What happened while they were held back is recovered, as after any time without an endpoint.
    since = {"since": first_event.created_at.isoformat()}
    recovered = api.post(f"{base}/webhooks/{endpoint.pk}/recover/", json=since, timeout=300)
    assert recovered.json() == {"queued": 2}
    wait_for(lambda: len(receiver.received) == 3)
    assert len(set(receiver.ids())) == 3
