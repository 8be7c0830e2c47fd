"""How a file is written: encoding, delimiter, quotes, and where its header is.

All of it is found by evidence in the first lines, and each can be given instead. The delimiter is
the one under which the records have most columns of the same number; one under which the header has
known names wins.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from imports.mapping.questions import Question
from imports.readers.csv import charset
from imports.readers.csv.cells import unguarded
from imports.readers.csv.encoding import Encoding, codec_of, detect_encoding, named_encoding
from imports.readers.csv.header import (
    COLUMN_LIMIT,
    Layout,
    UnreadableFile,
    match_names,
    open_text,
)
from imports.readers.csv.header_line import Found, Record, find_header, known_fields
from imports.readers.csv.lines import RECORD_LIMIT, Writing, read_blocks
from imports.readers.csv.refusals import is_blank, refuse_what_is_no_table

DELIMITERS = (",", ";", "\t", "|")
# Tried where none of those makes columns: the first line's own signs, but for these.
_NO_DELIMITERS = " \r\n\"'.-_()"
SAMPLE = 1000  # records

_declared = re.compile(r'\ufeff?"?sep=(\\t|[^\w\s"]|\t)"?([;,\t|"]*)[\r\n]*', re.I).fullmatch


@dataclass(frozen=True)
class Dialect:
    """What is known of a file before anything is known of its columns.

    ``header`` has the names as they stand there, or numbers from 1 where ``header_line`` (from 1)
    is 0. ``offset`` and ``line`` as in ``Layout``. ``sample`` has the first records below the
    header, as wide as it. ``questions`` are to be answered before the file is read.
    """

    encoding: str
    mark_size: int
    delimiter: str
    quote: str
    header_line: int
    header: list[str]
    offset: int
    line: int
    widths: list[int] = field(default_factory=list)
    drops_blanks: bool = False
    padded: bool = False
    wrapped: str = ""
    warnings: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    sample: list[list[str]] = field(default_factory=list, repr=False)

    def layout(self, fields: dict[str, int], warnings: list[str]) -> Layout:
        """The layout for reading with these columns for the product's fields."""
        return Layout(
            encoding=self.encoding,
            mark_size=self.mark_size,
            delimiter=self.delimiter,
            header=self.header,
            fields=fields,
            offset=self.offset,
            line=self.line,
            warnings=[*self.warnings, *warnings],
            quote=self.quote,
            header_line=self.header_line,
            widths=self.widths,
            drops_blanks=self.drops_blanks,
            padded=self.padded,
            wrapped=self.wrapped,
        )


def inspect(file: BinaryIO) -> Layout:
    """Find out how to read a file whose columns have known names.

    Raises ``UnreadableFile`` for one that cannot be imported at all: empty, no text, no SKU
    column, two columns for one field, too many columns, an encoding that must be asked for.
    """
    dialect = find_dialect(file)
    if dialect.questions:
        raise UnreadableFile(" ".join(question.message for question in dialect.questions))
    fields, warnings = match_names(dialect.header)
    if "sku" not in fields:
        names = dialect.header if dialect.header_line else (dialect.sample or [[]])[0]
        found = ", ".join(f"“{name.strip()[:40]}”" for name in names[:20])
        raise UnreadableFile(
            "The file has no SKU column. A line above the records must name the columns, and one "
            f"of them must be “sku”. Columns found: {found}."
        )
    return dialect.layout(fields, warnings)


