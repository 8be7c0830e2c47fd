"""The verbs of endpoints: make, change, delete, test, rotate, recover, resend."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from product_importer.common import address_guard
from product_importer.common.errors import Invalid as Invalid
from product_importer.common.errors import NotPossible
from webhooks import secrets
from webhooks.models import (
    DESCRIPTION_MAX_LENGTH,
    SUBSCRIBABLE,
    Delivery,
    Endpoint,
    EndpointSecret,
    Event,
)
from webhooks.operations.events import add_event, wake_dispatcher
from webhooks.operations.samples import sample_of
from webhooks.signing import new_secret
from webhooks.sql import outbox

OLD_SECRET_LIVES = timedelta(hours=24)
LOOK_UP_SECONDS = 3.0  # of a name, while somebody waits for the form
DISABLED_BY_HAND = "Disabled by hand."


class Refused(NotPossible):
    """The act is not possible now; the message says why and what to do."""


# --- Endpoints ------------------------------------------------------------------------


@transaction.atomic
def create_endpoint(
    *,
    actor: User | None,
    url: str,
    events: list[str],
    description: str = "",
    enabled: bool = True,
) -> tuple[Endpoint, str]:
    """Make an endpoint; returns it with its secret, which is never shown again.

    Raises ``Invalid``.
    """
    cleaned = _cleaned({"url": url, "events": events, "description": description})
    endpoint = Endpoint(created_by=actor, **cleaned)
    if not enabled:
        _disable(endpoint, DISABLED_BY_HAND)
    endpoint.save()
    return endpoint, _add_secret(endpoint)


@transaction.atomic
def update_endpoint(*, endpoint_id: int, **values: Any) -> Endpoint:
    """Change ``url``, ``events``, ``description`` or ``enabled``; later attempts go by it.

    An endpoint that is enabled again has a clean slate. Raises ``Invalid`` and
    ``Endpoint.DoesNotExist``.
    """
    endpoint = Endpoint.objects.select_for_update(of=("self",), no_key=True).get(pk=endpoint_id)
    enabled = values.pop("enabled", endpoint.enabled)
    for name, value in _cleaned(values).items():
        setattr(endpoint, name, value)
    if enabled and not endpoint.enabled:
        endpoint.enabled = True
        endpoint.disabled_reason, endpoint.disabled_at, endpoint.failing_since = "", None, None
        wake_dispatcher()
    elif endpoint.enabled and not enabled:
        _disable(endpoint, DISABLED_BY_HAND)
    endpoint.save()
    return endpoint


def _disable(endpoint: Endpoint, reason: str) -> None:
    endpoint.enabled = False
    endpoint.disabled_reason = reason
    endpoint.disabled_at = timezone.now()


def delete_endpoint(*, endpoint_id: int) -> None:
    """Delete an endpoint: nothing is sent to it any more. Its log is cleared by and by.

    Raises ``Endpoint.DoesNotExist``.
    """
    now = timezone.now()
    with transaction.atomic():
        if not Endpoint.objects.filter(pk=endpoint_id).update(deleted_at=now, enabled=False):
            raise Endpoint.DoesNotExist
        EndpointSecret.objects.filter(endpoint=endpoint_id).delete()


def _cleaned(values: dict[str, Any]) -> dict[str, Any]:
    """The values as they are stored. Raises ``Invalid`` with every field that is wrong."""
    errors: dict[str, tuple[str, str]] = {}
    cleaned: dict[str, Any] = {}
    if "url" in values:
        url = cleaned["url"] = str(values["url"]).strip()
        try:
            check_address(url)
        except address_guard.Refused as refused:
            errors["url"] = (refused.code, str(refused))
    if "events" in values:
        wanted = list(values["events"])
        unknown = [name for name in wanted if name not in SUBSCRIBABLE]
        if unknown:
            errors["events"] = (
                "unknown_event",
                f"There is no event “{unknown[0]}”. There are: {', '.join(SUBSCRIBABLE)}.",
            )
        elif not wanted:
            errors["events"] = ("required", "Choose at least one event.")
        cleaned["events"] = [name for name in SUBSCRIBABLE if name in wanted]
    if "description" in values:
        text = cleaned["description"] = str(values["description"]).strip()
        if len(text) > DESCRIPTION_MAX_LENGTH or "\0" in text:
            errors["description"] = ("invalid", "A description has at most 200 characters.")
    if errors:
        raise Invalid(errors)
    return cleaned


def check_address(url: str) -> None:
    """Whether the URL may be called, as things stand now. Raises ``guard.Refused``.

    A name that has no address yet is let through: it is looked up again at every attempt.
    """
    target = address_guard.check_url(url, settings.WEBHOOK_ALLOWED_CIDRS)
    try:
        address_guard.look_up(
            target, seconds=LOOK_UP_SECONDS, allowed=settings.WEBHOOK_ALLOWED_CIDRS
        )
    except address_guard.NotFound:
        return


# --- Secrets --------------------------------------------------------------------------


@transaction.atomic
def rotate_secret(*, endpoint_id: int) -> str:
    """Make a new secret and return it; the one before stays live for a day.

    Raises ``Endpoint.DoesNotExist``.
    """
    endpoint = Endpoint.objects.select_for_update(of=("self",), no_key=True).get(pk=endpoint_id)
    now = timezone.now()
    endpoint.secrets.filter(expires_at__lte=now).delete()
    endpoint.secrets.filter(expires_at=None).update(expires_at=now + OLD_SECRET_LIVES)
    return _add_secret(endpoint)


def _add_secret(endpoint: Endpoint) -> str:
    secret = new_secret()
    EndpointSecret.objects.create(endpoint=endpoint, token=secrets.encrypt(secret))
    return secret


# --- Deliveries -----------------------------------------------------------------------


@transaction.atomic
def send_test(*, endpoint_id: int, like: Event.Type = Event.Type.WEBHOOK_TEST) -> Delivery:
    """Send a test to an endpoint, enabled or not: one try, the way of all deliveries.

    ``like``: its message is a sample of that type of event, with ``is_test`` in its data.
    Returns the last test while that is still under way. Raises ``Endpoint.DoesNotExist``.
    """
    endpoint = Endpoint.objects.select_for_update(of=("self",), no_key=True).get(pk=endpoint_id)
    waiting = endpoint.deliveries.filter(is_test=True, state=Delivery.State.PENDING).first()
    if waiting is not None:
        return waiting
    data: dict[str, Any] = {
        "endpoint": endpoint.pk,
        "message": "This is a test. If you can read and verify it, all is well.",
    }
    if like != Event.Type.WEBHOOK_TEST:
        data = {**sample_of(like), **data}
    event = add_event(type=Event.Type.WEBHOOK_TEST, data=data, told_as=like)
    delivery = Delivery.objects.create(
        endpoint=endpoint, event=event, is_test=True, next_attempt_at=event.created_at
    )
    wake_dispatcher()
    return delivery


@transaction.atomic
def resend(*, delivery_id: int) -> Delivery:
    """Send an event again, with a fresh schedule; the attempts so far stay in the log.

    Raises ``Refused`` while it is being sent, and ``Delivery.DoesNotExist``.
    """
    delivery = Delivery.objects.select_for_update(of=("self",)).get(
        pk=delivery_id, endpoint__deleted_at=None
    )
    now = timezone.now()
    if delivery.is_leased(now):
        raise Refused("It is being sent right now. Wait for the result.")
    if not delivery.is_test and not delivery.endpoint.enabled:
        raise Refused("The endpoint is disabled. Enable it first, then send again.")
    delivery.state = Delivery.State.PENDING
    delivery.tries = delivery.claims = 0
    delivery.leased_by = delivery.finished_at = None
    delivery.next_attempt_at = now
    delivery.save()
    wake_dispatcher()
    return delivery


@transaction.atomic
def resend_several(*, endpoint_id: int, delivery_ids: Collection[int]) -> int:
    """Send events of an endpoint again, and return how many; those being sent now are left.

    Raises ``Refused`` for an endpoint that is disabled.
    """
    endpoint = Endpoint.objects.get(pk=endpoint_id)
    if not endpoint.enabled:
        raise Refused("The endpoint is disabled. Enable it first, then send again.")
    now = timezone.now()
    chosen = (
        endpoint.deliveries.select_for_update(of=("self",))
        .filter(pk__in=list(delivery_ids))
        .order_by("pk")
    )
    due = [delivery.pk for delivery in chosen if not delivery.is_leased(now)]
    count = Delivery.objects.filter(pk__in=due).update(
        state=Delivery.State.PENDING,
        tries=0,
        claims=0,
        leased_by=None,
        finished_at=None,
        next_attempt_at=now,
    )
    if count:
        wake_dispatcher()
    return count


@transaction.atomic
def recover(*, endpoint_id: int, since: datetime) -> int:
    """Queue again what failed since then, and what was missed while disabled; return how many.

    Raises ``Refused`` and ``Endpoint.DoesNotExist``.
    """
    endpoint = Endpoint.objects.select_for_update(of=("self",), no_key=True).get(pk=endpoint_id)
    now = timezone.now()
    if since > now:
        raise Refused("That time is in the future. Choose the time from which events are missing.")
    with connection.cursor() as cursor:
        count = outbox.recover(
            cursor, endpoint_id=endpoint.pk, types=endpoint.events, since=since, now=now
        )
    if count:
        wake_dispatcher()
    return count
