"""Downloads: files that are made while they are sent, to clients that may take their time.

While a client takes what it was sent, its download holds no connection and no transaction: each
piece draws a connection of its own and gives it back. docs/decisions/0018-slow-clients.md
"""

import threading
from collections.abc import Iterator
from itertools import chain
from weakref import WeakSet

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse

# At a time, in one web process. What is open costs a piece in memory and an idle thread; what is
# drawn costs a connection of the pool, most of which is left to everybody else.
OPEN_PER_USER = 3
OPEN_IN_ALL = 30
DRAWN_AT_ONCE = 3
RETRY_SECONDS = 10

_drawing = threading.BoundedSemaphore(DRAWN_AT_ONCE)
_lock = threading.Lock()
# Weak: a response that nobody will send (its client left while it was made) counts no more.
_open: "WeakSet[_Pieces]" = WeakSet()


class TooManyDownloads(Exception):
    """There are as many at a time as may be; the message says whose, and what to do."""


def give_back_connection() -> None:
    """To the pool, where this thread has one, outside transactions (those of tests)."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


# Without it, Excel takes a file for one of the machine's own code page, and saves it so.
BYTE_ORDER_MARK = "\ufeff"


CSV = "text/csv; charset=utf-8"


def download(
    pieces: Iterator[str | bytes],
    *,
    user_id: int | None,
    name: str,
    mark: bool = False,
    content_type: str = CSV,
) -> StreamingHttpResponse:
    """A file, to be kept under a name, as it is drawn piece by piece.

    A CSV has a byte order ``mark``, if it is for spreadsheets. Raises ``TooManyDownloads``; it is
    asked for before the first piece is drawn.
    """
    return StreamingHttpResponse(
        _Pieces(chain([BYTE_ORDER_MARK], pieces) if mark else pieces, user_id),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def too_many_downloads(error: TooManyDownloads) -> HttpResponse:
    """What the pages answer, in place of the file."""
    return HttpResponse(
        str(error),
        status=429,
        content_type="text/plain; charset=utf-8",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def open_downloads() -> int:
    """How many are under way in this process."""
    with _lock:
        return len(_open)


class _Pieces:
    """Draws pieces one by one in the request's own thread, where its connection lives.

    Given a plain iterator under ASGI, Django would draw all of it before the first byte.
    """

    def __init__(self, pieces: Iterator[str | bytes], user_id: int | None) -> None:
        self.pieces = pieces
        self.user_id = user_id
        with _lock:
            if sum(one.user_id == user_id for one in _open) >= OPEN_PER_USER:
                raise TooManyDownloads(
                    f"You have {OPEN_PER_USER} downloads under way, which is as many as one user "
                    "may. Wait until one has ended, or stop one, and try again."
                )
            if len(_open) >= OPEN_IN_ALL:
                raise TooManyDownloads(
                    f"{OPEN_IN_ALL} downloads are under way, which is as many as there may be. "
                    "Wait a little, and try again."
                )
            _open.add(self)

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> str | bytes:
        piece: str | bytes | None = await sync_to_async(self._draw)()
        if piece is None:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Called with the response's end, however it comes."""
        with _lock:
            _open.discard(self)

    def _draw(self) -> str | bytes | None:
        with _drawing:
            try:
                return next(self.pieces, None)
            finally:
                give_back_connection()
