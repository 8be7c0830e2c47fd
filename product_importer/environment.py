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
