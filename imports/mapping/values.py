"""From rules to values: a plan, compiled once, that turns a record's cells into a product's."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from catalog.field_values import Definition
from catalog.values import FIELDS
from imports.mapping.cells.html_text import text_of
from imports.mapping.cells.meaning import (
    CLEANERS,
    CellProblem,
    Refused,
    check_no_error,
    problem_of,
    says_nothing,
    unguarded,
    unreadable,
)
from imports.mapping.model import OWN_PREFIX
from imports.mapping.own import OwnPlan, own_plan
from imports.mapping.prices import price_reader
from imports.mapping.quick import Quick, may_need_escapes, quick_of
from imports.mapping.rules import (
    Blank,
    ColumnRule,
    Condition,
    Otherwise,
    Resolved,
    Rules,
    RulesError,
    Value,
    blank_of,
    changes_blanks,
    folded,
    may_keep,
    own_key,
    resolve_columns,
)

# A field's bit in what a record keeps; the same numbers as ``catalog.models.Change.Field``.
NO_SKU = " "  # staged of a record that is found by another key: no SKU is a blank
FIELD_BITS = {name: 1 << number for number, name in enumerate(FIELDS)}


_digit = re.compile("[0-9]").search


class _Kept(Exception):
    """The stored value stays."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a record came to: values by field, as COPY takes them before escaping, or problems.

    ``kept`` is the sum of ``FIELD_BITS`` of the fields whose stored value stays; ``nothings``
    counts descriptions that said NULL or the like. ``left_out``: the filter does not want it.
    ``own`` is the JSON object of the own fields' values, blank where the file has none. ``cells``
    are the record's, filled down: what it says without the records above.
    """

    values: dict[str, str]
    problems: list[CellProblem] = field(default_factory=list)
    kept: int = 0
    nothings: int = 0
    left_out: bool = False
    own: str = ""
    cells: list[str] = field(default_factory=list)


_LEFT_OUT = Cleaned({}, left_out=True)


@dataclass
class Plan:
    """How records are read: immutable, but for what stands ``above`` (see ``fill_down``).

    ``fields`` are those that the file sets, each with the column it begins at (-1: a constant).
    ``is_plain``: a column for each and no rule, so that the reader may use its own shortest way.
    ``quick`` takes a record of readable cells; ``None`` where ``clean`` has to look at it.
    ``escapes``: what it gives may hold tabs, line breaks or backslashes that the cells do not.
    """

    fields: dict[str, int]
    is_plain: bool
    may_keep: bool = False
    quick: Quick | None = None
    escapes: bool = False
    columns: frozenset[int] = frozenset()
    own: OwnPlan | None = None
    # The file has no SKU: what is wrong with the key's cell, the key says.
    sku_is_key: bool = False
    # By column: the last cell that was not blank; ``None`` where it could not be read.
    above: dict[int, str | None] = field(default_factory=dict)
    _takers: list[tuple[str, int, Callable[[list[str]], str]]] = field(default_factory=list)
    _conditions: list[tuple[int, Callable[[str], bool]]] = field(default_factory=list)
    # The columns whose blank cells are filled from above, and the fields that take it so.
    filled: dict[int, set[str]] = field(default_factory=dict)
    # By such a column: the one that ends this where it says something else.
    _within: dict[int, int] = field(default_factory=dict)

    def forget_above(self) -> None:
        """A record could not be read: what it would have filled down is not known."""
        ends = map(_end, self._within.values())
        self.above = dict.fromkeys([*self.filled, *ends])

    def clean(self, cells: list[str]) -> Cleaned:
        """Clean the cells of a record of the right width; every bad one is named."""
        problems = unreadable(cells)
        damaged = {problem.column for problem in problems}
        filled = cells
        if self.filled:
            filled, lost = self._fill(cells, damaged)
            problems += lost
            damaged |= {problem.column for problem in lost}
        for column, wanted in self._conditions:
            # Where nobody knows what a cell says, the record is refused below.
            if column not in damaged and not wanted(filled[column]):
                return _LEFT_OUT
        return Cleaned({}, problems, cells=filled) if problems else self._take(cells, filled)

    def _take(self, cells: list[str], filled: list[str]) -> Cleaned:
        problems = []
        values: dict[str, str] = {}
        kept = nothings = 0
        for name, column, take in self._takers:
            given = filled if column in self.filled and name in self.filled[column] else cells
            try:
                values[name] = take(given)
            except _Kept:
                values[name] = ""
                kept |= FIELD_BITS[name]
            except ValueError as error:
                problems.append(problem_of(name, column, given[column], error))
            else:
                if name == "description" and not values[name] and column >= 0:
                    nothings += says_nothing(given[column])
        own = ""
        if self.own is not None:
            own, wrong = self.own.clean(self._given(cells, filled))
            if self.sku_is_key and wrong:
                problems = [one for one in problems if not one.code.endswith("_sku")]
            problems += wrong
        return Cleaned(values, problems, kept, nothings, own=own, cells=filled)

    def _given(self, cells: list[str], filled: list[str]) -> list[str]:
        """The cells as own fields have them: filled down where one of theirs asks for it."""
        given = [*cells]
        for place, names in self.filled.items():
            if any(name.startswith(OWN_PREFIX) for name in names):
                given[place] = filled[place]
        return given

    def _fill(self, cells: list[str], damaged: set[int]) -> tuple[list[str], list[CellProblem]]:
        filled = [*cells]
        lost = []
        if self._within:
            self._end_filling(cells, damaged)
        for column in self.filled:
            if cells[column].strip():
                self.above[column] = None if column in damaged else cells[column]
            elif (above := self.above.get(column, "")) is None:
                lost.append(
                    CellProblem(
                        column,
                        "unknown_above",
                        "The cell is blank, and the record above, which it would be filled from, "
                        "could not be read. Fill it in.",
                    )
                )
            else:
                filled[column] = above
        return filled, lost

    def _end_filling(self, cells: list[str], damaged: set[int]) -> None:
        """Nothing stands above the first record of those that belong together."""
        ended: dict[int, str | None] = {}
        for place in set(self._within.values()):
            now = None if place in damaged else cells[place].strip()
            if now is None:
                ended[place] = None  # nobody knows whether it is one of them
            elif self.above.get(_end(place), "") not in (None, now):
                ended[place] = ""
            self.above[_end(place)] = now
        for column, place in self._within.items():
            if place in ended:
                self.above[column] = ended[place]


def _end(column: int) -> int:
    """Where ``Plan.above`` has what a column says that ends what is filled down."""
    return -1 - column


def plain_plan(fields: Mapping[str, int]) -> Plan:
    """The plan of a file without rules: ``fields`` are the columns, from 0."""
    takers = [(name, column, _plain_taker(name, column)) for name, column in fields.items()]
    return Plan(dict(fields), is_plain=True, columns=frozenset(fields.values()), _takers=takers)


def compile_plan(
    rules: Rules, header: list[str], definitions: Mapping[str, Definition] | None = None
) -> Plan:
    """Make the plan of rules for a file. Raises ``RulesError`` with all that does not fit.

    ``definitions`` are those of the own fields that there are, by key.
    """
    found = resolve_columns(rules, header)
    own = own_plan(rules, found.fields, definitions or {})
    if own is not None and own_key(rules) and "sku" not in found.fields:
        # The product that is found gives its SKU later; until then the key stands for it.
        key = next(rule for rule in rules.columns if rule.field == rules.key)
        sku = ColumnRule("sku", key.columns, key.separator)
        sku = replace(sku, fill_down=key.fill_down, within=key.within)
        rules = replace(rules, columns=(sku, *rules.columns))
        return replace(_with_own(rules, header, own), sku_is_key=True)
    if own is not None:
        plan = _with_own(rules, header, own)
        return _with_key_for_sku(rules, found, plan) if own_key(rules) else plan
    return _plan_of_five(rules, header)


def _with_own(rules: Rules, header: list[str], own: OwnPlan) -> Plan:
    """The plan of the five fields, and of the own ones beside it."""
    found = resolve_columns(rules, header)
    places = found.fields
    five = [rule for rule in rules.columns if not rule.field.startswith(OWN_PREFIX)]
    blank = {name: rule for name, rule in rules.blank.items() if not name.startswith(OWN_PREFIX)}
    plan = _plan_of_five(replace(rules, columns=tuple(five), blank=blank), header)
    fields = {name: (*places[name], -1)[0] for name in places}
    used = {place for columns in places.values() for place in columns}
    filled, within = _filling(rules, found)
    return replace(
        plan,
        fields=fields,
        columns=plan.columns | used,
        own=own,
        quick=None if filled else plan.quick,
        is_plain=plan.is_plain and not filled,
        filled=filled,
        _within=within,
    )


def _with_key_for_sku(rules: Rules, found: Resolved, plan: Plan) -> Plan:
    """A plan by which an SKU may be blank: the product that is found gives it later, or the key."""
    columns = found.fields["sku"]

    def or_none(take: Callable[[list[str]], str]) -> Callable[[list[str]], str]:
        def sku(cells: list[str]) -> str:
            is_blank = columns and not any(cells[column].strip() for column in columns)
            return NO_SKU if is_blank else take(cells)

        return sku

    takers = [
        (name, column, or_none(take) if name == "sku" else take)
        for name, column, take in plan._takers
    ]
    return replace(plan, _takers=takers)


def _filling(rules: Rules, found: Resolved) -> tuple[dict[int, set[str]], dict[int, int]]:
    """``filled`` and ``_within`` of a plan. A column that one field fills without an end, has none
    for others either."""
    filled: dict[int, set[str]] = {}
    within: dict[int, int | None] = {}
    for rule in rules.columns:
        for column in found.fields[rule.field] if rule.fill_down else ():
            filled.setdefault(column, set()).add(rule.field)
            end = found.within.get(rule.field)
            within[column] = end if within.get(column, end) == end else None
    return filled, {column: end for column, end in within.items() if end is not None}


def _plan_of_five(rules: Rules, header: list[str]) -> Plan:
    found = resolve_columns(rules, header)
    named = {rule.field for rule in rules.columns}
    problems = [] if "sku" in named else ["columns: No column is the SKU, which every file needs."]
    problems += [f"blank.{name}: The field has no column." for name in rules.blank.keys() - named]
    if problems:
        raise RulesError(problems)
    plain = not (rules.only_if or changes_blanks(rules)) and all(map(_is_plain, rules.columns))
    fields = {rule.field: (*found.fields[rule.field], -1)[0] for rule in rules.columns}
    if plain:
        return plain_plan(fields)
    takers = [
        (rule.field, fields[rule.field], _taker(rules, rule, found.fields[rule.field]))
        for rule in rules.columns
    ]
    filled, within = _filling(rules, found)
    used = {column for columns in found.fields.values() for column in columns}
    whole = not (rules.only_if or filled or may_keep(rules))
    return Plan(
        fields,
        is_plain=False,
        may_keep=may_keep(rules),
        quick=quick_of(rules, found, {name: take for name, _, take in takers}) if whole else None,
        escapes=may_need_escapes(rules),
        columns=frozenset(used),
        _takers=takers,
        _conditions=[
            (column, _wanted(condition))
            for condition, column in zip(rules.only_if, found.conditions, strict=True)
        ],
        filled=filled,
        _within=within,
    )


def _is_plain(rule: ColumnRule) -> bool:
    bare = ColumnRule(rule.field, rule.columns, rule.separator)
    return rule == bare and len(rule.columns) == 1


def _wanted(condition: Condition) -> Callable[[str], bool]:
    if condition.is_ is not None:
        wanted = frozenset(map(folded, condition.is_))
        return lambda cell: folded(cell) in wanted
    unwanted = frozenset(map(folded, condition.is_not or ()))
    return lambda cell: folded(cell) not in unwanted


# --- One field ------------------------------------------------------------------------


def _plain_taker(name: str, column: int) -> Callable[[list[str]], str]:
    clean = CLEANERS[name]

    def take(cells: list[str]) -> str:
        check_no_error(cells[column])
        return clean(cells[column])

    return take


def _taker(rules: Rules, rule: ColumnRule, columns: tuple[int, ...]) -> Callable[[list[str]], str]:
    """From a record's cells to a field's value, by all of its rules.

    In this order: the constant, or the columns joined; HTML taken out; the table of values; what
    a blank does; the field's own reading, with the rules of a price; the prefix.
    """
    name = rule.field
    if rule.constant is not None:
        constant = CLEANERS[name](rule.constant)
        return lambda cells: constant
    read = _reader_of(rule, columns)
    known = {folded(word): _outcome(name, value) for word, value in rule.values.items()}
    otherwise, blank = rule.otherwise, blank_of(rules, name)
    is_price = name == "price"  # a number is none of the words that a table may not know
    clean = _own_reading(rule)

    def take(cells: list[str]) -> str:
        text = read(cells)
        check_no_error(text)
        word = folded(text)
        if word and known:
            value = known.get(word)
            if value:
                return value
            if value is None and otherwise is not None and not (is_price and _digit(text)):
                return _decided(
                    otherwise,
                    name,
                    lambda: Refused(
                        f"invalid_{name}",
                        f"“{text.strip()[:40]}” is not in the table of values for {name}. Add it "
                        "there, or mend the cell.",
                    ),
                )
            if value is not None:
                word = ""
        if not word or (name == "description" and says_nothing(text)):
            return _decided(blank, name, lambda: _blank(name))
        return clean(text)

    return take


def _blank(name: str) -> ValueError:
    try:
        CLEANERS[name]("")
    except ValueError as error:
        return Refused(f"blank_{name}", str(error))
    return Refused(f"blank_{name}", f"The cell is blank. Fill in the {name}.")


def _outcome(name: str, value: str) -> str:
    return CLEANERS[name](value) if value.strip() else ""


def _decided(outcome: Blank | Otherwise, name: str, refusal: Callable[[], ValueError]) -> str:
    if isinstance(outcome, Value):
        return CLEANERS[name](outcome.value)
    if outcome == "refuse":
        raise refusal()
    if outcome == "keep" and name != "active":  # a blank flag keeps what is stored by itself
        raise _Kept
    return ""


def _reader_of(rule: ColumnRule, columns: tuple[int, ...]) -> Callable[[list[str]], str]:
    """What a record says for a field, before it is looked at."""
    if len(columns) == 1:
        column = columns[0]
        read: Callable[[list[str]], str] = lambda cells: cells[column]  # noqa: E731
    else:
        read = _joined(rule, columns)
    if not rule.clean_html:
        return read
    if rule.field == "name":
        return lambda cells: " ".join(text_of(read(cells)).split())
    return lambda cells: text_of(read(cells))


def _joined(rule: ColumnRule, columns: tuple[int, ...]) -> Callable[[list[str]], str]:
    separator = rule.separator
    clean = CLEANERS["sku"] if rule.field == "sku" else lambda text: unguarded(text).strip()

    def read(cells: list[str]) -> str:
        parts = [cells[column] for column in columns]
        for part in parts:
            check_no_error(part)
        return separator.join(
            clean(part) for part in parts if part.strip() and not says_nothing(part)
        )

    return read


def _own_reading(rule: ColumnRule) -> Callable[[str], str]:
    if rule.field == "price":
        return price_reader(rule)
    clean = CLEANERS[rule.field]
    if rule.prefix:
        return lambda text: clean(rule.prefix + clean(text))
    return clean
