"""The form of the matching page: what is posted -> rules, and what of it has just been changed.

Columns are posted by number (``field-3`` is the field of the third column), and a field's rules by
its name (``decimal-price``, ``decimal-fields.stock``). ``had`` tells what the form showed before,
so that the one choice that was changed is told from those that were there.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from catalog.field_values import Definition
from catalog.values import FIELDS
from imports.mapping.cells.words import ACTIVE_TABLES
from imports.mapping.model import OWN_PREFIX, reference
from imports.mapping.rule_parts import COLUMN_LIMIT
from imports.mapping.rules import AUTO
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
WRITTEN_OWN = ("decimal", "group", "currency", "date", "values")
NONE = "none"  # no column has this field
SAME = ("sku", "name")  # fields that may be read from a column that another field has as well
NEW = "new"  # a field is to be made of this column


@dataclass
class Asked:
    """A question about which column a field comes from.

    ``candidates`` are columns from 1, ``answer`` one of them as text, ``none`` or blank.
    """

    field: str
    messages: list[str]
    candidates: list[int] = dataclasses.field(default_factory=list)
    answer: str = ""
    label: str = ""

    @property
    def title(self) -> str:
        if self.field == "active":
            return "Which column says what is active?"
        return f"Which column is the {self.label or LABELS[self.field]}?"

    def as_json(self) -> dict[str, Any]:
        return {"field": self.field, "messages": self.messages, "candidates": self.candidates}


@dataclass
class Posted:
    """The form as it was sent. Nothing of it is trusted: what is odd is left out.

    ``own`` are the own fields that there are, by key.
    """

    data: Mapping[str, str]
    own: Mapping[str, Definition] = dataclasses.field(default_factory=dict)

    @cached_property
    def labels(self) -> dict[str, str]:
        """All fields that a column may be: their names in rules, and what people call them."""
        return labels_of(self.own)

    @property
    def gone(self) -> list[str]:
        """Own fields that were chosen, and that have been retired or deleted meanwhile."""
        chosen = (v for k, v in self.data.items() if k == "key" or k.startswith("field-"))
        own = (str(value) for value in chosen if str(value).startswith(OWN_PREFIX))
        return list(dict.fromkeys(name for name in own if name not in self.labels))

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
            if isinstance(one, dict) and one.get("field") in self.labels:
                name = str(one["field"])
                given = Asked(
                    name,
                    [str(text) for text in one.get("messages") or ()][:20],
                    [n for n in one.get("candidates") or () if isinstance(n, int)][:COLUMN_LIMIT],
                    label=self.labels[name],
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
        now: dict[str, list[int]] = {name: [] for name in self.labels}
        for key, value in self.data.items():
            number = whole_number(key.removeprefix("field-")) if key.startswith("field-") else None
            if number is not None and value in now:
                now[str(value)].append(number)
        for name in self.labels:
            shown = before.get(name, [])
            new = [n for n in now[name] if n not in shown]
            now[name] = new[-1:] or [n for n in shown if n in now[name]]
            answered = self._answer(name, now)
            same = whole_number(self.text(f"same-{name}")) if name in SAME else None
            if same and not new and not answered and same not in now[name]:
                now[name].insert(0, same)
            joined = whole_number(self.text(f"join-{name}"))
            if joined and now[name] and joined not in now[name]:
                now = {one: [n for n in places if n != joined] for one, places in now.items()}
                now[name].append(joined)
        return now

    def _answer(self, name: str, now: dict[str, list[int]]) -> bool:
        """Put a field where its question was just answered; whether it was."""
        answer = self.text(f"where-{name}")
        if answer == self._part("where").get(name, ""):
            return False
        number = whole_number(answer)
        if number is not None:
            for places in now.values():
                if number in places:
                    places.remove(number)
            now[name] = [number]
        elif answer == NONE:
            now[name] = []
        return bool(answer)

    # --- Rules ------------------------------------------------------------------------

    def rules(self) -> dict[str, Any]:
        """The rules as JSON, columns by number; what is wrong with them, parsing says."""
        columns = [self._rule(name) for name in self.labels]
        blanks = ((name, self._blank(name)) for name in self.labels)
        return {
            **self.dialect,
            **self.key,
            "blank": {name: value for name, value in blanks if value is not None},
            "only_if": self._conditions(),
            "columns": [rule for rule in columns if rule],
        }

    def bare_rules(self) -> dict[str, Any]:
        """Only which column is which field."""
        columns = [{"field": n, "columns": places} for n, places in self.places.items() if places]
        return {**self.dialect, **self.key, "columns": columns}

    @property
    def key(self) -> dict[str, Any]:
        """Which field products are found by, and what becomes of those that are not found."""
        key = self.text("key")
        if key not in self.labels or key in FIELDS:
            return {}
        return {
            "key": key,
            "key_within": self.text("key_within") or "catalogue",
            "no_match": self.text("no_match") or "refuse",
        }

    @property
    def new(self) -> list[int]:
        """The columns, from 1, that a field is to be made of."""
        numbers = (whole_number(k.removeprefix("field-")) for k, v in self.data.items() if v == NEW)
        return [number for number in numbers if number]

    def _rule(self, name: str) -> dict[str, Any] | None:
        places, constant = self.places[name], self.text(f"constant-{name}")
        if not places:
            return {"field": name, "constant": constant} if constant.strip() else None
        rule: dict[str, Any] = {"field": name, "columns": places}
        if f"blank-{name}" not in self.data:  # none of its rules was shown
            kept = self._part("kept").get(name)
            rule |= self._once(name, places)
            return {**kept, **rule} if isinstance(kept, dict) else rule
        written = WRITTEN_OWN if name not in FIELDS else WRITTEN.get(name, ())
        moved = bool(written) and places != self._part("fields").get(name)
        if len(places) > 1 and f"separator-{name}" in self.data:
            rule["separator"] = self.text(f"separator-{name}")
        for key in ("decimal", "group", "currency", "factor", "round", "prefix", "date"):
            if moved and key in written:
                continue
            if (value := self.text(f"{key}-{name}")).strip():
                rule[key] = value if key in ("prefix", "group") else value.strip()
        for key in ("fill_down", "clean_html"):
            if self.text(f"{key}-{name}") or self.text(f"lines-{name}") == key:
                rule[key] = True
        within = whole_number(self.text(f"within-{name}"))
        if within and "fill_down" in rule:
            rule["within"] = within
        otherwise = self._outcome(f"otherwise-{name}")
        if values := {} if moved and "values" in written else self._table(name):
            rule["values"] = values
        if otherwise is not None and (values or otherwise == "add"):
            rule["otherwise"] = otherwise
        return rule

    def _once(self, name: str, places: list[int]) -> dict[str, Any]:
        """Filled down, where only the first of a product's lines has an own field's columns."""
        once, within = self._part("once").get("columns"), self._part("once").get("within")
        if name in FIELDS or not isinstance(once, list) or not isinstance(within, int):
            return {}
        return {"fill_down": True, "within": within} if set(places) <= set(once) else {}

    def _blank(self, name: str) -> Any:
        if not self.places[name]:
            return None
        lines = self.text(f"lines-{name}")  # what becomes of a product's further lines
        return lines if lines in ("keep", "refuse") else self._outcome(f"blank-{name}")

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


def labels_of(own: Mapping[str, Definition]) -> dict[str, str]:
    """All fields that there are: their names in rules, and what people call them."""
    return {**LABELS, **{OWN_PREFIX + key: one.label for key, one in own.items()}}


def named(rules: Mapping[str, Any], header: Sequence[str]) -> dict[str, Any]:
    """The same rules with columns by name, where a name is its column's own."""

    def name(column: Any) -> Any:
        fits = isinstance(column, int) and 1 <= column <= len(header)
        return reference(header, column - 1) if fits else column

    def with_names(rule: Mapping[str, Any]) -> dict[str, Any]:
        columns = {"columns": [name(one) for one in rule["columns"]]} if "columns" in rule else {}
        within = {"within": name(rule["within"])} if "within" in rule else {}
        return {**rule, **columns, **within}

    return {
        **rules,
        "columns": [with_names(rule) for rule in rules.get("columns", ())],
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
