"""Refused records as a grid: their cells as somebody mended them, and what is wrong in each."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Count, Q, QuerySet

from catalog.values import clean_typed_price
from imports.mapping.rules import parse_rules, resolve_columns
from imports.mapping.values import Cleaned, Plan
from imports.models import ImportJob, RowError
from imports.queries.outcomes import tell_undone
from imports.readers.csv import Layout

OTHER_COLUMNS = 4  # shown of those that are not imported
SURPLUS_CELLS = 40  # shown of those that the header has no column for
PAGE_ROWS = 50
PAGE_CELLS = 450  # that can be mended: a form may have 1,000 fields, and has two of each
UNTOUCHED = "Look at the cells of this record: they may not stand where they belong."

# What is wrong, for a shopkeeper; others are told by their code.
REASONS = {
    "blank_sku": "The SKU is missing",
    "invalid_sku": "The SKU is not one",
    "blank_name": "The name is missing",
    "invalid_name": "The name is too long",
    "invalid_description": "The description is too long",
    "invalid_price": "The price is not a price",
    "invalid_active": "Neither active nor inactive",
    "too_few_fields": "The record has too few fields",
    "too_many_fields": "The record has too many fields",
    "unclosed_quote": "A quote is never closed",
    "text_after_quote": "Text after a closing quote",
    "record_too_large": "The record is too large",
    "bad_encoding": "Letters that cannot be read",
    "nul_byte": "A character that is no text",
    "name_required": "A new product without a name",
    "value_taken": "A value that another product has, of a field where none may share one",
    "invalid_field": "A value that its field does not take",
    "blank_field": "A field that every product needs is blank",
    "spreadsheet_error": "An error of a spreadsheet in place of a value",
    "unknown_above": "A blank cell whose value above is not known",
}


def in_words(code: str) -> str:
    return REASONS.get(code, code.replace("_", " ").capitalize())


@dataclass(frozen=True)
class Cell:
    """One cell in the grid. ``problem`` is a sentence, ``alike`` how many others have its value."""

    column: int
    name: str
    value: str
    problem: str = ""
    is_imported: bool = True
    alike: int = 0


@dataclass(frozen=True)
class GridRow:
    """One refused record: ``problem`` is of the record as a whole, ``state`` how far it is."""

    id: int
    line: int
    cells: list[Cell] = field(default_factory=list)
    problem: str = ""
    state: str = "wrong"  # or mended, taken

    @property
    def problems(self) -> list[str]:
        return [text for text in (self.problem, *(cell.problem for cell in self.cells)) if text]


def cells_of(error: RowError, width: int) -> list[str]:
    """Its cells as they are now, filled up with blanks to the width of the header."""
    cells: list[str] = list(error.record if error.mended is None else error.mended)
    return cells + [""] * (width - len(cells))


# Records that were refused before blank cells of theirs were filled from above.
_NOT_FILLED = (
    *("too_few_fields", "too_many_fields", "unclosed_quote", "text_after_quote"),
    *("record_too_large", "bad_encoding", "nul_byte", "unknown_above"),
)


def _plan(job: ImportJob) -> Plan:
    """The plan of a job's records, made once: its tables may have thousands of words."""
    if not hasattr(job, "_plan"):
        job._plan = Layout(**job.layout).plan()  # type: ignore[attr-defined]
    plan: Plan = job._plan  # type: ignore[attr-defined]
    return plan


def _clean(job: ImportJob, error: RowError, cells: list[str]) -> Cleaned:
    """What its cells come to by the import's own rules, without the records above it."""
    plan = _plan(job)
    plan.above = {}
    if error.code in _NOT_FILLED:
        plan.forget_above()
    return plan.clean(cells[: len(job.layout["header"])])


def _price_column(job: ImportJob) -> tuple[int, str] | None:
    """The column that is the price and nothing else, and the decimal mark of its prices."""
    if not hasattr(job, "_price_column"):
        job._price_column = _find_price_column(job)  # type: ignore[attr-defined]
    found: tuple[int, str] | None = job._price_column  # type: ignore[attr-defined]
    return found


def _find_price_column(job: ImportJob) -> tuple[int, str] | None:
    layout = Layout(**job.layout)
    places: dict[str, tuple[int, ...]] = {name: (at,) for name, at in layout.fields.items()}
    mark = "."
    if layout.rules:
        rules = parse_rules(layout.rules)
        places = resolve_columns(rules, layout.header).fields
        mark = next((rule.decimal for rule in rules.columns if rule.field == "price"), None) or "."
    price = places.get("price", ())
    used = [at for columns in places.values() for at in columns]
    return (price[0], mark) if len(price) == 1 and used.count(price[0]) == 1 else None


def cells_to_read(job: ImportJob, error: RowError) -> list[str]:
    """Its cells as the import's rules are to read them.

    A price that somebody typed, and in which the rules see none, is taken as in forms (``49,90``),
    and is written as the file writes its prices. What the file itself said is left as it is.
    """
    cells = cells_of(error, len(job.layout["header"]))
    if error.mended is None or (found := _price_column(job)) is None:
        return cells
    column, mark = found
    typed = cells[column] != [*error.record, *[""] * (column + 1)][column]
    if typed and any(one.column == column for one in _clean(job, error, cells).problems):
        with suppress(ValueError):
            cells[column] = (clean_typed_price(cells[column]) or "").replace(".", mark)
    return cells


