"""Files by https and http: conditional, by range where a connection broke, redirects guarded."""

import base64
import http.client
import io
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from requests.utils import requote_uri

from imports.fetching import sockets
from imports.fetching.address import target_of
from imports.fetching.clock import Clock
from imports.fetching.folder import clean_name, number
from imports.fetching.source import FetchFailed, Known, Source
from imports.fetching.transfer import BLOCK, Taken, Transfer, broken
from product_importer.common import address_guard

USER_AGENT = "Product-Importer-Feeds/1"
HOPS = 10  # redirects in a row
DAY = 24 * 3600.0  # seconds
ERROR_BYTES = 16 * 1024  # of an answer that is no file
REDIRECTS = (301, 302, 303, 307, 308)
# What the exchange itself is made of is not for anybody else to set.
RESERVED = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect"}
    | {"range", "if-range", "if-none-match", "if-modified-since", "accept-encoding"}
)

Explain = Callable[["Answer"], FetchFailed | None]


@dataclass(frozen=True)
class Answer:
    """A response whose body is still to come; ``error_body`` is read of a failure."""

    response: http.client.HTTPResponse
    url: str
    error_body: bytes = b""

    def header(self, name: str) -> str:
        """A header's value, without control characters: it is kept, and told to people."""
        value = self.response.getheader(name) or ""
        return "".join(letter for letter in value if letter.isprintable()).strip()


def take(source: Source, known: Known, transfer: Transfer) -> bool:
    """Bring the file, or the rest of it, to ``transfer``; ``False``: nothing new."""
    return take_from(source.url, _own_headers(source), known, transfer, explain=_asks(source))


def take_from(
    url: str,
    own: Mapping[str, str],
    known: Known,
    transfer: Transfer,
    *,
    explain: Explain = lambda answer: None,
    name: str = "",
) -> bool:
    """``own`` headers go to the URL's host only; ``explain`` knows better why it failed."""
    offset = transfer.received
    conditions = _conditions(known) if not offset else _rest(transfer)
    with opened(url, own, conditions, transfer.clock, explain) as answer:
        status = answer.response.status
        if status == 304 and not offset:
            return False
        if status == 416 and offset:
            transfer.forget()
            raise broken("The server has no more of the file than came before it broke off.")
        if status not in (200, 206):
            raise FetchFailed(
                "bad_response", f"The server answers {status} in place of a file.", temporary=True
            )
        taken = _taken(answer, name or _name(answer, url))
        start, total = _span(answer) if status == 206 else (0, answer.response.length)
        if not offset and status == 200 and _is_known(taken.known, known):
            return False
        transfer.begin(taken, total, offset=start)
        _body(answer, transfer)
    transfer.end()
    return True


def _own_headers(source: Source) -> dict[str, str]:
    own: dict[str, str] = {}
    for name, value in source.headers:
        if name.lower() in RESERVED or not name.isascii() or not value.isprintable():
            raise FetchFailed("header_invalid", f"The header “{name}” cannot be sent.")
        own[name] = value
    if source.username or source.password:
        pair = f"{source.username}:{source.password}".encode()
        own["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return own


def _conditions(known: Known) -> dict[str, str]:
    """Ask for the file only if it is another one: by its date where there is no better.

    Some servers take either for enough, and dates count whole seconds only.
    """
    if known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.last_modified} if known.last_modified else {}


def _rest(transfer: Transfer) -> dict[str, str]:
    """Ask for what is missing, of the version that is here; for all where none is told."""
    known = transfer.taken.known if transfer.taken else Known()
    version = known.etag if known.etag.startswith('"') else known.last_modified
    if not version:
        transfer.forget()
        return {}
    return {"Range": f"bytes={transfer.received}-", "If-Range": version}


def _is_known(now: Known, known: Known) -> bool:
    """Whether the answer to a server's own saying is what the last fetch saw."""
    if now.etag.startswith('"') or known.etag.startswith('"'):
        return now.etag == known.etag
    # Dates count whole seconds only: the size has to agree.
    same_date = bool(now.last_modified) and now.last_modified == known.last_modified
    return same_date and now.size is not None and now.size == known.size


