"""The sender against receivers that drip, flood, hang, lie and break off."""

import contextlib
import datetime
import gzip
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from webhooks.delivery import http_client
from webhooks.delivery.http_client import BODY_BYTES, Sender
from webhooks.tests.conftest import LOOPBACK
from webhooks.tests.receiver import Receiver, serve

SECONDS = 1.0  # the deadline in these tests
# Nobody here ever ends an exchange, so that it ends at all shows the deadline; within what a
# machine may stand still beside.
AT_MOST = SECONDS + 30
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

Talk = Callable[[socket.socket], None]


@pytest.fixture
def talk() -> Iterator[Callable[[Talk], str]]:
    """Listen on loopback and talk to whoever comes as the function says; returns the URL."""
    listening: list[socket.socket] = []

    def start(say: Talk) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                say(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for listener in listening:
        listener.close()


def drip(start: bytes, again: bytes, pause: float = 0.05) -> Talk:
    """Say something, and then the same little thing until the other side has gone."""

    def say(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:
            connection.sendall(again)
            time.sleep(pause)

    return say


def silence(connection: socket.socket) -> None:
    while connection.recv(65536):  # until the other side has gone
        pass


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(drip(b"", b"H"), id="status line"),
        pytest.param(drip(HEAD, b"x"), id="a header"),
        pytest.param(drip(HEAD, b"X-N: y\r\n"), id="headers"),
        pytest.param(drip(HEAD + b"Content-Length: 999\r\n\r\n", b"x"), id="body"),
        pytest.param(drip(HEAD + b"\r\n", b"x"), id="body without a length"),
        pytest.param(
            drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"
        ),
        pytest.param(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="100 Continue"),
        pytest.param(silence, id="nothing"),
    ],
)
def test_an_exchange_ends_by_its_deadline(talk: Callable[[Talk], str], say: Talk) -> None:
    sender = Sender(allowed=LOOPBACK, total_seconds=SECONDS)
    started = time.monotonic()
    response = sender.post(talk(say), body=b"{}", headers={})
    took = time.monotonic() - started
    assert SECONDS <= took < AT_MOST
    assert (response.status, response.error) == (None, "timeout")
    assert SECONDS * 1000 <= response.total_ms <= took * 1000


@pytest.mark.parametrize(
    "say", [silence, drip(b"", b"\x16")], ids=["silent handshake", "dripping handshake"]
)
def test_a_tls_handshake_ends_by_its_deadline(talk: Callable[[Talk], str], say: Talk) -> None:
    sender = Sender(allowed=LOOPBACK, connect_seconds=SECONDS)
    started = time.monotonic()
    response = sender.post(talk(say).replace("http:", "https:"), body=b"{}", headers={})
    assert time.monotonic() - started < AT_MOST
    assert response.error in ("connect_timeout", "tls_failed")


def test_an_upload_that_nobody_reads_ends_by_its_deadline(talk: Callable[[Talk], str]) -> None:
    ended = threading.Event()

    def never_read(connection: socket.socket) -> None:
        ended.wait()

    sender = Sender(allowed=LOOPBACK, total_seconds=SECONDS)
    started = time.monotonic()
    try:
        response = sender.post(talk(never_read), body=b"x" * 50_000_000, headers={})
    finally:
        ended.set()
    assert time.monotonic() - started < AT_MOST
    assert response.error == "timeout"


def flood(start: bytes, block: bytes) -> Talk:
    def say(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:  # until the other side has had enough
            connection.sendall(block)

    return say


BOMB = gzip.compress(bytes(200_000_000), 1)


@pytest.mark.parametrize(
    ("say", "status"),
    [
        pytest.param(flood(HEAD + b"\r\n", bytes(65536)), 200, id="endless body"),
        pytest.param(flood(HEAD, b"X-Long: " + b"x" * 60_000 + b"\r\n"), None, id="headers"),
        pytest.param(flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), None, id="100"),
        pytest.param(
            flood(HEAD + b"Content-Encoding: gzip\r\n\r\n", BOMB[:65536]), 200, id="gzip bomb"
        ),
        pytest.param(
            flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"F" * 65536), None, id="chunk size"
        ),
    ],
)
def test_a_flood_costs_neither_memory_nor_time(
    talk: Callable[[Talk], str], say: Talk, status: int | None
) -> None:
    sender = Sender(allowed=LOOPBACK, total_seconds=60)
    url = talk(say)
    before = psutil.Process().memory_info().rss
    threads = [
        threading.Thread(target=sender.post, args=(url,), kwargs={"body": b"{}", "headers": {}})
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    response = sender.post(url, body=b"{}", headers={})
    assert psutil.Process().memory_info().rss - before < 20_000_000
    assert response.status == status
    assert len(response.body) <= BODY_BYTES
    # What never ends was left by its size: neither of these is "timeout".
    wanted = ("too_large", "bad_response", "connection_lost") if status is None else ("",)
    assert response.error in wanted


def read_request(connection: socket.socket) -> None:
    """All of it: a connection that is closed with unread bytes is reset."""
    got = b""
    while not got.endswith(b"{}"):
        got += (more := connection.recv(65536))
        if not more:
            raise ConnectionError


def once(answer: bytes) -> Talk:
    def say(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    return say


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "connection_lost"),
        (HEAD + b"Content-Length: 100\r\n\r\nshort", "connection_lost"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "bad_response"),
        (b"\x00\xff" * 100, "bad_response"),
    ],
)
def test_a_response_that_is_none_is_told_in_words(
    talk: Callable[[Talk], str], answer: bytes, error: str
) -> None:
    response = Sender(allowed=LOOPBACK, total_seconds=5).post(
        talk(once(answer)), body=b"{}", headers={}
    )
    assert response.status is None
    assert response.error == error
    assert response.detail


