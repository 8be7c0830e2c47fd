"""A format as a file of JSON: its dialect in the words of the Frictionless Table Dialect.

https://datapackage.org/standard/table-dialect/ names ``delimiter``, ``quoteChar``, ``header``,
``headerRows``, ``sheetName`` and ``sheetNumber``. What is found out by itself is left out there.
"""

from collections.abc import Mapping
from typing import Any

from imports.mapping.rules import AUTO, Rules, RulesError, rules_as_json

KNOWN = ("delimiter", "quoteChar", "header", "headerRows", "sheetName", "sheetNumber")


def dialect_of(rules: Rules) -> dict[str, Any]:
    """The part of rules that a table dialect has words for."""
    dialect: dict[str, Any] = {}
    if rules.delimiter != AUTO:
        dialect["delimiter"] = rules.delimiter
    if rules.quote != AUTO:
        dialect["quoteChar"] = rules.quote
    if rules.header_line == 0:
        dialect["header"] = False
    elif rules.header_line != AUTO:
        dialect["headerRows"] = [rules.header_line]
    if rules.sheet != AUTO:
        dialect["sheetNumber" if isinstance(rules.sheet, int) else "sheetName"] = rules.sheet
    return dialect


def other_rules(rules: Rules) -> dict[str, Any]:
    """The rules that it has no words for, as JSON."""
    data = rules_as_json(rules)
    return {
        name: value
        for name, value in data.items()
        if name in ("member", "blank", "only_if", "columns") and value not in (AUTO, {}, [])
    }


def rules_of(dialect: Mapping[str, Any], encoding: str | None, others: Mapping[str, Any]) -> Any:
    """Rules as JSON, of what ``dialect_of`` and ``other_rules`` gave.

    Raises ``RulesError`` for words of a dialect that mean nothing here.
    """
    problems = [
        f"dialect: “{str(name)[:60]}” is not known here. There are: {', '.join(KNOWN)}."
        for name in dialect
        if name not in KNOWN
    ]
    rows = dialect.get("headerRows")
    if rows is not None and not (isinstance(rows, list) and len(rows) == 1):
        problems.append("dialect.headerRows: It has to be a list with the number of one line.")
    if problems:
        raise RulesError(problems)
    rules = dict(others)
    given = {
        "encoding": encoding,
        "delimiter": dialect.get("delimiter"),
        "quote": dialect.get("quoteChar"),
        "header_line": 0 if dialect.get("header") is False else rows and rows[0],
        "sheet": dialect.get("sheetName", dialect.get("sheetNumber")),
    }
    return rules | {name: value for name, value in given.items() if value is not None}
