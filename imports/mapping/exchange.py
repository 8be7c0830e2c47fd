"""Formats as JSON files, to keep and to pass on.

What says how a table is written has the names of the Frictionless Table Dialect
(https://specs.frictionlessdata.io/table-dialect/): ``delimiter``, ``quoteChar``, ``header``,
``headerRows``, ``sheetName``, ``sheetNumber``. All else is as in the rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from imports.mapping.rules import AUTO, Rules, RulesError, parse_rules, rules_as_json

OWN = ("encoding", "member")
KEPT = ("key", "key_within", "no_match", "blank", "only_if", "columns")


class FormatFile(NamedTuple):
    """``rules`` as ``rules_as_json`` gives them."""

    name: str
    rules: dict[str, Any]
    columns: list[str]


def format_as_file(
    name: str, rules: Rules, columns: Sequence[str], **told: object
) -> dict[str, Any]:
    """A format as JSON; ``told`` is beside it for people, and is not read back."""
    data = rules_as_json(rules)
    dialect: dict[str, Any] = {}
    if rules.delimiter != AUTO:
        dialect["delimiter"] = rules.delimiter
    if rules.quote != AUTO:
        dialect["quoteChar"] = rules.quote
    if rules.header_line != AUTO:
        dialect["header"] = rules.header_line != 0
        if rules.header_line:
            dialect["headerRows"] = [rules.header_line]
    if rules.sheet != AUTO:
        dialect["sheetNumber" if isinstance(rules.sheet, int) else "sheetName"] = rules.sheet
    return {
        "name": name,
        **told,
        **{key: data[key] for key in OWN if data[key] != AUTO},
        "dialect": dialect,
        "columns": list(columns),
        "rules": {key: data[key] for key in KEPT if key in data},
    }


def format_from_file(data: object) -> FormatFile:
    """Read such a file back. Raises ``RulesError`` with all that is wrong with it."""
    if not isinstance(data, dict):
        raise RulesError(["The file holds no format: it has to be a JSON object."])
    name, columns, rules = data.get("name", ""), data.get("columns", []), data.get("rules", {})
    dialect = data.get("dialect", {})
    problems = []
    if not isinstance(name, str):
        problems.append("name: It has to be a text.")
    if not isinstance(columns, list) or not all(isinstance(one, str) for one in columns):
        problems.append("columns: It has to be a list of names.")
    if not isinstance(rules, dict) or not isinstance(dialect, dict):
        problems.append("rules and dialect: Each has to be an object.")
    if problems:
        raise RulesError(problems)
    given = {**rules, **_dialect(dialect), **{key: data[key] for key in OWN if key in data}}
    return FormatFile(name, rules_as_json(parse_rules(given)), columns)


def _dialect(dialect: Mapping[str, Any]) -> dict[str, Any]:
    """The rules that a table dialect's own names stand for."""
    found: dict[str, Any] = {}
    for name, rule in (
        ("delimiter", "delimiter"),
        ("quoteChar", "quote"),
        ("sheetName", "sheet"),
        ("sheetNumber", "sheet"),
    ):
        if name in dialect:
            found[rule] = dialect[name]
    rows = dialect.get("headerRows")
    if dialect.get("header") is False:
        found["header_line"] = 0
    elif isinstance(rows, list) and rows:
        found["header_line"] = rows[-1]
    return found
