"""Makers of change sets: imports and undos, done by the operations that the workers run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from catalog.models import ChangeSet
from catalog.operations import bulk, change_sets, undo
from catalog.queries.own_fields.fields import unique_keys
from catalog.sql import undo as sql_undo
from conftest import Messages
from imports.models import ImportJob
from imports.tests import servers

HEADER = "sku,name,description,price,active\n"


@pytest.fixture
def imported(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ChangeSet]:
    """Import these records, however unusual they are, and return the change set."""

    def run(content: str, header: str = HEADER, **values: Any) -> ChangeSet:
        job = upload(header + content, **{"checks": "warn", **values})
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "completed", job.error
        assert job.change_set
        return job.change_set

    return run


def forecasts(change_set: ChangeSet) -> list[tuple[int, ...]]:
    """What an undo would do, with products read one by one, and all at once."""
    params = {"undone": change_set.pk, "before": change_set.undo_of_id}
    found = []
    for changes in (0, 10**9):
        with transaction.atomic(), connection.cursor() as cursor:
            found.append(sql_undo.forecast(cursor, params, unique=unique_keys(), changes=changes))
    return found


@pytest.fixture
def undone(messages: Messages) -> Callable[..., ChangeSet]:
    """Undo a change set, and return the undo."""

    def run(change_set: ChangeSet, actor: User | None = None) -> ChangeSet:
        change_set.refresh_from_db()
        expected = undo.forecast(change_set)
        assert len(set(forecasts(change_set))) == 1
        started = undo.start_undo(change_set_id=change_set.pk, actor=actor)
        messages.run_all()
        started.refresh_from_db()
        assert started.status == "completed", started.error
        # The confirmation's numbers are what happens.
        assert expected == undo.Forecast(
            restore=started.updated,
            delete=started.deleted,
            bring_back=started.created,
            keep=started.conflicts,
        )
        assert started.kept.count() == started.conflicts
        return started

    return run


@pytest.fixture
def broken_undo(messages: Messages, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ChangeSet]:
    """Undo a change set by a worker that fails after so many slices; return the undo as it ends."""

    def run(change_set: ChangeSet, *, slices: int) -> ChangeSet:
        started = undo.start_undo(change_set_id=change_set.pk, actor=None)
        messages.waiting.clear()
        real = undo.undo_slice
        done: list[Any] = []

        def some_slices(*args: Any) -> Any:
            if len(done) == slices:
                raise ZeroDivisionError("a defect")
            done.append(real(*args))
            return done[-1]

        with monkeypatch.context() as patch:
            patch.setattr(undo, "undo_slice", some_slices)
            try:
                bulk.run_bulk_act(started.pk)
            except ZeroDivisionError:
                change_sets.close_change_set(started.pk, status=ChangeSet.Status.FAILED)
        messages.waiting.clear()
        started.refresh_from_db()
        return started

    return run


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> servers.Authority:
    return servers.make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def web(authority: servers.Authority) -> Iterator[servers.WebServer]:
    """A supplier's server by https; ``authority.limits()`` let a fetch reach it."""
    with servers.web_server(authority.context) as web:
        yield web


@pytest.fixture
def plain_web() -> Iterator[servers.WebServer]:
    """The same by http."""
    with servers.web_server() as web:
        yield web


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[servers.SftpServer]:
    """A supplier's server by SFTP; ``sftp.folder`` is what it serves."""
    folder = tmp_path / "sftp"
    folder.mkdir()
    with servers.sftp_server(folder) as server:
        yield server