def check(job: ImportJob, error: RowError) -> tuple[dict[int, str], str]:
    """What is wrong: of each bad cell, and of the record as a whole; by the import's own rules."""
    width = len(job.layout["header"])
    cells = cells_to_read(job, error)
    cleaned = _clean(job, error, cells)
    wrong = {problem.column: problem.message for problem in cleaned.problems}
    for column in range(width, min(len(cells), width + SURPLUS_CELLS)):
        if cells[column].strip():
            wrong[column] = "The header has no column for this: put it where it belongs."
    if any(map(str.strip, cells[width + SURPLUS_CELLS :])):
        more = len(cells) - width - SURPLUS_CELLS
        return wrong, f"It has {more:,} more fields than are shown here. Mend it in rejects.csv."
    whole = ""
    if error.code in ("name_required", "value_taken") and error.mended is None:
        whole = error.message
    elif error.mended is None and not wrong and not error.column:
        whole = f"{error.message} {UNTOUCHED}"
    return wrong, whole


def grid_row(job: ImportJob, error: RowError, alike: dict[tuple[int, str], int]) -> GridRow:
    header, fields = job.layout["header"], set(_plan(job).columns)
    wrong, whole = check(job, error)
    cells = cells_of(error, len(header))
    read = error.record + [""] * (len(header) - len(error.record))
    others = [column for column in range(len(header)) if column not in fields][:OTHER_COLUMNS]
    end = min(len(cells), len(header) + SURPLUS_CELLS)
    shown = [*sorted([*fields, *others]), *range(len(header), end)]
    return GridRow(
        id=error.pk,
        line=error.line,
        cells=[
            Cell(
                column=column,
                name=header[column] if column < len(header) else "",
                value=cells[column],
                problem=wrong.get(column, ""),
                is_imported=column not in others,
                alike=max(
                    0, alike.get((column, read[column]), 0) - (cells[column] == read[column])
                ),
            )
            for column in shown
        ],
        problem=whole,
        state="taken" if not is_open(job, error) else "mended" if error.is_mended else "wrong",
    )


def page_rows(job: ImportJob) -> int:
    """How many records a page of the grid has, by how many of their cells can be mended."""
    return max(1, min(PAGE_ROWS, PAGE_CELLS // len(_plan(job).columns)))


def even(rows: list[GridRow]) -> list[GridRow]:
    """The same rows, each as wide as the widest: some have cells that the header does not name."""
    width = max((len(row.cells) for row in rows), default=0)
    blank = Cell(column=-1, name="", value="", is_imported=False)
    for row in rows:
        row.cells.extend([blank] * (width - len(row.cells)))
    return rows


def is_open(job: ImportJob, error: RowError) -> bool:
    """Whether no import has taken it, or the one that did came to nothing."""
    return error.mended_in is None or error.mended_in in came_to_nothing(job)


def came_to_nothing(job: ImportJob) -> set[int]:
    """The imports of its mended records that failed or were cancelled."""
    if not hasattr(job, "_came_to_nothing"):
        ended = job.mended_by.filter(
            status__in=(ImportJob.Status.FAILED, ImportJob.Status.CANCELLED), created=0, updated=0
        )
        job._came_to_nothing = set(ended.values_list("pk", flat=True))  # type: ignore[attr-defined]
    found: set[int] = job._came_to_nothing  # type: ignore[attr-defined]
    return found


def open_errors(job: ImportJob) -> "QuerySet[RowError]":
    """The refused records that no import has taken yet."""
    return job.errors.filter(Q(mended_in=None) | Q(mended_in__in=came_to_nothing(job)))


_ALIKE = """
SELECT value, count(*) FROM (
    SELECT COALESCE(mended, record)->>%s AS value FROM imports_rowerror
    WHERE job_id = %s AND (mended_in IS NULL OR mended_in = ANY(%s))
) AS cells WHERE value = ANY(%s) GROUP BY value
"""


def alike_in(job: ImportJob, errors: Iterable[RowError]) -> dict[tuple[int, str], int]:
    """How many records have a value in a column, for the values that these had when refused."""
    shown = list(errors)
    found: dict[tuple[int, str], int] = {}
    with connection.cursor() as cursor:
        for column in sorted(_plan(job).columns):
            values = {error.record[column] for error in shown if column < len(error.record)}
            cursor.execute(_ALIKE, [column, job.pk, list(came_to_nothing(job)), list(values)])
            found |= {(column, value): count for value, count in cursor.fetchall()}
    return found


def groups(job: ImportJob) -> list[dict[str, Any]]:
    """What is wrong with the refused records, in words, with how many of each."""
    counted = job.errors.order_by().values("code").annotate(count=Count("id")).order_by("-count")
    return [{**one, "words": in_words(one["code"])} for one in counted]


@dataclass(frozen=True)
class Mended:
    """How far the refused records of an import are, in numbers of records."""

    ready: int  # mended, and not imported yet
    on_the_way: int
    arrived: int  # in the catalogue, by imports of mended records, also those of theirs
    waiting: list[ImportJob]  # the imports of those on the way that somebody has to decide about


def mended_of(job: ImportJob) -> Mended:
    ready = open_errors(job).filter(is_mended=True).count()
    on_the_way = arrived = 0
    waiting: list[ImportJob] = []
    jobs = job.mended_by.defer("layout", "checkpoint", "shown", "differing_skus")
    for one in tell_undone(jobs):
        if not one.is_final:
            on_the_way += one.total_records
            if one.status in ImportJob.AWAITING:
                waiting.append(one)
        elif one.undone_by is None:
            arrived += one.created + one.updated + one.unchanged + mended_of(one).arrived
    return Mended(ready, on_the_way, arrived, waiting)
