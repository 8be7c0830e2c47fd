"""The reader by itself: checkpoints, blocks, memory; no database."""

import csv
import io
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.readers.csv import (
    Checkpoint,
    UnreadableFile,
    cells_of,
    inspect,
    lines,
    read_batches,
)
from imports.readers.csv.cells import unescaped

HEADER = "sku,name,description,price,active\n"


def read(content: bytes, checkpoint: Checkpoint | None = None) -> tuple[list[Any], list[Any]]:
    file = io.BytesIO(content)
    layout = inspect(file)
    rows: list[Any] = []
    problems: list[Any] = []
    for batch in read_batches(file, layout, checkpoint):
        rows += batch.rows
        problems += batch.problems
    return rows, problems


def cells(row: str) -> list[str]:
    """The values of a row, as PostgreSQL would read them."""
    unescaped = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
    return [
        re.sub(r"\\.", lambda match: unescaped[match.group()], value) for value in row.split("\t")
    ]


MESSY = (
    HEADER
    + "".join(f'A-{n},Name {n},"text, {n}\nmore",{n}.00,true\n' for n in range(40))
    + 'B-1,"never closed,x,1.00,true\n'
    + "".join(f"C-{n},Näme {n},plain,{n}.00,false\r\n" for n in range(40))
    + 'D-1,"quoted"bad,x,1.00,true\n'
    + "E-1,few\n"
    + "".join(f"F-{n},Name {n},plain,{n}.00,false\r" for n in range(40))
)


