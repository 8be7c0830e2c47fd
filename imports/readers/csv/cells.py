"""One record's cells: the row for the catalogue, or what is wrong with them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from catalog.values import (
    FORMULA_STARTS,
    clean_active,
    clean_description,
    clean_name,
    clean_price,
    clean_sku,
)

# One row for staging, as a line of PostgreSQL's COPY text format without its end: line, sku,
# name, description, price, active ("t", "f"), record. Blank and absent values are empty; which
# columns the file has, the layout tells.
Row = str

surrogates = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record is refused. ``column`` is the column's name in the file, if it is one cell."""

    line: int
    column: str
    code: str
    message: str
    record: list[str]


@dataclass(frozen=True)
class CellProblem:
    column: int
    code: str
    message: str


_guarded = re.compile(f"'+[{re.escape(FORMULA_STARTS)}]").match
_formula = re.compile(f"'*[{re.escape(FORMULA_STARTS)}]").match
_number = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?").fullmatch


def unguarded(cell: str) -> str:
    """Take off the apostrophe that keeps a spreadsheet from running a cell as a formula.

    The export puts it there (``catalog.export``), and spreadsheets show none of it.
    """
    return cell[1:] if _guarded(cell) else cell


def guarded(cell: str) -> str:
    """A cell as read, for a file that a spreadsheet opens: with one apostrophe where it needs it.

    An import takes the same value from both; a cell that had its apostrophe gets no second one.
    """
    value = unguarded(cell)
    return "'" + value if _formula(value) and not _number(value) else value


def _bool(text: str) -> str:
    value = clean_active(text)
    return "" if value is None else "t" if value else "f"


def _price(text: str) -> str:
    return clean_price(text) or ""


CLEANERS: dict[str, Callable[[str], str]] = {
    "sku": lambda text: clean_sku(unguarded(text)),
    "name": lambda text: clean_name(unguarded(text)),
    "description": lambda text: clean_description(unguarded(text)),
    "price": _price,
    "active": _bool,
}


def clean_cells(
    cells: list[str], fields: dict[str, int]
) -> tuple[dict[str, str], list[CellProblem]]:
    """Clean the cells of a record of the right width; every bad one is named."""
    problems = []
    for column, cell in enumerate(cells):
        if "\0" in cell:
            problems.append(
                CellProblem(column, "nul_byte", "The cell contains a NUL byte. Type it again.")
            )
        elif surrogates.search(cell):
            problems.append(
                CellProblem(
                    column,
                    "bad_encoding",
                    "The cell contains bytes that are not valid text in this file's encoding. "
                    "Type it again, or save the file as “CSV UTF-8”.",
                )
            )
    values: dict[str, str] = {}
    if problems:
        return values, problems
    for name, column in fields.items():
        try:
            values[name] = CLEANERS[name](cells[column])
        except ValueError as error:
            blank = not cells[column].strip()
            problems.append(
                CellProblem(column, f"{'blank' if blank else 'invalid'}_{name}", str(error))
            )
    return values, problems


def row_of(*values: str) -> Row:
    """Join values to a row, escaped as COPY reads it (PostgreSQL manual, COPY, "Text Format")."""
    row = "\t".join(values)
    if "\\" in row or "\n" in row or "\r" in row or row.count("\t") >= len(values):
        row = "\t".join(
            value.replace("\\", "\\\\")
            .replace("\t", "\\t")
            .replace("\n", "\\n")
            .replace("\r", "\\r")
            for value in values
        )
    return row


def showable(cells: list[str]) -> list[str]:
    """The cells as they can be stored and shown: no NUL, no half characters."""
    return [surrogates.sub("\ufffd", cell).replace("\0", "\u2400") for cell in cells]


def nameless(line: int, cells: list[str]) -> Problem:
    """A product that is new, in a file without a name column: only the catalogue could tell."""
    message = (
        "The product is not in the catalogue, and the file has no name column: "
        "a new product needs a name."
    )
    return Problem(line, "", "name_required", message, cells)