def test_nobody_there_is_told_in_words() -> None:
    response = Sender(allowed=LOOPBACK).post("http://127.0.0.1:1/", body=b"", headers={})
    assert (response.error, response.connect_ms) == ("connect_failed", None)


def test_a_connection_is_kept_and_its_times_are_told(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "IDLE_SECONDS", 600.0)  # however long the test stands still
    sender = Sender(allowed=LOOPBACK)
    first, second = (sender.post(receiver.url, body=b"{}", headers={}) for _ in range(2))
    assert receiver.connections == 1
    assert first.lookup_ms is not None
    assert first.connect_ms is not None
    assert (second.lookup_ms, second.connect_ms) == (None, None)
    for response in (first, second):
        assert response.address == "127.0.0.1"
        assert 0 < (response.first_byte_ms or 0) <= response.total_ms


def test_a_connection_that_brought_an_error_is_not_used_again(receiver: Receiver) -> None:
    """Its server may be closing it just now, at the cost of whoever sends by it next."""
    sender = Sender(allowed=LOOPBACK)
    receiver.answer = (503, {}, b"")
    assert sender.post(receiver.url, body=b"{}", headers={}).status == 503
    receiver.answer = (200, {}, b"")
    assert sender.post(receiver.url + "/other", body=b"{}", headers={}).status == 200
    assert receiver.connections == 2


def test_a_response_that_is_cut_off_does_not_spoil_the_next_one(
    receiver: Receiver,
) -> None:
    sender = Sender(allowed=LOOPBACK)
    receiver.answer = (200, {}, b"a" * 100_000)
    assert sender.post(receiver.url, body=b"{}", headers={}).body == b"a" * BODY_BYTES
    receiver.answer = (201, {}, b"next")
    after = sender.post(receiver.url, body=b"{}", headers={})
    assert (after.status, after.body) == (201, b"next")


def test_the_request_is_one_post_with_our_headers(receiver: Receiver) -> None:
    url = receiver.url + "?shop=a b&ü=1".replace(" ", "%20")
    Sender(allowed=LOOPBACK).post(url, body="{é}".encode(), headers={"webhook-id": "evt_1"})
    (got,) = receiver.received
    assert got.body == "{é}".encode()
    assert got.path == "/hook?shop=a%20b&%C3%BC=1"
    assert got.headers["webhook-id"] == "evt_1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["accept-encoding"] == "identity"
    assert got.headers["user-agent"].startswith("Product-Importer")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    import ipaddress

    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_tls_is_verified(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver, server = serve(context)
    try:
        strange = Sender(allowed=LOOPBACK).post(receiver.url, body=b"{}", headers={})
        assert strange.error == "tls_failed"
        assert receiver.received == []
        trusting = Sender(allowed=LOOPBACK, authorities=str(certificate))
        for _ in range(2):
            assert trusting.post(receiver.url, body=b"x" * 40_000, headers={}).status == 200
        wrong_name = receiver.url.replace("127.0.0.1", "localhost")
        assert trusting.post(wrong_name, body=b"{}", headers={}).error in (
            "tls_failed",
            "refused_address",  # where localhost is ::1 as well
        )
        assert len(receiver.received) == 2
    finally:
        server.shutdown()
        server.server_close()


def test_many_threads_share_a_sender(receiver: Receiver) -> None:
    sender = Sender(allowed=LOOPBACK)
    counter = itertools.count()

    def work() -> None:
        for _ in range(50):
            number = str(next(counter))
            assert sender.post(receiver.url, body=number.encode(), headers={}).status == 200

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(one.body) for one in receiver.received) == list(range(800))
    assert receiver.connections <= 64
