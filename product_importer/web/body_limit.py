"""What a request may send: looked at while it arrives, before Django keeps all of it.

Under ASGI, Django writes a whole body to the disk before a view, or its log-in check, runs.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imports.files.temp import is_disk_full

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

MULTIPART_BYTES = 64 * 1024  # boundaries, headers and the other fields around a file
NO_ROOM = (
    "The server has no room for what you send: its disk is full. Nothing was changed. Tell your "
    "ops staff, and send it again."
)
OTHER_BYTES = 8 * 1024**2  # more than Django lets through in a form or as JSON (2.5 MB)
LINGER_SECONDS = 5.0  # that a client may go on sending after it was refused
# A body may take as long as it takes, but for so many bytes (or its end) no longer than that is
# waited: 0.3 kB/s, so that a slow line is no reason, and one byte now and then no way to stay.
PROGRESS_BYTES = 10_000
PROGRESS_SECONDS = 30.0


@dataclass(frozen=True)
class _Refusal:
    status: int
    code: str
    detail: str


_LATE = _Refusal(
    408,
    "too_slow",
    f"For {PROGRESS_SECONDS:.0f} s next to nothing of your request arrived, so it was given up. "
    "Nothing was changed. Look at your connection, and send it again.",
)


_UNKNOWN = _Refusal(
    503,
    "unavailable",
    "The database does not answer just now, so that nobody can tell whether you may send this. "
    "Nothing was imported. Wait a little, and send it again.",
)
RETRY_SECONDS = 10


class SenderUnknown(Exception):
    """It cannot be found out just now who sends something."""


class _Patience:
    """Waits for a body as long as it gets on; the time that we need ourselves does not count."""

    def __init__(self) -> None:
        self.waited = 0.0
        self.received = 0

    async def wait_for(self, receive: Receive) -> Message:
        """Raises ``TimeoutError`` where it does not."""
        clock = asyncio.get_running_loop().time
        started = clock()
        async with asyncio.timeout(max(0.0, PROGRESS_SECONDS - self.waited)):
            message = await receive()
        self.waited += clock() - started
        self.received += len(message.get("body", b""))
        if self.received >= PROGRESS_BYTES:
            self.waited, self.received = 0.0, 0
        return message


class BodyLimit:
    """ASGI middleware: refuses a body that is too large, or stops coming, with a sentence.

    ``uploads`` are the addresses that take a file of up to ``max_file_bytes`` bytes by POST; all
    others take ``OTHER_BYTES``, and so do these from somebody of whom ``may_upload`` does not hold.
    413, or 401 for those (503 where it raises ``SenderUnknown``); 408 for what does not get on
    (``PROGRESS_BYTES``).
    """

    def __init__(
        self,
        app: App,
        *,
        max_file_bytes: int,
        uploads: tuple[str, ...],
        may_upload: Callable[[Scope], Awaitable[bool]],
    ) -> None:
        self.app = app
        self.max_file_bytes = max_file_bytes
        self.uploads = uploads
        self.may_upload = may_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0
        ended = False
        known = False
        refusal: _Refusal | None = None

        async def look(size: int) -> _Refusal | None:
            nonlocal known
            found, known = await self._look(scope, size, known)
            return found

        patience = _Patience()

        async def counted() -> Message:
            nonlocal received, ended, refusal
            if ended:
                return await receive()  # for the end of the connection, for as long as it takes
            try:
                message = await patience.wait_for(receive)
            except TimeoutError:
                ended, refusal = True, _LATE  # nothing more is waited for
                return {"type": "http.disconnect"}
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                ended = not message.get("more_body", False)
                refusal = await look(received)
                if refusal:
                    return {"type": "http.disconnect"}  # Django gives up, and deletes its file
            return message

        answered = False

        async def told(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        refusal = await look(_announced(scope))
        if not refusal:
            try:
                await self.app(scope, counted, told)
            except OSError as error:  # Django keeps the body on the disk before it makes a request
                if answered or not is_disk_full(error):
                    raise
                refusal = _Refusal(507, "no_room", NO_ROOM)
        if refusal:
            await _refuse(refusal, scope, None if ended else receive, send)

    async def _look(self, scope: Scope, size: int, known: bool) -> tuple[_Refusal | None, bool]:
        """Why a body of so many bytes is refused, if it is; and whether the sender is known."""
        if size <= OTHER_BYTES:
            return None, known
        if scope["method"] != "POST" or scope["path"] not in self.uploads:
            return _too_large(
                OTHER_BYTES, "Nothing was changed. Send many products as a file."
            ), known
        if size > self.max_file_bytes + MULTIPART_BYTES:
            hint = "Nothing was imported. Split the file, or remove columns that are not needed."
            return _too_large(self.max_file_bytes, hint), known
        try:
            known = known or await self.may_upload(scope)
        except SenderUnknown:
            return _UNKNOWN, False
        if not known:
            detail = "Nothing was imported. Log in as somebody who may import, or send the header "
            detail += "“Authorization: Token ...” with such a user's token that may write."
            return _Refusal(401, "not_authenticated", detail), False
        return None, True


def _too_large(limit: int, hint: str) -> _Refusal:
    detail = f"At most {limit / 1024**2:,.0f} MB may be sent here at once. {hint}"
    return _Refusal(413, "too_large", detail)


def _announced(scope: Scope) -> int:
    """The body's length in bytes, as the client tells it; 0 where it does not."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the server has refused what is no number
    return 0


async def _refuse(refusal: _Refusal, scope: Scope, receive: Receive | None, send: Send) -> None:
    """Answer at once; then let the client find the answer before the connection closes.

    A connection that is closed while somebody sends is reset, and the answer is lost.
    """
    body, kind = refusal.detail.encode(), b"text/plain; charset=utf-8"
    if scope["path"].startswith("/api/"):
        body = json.dumps({"detail": refusal.detail, "code": refusal.code}).encode()
        kind = b"application/json"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Token"))
    if refusal.status == 503:
        headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if receive is not None:  # there is more to come
        with suppress(TimeoutError):  # it had its time
            async with asyncio.timeout(LINGER_SECONDS):
                more = True
                while more:
                    message = await receive()
                    more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
