"""A real receiver on loopback, and makers of endpoints and events."""

import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction

from webhooks import endpoints, pump
from webhooks.models import SUBSCRIBABLE, Endpoint, Event
from webhooks.operations import record_event

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Keeps every POST; answers by ``answer`` (status, headers, body), which a test may change."""

    url: str = ""
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"ok")
    before_answer: Callable[[], None] = lambda: None
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]


def serve(tls: ssl.SSLContext | None = None) -> tuple[Receiver, ThreadingHTTPServer]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            receiver.connections += 1
            super().setup()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            receiver.before_answer()
            status, fields, text = receiver.answer
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            return  # pytest's output is for the tests

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: Any) -> None:
            return  # a sender that went away is what some tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return receiver, server


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_CIDRS = LOOPBACK
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def make_endpoint(receiver: Receiver) -> Callable[..., Endpoint]:
    """Make an endpoint at the receiver; its secret is kept as ``endpoint.secret``."""

    def make(**values: Any) -> Endpoint:
        values = {"url": receiver.url, "events": list(SUBSCRIBABLE), **values}
        endpoint, secret = endpoints.create_endpoint(actor=None, **values)
        endpoint.secret = secret  # type: ignore[attr-defined]
        return endpoint

    return make


def tell(number: int = 1, **data: Any) -> Event:
    """Record an event as a committed change would."""
    with transaction.atomic():
        for n in range(number):
            event = record_event(type=Event.Type.PRODUCT_UPDATED, data={"n": n, **data})
    return event


@pytest.fixture(autouse=True)
def no_messages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests call the pump themselves, except where the site runs."""
    if "site" not in request.fixturenames:
        for module in ("operations", "endpoints", "pump"):
            target = "kick_after_commit" if module == "pump" else "kick_once_after_commit"
            monkeypatch.setattr(f"webhooks.{module}.{target}", lambda *args: None)


def run_pump(**options: Any) -> int:
    return pump.pump_deliveries(**options)
