"""Rules out of JSON, and against a file's header: whatever is wrong with them is named at once.

``parse_rules`` takes what JSON gives; ``rules_as_json`` gives the same rules back. What depends
on the file's columns is checked by ``resolve_columns``.
"""

import codecs
import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.field_values import KEY_MAX_LENGTH
from catalog.values import DESCRIPTION_MAX_LENGTH, FIELDS, SKU_MAX_LENGTH
from imports.mapping.cells.dates import ORDERS, Order
from imports.mapping.cells.meaning import CLEANERS
from imports.mapping.model import (
    AUTO,
    DEFAULT_BLANK,
    OWN_PREFIX,
    PROBLEMS_LIMIT,
    Blank,
    Column,
    ColumnRule,
    Condition,
    KeyWithin,
    NoMatch,
    Otherwise,
    Rules,
    RulesError,
    Value,
    blank_of,
    changes_blanks,
    folded,
    may_keep,
    own_key,
    rules_as_json,
)
from imports.mapping.rule_parts import TABLE_LIMIT, PartReader, decimal_of, plain_number, shown

__all__ = [
    "AUTO",
    "DEFAULT_BLANK",
    "Blank",
    "Column",
    "ColumnRule",
    "Condition",
    "Otherwise",
    "Resolved",
    "Rules",
    "RulesError",
    "Value",
    "blank_of",
    "changes_blanks",
    "folded",
    "layout_keeps",
    "layout_key",
    "may_keep",
    "own_key",
    "parse_rules",
    "resolve_columns",
    "rules_as_json",
]

CURRENCY_LIMIT = 30  # characters, with a unit
FACTOR_LIMIT = 1_000_000
FACTOR_PLACES = 10  # decimals of a factor

GROUP_SIGNS = " .,'"  # blank stands for every kind of it, ' for the typographic one too
TEXT_FIELDS = ("name", "description")

_BLANKS_OF = {
    "sku": ("refuse",),
    "name": ("keep", "refuse"),
    "description": ("keep", "clear", "refuse"),
    "price": ("keep", "clear", "refuse"),
    "active": ("keep", "refuse"),
}
# Rules that only some fields have.
_ONLY_FOR = {
    "decimal": ("price",),
    "group": ("price",),
    "currency": ("price",),
    "factor": ("price",),
    "round": ("price",),
    "prefix": ("sku",),
    "clean_html": TEXT_FIELDS,
    "date": (),
}

_ALSO_OWN = ("decimal", "group", "currency", "clean_html", "date")

_own = re.compile(rf"{re.escape(OWN_PREFIX)}[a-z][a-z0-9_]{{0,{KEY_MAX_LENGTH - 1}}}").fullmatch
_step = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?").fullmatch
_ending = re.compile(r"\.[0-9]{2}").fullmatch
# Codecs that are no text encodings of a file, though Python counts them in.
_NO_ENCODINGS = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape")


# --- Parsing --------------------------------------------------------------------------


def parse_rules(data: object) -> Rules:
    """Check rules as JSON gives them. Raises ``RulesError`` with all that is wrong."""
    if data == {}:
        return Rules()  # nothing is asked of most files
    reader = _Reader()
    rules = reader.rules(data)
    if reader.problems:
        raise RulesError(reader.problems[:PROBLEMS_LIMIT])
    return rules


def layout_keeps(layout: Mapping[str, Any]) -> bool:
    """Whether a record of a file with this layout (``Layout.as_json``) may keep stored values."""
    rules = layout.get("rules")
    return bool(rules) and may_keep(parse_rules(rules))


def layout_key(layout: Mapping[str, Any]) -> tuple[str, NoMatch]:
    """The key of the own field that products of such a file are found by, or blank, and what
    becomes of records without a product."""
    rules = layout.get("rules") or {}
    if "key" not in rules:
        return "", "refuse"
    return own_key(Rules(key=rules["key"])), rules["no_match"]


def layout_key_within(layout: Mapping[str, Any]) -> KeyWithin:
    """Among which products of such a file's are found by that key."""
    within: KeyWithin = (layout.get("rules") or {}).get("key_within", "catalogue")
    return within


