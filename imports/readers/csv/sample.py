"""The first records of a file, to look at: their cells as they stand there."""

import csv
from typing import BinaryIO, NamedTuple

from imports.readers.csv.dialect.encoding import codec_of
from imports.readers.csv.dialect.finding import Dialect
from imports.readers.csv.header import open_text
from imports.readers.csv.lines import Writing, read_blocks

SAMPLE_RECORDS = 500
SAMPLE_BYTES = 1 << 20  # of text; a record may be as long


class SampleRecord(NamedTuple):
    """``line`` is the physical line where it starts, from 1."""

    line: int
    cells: list[str]


def read_sample(file: BinaryIO, dialect: Dialect) -> list[SampleRecord]:
    """About the first ``SAMPLE_RECORDS`` records, of at most about ``SAMPLE_BYTES``.

    Read leniently: what is wrong with a record, the reader tells by its line later. Blank ones
    are left out, and the last one may be cut off where the sample ends.
    """
    text = open_text(file, dialect.encoding, dialect.mark_size)
    if text is file:
        file.seek(dialect.mark_size + dialect.offset)
    else:
        size = dialect.offset
        while size > 0:
            size -= len(text.read(size))
    codec = codec_of(dialect.encoding)
    lines: list[str] = []
    size = 0
    for block in read_blocks(text):
        lines += [line.decode(codec, "replace") for line in block.lines]
        size += sum(map(len, block.lines))
        if size >= SAMPLE_BYTES or len(lines) > 4 * SAMPLE_RECORDS:
            break
    writing = Writing(dialect.delimiter, dialect.quote, dialect.padded, dialect.wrapped)
    reader = writing.reader_of([line.replace("\0", "") for line in lines])
    records: list[SampleRecord] = []
    start = dialect.line
    try:
        for cells in reader:
            if dialect.padded:
                cells = [cell.strip(" ") for cell in cells]
            if any(cell.strip() for cell in cells):
                records.append(SampleRecord(start + 1, cells))
            if len(records) == SAMPLE_RECORDS:
                break
            start = dialect.line + reader.line_num
    except csv.Error:  # a field longer than a record may be
        pass
    return records
