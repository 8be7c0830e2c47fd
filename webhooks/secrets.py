"""Signing secrets at rest: encrypted with a key that is not in the database."""

from datetime import datetime

from django.db.models import Q

from product_importer.common.encryption import Cipher, Undecryptable
from webhooks.models import EndpointSecret

_cipher = Cipher("webhook signing secrets")


def encrypt(secret: str) -> str:
    return _cipher.encrypt(secret)


def decrypt(token: str) -> str:
    """Raises ``Undecryptable``."""
    try:
        return _cipher.decrypt(token)
    except Undecryptable:
        raise Undecryptable(
            "The signing secret was encrypted with another key. Put that key back into "
            "WEBHOOK_SECRET_KEYS (or SECRET_KEY), or rotate the secret of the endpoint."
        ) from None


def live_secrets(endpoint_ids: list[int], now: datetime) -> dict[int, list[str]]:
    """The secrets that sign for each endpoint, the newest first; none if one is unreadable."""
    live: dict[int, list[str]] = {endpoint_id: [] for endpoint_id in endpoint_ids}
    unreadable: set[int] = set()
    rows = EndpointSecret.objects.filter(endpoint__in=endpoint_ids).filter(
        Q(expires_at=None) | Q(expires_at__gt=now)
    )
    for secret in rows.order_by("-id"):
        try:
            live[secret.endpoint_id].append(decrypt(secret.token))
        except Undecryptable:
            if secret.expires_at is None:
                unreadable.add(secret.endpoint_id)
    return {pk: [] if pk in unreadable else found for pk, found in live.items()}
