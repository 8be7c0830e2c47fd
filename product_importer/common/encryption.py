"""Secrets at rest: encrypted with a key that is not in the database."""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Undecryptable(Exception):
    """A secret was encrypted with a key that the settings no longer have."""


class Cipher:
    """Encrypts for one purpose: what is encrypted for another one cannot be read by it."""

    def __init__(self, purpose: str) -> None:
        """``purpose`` keeps its words for good: the key is derived from them."""
        self.purpose = purpose.encode()

    def encrypt(self, secret: str) -> str:
        return _fernet(self.purpose, *_passwords()).encrypt(secret.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Raises ``Undecryptable``."""
        try:
            return _fernet(self.purpose, *_passwords()).decrypt(token.encode()).decode()
        except InvalidToken:
            raise Undecryptable(
                "It was encrypted with another key. Put that key back into WEBHOOK_SECRET_KEYS "
                "(or SECRET_KEY)."
            ) from None


def _passwords() -> list[str]:
    """The first one encrypts, each may decrypt, so that keys can be exchanged."""
    return settings.WEBHOOK_SECRET_KEYS or [settings.SECRET_KEY]


@cache
def _fernet(purpose: bytes, *passwords: str) -> MultiFernet:
    return MultiFernet([Fernet(_key(purpose, password)) for password in passwords])


def _key(purpose: bytes, password: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose)
    return base64.urlsafe_b64encode(derive.derive(password.encode()))
