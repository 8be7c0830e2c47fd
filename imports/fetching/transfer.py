"""One file on its way into a file of ours, over as many connections as it takes."""

import hashlib
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from imports.fetching.clock import Clock, too_large
from imports.fetching.schemes.pages import PageWatch
from imports.fetching.source import Entry, FetchFailed, Known

BLOCK = 256 * 1024  # bytes read at a time
RATIO_FREE = 64 * 1024 * 1024  # so much may be unpacked from however few bytes


class Enough(Exception):
    """As many bytes as were wanted are there."""


class NotWritten(Exception):
    """Our own file takes no more, as ``reason`` tells: nothing that the server has to do with."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True)
class Taken:
    """The file that bytes are of. Two that are equal are the same version of one file."""

    name: str
    known: Known
    encoding: str = ""


class Transfer:
    """Bytes as they come, to ``into``; ``received`` of them as the server counts them.

    ``into`` can be sought and truncated: what came of another version is thrown away.
    """

    def __init__(
        self, into: BinaryIO, clock: Clock, *, stop_at: int | None = None, pages: bool = False
    ) -> None:
        self.clock = clock
        self.taken: Taken | None = None
        self.entries: tuple[Entry, ...] = ()
        self.left_out = 0
        self.host_key = ""
        self._into = into
        self._start = into.tell()
        self.stop_at = stop_at
        self._pages = pages
        self.forget()

    def forget(self) -> None:
        """Begin anew: what came so far is of no use."""
        self.size = self.received = 0
        self.digest = hashlib.sha256()
        self._unpack = None  # type: zlib._Decompress | None
        self._page = PageWatch() if self._pages else None
        self.taken = None
        self._into.seek(self._start)
        self._into.truncate()

    def offset_for(self, taken: Taken) -> int:
        """Where to go on with this file: at its beginning, if what is here is not of it."""
        if taken != self.taken:
            self.forget()
        return self.received

    def begin(self, taken: Taken, total: int | None, *, offset: int) -> None:
        """Bytes of this file come from ``offset`` on. Raises ``FetchFailed`` for one too large."""
        if offset == 0 or taken != self.taken or offset != self.received:
            if offset:
                self.forget()
                raise changed()
            self.forget()
        self.taken = taken
        if total is not None and total > self.clock.limits.bytes and self.stop_at is None:
            raise too_large(self.clock.limits)
        self.clock.size, self.clock.total = self.received, total
        if taken.encoding and self._unpack is None:
            self._unpack = zlib.decompressobj(wbits=47)  # the header tells gzip or zlib

    def write(self, data: bytes) -> None:
        """Raises ``Enough``, and ``FetchFailed`` for a file too large or packed wrongly."""
        self.received += len(data)
        self.clock.size = self.received
        if self._unpack is None:
            self._write(data)
            return
        try:
            self._write_unpacked(data)
        except zlib.error:
            self.forget()
            raise FetchFailed(
                "encoding", "What the server sends as packed (gzip) is not.", temporary=True
            ) from None

    def _write_unpacked(self, data: bytes) -> None:
        unpack = self._unpack
        assert unpack is not None  # noqa: S101
        while data:
            self._write(unpack.decompress(data, BLOCK))
            if self.size > RATIO_FREE and self.size > self.clock.limits.ratio * self.received:
                raise FetchFailed(
                    "unpacked_too_large",
                    f"The server sends a few bytes that unpack to more than "
                    f"{self.clock.limits.ratio} times as many.",
                )
            data = unpack.unconsumed_tail
            if unpack.eof:
                data = unpack.unused_data
                if not data.startswith(b"\x1f"):
                    return  # padding; what else follows an end is not of the file
                self._unpack = unpack = zlib.decompressobj(wbits=47)
            elif not data:
                # What did not fit into the last block is still inside.
                while more := unpack.decompress(b"", BLOCK):
                    self._write(more)

    def _write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.clock.limits.bytes:
            raise too_large(self.clock.limits)
        self.digest.update(data)
        try:
            self._into.write(data)
        except OSError as error:
            raise NotWritten(error) from error
        if self._page:
            self._page.feed(data)
        if self.stop_at is not None and self.size >= self.stop_at:
            raise Enough

    def end(self) -> None:
        """The last byte has come. Raises ``FetchFailed`` for what cannot be the file."""
        if self._unpack and not self._unpack.eof and self.received:
            self.forget()
            raise broken("The packed file ends in its middle.")
        if self._page:
            self._page.judge()
        if not self.size:
            raise FetchFailed("empty", "The file is empty.", temporary=True)


def broken(message: str) -> FetchFailed:
    return FetchFailed("connection_lost", message, temporary=True)


def changed() -> FetchFailed:
    return FetchFailed(
        "changed", "The file was changed while it was read. Try again later.", temporary=True
    )
