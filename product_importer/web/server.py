"""The web server's patience with clients: for a request to arrive, and for an answer to be taken.

uvicorn waits for both without end. docs/decisions/0018-slow-clients.md
"""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn_worker import UvicornWorker

LOOK_SECONDS = 5.0  # between two looks at a connection
HEAD_SECONDS = 30.0  # for the head of a request, from its connection or the last answer on
STALLED_SECONDS = 30.0  # without a byte taken of what waits for the client
LATE = b"The request did not arrive in time.\n"


class LimitedProtocol(H11Protocol):
    """Closes a connection whose request does not come, or whose client does not read.

    How long a whole request or answer takes is nobody's concern, as long as it gets on. (Bodies
    of requests: ``product_importer.web.body_limit``.)
    """

    _timer: asyncio.TimerHandle | None = None
    _since = 0.0  # when the connection began to wait for a request; loop time
    _took_at = 0.0  # when the client was last seen to take something; loop time
    _unsent = 0  # bytes that waited for the client then

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self._took_at = self.loop.time()
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._took_at = self.loop.time()
        super().resume_writing()

    def _look(self) -> None:
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size() + _in_kernel(self.transport)
        if not unsent or unsent < self._unsent:
            self._took_at = now
        self._unsent = unsent
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)
        waits = not unsent and (self.cycle is None or self.cycle.response_complete)
        if now - self._took_at >= STALLED_SECONDS:
            self._abort()
        elif waits and now - self._since >= HEAD_SECONDS and not self.transport.is_closing():
            self._refuse()

    def _abort(self) -> None:
        """Forget what waits; closing would wait until the client has taken it."""
        found = self.transport.get_extra_info("socket")
        if found is not None:  # the kernel's buffer, too, with a reset
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _refuse(self) -> None:
        """Close, with a 408 for one who has begun with a request."""
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            headers = [("content-type", "text/plain"), ("connection", "close")]
            answer = h11.Response(status_code=408, headers=headers, reason=b"Request Timeout")
            for event in (answer, h11.Data(data=LATE), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _in_kernel(transport: Any) -> int:
    """How many bytes the kernel has that the client did not confirm, where it tells (Linux)."""
    found = transport.get_extra_info("socket")
    if found is None or found.fileno() < 0:
        return 0
    size = bytearray(4)
    try:
        fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, size)
    except OSError:
        return 0
    return int.from_bytes(size, "little")


class Worker(UvicornWorker):  # type: ignore[misc]
    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "http": LimitedProtocol}
