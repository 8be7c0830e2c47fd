"""Clients that take nothing, or send half: they hold nothing that others need, and are closed."""

import asyncio
import select
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from weakref import WeakSet

import pytest
import requests
import uvicorn
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory

from benchmarks.stalled_clients import stalled
from catalog import export
from catalog.models import Product
from catalog.queries.filters import filtered_products
from conftest import Browserless, wait_for
from imports.models import ImportJob, RowError
from product_importer.accounts.tokens import make_token
from product_importer.common import downloads
from product_importer.common.downloads import (
    OPEN_IN_ALL,
    OPEN_PER_USER,
    TooManyDownloads,
    download,
    open_downloads,
)
from product_importer.web import body_limit, server
from product_importer.web.request_middleware import release

# --- The running product --------------------------------------------------------------

MANY = """
INSERT INTO catalog_product (sku, name, description, price, active, version, created_at, updated_at)
SELECT 'S-' || n, 'Lamp', repeat('x', 20000), 1, true, 1, now(), now()
FROM generate_series(1, 400) AS n
"""


def test_clients_that_take_nothing_leave_the_site_to_the_others(
    api: Browserless, make_user: Callable[..., Any]
) -> None:
    """Far more of them than there are connections: 10 in each of two processes."""
    with connection.cursor() as cursor:
        cursor.execute(MANY)  # 8 MB, and 4 of a page: more than the system keeps for a client
    job = ImportJob.objects.create(
        file_name="p.csv", file_size=1, layout={"header": ["sku"]}, status="completed"
    )
    RowError.objects.bulk_create(
        RowError(job=job, line=n, code="invalid", message="no", record=["x" * 20000])
        for n in range(400)
    )
    paths = [
        f"/api/v1/imports/{job.pk}/rejects.csv",
        "/api/v1/products/export.csv",
        "/api/v1/products/?page_size=200",
    ]
    port = int(api.base.rsplit(":", 1)[1])
    with ExitStack() as clients:
        # If one process has them all, it still has room for those of the others below.
        for number in range((OPEN_IN_ALL - OPEN_PER_USER) // 2):
            token = make_token(user=make_user(f"stalled-{number}"))[1]
            for path in paths:
                clients.enter_context(stalled(port, path, token))
        # Nothing of them ends by itself within the time of this test, but all find a connection.
        # One process has half of the downloads or more: it is asked for, not whichever has `api`.
        wait_for(lambda: readyz(api.base)["open_downloads"] >= 10)
        for _ in range(10):
            for path in (*paths, "/api/v1/imports/", "/"):
                assert api.get(path).status_code == 200
        wait_for(lambda: readyz(api.base)["pool"]["in_use"] == 0)
        wait_for(lambda: readyz(api.base)["ready"])
    for _ in range(8):  # of either process: what was left is counted no more
        wait_for(lambda: readyz(api.base)["open_downloads"] == 0)


@pytest.mark.parametrize("path", ["/nothing/", "/products/999999999/", "/change-sets/999999999/"])
def test_pages_of_errors_keep_no_connection(
    api: Browserless, make_user: Callable[..., Any], path: str
) -> None:
    """They name the user, and are made in threads that are nobody's request."""
    client = Client()
    client.force_login(make_user("lost"))
    cookies = {"sessionid": client.cookies["sessionid"].value}

    def ask(_: int) -> int:
        return requests.get(api.base + path, cookies=cookies, timeout=300).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(80))) == {404}
    for _ in range(8):  # of either process
        wait_for(lambda: readyz(api.base)["pool"]["in_use"] == 0)


def readyz(base: str) -> dict[str, Any]:
    """By a connection of its own, so that either process may answer."""
    answer: dict[str, Any] = requests.get(f"{base}/readyz", timeout=300).json()
    return answer


