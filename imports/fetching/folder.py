"""Files on a server with folders: their names and dates, which is the newest, which grows."""

import fnmatch
import re
import time
from datetime import UTC, datetime

from imports.fetching.clock import Clock
from imports.fetching.source import Entry, FetchFailed, Known
from imports.fetching.transfer import Taken, Transfer

FRESH_SECONDS = 60.0  # a file that was changed less long ago is looked at twice before, too
NAME_LENGTH = 500  # characters, at most
# Surrogates stand for bytes that are no UTF-8.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def clean_name(name: str) -> str:
    """The last part of a path without control characters; blank if nothing is left."""
    name = _CONTROL.sub("", re.split(r"[/\\]", name)[-1]).strip()
    return "" if name in (".", "..") else name[:200]


def number(text: str) -> int | None:
    """A size as a server writes it; ``None`` for what is none that a database could keep."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def iso_date(seconds: float | None) -> str:
    """A file's date, in seconds since 1970, as text that sorts; blank for none."""
    try:
        when = datetime.fromtimestamp(seconds or 0, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return when.isoformat(timespec="seconds") if seconds else ""


def settle(entry: Entry, clock: Clock) -> bool:
    """Wait a little with a file that was changed just now, for it to be looked at again."""
    fresh = iso_date(time.time() - FRESH_SECONDS)
    if entry.modified and entry.modified < fresh:
        return False
    clock.sleep(clock.limits.settle_seconds)
    return True


def begin(entry: Entry, transfer: Transfer) -> int:
    """Begin with a file, or go on with it; returns from where, in bytes."""
    if entry.size is None or not entry.modified:
        transfer.forget()  # it might be another version by now
    now = Known(size=entry.size, modified=entry.modified, name=entry.name)
    taken = Taken(clean_name(entry.name) or "download", now)
    offset = transfer.offset_for(taken)
    transfer.begin(taken, entry.size, offset=offset)
    return offset


class Listing:
    """A folder's files as they are named, kept for ``transfer`` to tell."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        transfer.clock.begin_listing()
        self._entries: list[Entry] = []
        self._seen = self._left_out = 0

    def count(self) -> None:
        """One more name, of whatever it is. Raises ``FetchFailed`` when they are too many."""
        self._seen += 1
        most = self._transfer.clock.limits.names
        if self._seen > most:
            raise FetchFailed(
                "too_many_names",
                f"The folder has more than {most:,} names. Give the address of a folder with "
                "fewer, or of the file itself.",
            )

    def add(self, entry: Entry) -> None:
        """A file. One whose name would mislead who reads it is left out, and counted."""
        name = entry.name
        if not name or len(name) > NAME_LENGTH or "/" in name or _CONTROL.search(name):
            self._left_out += 1
        else:
            self._entries.append(entry)

    @staticmethod
    def fits(name: str, pattern: str) -> bool:
        """Whether a name fits a pattern as in a shell; blank: any."""
        return fnmatch.fnmatchcase(name, pattern or "*")

    def newest(self, pattern: str) -> Entry:
        """The newest file whose name fits (as in a shell). Raises ``FetchFailed``."""
        self._transfer.clock.end_listing()
        entries = self._entries
        entries.sort(key=lambda entry: (entry.modified, entry.name), reverse=True)
        self._transfer.entries, self._transfer.left_out = tuple(entries), self._left_out
        for entry in entries:
            if self.fits(entry.name, pattern):
                return entry
        text = f"No name of the {len(entries):,} in the folder fits “{pattern}”."
        if not entries:
            text = "There is no file in the folder."
        raise FetchFailed("no_file", text, temporary=True)
