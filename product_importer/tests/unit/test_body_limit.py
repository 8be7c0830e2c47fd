"""A body that is too large, or from a stranger, is refused before it is kept."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User

from conftest import answers_well, wait_for
from product_importer.accounts.tokens import make_token
from product_importer.local.processes import free_port, spawn, stop
from product_importer.local.stack import Stack
from product_importer.models import ApiToken
from product_importer.web import body_limit
from product_importer.web.body_limit import MULTIPART_BYTES, OTHER_BYTES, BodyLimit

MB = 1024**2
LIMIT = 12 * MB


# --- The counting, without a server ---------------------------------------------------


class Exchange:
    """A request that is sent to the middleware, and what became of it."""

    def __init__(self, path: str, sizes: list[int], *, announced: int = 0, known: bool = True):
        self.messages = [
            {"type": "http.request", "body": bytes(size), "more_body": number < len(sizes)}
            for number, size in enumerate(sizes, 1)
        ]
        headers = [(b"content-length", str(announced).encode())] if announced else []
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        self.known = known
        self.asked = 0
        self.kept = 0
        self.taken = 0
        self.sent: list[dict[str, Any]] = []

    def run(self) -> int:
        limited = BodyLimit(
            self.app, max_file_bytes=LIMIT, uploads=("/up/",), may_upload=self.may_upload
        )
        asyncio.run(limited(self.scope, self.receive, self.send))
        assert sum("status" in message for message in self.sent) == 1
        return int(self.sent[0]["status"])

    async def may_upload(self, scope: Any) -> bool:
        self.asked += 1
        return self.known

    async def receive(self) -> Any:
        self.taken += 1
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Keep the body as Django does, then answer."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.kept += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def test_a_file_up_to_the_limit_passes_and_its_sender_is_looked_at_once() -> None:
    exchange = Exchange("/up/", [MB] * 12 + [MULTIPART_BYTES])
    assert exchange.run() == 200
    assert exchange.kept == LIMIT + MULTIPART_BYTES
    assert exchange.asked == 1


def test_a_small_file_passes_without_a_look() -> None:
    exchange = Exchange("/up/", [OTHER_BYTES], known=False)
    assert exchange.run() == 200
    assert exchange.asked == 0


def test_what_is_announced_too_large_is_refused_before_a_byte_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_limit, "LINGER_SECONDS", 0)
    exchange = Exchange("/up/", [MB] * 20, announced=20 * MB)
    assert exchange.run() == 413
    assert exchange.kept == 0


def test_what_turns_out_too_large_is_kept_no_further() -> None:
    exchange = Exchange("/up/", [MB] * 20)
    assert exchange.run() == 413
    assert exchange.kept <= LIMIT + MULTIPART_BYTES
    assert exchange.messages == []  # the rest was let go by, so that the answer is found


def test_a_stranger_sends_no_large_file() -> None:
    exchange = Exchange("/up/", [MB] * 11, known=False)
    assert exchange.run() == 401
    assert exchange.kept <= OTHER_BYTES


@pytest.mark.parametrize("path", ["/login/", "/up/else/"])
def test_other_addresses_take_less(path: str) -> None:
    assert Exchange(path, [MB] * 8).run() == 200
    assert Exchange(path, [MB] * 9).run() == 413


def test_a_put_to_the_address_of_files_is_no_file() -> None:
    exchange = Exchange("/up/", [MB] * 9)
    exchange.scope["method"] = "PUT"
    assert exchange.run() == 413


@pytest.mark.parametrize("path", ["/up/", "/api/v1/up/"])
def test_a_full_disk_while_a_body_arrives_is_told(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(exchange: Exchange, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Exchange, "app", app)
    exchange = Exchange(path, [MB] * 4)
    assert exchange.run() == 507
    assert b"disk is full" in exchange.sent[1]["body"]
    assert exchange.messages == []  # the rest was let go by, so that the answer is found


def test_another_error_is_left_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(exchange: Exchange, scope: Any, receive: Any, send: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Exchange, "app", app)
    with pytest.raises(OSError, match="Input/output"):
        Exchange("/up/", [MB]).run()


# --- The running web process ----------------------------------------------------------


@pytest.fixture(scope="module")
def web(site: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A web process of its own, which takes files of 12 MB; its port and its folder."""
    folder = tmp_path_factory.mktemp("web")
    port = free_port(0)
    child = spawn(
        [
            Path(sys.executable).parent / "gunicorn",
            "-c",
            "python:product_importer.gunicorn_conf",
        ],
        log=folder / "log",
        environ={
            **os.environ,
            **site.environ,
            "DATA_DIR": str(folder),
            "BIND": f"127.0.0.1:{port}",
            "WEB_CONCURRENCY": "1",
            "IMPORT_MAX_FILE_SIZE": str(LIMIT),
        },
    )

    try:
        wait_for(lambda: answers_well(f"http://127.0.0.1:{port}/healthz"))
        yield port, folder
    finally:
        stop(child, 15, seconds=10)


