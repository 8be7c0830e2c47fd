"""Endpoints and their secrets; what is kept, what is cleared, what is never shown."""

import base64
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook

from product_importer.common.encryption import Undecryptable
from webhooks import secrets, signing
from webhooks.models import SUBSCRIBABLE, Attempt, Delivery, Endpoint, EndpointSecret, Event
from webhooks.operations import endpoints, retention
from webhooks.queries import days_of, oldest_due_seconds
from webhooks.tests.conftest import run_dispatcher, tell
from webhooks.tests.receiver import Receiver

pytestmark = pytest.mark.django_db

Maker = Callable[..., Endpoint]


def test_the_fixed_vector_of_standard_webhooks() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    message = {
        "message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "timestamp": 1614265330,
        "body": b'{"test": 2432232314}',
    }
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signing.signature(secret, **message) == expected  # type: ignore[arg-type]


def test_a_secret_has_32_bytes_and_no_two_are_alike() -> None:
    one, other = signing.new_secret(), signing.new_secret()
    assert one != other
    assert len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) == 32
    Webhook(one)


@pytest.mark.parametrize(
    ("values", "field", "word"),
    [
        ({"url": ""}, "url", "http"),
        ({"events": []}, "events", "at least one"),
        ({"events": ["product.exploded"]}, "events", "product.exploded"),
        ({"events": ["webhook.test"]}, "events", "webhook.test"),
        ({"description": "x" * 201}, "description", "200"),
    ],
)
def test_what_an_endpoint_cannot_be_is_told_beside_the_field(
    make_endpoint: Maker, values: dict[str, Any], field: str, word: str
) -> None:
    with pytest.raises(endpoints.Invalid) as refused:
        make_endpoint(**values)
    assert word in refused.value.errors[field][1]
    assert not Endpoint.objects.exists()


