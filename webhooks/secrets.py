"""Signing secrets at rest: encrypted with a key that is not in the database."""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


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


def _passwords() -> list[str]:
    """The first one encrypts, each may decrypt, so that keys can be exchanged."""
    return settings.WEBHOOK_SECRET_KEYS or [settings.SECRET_KEY]


@cache
def _vault(*passwords: str) -> MultiFernet:
    return MultiFernet([Fernet(_key(password)) for password in passwords])


def _key(password: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"webhook signing secrets")
    return base64.urlsafe_b64encode(derive.derive(password.encode()))
