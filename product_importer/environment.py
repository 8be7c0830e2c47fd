"""Typed readers for the environment, the only source of configuration.

``bin/run`` leaves what it started (addresses, keys) in ``DATA_DIR/local.json``, so that
``manage.py`` with the same ``DATA_DIR`` works on the same data. The real environment
always wins over that file; in production there is none.
"""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for everything that is kept on this machine (``DATA_DIR``, default ``.data``)."""
    return (BASE_DIR / environ.get("DATA_DIR", ".data")).resolve()


def read_local_file(folder: Path) -> dict[str, str]:
    """What ``bin/run`` left for other processes; empty where it does not run."""
    try:
        return dict(json.loads((folder / "local.json").read_text()))
    except FileNotFoundError:
        return {}


class Environment:
    """Reads settings by name, and names the variable when one is missing or malformed."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, "")
        if value:
            return value
        if default is None:
            raise ImproperlyConfigured(
                f"The environment variable {name} is not set. On a laptop, start bin/run first: "
                "it sets up everything. In production, set it (README.md, 'Deploy')."
            )
        return default

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default)).lower()
        if value not in {"true", "false", "1", "0", "yes", "no"}:
            raise ImproperlyConfigured(f"{name} is {value!r}: write true or false.")
        return value in {"true", "1", "yes"}

    def integer(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        try:
            return int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name} is {value!r}: write a whole number.") from None

    def days(self, name: str, default: int) -> timedelta | None:
        """How long to keep something; ``None`` means for ever: the variable is 0, or empty.

        Not set at all means ``default`` days. Raises ``ImproperlyConfigured``.
        """
        value = self._values.get(name, str(default)).strip()
        if not value.isascii() or not value.isdigit():
            if not value:
                return None
            raise ImproperlyConfigured(
                f"{name} is {value!r}: write a whole number of days, or 0 to keep for ever."
            )
        return timedelta(days=int(value)) if int(value) else None

    def words(self, name: str, default: str | None = None) -> list[str]:
        """A comma-separated list."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]


def site_url(*, origins: list[str], hosts: list[str], https: bool, port: str) -> str:
    """The site's address as far as other settings tell: ``https://shop.example.com``."""
    for origin in origins:
        if "*" not in origin:
            return origin
    named = [host for host in hosts if host != "*" and not host.startswith(".")]
    host = named[0] if named else "localhost"
    return f"https://{host}" if https else f"http://{host}:{port}"


# Scheme of EMAIL_URL -> port, and Django's setting for how the connection is encrypted.
_MAIL = {
    "smtp": (25, ""),
    "smtp+tls": (587, "EMAIL_USE_TLS"),
    "smtps": (465, "EMAIL_USE_SSL"),
}
_BACKEND = "django.core.mail.backends.{}.EmailBackend"


def mail_settings(url: str) -> dict[str, Any]:
    """Django's settings for ``EMAIL_URL``. Raises ``ImproperlyConfigured``, without the password.

    ``smtps://`` speaks TLS from the first byte, ``smtp+tls://`` after STARTTLS, ``smtp://`` not.
    """
    if not url:
        return {"EMAIL_BACKEND": _BACKEND.format("dummy")}
    if url == "console://":
        return {"EMAIL_BACKEND": _BACKEND.format("console")}
    try:
        parts = urlsplit(url)
        port, encryption = _MAIL[parts.scheme]
        port, host = parts.port or port, parts.hostname
    except (ValueError, KeyError):
        host = None
    if not host:
        raise ImproperlyConfigured(
            "EMAIL_URL is not understood: write smtps://NAME:PASSWORD@HOST:PORT, smtp+tls://..., "
            "smtp://... or console://. Write special characters in the password as %.. codes."
        )
    return {
        "EMAIL_BACKEND": _BACKEND.format("smtp"),
        "EMAIL_HOST": host,
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        **({encryption: True} if encryption else {}),
    }
