"""The two verbs: ``fetch`` brings a file that is new, ``look`` tells what is there."""

import dataclasses
import io
from collections.abc import Callable
from typing import BinaryIO

from imports.fetching.clock import Clock
from imports.fetching.schemes import ftp, http, s3, sheets
from imports.fetching.source import (
    Alive,
    Fetched,
    FetchFailed,
    Found,
    Known,
    Limits,
    Source,
    Unchanged,
)
from imports.fetching.transfer import Enough, NotWritten, Transfer

# Bring a file, or the rest of it, to the transfer; ``False``: nothing new.
Take = Callable[[Source, Known, Transfer], bool]


def _take_by_sftp(source: Source, known: Known, transfer: Transfer) -> bool:
    # Only now: asyncssh is 9 MB in each process that loads it.
    from imports.fetching.schemes import sftp

    return sftp.take(source, known, transfer)


_TAKES: dict[str, Take] = {
    **{"https": http.take, "http": http.take, "sftp": _take_by_sftp},
    **{"ftps": ftp.take, "ftp": ftp.take, "s3": s3.take},
}
WAIT_MOST = 60.0  # seconds between two tries, whatever the server asks for
# Another try right away would meet the same.
_LATER = frozenset({"too_slow", "time_limit", "not_found", "empty", "no_file", "listing_too_long"})


def fetch(
    source: Source,
    known: Known,
    into: BinaryIO,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    alive: Alive | None = None,
) -> Fetched | Unchanged:
    """Write the file to ``into`` (from where it stands; it can be sought and truncated).

    What was written to ``into`` is of no use where nothing is new since ``known``. A connection
    that breaks is made again, and goes on where it was. Raises ``FetchFailed``, and the
    ``OSError`` of ``into``.
    """
    clock = Clock(limits, alive)
    transfer = Transfer(into, clock, pages=True)
    try:
        came = _persist(source, known, transfer)
    except FetchFailed as failure:
        failure.host_key = transfer.host_key
        raise
    if not came or transfer.taken is None:
        return Unchanged(known, transfer.host_key)
    clock.tell()
    sha256 = transfer.digest.hexdigest()
    now = dataclasses.replace(transfer.taken.known, sha256=sha256)
    if sha256 == known.sha256:
        return Unchanged(now, transfer.host_key)
    return Fetched(
        name=transfer.taken.name,
        size=transfer.size,
        sha256=sha256,
        known=now,
        host_key=transfer.host_key,
    )


def look(source: Source, *, limits: Limits = Limits(), alive: Alive | None = None) -> Found:  # noqa: B008
    """What is there, and the first ``limits.head`` bytes of what a fetch would take.

    A folder where no name fits is found too, with a blank ``name``. Raises ``FetchFailed``.
    """
    into = io.BytesIO()
    transfer = Transfer(into, Clock(limits, alive), stop_at=limits.head, pages=True)
    try:
        _persist(source, Known(), transfer)
    except Enough:
        pass
    except FetchFailed as failure:
        if failure.code != "no_file" or not transfer.entries:
            raise
    taken = transfer.taken
    return Found(
        name=taken.name if taken else "",
        head=into.getvalue()[: limits.head],
        entries=transfer.entries,
        left_out=transfer.left_out,
        size=taken.known.size if taken else None,
        host_key=transfer.host_key,
    )


def _persist(source: Source, known: Known, transfer: Transfer) -> bool:
    """Try again, after waits that grow, while a failure may pass."""
    clock = transfer.clock
    take = _take(source)
    for attempt in range(1, clock.limits.tries + 1):
        clock.end_listing()  # which the try before may have broken off
        try:
            return take(source, known, transfer)
        except NotWritten as error:
            raise error.reason from None
        except FetchFailed as failure:
            wait = max(clock.limits.wait_seconds * 2 ** (attempt - 1), failure.retry_after)
            last = attempt == clock.limits.tries or wait > WAIT_MOST
            if last or not failure.temporary or failure.code in _LATER:
                raise
        clock.sleep(wait)
    raise AssertionError("unreachable")


def _take(source: Source) -> Take:
    if sheets.is_sheet(source.url):
        return sheets.take
    scheme = source.url.partition(":")[0].lower()
    if scheme not in _TAKES:
        raise FetchFailed(
            "scheme_not_allowed", f"The address has to begin with {'://, '.join(_TAKES)}://."
        )
    return _TAKES[scheme]
