"""The catalogue as a CSV: streamed from a server-side cursor, in the columns an import takes."""

import re
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from catalog.filters import where_of
from catalog.models import Product
from catalog.values import FORMULA_STARTS

HEADER = "sku,name,description,price,active\n"
BATCH_ROWS = 5000

# One line of CSV (RFC 4180) per product, written by the database: as fast as it reads.
_CELL = """CASE WHEN {value} ~ '[",\\n\\r]' OR {value} ~ '^\\s' OR {value} ~ '\\s$' THEN
    '"' || replace({value}, '"', '""') || '"' ELSE {value} END"""
# An import takes one apostrophe off before what starts a formula (imports.reader.cells), so a cell
# that has one itself gets a second one. For a spreadsheet, which would run it as a formula, every
# cell that begins so gets one, except a number.
_STARTS = f"[{re.escape(FORMULA_STARTS)}]"
_GUARDED = f"""CASE WHEN {{value}} ~ '^''+{_STARTS}' THEN '''' || {{value}} ELSE {{value}} END"""
_GUARDED_FOR_SPREADSHEETS = f"""CASE
    WHEN {{value}} ~ '^''*{_STARTS}' AND {{value}} !~ '^[+-]?[0-9]+([.][0-9]+)?$'
    THEN '''' || {{value}} ELSE {{value}} END"""


def _line(spreadsheet: bool) -> str:
    guarded = _GUARDED_FOR_SPREADSHEETS if spreadsheet else _GUARDED
    cells = [
        _CELL.format(value=f"({guarded.format(value=column)})")
        for column in ("sku", "name", "description")
    ]
    cells += ["COALESCE(price::text, '')", "CASE WHEN active THEN 'true' ELSE 'false' END"]
    return " || ',' || ".join(cells)


def export_lines(products: QuerySet[Product], *, spreadsheet: bool = False) -> Iterator[str]:
    """Yield the file in pieces of some thousand lines, in constant memory."""
    yield HEADER
    where, params = where_of(products)
    query = f"SELECT {_line(spreadsheet)} FROM catalog_product WHERE {where} ORDER BY id"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off; SET LOCAL cursor_tuple_fraction = 1")
        cursor.execute(f"DECLARE catalog_export NO SCROLL CURSOR FOR {query}", list(params))
        while True:
            cursor.execute(f"FETCH {BATCH_ROWS} FROM catalog_export")
            rows = cursor.fetchall()
            if not rows:
                return
            yield "\n".join(line for (line,) in rows) + "\n"


def export_response(products: QuerySet[Product], *, spreadsheet: bool) -> StreamingHttpResponse:
    """The export as a download."""
    name = "products-for-spreadsheet.csv" if spreadsheet else "products.csv"
    return StreamingHttpResponse(
        in_request_thread(export_lines(products, spreadsheet=spreadsheet)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def in_request_thread(pieces: Iterator[str]) -> AsyncIterator[str]:
    """Draw pieces one by one in the request's own thread, where its connection lives.

    Given a plain iterator under ASGI, Django would draw all of it before the first byte.
    """

    def draw() -> str | None:
        return next(pieces, None)

    while (piece := await sync_to_async(draw)()) is not None:
        yield piece
