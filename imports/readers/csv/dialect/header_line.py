"""Which record names the columns: found by shape, whatever the language.

Below a header stand records of one kind: numbers in one column, codes in another. The header is
the last record above the first such one that has a short text for most columns; titles, addresses
and blank lines stand above it. Where no column is of a kind, known names and the fullest record
tell.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from imports.mapping.cells.meaning import all_unguarded
from imports.mapping.matching.table import meaning
from imports.readers.csv.header import COLUMN_LIMIT, fields_named

_SEARCHED = 60  # records, from the first that is not blank on, and two of the table at least
_PART_LENGTH = 30  # characters of a unit, or of a part of a name
_NAME_LENGTH = 120  # characters that a column's name has at most where it must be told from text

# A number with signs of grouping and decimals, a percentage, a currency; a date or a time.
_number = re.compile(
    r"[^\w\s]{0,2}\s?[+-]?\d[\d.,'\u00a0\u202f ]*(?:[eE][+-]?\d+)?\s?(?:%|[^\w\s]|[A-Z]{3})?|"
    r"[A-Z]{3}\s?\d[\d.,]*|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T]\d.*)?"
).fullmatch
_code = re.compile(r"\S*\d\S*").fullmatch
_FLAGS = {"true", "false", "yes", "no", "ja", "nein", "oui", "non", "si", "sí", "wahr", "falsch"}


@dataclass(frozen=True)
class Record:
    """One record of a sample: its first line (from 0), the line after it, its cells."""

    line: int
    end: int
    cells: list[str]

    @property
    def filled(self) -> int:
        return sum(bool(cell.strip()) for cell in self.cells)


@dataclass(frozen=True)
class Found:
    """The place of the header among the records, or ``None``, and of the first one below it.

    ``records`` is how many the header is (one, or two), ``names`` the columns' names in it, and
    ``fields`` the product fields that they are, where they are known.
    """

    header: int | None
    first: int
    fields: Collection[str] = ()
    records: int = 1
    names: Sequence[str] = ()


def header_of(records: Sequence[Record], header_line: int | str) -> Found:
    """The header of a file's first records, none of them blank.

    The first one is it where ``header_line`` says so, none where that is 0.
    """
    found = Found(None, 0)
    if header_line == "auto" and records:
        found = _find_header(records)
    elif header_line and records:
        found = Found(0, 1, _known_fields(records[:1])[0])
    if found.header is None:
        return found
    count = _count_of_header(records, found.header)
    names = records[found.header].cells
    if count > 1:
        names = _joined(names, records[found.header + 1].cells)
    return replace(found, records=count, names=all_unguarded([name.strip() for name in names]))


def _find_header(records: Sequence[Record]) -> Found:
    """Find the header among the records (one at least)."""
    if "sku" in (named := _known_fields(records[:1])[0]):
        return Found(0, 1, named)
    full = _fullness(records)
    table = [n for n, record in enumerate(records) if record.filled * 2 >= full]
    table = [n for n in table if n < max(_SEARCHED, table[0] + 2)]
    known = dict(zip(table, _known_fields([records[n] for n in table]), strict=True))
    place = max(table, key=lambda n: (len(known[n]), -n))
    if len(known[place]) >= 2 or (known[place] and len(table) == 1):
        return Found(place, place + 1, known[place])
    kinds = _kinds([records[n] for n in table[len(table) // 2 :]])
    first = next((n for n in table if _has_kinds(records[n], kinds)), None)
    if first is None:  # nothing but text: a header is what files begin with
        return Found(table[0], table[0] + 1, known[table[0]])
    above = [n for n in reversed(table) if n < first and _may_be_header(records[n], full)]
    if not above:
        return Found(None, first)
    # A record that is unlike the others (a price “on request”) may stand between.
    place = next((n for n in above if _names_sku(records[n])), above[0])
    return Found(place, place + 1, known[place])


def _count_of_header(records: Sequence[Record], header: int) -> int:
    """How many records the header is: two where one of parts or units stands below it.

    That one has two short texts at least, all above numbers, and none where the header names the
    SKU, nor in the first column: ``net`` and ``gross`` below one ``Price``, or ``EUR`` and ``kg``.
    """
    if header + 1 >= len(records):
        return 1
    names, parts = records[header].cells, records[header + 1].cells
    places = [n for n, cell in enumerate(parts[:COLUMN_LIMIT]) if cell.strip()]
    below = records[header + 2 : header + 2 + _SEARCHED]
    if len(places) < 2 or places[0] == 0 or not below or not any(map(str.strip, names[:1])):
        return 1
    for place in places:
        name = names[place] if place < len(names) else ""
        cells = [r.cells[place] for r in below if place < len(r.cells) and r.cells[place].strip()]
        numbers = sum(_kind(cell) == "number" for cell in cells)
        if _kind(parts[place]) != "text" or meaning(name) == "sku" or 2 * numbers <= len(cells):
            return 1
        if len(parts[place]) > _PART_LENGTH:
            return 1
    return 2


def _joined(names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """The names of two lines: a blank cell of the first is the group that begins before it."""
    found, group = [], ""
    for place in range(max(len(names), len(parts))):
        name = names[place].strip() if place < len(names) else ""
        part = parts[place].strip() if place < len(parts) else ""
        group = name or group
        found.append(f"{group} {part}" if part else name)
    return found


def _known_fields(records: Sequence[Record]) -> list[set[str]]:
    """The product fields that records name as a header would."""
    cells = [record.cells[:COLUMN_LIMIT] for record in records]
    return fields_named([[cell for cell in row if len(cell) <= _NAME_LENGTH] for row in cells])


def _names_sku(record: Record) -> bool:
    """Whether a record names an SKU and another field, by what people call them anywhere."""
    named = {meaning(cell) for cell in record.cells[:COLUMN_LIMIT] if len(cell) <= _NAME_LENGTH}
    return "sku" in named and len(named - {""}) > 1


def _fullness(records: Sequence[Record]) -> int:
    """How many cells are filled in a record of the table: one that is alone with it is none."""
    filled = sorted((record.filled for record in records), reverse=True)
    return filled[min(1, len(filled) - 1)]


def _may_be_header(record: Record, full: int) -> bool:
    names = [cell.strip() for cell in record.cells if cell.strip()]
    return (
        len(names) >= min(2, full)
        and max(map(len, names)) <= _NAME_LENGTH
        and len({name.casefold() for name in names}) * 2 > len(names)
        and sum(bool(_kind(name) == "number") for name in names) * 2 < len(names)
    )


def _kind(cell: str) -> str:
    """``number`` (also a date, a flag), ``code`` (one word with digits) or ``text``."""
    text = cell.strip()
    if len(text) > _NAME_LENGTH:
        return "text"
    if _number(text) or text.casefold() in _FLAGS:
        return "number"
    return "code" if _code(text) else "text"


def _kinds(records: Sequence[Record]) -> dict[int, tuple[str, ...]]:
    """The columns in which half of the filled cells at least are no mere text, and their kinds."""
    seen: dict[int, list[str]] = {}
    for record in records:
        for column, cell in enumerate(record.cells[:COLUMN_LIMIT]):
            if cell.strip():
                seen.setdefault(column, []).append(_kind(cell))
    found: dict[int, tuple[str, ...]] = {}
    for column, kinds in seen.items():
        if kinds.count("number") * 2 >= len(kinds):
            found[column] = ("number",)
        elif kinds.count("text") * 2 <= len(kinds):
            found[column] = ("number", "code")
    return found


def _has_kinds(record: Record, kinds: dict[int, tuple[str, ...]]) -> bool:
    """Whether most of a record's cells in these columns are of their kind."""
    cells = [(record.cells[c], kinds[c]) for c in kinds if c < len(record.cells)]
    fits = [_kind(cell) in kind for cell, kind in cells if cell.strip()]
    return bool(fits) and sum(fits) * 2 > len(fits)
