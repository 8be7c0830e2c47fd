"""The pump with a real receiver: what is due is sent, and what came of it is written down."""

import json
from collections.abc import Callable

import pytest
from standardwebhooks import Webhook

from webhooks.models import Delivery, Endpoint
from webhooks.tests.conftest import Receiver, run_pump, tell

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_reaches_its_endpoint_signed_and_the_attempt_is_recorded(
    receiver: Receiver, make_endpoint: Callable[..., Endpoint]
) -> None:
    endpoint = make_endpoint()
    event = tell(name="Größe 尺寸")
    assert run_pump() == 1
    (got,) = receiver.received
    assert got.body == bytes(event.body)
    assert json.loads(got.body)["sequence"] == event.pk
    Webhook(endpoint.secret).verify(got.body, got.headers)  # type: ignore[attr-defined]
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.leased_by) == ("succeeded", 1, None)
    attempt = delivery.attempts.get()
    assert (attempt.response_status, attempt.response_body, attempt.error) == (200, "ok", "")
    assert attempt.address == "127.0.0.1"
    assert 0 < attempt.latency_ms < 1000
