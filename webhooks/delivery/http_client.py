"""One POST to a stranger, within limits that hold whatever the stranger does.

``requests`` and urllib3 speak HTTP; below them are sockets that know their exchange: they end
it at its deadline by the wall clock, however slowly bytes drip, and when it has received too
many bytes. Connections go to vetted addresses only, are kept for the next delivery, and never
take a proxy, a password or a redirect from anywhere.
"""

import contextlib
import http.client
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from product_importer.common import address_guard

CONNECT_SECONDS = 5.0  # look-up, connection and TLS together
TOTAL_SECONDS = 15.0  # the whole exchange
BODY_BYTES = 16 * 1024  # of the response that are kept
HEADER_BYTES = 16 * 1024  # of the response's headers that are kept, names and values in UTF-8
CUT = "(cut)"  # in place of a name: no header's has parentheses
CUT_SENTENCE = f"Of the headers, the first {HEADER_BYTES // 1024} kB are kept."
WIRE_BYTES = 256 * 1024  # of the response, head included, that are read at all
IDLE_SECONDS = 2.0  # a connection that was quiet for longer may be closing just now
USER_AGENT = "Product-Importer-Webhooks/1"

# What an attempt ended with instead of a response: error code -> a sentence for people.
ERRORS = {
    "refused_address": "The address may not be called.",
    "name_not_found": "The host name has no address.",
    "name_timeout": "The look-up of the host name took too long.",
    "connect_failed": "No connection: nothing accepts connections there.",
    "connect_timeout": f"No connection within {CONNECT_SECONDS:g} s.",
    "tls_failed": "The TLS connection failed: the certificate or the protocol does not fit.",
    "timeout": f"The exchange did not end within {TOTAL_SECONDS:g} s.",
    "connection_lost": "The connection was closed before the response was complete.",
    "too_large": "The response has more than its head and body may have.",
    "bad_response": "The answer is not HTTP.",
    "no_secret": "The signing secret cannot be read. Rotate it.",
    "internal_error": "The product failed at this try, or at writing it down; its log says how.",
    "worker_lost": "A worker ended again and again while it sent this.",
}


# Requests and urllib3 wrap most of what can go wrong, and not always in the same way.
FAILURES = (
    OSError,
    ValueError,
    HTTPError,
    http.client.HTTPException,
    address_guard.Refused,
    address_guard.NotFound,
)


class DeadlineExceeded(TimeoutError):
    """The exchange has used up its time."""


class TooLarge(OSError):
    """The other side sends more than a response may have."""


@dataclass
class Response:
    """What came of one attempt. Times are in milliseconds; ``status`` or ``error`` is set.

    ``lookup_ms`` and ``connect_ms`` (TLS included) are ``None`` on a connection that was kept.
    ``retry_after`` is that header, whether or not ``headers`` go that far.
    """

    status: int | None = None
    error: str = ""
    detail: str = ""
    address: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sent_headers: dict[str, str] = field(default_factory=dict)
    retry_after: str = ""
    body: bytes = b""
    lookup_ms: float | None = None
    connect_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class _Exchange:
    """The clock and the byte count of one request, which the sockets below look at."""

    def __init__(self, connect_seconds: float, total_seconds: float) -> None:
        self.started = time.monotonic()
        self.connect_by = self.started + min(connect_seconds, total_seconds)
        self.deadline = self.started + total_seconds
        self.connecting = False
        self.received = 0
        self.response = Response()

    def remaining(self) -> float:
        """Seconds left for what is being done now. Raises ``DeadlineExceeded``."""
        left = (self.connect_by if self.connecting else self.deadline) - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded
        return left

    def ms(self) -> float:
        return (time.monotonic() - self.started) * 1000


_current = threading.local()  # .exchange: what this thread is sending


class _Limited:
    """Mixed into sockets: each call gets the time that is left, and bytes are counted."""

    exchange: _Exchange

    def recv_into(self, *args: Any, **options: Any) -> int:
        exchange = self.exchange
        self.settimeout(exchange.remaining())  # type: ignore[attr-defined]
        count: int = super().recv_into(*args, **options)  # type: ignore[misc]
        exchange.received += count
        if exchange.received > WIRE_BYTES:
            raise TooLarge
        return count

    def sendall(self, *args: Any, **options: Any) -> None:
        self.settimeout(self.exchange.remaining())  # type: ignore[attr-defined]
        super().sendall(*args, **options)  # type: ignore[misc]