@pytest.mark.parametrize("path", ["imports/{}/events/", "imports/{}/rejects.csv"])
def test_head_of_a_stream_is_answered_at_once_and_draws_nothing(
    api: Browserless, path: str
) -> None:
    job = ImportJob.objects.create(file_name="p.csv", file_size=1, layout={"header": ["sku"]})
    address = f"{api.base}/api/v1/{path.format(job.pk)}"
    answer = api.session.head(address, timeout=300)  # the job never ends, nor would its stream
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/")


# --- Connections and downloads, in process --------------------------------------------


@pytest.fixture(autouse=True)
def _nobody_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test before has left open, until it is collected as garbage, counts in no other."""
    monkeypatch.setattr(downloads, "_open", WeakSet())


def drawn(response: StreamingHttpResponse) -> str:
    async def draw() -> str:
        return b"".join([bytes(piece) async for piece in response]).decode()

    return asyncio.run(draw())


def test_the_connection_is_given_back_before_an_answer_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []
    monkeypatch.setattr(
        "product_importer.web.request_middleware.give_back_connection", lambda: given.append("back")
    )

    def view(request: HttpRequest) -> HttpResponse:
        given.append("view")
        return HttpResponse("x")

    release(view)(RequestFactory().get("/"))
    assert given == ["view", "back"]


def test_each_piece_of_a_download_gives_its_connection_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []
    monkeypatch.setattr(downloads, "give_back_connection", lambda: given.append("back"))
    response = download(iter(["a", "b"]), user_id=1, name="x.csv")
    assert drawn(response) == "ab"
    assert given == ["back"] * 3  # the last time to find the end


def test_one_user_has_some_downloads_at_a_time_and_leaves_room_for_others() -> None:
    mine = [download(iter(""), user_id=1, name="x") for _ in range(downloads.OPEN_PER_USER)]
    with pytest.raises(TooManyDownloads, match="Wait until one has ended"):
        download(iter(""), user_id=1, name="x")
    other = download(iter(""), user_id=2, name="x")
    assert open_downloads() == len(mine) + 1
    mine.pop().close()
    again = download(iter(""), user_id=1, name="x")
    for one in (*mine, other, again):
        one.close()
    assert open_downloads() == 0


def test_a_download_that_was_never_sent_counts_no_more() -> None:
    for _ in range(2 * downloads.OPEN_PER_USER):
        download(iter(""), user_id=1, name="x")
    assert open_downloads() == 0


def test_there_are_no_more_downloads_than_a_process_bears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "OPEN_IN_ALL", 1)
    first = download(iter(""), user_id=1, name="x")
    with pytest.raises(TooManyDownloads, match="Wait a little"):
        download(iter(""), user_id=2, name="x")
    first.close()


@pytest.mark.django_db
def test_a_download_too_many_is_told_on_pages_and_by_the_api(
    page: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "OPEN_PER_USER", 0)
    for path in ("/products/export.csv", "/api/v1/products/export.csv"):
        answer = page.get(path)
        assert answer.status_code == 429
        assert answer["Retry-After"] == "10"
        assert "Wait until one has ended" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_export_is_no_transaction_and_has_each_product_once(
    make_product: Callable[..., Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIRST_ROWS", 2)
    monkeypatch.setattr(export, "MOST_ROWS", 2)
    products = [make_product(f"A-{n}") for n in range(7)]
    lines = export.export_lines(filtered_products({}))
    text = next(lines) + next(lines)
    assert not connection.in_atomic_block
    Product.objects.filter(pk=products[0].pk).update(sku="A-0-later")  # was read before
    products[6].delete()
    make_product("B-1")  # was not there when it began
    text += "".join(lines)
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == [f"A-{n}" for n in range(6)]


def test_pages_of_an_export_are_small_where_products_are_large(
    db: None, make_product: Callable[..., Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIRST_ROWS", 2)
    monkeypatch.setattr(export, "PIECE_CHARACTERS", 3000)
    for number in range(9):
        make_product(f"A-{number}", description="x" * 1000)
    pieces = list(export.export_lines(filtered_products({})))
    assert max(len(piece) for piece in pieces) < 3000
    assert "".join(pieces).count("\n") == 10


# --- The protocol, over a server in this process --------------------------------------


@contextmanager
def serving(app: Callable[..., Awaitable[None]]) -> Iterator[int]:
    """A server with our protocol in a thread; its port."""
    config = uvicorn.Config(app, http=server.LimitedProtocol, log_config=None, lifespan="off")
    running = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        wait_for(lambda: running.started)
        yield listening.getsockname()[1]
    finally:
        running.should_exit = running.force_exit = True
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test can wait for."""
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(server, "STALLED_SECONDS", 0.5)


