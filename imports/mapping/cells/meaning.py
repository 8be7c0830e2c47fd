"""What one cell says for one field, without any rule; and what is wrong with it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from catalog.values import (
    FORMULA_STARTS,
    NULL_WORDS,
    clean_active,
    clean_description,
    clean_name,
    clean_price,
    clean_sku,
)
from imports.mapping.cells.words import ERROR_WORDS

surrogates = re.compile("[\ud800-\udfff]")

# Cells of SKU, name and description that say nothing of the product, and how long they can be,
# with a few blanks around them: a longer text needs no closer look.
NO_TEXTS = NULL_WORDS | ERROR_WORDS
NO_TEXT_MAX_LENGTH = max(map(len, NO_TEXTS)) + 4


class Refused(ValueError):
    """A cell that cannot be taken, with a ``code`` of its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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


def all_unguarded(cells: Iterable[str]) -> list[str]:
    """The same of many cells."""
    return [unguarded(cell) for cell in cells]


def guarded(cell: str) -> str:
    """A cell as read, for a file that a spreadsheet opens: with one apostrophe where it needs it.

    An import takes the same value from both; a cell that had its apostrophe gets no second one.
    """
    value = unguarded(cell)
    return "'" + value if _formula(value) and not _number(value) else value


def says_nothing(text: str) -> bool:
    """Whether a text is how a program writes that there is none: NULL, nan, ..."""
    return len(text) <= NO_TEXT_MAX_LENGTH and text.strip() in NULL_WORDS


def is_text(text: str) -> bool:
    """Whether a text is short, and neither that nor a spreadsheet's error."""
    return len(text) <= NO_TEXT_MAX_LENGTH and text.strip() not in NO_TEXTS


def check_no_error(text: str) -> None:
    """Raise ``Refused`` for what a spreadsheet shows in place of a value."""
    if "#" in text[:NO_TEXT_MAX_LENGTH] and text.strip() in ERROR_WORDS:
        raise Refused(
            "spreadsheet_error",
            f"“{text.strip()}” is what a spreadsheet shows for a formula that failed. Mend the "
            "formula there, or type the value.",
        )


def _flag(text: str) -> str:
    value = clean_active(text)
    return "" if value is None else "t" if value else "f"


def _named(clean: Callable[[str], str], what: str) -> Callable[[str], str]:
    """A cleaner that lets no product be called NULL."""

    def cleaned(text: str) -> str:
        if says_nothing(text):
            raise ValueError(
                f"“{text.strip()}” is how programs write that there is no value; it is no {what}. "
                f"Type the {what}."
            )
        return clean(unguarded(text))

    return cleaned


# From a cell to the value as COPY takes it, before escaping; blank ones are empty. Each raises
# ``ValueError`` with a sentence.
CLEANERS: dict[str, Callable[[str], str]] = {
    "sku": _named(clean_sku, "SKU"),
    "name": _named(clean_name, "name"),
    "description": lambda text: "" if says_nothing(text) else clean_description(unguarded(text)),
    "price": lambda text: clean_price(text) or "",
    "active": _flag,
}


def unreadable(cells: list[str]) -> list[CellProblem]:
    """The cells of a record that hold no text: a NUL byte, bytes of another encoding."""
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
    return problems


def problem_of(name: str, column: int, cell: str, error: ValueError) -> CellProblem:
    """What is wrong with a field's cell, from what its cleaner raised."""
    code = f"{'blank' if not cell.strip() else 'invalid'}_{name}"
    return CellProblem(column, error.code if isinstance(error, Refused) else code, str(error))
