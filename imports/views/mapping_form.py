"""The form of the matching page: what is posted -> rules, and what of it has just been changed.

Columns are posted by number (``field-3`` is the field of the third column), and a field's rules by
its name (``decimal-price``). ``had`` tells what the form showed before, so that the one choice that
was changed is told from those that were there.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from catalog.values import FIELDS
from imports.mapping.rules import AUTO, COLUMN_LIMIT
from imports.mapping.table import reference
from imports.mapping.words import ACTIVE_TABLES
from product_importer.common.parsing import whole_number

DIALECT = ("encoding", "delimiter", "quote", "header_line", "sheet", "member")
LABELS = {
    "sku": "SKU",
    "name": "Name",
    "description": "Description",
    "price": "Price",
    "active": "Active",
}
CONDITIONS = 20  # that a page can hold
WORDS = 40  # of a table that are rows of their own; more are lines of a text
# What tells how a column is written: it goes when the field moves to another one.
WRITTEN = {"price": ("decimal", "group", "currency"), "active": ("values",)}
NONE = "none"  # no column has this field


@dataclass
class Asked:
    """A question about which column a field comes from.

    ``candidates`` are columns from 1, ``answer`` one of them as text, ``none`` or blank.
    """

    field: str
    messages: list[str]
    candidates: list[int] = dataclasses.field(default_factory=list)
    answer: str = ""

    @property
    def title(self) -> str:
        if self.field == "active":
            return "Which column says what is active?"
        return f"Which column is the {LABELS[self.field]}?"

    def as_json(self) -> dict[str, Any]:
        return {"field": self.field, "messages": self.messages, "candidates": self.candidates}


@dataclass
class Posted:
    """The form as it was sent. Nothing of it is trusted: what is odd is left out."""

    data: Mapping[str, str]

    def text(self, name: str) -> str:
        return str(self.data.get(name, ""))

    @cached_property
    def had(self) -> dict[str, Any]:
        """What the form showed: ``fields``, ``dialect``, ``format``, ``where``, ``header`` ...

        ``kept`` has the rules of fields whose columns were asked for, out of a format.
        """
        try:
            had = json.loads(self.text("had"))
        except (ValueError, RecursionError):
            return {}
        return had if isinstance(had, dict) else {}

    def _part(self, name: str) -> dict[str, Any]:
        part = self.had.get(name)
        return part if isinstance(part, dict) else {}

    # --- The file ---------------------------------------------------------------------

    @cached_property
    def dialect(self) -> dict[str, Any]:
        """The rules of the file. In another sheet or member, all else is to be found anew."""
        asked = {name: self.text(name) or AUTO for name in DIALECT if name in self.data}
        if self.text("delimiter") == "other":
            asked["delimiter"] = self.text("delimiter_other") or AUTO
        if self.text("quote") == NONE:
            asked["quote"] = ""
        number = whole_number(asked.get("header_line", ""))
        if number is not None:
            asked["header_line"] = number  # type: ignore[assignment]
        packed = {"sheet", "member"} & asked.keys()
        if any(asked[name] != self._part("dialect").get(name, AUTO) for name in packed):
            asked = {name: asked[name] for name in packed}
        return dict(asked)

    @property
    def is_other_file(self) -> bool:
        """Whether the file is to be read in another way than the columns were listed by."""
        shown = self._part("dialect")
        return any(str(value) != str(shown.get(name, AUTO)) for name, value in self.dialect.items())

    @property
    def chosen_format(self) -> int | None:
        """The format that was just chosen."""
        text = self.text("format")
        return whole_number(text) if text != str(self.had.get("format") or "") else None

    # --- Columns ----------------------------------------------------------------------

    @cached_property
    def asked(self) -> list[Asked]:
        """The questions of the page, with what is answered by now."""
        found = []
        for one in self.had.get("asked") or ():
            if isinstance(one, dict) and one.get("field") in FIELDS:
                name = str(one["field"])
                given = Asked(
                    name,
                    [str(text) for text in one.get("messages") or ()][:20],
                    [n for n in one.get("candidates") or () if isinstance(n, int)][:COLUMN_LIMIT],
                )
                places = self.places[name]
                if places:
                    given.answer = str(places[0])
                elif self.text(f"where-{name}") == NONE:
                    given.answer = NONE
                found.append(given)
        return found

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """The columns of each field, from 1: a field moves to the column it was last given to."""
        before = {
            name: [n for n in places if isinstance(n, int)]
            for name, places in self._part("fields").items()
            if isinstance(places, list)
        }
        now: dict[str, list[int]] = {name: [] for name in FIELDS}
        for key, value in self.data.items():
            number = whole_number(key.removeprefix("field-")) if key.startswith("field-") else None
            if number is not None and value in now:
                now[str(value)].append(number)
        for name in FIELDS:
            shown = before.get(name, [])
            new = [n for n in now[name] if n not in shown]
            now[name] = new[-1:] or [n for n in shown if n in now[name]]
            self._answer(name, now)
            joined = whole_number(self.text(f"join-{name}"))
            if joined and now[name] and joined not in now[name]:
                now = {one: [n for n in places if n != joined] for one, places in now.items()}
                now[name].append(joined)
        return now

    def _answer(self, name: str, now: dict[str, list[int]]) -> None:
        answer = self.text(f"where-{name}")
        if answer == self._part("where").get(name, ""):
            return
        number = whole_number(answer)
        if number is not None:
            for places in now.values():
                if number in places:
                    places.remove(number)
            now[name] = [number]
        elif answer == NONE:
            now[name] = []

    # --- Rules ------------------------------------------------------------------------

    def rules(self) -> dict[str, Any]:
        """The rules as JSON, columns by number; what is wrong with them, parsing says."""
        columns = [self._rule(name) for name in FIELDS]
        return {
            **self.dialect,
            "blank": {name: value for name in FIELDS if (value := self._blank(name)) is not None},
            "only_if": self._conditions(),
            "columns": [rule for rule in columns if rule],
        }

    def bare_rules(self) -> dict[str, Any]:
        """Only which column is which field."""
        columns = [{"field": n, "columns": places} for n, places in self.places.items() if places]
        return {**self.dialect, "columns": columns}

    def _rule(self, name: str) -> dict[str, Any] | None:
        places, constant = self.places[name], self.text(f"constant-{name}")
        if not places:
            return {"field": name, "constant": constant} if constant.strip() else None
        rule: dict[str, Any] = {"field": name, "columns": places}
        if f"blank-{name}" not in self.data:  # none of its rules was shown
            kept = self._part("kept").get(name)
            return {**kept, **rule} if isinstance(kept, dict) else rule
        moved = name in WRITTEN and places != self._part("fields").get(name)
        if len(places) > 1 and f"separator-{name}" in self.data:
            rule["separator"] = self.text(f"separator-{name}")
        for key in ("decimal", "group", "currency", "factor", "round", "prefix"):
            if moved and key in WRITTEN[name]:
                continue
            if (value := self.text(f"{key}-{name}")).strip():
                rule[key] = value if key in ("prefix", "group") else value.strip()
        for key in ("fill_down", "clean_html"):
            if self.text(f"{key}-{name}"):
                rule[key] = True
        if values := {} if moved and "values" in WRITTEN[name] else self._table(name):
            rule["values"] = values
            if (otherwise := self._outcome(f"otherwise-{name}")) is not None:
                rule["otherwise"] = otherwise
        return rule

    def _blank(self, name: str) -> Any:
        return self._outcome(f"blank-{name}") if self.places[name] else None

    def _outcome(self, key: str) -> Any:
        chosen = self.text(key)
        return {"value": self.text(f"{key}-value")} if chosen == "value" else chosen or None

    def _table(self, name: str) -> dict[str, str]:
        if name == "active" and (table := ACTIVE_TABLES.get(self.text("table-active"))):
            return dict(table)
        values = parse_table(self.text(f"values-{name}"))
        for number in range(WORDS):
            word = self.text(f"word-{name}-{number}")
            meaning = self.text(f"means-{name}-{number}")
            if word.strip() and meaning:
                values[word] = "" if meaning == "blank" else meaning
        return values

    def _conditions(self) -> list[dict[str, Any]]:
        found = []
        for number in range(CONDITIONS):
            column = whole_number(self.text(f"only-column-{number}"))
            if column:
                kind = "is_not" if self.text(f"only-kind-{number}") == "is_not" else "is"
                text = self.text(f"only-words-{number}").replace("\r", "")
                found.append({"column": column, kind: text.rstrip("\n").split("\n")})
        return found


def named(rules: Mapping[str, Any], header: Sequence[str]) -> dict[str, Any]:
    """The same rules with columns by name, where a name is its column's own."""

    def name(column: Any) -> Any:
        fits = isinstance(column, int) and 1 <= column <= len(header)
        return reference(header, column - 1) if fits else column

    return {
        **rules,
        "columns": [
            {**rule, "columns": [name(column) for column in rule["columns"]]}
            if "columns" in rule
            else rule
            for rule in rules.get("columns", ())
        ],
        "only_if": [{**one, "column": name(one["column"])} for one in rules.get("only_if", ())],
    }


def hash_of(header: Sequence[str]) -> str:
    """What tells that the columns are those that the form was made for."""
    return hashlib.sha256("\0".join(header).encode("utf-8", "replace")).hexdigest()[:16]


# --- A table of values as text: a line for each word ------------------------------------


def parse_table(text: str) -> dict[str, str]:
    """``word = value``; a word with signs of its own stands in quotes, as JSON has it."""
    table: dict[str, str] = {}
    decoder = json.JSONDecoder()
    for line in text.replace("\r", "").split("\n"):
        word, _, value = line.partition("=")
        if line.startswith('"'):
            try:
                quoted, end = decoder.raw_decode(line)
            except ValueError:
                pass
            else:
                rest = line[end:].strip()
                word, value = str(quoted), rest.removeprefix("=")
        if word.strip():
            table[word.strip() if not line.startswith('"') else word] = value.strip()
    return table


def table_as_text(table: Mapping[str, str]) -> str:
    return "\n".join(
        f"{json.dumps(word, ensure_ascii=False) if _needs_quotes(word) else word} = {value}"
        for word, value in table.items()
    )


def _needs_quotes(word: str) -> bool:
    return "=" in word or word != word.strip() or word.startswith('"') or "\n" in word
