"""The address guard: what may be called, and that nothing else ever is."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from product_importer.common import address_guard
from webhooks.delivery.http_client import Sender
from webhooks.models import Delivery, Endpoint
from webhooks.operations import endpoints
from webhooks.tests.conftest import LOOPBACK, run_dispatcher, tell
from webhooks.tests.receiver import Receiver

PUBLIC = ["8.8.8.8", "1.1.1.1", "192.0.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1"]
INNER = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104
    "reserved": [
        "192.0.0.8", "192.88.99.1", "198.18.0.1", "240.0.0.1", "255.255.255.255",
        "100::1", "2001:2::1", "2001:20::1", "4000::1", "5f00::1",
    ],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    "IPv4-translated": ["::ffff:0:127.0.0.1"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b:1::1"],
    "6to4": ["2002:7f00:1::1"],
    "Teredo": ["2001::1"],
    "site-local": ["fec0::1"],
}  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    assert address_guard.rule_against(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    ("rule", "address"), [(rule, one) for rule, many in INNER.items() for one in many]
)
def test_every_other_address_breaks_a_rule_with_a_name(rule: str, address: str) -> None:
    assert address_guard.rule_against(ipaddress.ip_address(address)) == rule
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(address_guard.Refused, match=r"public addresses|IPv6"):
        address_guard.check_url(f"http://{host}/")


@pytest.mark.parametrize("address", [a for group in INNER.values() for a in group] + PUBLIC)
def test_the_standard_library_agrees_as_a_second_opinion(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    if address_guard.rule_against(parsed) is None:
        assert parsed.is_global
        assert not parsed.is_multicast


def test_allowed_networks_are_let_through_in_their_own_form_only() -> None:
    assert address_guard.rule_against(ipaddress.ip_address("127.0.0.1"), LOOPBACK) is None
    for form in ("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"):
        assert address_guard.rule_against(ipaddress.ip_address(form), LOOPBACK) is not None


# All of them lead to loopback, or may, in some parser.
TRICKS = [
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f000001:{port}/",
    "http://127.0.0.01:{port}/",
    "http://0:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://localhost.:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://１２７.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛocalhost:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/#@example.com/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1%2eexample.com:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:0/",
    "http://",
    "",
    "http://127.0.0.1:{port}/" + "a" * 3000,
]


class Canary:
    """Listens on loopback, and must never hear of anybody."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    # A connection would have been accepted before this one.
    with socket.socket() as last:
        last.connect(("127.0.0.1", canary.port))
        last.recv(1)
    assert canary.connections == 1
    canary.socket.close()


def answers(*names: str) -> Callable[..., Any]:
    """A resolver that gives these addresses, whatever it is asked."""

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port))
            for one in names
        ]

    return getaddrinfo


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_reaches_our_own_network(trick: str, canary: Canary) -> None:
    url = trick.format(port=canary.port)
    response = Sender().post(url, body=b"{}", headers={})
    assert response.error == "refused_address"
    assert response.status is None


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick])
@pytest.mark.django_db
def test_no_trick_can_be_saved(trick: str, canary: Canary, settings: Any) -> None:
    settings.WEBHOOK_ALLOWED_CIDRS = []
    url = trick.format(port=canary.port)
    with pytest.raises(endpoints.Invalid) as refused:
        endpoints.create_endpoint(actor=None, url=url, events=["import.failed"])
    assert refused.value.errors.keys() == {"url"}
    endpoint = Endpoint.objects.create(url="https://example.com/", events=["import.failed"])
    with pytest.raises(endpoints.Invalid):
        endpoints.update_endpoint(endpoint_id=endpoint.pk, url=url)
    assert Endpoint.objects.get().url == "https://example.com/"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700:4700::1111", "::1"],
        ["::ffff:127.0.0.1"],
    ],
)
@pytest.mark.django_db
def test_a_name_that_leads_inside_is_refused_when_saved_and_when_sent(
    addresses: list[str], canary: Canary, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.WEBHOOK_ALLOWED_CIDRS = []
    monkeypatch.setattr(socket, "getaddrinfo", answers(*addresses))
    url = f"http://shop.example.com:{canary.port}/"
    with pytest.raises(endpoints.Invalid) as refused:
        endpoints.create_endpoint(actor=None, url=url, events=["import.failed"])
    code, message = refused.value.errors["url"]
    assert code == "address_not_public"
    assert "127" not in message
    assert "::" not in message
    assert Sender().post(url, body=b"", headers={}).error == "refused_address"


def test_a_name_that_changes_its_answer_is_refused_at_the_connection(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        asked.append(host)
        return answers("8.8.8.8" if len(asked) == 1 else "127.0.0.1")(host, port)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = f"http://rebind.example.com:{canary.port}/"
    address_guard.look_up(address_guard.check_url(url), seconds=60)
    assert Sender().post(url, body=b"", headers={}).error == "refused_address"
    assert len(asked) == 2  # and the connection would have gone to what was vetted


@pytest.mark.django_db(transaction=True)
def test_the_guard_stands_before_every_delivery_and_every_test(
    canary: Canary, make_endpoint: Callable[..., Endpoint]
) -> None:
    """An address that was allowed, or came into the database by another way."""
    endpoint = make_endpoint()
    Endpoint.objects.update(url=f"http://10.0.0.1:{canary.port}/")
    tell()
    endpoints.send_test(endpoint_id=endpoint.pk)
    run_dispatcher()
    for delivery in Delivery.objects.all():
        attempt = delivery.attempts.get()
        assert (attempt.error, attempt.address) == ("refused_address", "")
        assert "private" in attempt.detail


def test_redirects_are_not_followed(canary: Canary, receiver: Receiver) -> None:
    sender = Sender(allowed=[ipaddress.ip_network("127.0.0.1/32")])
    for status in (301, 302, 303, 307, 308):
        receiver.answer = (status, {"Location": f"http://127.0.0.1:{canary.port}/"}, b"x")
        response = sender.post(receiver.url, body=b"{}", headers={})
        assert (response.status, response.ok) == (status, False)
    assert len(receiver.received) == 5


def test_nothing_is_taken_from_the_environment(
    canary: Canary, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    response = Sender(allowed=LOOPBACK).post(receiver.url, body=b"{}", headers={})
    assert response.status == 200
    assert "authorization" not in receiver.received[0].headers


def test_the_next_address_is_tried_when_one_does_not_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])
    monkeypatch.setattr(socket, "getaddrinfo", answers("127.0.0.2", "127.0.0.1"))
    response = Sender(allowed=LOOPBACK).post(
        f"http://two.example.com:{port}/hook", body=b"{}", headers={}
    )
    assert (response.status, response.address) == (200, "127.0.0.1")
    assert receiver.received[0].headers["host"] == f"two.example.com:{port}"


def test_a_look_up_that_hangs_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: release.wait() and [])
    sender = Sender(connect_seconds=0.5, total_seconds=600)
    started = time.monotonic()
    try:
        response = sender.post("http://slow.example.com/", body=b"", headers={})
    finally:
        took = time.monotonic() - started
        release.set()
    assert response.error == "name_timeout"
    assert 0.5 <= took < 30  # it would hang for ever
