"""Suppliers' servers by FTP and FTPS for tests, on loopback and in this process."""

import contextlib
import logging
import socket
import socketserver
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imports.tests.servers import Authority, reset

with warnings.catch_warnings():
    # Of Python 3.11, about asyncore, which later ones lack and pyftpdlib then brings along.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer as PyftpdServer

USERNAME, PASSWORD = "shop", "s3cret"


@contextlib.contextmanager
def pyftpd_server(folder: Path) -> Iterator[str]:
    """A server as suppliers have it; gives its address."""
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    authorizer = DummyAuthorizer()
    authorizer.add_user(USERNAME, PASSWORD, str(folder), perm="elr")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "auth_failed_timeout": 0})
    server = PyftpdServer(("127.0.0.1", 0), handler, ioloop=IOLoop())
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            server.serve_forever(timeout=0.05, blocking=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"ftp://127.0.0.1:{server.address[1]}"
    stopping.set()
    thread.join()
    server.close_all()


class FtpServer:
    """A server that can misbehave, with TLS if it is given an authority.

    ``replies`` answer a command in place of what is right. ``breaks``: the data's connection is
    reset after so many bytes.
    """

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        self.folder = folder
        self.context = authority.context if authority else None
        self.replies: dict[str, str] = {}
        self.breaks: list[int] = []
        self.on_retrieve: Callable[[], object] = lambda: None
        self.goodbye = True  # of TLS, at the end of data
        self.listing: bytes | None = None  # of MLSD, in place of the folder's own
        self.commands: list[str] = []
        self.resumed: list[bool] = []  # of each connection for data: whether TLS's session was
        bound = type("BoundSession", (_Session,), {"ftp": self})

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), bound)
        scheme = "ftps" if authority else "ftp"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"


class _Session(socketserver.BaseRequestHandler):
    ftp: FtpServer

    def handle(self) -> None:
        self.secure = False
        self.offset = 0
        self.at = self.ftp.folder
        self.listener: socket.socket | None = None
        self.file = self.request.makefile("rb")
        with contextlib.suppress(OSError):
            self._serve()
        if self.listener:
            self.listener.close()
        self.file.close()
        self.request.close()

    def _serve(self) -> None:
        self._say("220 Welcome")
        while line := self.file.readline():
            command = line.decode().rstrip("\r\n")
            self.ftp.commands.append(command)
            verb, _, argument = command.partition(" ")
            if verb in self.ftp.replies:
                self._say(self.ftp.replies[verb])
            elif answer := getattr(self, f"_{verb.lower()}", None):
                answer(argument)
            else:
                self._say("502 Not here")

    def _say(self, text: str) -> None:
        self.request.sendall(f"{text}\r\n".encode())

    def _user(self, name: str) -> None:
        wanted = self.ftp.context and not self.secure
        self._say("530 Use TLS first" if wanted else "331 Password, please")

    def _pass(self, password: str) -> None:
        self._say("230 Welcome" if password == PASSWORD else "530 Log-in incorrect")

    def _auth(self, kind: str) -> None:
        if not self.ftp.context:
            self._say("502 No TLS here")
            return
        self._say("234 Begin")
        self.request = self.ftp.context.wrap_socket(self.request, server_side=True)
        self.file = self.request.makefile("rb")
        self.secure = True

    def _pbsz(self, size: str) -> None:
        self._say("200 Fine")

    _prot = _type = _pbsz

    def _path(self, name: str) -> Path:
        return self.ftp.folder / name[1:] if name.startswith("/") else self.at / name

    def _cwd(self, folder: str) -> None:
        self.at = self._path(folder)
        self._say("250 Fine" if self.at.is_dir() else "550 No such directory")

    def _size(self, name: str) -> None:
        path = self._path(name)
        self._say(f"213 {path.stat().st_size}" if path.is_file() else "550 No such file")

    def _mdtm(self, name: str) -> None:
        path = self._path(name)
        self._say(f"213 {_stamp(path)}" if path.is_file() else "550 No such file")

    def _pasv(self, _: str) -> None:
        if self.listener:
            self.listener.close()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(60)
        high, low = divmod(self.listener.getsockname()[1], 256)
        self._say(f"227 Entering passive mode (127,0,0,1,{high},{low})")

    def _rest(self, offset: str) -> None:
        self.offset = int(offset)
        self._say("350 Fine")

    def _retr(self, name: str) -> None:
        path = self._path(name)
        if not path.is_file():
            self._say("550 Is a directory" if path.is_dir() else "550 No such file")
            return
        offset, self.offset = self.offset, 0
        self.ftp.on_retrieve()
        self._send(path.read_bytes()[offset:], breaks=True)

    def _mlsd(self, _: str) -> None:
        lines = (
            f"type={'dir' if path.is_dir() else 'file'};size={path.stat().st_size};"
            f"modify={_stamp(path)}; {path.name}\r\n"
            for path in self.at.iterdir()
        )
        own = self.ftp.listing
        self._send("".join(lines).encode() if own is None else own)

    def _nlst(self, _: str) -> None:
        self._send("".join(f"{path.name}\r\n" for path in self.at.iterdir()).encode())

    def _send(self, data: bytes, *, breaks: bool = False) -> None:
        self._say("150 Here it comes")
        assert self.listener
        with contextlib.ExitStack() as opened:
            # A client that goes away in between leaves none that is collected in another test.
            connection: Any = opened.enter_context(self.listener.accept()[0])
            if self.secure and self.ftp.context:
                connection = self.ftp.context.wrap_socket(connection, server_side=True)
                opened.enter_context(connection)
                self.ftp.resumed.append(connection.session_reused)
            stop = self.ftp.breaks.pop(0) if breaks and self.ftp.breaks else None
            connection.sendall(data[:stop])
            if stop is not None:
                reset(connection)
            elif self.secure and self.ftp.goodbye:
                with contextlib.suppress(ssl.SSLError, OSError):
                    connection.unwrap()
        self._say("426 Broken" if stop is not None else "226 That was it")


def _stamp(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%d%H%M%S")


@contextlib.contextmanager
def ftp_server(folder: Path, authority: Authority | None = None) -> Iterator[FtpServer]:
    ftp = FtpServer(folder, authority)
    thread = threading.Thread(target=ftp.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield ftp
    ftp.server.shutdown()
    ftp.server.server_close()
