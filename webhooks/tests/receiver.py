"""A webhook receiver on loopback that keeps what it gets."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RETRY_AFTER = (
    b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    b"Mon, 01 Jan 0001 00:00:00 +2359",
    b"Fri, 31 Dec 9999 23:59:59 -2359",
    b"Mon, 01 Jan 2029 00:00:00 -99999999999999999999",
    b"9" * 60_000,
    b"\xb2\x00\xff",
    b"",
)
_HEADS_AND_BODIES = (
    *(b"Retry-After: " + value + b"\r\n\r\n" for value in _RETRY_AFTER),
    b"X-\x00\xff\xed\xa0\x80: \x00\x01\x85\xed\xa0\x80\r\n\r\n\x00\xff\xed\xa0\x80",
    b"X: " + b"\xff" * 65_000 + b"\r\n\r\n",
    b"X: y\r\n" * 200 + b"\r\n",
    b"no header\r\n: of no name\r\n folded\r\n\r\n",
    b"Set-Cookie: a=b; expires=Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n\r\n",
    b"Content-Type: text/plain; charset=\x00\r\n\r\n",
    b"Content-Encoding: gzip\r\n\r\nnone",
    b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"Content-Length: -1\r\n\r\nx",
    b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 5000 + b"\r\nx",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx",
)
# Whole responses that try what reads and records them; none of them is a success.
POISON = (
    *(b"HTTP/1.1 503 X\r\n" + rest for rest in _HEADS_AND_BODIES),
    b"HTTP/1.1 999\r\n\r\n",
    b"HTTP/1.1 301 X\r\nLocation: http://[\x00/\r\n\r\n",
    b"HTTP/1.1 " + b"9" * 5000 + b" X\r\n\r\n",
    b"HTTP/9.9 \xb2\xb3\xb3 X\r\n\r\n",
    b"\x00\xff\r\n\r\n",
    b"",
)


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
