"""The catalogue as a CSV or a workbook, page by page, as an import takes it or as asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.http import StreamingHttpResponse
from django.utils.text import slugify

from catalog import export_columns
from catalog.export_columns import ColumnsError, OutputColumn, of_fields
from catalog.field_values import Definition
from catalog.models import Product
from catalog.queries.export_formats import NoSuchFormat, find_format
from catalog.queries.filters import BadFilter, where_of
from catalog.queries.own_fields.fields import definitions
from catalog.queries.products import count_products
from catalog.sql import export as sql
from catalog.values import FIELDS
from catalog.workbook import ROWS_AT_MOST, Workbook
from product_importer.common.downloads import download
from product_importer.common.errors import NotPossible

FIRST_ROWS, MOST_ROWS = 500, 5000  # of a page; a product may have 100,000 characters
PIECE_CHARACTERS = 1_000_000  # that a page has, about

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Layout:
    """What a file has in which columns. Without ``columns`` all fields, as an import takes them."""

    columns: Sequence[OutputColumn] = ()
    delimiter: str = ","
    name: str = "products"

    def of(self, own: Mapping[str, Definition]) -> list[OutputColumn]:
        """The columns that there are to write."""
        wanted = self.columns or of_fields([*FIELDS, *own])
        return export_columns.in_use(wanted, own)


AS_IMPORTED = Layout()


def column_names() -> list[str]:
    """The columns that an export may have, in their usual order: the five, then the own ones."""
    return [*FIELDS, *definitions()]


def column_labels() -> list[tuple[str, str]]:
    """The same columns, each with what people call it."""
    five = [(name, "SKU" if name == "sku" else name.capitalize()) for name in FIELDS]
    return [*five, *((key, one.label) for key, one in definitions().items())]


def export_lines(
    products: QuerySet[Product],
    *,
    spreadsheet: bool = False,
    columns: Sequence[str] | None = None,
    layout: Layout = AS_IMPORTED,
) -> Iterator[str]:
    """Yield a CSV in pieces of some thousand lines, in constant memory.

    ``columns`` are the wanted ones in their order, of ``column_names``, in place of a layout's.
    """
    own = definitions()
    wanted = of_fields(columns) if columns else layout.of(own)
    delimiter = layout.delimiter
    yield delimiter.join(_header_cell(one.name, delimiter) for one in wanted) + "\n"
    read = sql.csv_line(wanted, own, delimiter=delimiter, spreadsheet=spreadsheet)
    where, params = where_of(products)
    query = f"""SELECT catalog_product.id, {read.line} FROM catalog_product {read.joins}
        WHERE ({where}) AND catalog_product.id > %s AND catalog_product.id <= %s
        ORDER BY catalog_product.id LIMIT %s"""
    for page in _pages(query, params):
        yield "\n".join(page) + "\n"


def _header_cell(name: str, delimiter: str) -> str:
    special = delimiter in name or '"' in name or name != name.strip()
    return '"' + name.replace('"', '""') + '"' if special else name


def workbook_pieces(
    products: QuerySet[Product], *, layout: Layout = AS_IMPORTED
) -> Iterator[bytes]:
    """Yield a workbook in pieces, in constant memory. ``check_fits_workbook`` goes before.

    Texts, SKUs and GTINs are texts, and no formulas; prices and numbers are numbers, unless they
    have more digits than a spreadsheet keeps.
    """
    own = definitions()
    wanted = layout.of(own)
    types = [sql.type_of(column, own) for column in wanted]
    scales = [own[one.key].scale if one.key in own else 2 for one in wanted]
    book = Workbook([one.name for one in wanted], types, scales)
    # The rows of a page are numbered on from those before.
    where, params = where_of(products)
    page = f"""SELECT *, (%s + row_number() OVER (ORDER BY id))::text AS n FROM catalog_product
        WHERE ({where}) AND id > %s AND id <= %s ORDER BY id LIMIT %s"""
    read = sql.sheet_row(wanted, own, styles=book.styles)
    query = f"""SELECT catalog_product.id, {read.line}
        FROM ({page}) AS catalog_product {read.joins} ORDER BY catalog_product.id"""
    pages = _pages(query, params, limit=ROWS_AT_MOST, numbered_from=1)
    return book.pieces("".join(page) for page in pages)


def _pages(
    query: str, params: Sequence[Any], *, limit: int | None = None, numbered_from: int = -1
) -> Iterator[list[str]]:
    """Each page's lines, read by a statement of its own, in the order of ids.

    ``query`` takes the first row's number, where they are ``numbered_from`` one on, ``params``, the
    id to begin behind, the last id and how many. A product that is there throughout comes once, as
    it is when its page is read. None that is made meanwhile comes. Not more than ``limit`` come.
    """
    newest = Product.objects.aggregate(newest=Max("id"))["newest"]
    last, rows, done = 0, FIRST_ROWS, 0
    while limit is None or done < limit:
        rows = rows if limit is None else min(rows, limit - done)
        first = [] if numbered_from < 0 else [numbered_from + done]
        with transaction.atomic(), connection.cursor() as cursor:
            # Where few match, the first page finds all, by any index. Where many do, the next ones
            # are read on from the last one's end, and not sorted out of the whole table each time.
            sort = "off" if last else "on"
            cursor.execute(f"SET LOCAL jit = off; SET LOCAL enable_sort = {sort}")
            cursor.execute(query, [*first, *params, last, newest, rows])
            page = cursor.fetchall()
        if not page:
            return
        last, found = page[-1][0], len(page)
        done += found
        lines = [line for _, line in page]
        size = sum(map(len, lines))
        del page  # not kept while a client takes the piece
        yield lines
        if found < rows:
            return
        rows = max(1, min(MOST_ROWS, found * PIECE_CHARACTERS // max(1, size)))


# --- What is asked for ----------------------------------------------------------------


class DoesNotFit(NotPossible):
    """A workbook cannot hold it; the message says what to do."""


def check_fits_workbook(products: QuerySet[Product], layout: Layout) -> None:
    """Raise ``DoesNotFit`` for more rows than a sheet has, and for texts longer than its cells."""
    count = count_products(products)
    if count > ROWS_AT_MOST:
        raise DoesNotFit(
            f"A sheet holds {ROWS_AT_MOST:,} products, and {count:,} match. Export them as CSV, or "
            "filter them into several workbooks."
        )
    own = definitions()
    columns = layout.of(own)
    where, params = where_of(products)
    query, times = sql.too_long_for_cells(columns, own, where=where)
    if not query:
        return
    with connection.cursor() as cursor:
        cursor.execute(query, list(params) * times)
        found = [row for row in cursor.fetchall() if row[1]]
    if found:
        place, count, sku = found[0]
        raise DoesNotFit(
            f"A cell of a workbook holds {sql.CELL_CHARACTERS:,} characters; {columns[place].name} "
            f"has more in {count:,} product{'' if count == 1 else 's'}, {sku} for one. Export as "
            "CSV, or without this column."
        )


def asked_columns(text: str) -> list[str] | None:
    """The columns of an address, with commas between them; raises ``BadFilter``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    there = column_names()
    unknown = [name for name in names if name not in there]
    if unknown or len(set(names)) < len(names):
        what = f"There is no column “{unknown[0][:40]}”." if unknown else "A column stands twice."
        raise BadFilter({"columns": f"{what} There are: {', '.join(there)}."})
    return names or None


