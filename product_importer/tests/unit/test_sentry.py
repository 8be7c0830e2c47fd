"""Errors to Sentry, received on loopback: what arrives, and what must not."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from product_importer.environment import BASE_DIR

# A view and a task that fail, with all that must not leave the house around them.
PROGRAM = """
import asyncio
import django
django.setup()

import sentry_sdk
from asgiref.testing import ApplicationCommunicator
from celery import shared_task
from django.contrib.auth.decorators import login_not_required
from django.core.asgi import get_asgi_application
from django.urls import path
from structlog.contextvars import bind_contextvars
from product_importer import urls
from product_importer.celery import app

DATABASE = 'duplicate key\\nDETAIL:  Key (lower(sku))=(PRIVATE-OF-A-FILE) already exists.'

@login_not_required
def view(request):
    password = 'PRIVATE-VARIABLE'
    raise ValueError(DATABASE)

@shared_task(name='tests.broken')
def broken(number):
    bind_contextvars(job_id=number, request_id='r-1')
    token = 'PRIVATE-VARIABLE'
    raise LookupError('in a task ' + DATABASE)

urls.urlpatterns.append(path('broken', view))
headers = {
    'host': 'localhost', 'x-request-id': 'r-view', 'authorization': 'Token PRIVATE-TOKEN',
    'cookie': 'sessionid=PRIVATE-COOKIE', 'x-other': 'PRIVATE-HEADER',
    'content-type': 'application/json', 'x-forwarded-for': 'PRIVATE-ADDRESS',
}
scope = {
    'type': 'http', 'http_version': '1.1', 'method': 'GET', 'path': '/broken',
    'scheme': 'http', 'query_string': b'q=PRIVATE-QUERY', 'client': ('PRIVATE-PEER', 1),
    'headers': [(name.encode(), value.encode()) for name, value in headers.items()],
}

async def ask():
    exchange = ApplicationCommunicator(get_asgi_application(), scope)
    await exchange.send_input({'type': 'http.request', 'body': b'{"password": "PRIVATE-BODY"}'})
    return await exchange.receive_output(120)

assert asyncio.run(ask())['status'] == 500
app.tasks['tests.broken'].apply(args=[42])
sentry_sdk.flush(120)
"""


class Inbox(ThreadingHTTPServer):
    """What a Sentry would get: events, as JSON, and every byte of them."""

    daemon_threads = True

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.bytes = b""
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert isinstance(self.server, Inbox)
        self.server.bytes += body
        for line in body.splitlines():
            part = json.loads(line)
            if "exception" in part:
                self.server.events.append(part)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None:
        return  # pytest's output is for the tests


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    server = Inbox()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=BASE_DIR,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_errors_of_views_and_tasks_arrive_and_nothing_private_with_them(inbox: Inbox) -> None:
    done = run(
        SENTRY_DSN=f"http://public@127.0.0.1:{inbox.server_port}/1",
        SENTRY_ENVIRONMENT="testing",
        SENTRY_RELEASE="v-1",
    )
    assert done.returncode == 0, done.stderr
    found = {event["exception"]["values"][-1]["type"]: event for event in inbox.events}
    assert found.keys() == {"ValueError", "LookupError"}
    assert len(inbox.events) == 2  # each of them once
    view, task = found["ValueError"], found["LookupError"]
    assert view["request"] == {"method": "GET", "url": "http://localhost/broken"}
    assert view["tags"]["request_id"] == "r-view"
    assert task["tags"]["job_id"] == "42"
    assert task["exception"]["values"][-1]["value"] == "in a task duplicate key"
    for event in inbox.events:
        assert (event["environment"], event["release"]) == ("testing", "v-1")
        assert event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert b"PRIVATE" not in inbox.bytes.replace(b"PRIVATE-VARIABLE'", b"")
    assert os.environ["SECRET_KEY"].encode() not in inbox.bytes


def test_without_a_dsn_nothing_is_sent_or_even_loaded(inbox: Inbox) -> None:
    program = "import django, sys; django.setup(); print('sentry_sdk' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BASE_DIR,
        env={**os.environ, "SENTRY_DSN": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.strip() == "False"