def _taken(answer: Answer, name: str) -> Taken:
    encoding = answer.header("Content-Encoding").lower()
    if encoding in ("", "identity"):
        encoding = ""
    elif encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchFailed(
            "encoding", f"The server packs the file as “{encoding[:40]}”, which nobody asked for."
        )
    size = _span(answer)[1] if answer.response.status == 206 else answer.response.length
    known = Known(
        etag=answer.header("ETag")[:500],
        last_modified=answer.header("Last-Modified")[:100],
        size=size,
        name=name,
    )
    return Taken(name, known, encoding)


def _name(answer: Answer, url: str) -> str:
    told = answer.response.msg.get_filename() or ""
    return clean_name(told) or clean_name(unquote(urlsplit(url).path)) or "download"


def _span(answer: Answer) -> tuple[int, int | None]:
    """Where a 206 begins, and how large the whole is: ``bytes 100-999/1000``."""
    unit, _, span = answer.header("Content-Range").partition(" ")
    start, _, total = span.partition("/")
    first = start.partition("-")[0]
    if unit != "bytes" or not (first.isascii() and first.isdigit()):
        raise FetchFailed(
            "bad_response", "The server sends a part of the file without saying which."
        )
    return int(first[:19]), number(total)


def _body(answer: Answer, transfer: Transfer) -> None:
    """All of the body. Raises ``FetchFailed`` when it is cut off, or longer than was said."""
    response = answer.response
    length = response.length
    try:
        if response.chunked:
            while data := response.read1(BLOCK):
                transfer.write(data)
            return
        reader: io.BufferedReader = response.fp
        left = length
        while left is None or left > 0:
            data = reader.read1(BLOCK if left is None else min(BLOCK, left))
            if not data:
                break
            transfer.write(data)
            left = None if left is None else left - len(data)
    except (OSError, http.client.HTTPException):
        raise broken(_broke_off(transfer)) from None
    if left:
        raise broken(_broke_off(transfer))
    if left == 0 and _goes_on(reader):
        raise FetchFailed(
            "length_wrong",
            f"The server says that it sends {length:,} bytes, and sends more: the file would be "
            "cut off. Tell the supplier.",
            temporary=True,
        )


def _broke_off(transfer: Transfer) -> str:
    total = transfer.clock.total
    of = f" of {total:,}" if total is not None else ""
    return f"The connection broke off: {transfer.received:,}{of} bytes arrived."


def _goes_on(reader: io.BufferedReader) -> bool:
    """Whether bytes follow the end; we asked for the connection to be closed there."""
    sock: Any = reader.raw._sock  # type: ignore[attr-defined]
    sock.patient = False
    try:
        return bool(reader.peek(1))
    except (OSError, ValueError):
        return False


@contextmanager
def opened(
    url: str,
    own: Mapping[str, str],
    conditions: Mapping[str, str],
    clock: Clock,
    explain: Explain = lambda answer: None,
) -> Iterator[Answer]:
    """The answer to a GET, redirects followed. Raises ``FetchFailed``; from 400 on too, but 416."""
    headers = {**own, **conditions}
    for _hop in range(HOPS + 1):
        target = target_of(url, clock.limits, ports=address_guard.WEB_PORTS)
        with (
            closing(_connection(target, clock)) as connection,
            closing(_ask(connection, target, url, headers)) as response,
        ):
            answer = Answer(response, url)
            status = response.status
            if status in REDIRECTS and answer.header("Location"):
                url, keep = _next(url, target, answer.header("Location"), clock)
                headers = {**own, **conditions} if keep else dict(conditions)
                own = own if keep else {}
                continue
            if status in REDIRECTS or (status >= 400 and status != 416):
                answer = Answer(response, url, _error_body(answer))
                raise explain(answer) or _failure(answer)
            yield answer
            return
    raise FetchFailed("too_many_redirects", f"The server redirects more than {HOPS} times.")


