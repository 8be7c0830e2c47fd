"""The list of a review's changes as a CSV, for a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from django.http import StreamingHttpResponse

from catalog.field_values import SEPARATOR
from catalog.values import FIELDS
from imports.mapping.model import OWN_PREFIX
from imports.models import ImportJob
from imports.queries.review import MAX_PAGE_SIZE, ReviewPage, read_page, shown
from imports.readers.csv.cells import guarded
from product_importer.common.downloads import download


def _fields(job: ImportJob) -> list[str]:
    """The fields that its changes may be of, own ones as the review names them."""
    own = (definition["key"] for definition in job.layout.get("own", ()))
    return [*FIELDS, *(OWN_PREFIX + key for key in own)]


def review_csv_response(
    job: ImportJob, given: Mapping[str, str], *, user_id: int | None
) -> StreamingHttpResponse:
    """All rows that match. Raises ``NoReview``, ``BadFilter`` and ``TooManyDownloads``."""
    values = {name: given[name] for name in given}  # of a query's lists of values, the last one
    asked = {**values, "page_size": str(MAX_PAGE_SIZE), "cursor": ""}
    first = read_page(job, asked)
    pieces = _pieces(job, asked, first)
    return download(pieces, user_id=user_id, name=f"changes-{job.pk}.csv", mark=True)


def _pieces(job: ImportJob, asked: dict[str, str], page: ReviewPage) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    fields = _fields(job)
    sides = [f"{name}_{side}" for name in fields for side in ("before", "after")]
    writer.writerow(["line", "action", "sku", "name", *sides, "price_change_percent", "left_out"])
    while True:
        for row in page.rows:
            changes: dict[str, tuple[Any, Any]] = {
                change.field: (shown(change.before), shown(change.after)) for change in row.changes
            }
            values = [value for name in fields for value in changes.get(name, (None, None))]
            move = f"{row.move:.1f}" if row.move is not None and row.move.is_finite() else ""
            line = row.line if row.line > 0 else None  # what the file lacks has none
            cells = [line, row.action, row.sku, row.name, *values, move, row.left_out]
            writer.writerow([_cell(value) for value in cells])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        if not page.next:
            return
        page = read_page(job, {**asked, "cursor": page.next})


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(SEPARATOR.join(value) if isinstance(value, list) else str(value))