def find_dialect(
    file: BinaryIO,
    *,
    encoding: str = "auto",
    delimiter: str = "auto",
    quote: str = "auto",
    header_line: int | str = "auto",
) -> Dialect:
    """Find out how a file is written; what is given is taken as it is.

    ``header_line`` counts from 1; 0 is a file without one. ``quote`` may be "": quotes are text
    then. Raises ``UnreadableFile`` for what is no table of text or has too many columns, and
    ``LookupError`` for an encoding that is not read.
    """
    file.seek(0)
    found = detect_encoding(file) if encoding == "auto" else named_encoding(file, encoding)
    lines, sizes = _first_lines(file, found)
    refuse_what_is_no_table(file, found.mark_size, lines)
    texts = [line.decode(codec_of(found.name), "replace") for line in lines]
    skip, declared = _declared_delimiter(texts)
    if isinstance(header_line, int) and header_line > 0:
        skip = header_line - 1
        if skip >= len(texts):
            raise UnreadableFile(f"The file has no line {header_line:,} that could be a header.")
    given = declared if delimiter == "auto" else delimiter
    table = _choose(texts, skip, given, quote, header_line)
    if delimiter == "auto" and given and table.width < 2:  # what is declared is not what is there
        table = _choose(texts, skip, None, quote, header_line)
    _refuse_mixed_delimiters(table, texts)
    header = table.header
    if len(header) > COLUMN_LIMIT:
        raise UnreadableFile(
            f"The file has {len(header):,} columns; at most {COLUMN_LIMIT} are allowed. "
            "Remove the columns that are not needed."
        )
    line = table.begins
    return Dialect(
        encoding=found.name,
        mark_size=found.mark_size,
        delimiter=table.writing.delimiter,
        quote=table.writing.quote,
        header_line=table.header_line,
        header=header,
        offset=sum(sizes[:line]),
        line=line,
        widths=table.widths,
        drops_blanks=table.drops_blanks,
        padded=table.writing.padded,
        wrapped=table.writing.wrapped,
        warnings=_warnings(found, encoding, table, skip, header_line),
        questions=[charset.question(found.doubtful)] if found.doubtful else [],
        sample=table.sample,
    )


def _first_lines(file: BinaryIO, encoding: Encoding) -> tuple[list[bytes], list[int]]:
    """The lines of about the first ``RECORD_LIMIT`` bytes, where the header must stand."""
    lines: list[bytes] = []
    sizes: list[int] = []
    filled = 0
    for block in read_blocks(open_text(file, encoding.name, encoding.mark_size)):
        for number, line in enumerate(block.lines):
            lines.append(line)
            sizes.append(block.overlong.get(number, len(line)))
        filled += sum(not is_blank(line) for line in block.lines)
        if sum(sizes) >= RECORD_LIMIT or filled >= 100:
            break
    return lines, sizes


def _declared_delimiter(texts: list[str]) -> tuple[int, str | None]:
    """Excel's ``sep=;`` on the first line: how many lines it takes, and the delimiter.

    A program that took the line for a record may have put delimiters behind it.
    """
    if declared := _declared(texts[0]):
        return 1, declared[1].replace("\\t", "\t")
    return 0, None


class _Table:
    """A file's first records as one way of writing has them."""

    def __init__(self, texts: list[str], skip: int, writing: Writing, header_line: int | str):
        self.writing = writing
        self.records = list(_records(texts, skip, writing))
        self.found = Found(None, 0)
        if header_line == "auto" and self.records:
            self.found = find_header(self.records)
        elif header_line and self.records:
            self.found = Found(0, 1)
        below = self.records[self.found.first :]
        if self.found.header is None:
            counts = Counter(len(record.cells) for record in below)
            self.width = max(counts, key=lambda width: (counts[width], width), default=1)
            self.header = [str(number) for number in range(1, self.width + 1)]
        else:
            names = self.records[self.found.header].cells
            self.header = [unguarded(name.strip()) for name in names]
            self.width = len(self.header)
        self.below = [record.cells for record in below]

    @property
    def header_line(self) -> int:
        return 0 if self.found.header is None else self.records[self.found.header].line + 1

    @property
    def begins(self) -> int:
        """How many lines stand before the records."""
        if self.found.header is not None:
            return self.records[self.found.header].end
        return self.records[self.found.first].line if self.records else 0

    @property
    def named(self) -> int:
        """How many fields the header names, if the SKU is one of them."""
        if self.found.header is None:
            return 0
        known = known_fields(self.records[self.found.header])
        return len(known) if "sku" in known else 0

    @property
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
            for record in self.records[self.found.first :]
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
    plain = writing.plain(texts[skip : skip + 20 * SAMPLE])
    reader = writing.reader(plain, strict=False)
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


