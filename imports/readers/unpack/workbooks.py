"""A sheet of a workbook as a CSV table, row by row: line N of it is row N, as long as no cell
before holds a line break, and column N is column N.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

import python_calamine as calamine

from imports.readers.csv import UnreadableFile
from imports.readers.unpack import limits
from imports.readers.unpack.cells import Column
from imports.readers.unpack.xls import Texts

ROWS = 1_000  # written at once
LOOK_SIZE = 64 << 20  # bytes of a workbook, unpacked, up to which its other sheets are looked at
_SPECIAL = re.compile('[",\r\n]').search
HEADER_ROWS = 50  # among which the table is as wide as it is


@dataclass
class Table:
    """What became of a workbook: the names of its sheets, and the one that was taken."""

    sheets: list[str] = field(default_factory=list)
    sheet: str = ""
    warnings: list[str] = field(default_factory=list)


def convert(
    file: BinaryIO,
    out: limits.Sink,
    *,
    sheet: str | int,
    rows: int | None,
    unpacked_size: int,
    tell: Callable[[float], None],
    texts: Texts,
) -> Table:
    """Write a sheet as UTF-8 CSV: the one of this name or number (from 1), with ``auto`` the
    first with a cell.

    At most the first ``rows``. ``unpacked_size`` is that of all parts of the workbook, in bytes;
    ``texts`` are the cells that would be lost. Raises ``UnreadableFile``.
    """
    try:
        book = calamine.CalamineWorkbook.from_path(f"/dev/fd/{file.fileno()}")
        metadata = [s for s in book.sheets_metadata if s.typ is calamine.SheetTypeEnum.WorkSheet]
        table = Table([each.name for each in metadata])
        if len(metadata) > limits.SHEETS:
            raise UnreadableFile(
                f"The workbook has {len(metadata):,} sheets; at most {limits.SHEETS} are allowed. "
                "Save the sheet with the products as a workbook of its own."
            )
        shown = [s.name for s in metadata if s.visible is calamine.SheetVisibleEnum.Visible]
        chosen = _choose(book, table, sheet, shown)
        place = [each.name for each in book.sheets_metadata].index(table.sheet)
        table.warnings = _write(chosen, out, rows, tell, texts.get(place, {}))
        del chosen  # its memory is needed for the next
        if sheet == "auto":
            table.warnings += _others(book, table, shown, look=unpacked_size <= LOOK_SIZE)
        return table
    except calamine.PasswordError as error:
        raise UnreadableFile(limits.LOCKED) from error
    except (calamine.CalamineError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # no room
        raise UnreadableFile(limits.DAMAGED.format(what="the workbook")) from error


def _choose(
    book: calamine.CalamineWorkbook, table: Table, sheet: str | int, shown: list[str]
) -> calamine.CalamineSheet:
    if sheet != "auto":
        table.sheet = _named(table, sheet)
        return book.get_sheet_by_name(table.sheet)
    # Hidden sheets hold lists for drop-downs and the like: last, where no other has a cell.
    for name in sorted(table.sheets, key=lambda name: name not in shown):
        found = book.get_sheet_by_name(name)
        if found.height:
            table.sheet = name
            return found
    raise UnreadableFile(
        "The workbook is empty: none of its sheets has a cell with a value. Look whether it is "
        "the right file."
    )


def _named(table: Table, sheet: str | int) -> str:
    """The name of the sheet with this name or number. Raises ``UnreadableFile``."""
    if isinstance(sheet, int) and 1 <= sheet <= len(table.sheets):
        return table.sheets[sheet - 1]
    if sheet in table.sheets:
        return str(sheet)
    asked = f"sheet {sheet:,}" if isinstance(sheet, int) else f"sheet “{sheet[:40]}”"
    listed = ", ".join(f"“{name}”" for name in table.sheets)
    raise UnreadableFile(f"The workbook has no {asked}. It has: {listed}.")


def _others(
    book: calamine.CalamineWorkbook, table: Table, shown: list[str], *, look: bool
) -> list[str]:
    """Tell of the visible sheets that were not taken and, where that is cheap, hold rows."""
    others = [name for name in shown if name != table.sheet]
    if look:
        others = [name for name in others if book.get_sheet_by_name(name).height]
    if not others:
        return []
    listed = ", ".join(f"“{name}”" for name in others[:20])
    more = f" and {len(others) - 20} more" if len(others) > 20 else ""
    have = "hold rows too and were" if look else "were"
    if len(others) == 1:
        have = "holds rows too and was" if look else "was"
    return [
        f"The sheet “{table.sheet}” was read. {'Another one' if len(others) == 1 else 'Others'} "
        f"{have} left out: {listed}{more}."
    ]


def _write(
    sheet: calamine.CalamineSheet,
    out: limits.Sink,
    rows: int | None,
    tell: Callable[[float], None],
    texts: Mapping[int, Mapping[int, str]],
) -> list[str]:
    """Write the rows; return what the sheet has lost already."""
    before = [""] * (sheet.start or (0, 0))[1]  # columns without a cell
    total = max(1, sheet.total_height)
    iterator = iter(sheet.iter_rows())
    table = Rows(out, before)
    for number in range(0, total if rows is None else min(total, rows), ROWS):
        at_most = ROWS if rows is None else min(ROWS, rows - number)
        block = list(islice(iterator, at_most))
        for row in texts.keys() & range(number, number + len(block)) if texts else ():
            for column, name in texts[row].items():
                if len(before) <= column < len(before) + sheet.width:
                    block[row - number][column - len(before)] = name
        table.write(block)
        tell(number / total)
    return table.warnings()


class Rows:
    """Writes rows of cells, without empty cells behind the columns that the table has."""

    def __init__(self, out: limits.Sink, before: list[str] | None = None) -> None:
        self.out = out
        self.before = before or []
        self.columns: list[Column] = []
        self.width = 0

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write some rows, all of one width."""
        if not rows:
            return
        first = len(self.before) + 1
        self.columns += [
            Column(first + n) for n in range(len(self.columns), max(map(len, rows), default=0))
        ]
        texts = [
            column.texts(cells)
            for column, cells in zip(self.columns, zip(*rows, strict=True), strict=True)
        ]
        lines = list(zip(*map(_quoted, texts), strict=True))
        if not self.width:
            widths = filter(None, map(_filled, lines))
            self.width = max(islice(widths, HEADER_ROWS), default=0)
        text = "".join([",".join(line) + "\n" for line in self._trimmed(lines)])
        # A lone surrogate, which a damaged workbook may hold, is refused with its record.
        self.out.write(text.encode("utf-8", "surrogatepass"))

    def _trimmed(self, lines: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
        whole = len(self.columns) == self.width
        for line in lines:
            if whole and line[0]:
                yield [*self.before, *line] if self.before else line
                continue
            filled = _filled(line)
            # A row without a value is a blank line, and no record.
            yield [*self.before, *line[: max(self.width, filled)]] if filled else ()

    def warnings(self) -> list[str]:
        return [sentence for column in self.columns for sentence in column.warnings()]


def _quoted(cells: Sequence[str]) -> Sequence[str]:
    """The cells of a column as CSV; twice as fast as ``csv.writer``, which looks at each."""
    if not _SPECIAL("".join(cells)):
        return cells
    return ['"' + cell.replace('"', '""') + '"' if _SPECIAL(cell) else cell for cell in cells]


def _filled(line: Sequence[str]) -> int:
    """How many cells there are up to the last one that is not empty."""
    for width in range(len(line), 0, -1):
        if line[width - 1]:
            return width
    return 0


# [MS-XLS] 2.4.21 and 2.4.117: the workbook's first record, and what stands behind it where all that
# follows is encrypted.
_BEGINS = b"\x09\x08\x10\x00\x00\x06\x05\x00"
_FILEPASS = b"\x2f\x00"


def check_container(file: BinaryIO) -> None:
    """Raise ``UnreadableFile`` for a container of the old kind without a readable workbook.

    Encrypted workbooks of Excel 2007 and later are in such a container too.
    """
    file.seek(0)
    is_workbook = False
    tail = b""
    while block := file.read(limits.BLOCK):
        data = tail + block
        begins = data.find(_BEGINS)
        locked = begins >= 0 and data[begins + 20 : begins + 22] == _FILEPASS
        if locked or _utf16("EncryptedPackage") in data:
            raise UnreadableFile(limits.LOCKED)
        is_workbook = is_workbook or _utf16("Workbook") in data or _utf16("Book") in data
        tail = data[-64:]
    if not is_workbook:
        raise UnreadableFile(
            "The file is a document of an old Office program or an e-mail, not a workbook. Save "
            "the table as a workbook (.xlsx) or as CSV."
        )


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le")