def test_a_rotated_secret_lives_on_for_a_day(
    receiver: Receiver, make_endpoint: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = make_endpoint()
    old = endpoint.secret  # type: ignore[attr-defined]
    new = endpoints.rotate_secret(endpoint_id=endpoint.pk)
    now = timezone.now()
    live = secrets.live_secrets([endpoint.pk], now + timedelta(hours=23.9))
    assert live == {endpoint.pk: [new, old]}
    live = secrets.live_secrets([endpoint.pk], now + timedelta(hours=24.1))
    assert live == {endpoint.pk: [new]}


def test_secrets_are_encrypted_and_keys_can_be_exchanged(
    make_endpoint: Maker, settings: Any
) -> None:
    endpoint = make_endpoint()
    secret = endpoint.secret  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM webhooks_endpointsecret")
        (token,) = cursor.fetchone()
    assert secret not in token
    assert secret.removeprefix("whsec_") not in token
    settings.WEBHOOK_SECRET_KEYS = ["new", settings.SECRET_KEY]
    settings.SECRET_KEY = "exchanged"
    assert secrets.decrypt(token) == secret
    settings.WEBHOOK_SECRET_KEYS = ["new"]
    with pytest.raises(Undecryptable, match="rotate"):
        secrets.decrypt(token)


def test_no_secret_is_shown_anywhere(
    receiver: Receiver,
    make_endpoint: Maker,
    page: Client,
    user: User,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After the one answer: pages, API, admin, error pages, logs."""
    user.is_staff = user.is_superuser = True
    user.save()
    caplog.set_level(logging.DEBUG)
    answer = page.post(reverse("endpoint-new"), {"url": receiver.url, "events": list(SUBSCRIBABLE)})
    endpoint = Endpoint.objects.get()
    (secret,) = secrets.live_secrets([endpoint.pk], timezone.now())[endpoint.pk]
    token = EndpointSecret.objects.get().token
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    tell()
    run_dispatcher()
    delivery = Delivery.objects.get()
    receiver.answer = (500, {}, b"")
    missing = f"/webhooks/{endpoint.pk + 1}/"
    paths = [
        "/webhooks/",
        f"/webhooks/{endpoint.pk}/",
        f"/webhooks/{endpoint.pk}/edit/",
        f"/webhooks/{endpoint.pk}/delete/",
        f"/webhooks/deliveries/{delivery.pk}/",
        f"/webhooks/deliveries/{delivery.pk}/result/",
        missing,
        "/api/v1/webhooks/",
        f"/api/v1/webhooks/{endpoint.pk}/",
        f"/api/v1/webhooks/{endpoint.pk}/deliveries/",
        f"/api/v1/deliveries/{delivery.pk}/",
        "/admin/webhooks/endpoint/",
        f"/admin/webhooks/endpoint/{endpoint.pk}/change/",
        "/admin/webhooks/delivery/",
        f"/admin/webhooks/delivery/{delivery.pk}/change/",
        "/admin/webhooks/attempt/",
        f"/admin/webhooks/attempt/{Attempt.objects.get().pk}/change/",
        "/admin/webhooks/event/",
        f"/admin/webhooks/event/{Event.objects.get().pk}/change/",
    ]
    for path in paths:
        answer = page.get(path)
        assert answer.status_code == (404 if path == missing else 200), path
        text = answer.content.decode()
        assert secret not in text, path
        assert token not in text, path
    for row in (endpoint, *endpoint.secrets.all()):
        assert token not in repr(row) + str(row)
    logged = caplog.text + str([record.__dict__ for record in caplog.records])
    assert secret not in logged
    assert secret.removeprefix("whsec_") not in logged


def test_old_events_and_their_log_are_cleared(receiver: Receiver, make_endpoint: Maker) -> None:
    make_endpoint()
    tell()
    run_dispatcher()
    kept = tell()
    Event.objects.exclude(pk=kept.pk).update(created_at=timezone.now() - timedelta(days=14.1))
    assert retention.clear_log() == 1
    assert Event.objects.get() == kept
    assert not Attempt.objects.exists()


def test_what_still_waits_for_an_enabled_endpoint_is_not_cleared(
    receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    tell()
    Event.objects.update(created_at=timezone.now() - timedelta(days=15))
    assert retention.clear_log() == 0
    endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=False)
    assert retention.clear_log() == 1


def test_the_age_of_the_oldest_due_delivery_is_told(
    make_endpoint: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert oldest_due_seconds() == 0
    endpoint = make_endpoint()
    tell()
    now = timezone.now()
    Delivery.objects.update(next_attempt_at=now - timedelta(seconds=90))
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert oldest_due_seconds() == 90
    endpoints.update_endpoint(endpoint_id=endpoint.pk, enabled=False)
    assert oldest_due_seconds() == 0


def test_a_day_is_told_in_success_and_latency(receiver: Receiver, make_endpoint: Maker) -> None:
    endpoint = make_endpoint()
    idle = make_endpoint(events=["import.failed"])
    tell(3)
    run_dispatcher()
    receiver.answer = (500, {}, b"")
    tell()
    run_dispatcher()
    Attempt.objects.filter(response_status=500).update(at=timezone.now() - timedelta(hours=5.5))
    Attempt.objects.filter(response_status=200).update(latency_ms=40)
    days = days_of([endpoint, idle])
    day = days[endpoint.pk]
    assert (day.attempts, day.succeeded, day.percent, day.median_ms) == (4, 3, 75.0, 40)
    assert day.hours[-1] == (3, 0)
    assert day.hours[-6] == (0, 1)
    assert day.last_failure is not None
    assert day.last_failure.response_status == 500
    assert days[idle.pk].percent is None


# --- Pages ----------------------------------------------------------------------------


def test_only_a_manager_sees_webhooks(
    client: Client, make_user: Callable[..., User], make_endpoint: Maker, static_files: None
) -> None:
    endpoint = make_endpoint()
    client.force_login(make_user("ed", "editor"))
    for path in ("/webhooks/", f"/webhooks/{endpoint.pk}/", "/webhooks/new/"):
        assert client.get(path).status_code == 403
    for path in ("test", "switch", "rotate", "recover", "delete"):
        assert client.post(f"/webhooks/{endpoint.pk}/{path}/").status_code == 403
    assert client.get("/api/v1/webhooks/").status_code == 403
    assert client.post(f"/api/v1/webhooks/{endpoint.pk}/test/").status_code == 403
    assert "Webhooks" not in client.get("/imports/").content.decode()
    assert not Delivery.objects.exists()


def test_a_form_says_beside_the_field_what_is_wrong(page: Client, settings: Any) -> None:
    settings.WEBHOOK_ALLOWED_CIDRS = []
    answer = page.post("/webhooks/new/", {"url": "http://10.0.0.1/", "events": ["import.failed"]})
    assert answer.status_code == 400
    assert "one that is private" in answer.content.decode()
    answer = page.post("/webhooks/new/", {"url": "https://example.com/"})
    assert "at least one event" in answer.content.decode()


def test_an_endpoint_is_edited_switched_rotated_recovered_and_deleted_on_its_page(
    page: Client, receiver: Receiver, make_endpoint: Maker
) -> None:
    endpoint = make_endpoint()
    base = f"/webhooks/{endpoint.pk}/"
    page.post(base + "edit/", {"url": receiver.url + "2", "events": ["product.updated"]})
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.events) == (receiver.url + "2", ["product.updated"])
    page.post(base + "switch/", {"enabled": "false"})
    tell(2)
    assert "Nothing is sent to this endpoint" in page.get(base).content.decode()
    page.post(base + "switch/", {"enabled": "true"})
    since = timezone.localtime() - timedelta(minutes=5)
    answer = page.post(base + "recover/", {"since": f"{since:%Y-%m-%dT%H:%M}"}, follow=True)
    assert "2 deliveries are on their way" in answer.content.decode()
    assert run_dispatcher() == 2
    assert "whsec_" in page.post(base + "rotate/").content.decode()
    assert "whsec_" not in page.get(base).content.decode()
    delivery = Delivery.objects.latest("pk")
    page.post(f"/webhooks/deliveries/{delivery.pk}/resend/")
    assert run_dispatcher() == 1
    page.post(base + "test/")
    assert run_dispatcher() == 1
    assert "Delete this endpoint?" in page.get(base + "delete/").content.decode()
    page.post(base + "delete/")
    assert page.get(base).status_code == 404
    assert page.get(f"/webhooks/deliveries/{delivery.pk}/").status_code == 404


@pytest.mark.parametrize("since", ["", "yesterday", "2026-13-45T00:00", "2999-01-01T00:00"])
def test_a_time_that_is_none_recovers_nothing(
    page: Client, make_endpoint: Maker, since: str
) -> None:
    endpoint = make_endpoint()
    answer = page.post(f"/webhooks/{endpoint.pk}/recover/", {"since": since}, follow=True)
    assert "Choose the time" in answer.content.decode()


def test_a_response_cannot_put_markup_on_a_page(
    page: Client, receiver: Receiver, make_endpoint: Maker
) -> None:
    make_endpoint()
    receiver.answer = (500, {"X-Odd": "<script>1</script>"}, b"<script>2</script>")
    tell(name="<script>3</script>")
    run_dispatcher()
    delivery = Delivery.objects.get()
    text = page.get(f"/webhooks/deliveries/{delivery.pk}/").content.decode()
    assert "<script>1" not in text
    assert "<script>2" not in text
    assert "<script>3" not in text
    assert "&lt;script&gt;2" in text


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("", {}),
        ("", {"url": 7, "events": "all"}),
        ("", {"url": "https://example.com/", "events": [["x"]]}),
        ("", {"url": "https://example.com/", "events": ["import.failed"], "enabled": "perhaps"}),
        ("", {"url": "https://example.com/\x00", "events": ["import.failed"]}),
        ("", {"url": "https://example.com/\ud800", "events": ["import.failed"]}),
        ("", {"url": "x" * 20_000, "events": ["import.failed"]}),
        ("", []),
        ("1/recover/", {}),
        ("1/recover/", {"since": "soon"}),
        ("1/recover/", {"since": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_a_bad_request_is_told_in_a_sentence(
    page: Client, make_endpoint: Maker, path: str, data: Any
) -> None:
    endpoint = make_endpoint()
    path = path.replace("1/", f"{endpoint.pk}/")
    answer = page.post(
        f"/api/v1/webhooks/{path}", json.dumps(data), content_type="application/json"
    )
    assert answer.status_code in (400, 202), answer.content
    if answer.status_code == 400:
        assert answer.json()["detail"]
