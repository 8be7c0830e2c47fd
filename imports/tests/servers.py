"""Suppliers' servers for tests, on loopback and in this process; each can misbehave."""

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import ipaddress
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh
import trustme

from imports.fetching.source import Fetched, Limits, Unchanged

NOW = time.time()  # one for all: what is put again has the date that it had
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True)
class Authority:
    """A private CA: ``ca_file`` is what a client trusts, ``context`` what a server shows."""

    ca_file: str
    cert_file: str  # for localhost and 127.0.0.1, with its key and chain
    context: ssl.SSLContext

    def limits(self, **values: Any) -> Limits:
        """Limits that let a fetch reach these servers, and wait next to nothing between tries."""
        return Limits(**{**FAST, "ca_file": self.ca_file, **values})


FAST: dict[str, Any] = {"allowed": LOOPBACK, "wait_seconds": 0.01}


def make_authority(folder: Path) -> Authority:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "other.test")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return Authority(str(folder / "ca.pem"), str(folder / "server.pem"), context)


def new_in(found: Fetched | Unchanged) -> Fetched | None:
    """What a fetch brought; ``None`` for nothing new."""
    return found if isinstance(found, Fetched) else None


@dataclass
class WebFile:
    """A file that is served with ETag, date and ranges; ``breaks``: reset after so many bytes."""

    data: bytes
    modified: float = NOW
    headers: dict[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    login: tuple[str, str] | None = None
    validators: bool = True  # ETag and Last-Modified
    ranges: bool = True

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.data).hexdigest()[:16]}"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: "WebServer"

    def do_GET(self) -> None:
        self.close_connection = True
        path = self.path.partition("?")[0]
        self.web.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        # A client that has seen enough closes.
        with contextlib.suppress(OSError):
            if path in self.web.answers:
                self.web.answers[path](self)
            elif path in self.web.files:
                self._serve(self.web.files[path])
            else:
                self.answer(404, b"Not here")

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole response; ``content_type`` becomes ``Content-Type``."""
        self.send_response(status)
        sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **sent}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def say(self, data: bytes) -> None:
        """These bytes as they are, head and all."""
        self.wfile.write(data)
        self.wfile.flush()

    def reset(self) -> None:
        """Break the connection as a cable that is pulled would not: at once, with RST."""
        self.wfile.flush()
        reset(self.connection)

    def _serve(self, file: WebFile) -> None:
        asked = self.headers
        if file.login and asked.get("Authorization") != _basic(*file.login):
            self.answer(401, b"no", www_authenticate='Basic realm="list"')
            return
        if file.validators and asked.get("If-None-Match") == file.etag:
            self.answer(304)
            return
        start, status, more = 0, 200, {**file.headers}
        span = asked.get("Range") if file.ranges else None
        if span and asked.get("If-Range") in (None, file.etag):
            start, status = int(span.removeprefix("bytes=").rstrip("-")), 206
            more["content_range"] = f"bytes {start}-{len(file.data) - 1}/{len(file.data)}"
        if file.validators:
            more |= {"etag": file.etag, "last_modified": formatdate(file.modified, usegmt=True)}
        body = file.data[start:]
        if not file.breaks:
            self.answer(status, body, **more)
            return
        stop = file.breaks.pop(0)
        self.answer(status, body[:stop], **{"content_length": str(len(body)), **more})
        self.reset()

    def log_message(self, *args: Any) -> None:
        return  # pytest's output is for the tests


def reset(connection: Any) -> None:
    """Break off with RST, once what was sent has reached the other side's socket."""
    with contextlib.suppress(OSError, ValueError):
        for _ in range(1000):
            if not unsent(connection):
                break
            time.sleep(0.01)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Files that were made of the socket keep it open: the descriptor itself is closed.
        connection.shutdown(socket.SHUT_RD)
        socket.socket(fileno=connection.detach()).close()


def unsent(connection: socket.socket) -> int:
    """The bytes that the other side's socket has not taken yet; a reset throws them away."""
    waiting = fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", waiting)[0])


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


