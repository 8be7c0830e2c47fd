"""Physical lines of a file, block by block, in constant memory.

A line ends with LF, CR LF or CR and nothing else: ``str.splitlines`` would also split on
U+2028, VT and others that are part of the text. So lines are split as bytes.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from catalog.values import FORMULA_STARTS

if TYPE_CHECKING:
    from _csv import Reader

BLOCK_SIZE = 1 << 17  # bytes; twice as much is no quicker, and there are several copies of it
RECORD_LIMIT = 1 << 20  # bytes; docs/csv.md, "Limits"
END_OF_TEXT = b"\x1a"
KEPT_OF_OVERLONG = 4096  # bytes of an overlong line that are kept, to show it


_guard = re.compile(
    b"'(?:" + b"|".join(re.escape(start.encode()) for start in FORMULA_STARTS) + b")"
).search


class Writing(NamedTuple):
    """How the lines of a file are written: RFC 4180 but for what is named here."""

    delimiter: str
    quote: str = '"'
    padded: bool = False
    wrapped: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether lines are parsed as they stand."""
        return not self.padded and not self.wrapped

    def reader(self, lines: Iterable[str], *, strict: bool = True) -> "Reader":
        """The standard library's parser of lines that are ``plain``."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=strict,
        )

    def reader_of(self, lines: list[str]) -> "Reader":
        """The parser of lines as they stand in a file, whatever is wrong with a record."""
        return self.reader(self.plain(lines), strict=False)

    def plain(self, lines: list[str]) -> list[str]:
        """Lines as RFC 4180 has them: each by itself, whatever stands before it."""
        if self.wrapped:
            lines = [unwrapped(line, self.wrapped) for line in lines]
        if self.padded and self.quote:
            mark, sign = re.escape(self.quote), re.escape(self.delimiter)
            blank = "[ \t]+" if self.delimiter != "\t" else " +"
            around = re.compile(
                f"(?<={mark}){blank}(?={sign}|[\r\n]|$)|(?:(?<={sign})|^){blank}(?={mark})"
            )
            lines = [around.sub("", line) if self.quote in line else line for line in lines]
        return lines


def unwrapped(line: str, delimiter: str) -> str:
    """A line without the quotes around it as a whole, and the delimiters behind them.

    A spreadsheet writes that which took each line of a CSV for one cell, and saved it as one. Of
    a quoted field over several lines, the first has its opening and the last its closing quote:
    quotes inside are twice, so that an odd number of them begins or ends the line.
    """
    text = line.rstrip("\r\n")
    end = line[len(text) :]
    text = text.rstrip(delimiter)
    if (len(text) - len(text.lstrip('"'))) % 2:
        text = text[1:]
    if (len(text) - len(text.rstrip('"'))) % 2:
        text = text[:-1]
    return text.replace('""', '"') + end


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass
class Block:
    """Whole lines with their ends.

    ``overlong`` holds the true sizes of those that were cut, by index; ``has_nul``,
    ``has_escapes`` and ``has_guards`` tell whether a NUL byte, a backslash or a tab, an
    apostrophe that guards a cell (``cells.unguarded``) may be among them.
    """

    lines: list[bytes]
    overlong: dict[int, int] = field(default_factory=dict)
    has_nul: bool = True
    has_escapes: bool = True
    has_guards: bool = True


def read_blocks(file: Readable) -> Iterator[Block]:
    """Yield the lines of a file from where it stands.

    Memory is bounded by ``BLOCK_SIZE + RECORD_LIMIT``. A line longer than ``RECORD_LIMIT``
    is cut to its first bytes, and its true size in bytes is told.
    """
    carry = b""
    while data := file.read(BLOCK_SIZE):
        text = carry + data
        has_nul, has_escapes = b"\0" in text, b"\\" in text or b"\t" in text
        lines = text.splitlines(keepends=True)
        # The last line is held back: it may go on, and a CR at its end may be half of CR LF.
        carry = b"" if lines[-1].endswith(b"\n") else lines.pop()
        overlong = {}
        if lines and len(lines[0]) > RECORD_LIMIT:  # no other can be: it began blocks before
            overlong[0] = len(lines[0])
            lines[0] = lines[0][:KEPT_OF_OVERLONG]
        if lines:
            yield Block(lines, overlong, has_nul, has_escapes, _guard(text) is not None)
        if len(carry) > RECORD_LIMIT:
            block, carry = _skip_overlong(file, carry)
            yield block
    # DOS marked a text's end with this byte; some programs do it to this day.
    if carry := carry.rstrip(END_OF_TEXT):
        yield Block(carry.splitlines(keepends=True))


def _skip_overlong(file: Readable, start: bytes) -> tuple[Block, bytes]:
    """Read to the end of an overlong line; return it, cut, and what was read beyond it."""
    kept = start[:KEPT_OF_OVERLONG]
    size = len(start)
    before = start
    while data := file.read(BLOCK_SIZE):
        if before.endswith(b"\r") and not data.startswith(b"\n"):
            return Block([kept], {0: size}), data
        first = data.splitlines(keepends=True)[0]
        if first.endswith(b"\n") or (first.endswith(b"\r") and len(first) < len(data)):
            return Block([kept], {0: size + len(first)}), data[len(first) :]
        size += len(data)
        before = data
    return Block([kept], {0: size}), b""
