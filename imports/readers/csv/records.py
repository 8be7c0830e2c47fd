"""Records of a CSV: rows for the catalogue, and every refused record with its reason.

The parser is the standard library's ``csv.reader`` in strict mode over physical lines. It
is run over a block of lines at once; only where a record does not read well does the code
here look at single lines (``recovery``).
"""

import csv
import enum
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import Any, BinaryIO, cast

from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    FIELDS,
    NAME_MAX_LENGTH,
    NAME_TRIMMED,
    SKU_MAX_LENGTH,
)
from imports.mapping.cells.meaning import NO_TEXT_MAX_LENGTH, NO_TEXTS
from imports.mapping.quick import Five, Quick, plain_sku
from imports.mapping.values import FIELD_BITS, Plan
from imports.readers.csv import broken, recovery
from imports.readers.csv.cells import Problem, Row, escaped, row_of, showable, unguarded
from imports.readers.csv.header import Layout, normalised, open_text
from imports.readers.csv.lines import RECORD_LIMIT, Block, Readable, read_blocks
from imports.readers.csv.lookahead import Lookahead

csv.field_size_limit(RECORD_LIMIT)  # the default, 131,072 characters, is less than a record's

AS_READ = "="  # before a record that is kept as its line; one that is kept as JSON begins with [

_plain_sku = plain_sku()
_plain_price = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,2}0{0,8})?|").fullmatch
_PLAIN_ACTIVE = {
    "true": "t",
    "false": "f",
    "True": "t",
    "False": "f",
    "TRUE": "t",
    "FALSE": "f",
    "1": "t",
    "0": "f",
    "": "",
}
_NOTHING: Five = ("", "", "", "", "")

RECORDS_AT_ONCE = 100  # few enough for a processor's cache
WARNINGS_AT_MOST = 20

# What csv.reader says in strict mode (CPython's Modules/_csv.c).
_UNEXPECTED_END = "unexpected end of data"
_FIELD_TOO_LARGE = f"field larger than field limit ({RECORD_LIMIT})"
_BROKEN = "an error, or a wrong number of fields"  # what a look ahead tells


def _unpadded(cells: list[str]) -> list[str]:
    return [cell.strip(" ") for cell in cells]


def cells_of(record: str | list[str], layout: Layout) -> list[str]:
    """The cells of a record that was kept in case that the catalogue refuses it.

    A release before kept each as a list.
    """
    if isinstance(record, list):
        return record
    if not record.startswith(AS_READ):
        cells: list[str] = json.loads(record)
        return cells
    writing, width = layout.writing, len(layout.header)
    (read,) = writing.reader([record.removeprefix(AS_READ)])
    return [*(_unpadded(read) if writing.padded else read), *[""] * width][:width]


class _NeedsMore(enum.Enum):
    """The lines at hand do not decide: the record may go on in the next block."""

    NEEDS_MORE = enum.auto()


NEEDS_MORE = _NeedsMore.NEEDS_MORE


@dataclass(frozen=True)
class Checkpoint:
    """Where reading can go on: bytes of text after the mark, and physical lines before it.

    ``lost`` tells that the lines from here on still belong to a broken record, until one
    reads as a record again. ``skipped`` are the records so far that the rules' filter left out,
    ``nothings`` the descriptions so far that said NULL or the like; ``above`` is ``Plan.above``.
    """

    offset: int
    line: int
    lost: bool = False
    skipped: int = 0
    nothings: int = 0
    above: dict[str, str | None] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is stored; what is not in use is left out, and known to any release."""
        data: dict[str, Any] = {"offset": self.offset, "line": self.line, "lost": self.lost}
        for name in ("skipped", "nothings", "above"):
            if value := getattr(self, name):
                data[name] = value
        return data


@dataclass
class Told:
    """What a file's reader has warned of so far, and does no more, or not often."""

    hidden: int = 0  # records over several lines
    header: bool = False


