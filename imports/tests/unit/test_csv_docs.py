"""Every example of a rule in docs/csv.md does what stands beside it."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from catalog.field_values import Definition
from imports.mapping.model import OWN_PREFIX
from imports.mapping.rules import ColumnRule, Rules, parse_rules
from imports.mapping.values import FIELD_BITS, compile_plan

# The fields of one's own that the examples are about.
OWN = {
    "since": Definition("since", "Since", "date"),
    "colour": Definition("colour", "Colour", "choice", choices=("Red", "Blue")),
}

_example = re.compile(r"```json\n([^`]*)```\n\n((?:\|[^\n]*\n)+)")


@dataclass(frozen=True)
class Example:
    rules: dict[str, Any]
    header: list[str]
    records: list[list[str]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def examples() -> list[Example]:
    text = (Path(settings.BASE_DIR) / "docs" / "csv.md").read_text(encoding="utf-8")
    found = []
    for rules, table in _example.findall(text):
        header, _, *records = map(_cells, table.splitlines())
        found.append(Example(json.loads(rules), header, records))
    return found


def compared(value: str, name: str) -> object:
    if name == "active":
        return {"true": "t", "false": "f"}.get(value, value)
    return Decimal(value) if name == "price" and value else value


@pytest.mark.parametrize("example", examples(), ids=lambda e: json.dumps(e.rules)[:70])
def test_the_example_is_true(example: Example) -> None:
    columns = [name for name in example.header if not name.startswith("→")]
    fields = [name.removeprefix("→ ") for name in example.header[len(columns) :]]
    rules = example.rules
    if "sku" not in fields:
        rules = rules | {"columns": [{"column": "SKU", "field": "sku"}, *rules["columns"]]}
    plan = compile_plan(parse_rules(rules), [*columns, "SKU"], OWN)
    for record in example.records:
        given = [cell.strip("`") for cell in record[: len(columns)]]
        cleaned = plan.clean([*given, "A-1"])
        for name, cell in zip(fields, record[len(columns) :], strict=True):
            if cell == "*left out*":
                assert cleaned.left_out, record
            elif cell == "*refused*":
                assert cleaned.problems, record
            elif cell == "*kept*":
                assert cleaned.kept & FIELD_BITS[name], record
            else:
                assert not cleaned.problems, (record, cleaned.problems)
                value = "" if cell == "*blank*" else cell.strip("`")
                if name.startswith(OWN_PREFIX):
                    own = json.loads(cleaned.own)
                    assert own[name.removeprefix(OWN_PREFIX)] == value, record
                    continue
                assert compared(cleaned.values[name], name) == compared(value, name), record


def test_every_rule_has_an_example() -> None:
    told = json.dumps([example.rules for example in examples()])
    text = (Path(settings.BASE_DIR) / "docs" / "csv.md").read_text(encoding="utf-8")
    for name in (*Rules.__dataclass_fields__, *ColumnRule.__dataclass_fields__):
        assert f'"{name}"' in told or f"`{name}`" in text or f'"{name}"' in text, name
