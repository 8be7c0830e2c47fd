"""An HTML table under the name of a workbook, as many programs “export to Excel”."""

import codecs
import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import IO, BinaryIO, cast

from imports.readers.csv import UnreadableFile
from imports.readers.unpack import limits
from imports.readers.unpack.workbooks import ROWS, Rows

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.I)
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SPAN_MOST = 1_000  # columns, as in the HTML standard
_CELLS = ("td", "th")
_NEW_LINES = ("br", "p", "div", "li")

WEB_PAGE = (
    "The file is a web page, not a CSV. Perhaps the download link led to a login page: download "
    "the file again."
)


def convert(file: BinaryIO, out: limits.Sink, *, rows: int | None) -> list[str]:
    """Write the largest table of a page as UTF-8 CSV; return warnings.

    At most the first ``rows``. Raises ``UnreadableFile`` for a page without a table.
    """
    parser = _Tables()
    encoding = _encoding(file)
    file.seek(0)
    text = io.TextIOWrapper(cast(IO[bytes], file), encoding, errors="replace")
    while block := text.read(limits.BLOCK):
        parser.feed(block)
    parser.close()
    text.detach()
    tables = [table for table in parser.tables if len(table) > 1 and max(map(len, table)) > 1]
    if parser.has_password or not tables:
        raise UnreadableFile(WEB_PAGE)
    table = max(tables, key=lambda rows: sum(map(len, rows)))
    _write(table[:rows], out)
    if len(tables) == 1:
        return []
    return [
        f"The file is a web page with {len(tables)} tables: the largest one, of {len(table):,} "
        "rows, was read."
    ]


def _write(table: list[list[str]], out: limits.Sink) -> None:
    width = max(map(len, table))
    writer = Rows(out)
    for start in range(0, len(table), ROWS):
        block: Sequence[list[str]] = table[start : start + ROWS]
        writer.write([[*row, *[""] * (width - len(row))] for row in block])


def _encoding(file: BinaryIO) -> str:
    """The page's encoding: its mark, what it says, UTF-8 if it is, else Windows-1252."""
    file.seek(0)
    head = file.read(limits.BLOCK)
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    found = _CHARSET.search(head)
    if found:
        try:
            "".encode(found[1].decode("ascii"))
        except LookupError:
            pass
        else:
            return found[1].decode("ascii")
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while block := file.read(limits.BLOCK):
            decoder.decode(block)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


class _Tables(HTMLParser):
    """Collects the rows of every table, also of those inside others."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.has_password = False
        self._open: list[_Table] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "input" and (values.get("type") or "").lower() == "password":
            self.has_password = True
        if tag == "table":
            self._open.append(_Table())
            return
        if not self._open:
            return
        table = self._open[-1]
        if tag == "tr":
            table.end_row()
        elif tag in _CELLS:
            table.begin_cell(_span(values.get("colspan")), _span(values.get("rowspan")))
        elif tag in _NEW_LINES:
            table.add("\n")

    def handle_endtag(self, tag: str) -> None:
        if not self._open:
            return
        if tag == "table":
            table = self._open.pop()
            table.end_row()
            self.tables.append(table.rows)
        elif tag == "tr":
            self._open[-1].end_row()
        elif tag in _CELLS:
            self._open[-1].end_cell()

    def handle_data(self, data: str) -> None:
        if self._open:
            # Line breaks of the source are blanks.
            self._open[-1].add(re.sub(r"\s+", " ", data))

    def close(self) -> None:
        super().close()
        while self._open:  # cut off, or its end left out
            self.handle_endtag("table")


class _Table:
    """The rows of one table; what spans several rows or columns is in the first one."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self._row: list[str] = []
        self._parts: list[str] | None = None
        self._spans = (1, 1)
        self._below: dict[int, int] = {}  # column -> rows that a cell above still covers

    def begin_cell(self, columns: int, rows: int) -> None:
        self.end_cell()
        self._covered()
        self._parts = []
        self._spans = (columns, rows)

    def add(self, text: str) -> None:
        if self._parts is not None:
            self._parts.append(text)

    def end_cell(self) -> None:
        if self._parts is None:
            return
        lines = [" ".join(line.split()) for line in "".join(self._parts).split("\n")]
        columns, rows = self._spans
        if rows > 1:
            for column in range(len(self._row), len(self._row) + columns):
                self._below[column] = rows
        self._row += ["\n".join(lines).strip("\n"), *[""] * (columns - 1)]
        self._parts = None

    def end_row(self) -> None:
        self.end_cell()
        if self._row:
            self._covered()
            self.rows.append(self._row)
            self._row = []
            self._below = {column: left - 1 for column, left in self._below.items() if left > 1}

    def _covered(self) -> None:
        """Blank cells where one of a row above reaches down to."""
        while self._below.get(len(self._row), 0) > 0:
            self._row.append("")


def _span(text: str | None) -> int:
    if text is None or not text.strip().isdecimal():
        return 1
    return max(1, min(_SPAN_MOST, int(text.strip()[:6])))