class _Socket(_Limited, socket.socket):
    pass


class _TLSSocket(_Limited, ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        self.exchange = _current.exchange
        self.settimeout(self.exchange.remaining())
        super().do_handshake(block)

    def send(self, *args: Any, **options: Any) -> int:  # what its sendall() repeats
        self.settimeout(self.exchange.remaining())
        return super().send(*args, **options)


class _Guarded:
    """Mixed into urllib3's connections: look up, vet, connect, all within the time."""

    host: str
    port: int
    sock: Any
    last_used = 0.0
    peer = ""

    def _new_conn(self) -> socket.socket:
        exchange: _Exchange = _current.exchange
        allowed: Sequence[address_guard.Network] = _current.allowed
        target = address_guard.Target("", self.host, self.port)
        addresses = address_guard.look_up(target, seconds=exchange.remaining(), allowed=allowed)
        exchange.response.lookup_ms = exchange.ms()
        failure: OSError = OSError("no address")
        for number, address in enumerate(addresses):
            exchange.response.address = self.peer = address
            # A silent address must leave time for the next one.
            seconds = exchange.remaining() / (len(addresses) - number)
            try:
                return self._connect_to(address, seconds, exchange)
            except OSError as error:
                failure = error
        exchange.remaining()
        raise failure

    def _connect_to(self, address: str, seconds: float, exchange: _Exchange) -> _Socket:
        sock = _Socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.exchange = exchange
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(seconds)
            sock.connect((address, self.port))
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        exchange: _Exchange = _current.exchange
        exchange.connecting = True
        super().connect()  # type: ignore[misc]
        exchange.connecting = False
        exchange.response.connect_ms = exchange.ms() - (exchange.response.lookup_ms or 0)

    def request(self, *args: Any, **options: Any) -> None:
        exchange: _Exchange = _current.exchange
        if self.sock is not None and time.monotonic() - self.last_used > IDLE_SECONDS:
            self.close()  # type: ignore[attr-defined]
        if self.sock is not None:
            self.sock.exchange = exchange
            exchange.response.address = self.peer
        super().request(*args, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        answer = super().getresponse()  # type: ignore[misc]
        # Who answers by an error may be closing the connection just now, and another endpoint of
        # the same server would be given it.
        self.last_used = time.monotonic() if 200 <= answer.status < 300 else -math.inf
        return answer


class _Connection(_Guarded, HTTPConnection):
    pass


class _TLSConnection(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


def _tls_context(extra_authorities: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    if extra_authorities:
        context.load_verify_locations(extra_authorities)
    context.sslsocket_class = _TLSSocket
    return context


class _Adapter(HTTPAdapter):
    """Requests' way to urllib3, with our connections and nothing from the environment."""

    def __init__(self, *, hosts: int, connections: int, authorities: str | None) -> None:
        self._authorities = authorities
        super().__init__(pool_connections=hosts, pool_maxsize=connections)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **options: Any
    ) -> None:
        context = _tls_context(self._authorities)
        self.poolmanager = PoolManager(connections, maxsize=maxsize, ssl_context=context)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def get_connection_with_tls_context(self, request: Any, *args: Any, **options: Any) -> Any:
        target: address_guard.Target = _current.target
        return self.poolmanager.connection_from_host(target.host, target.port, target.scheme)

    def cert_verify(self, *args: Any, **options: Any) -> None:
        """The context, made once, verifies: certificate and host name."""


_target = lru_cache(maxsize=1024)(address_guard.check_url)


class Sender:
    """Keeps connections; ``post`` may be called from many threads at once."""

    def __init__(
        self,
        *,
        allowed: Sequence[address_guard.Network] = (),
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        hosts: int = 200,
        connections: int = 64,
        authorities: str | None = None,
    ) -> None:
        """``hosts`` and ``connections`` (to each of them) are how many are kept open."""
        self.allowed = tuple(allowed)
        self.connect_seconds = connect_seconds
        self.total_seconds = total_seconds
        self._adapter = _Adapter(hosts=hosts, connections=connections, authorities=authorities)

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send, and tell what came of it. Whatever the other side does, this raises nothing."""
        exchange = _Exchange(self.connect_seconds, self.total_seconds)
        _current.exchange, _current.allowed = exchange, self.allowed
        response = exchange.response
        try:
            self._exchange(url, body, headers, exchange)
        except FAILURES as error:
            response.status = None
            response.error, response.detail = _reason(error, exchange)
        response.total_ms = exchange.ms()
        return response

    def close(self) -> None:
        self._adapter.close()

    def _exchange(
        self, url: str, body: bytes, headers: Mapping[str, str], exchange: _Exchange
    ) -> None:
        # Read once, by the guard: where the connection goes is not left to another parser.
        _current.target = target = _target(url, self.allowed)
        request = requests.PreparedRequest()
        request.method, request.url, request.body = "POST", _sent_url(url, target), body
        request.headers = CaseInsensitiveDict(
            {
                "User-Agent": USER_AGENT,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                **headers,
            }
        )
        exchange.response.sent_headers = dict(request.headers.items())
        # Not a session's send(): that would look for redirects, cookies and netrc.
        answer = self._adapter.send(request, stream=True, timeout=self.total_seconds)
        raw: Any = answer.raw
        response = exchange.response
        response.first_byte_ms = exchange.ms()
        response.headers = _kept_headers(answer.headers)
        response.retry_after = answer.headers.get("Retry-After", "")
        response.body, complete = _read_body(raw)
        response.status = answer.status_code
        if complete:
            raw.release_conn()
        else:
            raw.close()  # more is on its way, and it would be read as the next response


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The first ``HEADER_BYTES`` of them, and whether more came: a sentence at ``CUT``."""
    kept: dict[str, str] = {}
    left = HEADER_BYTES - len(CUT + CUT_SENTENCE)
    for line in headers.items():
        name, value = (text.replace("\0", "") for text in line)  # no database text can hold it
        left -= len(name.encode()) + len(value.encode())
        if left < 0:
            return {**kept, CUT: CUT_SENTENCE}
        kept[name] = value
    return kept


def _read_body(raw: Any) -> tuple[bytes, bool]:
    """At most ``BODY_BYTES`` as they came, uncompressed; and whether that was all."""
    parts: list[bytes] = []
    size = 0
    while size <= BODY_BYTES:
        part = raw.read(BODY_BYTES + 1 - size, decode_content=False)
        if not part:
            return b"".join(parts), True
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:BODY_BYTES], False


@lru_cache(maxsize=1024)
def _sent_url(url: str, target: address_guard.Target) -> str:
    """The URL with the host as it was vetted, and path and query quoted."""
    parts = urlsplit(url)
    host = f"[{target.host}]" if ":" in target.host else target.host
    whole = urlunsplit((target.scheme, f"{host}:{target.port}", parts.path or "/", parts.query, ""))
    return requote_uri(whole)


def _reason(error: BaseException, exchange: _Exchange) -> tuple[str, str]:
    """The error code for what went wrong, from the innermost error that says it."""
    chain = list(_chain(error))

    def any_of(*kinds: type[BaseException]) -> BaseException | None:
        return next((one for one in chain if isinstance(one, kinds)), None)

    connected = exchange.response.connect_ms is not None or not exchange.connecting
    late = time.monotonic() >= exchange.deadline - 0.001
    if refused := any_of(address_guard.Refused):
        return "refused_address", str(refused)
    if missing := any_of(address_guard.NotFound):
        timed_out = isinstance(missing, address_guard.NotFound) and missing.timed_out
        return ("name_timeout" if timed_out else "name_not_found"), str(missing)
    if any_of(TooLarge):
        code = "too_large"
    elif late or any_of(TimeoutError, DeadlineExceeded):
        code = "timeout" if connected else "connect_timeout"
    elif any_of(ssl.SSLError):
        code = "tls_failed"
    elif not connected:
        code = "connect_failed"
    elif any_of(ConnectionError, requests.exceptions.ChunkedEncodingError) or _ended_early(chain):
        code = "connection_lost"
    else:
        code = "bad_response"
    return code, ERRORS[code]


def _ended_early(chain: list[BaseException]) -> bool:
    return any("IncompleteRead" in type(one).__name__ for one in chain)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came from: causes, contexts, arguments, reasons."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *one.args]
        with contextlib.suppress(AttributeError):
            waiting.append(one.reason)  # type: ignore[attr-defined]