@dataclass
class Batch:
    """What one block of the file gave. ``checkpoint`` is behind all of it."""

    checkpoint: Checkpoint
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_batches(
    file: BinaryIO, layout: Layout, checkpoint: Checkpoint | None = None
) -> Iterator[Batch]:
    """Read a file's records from a checkpoint (or the first record) on.

    Every record of the file is in exactly one batch, as a row, as a problem, or counted as
    skipped in its checkpoint. Blank lines are no records.
    """
    start = checkpoint or Checkpoint(layout.offset, layout.line)
    text = open_text(file, layout.encoding, layout.mark_size)
    if text is file:
        file.seek(layout.mark_size + start.offset)
    else:
        _skip(text, start.offset)  # UTF-16 is decoded from the start: offsets count its UTF-8
    yield from read_part(text, layout, start, at_end=True, told=Told())


def read_part(
    text: Readable, layout: Layout, start: Checkpoint, *, at_end: bool, told: "Told"
) -> Iterator[Batch]:
    """Read the records of a text that stands at a checkpoint, and ends with a line.

    Where it does not end ``at_end`` of the file, a record that may go on behind it is left to who
    reads on from the last checkpoint. ``told`` is what the parts before it have warned of.
    """
    parser = _Parser(layout, start, told)
    for block in read_blocks(text):
        yield parser.feed(block)
    if at_end:
        yield parser.finish()


def _skip(text: Readable, size: int) -> None:
    """Read past ``size`` bytes of a text that cannot be sought in (UTF-16, UTF-32)."""
    while size > 0:
        size -= len(text.read(min(size, 1 << 20)))


# --- Plain records, column by column -----------------------------------------------------

Column = Sequence[str]


def _plain_sku_but(layout: Layout) -> Callable[[str], object]:
    """Matches a plain SKU that is not the column's own name: a header repeated later on is none."""
    name = layout.header[layout.fields["sku"]]
    pattern = rf"(?!{re.escape(name)}\Z)[!-&(-<>-~][!-~]{{0,{SKU_MAX_LENGTH - 1}}}"
    return re.compile(pattern, re.IGNORECASE).fullmatch


class _PlainRows:
    """Takes the records of a layout whose cells are plain.

    ``may_take`` is false where each record has to be looked at: rules may have no quick way.
    """

    def __init__(self, layout: Layout, plan: Plan, *, may_take: bool) -> None:
        self.plan = plan
        self.may_take = may_take and (plan.is_plain or plan.quick is not None)
        self.has_name = "name" in plan.fields
        self.unnamed = NO_TEXTS | {""} if self.has_name else NO_TEXTS
        self.keeps_record = not self.has_name or (plan.own is not None and plan.own.may_be_refused)
        # Where no column refuses the header's own name, the SKU has to.
        refuses = "price" in layout.fields or "active" in layout.fields or not layout.header_line
        self.is_plain_sku = _plain_sku if refuses else _plain_sku_but(layout)
        self.own_name = layout.header[layout.fields["sku"]] if layout.header_line else None
        # A blank column is put behind the others; absent fields are picked from there.
        width = len(layout.header)
        self.pick = itemgetter(*(plan.fields.get(name, width) for name in FIELDS))

    def rows(
        self, records: list[list[str]], numbers: Sequence[int], lines: list[str], *, escapes: bool
    ) -> list[Row | None]:
        """The rows of records; ``None`` for each that is not plain.

        They have the header's width, and stand on a line each: ``numbers`` has those from 1,
        ``lines`` the texts. ``escapes``: backslashes or tabs may be there.
        """
        columns: list[Column] = [*zip(*records, strict=True)]
        if self.plan.quick is None:
            five, others = self._plain_five([*columns, [""] * len(records)])
        else:
            five, others = self._five_by_rules(records, self.plan.quick)
        kept = [""] * len(records)
        if self.keeps_record:
            kept = [AS_READ + line.rstrip("\r\n") for line in lines]
        parts: list[Column] = [[*map(str, numbers)], *five, kept]
        if self.plan.own is not None:
            own, wrong = self.plan.own.quick(columns)
            others |= wrong
            parts.append(own)
            escapes |= "\\" in "".join(own)
        if escapes or self.plan.escapes:
            parts = [[*map(escaped, part)] for part in parts]
        rows: list[Row | None] = [*map("\t".join, zip(*parts, strict=True))]
        for place in others:
            rows[place] = None
        return rows

    def _plain_five(self, columns: list[Column]) -> tuple[list[Column], set[int]]:
        """The values of the five fields, and the places of the records that are not plain."""
        skus, names, descriptions, prices, actives = self.pick(columns)
        flags = [*map(_PLAIN_ACTIVE.get, actives)]
        others: set[int] = set()
        if not all(map(self.is_plain_sku, skus)) or not NO_TEXTS.isdisjoint(skus):
            others |= {
                place
                for place, sku in enumerate(skus)
                if not self.is_plain_sku(sku) or sku in NO_TEXTS
            }
        if not all(map(_plain_price, prices)):
            others |= {place for place, price in enumerate(prices) if not _plain_price(price)}
        if None in flags:
            others |= {place for place, flag in enumerate(flags) if flag is None}
            flags = [flag or "" for flag in flags]
        if not self._are_plain_names(names):
            others |= {
                place for place, name in enumerate(names) if not self._are_plain_names([name])
            }
        if not _are_plain_descriptions(descriptions):
            others |= {
                place
                for place, text in enumerate(descriptions)
                if not _are_plain_descriptions([text])
            }
        return [skus, names, descriptions, prices, cast(Column, flags)], others

    def _five_by_rules(
        self, records: list[list[str]], quick: Quick
    ) -> tuple[list[Column], set[int]]:
        """The same by the quick way that rules have."""
        found = [*map(quick, records)]
        own_name = self.own_name
        others = {place for place, five in enumerate(found) if five is None or five[0] == own_name}
        return [*zip(*(five or _NOTHING for five in found), strict=True)], others

    def _are_plain_names(self, names: Column) -> bool:
        return (
            max(map(len, names)) <= NAME_MAX_LENGTH
            and self.unnamed.isdisjoint(names)
            and [*map(str.strip, names, repeat(NAME_TRIMMED))] == [*names]
        )


