"""How the record that starts at a line would end, found out for all lines at once.

Where a quote is not closed, every following line may be the one that reading goes on at, and each
of them may open a quote again that takes in all that follows. Parsed one by one, that costs the
square of the lines.

But between two lines a strict parser is in one of two states: between two records, or inside a
quoted field. All records that are inside one there go on alike, whichever line they started at:
one look at a line moves them all. Even the field they are in is the same. For two readings of one
line, one from between records and one from inside quotes, both end inside quotes only after they
met at the start of a field: until then a quote that opens a field for one of them closes, or is
half of an escaped quote, for the other.
"""

import csv
from typing import NamedTuple

from imports.readers.csv.lines import Writing


class RecordEnd(NamedTuple):
    """Where a record ends (the line after it), and how many fields it has; or ``BROKEN``."""

    end: int
    fields: int


BROKEN = -1  # instead of the fields: an error in the line before ``end``


class Lookahead:
    """Looks at each of ``lines`` once, and only as far as it is asked to.

    The list is the caller's, who tells with ``forget`` that lines were taken off its front.
    Lines are named by their place in it.
    """

    def __init__(
        self, lines: list[str], delimiter: str, field_limit: int, quote: str = '"'
    ) -> None:
        self._lines = lines
        self._writing = Writing(delimiter, quote)
        self._field_limit = field_limit  # characters
        self._gone = 0  # lines that were taken off; numbers below count them too
        self._first = self._next = 0  # lines that were looked at: from, and up to
        self._ends: list[RecordEnd | None] = []
        # The records that are inside quotes at ``_next``: their lines and their fields so far,
        # but for those that were added since to all of them, and the length of the open field.
        self._open: list[tuple[int, int]] = []
        self._added = self._length = 0

    def begin(self, index: int) -> None:
        """Be ready for questions about ``index`` and lines after it."""
        if not self._first <= index + self._gone <= self._next:
            self._first = self._next = index + self._gone
            self._ends, self._open = [], []

    def end_of(self, index: int, limit: int) -> RecordEnd | None:
        """How the record from ``lines[index]`` on ends; ``None``: not before ``lines[limit]``."""
        self.begin(index)
        place = index + self._gone - self._first
        while self._next - self._gone < limit and (
            place >= len(self._ends) or self._ends[place] is None
        ):
            self._look_at_next()
        found = self._ends[place]
        return found and RecordEnd(found.end - self._gone, found.fields)

    def forget(self, count: int) -> None:
        """Follow the caller, who takes ``count`` lines off the front of the list."""
        self._gone += count
        if (known := self._gone - self._first) > 0:
            del self._ends[:known]
            self._first = self._gone
            self._next = max(self._next, self._first)
            self._open = [record for record in self._open if record[0] >= self._first]

    def _look_at_next(self) -> None:
        line = self._lines[self._next - self._gone]
        self._next += 1
        if self._open:
            self._go_on(line)
        read = self._read(line)
        if read is None:
            self._ends.append(RecordEnd(self._next, BROKEN))
            return
        cells, is_open = read
        if is_open:
            self._open.append((self._next - 1, len(cells) - self._added))
            self._length = len(cells[-1])
        self._ends.append(None if is_open else RecordEnd(self._next, len(cells)))

    def _go_on(self, line: str) -> None:
        """Move the open records over a line that begins inside their quoted field."""
        quote = self._writing.quote
        read = self._read(quote + line) if quote in line else ([line], True)
        broken = read is None or self._length + len(read[0][0]) > self._field_limit
        if read and not broken:
            cells, is_open = read
            self._added += len(cells) - 1
            if is_open:
                self._length = len(cells[-1]) + (self._length if len(cells) == 1 else 0)
                return
        for start, fields in self._open:
            known = RecordEnd(self._next, BROKEN if broken else fields + self._added)
            self._ends[start - self._first] = known
        self._open = []

    def _read(self, line: str) -> tuple[list[str], bool] | None:
        """The fields of one line, and whether a quote is open behind it; ``None``: an error."""
        reader = self._writing.reader((line, self._writing.quote))
        try:
            return next(reader), reader.line_num == 2
        except csv.Error:
            return None
