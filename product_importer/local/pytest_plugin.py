"""Starts a PostgreSQL and a Valkey of their own for one test run.

Loaded by ``-p`` (pyproject.toml), because they must answer before pytest-django reads the
settings. DATABASE_URL and REDIS_URL take their place, as for ``bin/run``.

The processes of a run share the servers. Each has its own database, which it copies from one that
is migrated, its own database of the broker and its own folder.
"""

import atexit
import gc
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from xdist.scheduler import LoadScopeScheduling

from product_importer.local import prepared
from product_importer.local.postgres import Postgres
from product_importer.local.processes import keep_bytecode
from product_importer.local.stack import Stack

STACK = pytest.StashKey[Stack]()
MIGRATED = pytest.StashKey[str]()  # the name of the database that tests begin with a copy of
FOLDER = "PRODUCT_IMPORTER_TESTS"  # for the processes of a run: the folder of its servers
EMBEDDED = "product_importer"
ELSEWHERE = "product_importer_tests"  # on a server that is not ours, where that name may be taken


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    """A wrapper, so that it runs before pytest-django's own hook of this name."""
    number = worker_number()
    if not number:
        keep_bytecode(prepared.KEPT_IN)
    stack = _part_of_run(number) if number else _start()
    os.environ.update(stack.environ)
    early_config.stash[STACK] = stack
    early_config.stash[MIGRATED] = _name(stack.environ["DATABASE_URL"])
    yield


def worker_number() -> int:
    """Which process of the run this is, from 1; 0 where there is only one, and for the first."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1


class GroupScheduling(LoadScopeScheduling):
    """One process of the run has all the tests of a group; the others go to whoever is free.

    xdist's own scheduling does it by the ids of the tests, to which it adds the group. Since pytest
    9.2 they stay as they are, and groups would be torn apart without a word.
    """

    groups: dict[str, str]  # by the id of a test

    def _split_scope(self, nodeid: str) -> str:
        return self.groups.get(nodeid, nodeid)

    def schedule(self) -> None:
        if self.collection is None:
            self.groups = json.loads(_groups_file().read_text())
        super().schedule()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the groups, before the end of the collection is told; every process has the same.

    What was loaded until now stays to the end: it is nothing that a collection of garbage should
    look at again and again, as often as tests make a few hundred objects.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    if worker_number() == 1:
        marks = {item.nodeid: item.get_closest_marker("xdist_group") for item in session.items}
        groups = {test: mark.args[0] for test, mark in marks.items() if mark}
        _groups_file().write_text(json.dumps(groups))


def _groups_file() -> Path:
    return Path(os.environ[FOLDER]) / "groups"


def _start() -> Stack:
    """The servers of a run, which end with it."""
    folder = Path(tempfile.mkdtemp(prefix="product-importer-tests-"))
    folder.chmod(0o755)  # as root, the database runs as another user
    os.environ[FOLDER] = str(folder)
    stack = Stack(folder, port=0)
    elsewhere = os.environ.get("DATABASE_URL", "")

    def end() -> None:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    like = None if elsewhere else prepared.migrated_database()
    stack.start_stores(redis_port=0, like=like)
    # Receivers in tests listen on loopback, like everything else.
    stack.environ["WEBHOOK_ALLOWED_CIDRS"] = "127.0.0.0/8"
    stack.environ["LOG_FORMAT"] = "json"  # as in production: tests read the logs
    if elsewhere:
        stack.environ["DATABASE_URL"] = _migrate(stack, elsewhere)
    else:
        _keep_nothing(stack.environ["DATABASE_URL"])
    return stack


def _keep_nothing(url: str) -> None:
    """Have our server leave it to the system when it writes to the disk.

    The data end with the run. What is lost so is lost where the machine fails, and nowhere else:
    not when a process of the server is killed.
    """
    with psycopg.connect(url, autocommit=True) as database:
        for name in ("fsync", "full_page_writes"):
            database.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
        database.execute("SELECT pg_reload_conf()")


def _part_of_run(number: int) -> Stack:
    """What one process of the run has of it."""
    whole = Path(os.environ[FOLDER])
    folder = whole / f"process-{number}"
    folder.mkdir()
    stack = Stack(folder, port=0)
    names = stack.settings(database_url="", redis_url="")
    stack.environ = {name: os.environ[name] for name in [*names, "WEBHOOK_ALLOWED_CIDRS"]}
    stack.environ["DATA_DIR"] = str(folder)
    stack.environ["REDIS_URL"] = with_database(stack.environ["REDIS_URL"], number)
    if _name(stack.environ["DATABASE_URL"]) == EMBEDDED:
        stack.postgres = Postgres(whole)  # for its programs
    return stack


def _migrate(stack: Stack, server: str) -> str:
    """Make a migrated database on a server that is not ours; returns its URL."""
    url = with_database(server, ELSEWHERE)
    with psycopg.connect(server, autocommit=True) as database:
        database.execute(f"DROP DATABASE IF EXISTS {ELSEWHERE} WITH (FORCE)")
        database.execute(f"CREATE DATABASE {ELSEWHERE} TEMPLATE template0")
    try:
        stack.manage("migrate", "--no-input", environ={"DATABASE_URL": url})
    except (RuntimeError, subprocess.SubprocessError) as error:
        raise pytest.UsageError(str(error)) from error
    return url


def with_database(url: str, name: str | int) -> str:
    """The URL of another database on the same server, PostgreSQL's or the broker's."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
