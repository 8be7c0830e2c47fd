"""The process that unpacks one file: ``python -m imports.readers.unpack.child``, see ``process``.

It has a limit on its memory, no environment to speak of, two open files, and ends when its parent
does. It tells on its standard output, a line of JSON each, how far it is and, last, how it ended.
"""

import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO

from imports.readers.csv import UnreadableFile
from imports.readers.unpack import archives, limits
from imports.readers.unpack.kinds import FOREIGN_ARCHIVES, HEAD_SIZE, Kind, foreign_name, kind_of

TELL_SECONDS = 0.5
PEEK_BYTES = 1 << 20  # of a text, where only its first rows are asked for
_CONTAINERS = {Kind.ZIP, Kind.OLE, Kind.HTML}


def main() -> int:
    job = json.loads(sys.argv[1])
    _confine()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        done = _Unpacking(**job).run()
    except archives.SeveralTables as several:
        _say(members=several.members)
    except UnreadableFile as refused:
        _say(refused=str(refused))
    except MemoryError:
        _say(refused=limits.TOO_MUCH_MEMORY)
    except OSError as error:
        _say(errno=error.errno, reason=str(error))
    except BaseException as error:
        # Whatever a hostile file brings about in the libraries that read it; a panic of theirs
        # is no Exception. The log has it.
        sys.excepthook(type(error), error, error.__traceback__)
        _say(refused=limits.DAMAGED.format(what="the file"))
    else:
        _say(done=done)
    return 0


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.MEMORY, limits.MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.SECONDS, limits.SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # where memory runs out all the same: this process, not the worker
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end_with_parent() -> None:
    """The parent never writes: there is something to read when it has ended."""
    os.read(0, 1)
    os._exit(1)


def _say(**values: Any) -> None:
    with suppress(BrokenPipeError):
        os.write(1, json.dumps(values).encode() + b"\n")


@dataclass
class _Unpacking:
    """One run. ``rows``: only so many, for a look."""

    source: int
    target: int
    sheet: str | int
    member: str
    rows: int | None

    def __post_init__(self) -> None:
        self.file: BinaryIO = os.fdopen(self.source, "rb", buffering=limits.BLOCK)
        self.packed = limits.size_of(self.file)
        self.out = limits.Output(os.fdopen(self.target, "wb"), self.packed)
        self.told = 0.0

    def run(self) -> dict[str, Any]:
        """Write the table; return what it is."""
        self.file.seek(0)
        kind = kind_of(self.file.read(HEAD_SIZE))
        self.file.seek(0)
        if kind == Kind.GZIP:
            with archives.opened_gzip(self.file) as stream:
                found = self._from_archive(stream)
        elif kind == Kind.ZIP:
            kind, found = self._from_zip()
        else:
            found = self._from_container(self.file, kind)
            kind = Kind.XLS if kind == Kind.OLE else kind
        self.out.file.flush()
        return {"kind": kind, "size": self.out.size, **found}

    def _from_zip(self) -> tuple[Kind, dict[str, Any]]:
        with archives.opened_zip(self.file) as archive:
            kind = archives.kind_of_zip(archive)
            if kind != Kind.ZIP:
                return kind, self._from_container(self.file, Kind.ZIP)
            tables = archives.tables_of(archive)
            with archives.opened_member(archive, self.member, self.packed) as (name, stream):
                return kind, {"members": tables, "member": name, **self._from_archive(stream)}

    def _from_archive(self, stream: IO[bytes]) -> dict[str, Any]:
        """A text goes to the target as it is, a workbook by way of a file of its own."""
        head = stream.read(HEAD_SIZE)
        kind = kind_of(head)
        if kind == Kind.TEXT:
            self._copy(head, stream, self.out, limit=None if self.rows is None else PEEK_BYTES)
            return {}
        with tempfile.TemporaryFile() as scratch:
            self._copy(head, stream, limits.Output(scratch, self.packed))
            return self._from_container(scratch, kind, nested=True)

    def _copy(
        self, head: bytes, stream: IO[bytes], out: limits.Output, limit: int | None = None
    ) -> None:
        for block in chain((head,), iter(lambda: stream.read(limits.BLOCK), b"")):
            out.write(block)
            self._tell(min(1.0, self.file.tell() / max(1, self.packed)))
            if limit is not None and out.size >= limit:
                return
        out.file.flush()

    def _from_container(
        self, file: BinaryIO, kind: Kind, *, nested: bool = False
    ) -> dict[str, Any]:
        """A workbook or a page."""
        # Not above: an archive with a CSV needs neither.
        from imports.readers.unpack import pages, workbooks, xls

        size = self.packed
        if kind == Kind.ZIP:
            with archives.opened_zip(file) as archive:
                kind = archives.kind_of_zip(archive)
                size = archives.size_of_parts(archive, self.packed)
        if nested and kind in (Kind.ZIP, Kind.GZIP):
            raise UnreadableFile(
                "The archive holds another archive. Unpack it, and upload the one with the table."
            )
        file.seek(0)
        if kind == Kind.FOREIGN:
            name = foreign_name(file.read(HEAD_SIZE))
            raise UnreadableFile(
                f"The file is {name}, not a table. "
                + (
                    "Unpack it, and upload the table, or pack that as ZIP."
                    if name in FOREIGN_ARCHIVES
                    else "Open it in the program it comes from and save it as CSV or as a "
                    "workbook (.xlsx)."
                )
            )
        if kind == Kind.HTML:
            return {"warnings": pages.convert(file, self.out, rows=self.rows)}
        with self._prepared(file, kind) as (book, warnings):
            table = workbooks.convert(
                book,
                self.out,
                sheet=self.sheet,
                rows=self.rows,
                unpacked_size=size,
                tell=lambda share: self._tell(0.5 + share / 2),
                texts=xls.texts_of(file) if kind == Kind.OLE else {},
            )
        return {"sheets": table.sheets, "sheet": table.sheet, "warnings": warnings + table.warnings}

    @contextmanager
    def _prepared(self, file: BinaryIO, kind: Kind) -> Iterator[tuple[BinaryIO, list[str]]]:
        """The workbook, with texts where values would be lost, and warnings."""
        from imports.readers.unpack import shown, workbooks

        if kind == Kind.OLE:
            workbooks.check_container(file)
            yield file, []
            return
        with tempfile.TemporaryFile() as scratch, archives.damage_told("the workbook"):
            book, warnings = shown.with_texts(file, kind, scratch)
            book.flush()
            yield book, warnings

    def _tell(self, share: float) -> None:
        now = time.monotonic()
        if now > self.told + TELL_SECONDS:
            self.told = now
            _say(share=round(share, 4))


if __name__ == "__main__":
    sys.exit(main())
