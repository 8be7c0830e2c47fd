"""The plain majority of records, taken at once: each cell is accepted as it is, or by one look.

What is accepted here is what the plan's own way would make of it; all else is left to that.
"""

import re
from collections.abc import Callable

from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    FIELDS,
    NAME_MAX_LENGTH,
    NAME_TRIMMED,
    SKU_MAX_LENGTH,
)
from imports.mapping.cells.meaning import NO_TEXT_MAX_LENGTH, NO_TEXTS, is_text
from imports.mapping.prices import quick_price
from imports.mapping.rules import ColumnRule, Resolved, Rules, Value, blank_of

# The values of a record in the order of FIELDS, as COPY takes them before escaping.
Five = tuple[str, str, str, str, str]
Quick = Callable[[list[str]], Five | None]
Taker = Callable[[list[str]], str]
_QuickTaker = Callable[[list[str]], str | None]

_REMEMBERED = 1_000  # words of a flag

_escaped = re.compile(r"[\\\t\n\r]").search


def plain_sku(limit: int = SKU_MAX_LENGTH) -> Callable[[str], object]:
    """A matcher of SKUs that are clean, but for ``NO_TEXTS``: printable ASCII without a guard."""
    return re.compile(rf"[!-&(-<>-~][!-~]{{0,{limit - 1}}}").fullmatch


def may_need_escapes(rules: Rules) -> bool:
    """Whether rules give a text that the file's own cells do not hold."""
    fixed = [rule.prefix for rule in rules.columns]
    fixed += [blank.value for blank in rules.blank.values() if isinstance(blank, Value)]
    for rule in rules.columns:
        if rule.field in ("sku", "name", "description") and not _is_one_bare_column(rule):
            return True
    return any(_escaped(text) for text in fixed)


def quick_of(rules: Rules, found: Resolved, takers: dict[str, Taker]) -> Quick:
    """Join the quick ways of all fields. ``takers`` are the fields' own, for what has none."""
    by_field = {rule.field: rule for rule in rules.columns}

    def way_of(name: str) -> _QuickTaker:
        if name not in by_field:
            return lambda cells: ""
        return _way_of(rules, by_field[name], found.fields[name], takers[name])

    sku_of, name_of, description_of, price_of, flag_of = map(way_of, FIELDS)

    def quick(cells: list[str]) -> Five | None:
        if (
            (sku := sku_of(cells)) is None
            or (price := price_of(cells)) is None
            or (flag := flag_of(cells)) is None
            or (name := name_of(cells)) is None
            or (description := description_of(cells)) is None
        ):
            return None
        return sku, name, description, price, flag

    return quick


def _is_one_bare_column(rule: ColumnRule) -> bool:
    """Whether a field is one column's cells, by no rule but those of a price, or a prefix."""
    return len(rule.columns) == 1 and not (rule.values or rule.clean_html or rule.fill_down)


def _way_of(rules: Rules, rule: ColumnRule, columns: tuple[int, ...], take: Taker) -> _QuickTaker:
    if rule.constant is not None:
        constant = take([])
        return lambda cells: constant
    blank_is_blank = blank_of(rules, rule.field) in ("clear", "keep")
    if rule.field == "active" and len(columns) == 1:
        return _flag_way(columns[0], take)
    if not _is_one_bare_column(rule):
        return _tried(take)
    column = columns[0]
    if rule.field == "sku":
        return _sku_way(column, rule.prefix)
    if rule.field == "name":
        return _name_way(column)
    if rule.field == "description":
        return _description_way(column, blank_is_blank)
    return _price_way(column, rule, blank_is_blank)


def _tried(take: Taker) -> _QuickTaker:
    def way(cells: list[str]) -> str | None:
        try:
            return take(cells) or None  # what a blank means is not for here
        except ValueError:
            return None

    return way


def _sku_way(column: int, prefix: str) -> _QuickTaker:
    match = plain_sku(SKU_MAX_LENGTH - len(prefix))
    if not prefix:
        return lambda cells: sku if match(sku := cells[column]) and sku not in NO_TEXTS else None
    if not (prefix.isascii() and prefix[0] not in " ='"):
        return lambda cells: None

    def way(cells: list[str]) -> str | None:
        sku = cells[column]
        return prefix + sku if match(sku) and sku not in NO_TEXTS else None

    return way


def _name_way(column: int) -> _QuickTaker:
    def way(cells: list[str]) -> str | None:
        name = cells[column]
        if (
            0 < len(name) <= NAME_MAX_LENGTH
            and name.strip() == name
            and (name.isascii() or name.strip(NAME_TRIMMED) == name)
            and (len(name) > NO_TEXT_MAX_LENGTH or name not in NO_TEXTS)
        ):
            return name
        return None

    return way


def _description_way(column: int, blank_is_blank: bool) -> _QuickTaker:
    def way(cells: list[str]) -> str | None:
        text = cells[column]
        if not text:
            return "" if blank_is_blank else None
        if (
            NO_TEXT_MAX_LENGTH < len(text) <= DESCRIPTION_MAX_LENGTH or is_text(text)
        ) and not text.isspace():
            return text
        return None

    return way


def _price_way(column: int, rule: ColumnRule, blank_is_blank: bool) -> _QuickTaker:
    take = quick_price(rule)

    def way(cells: list[str]) -> str | None:
        price = cells[column]
        if price:
            return take(price)
        return "" if blank_is_blank else None

    return way


def _flag_way(column: int, take: Taker) -> _QuickTaker:
    known: dict[str, str] = {}

    def way(cells: list[str]) -> str | None:
        cell = cells[column]
        flag = known.get(cell)
        if flag is None:
            try:
                flag = take(cells)
            except ValueError:
                return None
            if len(known) < _REMEMBERED and len(cell) <= NO_TEXT_MAX_LENGTH:
                known[cell] = flag
        return flag

    return way