def asked_layout(given: Mapping[str, str]) -> Layout:
    """What ``columns``, ``export_format`` and ``currency`` of an address ask for.

    Raises ``BadFilter``.
    """
    names = asked_columns(given.get("columns", ""))
    title = given.get("export_format", "").strip()
    currency = given.get("currency", "").strip()
    try:
        export_columns.with_currency((), currency)
    except ColumnsError as error:
        raise BadFilter({"currency": str(error)}) from None
    if names and title:
        raise BadFilter(
            {"export_format": "Choose columns or a format: a format has its own columns."}
        )
    if not title:
        return Layout(of_fields(names)) if names else AS_IMPORTED
    try:
        found = find_format(title)
    except NoSuchFormat as error:
        raise BadFilter({"export_format": str(error)}) from None
    try:
        columns = export_columns.with_currency(found.columns, currency)
    except ColumnsError as error:
        raise BadFilter({"currency": str(error)}) from None
    layout = Layout(columns, found.delimiter, slugify(found.name) or "products")
    if not layout.of(definitions()):
        raise BadFilter(
            {"export_format": "All fields of this format are retired. Give it other columns."}
        )
    return layout


def export_response(
    products: QuerySet[Product],
    *,
    spreadsheet: bool,
    user_id: int | None,
    layout: Layout = AS_IMPORTED,
) -> StreamingHttpResponse:
    """The CSV as a download. Raises ``TooManyDownloads``."""
    ending = ".tsv" if layout.delimiter == "\t" else ".csv"
    name = layout.name + ("-for-spreadsheet" if spreadsheet else "") + ending
    lines = export_lines(products, spreadsheet=spreadsheet, layout=layout)
    return download(lines, user_id=user_id, name=name, mark=spreadsheet)


def workbook_response(
    products: QuerySet[Product], *, user_id: int | None, layout: Layout = AS_IMPORTED
) -> StreamingHttpResponse:
    """The workbook as a download. Raises ``TooManyDownloads`` and ``DoesNotFit``."""
    check_fits_workbook(products, layout)
    pieces = workbook_pieces(products, layout=layout)
    return download(pieces, user_id=user_id, name=layout.name + ".xlsx", content_type=XLSX)
