"""How a file is written: encoding, delimiter, quotes, and where its header is.

All of it is found by evidence in the first lines, and each can be given instead. The delimiter is
the one under which the records have most columns of the same number; one under which the header has
known names wins.
"""

import re
from dataclasses import dataclass, field
from typing import BinaryIO

from imports.mapping.questions import Question
from imports.readers.csv.dialect import charset
from imports.readers.csv.dialect.encoding import Encoding, codec_of, detect_encoding, named_encoding
from imports.readers.csv.dialect.refusals import count_filled, refuse_what_is_no_table
from imports.readers.csv.dialect.table import DELIMITERS, Table, choose_table
from imports.readers.csv.header import (
    COLUMN_LIMIT,
    Layout,
    UnreadableFile,
    match_names,
    open_text,
)
from imports.readers.csv.lines import RECORD_LIMIT, read_blocks

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
    codec = codec_of(found.name)
    texts = [line.decode(codec, "replace") for line in lines]
    skip, declared = _declared_delimiter(texts)
    if isinstance(header_line, int) and header_line > 0:
        skip = header_line - 1
        if skip >= len(texts):
            raise UnreadableFile(f"The file has no line {header_line:,} that could be a header.")
    given = declared if delimiter == "auto" else delimiter
    table = choose_table(texts, skip, given, quote, header_line)
    if delimiter == "auto" and given and table.width < 2:  # what is declared is not what is there
        table = choose_table(texts, skip, None, quote, header_line)
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
    """The lines of about the first ``RECORD_LIMIT`` bytes, where the header must stand.

    One that is longer than a record may be says nothing: it is blank here.
    """
    lines: list[bytes] = []
    sizes: list[int] = []
    filled = 0
    for block in read_blocks(open_text(file, encoding.name, encoding.mark_size)):
        for number, line in enumerate(block.lines):
            lines.append(b"\n" if number in block.overlong else line)
            sizes.append(block.overlong.get(number, len(line)))
        filled += count_filled(block.lines)
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


def _refuse_mixed_delimiters(table: Table, texts: list[str]) -> None:
    """Raise ``UnreadableFile`` where the records' delimiter is not the header's."""
    if table.width < 2 or not table.header_line or not table.below:
        return
    if any(len(cells) > 1 for cells in table.below):
        return
    for sign in DELIMITERS:
        rows = Table(texts, table.begins, table.writing._replace(delimiter=sign), 0)
        if {len(cells) for cells in rows.below} == {table.width}:
            raise UnreadableFile(
                f"The names of the columns are separated by {_named(table.writing.delimiter)}, "
                f"the records by {_named(sign)}. Use the same sign in all lines."
            )


def _named(sign: str) -> str:
    return {"\t": "tabs", " ": "blanks"}.get(sign, f"“{sign}”")


def _warnings(
    found: Encoding, encoding: str, table: Table, skip: int, header_line: int | str
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
    if table.header_records > 1:
        warnings.append(f"Line {table.begins:,} was read as the second line of the columns' names.")
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
