"""``rejects.csv``: the refused records, ready to mend and upload again."""

import csv
import io
from collections.abc import Iterator

from django.db.models import Q
from django.http import StreamingHttpResponse

from catalog.downloads import download
from imports.models import ImportJob, RowError
from imports.reader.header import ERROR_COLUMN, LINE_COLUMN

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
    as it is not mended. Fields too many stand behind them.
    """
    header: list[str] = job.layout.get("header", [])
    kept = [i for i, name in enumerate(header) if name not in (LINE_COLUMN, ERROR_COLUMN)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=job.layout.get("delimiter", ","))
    writer.writerow([*(header[i] for i in kept), LINE_COLUMN, ERROR_COLUMN])
    for error in _errors(job):
        cells = error.record
        row = [cells[i] if i < len(cells) else "" for i in kept]
        reason = f"{error.code}: {error.message}"
        writer.writerow([*row, error.line, reason, *cells[len(header) :]])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


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
    return download(rejects_csv(job), user_id=user_id, name=f"rejects-{job.pk}.csv")
