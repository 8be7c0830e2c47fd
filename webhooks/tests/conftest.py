"""A real receiver on loopback, and makers of endpoints and events."""

import ipaddress
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction

from webhooks.delivery import dispatcher
from webhooks.models import SUBSCRIBABLE, Endpoint, Event
from webhooks.operations import endpoints
from webhooks.operations.events import record_event
from webhooks.tests.receiver import Receiver, serve

Maker = Callable[..., Endpoint]

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_CIDRS = LOOPBACK
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def make_endpoint(receiver: Receiver) -> Maker:
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
    """These tests call the dispatcher themselves, except where the site runs."""
    if "site" not in request.fixturenames:
        monkeypatch.setattr(
            "webhooks.operations.events.send_once_after_commit", lambda *_, **__: None
        )
        monkeypatch.setattr("webhooks.delivery.dispatcher.send_after_commit", lambda *_: None)


def elsewhere(work: Callable[[], Any]) -> threading.Thread:
    """Run in a thread with a database connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def run_dispatcher(**options: Any) -> int:
    return dispatcher.dispatch_deliveries(**options)