class WebServer:
    """Serves ``files``, and ``answers`` in place of them, by path; ``seen`` is what was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, WebFile] = {}
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        handler = type("BoundHandler", (Handler,), {"web": self})

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def finish_request(self, request: Any, address: Any) -> None:
                # In the connection's own thread: a handshake that fails stops nobody else.
                with contextlib.suppress(OSError):
                    if context:
                        request = context.wrap_socket(request, server_side=True)
                    # One that a client broke off is closed too, not collected in another test.
                    with request:
                        handler(request, address, self)
                        if context:
                            with contextlib.suppress(OSError, ValueError):
                                request.unwrap()

        self.server = Server(("127.0.0.1", 0), handler)
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}" if context else f"http://127.0.0.1:{self.port}"

    def put(self, path: str, data: bytes, **values: Any) -> str:
        """Serve a file; returns its address."""
        self.files[path] = WebFile(data, **values)
        return self.url + path

    def on(self, path: str, answer: Callable[[Handler], None]) -> str:
        """Answer this path by a function; returns its address."""
        self.answers[path] = answer
        return self.url + path


@contextlib.contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    web = WebServer(context)
    thread = threading.Thread(target=web.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield web
    web.server.shutdown()
    web.server.server_close()


class SftpServer:
    """Serves ``folder`` by SFTP to whoever has the password or the key."""

    def __init__(self, folder: Path, host_key: asyncssh.SSHKey | None = None) -> None:
        self.folder = folder
        self.username, self.password = "shop", "s3cret"
        self.authorized: list[asyncssh.SSHKey] = []
        self.host_keys = [host_key or asyncssh.generate_private_key("ssh-ed25519")]
        self.breaks: list[int] = []  # reset after so many bytes of a file
        self.arrived: Callable[[], bool] = lambda: True  # what a reset waits for
        self.on_break: Callable[[], object] = lambda: None
        self.before_read: Callable[[int], object] = lambda offset: None
        self.hangs = False  # after the first read
        self.names: list[bytes] | None = None  # in place of the folder's own
        self.lists_until = 0.0  # by ``time.monotonic``: it answers nothing before
        self.size: int | None = None  # that it tells of each file, in place of the right one
        self.connections = self.logins = 0
        self.open: set[asyncssh.SSHServerConnection] = set()
        self.reads = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"sftp://127.0.0.1:{self.port}"

    async def listen(self) -> Any:
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _SshServer(self),
            server_host_keys=self.host_keys,
            sftp_factory=lambda channel: _SftpFiles(self, channel),
            # As fast as can be to begin with: a test makes many connections.
            kex_algs=["curve25519-sha256"],
        )
        self.port = listener.sockets[0].getsockname()[1]
        return listener


class _SshServer(asyncssh.SSHServer):
    def __init__(self, server: SftpServer) -> None:
        self._server = server
        self._open: asyncssh.SSHServerConnection | None = None
        server.connections += 1

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._open = conn
        self._server.open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open is not None:
            self._server.open.discard(self._open)

    def begin_auth(self, username: str) -> bool:
        self._server.logins += 1
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._server.username, self._server.password)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return any(key == one for one in self._server.authorized)


class _SftpFiles(asyncssh.SFTPServer):
    def __init__(self, server: SftpServer, channel: Any) -> None:
        super().__init__(channel, chroot=str(server.folder).encode())
        self._server = server
        self._channel = channel
        self._stop = server.breaks.pop(0) if server.breaks else None

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        self._server.reads += 1
        self._server.before_read(offset)
        if self._stop is not None and offset + size > self._stop:
            # A reset throws away what was answered and is not sent yet.
            while not self._server.arrived():
                await asyncio.sleep(0.01)
            self._server.on_break()
            self._channel.get_connection().abort()
            raise asyncssh.SFTPConnectionLost("reset")
        if self._server.hangs and offset:
            try:
                await asyncio.Event().wait()
            finally:
                super().close(file_obj)
        data: bytes = super().read(file_obj, offset, size)  # type: ignore[assignment]
        return data

    def stat(self, path: bytes) -> Any:
        found = super().stat(path)
        if self._server.size is not None:
            return asyncssh.SFTPAttrs(type=1, size=self._server.size, mtime=1_700_000_000)
        return found

    async def scandir(self, path: bytes) -> Any:
        while time.monotonic() < self._server.lists_until:
            await asyncio.sleep(0.1)
        if self._server.names is None:
            async for found in super().scandir(path):
                yield found
            return
        attributes = asyncssh.SFTPAttrs(type=1, size=3, mtime=1_700_000_000, permissions=0o100644)
        for name in self._server.names:
            yield asyncssh.SFTPName(name, name, attributes)


@contextlib.contextmanager
def sftp_server(folder: Path, **values: Any) -> Iterator[SftpServer]:
    server = SftpServer(folder, **values)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = asyncio.run_coroutine_threadsafe(server.listen(), loop).result()

    async def end() -> None:
        listener.close()
        # A connection that was accepted just now is a task that has not begun: cancelled like that,
        # it would leave its socket open, as one whose end has not arrived yet does. A few turns of
        # the loop begin it; each is ended then, and seen to its end.
        for _ in range(5):
            await asyncio.sleep(0)
        until = time.monotonic() + 60
        while server.open and time.monotonic() < until:
            for connection in [*server.open]:
                connection.abort()
            await asyncio.sleep(0.01)
        current = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not current]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    yield server
    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