class _Reader(PartReader):
    """Reads rules, and collects what is wrong; what it returns then is of no use."""

    def rules(self, data: object) -> Rules:
        known = self.object_of("rules", data, _names_of(Rules))
        blank = {
            name: self.blank(f"blank.{name}", name, value)
            for name, value in self.blanks(known.get("blank", {})).items()
        }
        only_if = self.list_of("only_if", known.get("only_if", []), self.condition)
        columns = self.list_of("columns", known.get("columns", []), self.column_rule)
        self._once(columns)
        return Rules(
            encoding=self.encoding(known.get("encoding", AUTO)),
            delimiter=self.delimiter(known.get("delimiter", AUTO)),
            quote=self.quote(known.get("quote", AUTO)),
            header_line=self.header_line(known.get("header_line", AUTO)),
            sheet=self.column("sheet", known.get("sheet", AUTO)),
            member=self.text("member", known.get("member", AUTO)),
            key=self.key(known.get("key", "sku")),
            key_within=self.key_within(
                known.get("key_within", "catalogue"), known.get("key", "sku")
            ),
            no_match=self.no_match(known.get("no_match", "refuse"), known.get("key", "sku")),
            blank=blank,
            only_if=only_if,
            columns=columns,
        )

    def key(self, value: object) -> str:
        if value != "sku" and not _is_own(value):
            self.wrong("key", f"It has to be “sku”, or a field of your own: {OWN_PREFIX}KEY.")
            return "sku"
        return str(value)

    def key_within(self, value: object, key: object) -> KeyWithin:
        if value not in ("catalogue", "supplier"):
            self.wrong("key_within", "It has to be “catalogue” or “supplier”.")
        elif value == "supplier" and key == "sku":
            self.wrong("key_within", "A SKU is one product's in the whole catalogue.")
        return "supplier" if value == "supplier" else "catalogue"

    def no_match(self, value: object, key: object) -> NoMatch:
        if value not in ("refuse", "create"):
            self.wrong("no_match", "It has to be “refuse” or “create”.")
        elif value == "create" and key == "sku":
            self.wrong("no_match", "Where the SKU is the key, the import's mode says it.")
        return "create" if value == "create" else "refuse"

    def blanks(self, data: object) -> dict[str, Any]:
        own = tuple(name for name in data if _is_own(name)) if isinstance(data, dict) else ()
        return self.object_of("blank", data, (*FIELDS, *own))

    def _once(self, columns: tuple[ColumnRule, ...]) -> None:
        named: set[str] = set()
        for number, rule in enumerate(columns):
            if rule.field in named:
                self.wrong(
                    f"columns[{number}].field",
                    f"“{rule.field}” has a rule already. Each field has one: to join columns, "
                    "list them as its “columns”.",
                )
            if rule.field:
                named.add(rule.field)

    # The file's own ...

    def encoding(self, value: object) -> str:
        name = self.text("encoding", value)
        if name != AUTO and name:
            try:
                info = codecs.lookup(name)
            except (LookupError, ValueError):
                self.wrong("encoding", f"{shown(value)} is no encoding that is known.")
            else:
                if not info._is_text_encoding or info.name in _NO_ENCODINGS:
                    self.wrong("encoding", f"{shown(value)} is no encoding of text.")
        return name

    def delimiter(self, value: object) -> str:
        text = self.text("delimiter", value)
        if text != AUTO and (len(text) != 1 or text.isalnum() or text in "\r\n\"'"):
            self.wrong("delimiter", "It has to be “auto” or one character, like “;”.")
        return text

    def quote(self, value: object) -> str:
        if value not in (AUTO, '"', "'", ""):
            self.wrong("quote", "It has to be “auto”, a double or a single quote, or blank.")
            return AUTO
        return str(value)

    def header_line(self, value: object) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value != AUTO and not (whole and 0 <= value <= 1_000_000):  # type: ignore[operator]
            self.wrong(
                "header_line", "It has to be “auto”, a line's number, or 0 where there is none."
            )
        return value

    # ... and its columns

    def column_rule(self, place: str, data: object) -> ColumnRule:
        known = self.object_of(place, data, (*_names_of(ColumnRule), "column"))
        name = known.get("field")
        if not isinstance(name, str) or not (name in FIELDS or _is_own(name)):
            there_are = f"{', '.join(FIELDS)}, and {OWN_PREFIX}KEY"
            self.wrong(f"{place}.field", f"{shown(name)} is no field. There are: {there_are}.")
            return ColumnRule("")
        for key, fields in _ONLY_FOR.items():
            if key in known and name not in fields and not (_is_own(name) and key in _ALSO_OWN):
                those = " and ".join(fields) or "own fields of dates"
                self.wrong(f"{place}.{key}", f"Only {those} can have this rule.")
        if sum(key in known for key in ("column", "columns", "constant")) != 1:
            self.wrong(place, "It needs one of “column”, “columns” and “constant”.")
        constant = None
        if "constant" in known:
            constant = self.own_value(f"{place}.constant", name, known["constant"])
            if name == "sku":
                self.wrong(f"{place}.constant", "All records would be the same product.")
            if known.get("fill_down"):
                self.wrong(f"{place}.fill_down", "A constant is never blank.")
        if "within" in known and not known.get("fill_down"):
            self.wrong(f"{place}.within", "It needs “fill_down” beside it.")
        return ColumnRule(
            field=name,
            columns=self.columns_of(place, known),
            separator=self.text(f"{place}.separator", known.get("separator", " ")),
            constant=constant,
            values=self.table(place, name, known.get("values", {})),
            otherwise=self.otherwise(place, name, known),
            prefix=self.prefix(f"{place}.prefix", known.get("prefix", "")),
            fill_down=self.flag(f"{place}.fill_down", known.get("fill_down", False)),
            within=self.column(f"{place}.within", known["within"]) if "within" in known else None,
            clean_html=self.flag(f"{place}.clean_html", known.get("clean_html", False)),
            date=self.order(f"{place}.date", known.get("date")),
            **self.price_rules(place, known),
        )

    def order(self, place: str, value: object) -> Order | None:
        if value is not None and value not in ORDERS:
            self.wrong(place, f"It has to be one of {', '.join(ORDERS)}.")
            return None
        return value

    def columns_of(self, place: str, known: dict[str, Any]) -> tuple[Column, ...]:
        if "column" in known:
            return (self.column(f"{place}.column", known["column"]),)
        if "columns" not in known:
            return ()
        found = self.list_of(f"{place}.columns", known["columns"], self.column)
        if not found:
            self.wrong(f"{place}.columns", "It needs at least one column.")
        return found

    def price_rules(self, place: str, known: dict[str, Any]) -> dict[str, Any]:
        decimal, group = known.get("decimal"), known.get("group")
        if decimal is not None and decimal not in (".", ","):
            self.wrong(f"{place}.decimal", "It has to be “.” or “,”.")
        if group is not None:
            if not isinstance(group, str) or (
                group and (group not in GROUP_SIGNS or len(group) > 1)
            ):
                self.wrong(
                    f"{place}.group", "It has to be one of “.”, “,”, “'”, a blank, or empty."
                )
            elif decimal is None:
                self.wrong(f"{place}.group", "It needs “decimal” beside it.")
            elif group and group == decimal:
                self.wrong(f"{place}.group", "It cannot be the decimal mark as well.")
        return {
            "decimal": decimal,
            "group": group,
            "currency": self.currency(f"{place}.currency", known.get("currency")),
            "factor": self.factor(f"{place}.factor", known.get("factor")),
            "round": self.rounding(f"{place}.round", known.get("round")),
        }

    def currency(self, place: str, value: object) -> str | None:
        if value is None:
            return None
        text = self.text(place, value).strip()
        if not 1 <= len(text) <= CURRENCY_LIMIT or any(c.isdigit() or c in "+-,'" for c in text):
            self.wrong(place, "It has to be a currency's code or sign, like “EUR” or “€”.")
        return text

    def factor(self, place: str, value: object) -> Decimal | None:
        if value is None:
            return None
        number = decimal_of(value)
        if number is None or not 0 < number <= FACTOR_LIMIT:
            self.wrong(place, f"It has to be a number above 0, up to {FACTOR_LIMIT:,}, like 0.01.")
            return None
        if int(number.normalize().as_tuple().exponent) < -FACTOR_PLACES:
            self.wrong(place, f"At most {FACTOR_PLACES} decimals are allowed.")
            return None
        return number

    def rounding(self, place: str, value: object) -> str | None:
        if value is None:
            return None
        text = value if isinstance(value, str) else plain_number(value)
        if text is None or not (_ending(text) or (_step(text) and Decimal(text) > 0)):
            self.wrong(
                place, "It has to be a step, like 0.01 or 0.5, or an ending in quotes, like “.99”."
            )
            return None
        return text

    def prefix(self, place: str, value: object) -> str:
        text = self.text(place, value)
        if len(text) >= SKU_MAX_LENGTH or not text.isprintable():
            self.wrong(place, f"It has to be printable and shorter than {SKU_MAX_LENGTH}.")
        return text

    def table(self, place: str, name: str, data: object) -> dict[str, str]:
        place = f"{place}.values"
        if not isinstance(data, dict):
            self.wrong(place, "It has to be an object: each word and what it stands for.")
            return {}
        if len(data) > TABLE_LIMIT:
            self.wrong(place, f"At most {TABLE_LIMIT:,} words are allowed.")
            return {}
        table: dict[str, str] = {}
        seen: dict[str, str] = {}
        for word, value in data.items():
            key = self.text(place, word)
            if not key.strip():
                self.wrong(place, "What blank cells do, the rule “blank” says.")
            meaning = self.own_value(f"{place}[{shown(word)}]", name, value, blank=True)
            if seen.setdefault(folded(key), meaning) != meaning:
                self.wrong(f"{place}[{shown(word)}]", "The same word stands for two things.")
            table[key] = meaning
        return table

    def otherwise(self, place: str, name: str, known: dict[str, Any]) -> Otherwise | None:
        place, value = f"{place}.otherwise", known.get("otherwise")
        if value is None:
            return None
        if value == "add" and _is_own(name):
            return "add"
        if not known.get("values"):
            self.wrong(place, "It needs “values” beside it.")
        if value == "refuse" or (value == "keep" and name != "sku"):
            return "keep" if value == "keep" else "refuse"
        if isinstance(value, dict) and value.keys() == {"value"} and name != "sku":
            return Value(self.own_value(f"{place}.value", name, value["value"]))
        words = "“refuse”" if name == "sku" else '“refuse”, “keep” or {"value": …}'
        self.wrong(place, f"For {name} it has to be {words}.")
        return None

    def blank(self, place: str, name: str, value: object) -> Blank:
        blanks = _BLANKS_OF.get(name, ("keep", "clear", "refuse"))
        if isinstance(value, str) and value in blanks:
            return value  # type: ignore[return-value]
        if isinstance(value, dict) and value.keys() == {"value"} and name != "sku":
            return Value(self.own_value(f"{place}.value", name, value["value"]))
        words = [*(f"“{word}”" for word in blanks)]
        if name != "sku":
            words.append('{"value": …}')
        self.wrong(place, f"For {name} it has to be one of: {', '.join(words)}.")
        return "refuse"

    def condition(self, place: str, data: object) -> Condition:
        known = self.object_of(place, data, ("column", "is", "is_not"))
        if "column" not in known or ("is" in known) == ("is_not" in known):
            self.wrong(place, "It needs “column”, and either “is” or “is_not” with a list.")
        words = {
            key: self.list_of(f"{place}.{key}", known[key], self.scalar)
            for key in ("is", "is_not")
            if key in known
        }
        if not all(words.values()):
            self.wrong(place, "The list needs at least one word; a blank one means blank cells.")
        column = self.column(f"{place}.column", known["column"]) if "column" in known else ""
        return Condition(column, words.get("is"), words.get("is_not"))

    def own_value(self, place: str, name: str, value: object, *, blank: bool = False) -> str:
        """A value of a field as it is stored; ``blank``: or the same as a blank cell."""
        text = self.scalar(place, value, limit=DESCRIPTION_MAX_LENGTH)
        if not text.strip():
            if not blank:
                self.wrong(place, "It is blank.")
            return ""
        if name not in CLEANERS:
            return text  # of an own field: its type says what it may be (imports.mapping.own)
        try:
            CLEANERS[name](text)
        except ValueError as error:
            self.wrong(place, str(error))
        return text


