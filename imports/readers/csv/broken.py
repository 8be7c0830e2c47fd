"""Records that cannot be read, or not as they stand: why, and how to mend them."""

from imports.mapping.values import Plan
from imports.readers.csv.cells import CellProblem, Problem, showable
from imports.readers.csv.header import ERROR_COLUMN, Layout
from imports.readers.csv.recovery import split_literally

TOO_FEW_FIELDS = "too_few_fields"


def wrong_width(line: int, cells: list[str], width: int) -> Problem:
    """A record with fewer or more cells than the header has."""
    few = len(cells) < width
    mend = (
        "Add the missing ones." if few else "Put quotes around a field that contains the delimiter."
    )
    return Problem(
        line,
        "",
        TOO_FEW_FIELDS if few else "too_many_fields",
        f"The record has {len(cells)} fields, the header has {width}. {mend}",
        showable(cells),
    )


def still_too_short(cells: list[str], layout: Layout, plan: Plan) -> CellProblem | None:
    """In a file of rejects: a record that was refused as too short and is not mended.

    ``rejects.csv`` fills such a record up with blank cells so that its own columns stand
    where they belong. Taken as they are, those blanks would wipe the stored values.
    """
    column = layout.error_column
    if column is None or not cells[column].startswith(TOO_FEW_FIELDS):
        return None
    last = max(plan.columns)
    if cells[last].strip():
        return None
    return CellProblem(
        last,
        TOO_FEW_FIELDS,
        "The record still lacks the fields that it was refused for. Fill them in; if they "
        f"are meant to be blank, clear its {ERROR_COLUMN} cell.",
    )


def overlong(line: int, text: str, size: int, delimiter: str) -> Problem:
    """A record of so many bytes, of which ``text`` is the beginning."""
    return Problem(
        line,
        "",
        "record_too_large",
        f"The record is {size / 1e6:,.1f} MB long; at most 1 MB (1,048,576 bytes) is "
        "allowed. Only its beginning is kept here.",
        showable(split_literally(text, delimiter)),
    )


def unclosed(line: int, text: str, delimiter: str, *, is_too_large: bool, after: int) -> Problem:
    """A record whose quote is never closed, or not within the size of one.

    ``text`` is what is kept of it; reading goes on at the line ``after``.
    """
    why = (
        "The record that starts here is longer than 1 MB (1,048,576 bytes); perhaps "
        "a quote is never closed. "
        if is_too_large
        else "A quote that opens in this record is never closed. Close it, or write "
        "a quote that belongs to the text twice and put the field in quotes. "
    )
    return Problem(
        line,
        "",
        "record_too_large" if is_too_large else "unclosed_quote",
        f"{why}Reading went on at line {after:,}.",
        showable(split_literally(text, delimiter)),
    )


def text_after_quote(line: int, text: str, delimiter: str) -> Problem:
    return Problem(
        line,
        "",
        "text_after_quote",
        "There is text, or a blank, after a closing quote. Put the whole field in "
        "quotes, and write a quote inside it twice.",
        showable(split_literally(text, delimiter)),
    )


def hidden_records(first: int, last: int) -> str:
    """The warning of a well-formed record over several lines that may be several records."""
    return (
        f"Lines {first:,} to {last:,} were read as one record with a "
        "quoted field over several lines, but each of them looks like a record of its "
        "own. If a closing quote is missing, mend it and import the file again."
    )
