"""Deliveries on their pages: retrying, the headers that were sent, several again, tests by type."""

import json
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from standardwebhooks import Webhook

from webhooks.models import SUBSCRIBABLE, Delivery
from webhooks.operations import endpoints
from webhooks.tests.conftest import Maker, run_dispatcher, tell
from webhooks.tests.receiver import Receiver

pytestmark = pytest.mark.django_db


def text_of(page: Client, path: str) -> str:
    return re.sub(r"\s+", " ", page.get(path).content.decode())


def test_a_delivery_that_failed_is_retrying_and_says_when(
    page: Client, user: User, receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    tell()
    delivery = Delivery.objects.get()
    assert "Pending</span>" in text_of(page, f"/webhooks/deliveries/{delivery.pk}/")
    receiver.answer = (500, {}, b"no")
    run_dispatcher()
    for path in (f"/webhooks/deliveries/{delivery.pk}/", f"/webhooks/{endpoint.pk}/"):
        text = text_of(page, path)
        assert re.search(r"Retrying, next <time[^>]*>in \d+ (s|min)</time>", text), path
        assert "Pending</span>" not in text
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    assert "Retrying" in text_of(page, "/admin/webhooks/delivery/")


def test_the_page_of_a_delivery_follows_until_it_has_ended(
    page: Client, receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    tell()
    path = f"/webhooks/deliveries/{Delivery.objects.get().pk}/"
    assert 'data-live="always"' in text_of(page, path)
    run_dispatcher()
    assert 'data-live="always"' not in text_of(page, path)


def test_the_deliveries_of_an_endpoint_follow_until_all_have_ended(
    page: Client, receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    tell(2)
    path = f"/webhooks/{endpoint.pk}/"
    assert 'id="delivery-list" data-live="always"' in text_of(page, path)
    run_dispatcher()
    text = text_of(page, path)
    assert 'id="delivery-list" data-live>' in text
    assert 'data-live="always"' not in text


def test_each_attempt_shows_the_very_headers_that_were_sent(
    page: Client, receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    tell()
    run_dispatcher()
    delivery = Delivery.objects.get()
    kept = delivery.attempts.get().request_headers
    assert kept is not None
    got = receiver.received[0]
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert kept[name] == got.headers[name]
        assert kept[name] in page.get(f"/webhooks/deliveries/{delivery.pk}/").content.decode()
    Webhook(endpoint.secret).verify(got.body, kept)  # type: ignore[attr-defined]


def test_several_are_sent_again_at_once(
    page: Client, receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    tell(3)
    run_dispatcher()
    chosen = [delivery.pk for delivery in Delivery.objects.order_by("pk")[:2]]
    other = make_endpoint()
    answer = page.post(f"/webhooks/{endpoint.pk}/resend/", {"delivery": chosen}, follow=True)
    assert "2 deliveries are on their way" in answer.content.decode()
    run_dispatcher()
    assert len(receiver.received) == 5
    page.post(f"/webhooks/{other.pk}/resend/", {"delivery": chosen})  # not its own
    assert run_dispatcher() == 0
    endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=False)
    answer = page.post(f"/webhooks/{endpoint.pk}/resend/", {"delivery": chosen}, follow=True)
    assert "The endpoint is disabled" in answer.content.decode()


@pytest.mark.parametrize("type", SUBSCRIBABLE)
def test_a_test_may_look_like_any_type_of_event(
    page: Client, receiver: Receiver, make_endpoint: Maker, type: str
) -> None:
    endpoint, other = make_endpoint(), make_endpoint()
    page.post(f"/webhooks/{endpoint.pk}/test/", {"type": type})
    run_dispatcher()
    (got,) = receiver.received
    body = json.loads(got.body)
    assert body["type"] == type
    assert body["data"]["is_test"] is True
    delivery = Delivery.objects.get()
    assert delivery.event.type == "webhook.test"  # it is no such event: others never recover it
    assert endpoints.recover(endpoint_id=other.pk, since=delivery.created_at) == 0


def test_a_test_of_no_type_is_refused(page: Client, make_endpoint: Maker) -> None:
    endpoint = make_endpoint()
    page.post(f"/webhooks/{endpoint.pk}/test/", {"type": "nothing"})
    assert not Delivery.objects.exists()