def chunked(port: int, path: str, megabytes: int, token: str = "") -> bytes:
    """Send a body in chunks without its length, as long as the server takes it."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n"
    if token:
        head += f"Authorization: Token {token}\r\n"
    chunk = f"{MB:x}\r\n".encode() + bytes(MB) + b"\r\n"
    with closing(socket.create_connection(("127.0.0.1", port), timeout=300)) as connection:
        connection.sendall(head.encode() + b"\r\n")
        for _ in range(megabytes):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def kept(folder: Path) -> list[Path]:
    return [file for file in (*folder.glob("tmp/*"), *folder.glob("uploads/*")) if file.is_file()]


@pytest.fixture
def token_of(transactional_db: None, make_user: Callable[..., User]) -> Callable[..., str]:
    def make(role: str, scope: str = ApiToken.Scope.WRITE) -> str:
        return make_token(user=make_user(role, role), scope=scope)[1]

    return make


def test_a_chunked_upload_over_the_limit_is_refused_with_a_sentence(
    web: tuple[int, Path], token_of: Callable[..., str]
) -> None:
    port, folder = web
    answer = chunked(port, "/api/v1/imports/", 20, token_of("editor"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"At most 12 MB may be sent here at once." in answer
    assert kept(folder) == []


def test_an_upload_that_tells_its_length_is_refused_before_it_is_sent(
    web: tuple[int, Path],
) -> None:
    head = (
        f"POST /api/v1/imports/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {3 * 1024 * MB}\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", web[0]), timeout=300)) as connection:
        connection.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("role", "scope"), [("", ""), ("viewer", "write"), ("editor", "read")])
def test_who_may_not_import_sends_no_large_file(
    web: tuple[int, Path], token_of: Callable[..., str], role: str, scope: str
) -> None:
    port, folder = web
    answer = chunked(port, "/api/v1/imports/", 11, token_of(role, scope) if role else "")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert kept(folder) == []


def test_a_large_file_of_an_editor_is_taken(
    web: tuple[int, Path], token_of: Callable[..., str]
) -> None:
    content = b"sku,name\n" + b"A-1," + b"x" * 200 + b"\n"
    content += b"".join(b"A-%d,Lamp %d%s\n" % (n, n, b" " * 100) for n in range(80_000))
    assert OTHER_BYTES < len(content) < LIMIT
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(
            f"http://127.0.0.1:{web[0]}/api/v1/imports/",
            files={"file": ("p.csv", content)},
            data={"mode": "none of them"},  # refused by the view, which so was reached
            headers={"Authorization": f"Token {token_of('editor')}"},
            timeout=300,
        )
    assert answer.status_code == 400
    assert "none of them" in answer.json()["detail"]


def test_the_log_in_takes_no_large_body(web: tuple[int, Path]) -> None:
    answer = chunked(web[0], "/login/", 10)
    assert answer.startswith(b"HTTP/1.1 413 ")
