"""``python -m benchmarks.receiver``: a webhook receiver on loopback that costs next to nothing.

Answers every POST by its path: ``/200`` at once, ``/200/100`` after 100 ms, ``/500`` with an
error, ``/hang`` never, ``/flaky`` with an error to the first try of every tenth message, which then
does not count as seen, ``/poison/3`` with that one of ``webhooks.tests.poison.POISON``, ``/poison``
with each in turn. ``GET /count`` tells how many POSTs came to each path, and ``GET /times/PATH``
when the first one of each ``webhook-id`` came (seconds since the epoch).
"""

import asyncio
import json
import sys
import time
from collections import Counter

from webhooks.tests.poison import POISON

COUNTS: Counter[str] = Counter()
REFUSED: set[str] = set()  # messages whose first try was refused
FIRST_SEEN: dict[str, dict[str, float]] = {}


class Receiver(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:])
            length = int(fields.get("content-length", 0))
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            method, path, _ = head[0].split(" ", 2)
            self._answer(method, path, fields.get("webhook-id", ""))

    def _answer(self, method: str, path: str, message: str) -> None:
        if method == "GET":
            told = FIRST_SEEN.get(path.removeprefix("/times")) if "times" in path else COUNTS
            self._write(200, json.dumps(told or {}).encode())
            return
        COUNTS[path] += 1
        if path == "/flaky" and message not in REFUSED and COUNTS[path] % 10 == 0:
            REFUSED.add(message)
            self._write(500)
            return
        FIRST_SEEN.setdefault(path, {}).setdefault(message, time.time())
        _, what, *delay = path.split("/")
        if what == "hang":
            return
        if what == "poison" and self.transport is not None:
            number = int(delay[0]) if delay else COUNTS[path] % len(POISON)
            self.transport.write(POISON[number])
            self.transport.close()
            return
        what = "200" if what == "flaky" else what
        if delay and delay[0].isdigit():
            asyncio.get_running_loop().call_later(int(delay[0]) / 1000, self._write, int(what))
        else:
            self._write(int(what))

    def _write(self, status: int, body: bytes = b"ok") -> None:
        if self.transport is not None and not self.transport.is_closing():
            head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\n"
            self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it goes away


if __name__ == "__main__":
    asyncio.run(main())
