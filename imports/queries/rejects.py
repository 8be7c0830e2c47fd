"""``rejects.csv``: the refused records, ready to mend and upload again."""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from django.db.models import Q
from django.http import StreamingHttpResponse

from imports.models import ImportJob, RowError
from imports.readers.csv import Layout, Problem, cells_of, read_batches
from imports.readers.csv.cells import guarded, nameless, taken, unescaped
from imports.readers.csv.header import ERROR_COLUMN, LINE_COLUMN
from product_importer.common.downloads import download

PAGE_ROWS = 1000


class NotKept(Exception):
    """The refused records are no longer kept; the message says so."""


def check_kept(job: ImportJob) -> None:
    """Raise ``NotKept`` for a job whose refused records were cleared away."""
    if job.details_expired_at is not None:
        raise NotKept(
            "The refused and superseded records of this import are no longer kept "
            "(KEEP_IMPORT_DETAILS_DAYS says how long they are). Its counts are."
        )


def rejects_csv(job: ImportJob) -> Iterator[str]:
    """Yield the file in pieces: the original columns, then ``_line`` and ``_error``.

    UTF-8 with the file's own delimiter. A record with too few fields is filled up with blank
    cells, so that the two columns stand where they belong; the reader refuses it again as long
    as it is not mended. Fields too many stand behind them. What a spreadsheet would run as a
    formula has an apostrophe before it, which an import takes off.
    """
    header: list[str] = job.layout.get("header", [])
    kept = [i for i, name in enumerate(header) if name not in (LINE_COLUMN, ERROR_COLUMN)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=job.layout.get("delimiter", ","))
    writer.writerow([*(guarded(header[i]) for i in kept), LINE_COLUMN, ERROR_COLUMN])
    for problem in _problems(job):
        if problem is not None:
            cells = [guarded(cell) for cell in problem.record]
            row = [cells[i] if i < len(cells) else "" for i in kept]
            reason = f"{problem.code}: {problem.message}"
            writer.writerow([*row, problem.line, reason, *cells[len(header) :]])
        if problem is None or buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _problems(job: ImportJob) -> Iterator[Problem | None]:
    """All refused records by line: those that are kept, or all of them from the file itself.

    ``None`` after each block of the file, for others to have their turn: a gigabyte in which
    little was refused is a long way from one record to the next.
    """
    if job.rejected > job.errors.count() and job.has_file and job.layout:
        try:
            handle = job.readable.open("rb")
        except FileNotFoundError:
            pass  # what is kept is better than nothing
        else:
            with handle:
                yield from _read_again(job, cast(BinaryIO, handle.file))
            return
    for error in _errors(job):
        yield Problem(error.line, error.column, error.code, error.message, error.record)


def _read_again(job: ImportJob, file: BinaryIO) -> Iterator[Problem | None]:
    """The refused records as the file has them, in the memory of a bit per line."""
    applied = _refused_while_applying(job)
    place = -2 if job.has_own else -1  # of the record in a row
    layout = Layout(**job.layout)
    for batch in read_batches(file, layout):
        problems = batch.problems
        if applied:
            for row in batch.rows:
                line = int(row.partition("\t")[0])
                if line >> 3 < len(applied) and applied[line >> 3] >> (line & 7) & 1:
                    record = unescaped(row.split("\t")[place])
                    problems.append(_refused(job, line, cells_of(record, layout)))
            problems.sort(key=lambda problem: problem.line)
        yield from problems
        yield None


def _refused(job: ImportJob, line: int, cells: list[str]) -> Problem:
    """A record that the catalogue refused, with its reason where that is kept."""
    error = job.errors.filter(line=line, while_applying=True).first()
    if error is not None:
        return Problem(line, error.column, error.code, error.message, cells)
    if job.found_by:
        message = "No single product was found for it by its key, or it could not be written."
        return Problem(line, "", "no_match", message, cells)
    if any(one["unique"] for one in job.layout.get("own", ())):
        return taken(line, cells)
    return nameless(line, cells, has_column="name" in job.layout["fields"])


def _refused_while_applying(job: ImportJob) -> bytearray:
    """A bit for each line whose record the catalogue refused; the reader cannot know them."""
    bits = bytearray()

    def mark(line: int) -> None:
        bits.extend(bytes(max(0, (line >> 3) + 1 - len(bits))))
        bits[line >> 3] |= 1 << (line & 7)

    for line in job.errors.filter(while_applying=True).values_list("line", flat=True):
        mark(line)
    for number in job.chunks.filter(refused_lines__isnull=False).values_list("number", flat=True):
        for line in job.chunks.get(number=number).refused_lines or ():
            mark(line)
    return bits


def _errors(job: ImportJob) -> Iterator[RowError]:
    """The refused records by line, read page by page.

    A server-side cursor would need a session of its own for the length of the download.
    """
    place = Q()
    while page := list(job.errors.filter(place).order_by("line", "id")[:PAGE_ROWS]):
        yield from page
        last = page[-1]
        # The first bound is what the index reads from.
        place = Q(line__gte=last.line) & (Q(line__gt=last.line) | Q(id__gt=last.pk))


def rejects_response(job: ImportJob, *, user_id: int | None) -> StreamingHttpResponse:
    """``rejects.csv`` as a download. Raises ``NotKept`` and ``TooManyDownloads``."""
    check_kept(job)
    return download(rejects_csv(job), user_id=user_id, name=f"rejects-{job.pk}.csv", mark=True)
