"""What the matching page shows: the file, its columns with their rules, the first records."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from catalog.values import FIELDS
from imports.mapping.cells.words import ACTIVE_TABLES
from imports.mapping.model import OWN_PREFIX
from imports.mapping.own import KEYS
from imports.mapping.rules import folded
from imports.models import ImportJob, Supplier
from imports.queries.formats import CHOICES, formats_by_supplier
from imports.views.mapping.editor import Editor
from imports.views.mapping.file import FileChoices
from imports.views.mapping.form import (
    CONDITIONS,
    NEW,
    SAME,
    WORDS,
    Asked,
    Posted,
    hash_of,
)
from imports.views.mapping.new_fields import NewField
from imports.views.mapping.questions import TOLD, field_of, is_which
from imports.views.mapping.records import records

ACTIVE_MEANINGS = [
    ("", "is not in the table"),
    ("true", "Active"),
    ("false", "Inactive"),
    ("blank", "as a blank cell"),
]
CHOSEN = "It was chosen."
SHORT = {
    "It has the field's own name.": "same name",
    "It was chosen before for this supplier.": "as last time",
    "It is a usual name for it.": "a usual name for it",
    "It was chosen before for another file.": "as in another file",
}
WRITTEN_ASKED = ("unclear_decimal", "unclear_date")
MANY = 60  # columns from which on those that hardly say anything are folded away
LIKELY = 0.6  # a suggestion's score: its name says so
SAMPLES = 3
COLUMN_SHOWN = 200  # characters of a column's name in a list


@dataclass
class Page:
    """``shown`` as ``queries.mapping.preview`` gives it; ``rules`` have columns by number."""

    job: ImportJob
    shown: dict[str, Any]
    rules: dict[str, Any]
    asked: list[Asked]
    posted: Posted
    first: list[int]
    errors: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    once: dict[str, Any] = field(default_factory=dict)
    may_add_fields: bool = False
    _options_made: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        return self.posted.labels

    @property
    def file(self) -> FileChoices:
        """What can be chosen of how the file is read."""
        return FileChoices(self.shown, self.rules)

    def context(self) -> dict[str, Any]:
        rows = records(self.shown, self._read(), self.places(), self.posted.own)
        fields = self.places()
        conditions = self.conditions()
        refused = sum(row.refused for row in rows)
        left_out = sum(row.skipped for row in rows)
        suppliers = Supplier.objects.order_by("name").values_list("name", flat=True)
        return {
            "title": f"Match columns: {self.job.file_name}",
            "job": self.job,
            "had": self._had(fields),
            "header": hash_of(self.header),
            "first": ",".join(map(str, self.first)),
            "file_choices": self.file.choices(),
            "formats": formats_by_supplier(),
            "read_as": self.shown.get("format"),
            "format_id": self._format_id(),
            "notes": [n for n in self.shown.get("notes", ()) if not n.startswith(SEEN)],
            "asked": [(one, self._candidates(one)) for one in self.asked],
            "questions": self.other_questions(),
            "decimal": self._decimal(fields),
            "open": self.open_questions(),
            "columns": self.columns(fields),
            "column_names": self._names(),
            "constants": self.constants(fields),
            "same": self.same(fields),
            "conditions": conditions,
            "records": rows,
            "read_fields": [self.labels.get(name, name) for name in self._read()],
            "keys": self._keys(),
            "key": self.rules.get("key", "sku"),
            "key_within": self.rules.get("key_within", "catalogue"),
            "no_match": self.rules.get("no_match", "refuse"),
            "to_keep": self.to_keep(),
            "well": len(rows) - refused - left_out,
            "refused": refused,
            "left_out": left_out,
            "errors": self.errors,
            "suppliers": suppliers[:CHOICES],
            "remember": self._remember(),
            "tables": list(ACTIVE_TABLES),
            "active_constants": [("", "no value"), ("true", "Active"), ("false", "Inactive")],
            "active_meanings": ACTIVE_MEANINGS,
        }

    def _had(self, fields: dict[str, list[int]]) -> str:
        return json.dumps(
            {
                "fields": fields,
                "dialect": self.file.rules(),
                "format": self._format_id(),
                "where": {one.field: one.answer for one in self.asked},
                "asked": [one.as_json() for one in self.asked],
                "header": hash_of(self.header),
                "because": self._reasons(fields),
                "keep": [new.number for new in self.to_keep()],
                "kept": self.kept or self.posted.had.get("kept", {}),
                "once": self.once or self.posted.had.get("once", {}),
            }
        )

    @property
    def header(self) -> list[str]:
        return [column["name"] for column in self.shown.get("columns", ())]

    def _names(self) -> list[tuple[int, str]]:
        return [(n, name_of(n, name)[:60]) for n, name in enumerate(self.header, start=1)]

    def places(self) -> dict[str, list[int]]:
        return {rule["field"]: list(rule.get("columns", ())) for rule in self.rules["columns"]}

    def _rule(self, name: str) -> dict[str, Any]:
        return next((rule for rule in self.rules["columns"] if rule["field"] == name), {})

    def _read(self) -> list[str]:
        by_key = self.rules.get("key", "sku") != "sku"
        return [n for n in self.labels if self._rule(n) or (n == "sku" and by_key)]

    def _keys(self) -> list[tuple[str, str]]:
        """The fields that products may be found by; none where the SKU is the only one."""
        own = [
            (OWN_PREFIX + k, one.label) for k, one in self.posted.own.items() if one.type in KEYS
        ]
        return [("sku", "SKU"), *own] if own else []

    def _field_options(self, chosen: str) -> Any:
        """The fields to choose from, by the one that is chosen: there may be 500 such lists."""
        if chosen not in self._options_made:
            new = [(NEW, "New field …")] if self.may_add_fields else []
            listed = (("", "leave out"), *self.labels.items(), *new)
            self._options_made[chosen] = format_html_join(
                "",
                '<option value="{}"{}>{}</option>',
                ((n, mark_safe(" selected") if n == chosen else "", text) for n, text in listed),
            )
        return self._options_made[chosen]

    def to_keep(self) -> list[NewField]:
        """The columns that nothing reads, as the fields that could be made of them."""
        if not self.may_add_fields:
            return []
        new = self.posted.new
        columns = self.shown.get("columns", ())
        taken = {number for places in self.places().values() for number in places}
        return [
            NewField.of(column, self.posted)
            for column in columns
            if column.get("proposed_field") and column["index"] not in (*new, *taken)
        ]

    def _decimal(self, fields: dict[str, list[int]]) -> str | None:
        """The decimal mark of the price; ``None`` where there is none to choose, or it is asked."""
        asks = any(q["code"] == "unclear_decimal" for q in self.shown.get("questions", ()))
        if asks or not fields.get("price"):
            return None
        return str(self._rule("price").get("decimal") or "")

    # Questions

    def _candidates(self, asked: Asked) -> list[dict[str, Any]]:
        columns = self.shown.get("columns", ())
        return [
            {
                "number": str(number),
                "name": name_of(number, columns[number - 1]["name"]),
                "samples": columns[number - 1]["samples"][:SAMPLES],
            }
            for number in asked.candidates
            if 0 < number <= len(columns)
        ]

    def other_questions(self) -> list[dict[str, Any]]:
        """Those that a rule answers; each leads to the row where the rule is."""
        found = []
        answered = {one.field for one in self.asked}
        for question in self.shown.get("questions", ()):
            name = self._field_of(question)
            if name in answered and is_which(question) and not self._rule(name):
                continue  # a list to choose from says it
            place = next(
                (n for n, text in enumerate(self.header, start=1) if text == question["column"]), 0
            )
            found.append({**question, "place": place, "field": name})
        return found

    def _field_of(self, question: Mapping[str, Any]) -> str:
        return field_of(question, self.shown, self.job)

    def open_questions(self) -> int:
        return sum(not one.answer for one in self.asked) + sum(
            question["code"] not in TOLD for question in self.other_questions()
        )

    # Columns

    def columns(self, fields: dict[str, list[int]]) -> dict[str, Any]:
        of = {number: name for name, places in fields.items() for number in places}
        asks = {question["place"] for question in self.other_questions()}
        new = self.posted.new if self.may_add_fields else []
        rows = []
        for column in self.shown.get("columns", ()):
            number = column["index"]
            chosen = of.get(number, "")
            main = bool(chosen) and fields[chosen][0] == number
            rows.append(
                {
                    "number": str(number),
                    "name": name_of(number, column["name"])[:COLUMN_SHOWN],
                    "samples": column["samples"][:SAMPLES],
                    "field": chosen,
                    "options": self._field_options(NEW if not chosen and number in new else chosen),
                    "new": NewField.of(column, self.posted)
                    if not chosen and number in new
                    else None,
                    "because": self._because(column, chosen),
                    "suggestion": self._suggestion(column) if not chosen else "",
                    "likely": any(one["score"] >= LIKELY for one in column["suggestions"]),
                    "editor": self.editor(chosen) if main else None,
                    "asks": number in asks,
                    "first": number in self.first,
                }
            )
        order = {number: place for place, number in enumerate(self.first)}
        rows.sort(key=lambda row: order.get(int(row["number"]), len(order)))
        told = [r for r in rows if r["field"] or r["likely"] or r["first"]]
        if len(rows) <= MANY or len(told) == len(rows):
            return {"shown": rows, "folded": []}
        return {"shown": told, "folded": [r for r in rows if r not in told]}

    def _because(self, column: Mapping[str, Any], chosen: str) -> str:
        """Why a column is what it is; what was there before is still for the same reason."""
        number = column["index"]
        if not chosen or chosen != column["field"]:
            return ""
        if column["because"] != CHOSEN:
            return SHORT.get(column["because"], str(column["because"]))
        before = self.posted.had.get("fields")
        if isinstance(before, dict) and number in (before.get(chosen) or ()):
            reasons = self.posted.had.get("because")
            return str(reasons.get(str(number), "")) if isinstance(reasons, dict) else ""
        return ""

    def _reasons(self, fields: dict[str, list[int]]) -> dict[str, str]:
        of = {number: name for name, places in fields.items() for number in places}
        reasons = {
            str(column["index"]): self._because(column, of.get(column["index"], ""))
            for column in self.shown.get("columns", ())
        }
        return {number: text for number, text in reasons.items() if text}

    def editor(self, name: str) -> Editor:
        rule = self._rule(name)
        taken = set(rule.get("columns", ()))
        return Editor(
            name,
            rule,
            self.rules.get("blank", {}).get(name),
            words=self._words(name, rule) if name == "active" else [],
            label=self.labels.get(name, name),
            joinable=[pair for pair in self._names() if pair[0] not in taken],
            own=self.posted.own.get(name.removeprefix(OWN_PREFIX)),
            is_key=name == self.rules.get("key"),
            asks=any(
                question["field"] == name and question["code"] in WRITTEN_ASKED
                for question in self.other_questions()
            ),
        )

    def _suggestion(self, column: Mapping[str, Any]) -> str:
        best = next(iter(column["suggestions"]), None)
        if best is None:
            return ""
        name = best["field"]
        if name == "active":
            return "may say what is active"
        return f"may be the {self.labels.get(name, name)}"

    def _words(self, name: str, rule: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The words of a column, and what each means: those of the table, and others it has."""
        table = rule.get("values", {})
        values = {folded(word): (word, str(value)) for word, value in table.items()}
        words = [(word, value or "blank") for word, value in values.values()]
        seen = [record["raw"].get(name, "") for record in self.shown.get("preview", ())]
        for number in rule.get("columns", ())[:1] if self.header else ():
            seen += self.shown["columns"][number - 1]["samples"]
        for word in seen:
            if word.strip() and folded(word) not in values:
                values[folded(word)] = (word, "")
                words.append((word.strip(), ""))
        return words[: WORDS - 1]

    def constants(self, fields: dict[str, list[int]]) -> list[dict[str, str]]:
        names = [n for n in self.labels if n in FIELDS or "constant" in self._rule(n)]
        return [
            {"name": n, "label": self.labels[n], "value": str(self._rule(n).get("constant") or "")}
            for n in names
            if n != "sku" and not fields.get(n)
        ]

    def same(self, fields: dict[str, list[int]]) -> list[dict[str, Any]]:
        """The fields that have no column of their own, and whose column they share if any."""
        of = {number: name for name, places in fields.items() for number in places}
        asked = {one.field for one in self.asked}
        found = []
        for name in SAME if self.header else ():
            first = next(iter(fields.get(name, ())), 0)
            if of.get(first) != name:
                found.append(
                    {
                        "name": name,
                        "label": self.labels[name],
                        "value": first,
                        "editor": self.editor(name) if first else None,
                        "asked": name in asked,
                    }
                )
        return found

    def conditions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {
                "column": str(one["column"]),
                "kind": "is_not" if "is_not" in one else "is",
                # HTML drops the line break that a text area begins with.
                "words": "\n" + "\n".join(sorted(one.get("is_not") or one.get("is"), key=bool)),
            }
            for one in self.rules.get("only_if", ())
        ]
        return [*found, {"column": "", "kind": "is", "words": ""}][:CONDITIONS]

    # Remembering

    def _format_id(self) -> str:
        if (chosen := self.posted.text("format")) and not self.shown.get("format"):
            return str(chosen)
        found = self.shown.get("format")
        return str(found["id"]) if found else ""

    def _remember(self) -> dict[str, str]:
        if "supplier" in self.posted.data and self.posted.chosen_format is None:
            return {name: self.posted.text(name) for name in ("supplier", "format_name")}
        found = self.shown.get("format") or {}
        if found.get("supplier"):
            return {"supplier": found["supplier"], "format_name": found["name"]}
        supplier = self.job.supplier.name if self.job.supplier else ""
        return {"supplier": supplier, "format_name": format_name(self.job.file_name)}