def _is_own(name: object) -> bool:
    """Whether a name is one that a field of one's own may have; which ones there are, is asked
    where the rules meet their file."""
    return isinstance(name, str) and _own(name) is not None


def _names_of(cls: type[Rules] | type[ColumnRule]) -> tuple[str, ...]:
    return tuple(known.name for known in dataclasses.fields(cls))


# --- Against a header -----------------------------------------------------------------


@dataclass(frozen=True)
class Resolved:
    """Where rules find their columns: numbers from 0, by field, and by condition.

    ``within`` are those that end a field's ``fill_down``.
    """

    fields: dict[str, tuple[int, ...]]
    conditions: tuple[int, ...] = ()
    within: dict[str, int] = dataclasses.field(default_factory=dict)


def resolve_columns(rules: Rules, header: list[str]) -> Resolved:
    """Find the columns that the rules name. Raises ``RulesError`` with all that it cannot.

    A name is taken as it stands; where none is the same, without regard to case and to blanks
    around it. A name that several columns have is none: the rule has to give the number.
    """
    problems: list[str] = []

    def find(place: str, column: Column) -> int:
        if isinstance(column, int):
            if column > len(header):
                problems.append(f"{place}: There is no column {column}; there are {len(header)}.")
            return column - 1
        found = [i for i, name in enumerate(header) if name == column]
        found = found or [i for i, name in enumerate(header) if folded(name) == folded(column)]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = ", ".join(str(i + 1) for i in found[:10])
            problems.append(f"{place}: Several columns are named {shown(column)}: {numbers}.")
        else:
            problems.append(f"{place}: There is no column {shown(column)} in the file.")
        return 0

    fields: dict[str, tuple[int, ...]] = {}
    within: dict[str, int] = {}
    for number, rule in enumerate(rules.columns):
        if rule.field in fields:
            problems.append(f"columns[{number}].field: “{rule.field}” has a rule already.")
        fields[rule.field] = tuple(find(f"columns[{number}]", name) for name in rule.columns)
        if rule.within is not None:
            within[rule.field] = find(f"columns[{number}].within", rule.within)
    conditions = tuple(
        find(f"only_if[{number}]", condition.column)
        for number, condition in enumerate(rules.only_if)
    )
    if problems:
        raise RulesError(problems[:PROBLEMS_LIMIT])
    return Resolved(fields, conditions, within)
