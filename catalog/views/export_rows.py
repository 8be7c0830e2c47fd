"""The rows of an export format's form: a column each, its rules as inputs.

Inputs carry the number of their row (``place-0``, ``field-0``): a row has only those that fit.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalog.export import column_labels
from catalog.export_columns import NUMBERS, OWN_PREFIX, ColumnsError, parse_columns
from catalog.field_values import Definition
from catalog.queries.own_fields.fields import definitions
from catalog.values import FIELDS
from product_importer.common.parsing import whole_number

ROWS_AT_MOST = 240  # Django takes 4,000 values (DATA_UPLOAD_MAX_NUMBER_FIELDS); a row has up to 16
FREE_ROWS = 2  # offered for fixed texts, and for fields that the format has already

ASK, WRITE = "ask", "write"  # a currency is asked for with each export; a text that is typed
_WRITTEN = ("prefix", "suffix", "blank", "at_least", "decimal")
_INPUTS = (*_WRITTEN, "money", "currency", "yes", "no", "words", "others", "otherwise")
_YES_NO = {"yes": "true", "no": "false"}


@dataclass(frozen=True)
class Row:
    """One column as the form has it; without a place it is not in the format.

    ``rules`` are the inputs of a field's rules, ``text`` is a fixed text, ``error`` what is wrong.
    What a free row has, is chosen in it; without a place it comes last.
    """

    number: int
    place: str = ""
    name: str = ""
    field: str = ""
    text: str = ""
    rules: Mapping[str, str] = dataclasses.field(default_factory=dict)
    free: bool = False
    label: str = ""
    type: str = ""
    error: str = ""

    @property
    def what(self) -> str:
        return self.label or ("Another column" if self.free else "Fixed text")

    @property
    def is_number(self) -> bool:
        """Whether it has the rules of numbers: because it is one, or was when they were made."""
        left = any(self.rules.get(name) for name in ("at_least", "money"))
        return self.free or left or self.type in NUMBERS or self.rules.get("decimal") == ","

    @property
    def has_yes_and_no(self) -> bool:
        left = any(self.rules.get(name) for name in _YES_NO)
        return self.is_number or left or self.type == "boolean"

    @property
    def of_lines(self) -> list[str]:
        """The texts that have breaks of lines."""
        return [name for name, value in self.rules.items() if "\n" in value]

    @property
    def told(self) -> list[str]:
        """Its rules in words."""
        return list(_told(self.rules))


def _told(rules: Mapping[str, str]) -> Iterator[str]:
    if rules.get("at_least"):
        yield f"yes from {rules['at_least']} on"
    words = [f"{word} = {rules[word]}" for word in _YES_NO if rules.get(word)]
    words += [line for line in rules.get("words", "").split("\n") if line.strip()]
    if words:
        yield ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")
    if rules.get("others"):
        yield f"other words: “{rules.get('otherwise', '')}”"
    if rules.get("decimal") == ",":
        yield "decimal comma"
    if (money := rules.get("money")) == ASK or rules.get("currency"):
        yield "with the currency of the export" if money == ASK else f"in {rules.get('currency')}"
    for name, where in (("prefix", "before"), ("suffix", "behind")):
        if rules.get(name):
            yield f"“{rules[name]}” {where}"
    if rules.get("blank"):
        yield f"without a value: “{rules['blank']}”"


# --- From what is kept ----------------------------------------------------------------


def rows_of(columns: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The columns of a format in their order, the fields that it lacks, and some free ones."""
    made = _Maker()
    rows = [
        made.row(
            place=str(place),
            name=column["name"],
            field=column.get("field", ""),
            text=column.get("constant", ""),
            rules=_as_inputs(column),
        )
        for place, column in enumerate(columns, start=1)
    ]
    used = {row.field for row in rows}
    for name in made.labels:
        if name not in used:
            rows.append(made.row(name=name.removeprefix(OWN_PREFIX), field=name))
    return with_free_rows(rows)


def with_free_rows(rows: list[Row]) -> list[Row]:
    first = len(rows)
    return rows + [Row(number, free=True) for number in range(first, first + FREE_ROWS)]


class _Maker:
    """Makes rows one after the other, with what their fields are called."""

    def __init__(self) -> None:
        self.own = definitions()
        self.labels = field_labels()
        self.count = 0

    def row(self, **values: Any) -> Row:
        name = values["field"]
        self.count += 1
        return Row(
            self.count - 1, label=self.labels.get(name, name), type=_type(name, self.own), **values
        )


def field_labels() -> dict[str, str]:
    """What fields are called, by their names in a format."""
    return {name if name in FIELDS else OWN_PREFIX + name: label for name, label in column_labels()}


def _type(name: str, own: Mapping[str, Definition]) -> str:
    definition = own.get(name.removeprefix(OWN_PREFIX))
    five = {"price": "money", "active": "boolean"}
    return five.get(name, definition.type if definition and name not in FIELDS else "")


