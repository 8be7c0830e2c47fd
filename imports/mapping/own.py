"""From a record's cells to the values of own fields: one JSON object, as staging keeps it.

A key that is absent keeps what is stored, null takes it away (``catalog.field_values`` has the
forms of the values).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from catalog import field_values
from catalog.field_values import Definition
from catalog.values import formula_text
from imports.mapping.cells.amounts import is_currency, plain_number, split_amount
from imports.mapping.cells.dates import read_date
from imports.mapping.cells.html_text import text_of
from imports.mapping.cells.meaning import (
    CellProblem,
    Refused,
    check_no_error,
    says_nothing,
    unguarded,
)
from imports.mapping.model import (
    OWN_PREFIX,
    Blank,
    ColumnRule,
    Rules,
    RulesError,
    Value,
    blank_of,
    folded,
    own_key,
)
from imports.mapping.quick_own import Way, quick_way

NUMBERS = ("integer", "decimal", "money")
LISTS = ("choice", "choices")
KEYS = ("text", "integer", "link", "image", "gtin", "choice", "decimal", "money", "date")
_digit = re.compile("[0-9]").search
_zeros = partial(re.compile(r"\.0+$").sub, "")
_REMEMBERED = 5_000  # values of a column: those of most come again and again
_LONGEST = 200  # characters of a cell that is remembered


class _Kept(Exception):
    """The stored value stays."""


@dataclass
class Taker:
    """How one own field is read: ``take`` gives the JSON of its value from a record's cells.

    ``column`` is -1 where no single one has it. ``quick`` takes most of its cells at one look.
    """

    key: str
    column: int
    take: Callable[[list[str]], str]
    quick: Way | None = None
    has_kept: bool = False  # the stored value of a record stays
    _known: dict[str, str] = field(default_factory=dict)

    def parts(self, columns: Sequence[Sequence[str]], others: set[int]) -> list[str]:
        """The key with its value for each record, blank where the stored one stays.

        Adds the places of records that have to be looked at to ``others``.
        """
        if self.column < 0:
            found = [self._part([*cells]) for cells in zip(*columns, strict=True)]
        else:
            found = self._parts_of(columns)
        if None not in found:
            return cast(list[str], found)
        others.update(place for place, part in enumerate(found) if part is None)
        return [part or "" for part in found]

    def _parts_of(self, columns: Sequence[Sequence[str]]) -> list[str | None]:
        cells, known = columns[self.column], self._known
        # Where a column has ever more values, few of them are known.
        is_varied = self.quick is not None and len(known) >= _REMEMBERED
        found = self._quick(cells) if is_varied else [*map(known.get, cells)]
        if None not in found:
            return found
        places = [place for place, part in enumerate(found) if part is None]
        left = [cells[place] for place in places]
        more = [*map(known.get, left)] if is_varied else self._quick(left)
        for place, cell, part in zip(places, left, more, strict=True):
            part = self._part([column[place] for column in columns]) if part is None else part
            found[place] = part
            if part is not None and len(known) < _REMEMBERED and len(cell) < _LONGEST:
                known[cell] = part
        return found

    def _quick(self, cells: Sequence[str]) -> list[str | None]:
        return self.quick(cells) if self.quick is not None else [None] * len(cells)

    def part(self, cells: list[str]) -> str:
        """The same for one record. Raises ``_Kept``, ``ValueError``."""
        if self.quick is not None and (found := self.quick([cells[self.column]])[0]) is not None:
            return found
        return f'"{self.key}": {self.take(cells)}'

    def _part(self, cells: list[str]) -> str | None:
        try:
            return self.part(cells)
        except _Kept:
            self.has_kept = True
            return ""
        except ValueError:
            return None


@dataclass
class OwnPlan:
    """How the own fields of a file are read.

    ``may_be_refused``: the catalogue may refuse a record for one of them, or find no product by it.
    """

    takers: list[Taker]
    may_be_refused: bool = False

    def quick(self, columns: Sequence[Sequence[str]]) -> tuple[list[str], set[int]]:
        """The values of records, whose cells are given by column.

        And the places of the records that ``clean`` has to look at.
        """
        others: set[int] = set()
        parts = zip(*(taker.parts(columns, others) for taker in self.takers), strict=True)
        if any(taker.has_kept for taker in self.takers):
            return [f"{{{', '.join(filter(None, values))}}}" for values in parts], others
        return [f"{{{', '.join(values)}}}" for values in parts], others

    def clean(self, cells: list[str]) -> tuple[str, list[CellProblem]]:
        """The values of a record, and every cell that is wrong."""
        parts: list[str] = []
        problems = []
        for taker in self.takers:
            try:
                parts.append(taker.part(cells))
            except _Kept:
                continue
            except ValueError as error:
                code = error.code if isinstance(error, Refused) else "invalid_field"
                problems.append(CellProblem(max(taker.column, 0), code, str(error)))
        return "{" + ", ".join(parts) + "}", problems


def own_plan(
    rules: Rules,
    columns: Mapping[str, tuple[int, ...]],
    definitions: Mapping[str, Definition],
) -> OwnPlan | None:
    """The plan of the own fields among rules; ``columns`` are theirs, from 0, by field.

    Raises ``RulesError`` for fields that there are not. Each taker reads one column, or what is
    remembered would not be the cell's alone: joined ones go by their first and are not quick.
    """
    takers, problems = [], _misfits_of_key(rules, definitions)
    for number, rule in enumerate(rules.columns):
        if not rule.field.startswith(OWN_PREFIX):
            continue
        definition = definitions.get(rule.field.removeprefix(OWN_PREFIX))
        if definition is None:
            there = ", ".join(OWN_PREFIX + key for key in definitions) or "none yet"
            problems.append(
                f"columns[{number}].field: There is no field “{rule.field}”. There are: {there}."
            )
            continue
        problems += _misfits(f"columns[{number}]", rule, blank_of(rules, rule.field), definition)
        if not problems:
            places = columns[rule.field]
            column = places[0] if len(places) == 1 else -1
            quick = quick_way(rule, definition) if column >= 0 else None
            take = _taker(rules, rule, places, definition)
            takers.append(Taker(definition.key, column, take, quick))
    if problems:
        raise RulesError(problems)
    if not takers:
        return None
    unique = any(definitions[taker.key].unique for taker in takers)
    return OwnPlan(takers, may_be_refused=unique or bool(own_key(rules)))


def fitting(rules: Rules, definitions: Mapping[str, Definition]) -> tuple[Rules, list[str]]:
    """Rules that were kept, without what own fields as they are today cannot have.

    A field may be retired, deleted or of another type since. What is left out is told in a
    sentence each; the key stays, as nobody knows what to find products by instead.
    """
    columns, told = [], []
    for rule in rules.columns:
        definition = definitions.get(rule.field.removeprefix(OWN_PREFIX))
        if not rule.field.startswith(OWN_PREFIX):
            columns.append(rule)
        elif definition is None:
            told.append(f"The field “{rule.field}” is retired or deleted: it is not read any more.")
        elif _misfits("", rule, blank_of(rules, rule.field), definition):
            told.append(
                f"{definition.label} has changed since: how its column is read is found anew."
            )
            columns += [ColumnRule(rule.field, columns=rule.columns)] if rule.columns else []
        else:
            columns.append(rule)
    return (replace(rules, columns=tuple(columns)), told) if told else (rules, [])


def _misfits_of_key(rules: Rules, definitions: Mapping[str, Definition]) -> list[str]:
    """What keeps products from being found by the field that the rules name."""
    key = own_key(rules)
    if not key:
        return []
    definition = definitions.get(key)
    if definition is None:
        return [f"key: There is no field “{rules.key}”."]
    if definition.type not in KEYS:
        return [f"key: Products cannot be found by {definition.label}: too many may share a value."]
    rule = next((rule for rule in rules.columns if rule.field == rules.key), None)
    if rule is None:
        return [f"key: No column is {definition.label}, which products are to be found by."]
    if rule.constant is not None:
        return [f"key: {definition.label} is the same in all records: it tells none apart."]
    return []


def _misfits(place: str, rule: ColumnRule, blank: Blank, definition: Definition) -> list[str]:
    """What of a rule its field cannot have."""
    found = []
    if definition.type not in NUMBERS:
        found = [name for name in ("decimal", "group", "currency") if getattr(rule, name)]
    if rule.clean_html and definition.type not in ("text", "long_text"):
        found.append("clean_html")
    if rule.date and definition.type != "date":
        found.append("date")
    if rule.otherwise == "add" and definition.type not in LISTS:
        found.append("otherwise")
    wrong = [f"{place}.{name}: {definition.label} cannot have this rule." for name in found]
    fixed = [rule.constant] if rule.constant is not None else []
    fixed += [given.value for given in (blank, rule.otherwise) if isinstance(given, Value)]
    clean = _cleaner(rule, definition)
    for text in [*fixed, *rule.values.values()]:
        try:
            clean(text)
        except ValueError as error:
            wrong.append(f"{place}: {error}")
    return wrong


def _cleaner(rule: ColumnRule, definition: Definition) -> Callable[[str], Any]:
    """From a text to the value to keep, by the rules that are about the field's type."""
    if rule.date is not None:
        order = rule.date
        return lambda text: field_values.clean(definition, text and read_date(text, order))
    if rule.otherwise == "add":
        return _Adding(definition)
    return lambda text: field_values.clean(definition, text)


