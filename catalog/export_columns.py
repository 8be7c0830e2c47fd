"""What a column of an export has and how it is written: a closed list, as data and as JSON.

Pure Python. A column has a field's value (``sku``, ``fields.brand``) or a fixed text. How it is
written is told by rules; ``catalog.sql.export`` makes SQL of them.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from catalog.field_values import Definition
from catalog.values import FIELDS

OWN_PREFIX = "fields."  # before the key of a field of one's own

COLUMNS_AT_MOST = 500  # as an import takes
NAME_MAX_LENGTH = 255
TEXT_MAX_LENGTH = 1_000  # of a fixed text, and of all that rules write
WORDS_AT_MOST = 500  # in a table of words
_number = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?").fullmatch
NUMBERS = ("integer", "decimal", "money")
DELIMITERS = {",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Pipe"}


class ColumnsError(Exception):
    """Columns that cannot be written; ``problems`` has a sentence for each that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class OutputColumn:
    """One column of an export, under a ``name`` of the output's own.

    A value becomes text as an import takes it (``catalog.field_values.as_text``); then ``at_least``
    makes yes or no of a number, ``values`` puts another word in place of one (in any case;
    ``otherwise`` in place of all others), ``decimal`` is the mark of numbers, ``prefix``,
    ``currency`` and ``suffix`` stand around it. A currency that is blank is asked for with each
    export. Where there is no value, ``blank`` is written.
    """

    name: str
    field: str = ""
    constant: str = ""
    at_least: str | None = None
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)
    otherwise: str | None = None
    decimal: str = "."
    prefix: str = ""
    currency: str | None = None
    suffix: str = ""
    blank: str = ""

    @property
    def key(self) -> str:
        """The own field's key; blank for one of the five and for a fixed text."""
        return self.field.removeprefix(OWN_PREFIX) if self.field.startswith(OWN_PREFIX) else ""

    @property
    def is_plain(self) -> bool:
        """Whether a value is written as it is, so that a workbook may keep its type."""
        return self == OutputColumn(self.name, field=self.field)


def field_names(definitions: Mapping[str, Definition]) -> list[str]:
    """What a column may have: the five, then the fields of one's own, in their order."""
    return [*FIELDS, *(OWN_PREFIX + key for key in definitions)]


def of_fields(names: Iterable[str]) -> list[OutputColumn]:
    """Columns as an import takes them: the five and own keys, each under its own name."""
    return [OutputColumn(name, name if name in FIELDS else OWN_PREFIX + name) for name in names]


def in_use(
    columns: Iterable[OutputColumn], definitions: Mapping[str, Definition]
) -> list[OutputColumn]:
    """The columns but for those whose field was retired or deleted since.

    Blank cells in its place would clear the values once the file is imported and the field is
    there again.
    """
    return [column for column in columns if not column.key or column.key in definitions]


def with_currency(columns: Sequence[OutputColumn], currency: str) -> list[OutputColumn]:
    """The columns, with the currency in those that ask for one.

    Raises ``ColumnsError`` where one is asked for and none is given, or it is none.
    """
    asks = any(column.currency == "" for column in columns)
    if currency and not _is_currency(currency):
        raise ColumnsError([_CURRENCY])
    if asks and not currency:
        raise ColumnsError([f"This format writes a currency after its prices. {_CURRENCY}"])
    return [replace(one, currency=currency) if one.currency == "" else one for one in columns]


_CURRENCY = "Write the currency in three letters, like EUR (ISO 4217)."


