"""The catalogue as a CSV: read page by page, in the columns an import takes."""

import re
from collections.abc import Iterator

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.http import StreamingHttpResponse

from catalog.models import Product
from catalog.queries.filters import where_of
from catalog.values import FORMULA_STARTS
from product_importer.common.downloads import download

HEADER = "sku,name,description,price,active\n"
FIRST_ROWS, MOST_ROWS = 500, 5000  # of a page; a product may have 100,000 characters
PIECE_CHARACTERS = 1_000_000  # that a page has, about

# One line of CSV (RFC 4180) per product, written by the database: as fast as it reads.
_CELL = """CASE WHEN {value} ~ '[",\\n\\r]' OR {value} ~ '^\\s' OR {value} ~ '\\s$' THEN
    '"' || replace({value}, '"', '""') || '"' ELSE {value} END"""
# An import takes one apostrophe off before what starts a formula (imports.readers.csv.cells), so a
# cell that has one itself gets a second one. For a spreadsheet, which would run it as a formula,
# every cell that begins so gets one, except a number.
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
    """Yield the file in pieces of some thousand lines, in constant memory.

    Each piece is read by a statement of its own, in the order of ids: a product that is there
    throughout comes once, as it is when its page is read. None that is made meanwhile comes.
    """
    yield HEADER
    where, params = where_of(products)
    query = f"""SELECT id, {_line(spreadsheet)} FROM catalog_product
        WHERE ({where}) AND id > %s AND id <= %s ORDER BY id LIMIT %s"""
    newest = Product.objects.aggregate(newest=Max("id"))["newest"]
    last, rows = 0, FIRST_ROWS
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            # Where few match, the first page finds all, by any index. Where many do, the next ones
            # are read on from the last one's end, and not sorted out of the whole table each time.
            sort = "off" if last else "on"
            cursor.execute(f"SET LOCAL jit = off; SET LOCAL enable_sort = {sort}")
            cursor.execute(query, [*params, last, newest, rows])
            page = cursor.fetchall()
        if not page:
            return
        last, found = page[-1][0], len(page)
        piece = "\n".join(line for _, line in page) + "\n"
        del page  # not kept while a client takes the piece
        yield piece
        if found < rows:
            return
        rows = max(1, min(MOST_ROWS, found * PIECE_CHARACTERS // len(piece)))


def export_response(
    products: QuerySet[Product], *, spreadsheet: bool, user_id: int | None
) -> StreamingHttpResponse:
    """The export as a download. Raises ``TooManyDownloads``."""
    name = "products-for-spreadsheet.csv" if spreadsheet else "products.csv"
    lines = export_lines(products, spreadsheet=spreadsheet)
    return download(lines, user_id=user_id, name=name, mark=spreadsheet)
