"""What rules make of the columns of own fields."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.field_values import Definition
from imports.mapping.own import OwnPlan
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


# --- The quick way --------------------------------------------------------------------

DEFINITIONS = {
    "text": BRAND,
    "unique text": Definition("mpn", "MPN", "text", unique=True),
    "integer": STOCK,
    "decimal": Definition("weight", "Weight", "decimal", scale=3),
    "no decimals": Definition("pieces", "Pieces", "decimal", scale=0),
    "money": Definition("cost", "Cost", "money"),
    "boolean": Definition("fair", "Fair", "boolean"),
    "date": Definition("listed", "Listed", "date"),
    "choice": Definition("colour", "Colour", "choice", ("Red", "Blue")),
    "choices": Definition("sizes", "Sizes", "choices", ("S", "M")),
    "link": Definition("page", "Page", "link"),
    "gtin": Definition("gtin", "GTIN", "gtin"),
}
PLAIN = {
    "text": "Lamps > Größe 7",
    "unique text": "M-4711",
    "integer": "12",
    "decimal": "1.250",
    "no decimals": "7",
    "money": "19.90",
    "boolean": "yes",
    "date": "2026-03-02",
    "choice": "red",
    "choices": "M|S",
    "link": "https://example.com/images/7.jpg?x=1",
    "gtin": "4006381333931",
}
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *("", " ", "NULL", "null", "n/a", "N/A", "#N/A", "#REF!", "-", "nan", "0", "00", "-0"),
            *(
                "0000000",
                "00000000000000",
                "1" * 16,
                "+5",
                "-5",
                "1.5",
                "1,5",
                "1.250,5",
                ".5",
                "5.",
            ),
            *(
                "'=A",
                "''A",
                "'A",
                "=1",
                "A\u00a0",
                "\u00a0A",
                "a\\b",
                'a"b',
                "a\tb",
                "\ufeffA",
                "’A",
            ),
            *(
                "http://",
                "https://a",
                "HTTP://A/b",
                "https://a/\u00e9",
                "https://a:1/",
                "https://-",
            ),
            *("https://a/" + "x" * 1990, "x" * 1001, "\U0001f4a1" * 700, "x" * 1000),
            *("96385074", "4006381333932", "036000291452", "36000291452", "4006381333931 "),
            *("yes", "Red", "S;M", "31.02.2026", "02.03.2026", "1e5", "1E400", "\u0661\u0662", "²"),
        ]
    ),
    st.from_regex(r"-?[0-9]{0,16}[.,]?[0-9]{0,4}", fullmatch=True),
    st.from_regex(r"[0-9]{6,15}", fullmatch=True),
)


def plan_of(kind: str, **rule: Any) -> OwnPlan:
    definition = DEFINITIONS[kind]
    named = {"column": "X", "field": f"fields.{definition.key}", **rule}
    rules = parse_rules({"columns": [SKU, named], "blank": {named["field"]: "clear"}})
    own = compile_plan(rules, ["SKU", "X"], {definition.key: definition}).own
    assert own is not None
    return own


@pytest.mark.parametrize("kind", DEFINITIONS)
@pytest.mark.parametrize("rule", [{}, {"decimal": ","}, {"values": {"x": ""}}], ids=str)
@given(cells=st.lists(CELLS, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_taken_quickly_is_what_a_closer_look_makes_of_it(
    kind: str, rule: dict[str, Any], cells: list[str]
) -> None:
    if "decimal" in rule and DEFINITIONS[kind].type not in ("integer", "decimal", "money"):
        rule = {}
    if rule.get("values") and DEFINITIONS[kind].type in ("choice", "choices"):
        rule = {"values": {"x": "Red" if kind == "choice" else "S"}}
    plan = plan_of(kind, **rule)
    slow = OwnPlan([replace(taker, quick=None) for taker in plan.takers])
    for _ in range(2):  # the second time from memory
        quick, others = plan.quick([["A"] * len(cells), cells])
        for place, cell in enumerate(cells):
            looked_at, problems = slow.clean(["A", cell])
            assert plan.clean(["A", cell])[1] == problems
            if place in others:
                assert problems
            else:
                assert not problems
                assert json.loads(quick[place]) == json.loads(looked_at)


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_column_of_ever_more_values_is_read_as_one_of_few(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [PLAIN[kind], "", "NULL", "'=A", "#N/A", PLAIN[kind], " "]
    known = plan_of(kind).quick([["A"] * len(cells), cells])
    monkeypatch.setattr("imports.mapping.own._REMEMBERED", 0)
    assert plan_of(kind).quick([["A"] * len(cells), cells]) == known


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_most_cells_need_no_closer_look(kind: str) -> None:
    plan = plan_of(kind)
    (taker,) = plan.takers
    looked_at = []

    def take(cells: list[str]) -> str:
        looked_at.append(cells)
        return taker.take(cells)

    watched = OwnPlan([replace(taker, take=take)])
    for _ in range(3):
        assert not watched.quick([["A"], [PLAIN[kind]]])[1]
    remembered = kind in ("boolean", "date", "choice", "choices")
    assert len(looked_at) == int(remembered)


def test_a_blank_that_keeps_what_is_stored_is_remembered() -> None:
    rules = {"columns": [SKU, {"column": "X", "field": "fields.brand"}]}
    rules["blank"] = {"fields.brand": "keep"}  # type: ignore[assignment]
    own = compile_plan(parse_rules(rules), ["SKU", "X"], {"brand": BRAND}).own
    assert own is not None
    cells = ["", "", "B"]
    for _ in range(2):
        assert own.quick([["A"] * 3, cells]) == (["{}", "{}", '{"brand": "B"}'], set())


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [("brand", '="0012"', "0012"), ("stock", '="5"', 5), ("brand", '="say ""x"""', '="say ""x"""')],
)
def test_what_a_formula_keeps_a_text_is_read_as_that_text(
    field: str, cell: str, value: object
) -> None:
    assert json.loads(clean(cell, {"field": f"fields.{field}"}).own) == {field: value}


def test_a_whole_number_with_three_zeros_is_read_by_the_mark_that_a_rule_says() -> None:
    column = {"field": "fields.stock"}
    assert [p.code for p in clean("1.000", column).problems] == ["invalid_field"]
    assert json.loads(clean("1.000", {**column, "decimal": "."}).own) == {"stock": 1}
    assert json.loads(clean("1.000", {**column, "decimal": ","}).own) == {"stock": 1000}


@pytest.mark.parametrize(("kind", "value"), [("choice", "None"), ("choices", ["None"])])
def test_a_word_of_a_list_is_that_word_though_programs_write_it_for_nothing(
    kind: str, value: object
) -> None:
    battery = Definition("battery", "Battery", kind, ("AA", "None"))
    rules = {"columns": [SKU, {"field": "fields.battery", "column": "X"}]}
    plan = compile_plan(parse_rules(rules), ["SKU", "X"], {"battery": battery})
    assert json.loads(plan.clean(["A", "none"]).own) == {"battery": value}
    assert json.loads(plan.clean(["A", "NULL"]).own) == {"battery": None}


def test_what_a_comma_means_is_no_matter_of_what_came_before() -> None:
    tags = Definition("tags", "Tags", "choices", ("S", "M"))
    column = {"field": "fields.tags", "column": "X", "otherwise": "add"}
    rules = parse_rules({"columns": [SKU, column]})
    cells = ["Red, dark|S", "Red, dark", "Red", "dark", "S, M", "Red, dark"]
    for order in (cells, cells[::-1]):
        plan = compile_plan(rules, ["SKU", "X"], {"tags": tags})
        read = {cell: json.loads(plan.clean(["A", cell]).own)["tags"] for cell in order}
        assert read["Red, dark"] == ["Red, dark"]
        assert read["S, M"] == ["S", "M"]
