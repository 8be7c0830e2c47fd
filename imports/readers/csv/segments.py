"""A file in segments that several processes read, and one puts together: the rows of one reader.

A segment begins behind a line feed, and is read as if a record began there (speculative parsing:
Ge et al., SIGMOD 2019, doi 10.1145/3299869.3319898). Whether one does, is known when the segment
before it is read: ``stitched`` takes what fits, and reads again what does not, once.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import BinaryIO, Protocol

from imports.readers.csv.cells import Problem, encode_rows
from imports.readers.csv.dialect.encoding import is_transcoded
from imports.readers.csv.header import Layout
from imports.readers.csv.records import Batch, Checkpoint, Told, read_part

SEGMENT_BYTES = 512 << 10  # at most; about 10 ms of reading
PROBLEMS_AT_MOST = 5_000  # of a segment that is handed over as one; of more, each takes 300 bytes

_values = attrgetter(*(one.name for one in fields(Problem)))


@dataclass(frozen=True)
class Segment:
    """``start`` and ``end`` as in a checkpoint: bytes of text behind the mark; ``line`` too."""

    number: int  # from 0
    start: int
    end: int
    line: int  # physical lines before it
    is_last: bool

    @property
    def is_too_large(self) -> bool:
        """Whether it is the rest of a file that could not be cut any more: not for one piece."""
        return self.end - self.start > SEGMENT_BYTES


@dataclass(frozen=True)
class Piece:
    """What a part of a file gave: ``text`` as COPY takes it, of so many ``rows``.

    ``checkpoint`` is behind all of it, ``position`` (bytes of the file) where reading stands.
    """

    checkpoint: Checkpoint
    position: int
    text: bytes
    rows: int
    problems: list[Problem]
    warnings: list[str]

    def dump(self) -> bytes:
        head = {
            "checkpoint": self.checkpoint.as_json(),
            "position": self.position,
            "size": len(self.text),
            "rows": self.rows,
            "problems": [*map(_values, self.problems)],
            "warnings": self.warnings,
        }
        return json.dumps(head).encode() + b"\n" + self.text

    @classmethod
    def load(cls, data: bytes) -> "Piece | None":
        """What ``dump`` gave; ``None`` if that is not all of it."""
        head, end, text = data.partition(b"\n")
        if not end:
            return None
        told = json.loads(head)
        if len(text) != told.pop("size"):
            return None
        checkpoint = Checkpoint(**told.pop("checkpoint"))
        problems = [Problem(*values) for values in told.pop("problems")]
        return cls(checkpoint=checkpoint, text=text, problems=problems, **told)


def piece_of(batch: Batch, position: int) -> Piece:
    text = encode_rows(batch.rows) if batch.rows else b""
    return Piece(batch.checkpoint, position, text, len(batch.rows), batch.problems, batch.warnings)


def is_cuttable(layout: Layout) -> bool:
    """Whether a part of a file reads as it does behind the others, but for an open quote.

    Not one that is decoded from its start, or whose records say what the one above them says.
    """
    return not is_transcoded(layout.encoding) and not layout.plan().filled


def segments(file: BinaryIO, layout: Layout, start: Checkpoint) -> Iterator[Segment]:
    """Cut a file from a checkpoint on, each time in the same way.

    What has no line feed for ``SEGMENT_BYTES`` is not cut any more: the last segment has the rest.
    """
    size = file.seek(0, 2) - layout.mark_size
    position, line, number = start.offset, start.line, 0
    while position < size:
        file.seek(layout.mark_size + position)
        data = file.read(SEGMENT_BYTES)
        rest_is_here = position + len(data) >= size
        cut = data.rfind(b"\n") + 1
        if rest_is_here or not cut:
            yield Segment(number, position, size, line, is_last=True)
            return
        yield Segment(number, position, position + cut, line, is_last=False)
        line += len(data[:cut].splitlines())  # quicker than to count LF, CR, and CR LF
        position += cut
        number += 1


def read_segment(file: BinaryIO, layout: Layout, segment: Segment) -> Piece | None:
    """Read a segment as if a record began with it; its checkpoint counts from there.

    ``None`` where hardly a record is good: who stitches reads that block by block.
    """
    start = Checkpoint(segment.start, segment.line)
    whole = Batch(start)
    for batch, _ in _read(file, layout, start, segment, Told()):
        whole.rows += batch.rows
        whole.problems += batch.problems
        whole.warnings += batch.warnings
        whole.checkpoint = batch.checkpoint
        if len(whole.problems) > PROBLEMS_AT_MOST:
            return None
    return piece_of(whole, layout.mark_size + segment.end)


def _read(
    file: BinaryIO, layout: Layout, start: Checkpoint, segment: Segment, told: Told
) -> Iterator[tuple[Batch, int]]:
    """Read from a checkpoint to a segment's end; with each batch, where in the file that is."""
    text = _Span(file, layout.mark_size + start.offset, layout.mark_size + segment.end)
    for batch in read_part(text, layout, start, at_end=segment.is_last, told=told):
        yield batch, text.position


class _Span:
    """A part of a file, which others read besides; ``start`` and ``end`` in bytes of the file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self.file, self.position, self.end = file, start, end

    def read(self, size: int, /) -> bytes:
        self.file.seek(self.position)
        data = self.file.read(min(size, self.end - self.position))
        self.position += len(data)
        return data


class Readings(Protocol):
    """Where what was read of segments comes from."""

    def take(self, segment: Segment, coming: Callable[[], Segment | None]) -> Piece | None:
        """What another reader made of a segment; ``None`` if it is to be read here.

        While it waits, it may read segments from among the next ones, which ``coming`` gives.
        """
        ...


def stitched(
    file: BinaryIO, layout: Layout, start: Checkpoint, readings: Readings
) -> Iterator[Piece]:
    """The pieces of a file from a checkpoint on, as one reader would have given them.

    A segment is taken as read if the one before it ended where it begins. One that warns is read
    again: how often it may, those before it tell.
    """
    cut = _Ahead(segments(file, layout, start))
    state, told = start, Told()
    while (segment := cut.next()) is not None:
        piece = None
        if state.offset == segment.start and not state.lost:
            cut.look_from_here()
            piece = readings.take(segment, cut.look)
        if piece is not None and not piece.warnings:
            state = replace(
                piece.checkpoint,
                skipped=state.skipped + piece.checkpoint.skipped,
                nothings=state.nothings + piece.checkpoint.nothings,
            )
            yield replace(piece, checkpoint=state)
            continue
        for batch, position in _read(file, layout, state, segment, told):
            state = batch.checkpoint
            yield piece_of(batch, position)


class _Ahead:
    """An iterator that can be looked into beyond what it has given."""

    def __init__(self, items: Iterator[Segment]) -> None:
        self.items = items
        self.seen: list[Segment] = []
        self.looked = 0

    def next(self) -> Segment | None:
        return self.seen.pop(0) if self.seen else next(self.items, None)

    def look_from_here(self) -> None:
        self.looked = 0

    def look(self) -> Segment | None:
        """The next one that was not looked at since."""
        if self.looked == len(self.seen):
            if (item := next(self.items, None)) is None:
                return None
            self.seen.append(item)
        self.looked += 1
        return self.seen[self.looked - 1]