@pytest.mark.parametrize("block_size", [1, 2, 3, 7, 64, 1000, 1 << 18])
def test_the_size_of_a_block_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, block_size: int
) -> None:
    expected = read(MESSY.encode())
    monkeypatch.setattr(lines, "BLOCK_SIZE", block_size)
    assert read(MESSY.encode()) == expected
    assert len(expected[0]) == 120
    assert [problem.code for problem in expected[1]] == [
        "unclosed_quote",
        "text_after_quote",
        "too_few_fields",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_reading_goes_on_from_every_checkpoint(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    content = MESSY.encode(encoding)
    expected = read(content)
    monkeypatch.setattr(lines, "BLOCK_SIZE", 500)
    file = io.BytesIO(content)
    layout = inspect(file)
    rows: list[Any] = []
    problems: list[Any] = []
    checkpoint: Checkpoint | None = None
    for _ in range(1000):
        # One batch at a time, each from a new start: as if the worker died after each.
        batch = next(read_batches(io.BytesIO(content), layout, checkpoint))
        if batch.checkpoint == checkpoint:
            for rest in read_batches(io.BytesIO(content), layout, checkpoint):
                rows += rest.rows
                problems += rest.problems
            break
        rows += batch.rows
        problems += batch.problems
        checkpoint = batch.checkpoint
    assert (rows, problems) == expected


def test_a_record_of_several_lines_that_only_looks_like_two_is_kept_with_a_warning() -> None:
    twice = 'A-1,"red, green\nblue, black",text\n'
    content = "sku,name,description\n" + twice + twice + "A-2,Lamp,text\n"
    file = io.BytesIO(content.encode())
    layout = inspect(file)
    batches = list(read_batches(file, layout))
    assert [cells(row)[1] for batch in batches for row in batch.rows] == ["A-1", "A-1", "A-2"]
    warnings = [w for batch in batches for w in batch.warnings]
    assert any("Lines 2 to 3" in w for w in warnings)
    assert any("Lines 4 to 5" in w for w in warnings)


def test_memory_stays_flat_whatever_the_file() -> None:
    class Endless(io.RawIOBase):
        """5 MB of records, then 25 of one line, never in memory at once."""

        def __init__(self) -> None:
            self.position = 0

        def read(self, size: int = -1) -> bytes:
            piece = b"A-1,Name,text,1.00,true\n" if self.position < 5_000_000 else b"x" * 24
            count = min(size, 30_000_000 - self.position) // 24 + 1
            if self.position >= 30_000_000:
                return b""
            data = piece * count
            self.position += len(data)
            return data

        def seek(self, offset: int, whence: int = 0) -> int:
            self.position = offset
            return offset

    layout = inspect(io.BytesIO(HEADER.encode()))
    layout = type(layout)(**{**layout.as_json(), "offset": 0})
    peaks = []  # of the way to each batch
    tracemalloc.start()
    try:
        for _ in read_batches(Endless(), layout):  # type: ignore[arg-type]
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert len(peaks) > 20
    assert max(peaks) < 20_000_000
    # Ten bytes kept of each of the 100,000 records behind the tenth batch would be seen.
    assert max(peaks) < max(peaks[:10]) + 1_000_000


def test_a_column_name_longer_than_a_record_may_be_fails_the_file() -> None:
    content = b"sku," + b"x" * (lines.RECORD_LIMIT + 1000) + b"\nA-1,Lamp\n"
    with pytest.raises(UnreadableFile, match="no SKU column"):
        inspect(io.BytesIO(content))


# Text that hurts: quotes, delimiters, line ends and characters that look like line ends.
cell = st.text(alphabet='ab,;"\n\r\t\\ \u2028\x0b\x85é😀', max_size=12)
table = st.lists(st.lists(cell, min_size=3, max_size=3), max_size=30)


@settings(max_examples=200, deadline=None)
@given(table, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_whatever_is_well_formed_is_read_as_it_was_written(
    records: list[list[str]], delimiter: str, end: str
) -> None:
    """Quoted as the standard says, every cell of free text comes back as it was."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["sku", "note", "description", "other"])
    for number, record in enumerate(records):
        writer.writerow([f"S-{number}", *record])
    rows, problems = read(buffer.getvalue().encode())
    assert problems == []
    assert [(cells(row)[1], cells(row)[3]) for row in rows] == [
        (f"S-{number}", "" if record[1].isspace() else record[1])
        for number, record in enumerate(records)
    ]


@settings(max_examples=100, deadline=None)
@given(
    table,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_a_record_that_the_catalogue_may_refuse_is_kept_as_it_was_read(
    records: list[list[str]], delimiter: str, end: str, quoting: int
) -> None:
    """No column is a name: only the catalogue can tell whether a product is new."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["sku", "note", "description", "other"])
    written = [[f"S-{number}", *record] for number, record in enumerate(records)]
    if quoting == csv.QUOTE_MINIMAL:  # the module's writer quotes its own line end alone
        written = [[re.sub("[\r\n]", "", cell) for cell in record] for record in written]
    writer.writerows(written)
    layout = inspect(io.BytesIO(buffer.getvalue().encode()))
    rows, problems = read(buffer.getvalue().encode())
    assert problems == []
    kept = [unescaped(row.split("\t")[-1]) for row in rows]
    assert [cells_of(record, layout) for record in kept] == written


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ("sku;price\nA ; 1.00\nB; 2.00\n", ["A", "1.00"]),
        ("sku,price\n'A',1.00\n'B',2.00\n'C',3.00\n", ["A", "1.00"]),
        ('sku,note,price\n"A" , "x, y" , "1.00"\n"B" , "z" , "2.00"\n', ["A", "x, y", "1.00"]),
        ('"sku,note,price"\n"A,x\\y,1.00"\n"B,z,2.00"\n', ["A", "x\\y", "1.00"]),
        ("sku,note,price\nA,x,1.00,,\nB,y,2.00,,\n", ["A", "x", "1.00"]),
    ],
)
def test_it_is_kept_as_any_dialect_writes_it(content: str, cells: list[str]) -> None:
    layout = inspect(io.BytesIO(content.encode()))
    rows, problems = read(content.encode())
    assert problems == []
    kept = cells_of(unescaped(rows[0].split("\t")[-1]), layout)
    assert [cell.strip() for cell in kept] == cells


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='ab,"\n\r1.', max_size=300))
def test_rubbish_neither_crashes_nor_hangs_the_reader(text: str) -> None:
    content = ("sku,name\n" + text).encode()
    rows, problems = read(content)
    starts = [int(cells(row)[0]) for row in rows] + [problem.line for problem in problems]
    assert len(starts) == len(set(starts))  # no line starts two records
    assert all(1 < start <= text.count("\n") + text.count("\r") + 2 for start in starts)