def _is_currency(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


# --- JSON -----------------------------------------------------------------------------


def columns_as_json(columns: Iterable[OutputColumn]) -> list[dict[str, Any]]:
    """Columns as JSON; ``parse_columns`` gives the same ones back."""
    empty = OutputColumn("")
    found = []
    for column in columns:
        data: dict[str, Any] = {"name": column.name}
        data["field" if column.field else "constant"] = column.field or column.constant
        for name in _RULES:
            if (value := getattr(column, name)) != getattr(empty, name):
                data[name] = dict(value) if name == "values" else value
        found.append(data)
    return found


_RULES = (*("at_least", "values", "otherwise", "decimal", "prefix", "currency", "suffix", "blank"),)
_KEYS = ("name", "field", "constant", *_RULES)


def stored_columns(data: Iterable[Mapping[str, Any]]) -> list[OutputColumn]:
    """Columns out of JSON that was checked when it was stored."""
    return [OutputColumn(**{k: v for k, v in one.items() if k in _KEYS}) for one in data]


def parse_columns(data: Any, definitions: Mapping[str, Definition]) -> list[OutputColumn]:
    """Columns out of JSON from outside; raises ``ColumnsError`` with all that is wrong."""
    if not isinstance(data, list) or not 0 < len(data) <= COLUMNS_AT_MOST:
        raise ColumnsError([f"Send a list of 1 to {COLUMNS_AT_MOST} columns."])
    problems: list[str] = []
    columns: list[OutputColumn] = []
    for number, one in enumerate(data, start=1):
        wrong = _wrong(one, definitions)
        problems += [f"Column {number}: {sentence}" for sentence in wrong]
        if not wrong:
            columns.append(OutputColumn(**{**one, "name": one["name"].strip()}))
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [f"Two columns are named “{name[:40]}”." for name in twice]
    if problems:
        raise ColumnsError(problems)
    return columns


def _wrong(one: Any, definitions: Mapping[str, Definition]) -> list[str]:
    """What is wrong with one column, in sentences."""
    if not isinstance(one, dict):
        return ["Send an object."]
    unknown = [str(name) for name in one if name not in _KEYS]
    if unknown:
        return [f"There is no “{unknown[0][:40]}”. There are: {', '.join(_KEYS)}."]
    wrong = [f"{name} has to be a text." for name in _TEXTS if not _is_text(one.get(name, ""))]
    for name in ("at_least", "otherwise", "currency"):
        if not _is_text("" if one.get(name) is None else one[name]):
            wrong.append(f"{name} has to be a text.")
    if wrong:
        return wrong
    name = one.get("name", "").strip()
    if not name or len(name) > NAME_MAX_LENGTH or any(ord(letter) < 32 for letter in name):
        wrong.append(f"It needs a name of 1 to {NAME_MAX_LENGTH} characters in one line.")
    if ("field" in one) == ("constant" in one):
        return [*wrong, "It has either a field or a constant."]
    if "field" not in one:
        if more := [rule for rule in _RULES if rule in one]:
            wrong.append(f"A constant has no “{more[0]}”.")
        return wrong
    there = field_names(definitions)
    if one["field"] not in there:
        return [*wrong, f"There is no field “{one['field'][:60]}”. There are: {', '.join(there)}."]
    return wrong + _wrong_rules(one, definitions)


_TEXTS = ("name", "field", "constant", "decimal", "prefix", "suffix", "blank")


def _is_text(value: Any) -> bool:
    """Whether it is a text that PostgreSQL can hold, and not too long."""
    if not isinstance(value, str) or len(value) > TEXT_MAX_LENGTH:
        return False
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)


def _wrong_rules(one: Mapping[str, Any], definitions: Mapping[str, Definition]) -> list[str]:
    definition = definitions.get(str(one["field"]).removeprefix(OWN_PREFIX))
    is_number = one["field"] == "price" or bool(definition and definition.type in NUMBERS)
    wrong = []
    values = one.get("values", {})
    if (
        not isinstance(values, dict)
        or len(values) > WORDS_AT_MOST
        or not all(_is_text(text) for pair in values.items() for text in pair)
    ):
        wrong.append(f"values has to be an object of texts, at most {WORDS_AT_MOST}.")
    if one.get("otherwise") is not None and not values:
        wrong.append("otherwise is written in place of words that “values” does not have.")
    if one.get("decimal", ".") not in (".", ","):
        wrong.append("decimal is a point or a comma.")
    for rule in ("at_least", "currency"):
        if one.get(rule) is not None and not is_number:
            wrong.append(f"Only a number has “{rule}”.")
    if one.get("at_least") is not None and not _number(one["at_least"]):
        wrong.append("at_least has to be a number, like 1.")
    if one.get("currency") and not _is_currency(one["currency"]):
        wrong.append(_CURRENCY)
    return wrong
