"""FTP's two connections: to the vetted address only, over TLS for ftps."""

import ftplib
import posixpath
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TextIO

from imports.fetching import sockets
from imports.fetching.clock import Clock
from imports.fetching.folder import number
from imports.fetching.source import Entry, FetchFailed
from product_importer.common.address_guard import Target

IMPLICIT_PORT = 990  # where TLS begins at once, without AUTH
LINE = 8192  # bytes of a line, at most
REPLY_LINES = 1000  # of one answer: some servers greet at length


class NoRest(Exception):
    """The server cannot begin in the middle of a file."""


def not_ftp() -> FetchFailed:
    return FetchFailed("bad_response", "The answer is not FTP.", temporary=True)


class Connection(ftplib.FTP):
    """FTP whose both connections go to the vetted address, and whose waits look at the clock."""

    def __init__(self, target: Target, clock: Clock) -> None:
        super().__init__(encoding="utf-8")
        self.host, self.port, self._clock = target.host, target.port, clock
        self._tls: ssl.SSLContext | None = None
        if target.scheme == "ftps":
            self._tls = sockets.tls_context(clock.limits.ca_file)

    def open(self) -> None:
        """Connect, and go over to TLS for ftps. Raises ``FetchFailed`` and ``ftplib.Error``."""
        self._clock.restart()
        sock = sockets.connect(self.host, self.port, self._clock, sockets.TimedSocket)
        self.af, self._peer = sock.family, sock.getpeername()[0]
        if self._tls and self.port == IMPLICIT_PORT:
            self._use(sockets.start_tls(self._tls, sock, self.host))
            self.welcome = self.getresp()
        else:
            plain = self._use(sock)
            self.welcome = self.getresp()
            if self._tls:
                self._require("AUTH TLS")
                # What was sent ahead without TLS goes with the old file.
                plain.close()
                self._use(sockets.start_tls(self._tls, sock, self.host))
        if self._tls:
            self._require("PBSZ 0")
            self._require("PROT P")

    @property
    def is_secure(self) -> bool:
        return self._tls is not None

    def _use(self, sock: Any) -> TextIO:
        """Talk over this socket from now on; returns the file of what comes."""
        self.sock = sock
        file: TextIO = sock.makefile("r", encoding="utf-8", errors="surrogateescape")
        self.file = file
        return file

    def _require(self, command: str) -> None:
        try:
            self.voidcmd(command)
        except ftplib.error_perm:
            raise FetchFailed(
                "tls_failed",
                "The server offers no secure connection, so that no password is sent to it.",
            ) from None

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[Any, int | None]:
        """Begin a transfer; the data's connection is made to the address of this one.

        The address that the server tells is not looked at: behind a router it is often wrong,
        and it could be anybody's.
        """
        _, port = self.makepasv()
        if not 0 < port < 65536:
            raise not_ftp()
        self._clock.restart()
        data: Any = sockets.connect(self._peer, port, self._clock, sockets.TimedSocket)
        try:
            if rest is not None:
                self._rest(rest)
            reply = self.sendcmd(cmd)
            if reply[0] == "2":  # some say 200 before 150
                reply = self.getresp()
            if reply[0] != "1":
                raise not_ftp()
            if self._tls:
                # Most servers take only who goes on with the session of the other connection.
                session = self.sock.session  # type: ignore[union-attr]
                data = sockets.start_tls(self._tls, data, self.host, session)
        except BaseException:
            data.close()
            raise
        return data, None

    def _rest(self, offset: int | str) -> None:
        try:
            reply = self.sendcmd(f"REST {offset}")
        except ftplib.error_perm:
            raise NoRest from None
        if reply[0] != "3":
            raise not_ftp()

    def lines(self, command: str) -> Iterator[str]:
        """The lines of a listing. Raises ``FetchFailed`` and ``ftplib.Error``."""
        with closing(self.transfercmd(command)) as data, data.makefile("rb") as file:
            while line := self._line(file):
                if len(line) > LINE:
                    raise FetchFailed("bad_response", "The server’s listing is not one of names.")
                yield line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
        self.voidresp()

    @staticmethod
    def _line(file: Any) -> bytes:
        try:
            line: bytes = file.readline(LINE + 1)
        except ssl.SSLEOFError:  # see _receive
            return b""
        return line

    def getmultiline(self) -> str:
        """As in ``ftplib``, of so many lines."""
        lines = [self.getline()]
        code = lines[0][:3]
        if lines[0][3:4] == "-":
            while not lines[-1].startswith(f"{code} ") or len(lines) == 1:
                lines.append(self.getline())
                if len(lines) > REPLY_LINES:
                    raise not_ftp()
        return "\n".join(lines)

    def entry(self, path: str) -> Entry:
        """The file's size and date, as far as the server tells them."""
        size, modified = self._told(f"SIZE {path}"), self._told(f"MDTM {path}")
        return Entry(posixpath.basename(path), number(size), date(modified))

    def _told(self, command: str) -> str:
        try:
            reply = self.sendcmd(command)
        except ftplib.error_perm:
            return ""  # not known to this server, or no such file, as RETR will tell
        return reply[4:].strip() if reply.startswith("213 ") else ""


def date(text: str) -> str:
    """``20231114221320`` or with a fraction, in UTC, as text that sorts; blank for none."""
    try:
        when = datetime.strptime(text[:14], "%Y%m%d%H%M%S")
    except ValueError:
        return ""
    return when.replace(tzinfo=UTC).isoformat(timespec="seconds")
