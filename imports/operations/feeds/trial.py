"""A look at what a feed would fetch, and how it would be read. Nothing is kept or imported."""

import dataclasses
import io
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from imports.fetching.fetch import fetch, look
from imports.fetching.source import Entry, FetchFailed, Known, Limits
from imports.mapping.rules import Rules, RulesError, parse_rules
from imports.models import Feed, ImportJob
from imports.operations.feeds.runs import limits, source_of
from imports.queries import mapping
from imports.readers.csv import UnreadableFile
from imports.readers.unpack import HEAD_SIZE, Kind, NeedsChoice, kind_of, peek

SECONDS = 25.0  # somebody waits
CONNECT_SECONDS = 8.0
PACKED_BYTES = 64 * 1024**2  # an archive or a workbook is only read as a whole
PEEK_ROWS = 600
ENTRIES = 20  # of a folder that are told
RECORDS = 10  # that are shown


@dataclass(frozen=True)
class Tested:
    """What is there: ``error`` says why it cannot be fetched or read, ``read`` how it would be.

    ``read`` is as in a job's mapping: ``rules, questions, columns, notes, preview, format``.
    """

    error: str = ""
    code: str = ""
    name: str = ""
    size: int | None = None
    entries: tuple[Entry, ...] = ()
    more_entries: int = 0
    read: dict[str, Any] = field(default_factory=dict)


def test_feed(feed: Feed) -> Tested:
    """Look at a feed's address for ``SECONDS`` at most. Changes nothing."""
    begun = time.monotonic()
    try:
        source = source_of(feed)
        found = look(source, limits=_limits())
    except FetchFailed as failure:
        return Tested(error=failure.message, code=failure.code)
    tested = Tested(
        name=found.name,
        size=found.size,
        entries=found.entries[:ENTRIES],
        more_entries=max(0, len(found.entries) - ENTRIES) + found.left_out,
    )
    if not found.name and not found.head:
        fits = f" fits to “{feed.pattern}”" if feed.pattern else " can be fetched"
        return _but(tested, "no_file", f"There are files, but none of them{fits}.")
    try:
        with tempfile.TemporaryFile() as whole:
            left = begun + SECONDS - time.monotonic()
            table = _table(feed, found.head, whole, seconds=left)
        read = mapping.found_as_json(mapping.look(_as_job(feed), table, Rules()))
    except FetchFailed as failure:
        return _but(tested, failure.code, failure.message)
    except UnreadableFile as error:
        return _but(tested, "unreadable", str(error))
    except RulesError as error:
        return _but(tested, "rules", " ".join(error.problems))
    except NeedsChoice as choice:
        names = ", ".join(f"“{name[:80]}”" for name in choice.members[:ENTRIES])
        text = f"The archive holds several tables: {names}. Name the one to read in the format."
        return _but(tested, "several_tables", text)
    read["preview"] = read["preview"][:RECORDS]
    return dataclasses.replace(tested, read=read)


def _but(tested: Tested, code: str, message: str) -> Tested:
    return dataclasses.replace(tested, code=code, error=message)


def _limits() -> Limits:
    return dataclasses.replace(
        limits(), seconds=SECONDS, connect_seconds=CONNECT_SECONDS, slow_seconds=SECONDS, tries=1
    )


def _table(feed: Feed, head: bytes, whole: Any, *, seconds: float) -> BinaryIO:
    """The file's beginning as text, up to the end of a line; of a packed one, its table's.

    Raises ``FetchFailed``, ``UnreadableFile`` and ``NeedsChoice``.
    """
    kind = kind_of(head[:HEAD_SIZE])
    cut = len(head) == _limits().head
    if kind == Kind.TEXT:
        return io.BytesIO(head[: head.rindex(b"\n") + 1] if cut and b"\n" in head else head)
    if cut:
        bounds = dataclasses.replace(_limits(), bytes=PACKED_BYTES, seconds=max(seconds, 0.0))
        fetch(source_of(feed), Known(), cast(BinaryIO, whole), limits=bounds)
    else:
        whole.write(head)
    whole.seek(0)
    rules = parse_rules(feed.format.rules) if feed.format else Rules()
    return io.BytesIO(peek(whole, sheet=str(rules.sheet), member=rules.member, rows=PEEK_ROWS))


def _as_job(feed: Feed) -> ImportJob:
    """What an import by this feed would be; it is never saved."""
    return ImportJob(format=feed.format, supplier=feed.supplier, feed=feed)