class _Adding:
    """Reads the words of a list, and takes those that are not in it: the first spelling counts."""

    def __init__(self, definition: Definition) -> None:
        self.first = self.definition = definition

    def __call__(self, text: str) -> Any:
        is_one = self.definition.type == "choice"
        # As the list was: or it would tell what came before.
        words = [text] if is_one else field_values.words_of(self.first, text)
        known = {choice.casefold() for choice in self.definition.choices}
        new: dict[str, str] = {}
        for word in filter(None, map(str.strip, words)):
            if word.casefold() not in known:
                new.setdefault(word.casefold(), word)
        if new:
            # What a list may hold is checked as where somebody defines one.
            choices = (*self.definition.choices, *new.values())
            field_values.check_choices(choices, self.definition.type)
            self.definition = replace(self.definition, choices=choices)
        return field_values.clean(self.definition, text)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _taker(
    rules: Rules, rule: ColumnRule, columns: tuple[int, ...], definition: Definition
) -> Callable[[list[str]], str]:
    """From a record's cells to the JSON of a value: the order is that of the five's rules."""
    clean = _cleaner(rule, definition)
    if rule.constant is not None:
        constant = _json(clean(rule.constant))
        return lambda cells: constant
    known = {folded(word): value.strip() for word, value in rule.values.items()}
    blank = blank_of(rules, rule.field)
    if (definition.required and blank == "clear") or rule.field == rules.key:
        blank = "refuse"
    is_number = definition.type in NUMBERS
    choices = {choice.casefold() for choice in definition.choices}

    def read(cells: list[str]) -> str:
        if len(columns) == 1:
            text = formula_text(cells[columns[0]])
        else:
            for column in columns:
                check_no_error(cells[column])
            parts = [unguarded(formula_text(cells[column])).strip() for column in columns]
            text = rule.separator.join(part for part in parts if part and not says_nothing(part))
        return text_of(text) if rule.clean_html else text

    def decided(outcome: Any) -> str:
        if isinstance(outcome, Value):
            return _json(clean(outcome.value))
        if outcome == "keep":
            raise _Kept
        if outcome == "refuse":
            label = definition.label
            raise Refused("blank_field", f"The cell is blank. Fill in the {label}.")
        return "null"

    def take(cells: list[str]) -> str:
        text = read(cells)
        check_no_error(text)
        word = folded(text)
        if known.get(word):
            return _json(clean(known[word]))
        if word in known:
            return decided(blank)
        is_word = not (is_number and _digit(text))  # a number is none that a table may not know
        if word and known and is_word and rule.otherwise not in (None, "add"):
            if rule.otherwise == "refuse":
                raise Refused(
                    "invalid_field",
                    f"“{text.strip()[:40]}” is not in the table of values for {definition.label}. "
                    "Add it there, or mend the cell.",
                )
            return decided(rule.otherwise)
        if not word or (says_nothing(text) and text.strip().casefold() not in choices):
            return decided(blank)
        if is_number:
            text = _plain(rule, text)
            if definition.type == "integer" and rule.decimal is not None:
                text = _zeros(text)  # which mark they stand behind, the rule says
        else:
            text = unguarded(text)
        return _json(clean(text))

    return take


def _plain(rule: ColumnRule, text: str) -> str:
    """A number in plain digits, by the marks that its column has; a currency beside it goes."""
    sign = "-" if text.strip()[:1] in "-\u2212\u2013" else ""
    amount = split_amount(text.strip().lstrip("+-\u2212\u2013"))
    if amount is None or (amount.currency and not (rule.currency or is_currency(amount.currency))):
        return text
    if rule.decimal is None:
        return sign + amount.number if amount.currency else text
    number = plain_number(amount.number, rule.decimal, rule.group)
    if number is None:
        mark = "a comma" if rule.decimal == "," else "a point"
        raise Refused(
            "invalid_field",
            f"“{text.strip()[:40]}” is no number with {mark} as its decimal mark. Write it like "
            f"{'1299,5' if rule.decimal == ',' else '1299.5'}.",
        )
    return sign + number
