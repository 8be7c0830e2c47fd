"""A file's first records under one way of writing, and what speaks for or against it."""

import csv
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

from imports.readers.csv.dialect.header_line import Record, header_of
from imports.readers.csv.header import COLUMN_LIMIT
from imports.readers.csv.lines import Writing

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 1000  # records
# Tried where none of those makes columns: the first line's own signs, but for these.
_NO_DELIMITERS = " \r\n\"'.-_()"


class Table:
    """A file's first records as one way of writing has them."""

    def __init__(self, texts: list[str], skip: int, writing: Writing, header_line: int | str):
        self.writing = writing
        self.records = list(_records(texts, skip, writing))
        self.found = header_of(self.records, header_line)
        self.header_records = self.found.records
        below = self.records[self.found.first + self.header_records - 1 :]
        if self.found.header is None:
            counts = Counter(len(record.cells) for record in below)
            self.width = max(counts, key=lambda width: (counts[width], width), default=1)
            self.header = [str(number) for number in range(1, self.width + 1)]
        else:
            self.header = list(self.found.names)
            self.width = len(self.header)
        self.below = [record.cells for record in below]

    @property
    def header_line(self) -> int:
        return 0 if self.found.header is None else self.records[self.found.header].line + 1

    @property
    def begins(self) -> int:
        """How many lines stand before the records."""
        if self.found.header is not None:
            return self.records[self.found.header + self.header_records - 1].end
        return self.records[self.found.first].line if self.records else 0

    @property
    def named(self) -> int:
        """How many fields the header names, if the SKU is one of them."""
        return len(self.found.fields) if "sku" in self.found.fields else 0

    @cached_property
    def evenness(self) -> float:
        """Columns beyond the first, times the share of records that have the most common number."""
        all_of_it = [*self.below, *([self.header] if self.header_line else [])]
        counts = Counter(len(cells) for cells in all_of_it if len(cells) > 1)
        if not counts:
            return 0.0
        width, count = counts.most_common(1)[0]
        certainty = 1.0 if self.header_line else 0.8
        return (count / len(all_of_it)) ** 2 * (width - 1) * certainty

    @property
    def widths(self) -> list[int]:
        """The numbers of fields, other than the header's, that records have by habit.

        Those with more have nothing in them, those with fewer are no rare damage.
        """
        counts = Counter(
            len(record.cells)
            for record in self.records[self.found.first + self.header_records - 1 :]
            if record.end - record.line == 1
            and len(record.cells) != self.width
            and not any(map(str.strip, record.cells[self.width :]))
        )
        return sorted(width for width in counts if counts[width] * 10 >= len(self.below))

    @property
    def drops_blanks(self) -> bool:
        """Whether blank cells at the end of a record are left out, always.

        Then several records are short, none of them for one cell alone, and no record at all ends
        with a blank cell.
        """
        short = [cells for cells in self.below if 1 < len(cells) < self.width]
        long = [cells for cells in self.below if len(cells) == self.width]
        return (
            len(short) > 2
            and len(short) * 10 >= len(self.below)
            and bool(long)
            and len(short) + len(long) == len(self.below)
            and all(cells[-1].strip() for cells in self.below)
        )

    @property
    def sample(self) -> list[list[str]]:
        blank = [""] * self.width
        return [(cells + blank)[: self.width] for cells in self.below[:SAMPLE]]


def _records(texts: list[str], skip: int, writing: Writing) -> Iterator[Record]:
    """The first records that are not blank, as far as they can be parsed."""
    reader = writing.reader_of(texts[skip : skip + 20 * SAMPLE])
    start = count = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                trimmed = [cell.strip(" ") for cell in cells] if writing.padded else cells
                yield Record(skip + start, skip + reader.line_num, trimmed)
                count += 1
                if count >= SAMPLE:
                    return
            start = reader.line_num
    except csv.Error:  # a cell longer than a record may be
        return


def choose_table(
    texts: list[str], skip: int, delimiter: str | None, quote: str, header_line: int | str
) -> Table:
    """The table under the way of writing that the first lines speak for."""

    def table_of(sign: str, wrapped: str) -> Table:
        marks = [quote] if quote != "auto" else ['"', _quote_of(texts[skip:], sign)]
        tables = [
            Table(texts, skip, Writing(sign, mark, wrapped=wrapped), header_line)
            for mark in sorted(set(marks), reverse=True)
        ]
        return max(tables, key=lambda t: t.evenness)  # of equal ones, apostrophes

    def best_of(delimiters: tuple[str, ...], wrapped: str = "") -> Table:
        tables = [table_of(sign, wrapped) for sign in delimiters]
        # The names that a header on the first line has; then those of one further down.
        return max(tables, key=lambda t: (t.named * (t.found.first == 1), t.named, t.evenness))

    table = best_of((delimiter,) if delimiter else DELIMITERS)
    for outer in DELIMITERS:
        if table.writing.quote == '"' and _looks_wrapped(texts[skip:], outer):
            inner = best_of((delimiter,) if delimiter else DELIMITERS, wrapped=outer)
            rest = 0.5 if outer == table.writing.delimiter else table.evenness
            if inner.width > 1 and inner.evenness > rest:
                return inner
    if not delimiter and not table.named and (table.width < 2 or table.evenness < 0.5):
        first = next((text for text in texts[skip:] if text.strip()), "")
        signs = Counter(c for c in first if not c.isalnum() and c not in _NO_DELIMITERS)
        others = tuple(sign for sign, _ in signs.most_common(8) if sign not in DELIMITERS)
        if others:
            other = best_of(others)
            if other.named or (other.header_line and other.evenness > max(table.evenness, 0.8)):
                table = other
    if _looks_padded(texts[skip:], table):
        return Table(texts, skip, table.writing._replace(padded=True), header_line)
    return table