def _choose(
    texts: list[str], skip: int, delimiter: str | None, quote: str, header_line: int | str
) -> _Table:
    """The table under the way of writing that the first lines speak for."""

    def best_of(delimiters: tuple[str, ...], wrapped: str = "") -> _Table:
        tables = [
            _Table(texts, skip, Writing(sign, quote_of(sign), wrapped=wrapped), header_line)
            for sign in delimiters
        ]
        # The names that a header on the first line has; then those of one further down.
        return max(tables, key=lambda t: (t.named * (t.found.first == 1), t.named, t.evenness))

    def quote_of(sign: str) -> str:
        return quote if quote != "auto" else _quote(texts[skip:], sign)

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
        return _Table(texts, skip, table.writing._replace(padded=True), header_line)
    return table


def _quote(texts: list[str], delimiter: str) -> str:
    """The quote character: ``'`` only if all the text of most records stands in such."""
    lines = [text.rstrip("\r\n") for text in texts[:SAMPLE] if text.strip()]
    if not any("'" in line for line in lines) or any(
        line.startswith('"') or f'{delimiter}"' in line for line in lines
    ):
        return '"'
    quoted = sum(_is_in_apostrophes(line.split(delimiter)) for line in lines)
    return "'" if quoted * 3 > 2 * (len(lines) - 1) else '"'


def _is_in_apostrophes(pieces: list[str]) -> bool:
    """Whether all that is more than a number between these delimiters stands in apostrophes."""
    inside = found = False
    for piece in map(str.strip, pieces):
        opens = not inside and len(piece) > 1 and piece[0] == "'"
        if not inside and not opens and any(map(str.isalpha, piece)):
            return False
        found |= opens
        inside = (inside or opens) and not piece.endswith("'")
    return found


def _looks_wrapped(texts: list[str], outer: str) -> bool:
    """Whether each line is one cell, and one in quotes has more quotes or commas in it."""
    reader = Writing(outer).reader(texts[: 2 * SAMPLE])
    wrapped = start = 0
    try:
        for cells in reader:
            if any(map(str.strip, cells[1:])):
                return False
            wrapped += texts[start].startswith('"') and any(d in cells[0] for d in DELIMITERS)
            start = reader.line_num
    except csv.Error as error:
        return wrapped > 0 and "unexpected end" in str(error)
    return wrapped > 0


def _looks_padded(texts: list[str], table: _Table) -> bool:
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


def _refuse_mixed_delimiters(table: _Table, texts: list[str]) -> None:
    """Raise ``UnreadableFile`` where the records' delimiter is not the header's."""
    if table.width < 2 or not table.header_line or not table.below:
        return
    if any(len(cells) > 1 for cells in table.below):
        return
    for sign in DELIMITERS:
        rows = _Table(texts, table.begins, table.writing._replace(delimiter=sign), 0)
        if {len(cells) for cells in rows.below} == {table.width}:
            raise UnreadableFile(
                f"The names of the columns are separated by {_named(table.writing.delimiter)}, "
                f"the records by {_named(sign)}. Use the same sign in all lines."
            )


def _named(sign: str) -> str:
    return {"\t": "tabs", " ": "blanks"}.get(sign, f"“{sign}”")


def _warnings(
    found: Encoding, encoding: str, table: _Table, skip: int, header_line: int | str
) -> list[str]:
    """What was found other than in most files, for the owner to check."""
    warnings = []
    if found.name == "cp1252" and encoding == "auto":
        warnings.append(
            "The file is not UTF-8. It was read as Windows-1252: look at names with accents, "
            "and save the file as “CSV UTF-8” if they are wrong."
        )
    if header_line == "auto" and table.found.header:
        warnings.append(
            f"The names of the columns were found on line {table.header_line:,}; what stands "
            "above it was left out."
        )
    writing = table.writing
    if writing.delimiter not in DELIMITERS:
        warnings.append(f"The columns are separated by {_named(writing.delimiter)}.")
    if writing.quote == "'":
        warnings.append("The file's quotes are apostrophes ('): they were taken off.")
    if writing.wrapped:
        warnings.append(
            "Each line of the file is one quoted cell, as when a spreadsheet opened a CSV with "
            "another separator and saved it. The lines were taken out of their quotes."
        )
    if table.drops_blanks:
        warnings.append(
            "Records lack cells at their end. As no record of the first ones ends with a blank "
            "cell, the missing ones were read as blank."
        )
    return warnings
