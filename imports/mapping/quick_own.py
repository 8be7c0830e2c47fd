"""The plain majority of cells of own fields, taken at one look.

What is accepted here is what the field's cleaner would make of it; all else is left to that.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from catalog.field_values import (
    LINK_MAX_LENGTH,
    MONEY_SCALE,
    TEXT_MAX_LENGTH,
    UNIQUE_MAX_BYTES,
    Definition,
)
from catalog.values import NAME_TRIMMED
from imports.mapping.cells.meaning import NO_TEXTS
from imports.mapping.model import ColumnRule

_BYTES_AT_MOST = 4  # of a character in UTF-8
_DIGITS = 10  # before the decimals: no kind of number takes fewer
_WHOLE = rf"(?:0|[1-9][0-9]{{0,{_DIGITS - 1}}})"
_HOST = r"https?://[A-Za-z0-9][A-Za-z0-9.-]{0,250}"
_gtin = re.compile("[0-9]{7,14}").fullmatch
_NO_GTIN = "0" * 14
_DIGIT_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))


# From cells of a column to ``"KEY": VALUE`` as JSON; None for each cell that needs a closer look.
Way = Callable[[Sequence[str]], list[str | None]]


def quick_way(rule: ColumnRule, definition: Definition) -> Way | None:
    """The quick way of a column, as far as its rule and its field's type have one."""
    if rule.values or rule.clean_html or rule.date or rule.constant is not None:
        return None
    kind, start = definition.type, f'"{definition.key}": '
    if kind == "text":
        return _as_they_stand(_text(definition), start)
    if kind == "integer":
        return _as_they_stand(re.compile(_WHOLE).fullmatch, start, quote="")
    if kind in ("decimal", "money"):
        scale = MONEY_SCALE if kind == "money" else definition.scale
        return _decimal_way(rule.decimal or ".", scale, start)
    if kind in ("link", "image"):
        path = rf"(?:/[!#-\[\]-~]{{0,{LINK_MAX_LENGTH - 300}}})?"
        return _as_they_stand(re.compile(_HOST + path).fullmatch, start)
    return partial(_gtins, start) if kind == "gtin" else None


def _as_they_stand(is_plain: Callable[[str], object], start: str, quote: str = '"') -> Way:
    """The JSON is the cell itself, if it is plain and no word for nothing."""
    start += quote
    return lambda cells: [
        f"{start}{cell}{quote}" if is_plain(cell) and cell not in NO_TEXTS else None
        for cell in cells
    ]


def _text(definition: Definition) -> Callable[[str], object]:
    """Matches texts without blanks around them, a guard before them, or what JSON escapes."""
    limit = UNIQUE_MAX_BYTES // _BYTES_AT_MOST if definition.unique else TEXT_MAX_LENGTH
    trimmed = re.escape(NAME_TRIMMED)
    return re.compile(
        rf"(?=[^{trimmed}'])[^\x00-\x1f\"\\\ud800-\udfff]{{1,{limit}}}(?<![{trimmed}])"
    ).fullmatch


def _decimal_way(mark: str, scale: int, start: str) -> Way:
    """With all their decimals they are kept as they stand, if a point is before these."""
    if not scale:
        return _as_they_stand(re.compile(_WHOLE).fullmatch, start)
    match = re.compile(rf"({_WHOLE})(?:{re.escape(mark)}([0-9]{{1,{scale}}}))?").fullmatch
    is_whole = re.compile(rf"{_WHOLE}{re.escape(mark)}[0-9]{{{scale}}}").fullmatch

    def value(cell: str) -> str | None:
        if found := match(cell):
            whole, decimals = found.groups("")
            return f'{start}"{whole}.{decimals.ljust(scale, "0")}"'
        return None

    if mark != ".":
        return lambda cells: [*map(value, cells)]
    return lambda cells: [f'{start}"{cell}"' if is_whole(cell) else value(cell) for cell in cells]


def _gtins(start: str, cells: Sequence[str]) -> list[str | None]:
    """By the last digit (GS1 General Specifications, 7.9): of each second digit three times.

    The digits of one place in all cells are one long number, a byte for each: the sums of all cells
    are made at once. None is above a byte: 9 * (7 * 3 + 7) = 252.
    """
    found = [cell.rjust(14, "0") if _gtin(cell) else _NO_GTIN for cell in cells]
    digits = "".join(found).encode().translate(_DIGIT_VALUES)
    places = [int.from_bytes(digits[place::14], "big") for place in range(14)]
    sums = 3 * sum(places[::2]) + sum(places[1::2])
    return [
        f'{start}"{gtin}"' if total and not total % 10 else None
        for gtin, total in zip(found, sums.to_bytes(len(cells), "big"), strict=True)
    ]
