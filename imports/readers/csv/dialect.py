"""The dialect of a file."""

import csv
from dataclasses import dataclass, field
from typing import BinaryIO

from imports.mapping.questions import Question
from imports.readers.csv.encoding import detect_encoding
from imports.readers.csv.header import (
    DELIMITERS,
    _declared_delimiter,
    _first_lines,
    _refuse_what_is_no_csv,
    codec_of,
    open_text,
    unguarded,
)


@dataclass(frozen=True)
class Dialect:
    encoding: str
    mark_size: int
    delimiter: str
    quote: str
    header_line: int
    header: list[str]
    offset: int
    line: int
    warnings: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def find_dialect(
    file: BinaryIO,
    *,
    encoding: str = "auto",
    delimiter: str = "auto",
    quote: str = "auto",
    header_line: int | str = "auto",
) -> Dialect:
    file.seek(0)
    found = detect_encoding(file)
    lines, sizes = _first_lines(open_text(file, found.name, found.mark_size))
    _refuse_what_is_no_csv(file, found, lines)
    texts = [line.decode(codec_of(found.name), "replace") for line in lines]
    skip, declared = _declared_delimiter(texts)
    best: tuple[str, list[str], int] = ("", [], 0)
    for one in (declared,) if declared else DELIMITERS:
        reader = csv.reader(texts[skip:], delimiter=one)
        try:
            first = next((row for row in reader if any(cell.strip() for cell in row)), [])
        except csv.Error:
            continue
        if len(first) > len(best[1]):
            best = (one, [unguarded(name.strip()) for name in first], reader.line_num)
    return Dialect(
        encoding=found.name,
        mark_size=found.mark_size,
        delimiter=best[0],
        quote='"',
        header_line=skip + 1,
        header=best[1],
        offset=sum(sizes[: skip + best[2]]),
        line=skip + best[2],
    )
