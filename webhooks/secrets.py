"""Signing secrets at rest: encrypted with a key that is not in the database."""

import base64
from datetime import datetime
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models import Q

from webhooks.models import EndpointSecret


class Unreadable(Exception):
    """A secret was encrypted with a key that the settings no longer have."""


def encrypt(secret: str) -> str:
    return _vault(*_passwords()).encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """Raises ``Unreadable``."""
    try:
        return _vault(*_passwords()).decrypt(token.encode()).decode()
    except InvalidToken:
        raise Unreadable(
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
        except Unreadable:
            if secret.expires_at is None:
                unreadable.add(secret.endpoint_id)
    return {pk: [] if pk in unreadable else found for pk, found in live.items()}


def _passwords() -> list[str]:
    """The first one encrypts, each may decrypt, so that keys can be exchanged."""
    return settings.WEBHOOK_SECRET_KEYS or [settings.SECRET_KEY]


@cache
def _vault(*passwords: str) -> MultiFernet:
    return MultiFernet([Fernet(_key(password)) for password in passwords])


def _key(password: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"webhook signing secrets")
    return base64.urlsafe_b64encode(derive.derive(password.encode()))
