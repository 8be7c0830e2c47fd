"""Google Sheets: a link to one is read as the CSV that Google makes of it."""

import dataclasses
import re
from urllib.parse import parse_qs, urlsplit

from imports.fetching.schemes import http
from imports.fetching.source import FetchFailed, Known, Source
from imports.fetching.transfer import Transfer

GOOGLE = "https://docs.google.com/spreadsheets/d"
_SHEET = re.compile(r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/(e/)?([\w-]+)(?=[/?#]|$)")
# What Google answers for a sheet that not everybody may read.
_PRIVATE = frozenset({"login_page", "web_page", "password_needed", "wrong_password", "forbidden"})


def is_sheet(url: str) -> bool:
    return bool(_SHEET.match(url))


def take(source: Source, known: Known, transfer: Transfer) -> bool:
    """Bring the sheet, as CSV, to ``transfer``; ``False``: nothing new."""
    try:
        return http.take(dataclasses.replace(source, url=export_url(source.url)), known, transfer)
    except FetchFailed as failure:
        if failure.code not in _PRIVATE:
            raise
        raise FetchFailed(
            "sheet_not_shared",
            "Google asks for a log-in: share the sheet with anyone who has the link, or publish it "
            "to the web (File, Share).",
        ) from None


def export_url(url: str) -> str:
    """The address of a sheet's CSV, of a link to it as browsers show it.

    Of a shared sheet (``/d/ID/edit#gid=7``), of a published one (``/d/e/ID/pubhtml``). A link
    that names its kind of file (``/export?format=xlsx``, ``/pub?output=tsv``) is left as it is.
    """
    found = _SHEET.match(url)
    assert found  # noqa: S101 (``is_sheet``)
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    if {"format", "output", "tqx"} & asked.keys():
        return url.partition("#")[0]
    tab = (parse_qs(parts.fragment).get("gid") or asked.get("gid") or [""])[0]
    gid = f"&gid={tab}" if tab.isascii() and tab.isdigit() else ""
    if found[1]:
        return f"{GOOGLE}/e/{found[2]}/pub?output=csv{gid}{'&single=true' if gid else ''}"
    return f"{GOOGLE}/{found[2]}/export?format=csv{gid}"
