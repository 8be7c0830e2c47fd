"""A database that does not answer is a sentence: 503, for pages and for the API, within a time."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import requests
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from psycopg_pool import PoolTimeout

from conftest import wait_for
from product_importer.local.stack import Stack
from product_importer.tests.acceptance.test_probes import silent, stack  # noqa: F401 (a fixture)
from product_importer.web import body_limit, database
from product_importer.web.database import LimitedConnection
from product_importer.web.upload_permission import may_upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Iterator[LimitedConnection]:
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.5)
    options = connection.get_connection_params()
    conninfo = {name: options[name] for name in ("dbname", "user", "host") if name in options}
    with LimitedConnection.connect(**conninfo, autocommit=True) as opened:
        yield opened


def test_a_statement_that_takes_too_long_is_given_up_here_and_there(
    limited: LimitedConnection,
) -> None:
    pid = limited.info.backend_pid
    with pytest.raises(psycopg.OperationalError, match="did not answer"):
        limited.execute("SELECT pg_sleep(600)")
    assert limited.closed
    wait_for(lambda: not _active(pid))


def test_so_is_one_that_waits_for_a_lock(limited: LimitedConnection) -> None:
    options = connection.get_connection_params()
    conninfo = {name: options[name] for name in ("dbname", "user", "host") if name in options}
    with psycopg.connect(**conninfo) as other:
        other.execute("LOCK TABLE catalog_product")
        with pytest.raises(psycopg.OperationalError, match="did not answer"):
            limited.execute("SELECT 1 FROM catalog_product")


def _active(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
        return cursor.fetchone() is not None


def away(*args: Any, **options: Any) -> Any:
    raise OperationalError("the connection is closed")


@pytest.fixture
def lenient(page: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that is given what an error becomes, on a site whose products cannot be read."""
    monkeypatch.setattr("catalog.views.product_list.filtered_products", away)
    monkeypatch.setattr("catalog.api.products.filtered_products", away)
    page.raise_request_exception = False
    return page


@pytest.mark.parametrize("path", ["/products/", "/api/v1/products/"])
def test_what_cannot_be_read_is_a_503_that_says_what_to_do(lenient: Client, path: str) -> None:
    answer = lenient.get(path)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "10"
    assert "wait a little, look, and try again" in answer.content.decode()
    if path.startswith("/api/"):
        assert answer.json()["code"] == "unavailable"


def test_a_large_file_is_refused_with_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("product_importer.web.upload_permission.get_user", away)
    scope = {"type": "http", "method": "POST", "path": "/up/", "headers": [], "query_string": b""}
    scope["headers"] = [(b"content-length", str(2 * body_limit.OTHER_BYTES).encode())]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    limits = {"max_file_bytes": 3 * body_limit.OTHER_BYTES, "uploads": ("/up/",)}
    limited = body_limit.BodyLimit(receive, **limits, may_upload=may_upload)  # type: ignore[arg-type]
    asyncio.run(limited(scope, receive, send))
    assert sent[0]["status"] == 503
    assert b"send it again" in sent[1]["body"]


def test_other_errors_stay_errors(lenient: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr("catalog.views.product_list.filtered_products", broken)
    assert lenient.get("/products/").status_code == 500


def test_a_pool_without_a_free_connection_is_told_by_the_probe(
    monkeypatch: pytest.MonkeyPatch, user: User
) -> None:
    assert not database.exhausted()
    monkeypatch.setattr(database, "_waited_in_vain", None)
    error = OperationalError("no connection")
    error.__cause__ = PoolTimeout("no connection")
    assert database.is_away(error)
    assert database.exhausted()
    monkeypatch.setattr(database, "EXHAUSTED_SECONDS", 0)
    assert not database.exhausted()


@pytest.fixture
def web_config() -> str:
    """For a web server that loses its patience sooner, so that the test ends sooner."""
    return "product_importer.tests.impatient_conf"


def test_a_frozen_database_is_a_sentence_and_over_when_it_is_back(
    stack: Stack,  # noqa: F811
) -> None:
    """Many requests at once, more than there are connections, while it says nothing."""
    base = f"http://127.0.0.1:{stack.port}"

    def ask(number: int) -> int:
        address = f"{base}/api/v1/products/"
        headers = {"Authorization": "Token " + "a" * 64}
        return requests.get(address, headers=headers, timeout=300).status_code

    wait_for(lambda: ask(0) == 401)  # who that is was looked up
    with silent(stack, "postgres"), ThreadPoolExecutor(15) as pool:
        assert set(pool.map(ask, range(15))) == {503}
    wait_for(lambda: ask(0) == 401)
