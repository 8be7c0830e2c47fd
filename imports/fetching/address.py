"""What an address says: its host past the guard, a path on its server."""

from urllib.parse import unquote, urlsplit

from imports.fetching.source import FetchFailed, Limits
from product_importer.common import address_guard

PORTS = {**address_guard.WEB_PORTS, "ftp": 21, "ftps": 21, "sftp": 22}


def target_of(url: str, limits: Limits, *, ports: dict[str, int] = PORTS) -> address_guard.Target:
    """Where an address leads. Raises ``FetchFailed`` for one that may not be called."""
    try:
        return address_guard.check_url(url, limits.allowed, ports=ports)
    except address_guard.Refused as refused:
        raise FetchFailed(refused.code, str(refused)) from None


def path_of(url: str) -> str:
    """The path on an FTP or SFTP server; ``/~/list.csv`` is in the user's own folder.

    Raises ``FetchFailed`` for control characters, which would end a command.
    """
    parts = urlsplit(url)
    # A question mark begins a query in web addresses only.
    path = unquote(parts.path + (f"?{parts.query}" if parts.query else ""), errors="replace")
    if not path.isprintable():
        raise FetchFailed("url_invalid", "The path contains a line break or a control code.")
    return path.removeprefix("/~/") if path.startswith("/~/") else path or "/"
