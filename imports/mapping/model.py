"""What rules are: a closed list, as data, and as JSON (docs/csv.md, "Rules")."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from imports.mapping.cells.dates import Order

AUTO = "auto"

OWN_PREFIX = "fields."  # before the key of a field of one's own

# A column by its name, or by its number from 1.
Column = str | int

PROBLEMS_LIMIT = 50  # that are told of one set of rules


class RulesError(Exception):
    """Rules that cannot be followed; ``problems`` has a sentence for each that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Value:
    """A fixed value, as the catalogue stores it (a price with a point)."""

    value: str


# What a blank cell, or a cell that a table does not know, does to the stored value.
Blank = Literal["keep", "clear", "refuse"] | Value
Otherwise = Literal["keep", "refuse", "add"] | Value

# What becomes of a record whose key no product has.
NoMatch = Literal["refuse", "create"]
KeyWithin = Literal["catalogue", "supplier"]


@dataclass(frozen=True)
class Condition:
    """Only records whose cell is (``is_``), or is none of (``is_not``), these are taken."""

    column: Column
    is_: tuple[str, ...] | None = None
    is_not: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ColumnRule:
    """How one field gets its value: from columns that are joined, or from a constant.

    ``decimal`` and ``group`` are the signs in a price (``None``: plain digits; every well-formed
    group sign). ``round`` is a step (``0.01``) or an ending (``.99``). ``values`` turns a cell's
    words into the field's own; without ``otherwise`` others are read as if there was no table, and
    with ``add`` they become choices of an own field. ``date`` is the order of its numbers.
    ``within`` is the column that ends ``fill_down`` where it says something else.
    """

    field: str
    columns: tuple[Column, ...] = ()
    separator: str = " "
    constant: str | None = None
    decimal: Literal[".", ","] | None = None
    group: str | None = None
    currency: str | None = None
    factor: Decimal | None = None
    round: str | None = None
    date: Order | None = None
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)
    otherwise: Otherwise | None = None
    prefix: str = ""
    fill_down: bool = False
    within: Column | None = None
    clean_html: bool = False


@dataclass(frozen=True)
class Rules:
    """All rules of a file. ``columns`` may be empty: then names decide.

    ``key`` is the field that products are found by: the SKU, or an own one (``fields.gtin``).
    ``key_within`` says among which products: all, or those that the file's supplier brought in.
    ``no_match`` is for records whose key none of them has; for the SKU the import's mode decides.
    """

    encoding: str = AUTO
    delimiter: str = AUTO
    quote: str = AUTO
    header_line: int | str = AUTO
    sheet: Column = AUTO
    member: str = AUTO
    key: str = "sku"
    key_within: KeyWithin = "catalogue"
    no_match: NoMatch = "refuse"
    blank: Mapping[str, Blank] = dataclasses.field(default_factory=dict)
    only_if: tuple[Condition, ...] = ()
    columns: tuple[ColumnRule, ...] = ()


# What a blank cell does where no rule says otherwise (docs/csv.md, "Columns").
DEFAULT_BLANK: dict[str, Blank] = {
    "sku": "refuse",
    "name": "refuse",
    "description": "clear",
    "price": "clear",
    "active": "keep",
}


def blank_of(rules: Rules, name: str) -> Blank:
    """What a blank cell does to a field."""
    return rules.blank.get(name, DEFAULT_BLANK.get(name, "clear"))


def changes_blanks(rules: Rules) -> bool:
    """Whether a blank cell does to some field what it does not without a rule."""
    default = Rules()
    return any(blank != blank_of(default, name) for name, blank in rules.blank.items())


def own_key(rules: Rules) -> str:
    """The key of the own field that products are found by; blank where that is the SKU."""
    return rules.key.removeprefix(OWN_PREFIX) if rules.key.startswith(OWN_PREFIX) else ""


def may_keep(rules: Rules) -> bool:
    """Whether a record may leave a stored value as it is, though the file has its field.

    A blank ``active`` always may, and is not counted: its staged NULL says so already. Nor are own
    fields: what a record keeps of them, it does not have.
    """
    return any(
        "keep" in (blank_of(rules, rule.field), rule.otherwise)
        for rule in rules.columns
        if rule.field != "active" and not rule.field.startswith(OWN_PREFIX)
    )


def folded(word: str) -> str:
    """A word as a table finds it: without case and blanks around it."""
    return word.strip().casefold()


def reference(header: Sequence[str], place: int) -> Column:
    """How rules name a column (from 0): by its name, or by its number if that is not its own."""
    return references(header)[place]


def references(header: Sequence[str]) -> list[Column]:
    """The same of all columns."""
    words = [folded(name) for name in header]
    count = Counter(words)
    # In a file without a header the numbers are the names.
    return [
        name if word and count[word] == 1 and name != str(number) else number
        for number, (name, word) in enumerate(zip(header, words, strict=True), start=1)
    ]


def rules_as_json(rules: Rules) -> dict[str, Any]:
    """Rules as JSON; ``parse_rules`` gives the same ones back."""
    # What is not in use is left out, and known to any release.
    by_key = {"key": rules.key, "no_match": rules.no_match} if own_key(rules) else {}
    if rules.key_within != "catalogue":
        by_key["key_within"] = rules.key_within
    return {
        "encoding": rules.encoding,
        "delimiter": rules.delimiter,
        "quote": rules.quote,
        "header_line": rules.header_line,
        "sheet": rules.sheet,
        "member": rules.member,
        **by_key,
        "blank": {name: _outcome(blank) for name, blank in rules.blank.items()},
        "only_if": [_condition_as_json(condition) for condition in rules.only_if],
        "columns": [_rule_as_json(rule) for rule in rules.columns],
    }


def _outcome(blank: Blank | Otherwise) -> object:
    return {"value": blank.value} if isinstance(blank, Value) else blank


def _condition_as_json(condition: Condition) -> dict[str, Any]:
    key, words = ("is", condition.is_) if condition.is_ else ("is_not", condition.is_not)
    return {"column": condition.column, key: list(words or ())}


def _rule_as_json(rule: ColumnRule) -> dict[str, Any]:
    data: dict[str, Any] = {"field": rule.field}
    if rule.constant is not None:
        data["constant"] = rule.constant
    elif len(rule.columns) == 1:
        data["column"] = rule.columns[0]
    else:
        data["columns"] = list(rule.columns)
        data["separator"] = rule.separator
    for name in ("decimal", "group", "currency", "round", "date", "within"):
        if (value := getattr(rule, name)) is not None:
            data[name] = value
    if rule.factor is not None:
        data["factor"] = f"{rule.factor:f}"
    if rule.values:
        data["values"] = dict(rule.values)
    if rule.otherwise is not None:
        data["otherwise"] = _outcome(rule.otherwise)
    for name in ("prefix", "fill_down", "clean_html"):
        if value := getattr(rule, name):
            data[name] = value
    return data
