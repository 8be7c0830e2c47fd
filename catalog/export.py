"""The catalogue as a CSV: read page by page, in the columns an import takes."""

import re
from collections.abc import Iterator, Mapping, Sequence

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.http import StreamingHttpResponse
from psycopg import sql

from catalog.field_values import Definition
from catalog.models import Product
from catalog.queries.fields import definitions
from catalog.queries.filters import BadFilter, where_of
from catalog.values import FIELDS, FORMULA_STARTS
from product_importer.common.downloads import download

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


# An own field's value as a file has it (catalog.field_values.as_text).
_OWN_TEXT = "COALESCE(own_fields ->> {key}, '')"
_OWN_LIST = """COALESCE((SELECT string_agg(one, '|')
    FROM jsonb_array_elements_text(own_fields -> {key}) AS one), '')"""
_OWN_GTIN = """COALESCE(regexp_replace(own_fields ->> {key}, '^(000000|00|0)', ''), '')"""
_OWN_BY_TYPE = {"choices": _OWN_LIST, "gtin": _OWN_GTIN}
_PLAIN_TYPES = ("integer", "decimal", "money", "boolean", "date", "gtin")  # nothing to quote


def column_names() -> list[str]:
    """The columns that an export may have, in their usual order: the five, then the own ones."""
    return [*FIELDS, *definitions()]


def _cell(column: str, own: Mapping[str, Definition], guarded: str) -> str:
    """The SQL of one cell."""
    if column == "price":
        return "COALESCE(price::text, '')"
    if column == "active":
        return "CASE WHEN active THEN 'true' ELSE 'false' END"
    value = column
    if column in own:
        key = sql.Literal(column).as_string()
        value = _OWN_BY_TYPE.get(own[column].type, _OWN_TEXT).format(key=key)
        if own[column].type in _PLAIN_TYPES:
            return value
        value = f"({value})"
    return _CELL.format(value=f"({guarded.format(value=value)})")


def export_lines(
    products: QuerySet[Product],
    *,
    spreadsheet: bool = False,
    columns: Sequence[str] | None = None,
) -> Iterator[str]:
    """Yield the file in pieces of some thousand lines, in constant memory.

    ``columns`` are the wanted ones in their order, of ``column_names``; without, all of them.

    Each piece is read by a statement of its own, in the order of ids: a product that is there
    throughout comes once, as it is when its page is read. None that is made meanwhile comes.
    """
    own = definitions()
    names = list(columns) if columns else column_names()
    yield ",".join(names) + "\n"
    where, params = where_of(products)
    guarded = _GUARDED_FOR_SPREADSHEETS if spreadsheet else _GUARDED
    line = " || ',' || ".join(_cell(name, own, guarded) for name in names)
    query = f"""SELECT id, {line} FROM catalog_product
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


def asked_columns(text: str) -> list[str] | None:
    """The columns of an address, with commas between them; raises ``BadFilter``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    there = column_names()
    unknown = [name for name in names if name not in there]
    if unknown or len(set(names)) < len(names):
        what = f"There is no column “{unknown[0][:40]}”." if unknown else "A column stands twice."
        raise BadFilter({"columns": f"{what} There are: {', '.join(there)}."})
    return names or None


def export_response(
    products: QuerySet[Product],
    *,
    spreadsheet: bool,
    user_id: int | None,
    columns: Sequence[str] | None = None,
) -> StreamingHttpResponse:
    """The export as a download. Raises ``TooManyDownloads``."""
    name = "products-for-spreadsheet.csv" if spreadsheet else "products.csv"
    lines = export_lines(products, spreadsheet=spreadsheet, columns=columns)
    return download(lines, user_id=user_id, name=name, mark=spreadsheet)