class Endless:
    """An application whose answer has as many bytes as somebody takes, or a number of them."""

    def __init__(self, size: float = float("inf")) -> None:
        self.size = size
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        left = asyncio.create_task(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            sent = 0
            while sent < self.size and not left.done():
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
                sent += 65536
            await send({"type": "http.response.body", "body": b""})
        finally:
            left.cancel()
            self.ended.set()


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def closed_by_server(connection: socket.socket) -> Callable[[], bool]:
    def is_closed() -> bool:
        poll = select.poll()
        poll.register(connection, select.POLLRDHUP)
        return bool(poll.poll(0))

    return is_closed


def test_a_client_that_takes_nothing_is_cut_off(impatient: None) -> None:
    app = Endless()
    with serving(app) as port, closing(stalled(port, "/", "x")) as client:
        wait_for(closed_by_server(client))
        wait_for(app.ended.is_set)


def test_it_is_cut_off_as_well_when_the_answer_waits_in_buffers_alone(impatient: None) -> None:
    """The application has done; only the connection would stay, for as long as the client likes."""
    app = Endless(size=100_000)
    with serving(app) as port, closing(stalled(port, "/", "x")) as client:
        wait_for(closed_by_server(client))


def test_a_client_that_takes_its_time_is_served_to_the_end(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STALLED_SECONDS", 2.0)
    size = 4 * 1024**2
    app = Endless(size=size)
    received = 0
    with serving(app) as port, closing(stalled(port, "/", "x")) as client:
        for _ in range(60):  # longer than a stalled one has
            received += len(client.recv(16 * 1024))
            threading.Event().wait(0.05)
        while not app.ended.is_set() or received < size:
            received += len(client.recv(1 << 20))
    assert received >= size


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_whose_head_never_ends_is_closed(impatient: None, sent: bytes) -> None:
    with (
        serving(Endless(1)) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=300)) as client,
    ):
        client.sendall(sent)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ") if sent else answer == b""


def test_a_head_that_comes_drop_by_drop_is_closed(impatient: None) -> None:
    with (
        serving(Endless(1)) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=300)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nX: ")

        def refused() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return True
            return closed_by_server(client)()

        wait_for(refused)


# --- Bodies ---------------------------------------------------------------------------


async def _keep(scope: Any, receive: Any, send: Any) -> None:
    """Take a body, then answer; nothing if the client leaves."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"taken"})


async def _nobody(scope: Any) -> bool:
    return False


limited = body_limit.BodyLimit(_keep, max_file_bytes=1, uploads=(), may_upload=_nobody)
HEAD = b"POST /api/v1/products/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"


def test_a_body_that_stops_coming_is_a_408_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_limit, "PROGRESS_SECONDS", 0.3)
    with (
        serving(limited) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=300)) as client,
    ):
        client.sendall(HEAD + b"x" * 100)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"send it again" in answer


def test_a_slow_body_that_gets_on_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part within the time, all of them not."""
    monkeypatch.setattr(body_limit, "PROGRESS_SECONDS", 2.0)
    monkeypatch.setattr(body_limit, "PROGRESS_BYTES", 1000)
    with (
        serving(limited) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=300)) as client,
    ):
        client.sendall(HEAD)
        for _ in range(5):
            threading.Event().wait(0.5)
            client.sendall(b"x" * 1000)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
