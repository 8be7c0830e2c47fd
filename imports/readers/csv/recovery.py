"""Looking for records that an unclosed quote has swallowed.

An unclosed quote takes in the following lines until the next quote. Mostly that quote is
followed by text, or the record gets the wrong width, and the parser notices. Sometimes it
does not: a later ``pipe 10",`` closes the field as if that were meant, and the record even
has the right width. By the letter of RFC 4180 such a record is fine, and a description
that spans lines must not be refused for it. So the well-formed reading stands, unless
every one of the lines, taken alone, is a complete and valid product with a price or an
active flag: no text does that by chance.
"""

import csv
import enum
import itertools
import re

from imports.readers.csv.cells import clean_cells
from imports.readers.csv.header import Layout

_line_end = re.compile("\r\n|\r|\n")


class Hidden(enum.Enum):
    NO = enum.auto()
    PERHAPS = enum.auto()  # each line has the right width, but nothing more can be checked
    YES = enum.auto()


def split_literally(text: str, delimiter: str) -> list[str]:
    """Split a broken record's text at its delimiters, quotes being ordinary characters."""
    first, newline, rest = text.partition("\n")
    cells = first.rstrip("\r").split(delimiter)
    if rest.strip():
        cells[-1] += newline + rest.rstrip("\r\n")
    return cells


def hidden_records(cells: list[str], span: list[str], layout: Layout) -> Hidden:
    """Whether the lines of one well-formed record are several records.

    ``cells`` is the record as parsed, ``span`` its physical lines (at least two).
    """
    opened = [column for column, cell in enumerate(cells) if "\n" in cell or "\r" in cell]
    if len(opened) != 1:
        return Hidden.NO
    column = opened[0]
    first = _line_end.split(cells[column], 1)[0].split(layout.delimiter)
    records = [cells[:column] + first]
    for line in itertools.islice(span, 1, None):
        try:
            records.append(next(csv.reader([line], delimiter=layout.delimiter, strict=True)))
        except csv.Error:
            return Hidden.NO
    if any(len(record) != len(layout.header) for record in records):
        return Hidden.NO
    if all(_is_product(record, layout) for record in records):
        return Hidden.YES
    return Hidden.PERHAPS


def _is_product(record: list[str], layout: Layout) -> bool:
    """Whether a record is valid and says something that free text cannot say by chance."""
    _, problems = clean_cells(record, layout.fields)
    typed = [layout.fields[name] for name in ("price", "active") if name in layout.fields]
    return not problems and any(record[column].strip() for column in typed)
