"""What the matching page asks: which column a field comes from, by what the matching left open."""

from collections.abc import Mapping, Sequence
from typing import Any

from imports.mapping.matching.table import meaning
from imports.mapping.ready_made import SHOPIFY_HANDLE, is_once_in_shopify
from imports.models import Format, ImportJob
from imports.queries.formats import is_shopify
from imports.views.mapping.form import Asked

# About which column a field comes from: to be answered before the file is read.
WHICH = {"unclear_price": "price", "unclear_name": "name", "unclear_active": "active"}
WHICH |= {"no_sku": "sku", "no_header": "sku"}
TOLD = ("wrong_rules", "changed_columns")  # which only a person's look answers


def field_of(question: Mapping[str, Any], shown: Mapping[str, Any], job: ImportJob) -> str:
    """The field that a question is about; blank where it is about none, or about several."""
    code, column = question["code"], question["column"]
    if code in WHICH:
        return WHICH[code]
    if code == "blank_names":
        return "name"
    columns = [one for one in shown.get("columns", ()) if one["name"] == column]
    if code in ("unclear_decimal", "unclear_date"):
        return next((one["field"] for one in columns if one["field"]), "price")
    if code == "two_columns":
        return next((one["field"] for one in columns if one["field"]), "price")
    if code == "changed_columns":
        if columns:
            return meaning(column)
        for rule in _format_rules(shown):
            if column in (rule.get("column"), *rule.get("columns", ())):
                return str(rule["field"])
    return ""


def _format_rules(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules for columns of the format that a file is read as."""
    found = shown.get("format")
    known = Format.objects.filter(pk=found["id"]).first() if found else None
    return list(known.rules.get("columns", ())) if known else []


def kept_rules(shown: Mapping[str, Any], asked: Sequence[Asked]) -> dict[str, dict[str, Any]]:
    """How the format reads the fields whose columns are asked for, whichever these are now."""
    names = {one.field for one in asked}
    where = ("field", "column", "columns", "separator", "constant")
    return {
        rule["field"]: {key: value for key, value in rule.items() if key not in where}
        for rule in _format_rules(shown)
        if rule["field"] in names
    }


def once_in_lines(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Which columns only the first line of a product has, and which one tells its lines, if the
    file is of Shopify."""
    chosen = shown.get("format")
    found = Format.objects.filter(pk=chosen["id"]).first() if chosen else None
    header = [column["name"] for column in shown.get("columns", ())]
    if found is None or not is_shopify(found) or SHOPIFY_HANDLE not in header:
        return {}
    once = [number for number, name in enumerate(header, start=1) if is_once_in_shopify(name)]
    return {"columns": once, "within": header.index(SHOPIFY_HANDLE) + 1}


def is_which(question: Mapping[str, Any]) -> bool:
    """Whether a question is which column a field comes from."""
    return question["code"] in WHICH or question["code"] in ("two_columns", "changed_columns")


def ask_which(shown: Mapping[str, Any], job: ImportJob, labels: Mapping[str, str]) -> list[Asked]:
    """The questions about which column a field comes from, one for each field."""
    asked: dict[str, Asked] = {}
    for question in shown.get("questions", ()):
        name = field_of(question, shown, job)
        if name and is_which(question):
            one = asked.setdefault(name, Asked(name, [], label=labels.get(name, name)))
            one.messages.append(question["message"])
    for name, one in asked.items():
        for column in shown.get("columns", ()):
            suggested = [suggestion["field"] for suggestion in column["suggestions"]]
            if column["field"] == name or name in suggested:
                one.candidates.append(column["index"])
    return list(asked.values())


def first_places(shown: Mapping[str, Any], asked: Sequence[Asked]) -> list[int]:
    """The columns that are not clear, which stand first."""
    named = {question["column"] for question in shown.get("questions", ())}
    places = [n for one in asked for n in one.candidates]
    places += [one["index"] for one in shown.get("columns", ()) if one["name"] in named]
    return list(dict.fromkeys(places))
