"""A mail server on loopback that speaks as much SMTP as is needed, and keeps what it gets."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any


@dataclass
class MailServer:
    """``refuse`` maps a command to the answer that it gets instead.

    ``before_taken`` is called when a mail has arrived whole, and the sender waits for the answer.
    """

    port: int = 0
    refuse: dict[str, str] = field(default_factory=dict)
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    before_taken: Callable[[], Any] = lambda: None


def serve_mail() -> tuple[MailServer, socketserver.ThreadingTCPServer]:
    mail = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 test")
            while line := self.rfile.readline().decode().strip():
                command = line.split(" ")[0].upper()
                refused = [text for begin, text in mail.refuse.items() if command == begin]
                if refused:
                    self._say(refused[0])
                elif command == "DATA":
                    self._say("354 go on")
                    self._take()
                    mail.before_taken()
                    self._say("250 taken")
                elif command == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    if command == "RCPT":
                        mail.recipients.append(line.partition(":")[2])
                    self._say("250 ok")

        def _take(self) -> None:
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line.removeprefix(b"."))
            policy = email.policy.default
            mail.received.append(email.message_from_bytes(b"".join(lines), policy=policy))

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *args: Any) -> None:
            return  # a sender that went away is what some tests are about

    server = Server(("127.0.0.1", 0), Handler)
    mail.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return mail, server