SEEN = ("Read: ", "Columns that the catalogue does not know")  # the list of columns shows it


def name_of(number: int, name: str) -> str:
    return name.strip() or f"column {number}"


def numbered(rules: Mapping[str, Any], header: Sequence[str]) -> dict[str, Any]:
    """Rules with columns by number."""

    def number(column: Any) -> int:
        if isinstance(column, int):
            return column
        exact = [n for n, name in enumerate(header, start=1) if name == column]
        like = [n for n, name in enumerate(header, start=1) if folded(name) == folded(column)]
        return (exact or like or [1])[0]

    columns = []
    for rule in rules.get("columns", ()):
        one = dict(rule)
        if "column" in one:
            one["columns"] = [one.pop("column")]
        if "columns" in one:
            one["columns"] = [number(column) for column in one["columns"]]
        if "within" in one:
            one["within"] = number(one["within"])
        columns.append(one)
    conditions = [{**one, "column": number(one["column"])} for one in rules.get("only_if", ())]
    return {**rules, "columns": columns, "only_if": conditions}


def format_name(file_name: str) -> str:
    """A name for a format out of a file's: without what differs from week to week."""
    stem = file_name.rsplit("/")[-1].split(".")[0]
    words = re.sub(r"[\W\d_]+", " ", stem).strip()
    return words[:60] or "price list"
