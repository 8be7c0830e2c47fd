"""The address guard: no endpoint can make us call our own network.

``check_url`` reads an address as it is typed, ``vet`` decides on one IP address, ``look_up``
resolves a name and vets every address that it has. They are asked when an endpoint is saved,
for a friendly error, and again for every connection, which is what counts: a name may answer
differently each time. What is refused is told by its rule, never by what lies behind it.
"""

import ipaddress
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import idna

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_LENGTH = 2000


class Refused(Exception):
    """The rule that an address breaks: ``code`` for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFound(Exception):
    """The name has no address, or the look-up took too long (``timed_out``)."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True)
class Target:
    """Where a URL leads: a name or an address (without brackets), and a port."""

    scheme: str
    host: str
    port: int


# https://www.iana.org/assignments/iana-ipv4-special-registry
_IPV4 = [
    (ipaddress.ip_network(network), rule)
    for network, rule in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
]
# https://www.iana.org/assignments/iana-ipv6-special-registry; the order decides.
_IPV6 = [
    (ipaddress.ip_network(network), rule)
    for network, rule in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("2001::/32", "Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
]
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


def rule_against(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """The name of the rule that refuses an address; ``None`` for public unicast.

    ``allowed`` are networks that are let through (WEBHOOK_ALLOWED_CIDRS).
    """
    if any(address in network for network in allowed):
        return None
    for network, rule in _IPV4 if address.version == 4 else _IPV6:
        if address in network:
            return rule
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "reserved"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return "link-local"
    return None


def vet(address: Address, allowed: Sequence[Network] = ()) -> None:
    """Raises ``Refused`` unless the address is public unicast, or allowed."""
    if rule := rule_against(address, allowed):
        raise Refused(
            "address_not_public",
            f"Only public addresses may be called, and this leads to one that is {rule}.",
        )


# A last label that an old parser would take for a number: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


WEB_PORTS = {"https": 443, "http": 80}


def check_url(
    url: str, allowed: Sequence[Network] = (), *, ports: Mapping[str, int] = WEB_PORTS
) -> Target:
    """Read a URL strictly. Raises ``Refused`` for one that may not or cannot be called.

    ``ports`` are the schemes that may be, with the port that each has by itself. An IP address
    is vetted at once; a name has yet to be looked up.
    """
    if len(url) > MAX_LENGTH:
        raise Refused("url_invalid", f"The URL is longer than {MAX_LENGTH:,} characters.")
    if not url.isprintable() or " " in url or "\\" in url:
        raise Refused("url_invalid", "The URL contains a space, a backslash or a control code.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("url_invalid", "This is not a URL. Write it like https://…") from None
    if parts.scheme not in ports:
        *others, last = (f"{scheme}://" for scheme in sorted(ports))
        raise Refused("scheme_not_allowed", f"Only {', '.join(others)} and {last} can be called.")
    if "@" in parts.netloc:
        raise Refused("user_info", "The URL must not contain a user name or a password.")
    if parts.fragment or url.endswith("#"):
        raise Refused("url_invalid", "Leave out the part from # on: it is never sent.")
    if port == 0:
        raise Refused("url_invalid", "There is no port 0.")
    return Target(
        scheme=parts.scheme,
        host=_checked_host(parts.netloc, parts.hostname or "", allowed),
        port=port or ports[parts.scheme],
    )


def _checked_host(netloc: str, host: str, allowed: Sequence[Network]) -> str:
    if netloc.startswith("["):
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise Refused("url_invalid", "This is not an IPv6 address.") from None
        vet(address, allowed)
        return str(address)
    if not host:
        raise Refused("url_invalid", "The URL names no host. Write it like https://example.com/…")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise Refused("url_invalid", "This is not a host name.") from None
    if host.endswith("."):
        raise Refused("trailing_dot", "The host name must not end in a dot.")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            address4 = ipaddress.IPv4Address(host)
        except ValueError:
            raise Refused(
                "address_form",
                "Write an IP address as four decimal numbers, without leading zeros.",
            ) from None
        vet(address4, allowed)
        return host
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("url_invalid", "This is not a host name.")
    return host


def look_up(target: Target, *, seconds: float, allowed: Sequence[Network] = ()) -> list[str]:
    """All addresses of a target, in the resolver's order, each of them vetted.

    One address that may not be called refuses the name: whoever answers with both a public
    and an inner one is not to be trusted. Raises ``Refused`` and ``NotFound``.
    """
    try:
        addresses: list[Address] = [ipaddress.ip_address(target.host)]
    except ValueError:
        addresses = _resolve(target, seconds)
    for address in addresses:
        vet(address, allowed)
    return [str(address) for address in addresses]


def _resolve(target: Target, seconds: float) -> list[Address]:
    """Ask the system's resolver, which cannot be interrupted, in a thread that can be left."""
    found: list[Address] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            for answer in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
                address = ipaddress.ip_address(answer[4][0])
                if address not in found:
                    found.append(address)
        except (OSError, ValueError) as error:
            failures.append(error)

    thread = threading.Thread(target=ask, name="look-up", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if thread.is_alive():
        raise NotFound("The look-up of the host name took too long.", timed_out=True)
    if failures or not found:
        raise NotFound("The host name has no address.")
    return found
