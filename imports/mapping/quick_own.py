"""The plain majority of cells of own fields, taken at one look.

What is accepted here is what the field's cleaner would make of it; all else is left to that.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

from catalog.field_values import (
    LINK_MAX_LENGTH,
    MONEY_SCALE,
    TEXT_MAX_LENGTH,
    UNIQUE_MAX_BYTES,
    Definition,
)
from catalog.values import NAME_TRIMMED
from imports.mapping.model import ColumnRule

_BYTES_AT_MOST = 4  # of a character in UTF-8
_DIGITS = 10  # before the decimals: no kind of number takes fewer
_WHOLE = rf"(?:0|[1-9][0-9]{{0,{_DIGITS - 1}}})"
_HOST = r"https?://[A-Za-z0-9][A-Za-z0-9.-]{0,250}"
_gtin = re.compile("[0-9]{7,14}").fullmatch
_three_times, _once = itemgetter(*range(0, 14, 2)), itemgetter(*range(1, 14, 2))


def _nothing(cell: str) -> None:
    return None


@dataclass(frozen=True)
class QuickWay:
    """What most cells of a column are.

    Of what ``is_plain``, and no word for nothing (``NO_TEXTS``), the JSON is the cell itself,
    between ``quote``; else ``value`` gives the JSON, or ``None`` for a cell that needs a closer
    look.
    """

    is_plain: Callable[[str], object] = _nothing
    quote: str = '"'
    value: Callable[[str], str | None] = _nothing


NO_WAY = QuickWay()


def quick_way(rule: ColumnRule, definition: Definition) -> QuickWay:
    """The quick way of a column, as far as its rule and its field's type have one."""
    if rule.values or rule.clean_html or rule.date or rule.constant is not None:
        return NO_WAY
    kind = definition.type
    if kind == "text":
        return QuickWay(_text(definition))
    if kind == "integer":
        return QuickWay(re.compile(_WHOLE).fullmatch, quote="")
    if kind in ("decimal", "money"):
        return _decimal_way(rule, MONEY_SCALE if kind == "money" else definition.scale)
    if kind in ("link", "image"):
        path = rf"(?:/[!#-\[\]-~]{{0,{LINK_MAX_LENGTH - 300}}})?"
        return QuickWay(re.compile(_HOST + path).fullmatch)
    if kind == "gtin":
        return QuickWay(value=_gtin_value)
    return NO_WAY


def _text(definition: Definition) -> Callable[[str], object]:
    """Matches texts without blanks around them, a guard before them, or what JSON escapes."""
    limit = UNIQUE_MAX_BYTES // _BYTES_AT_MOST if definition.unique else TEXT_MAX_LENGTH
    trimmed = re.escape(NAME_TRIMMED)
    return re.compile(
        rf"(?=[^{trimmed}'])[^\x00-\x1f\"\\\ud800-\udfff]{{1,{limit}}}(?<![{trimmed}])"
    ).fullmatch


def _decimal_way(rule: ColumnRule, scale: int) -> QuickWay:
    """With all their decimals they are kept as they stand, if a point is before these."""
    mark = rule.decimal or "."
    if not scale:
        return QuickWay(re.compile(_WHOLE).fullmatch)
    match = re.compile(rf"({_WHOLE})(?:{re.escape(mark)}([0-9]{{1,{scale}}}))?").fullmatch

    def value(cell: str) -> str | None:
        if found := match(cell):
            whole, decimals = found.groups("")
            return f'"{whole}.{decimals.ljust(scale, "0")}"'
        return None

    whole = re.compile(rf"{_WHOLE}\.[0-9]{{{scale}}}").fullmatch
    return QuickWay(whole if mark == "." else _nothing, value=value)


def _gtin_value(cell: str) -> str | None:
    """By its last digit (GS1 General Specifications, 7.9): of each second digit three times."""
    if not _gtin(cell):
        return None
    digits = cell.rjust(14, "0")
    codes = digits.encode()
    total = 3 * sum(_three_times(codes)) + sum(_once(codes)) - 28 * ord("0")
    if total % 10 or not digits.strip("0"):
        return None
    return f'"{digits}"'
