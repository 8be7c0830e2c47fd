"""A webhook receiver on loopback that keeps what it gets."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Keeps every POST; answers by ``answer`` (status, headers, body), which a test may change.

    What ``raw_answer`` returns is sent instead, byte for byte, and the connection closed.
    """

    url: str = ""
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"ok")
    before_answer: Callable[[], None] = lambda: None
    raw_answer: Callable[[Received], bytes | None] = lambda got: None
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]

    def has(self, message_id: str) -> bool:
        return message_id in self.ids()


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
            got = Received(self.path, headers, body)
            receiver.received.append(got)
            receiver.before_answer()
            if (raw := receiver.raw_answer(got)) is not None:
                self.wfile.write(raw)
                self.close_connection = True
                return
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
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return receiver, server
