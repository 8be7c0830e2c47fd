"""The public contract of the webhooks' API, over HTTP against the running site."""

import time
from typing import Any

from conftest import Browserless, wait_for
from webhooks.models import SUBSCRIBABLE, Delivery
from webhooks.tests.receiver import Receiver

FIELDS = {
    "id", "url", "description", "events", "enabled", "disabled_reason", "secret", "created_at",
}  # fmt: skip


def subscribe(api: Browserless, url: str, **values: Any) -> dict[str, Any]:
    answer = api.post(
        "/api/v1/webhooks/", json={"url": url, "events": list(SUBSCRIBABLE), **values}
    )
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def delivery_ended(api: Browserless, delivery_id: int) -> dict[str, Any]:
    def ended() -> Any:
        delivery = api.get(f"/api/v1/deliveries/{delivery_id}/").json()
        return delivery if delivery["state"] != "pending" else None

    delivery: dict[str, Any] = wait_for(ended)
    return delivery


def test_the_secret_is_told_once(api: Browserless, receiver: Receiver) -> None:
    created = subscribe(api, receiver.url)
    assert created.keys() == FIELDS
    assert created["secret"].startswith("whsec_")
    path = f"/api/v1/webhooks/{created['id']}/"
    for shown in (api.get(path).json(), api.get("/api/v1/webhooks/").json()["results"][0]):
        assert shown == {**created, "secret": "whsec_…"}
    rotated = api.post(path + "rotate-secret/").json()
    assert rotated["secret"] not in (created["secret"], "whsec_…")
    assert api.get(path).json()["secret"] == "whsec_…"


def test_a_test_tells_the_status_and_the_latency(api: Browserless, receiver: Receiver) -> None:
    endpoint = subscribe(api, receiver.url)
    receiver.answer = (418, {}, b"short and stout")
    began = time.monotonic()
    answer = api.post(f"/api/v1/webhooks/{endpoint['id']}/test/")
    assert answer.status_code == 202
    delivery = delivery_ended(api, answer.json()["id"])
    took = (time.monotonic() - began) * 1000
    assert (delivery["event_type"], delivery["state"]) == ("webhook.test", "failed")
    (attempt,) = delivery["attempts"]
    assert (attempt["response_status"], attempt["response_body"]) == (418, "short and stout")
    assert attempt["error"] is None
    assert 0 < attempt["latency_ms"] < took


def test_a_change_by_api_reaches_an_endpoint(api: Browserless, receiver: Receiver) -> None:
    endpoint = subscribe(api, receiver.url, events=["product.created"])
    api.post("/api/v1/products/", json={"sku": "A-1", "name": "Lamp"})
    wait_for(lambda: receiver.received)
    delivery = Delivery.objects.get()
    delivery_ended(api, delivery.pk)
    log = api.get(f"/api/v1/webhooks/{endpoint['id']}/deliveries/").json()
    assert (log["count"], log["results"][0]["state"]) == (1, "succeeded")
    assert log["results"][0]["webhook_id"] == receiver.ids()[0]
