"""What a request may send: looked at while it arrives, before Django keeps all of it.

Under ASGI, Django writes a whole body to the disk before a view, or its log-in check, runs.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imports.received import is_disk_full

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


@dataclass(frozen=True)
class _Refusal:
    status: int
    code: str
    detail: str


class LimitBodies:
    """ASGI middleware: refuses, with a sentence, a body that is too large, however it is sent.

    ``uploads`` are the addresses that take a file of up to ``max_file_bytes`` bytes by POST; all
    others take ``OTHER_BYTES``, and so do these from somebody of whom ``may_upload`` does not hold.
    413, or 401 for those.
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

        async def counted() -> Message:
            nonlocal received, ended, refusal
            message = await receive()
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
        if not known and not await self.may_upload(scope):
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
