"""Looking for records that an unclosed quote may have swallowed.

An unclosed quote takes in the following lines until the next quote. Mostly that quote is
followed by text, or the record gets the wrong width, and the parser notices. Sometimes it
does not: a later ``pipe 10",`` closes the field as if that were meant, and the record even
has the right width. By the letter of RFC 4180 such a record is fine, and descriptions do hold
lists of parts whose lines look like records. So the well-formed reading stands, and its owner is
warned.
"""

import csv
import itertools
import re

from imports.readers.csv.header import Layout

_line_end = re.compile("\r\n|\r|\n")


def split_literally(text: str, delimiter: str) -> list[str]:
    """Split a broken record's text at its delimiters, quotes being ordinary characters."""
    first, newline, rest = text.partition("\n")
    cells = first.rstrip("\r").split(delimiter)
    if rest.strip():
        cells[-1] += newline + rest.rstrip("\r\n")
    return cells


def looks_like_records(cells: list[str], span: list[str], layout: Layout) -> bool:
    """Whether the lines of one well-formed record are all as wide as a record.

    ``cells`` is the record as parsed, ``span`` its physical lines (at least two).
    """
    opened = [column for column, cell in enumerate(cells) if "\n" in cell or "\r" in cell]
    if len(opened) != 1:
        return False
    column = opened[0]
    first = _line_end.split(cells[column], 1)[0].split(layout.delimiter)
    widths = [column + len(first)]
    for line in itertools.islice(span, 1, None):
        try:
            widths.append(len(next(layout.writing.reader([line]))))
        except csv.Error:
            return False
    return all(width == len(layout.header) for width in widths)