def _as_inputs(column: Mapping[str, Any]) -> dict[str, str]:
    inputs = {name: str(column.get(name) or "") for name in _WRITTEN}
    if (currency := column.get("currency")) is not None:
        inputs |= {"money": WRITE if currency else ASK, "currency": currency}
    words = dict(column.get("values", {}))
    for name, word in _YES_NO.items():
        if words.get(word) and "\n" not in words[word]:
            inputs[name] = words.pop(word)
    inputs["words"] = words_as_lines(words)
    if (otherwise := column.get("otherwise")) is not None:
        inputs |= {"others": WRITE, "otherwise": otherwise}
    return inputs


# --- From what is typed ---------------------------------------------------------------


def typed_rows(data: Mapping[str, str]) -> list[Row]:
    """The rows as they were typed, to be saved or shown again."""
    made = _Maker()
    rows: list[Row] = []
    while f"place-{made.count}" in data and made.count <= ROWS_AT_MOST:
        number = made.count
        typed = {name: _text(data, f"{name}-{number}") for name in _INPUTS}
        rows.append(
            made.row(
                place=_text(data, f"place-{number}").strip(),
                name=_text(data, f"column-{number}"),
                field=_text(data, f"field-{number}"),
                text=_text(data, f"text-{number}"),
                rules={name: value for name, value in typed.items() if value},
                free=f"free-{number}" in data,
            )
        )
    return rows


def _text(data: Mapping[str, str], name: str) -> str:
    return data.get(name, "").replace("\r\n", "\n")  # as a browser sends the breaks of lines


def read_rows(rows: Iterable[Row]) -> tuple[list[dict[str, Any]], list[Row]]:
    """The columns by their places, as JSON, and the rows with what is wrong with each."""
    own = definitions()
    found: list[tuple[int, dict[str, Any]]] = []
    told = []
    for row in rows:
        wrong: list[str] = []
        if row.place or (row.free and (row.name or row.field or row.text)):
            place = whole_number(row.place) if row.place else ROWS_AT_MOST * 1_000_000
            if place is None:
                wrong.append(f"“{row.place[:20]}” is no place. Write a number, like 1.")
            column = _column(row, wrong)
            wrong += [] if wrong else _problems(column, own)
            found.append((place or 0, column))
        told.append(replace(row, error=" ".join(wrong)))
    return [column for _, column in sorted(found, key=lambda one: one[0])], told


def _problems(column: dict[str, Any], own: Mapping[str, Definition]) -> list[str]:
    try:
        parse_columns([column], own)
    except ColumnsError as error:
        return [problem.removeprefix("Column 1: ") for problem in error.problems]
    return []


def _column(row: Row, wrong: list[str]) -> dict[str, Any]:
    """One column as JSON; ``wrong`` gets what cannot be read."""
    column: dict[str, Any] = {"name": row.name}
    if row.free and row.field and not row.name.strip():
        column["name"] = row.field.removeprefix(OWN_PREFIX)
    if row.field:
        column["field"] = row.field
    if row.text or not row.field:
        column["constant"] = row.text
    return column | _rules(row.rules, wrong)


def _rules(inputs: Mapping[str, str], wrong: list[str]) -> dict[str, Any]:
    rules: dict[str, Any] = {name: inputs[name] for name in _WRITTEN if inputs.get(name)}
    if rules.get("decimal") == ".":
        del rules["decimal"]  # as it is without a rule
    if money := inputs.get("money"):
        currency = inputs.get("currency", "").strip()
        rules["currency"] = "" if money == ASK else currency
        if money != ASK and not currency:
            wrong.append("Write the currency in three letters, like EUR (ISO 4217).")
    words = {word: inputs[name] for name, word in _YES_NO.items() if inputs.get(name)}
    if values := lines_as_words(inputs.get("words", ""), wrong) | words:
        rules["values"] = values
    if inputs.get("others"):
        rules["otherwise"] = inputs.get("otherwise", "")
        if not values:
            wrong.append("Other words are other than some: write those first.")
    return rules


# --- A table of words: a line for each ------------------------------------------------


def words_as_lines(words: Mapping[str, str]) -> str:
    """``word = what is written``; what has signs of its own stands in quotes, as JSON has it."""
    return "\n".join(
        f"{_quoted(word, '=' in word or not word)} = {_quoted(text)}"
        for word, text in words.items()
    )


def _quoted(text: str, needed: bool = False) -> str:
    needed = needed or text != text.strip() or text.startswith('"') or "\n" in text or "\r" in text
    return json.dumps(text, ensure_ascii=False) if needed else text


def lines_as_words(lines: str, wrong: list[str]) -> dict[str, str]:
    """The same back; ``wrong`` gets the lines that cannot be read."""
    words: dict[str, str] = {}
    for line in filter(str.strip, lines.split("\n")):
        word, rest = _first(line.strip())
        if not rest.startswith("="):
            wrong.append(f"“{line.strip()[:40]}” is no line of words. Write: word = other word.")
        elif word in words:
            wrong.append(f"“{word[:40]}” stands there twice.")
        else:
            words[word] = _unquoted(rest[1:].strip())
    return words


def _first(line: str) -> tuple[str, str]:
    """The word that a line begins with, and the rest from the equals sign on."""
    if line.startswith('"'):
        try:
            word, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            pass
        else:
            return str(word), line[end:].lstrip()
    word, sign, rest = line.partition("=")
    return word.strip(), sign + rest


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text