def _quote_of(texts: list[str], delimiter: str) -> str:
    """The quote character: ``'`` only if all the text of most records stands in such."""
    lines = [text.rstrip("\r\n") for text in texts[:SAMPLE] if text.strip()]
    if not any("'" in line for line in lines) or any(
        line.startswith('"') or f'{delimiter}"' in line for line in lines
    ):
        return '"'
    found = Counter(_in_apostrophes(line.split(delimiter)) for line in lines)
    # The header may be bare.
    return "'" if found[True] and found[True] * 3 > 2 * (found[True] + found[False] - 1) else '"'


def _in_apostrophes(pieces: list[str]) -> bool | None:
    """Whether all that is more than a number between these delimiters stands in apostrophes.

    ``None`` of a line that begins or ends inside of them.
    """
    inside = found = False
    for piece in map(str.strip, pieces):
        opens = not inside and len(piece) > 1 and piece[0] == "'"
        if not inside and not opens and any(map(str.isalpha, piece)):
            return None if piece.endswith("'") else False
        found |= opens
        inside = (inside or opens) and not piece.endswith("'")
    return None if inside or not found else True


def _looks_wrapped(texts: list[str], outer: str) -> bool:
    """Whether each line is one cell, and one in quotes has more quotes or commas in it."""
    if not any(text.startswith('"') for text in texts[: 2 * SAMPLE]):
        return False
    reader = Writing(outer).reader(texts[: 2 * SAMPLE])
    wrapped = start = 0
    try:
        for cells in reader:
            is_quoted = texts[start].startswith('"')
            if any(map(str.strip, cells[1:])) or (cells and '"' in cells[0] and not is_quoted):
                return False
            wrapped += is_quoted and any(sign in cells[0] for sign in DELIMITERS)
            start = reader.line_num
    except csv.Error as error:
        return wrapped > 0 and "unexpected end" in str(error)
    return wrapped > 0


def _looks_padded(texts: list[str], table: Table) -> bool:
    """Whether blanks stand around quotes, or fill every column up to one width."""
    writing, width = table.writing, table.width
    if width < 2:
        return False
    lines = texts[:SAMPLE]
    padded = writing._replace(padded=True)
    if writing.quote and padded.plain(lines) != writing.plain(lines):
        return _quotes_are_padded(lines, writing, padded, width)
    rows = [record.cells for record in table.records if len(record.cells) == width]
    cells = [row[:-1][:COLUMN_LIMIT] for row in rows]
    sizes = [{len(cell) for cell in column} for column in zip(*cells, strict=True)]
    return (
        len(cells) > 2
        and all(len(size) == 1 for size in sizes)
        and any(name.endswith(" ") for name in cells[0])
    )


def _quotes_are_padded(lines: list[str], writing: Writing, padded: Writing, width: int) -> bool:
    """Whether lines whose quotes have blanks around them read better without those."""
    before, broken = _strict_records(writing.plain(lines), writing)
    if broken or any(len(cells) not in (1, width) for cells in before):
        each = [[line] for line in lines if line.strip()]
        clean = [
            sum(_strict_records(way.plain(line), way)[0][:1] != [] for line in each)
            for way in (writing, padded)
        ]
        if clean[1] > clean[0]:
            return True
    after, _ = _strict_records(padded.plain(lines), padded)
    quote = writing.quote
    opened = sum(
        any(
            old[:1].isspace()
            and old.strip()[:1] == quote == old.strip()[-1:]
            and new == old.strip()[1:-1].replace(2 * quote, quote)
            for old, new in zip(*pair, strict=False)
        )
        for pair in zip(before, after, strict=False)
    )
    return opened * 2 >= len(before) - 1 and opened > 0


def _strict_records(lines: list[str], writing: Writing) -> tuple[list[list[str]], bool]:
    """The records of lines up to the first that is not well-formed, and whether one is."""
    records: list[list[str]] = []
    try:
        records += writing.reader(lines)
    except csv.Error as error:
        return records, "unexpected end" not in str(error)
    return records, False
