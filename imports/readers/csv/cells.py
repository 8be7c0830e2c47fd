"""One record's cells: the row for the catalogue, or what is wrong with them."""

import re
from dataclasses import dataclass

from imports.mapping.cells.meaning import CellProblem, guarded, surrogates, unguarded
from imports.mapping.values import plain_plan

__all__ = ["CellProblem", "Problem", "Row", "clean_cells", "encode_rows", "escaped", "guarded"]
__all__ += ["nameless", "row_of", "showable", "taken", "unescaped", "unguarded", "unmatched"]

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r"}
_escape = re.compile(r"\\(.)")

# One row for staging, as a line of PostgreSQL's COPY text format without its end: line, sku,
# name, description, price, active ("t", "f"), record (as ``records.cells_of`` reads it); where a
# record may keep stored values, which ones it keeps (``Plan.may_keep``) stands before ``record``.
# Blank and absent values are empty; which columns the file has, the layout tells.
Row = str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record is refused. ``column`` is the column's name in the file, if it is one cell."""

    line: int
    column: str
    code: str
    message: str
    record: list[str]


def clean_cells(
    cells: list[str], fields: dict[str, int]
) -> tuple[dict[str, str], list[CellProblem]]:
    """Clean the cells of a record of the right width by no rules; every bad one is named."""
    cleaned = plain_plan(fields).clean(cells)
    return cleaned.values, cleaned.problems


def row_of(*values: str) -> Row:
    """Join values to a row, ``escaped``."""
    row = "\t".join(values)
    if "\\" in row or "\n" in row or "\r" in row or row.count("\t") >= len(values):
        row = "\t".join(map(escaped, values))
    return row


def escaped(value: str) -> str:
    """A value as COPY reads it (PostgreSQL manual, COPY, "Text Format")."""
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )


def unescaped(value: str) -> str:
    """A value of a row, as COPY reads it."""
    return _escape.sub(lambda found: _ESCAPES.get(found[1], found[1]), value)


def encode_rows(rows: list[Row]) -> bytes:
    """Rows, which are escaped, as COPY takes them."""
    return ("\n".join(rows) + "\n").encode()


def showable(cells: list[str]) -> list[str]:
    """The cells as they can be stored and shown: no NUL, no half characters."""
    return [surrogates.sub("\ufffd", cell).replace("\0", "\u2400") for cell in cells]


def taken(
    line: int,
    cells: list[str],
    *,
    label: str = "",
    value: str = "",
    column: str = "",
    holder: str | None = None,
    passes_on: bool = False,
) -> Problem:
    """A record whose value of a unique field another product has, or one before it in the file.

    ``holder`` is that one's SKU, blank where none has it any more; ``passes_on``: the file gives it
    another value.
    """
    what = f"the {label} “{value[:60]}”" if label else "a value of a unique field"
    who = f"Another product, {holder}," if holder else "Another product"
    message = f"{who} has {what}, and no two may share one. Mend the one that is wrong."
    if passes_on:
        message = (
            f"{who} has {what} until this file gives it another one. Import this record again "
            "when that is done. Where products take theirs from each other, clear them before, "
            "by an import of their SKUs with blank cells."
        )
    elif holder == "":
        message = (
            f"Another product had {what} until this file gave it another one. Import this record "
            "again: nobody has it now."
        )
    return Problem(line, column, "value_taken", message, cells)


def unmatched(
    line: int, cells: list[str], *, label: str, value: str, column: str, why: str, skus: str
) -> Problem:
    """A record whose key no product has (``why``: none), or several, or whose SKU is taken."""
    what = f"the {label} “{value[:60]}”"
    message = {
        "none": f"No product has {what}. Mend it, or create the product first.",
        "several": f"Several products have {what}: {skus}. Nobody knows which one is meant.",
        "taken": f"No product has {what}, and a new one cannot be made: its SKU is another "
        f"product's, {skus}.",
    }[why]
    return Problem(
        line, column, "no_match" if why != "several" else "several_match", message, cells
    )


def nameless(line: int, cells: list[str], *, has_column: bool = False) -> Problem:
    """A product that is new, and has no name in the file: only the catalogue could tell."""
    why = "its name is blank" if has_column else "the file has no name column"
    message = f"The product is not in the catalogue, and {why}: a new product needs a name."
    return Problem(line, "", "name_required", message, cells)
