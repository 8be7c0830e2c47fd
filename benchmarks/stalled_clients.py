"""Clients that ask for much and take nothing: sockets with the smallest buffer, never read."""

import select
import socket
import threading
from contextlib import suppress

CONNECT_SECONDS = 30.0
AGAIN_SECONDS = 1.0  # until one that was cut off, or refused, asks again


class StalledClients:
    """As many as there are paths, each in a thread; use as a context manager.

    ``cut`` counts the connections that the server ended.
    """

    def __init__(self, port: int, asked: list[tuple[str, str]]) -> None:
        """``asked`` is a path and a token for each."""
        self.port = port
        self.cut = 0
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._stall, args=one, daemon=True) for one in asked
        ]

    def __enter__(self) -> "StalledClients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _stall(self, path: str, token: str) -> None:
        while not self._done.is_set():
            with suppress(OSError), stalled(self.port, path, token) as connection:
                poll = select.poll()
                poll.register(connection, select.POLLRDHUP)  # and what is always told: errors
                while not self._done.is_set():
                    if poll.poll(200):
                        self.cut += 1
                        break
            self._done.wait(AGAIN_SECONDS)


def stalled(port: int, path: str, token: str, method: str = "GET") -> socket.socket:
    """A connection that has asked for a path, and has read nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least that there is
    connection.settimeout(CONNECT_SECONDS)
    connection.connect(("127.0.0.1", port))
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection
