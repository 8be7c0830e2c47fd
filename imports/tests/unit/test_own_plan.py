"""What rules make of the columns of own fields."""

import json
from typing import Any

import pytest

from catalog.field_values import Definition
from imports.mapping.rules import RulesError, parse_rules
from imports.mapping.values import Cleaned, compile_plan

STOCK = Definition("stock", "Stock", "integer")
BRAND = Definition("brand", "Brand", "text")
SKU = {"column": "SKU", "field": "sku"}


def clean(cell: str, rule: dict[str, Any], blank: object = "clear", *more: str) -> Cleaned:
    named = {} if more else {"column": "X"}
    rules = {"columns": [SKU, {**named, **rule}], "blank": {rule["field"]: blank}}
    plan = compile_plan(parse_rules(rules), ["SKU", "X", "Y"], {"stock": STOCK, "brand": BRAND})
    return plan.clean(["A", cell, *(more or ("",))])


def test_a_word_that_stands_for_a_blank_does_what_blanks_do() -> None:
    table = {"field": "fields.stock", "values": {"unknown": ""}}
    assert json.loads(clean("unknown", table).own) == {"stock": None}
    assert json.loads(clean("unknown", table, "keep").own) == {}
    assert [p.code for p in clean("unknown", table, "refuse").problems] == ["blank_field"]
    assert json.loads(clean("unknown", table, {"value": "3"}).own) == {"stock": 3}


def test_a_number_is_none_of_the_words_that_a_table_may_not_know() -> None:
    table = {"field": "fields.stock", "values": {"plenty": "100"}, "otherwise": {"value": "0"}}
    assert json.loads(clean("25", table).own) == {"stock": 25}
    assert json.loads(clean("none", table).own) == {"stock": 0}
    assert [p.code for p in clean("25 or so", table).problems] == ["invalid_field"]


def test_an_error_of_a_spreadsheet_is_no_part_of_a_joined_text() -> None:
    joined = {"field": "fields.brand", "columns": ["X", "Y"]}
    assert json.loads(clean("Acme", joined, "clear", "red").own) == {"brand": "Acme red"}
    assert [p.code for p in clean("#N/A", joined, "clear", "red").problems] == ["spreadsheet_error"]


@pytest.mark.parametrize(
    ("rule", "blank"),
    [
        ({"field": "fields.stock"}, {"value": "many"}),
        (
            {"field": "fields.stock", "values": {"a": "1"}, "otherwise": {"value": "many"}},
            "clear",
        ),
    ],
)
def test_a_value_that_the_field_does_not_take_is_named_with_the_rules(
    rule: dict[str, Any], blank: object
) -> None:
    with pytest.raises(RulesError, match="“many” is not a whole number"):
        clean("", rule, blank)
