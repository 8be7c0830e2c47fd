"""Web pages that come in place of a file: a log-in, or "not found" told with 200."""

import re

from imports.fetching.source import FetchFailed
from imports.readers.unpack import kinds

_OVERLAP = 64  # bytes: what is looked for may lie across two blocks
_SHORT = 512  # bytes: a refusal in a few words
_PASSWORD = re.compile(rb"type\s*=\s*[\"']?password", re.I)
_TABLE = re.compile(rb"<t[dh][\s>]", re.I)
_TITLE = re.compile(r"<title[^>]*>([^<]{0,200})", re.I)
_HEADING = re.compile(r"<h1[^>]*>([^<]{0,200})", re.I)
_MISSING = re.compile(
    r"\b(404|not found|page not found|no longer (exists|available)|nicht gefunden|introuvable)\b",
    re.I,
)
_REFUSAL = re.compile(
    r"\s*[{\[\"']*(error\b.{0,20})?(404\b|not found|file not found|no such file|access denied"
    r"|forbidden|unauthori[sz]ed)",
    re.I,
)


class PageWatch:
    """Looks at a file as it passes. A page that holds a table is a supplier's way to export."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._is_page: bool | None = None
        self._password = self._table = False
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._is_page is None:
            self._head += data
            if len(self._head) < kinds.HEAD_SIZE:
                return
            self._decide()
        elif self._is_page:
            self._look(data)

    def _decide(self) -> None:
        data, self._head = self._head, self._head[: kinds.HEAD_SIZE]
        self._is_page = kinds.kind_of(self._head) == kinds.Kind.HTML
        if self._is_page:
            self._look(data)

    def _look(self, data: bytes) -> None:
        data = self._tail + data
        self._password = self._password or bool(_PASSWORD.search(data))
        self._table = self._table or bool(_TABLE.search(data))
        self._tail = data[-_OVERLAP:]

    def judge(self) -> None:
        """At the end of the file. Raises ``FetchFailed`` for a page that is no file."""
        if self._is_page is None:
            self._decide()
        text = self._head.decode("utf-8", "replace")
        if not self._is_page:
            if self._size <= _SHORT and _REFUSAL.match(text):
                words = " ".join(text.split())[:100]
                raise FetchFailed(
                    "error_page", f"In place of a file the server sends “{words}”.", temporary=True
                )
            return
        if self._password:
            raise FetchFailed(
                "login_page",
                "The server sends a log-in page in place of the file. Ask the supplier for an "
                "address that works without a browser, with a password or a header.",
            )
        found = _TITLE.search(text) or _HEADING.search(text)
        title = " ".join(found[1].split()) if found else ""
        if _MISSING.search(title):
            raise FetchFailed(
                "not_found",
                f"There is no file at this address: the server sends a page “{title}”.",
                temporary=True,
            )
        if not self._table:
            called = f", “{title}”," if title else ""
            raise FetchFailed(
                "web_page",
                f"The server sends a web page{called} in place of the file. Open the address in a "
                "browser to see which link leads to the file itself.",
            )