def _connection(target: address_guard.Target, clock: Clock) -> http.client.HTTPConnection:
    clock.restart()
    sock: Any = sockets.connect(target.host, target.port, clock, sockets.TimedSocket)
    if target.scheme == "https":
        sock = sockets.start_tls(sockets.tls_context(clock.limits.ca_file), sock, target.host)
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    return connection


def _ask(
    connection: http.client.HTTPConnection,
    target: address_guard.Target,
    url: str,
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    path = requote_uri(urlunsplit(("", "", parts.path or "/", parts.query, "")))
    default = address_guard.WEB_PORTS[target.scheme]
    host = f"[{target.host}]" if ":" in target.host else target.host
    sent = {
        "Host": host if target.port == default else f"{host}:{target.port}",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        # Ranges and lengths are those of the file itself then.
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        return connection.getresponse()
    except ValueError:
        raise FetchFailed("header_invalid", "A header’s name or value cannot be sent.") from None
    except (ConnectionError, ssl.SSLError, OSError):
        raise broken("The server closed the connection before it answered.") from None
    except http.client.HTTPException:
        raise FetchFailed("bad_response", "The answer is not HTTP.", temporary=True) from None


def _next(url: str, target: address_guard.Target, location: str, clock: Clock) -> tuple[str, bool]:
    """Where a redirect leads, and whether the credentials go with it."""
    # Servers write what they like; what is not ASCII is quoted as browsers do.
    location = location.encode("latin-1", "replace").decode("utf-8", "replace")
    to = urljoin(url, location).partition("#")[0]
    there = target_of(to, clock.limits, ports=address_guard.WEB_PORTS)
    if target.scheme == "https" and there.scheme == "http":
        raise FetchFailed(
            "redirect_insecure",
            "The server redirects from https to http, where anybody may change the file.",
        )
    upgraded = (there.scheme, there.port, target.port) == ("https", 443, 80)
    same = there.host == target.host and (there == target or upgraded)
    return to, same


def _error_body(answer: Answer) -> bytes:
    try:
        return answer.response.read(ERROR_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _asks(source: Source) -> Explain:
    """401 and 403 mean something else with credentials than without."""

    def explain(answer: Answer) -> FetchFailed | None:
        status = answer.response.status
        given = bool(source.username or source.password)
        if status == 401 and not given and source.headers:
            return FetchFailed("wrong_password", "The server refuses the header that was given.")
        if status == 401 and not given:
            return FetchFailed("password_needed", "The server asks for a password.")
        if status == 401:
            asked = answer.header("WWW-Authenticate").split(" ")[0].lower()
            if asked and "basic" not in answer.header("WWW-Authenticate").lower():
                return FetchFailed(
                    "login_kind",
                    f"The server asks for a log-in of the kind “{asked[:20]}”; user name and "
                    "password are sent as “basic” only.",
                )
            return FetchFailed("wrong_password", "The server refuses the user name or password.")
        return None

    return explain


def _failure(answer: Answer) -> FetchFailed:
    status = answer.response.status
    if status in (401, 403):
        return FetchFailed(
            "forbidden",
            f"The server refuses access ({status}). Ask the supplier whether the password is still "
            "right, and whether our address has to be let in.",
        )
    if status in (404, 410):
        return FetchFailed(
            "not_found", f"There is no file at this address ({status}).", temporary=True
        )
    if status == 429:
        failure = FetchFailed(
            "too_often", "The server asks to come less often (429).", temporary=True
        )
    elif status >= 500 or status == 408:
        failure = FetchFailed(
            "server_error", f"The server has a fault of its own ({status}).", temporary=True
        )
    else:
        return FetchFailed("bad_response", f"The server refuses the request ({status}).")
    failure.retry_after = _wait_asked(answer.header("Retry-After"))
    return failure


def _wait_asked(text: str) -> float:
    """The seconds that a ``Retry-After`` asks to wait, up to a day: it is a number, or a date."""
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), DAY)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), DAY)
