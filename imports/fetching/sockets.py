"""Connections to vetted addresses only, whose every wait looks at the clock.

The name is looked up and vetted (``address_guard``) for each connection, and the connection goes
to the very address that was vetted: what the name answers the next time does not matter.
"""

import ipaddress
import socket
import ssl
from typing import Any, TypeVar

import certifi

from imports.fetching.clock import Clock
from imports.fetching.source import FetchFailed
from product_importer.common import address_guard


class _Timed:
    """Mixed into sockets."""

    clock: Clock
    patient = True  # whether to wait as long as the clock lets

    def recv_into(self, *args: Any, **options: Any) -> int:
        return self._wait(super().recv_into, *args, **options)  # type: ignore[misc,no-any-return]

    def recv(self, *args: Any, **options: Any) -> bytes:
        return self._wait(super().recv, *args, **options)  # type: ignore[misc,no-any-return]

    def _wait(self, receive: Any, *args: Any, **options: Any) -> Any:
        while True:
            seconds = self.clock.pause() if self.patient else 0.2
            self.settimeout(seconds)  # type: ignore[attr-defined]
            try:
                got = receive(*args, **options)
            except TimeoutError:
                if not self.patient:
                    raise
                self.clock.check()
            else:
                self.clock.came(got if isinstance(got, int) else len(got))
                return got

    def sendall(self, *args: Any, **options: Any) -> None:
        # What is sent is small: heads and commands.
        self.settimeout(self.clock.limits.connect_seconds)  # type: ignore[attr-defined]
        super().sendall(*args, **options)  # type: ignore[misc]


class TimedSocket(_Timed, socket.socket):
    pass


class _TimedTLSSocket(_Timed, ssl.SSLSocket):
    pass


class CountedSocket(socket.socket):
    """For an event loop, which does the waiting, and looks at the clock itself."""

    clock: Clock

    def recv(self, *args: Any, **options: Any) -> bytes:
        data = super().recv(*args, **options)
        self.clock.count(len(data))
        return data


Kind = TypeVar("Kind", TimedSocket, CountedSocket)


def connect(host: str, port: int, clock: Clock, kind: type[Kind]) -> Kind:
    """A connection to a name or an address. Raises ``FetchFailed``."""
    limits = clock.limits
    try:
        target = address_guard.Target("", host, port)
        addresses = address_guard.look_up(
            target, seconds=clock.connecting(), allowed=limits.allowed
        )
    except address_guard.Refused as refused:
        raise FetchFailed(refused.code, str(refused)) from None
    except address_guard.NotFound as missing:
        raise FetchFailed("name_not_found", str(missing), temporary=True) from None
    for number, address in enumerate(addresses):
        sock = kind(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.clock = clock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A silent address must leave time for the next one.
            sock.settimeout(clock.connecting() / (len(addresses) - number))
            sock.connect((address, port))
        except OSError:
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    clock.connecting()
    raise FetchFailed(
        "connect_failed",
        f"No connection: nothing accepts connections at port {port} of the server. Check the "
        "address, and whether the server lets us in.",
        temporary=True,
    )


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Verifies certificate and host name, by public authorities and those in ``ca_file``."""
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    context.sslsocket_class = _TimedTLSSocket
    return context


def start_tls(
    context: ssl.SSLContext,
    sock: TimedSocket,
    host: str,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """TLS over a connection. Raises ``FetchFailed``; the connection is closed then."""
    clock = sock.clock
    name = host if _is_address(host) else host.encode("idna").decode()
    secure = context.wrap_socket(
        sock,
        server_hostname=name,
        do_handshake_on_connect=False,
        # An end that TLS does not vouch for may have been cut by anybody.
        suppress_ragged_eofs=False,
        session=session,
    )
    secure.clock = clock  # type: ignore[attr-defined]
    try:
        secure.settimeout(clock.connecting())
        secure.do_handshake()
    except ssl.SSLCertVerificationError as error:
        secure.close()
        raise FetchFailed(
            "tls_failed",
            f"The server’s certificate is not valid: {error.verify_message}. Ask the supplier to "
            "renew it.",
        ) from None
    except ssl.SSLError:
        secure.close()
        raise FetchFailed(
            "tls_failed", "No secure connection: the server does not speak TLS as it should."
        ) from None
    except OSError:
        secure.close()
        clock.connecting()
        raise FetchFailed(
            "connection_lost", "The server closed the connection at once.", temporary=True
        ) from None
    return secure


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