def _are_plain_descriptions(texts: Column) -> bool:
    return (
        max(map(len, texts)) <= DESCRIPTION_MAX_LENGTH
        and (
            min(map(len, texts)) > NO_TEXT_MAX_LENGTH or NO_TEXTS.isdisjoint(map(str.strip, texts))
        )
        and not any(map(str.isspace, texts))
    )


# --- All records ----------------------------------------------------------------------


class _Parser:
    """Holds the lines that are not yet part of a finished record."""

    def __init__(self, layout: Layout, start: Checkpoint, told: Told) -> None:
        self.layout = layout
        self.told = told
        self.plan = layout.plan()
        self.plan.above = {int(column): cell for column, cell in start.above.items()}
        self.skipped, self.nothings = start.skipped, start.nothings
        self.codec = layout.codec
        self.writing = layout.writing
        self.width = len(layout.header)
        # A record may lack blank cells at its end, but none that a product's field is read from.
        needed = self.plan.columns if not layout.drops_blanks else [layout.fields["sku"]]
        is_rejects = layout.error_column is not None
        self.fewest = self.width if is_rejects else 1 + max(needed)
        self.widths = {self.width, *(w for w in layout.widths if w >= self.fewest)}
        self.header = layout.keys if layout.header_line else []
        self.plain = _PlainRows(layout, self.plan, may_take=not is_rejects)
        self.line = start.line
        self.lost = start.lost
        self.lines: list[str] = []
        self.offsets = [start.offset]  # where each line starts, in bytes, and where the last ends
        self.ahead = Lookahead(self.lines, layout.delimiter, RECORD_LIMIT, layout.quote)
        self.troubled = 0  # up to this line, one record is read at a time: see _read
        self.overlong: set[int] = set()  # indices into lines
        self.suspicious = False  # whether NUL, undecodable bytes or guarded cells may be there
        self.escapes = False  # whether backslashes or tabs are

    def feed(self, block: Block) -> Batch:
        known = len(self.lines)
        sizes = [*map(len, block.lines)]
        for index, size in block.overlong.items():
            self.overlong.add(known + index)
            sizes[index] = size
        self.offsets += itertools.accumulate(sizes, initial=self.offsets.pop())
        try:
            self.lines += [line.decode(self.codec) for line in block.lines]
        except UnicodeDecodeError:
            self.suspicious = True
            del self.lines[known:]
            self.lines += [line.decode(self.codec, "surrogateescape") for line in block.lines]
        if not self.writing.is_plain:
            self.lines[known:] = self.writing.plain(self.lines[known:])
        self.suspicious |= block.has_nul or block.has_guards
        self.escapes |= block.has_escapes
        return self._parse(at_end=False)

    def finish(self) -> Batch:
        return self._parse(at_end=True)

    def _parse(self, *, at_end: bool) -> Batch:
        """Take the whole records off the lines; one that may go on stays for the next block."""
        batch = Batch(Checkpoint(0, 0))
        position = 0
        while position < len(self.lines):
            if self.lost:
                found, sure = self._find_record(position, len(self.lines), at_end)
                position = len(self.lines) if found is None else found
                if not sure:
                    break
                self.lost = found is None and not at_end
            elif position in self.overlong:
                size, line = self._size(position, position + 1), self.line + position + 1
                text, delimiter = self.lines[position], self.layout.delimiter
                self._refuse(broken.overlong(line, text, size, delimiter), batch)
                position += 1
            else:
                stop = self._read(position, batch)
                if stop.reason is None:
                    position = stop.end
                    continue
                after = self._recover(stop, batch, at_end)
                if after is NEEDS_MORE:
                    position = stop.start
                    break
                position = after
        self._drop(position)
        batch.checkpoint = Checkpoint(
            self.offsets[0],
            self.line,
            self.lost,
            self.skipped,
            self.nothings,
            {str(column): cell for column, cell in self.plan.above.items()},
        )
        return batch

    def _read(self, position: int, batch: Batch) -> "_Stop":
        """Read records from ``lines[position]`` on until one needs a closer look.

        The lines of a record that needed one are read record by record, and a record over
        several of them only if it reads well: else each might be parsed to the end of the block
        and given back, as often as there are lines.
        """
        limit = self._limit(position)
        if position >= self.troubled:
            return self._run(position, limit, batch)
        ending = self.ahead.end_of(position, limit)
        if ending is None:
            return _Stop(position, limit, _UNEXPECTED_END, [])
        # One cell may be a blank one, which is no record. No two such records share a line.
        if ending.end - position > 1 and ending.fields != 1 and ending.fields not in self.widths:
            return _Stop(position, ending.end, _BROKEN, [])
        return self._run(position, ending.end, batch)

    def _run(self, position: int, limit: int, batch: Batch) -> "_Stop":
        """Read the records of ``lines[position:limit]`` until one needs a closer look."""
        whole = position == 0 and limit == len(self.lines)
        lines = self.lines if whole else map(self.lines.__getitem__, range(position, limit))
        reader = self.writing.reader(lines)
        records: list[list[str]] = []
        spans: list[tuple[int, int]] = []  # of lines from ``position`` on
        stop = _Stop(limit, limit, None, [])
        start, width = 0, self.width
        try:
            for cells in map(_unpadded, reader) if self.writing.padded else reader:
                end = reader.line_num
                fits = len(cells) == width or self._fits(cells, end - start)
                if fits or not self._is_blank(cells, end - start):  # a blank line is no record
                    if not fits and end - start > 1:
                        stop = _Stop(position + start, position + end, "width", cells)
                        break
                    records.append(cells)
                    spans.append((position + start, position + end))
                    if len(records) == RECORDS_AT_ONCE:
                        self._take_all(records, spans, batch)
                        records, spans = [], []
                start = end
        except csv.Error as error:
            stop = _Stop(position + start, position + reader.line_num, str(error), [])
        self._take_all(records, spans, batch)
        return stop

    def _take_all(
        self, records: list[list[str]], spans: list[tuple[int, int]], batch: Batch
    ) -> None:
        """Take records that were read well: those that are plain at once, each other by itself.

        ``spans`` are the lines of each, which is one where the width is not the header's.
        """
        rows = self._plain_rows(records, spans)
        if None not in rows:
            batch.rows += cast(list[Row], rows)
            return
        for cells, (start, end), row in zip(records, spans, rows, strict=True):
            line = self.line + start + 1
            if row is not None:
                batch.rows.append(row)
            elif len(cells) != self.width:
                self._refuse_width(cells, line, batch)
            else:
                if end - start > 1:
                    self._warn_of_hidden(cells, self.lines[start:end], line, batch)
                if not self._is_no_record(cells, line, batch):
                    self._take(cells, line, batch)

    def _plain_rows(
        self, records: list[list[str]], spans: list[tuple[int, int]]
    ) -> list[Row | None]:
        """The rows of those that are plain; ``None`` for each other."""
        rows: list[Row | None] = [None] * len(records)
        if self.suspicious or not self.plain.may_take or not records:
            return rows
        first, behind = spans[0][0], spans[-1][1]
        if behind - first == len(records) and set(map(len, records)) == {self.width}:
            return self._rows_of(records, range(first, behind))
        places = [
            place
            for place, ((start, end), cells) in enumerate(zip(spans, records, strict=True))
            if end - start == 1 and len(cells) == self.width
        ]
        if places:
            starts = [spans[place][0] for place in places]
            taken = self._rows_of([records[place] for place in places], starts)
            for place, row in zip(places, taken, strict=True):
                rows[place] = row
        return rows

    def _rows_of(self, records: list[list[str]], starts: Sequence[int]) -> list[Row | None]:
        """The same of records on one line each, which begin there, of the header's width."""
        before = self.line + 1
        return self.plain.rows(
            records,
            [before + start for start in starts],
            [self.lines[start] for start in starts] if self.plain.keeps_record else [],
            escapes=self.escapes,
        )

    def _fits(self, cells: list[str], lines: int) -> bool:
        """Bring a record over so many lines to the header's width, if only blank cells differ.

        One over several lines must have a width that others have too: a quote that was never
        closed may have taken in the rest of it.
        """
        if (lines > 1 and len(cells) not in self.widths) or not any(map(str.strip, cells)):
            return False
        if len(cells) < self.fewest or any(map(str.strip, cells[self.width :])):
            return False
        del cells[self.width :]
        cells += [""] * (self.width - len(cells))
        return True

    def _is_blank(self, cells: list[str], lines: int) -> bool:
        """Whether cells of another width than the header's are a blank line, or only delimiters."""
        if len(cells) > 1:
            return lines == 1 and not any(map(str.strip, cells))
        return not cells or not cells[0].strip().strip("\x1a")

    def _is_no_record(self, cells: list[str], line: int, batch: Batch) -> bool:
        """Whether cells of the right width are all blank, or the header's names once more."""
        if not any(map(str.strip, cells)):
            return self.width > 1
        if not self.header or not all(
            len(cells[n]) <= 2 * len(self.layout.header[n]) + 9  # a mark, blanks
            and normalised(unguarded(cells[n])) == self.header[n]
            for n in (self.layout.fields["sku"], *range(self.width))
        ):
            return False
        if not self.told.header:
            self.told.header = True
            batch.warnings.append(
                f"Line {line:,} has the names of the columns once more. Such lines are no records "
                "and were left out."
            )
        return True

    def _limit(self, position: int) -> int:
        """Where a record from ``position`` on ends at the latest: before an overlong line.

        A block has at most one of those, and none is left of the blocks before.
        """
        return min((i for i in self.overlong if i > position), default=len(self.lines))

    def _size(self, start: int, end: int) -> int:
        """The bytes of ``lines[start:end]``."""
        return self.offsets[end] - self.offsets[start]

    def _take(self, cells: list[str], line: int, batch: Batch) -> None:
        """Clean a record of the right width: a row, or a problem that names every bad cell."""
        if self.layout.error_column is not None:
            self.plan.forget_above()  # the record before is not the one that stood above
        cleaned = self.plan.clean(cells)
        if cleaned.left_out:
            self.skipped += 1
            return
        cells = cleaned.cells
        problems = cleaned.problems
        if not problems and (refused := broken.still_too_short(cells, self.layout, self.plan)):
            problems = [refused]
        if problems:
            column = self.layout.header[problems[0].column]
            message = " ".join(problem.message for problem in problems)
            batch.problems.append(Problem(line, column, problems[0].code, message, showable(cells)))
            return
        self.nothings += cleaned.nothings
        has_name = "name" in self.plan.fields and not cleaned.kept & FIELD_BITS["name"]
        kept = (str(cleaned.kept),) if self.plan.may_keep else ()
        plan = self.plan
        # The catalogue may refuse it: for its name, or for a value that another product has.
        may_be_refused = not has_name or (plan.own is not None and plan.own.may_be_refused)
        record = json.dumps(cells) if may_be_refused else ""
        values = (cleaned.values.get(name, "") for name in FIELDS)
        own = (cleaned.own,) if plan.own is not None else ()
        batch.rows.append(row_of(str(line), *values, *kept, record, *own))

    def _refuse_width(self, cells: list[str], line: int, batch: Batch) -> None:
        self._refuse(broken.wrong_width(line, cells, self.width), batch)

    def _warn_of_hidden(self, cells: list[str], span: list[str], line: int, batch: Batch) -> None:
        """Tell of a well-formed record over several lines that may be an unclosed quote."""
        if self.told.hidden >= WARNINGS_AT_MOST:
            return
        if recovery.looks_like_records(cells, span, self.layout):
            self.told.hidden += 1
            batch.warnings.append(broken.hidden_records(line, line + len(span) - 1))

    def _recover(self, stop: "_Stop", batch: Batch, at_end: bool) -> "int | _NeedsMore":
        """Deal with a record that does not read well; return where to go on.

        A record over several lines is taken for an unclosed quote if a later line of it reads
        as a record of the right width: reading goes on there. Otherwise just that record is
        refused.
        """
        unfinished = stop.reason == _UNEXPECTED_END
        size = self._size(stop.start, stop.end)
        if unfinished and not at_end and stop.end == len(self.lines) and size <= RECORD_LIMIT:
            return NEEDS_MORE
        found: int | None = None
        if unfinished or stop.end - stop.start > 1:
            self.troubled = max(self.troubled, stop.end)
            self.ahead.begin(stop.start)
            found, sure = self._find_record(stop.start + 1, stop.end, at_end)
            if not sure and size <= RECORD_LIMIT:
                return NEEDS_MORE
            found = found if sure else None
        line = self.line + stop.start + 1
        if found is not None or unfinished:
            after = stop.end if found is None else found
            self._refuse_unclosed(stop.start, after, size, batch)
            self.lost = found is None and not at_end
            return after
        if stop.reason == _BROKEN:  # reading goes on behind it: its lines are parsed only now
            stop = self._run(stop.start, stop.end, batch)
        if stop.reason == "width":
            self._refuse_width(stop.cells, line, batch)
        elif stop.reason == _FIELD_TOO_LARGE:
            self._refuse_unclosed(stop.start, stop.end, size, batch)
            self.lost = not at_end
        else:
            text = "".join(self.lines[stop.start : stop.end])
            self._refuse(broken.text_after_quote(line, text, self.layout.delimiter), batch)
        return stop.end

    def _refuse_unclosed(self, start: int, after: int, size: int, batch: Batch) -> None:
        problem = broken.unclosed(
            self.line + start + 1,
            "".join(self.lines[start:after])[:RECORD_LIMIT],
            self.layout.delimiter,
            is_too_large=size > RECORD_LIMIT,
            after=self.line + after + 1,
        )
        self._refuse(problem, batch)

    def _refuse(self, problem: Problem, batch: Batch) -> None:
        """Keep why a record is none; it is not the one that stood above the next either."""
        self.plan.forget_above()
        batch.problems.append(problem)

    def _find_record(self, first: int, end: int, at_end: bool) -> tuple[int | None, bool]:
        """The first line in ``lines[first:end]`` that reads as a record of the right width.

        Not sure (the second value) is one that may become such a record in the next block.
        """
        for index in range(first, end):
            if index in self.overlong:
                continue
            limit = self._limit(index)
            ending = self.ahead.end_of(index, limit)
            if ending is None:
                may_go_on = limit == len(self.lines) and not at_end
                if may_go_on and self._size(index, limit) <= RECORD_LIMIT:
                    return index, False
            elif ending.fields in self.widths:
                return index, True
        return None, True

    def _drop(self, count: int) -> None:
        """Forget the lines that are dealt with."""
        self.line += count
        del self.lines[:count], self.offsets[:count]
        self.ahead.forget(count)
        self.troubled = max(0, self.troubled - count)
        self.overlong = {index - count for index in self.overlong if index >= count}
        if not self.lines:
            self.suspicious = self.escapes = False


@dataclass(frozen=True)
class _Stop:
    """Why ``_run`` stopped, and the lines of the record in question (``start`` to ``end``)."""

    start: int
    end: int
    reason: str | None
    cells: list[str]
