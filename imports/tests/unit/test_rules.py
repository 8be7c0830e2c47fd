"""Rules as data: what is wrong with them is named, what is right comes back the same."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.values import FIELDS
from imports.mapping.rules import (
    ColumnRule,
    Condition,
    Rules,
    RulesError,
    Value,
    may_keep,
    parse_rules,
    resolve_columns,
    rules_as_json,
)

EVERYTHING: dict[str, Any] = {
    "encoding": "cp1250",
    "delimiter": ";",
    "quote": "'",
    "header_line": 3,
    "sheet": "Preise",
    "member": "list.csv",
    "blank": {"price": "keep", "name": "refuse", "active": {"value": "false"}},
    "only_if": [{"column": "Lager", "is": ["A", "B"]}, {"column": 7, "is_not": ["", "alt"]}],
    "columns": [
        {"columns": ["Marke", 2], "separator": " – ", "field": "name", "clean_html": True},
        {"column": "Art.-Nr.", "field": "sku", "prefix": "MU-", "fill_down": True, "within": 2},
        {
            "column": "Preis",
            "field": "price",
            "decimal": ",",
            "group": ".",
            "currency": "EUR",
            "factor": "1.19",
            "round": ".99",
            "values": {"auf Anfrage": ""},
            "otherwise": "refuse",
        },
        {"constant": "true", "field": "active"},
    ],
}


def problems_of(data: object) -> list[str]:
    with pytest.raises(RulesError) as error:
        parse_rules(data)
    return error.value.problems


def test_every_rule_is_parsed_and_written_back_as_it_was() -> None:
    rules = parse_rules(EVERYTHING)
    assert rules_as_json(rules) == EVERYTHING
    assert json.loads(json.dumps(rules_as_json(rules))) == EVERYTHING
    assert rules.columns[2].factor == Decimal("1.19")
    assert rules.blank["active"] == Value("false")
    assert rules.only_if[1] == Condition(7, None, ("", "alt"))


def test_no_rules_are_rules() -> None:
    assert parse_rules({}) == Rules()
    assert parse_rules(rules_as_json(Rules())) == Rules()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "rules: It has to be an object."),
        ({"nonsense": 1}, "rules: There is no “nonsense”."),
        ({"columns": {}}, "columns: It has to be a list"),
        ({"columns": [{"column": "A", "field": "colour"}]}, "“colour” is no field."),
        ({"columns": [{"column": "A", "field": "sku", "run": "rm"}]}, "There is no “run”."),
        ({"columns": [{"field": "sku"}]}, "columns[0]: It needs one of"),
        ({"columns": [{"field": "price", "column": 1, "constant": 2}]}, "It needs one of"),
        ({"columns": [{"column": 0, "field": "sku"}]}, "Numbers count from 1."),
        ({"columns": [{"column": " ", "field": "sku"}]}, "names nothing"),
        ({"columns": [{"column": "A\0", "field": "sku"}]}, "NUL byte"),
        ({"columns": [{"columns": [], "field": "sku"}]}, "at least one column"),
        ({"columns": [{"constant": "X", "field": "sku"}]}, "the same product"),
        ({"columns": [{"constant": "12,50", "field": "price"}]}, "is not a price"),
        ({"columns": [{"constant": "maybe", "field": "active"}]}, "neither active nor inactive"),
        ({"columns": [{"column": "A", "field": "name", "decimal": ","}]}, "Only price"),
        ({"columns": [{"column": "A", "field": "price", "prefix": "X"}]}, "Only sku"),
        ({"columns": [{"column": "A", "field": "price", "clean_html": True}]}, "Only name and"),
        ({"columns": [{"column": "A", "field": "price", "decimal": ";"}]}, "“.” or “,”"),
        ({"columns": [{"column": "A", "field": "price", "group": "."}]}, "needs “decimal”"),
        (
            {"columns": [{"column": "A", "field": "price", "decimal": ".", "group": "."}]},
            "cannot be the decimal mark",
        ),
        ({"columns": [{"column": "A", "field": "price", "factor": "x"}]}, "a number above 0"),
        ({"columns": [{"column": "A", "field": "price", "factor": 0}]}, "a number above 0"),
        ({"columns": [{"column": "A", "field": "price", "factor": float("nan")}]}, "above 0"),
        ({"columns": [{"column": "A", "field": "price", "factor": 10**5000}]}, "above 0"),
        ({"columns": [{"column": "A", "field": "price", "factor": 0.1 + 0.2}]}, "10 decimals"),
        ({"columns": [{"column": "A", "field": "price", "round": "down"}]}, "a step"),
        ({"columns": [{"column": "A", "field": "price", "round": 0}]}, "a step"),
        ({"columns": [{"column": "A", "field": "price", "currency": "5"}]}, "currency's code"),
        ({"columns": [{"column": "A", "field": "active", "values": {"ja": "si"}}]}, "[“ja”]"),
        (
            {"columns": [{"column": "A", "field": "active", "values": {"Ja": 1, "ja": 0}}]},
            "stands for two things",
        ),
        ({"columns": [{"column": "A", "field": "active", "otherwise": "keep"}]}, "“values”"),
        (
            {"columns": [{"column": 1, "field": "active", "values": {"a": 1}, "otherwise": "?"}]},
            "For active it has to be",
        ),
        ({"columns": [{"column": "A", "field": "sku", "fill_down": 1}]}, "true or false"),
        ({"columns": [{"column": "A", "field": "sku", "within": "B"}]}, "needs “fill_down”"),
        ({"blank": {"colour": "keep"}}, "There is no “colour”."),
        ({"blank": {"sku": "keep"}}, "For sku it has to be one of: “refuse”."),
        ({"blank": {"active": "clear"}}, "For active it has to be one of"),
        ({"blank": {"price": {"value": "x"}}}, "is not a price"),
        ({"only_if": [{"column": "A"}]}, "needs “column”, and either"),
        ({"only_if": [{"column": "A", "is": [], "is_not": ["x"]}]}, "either “is” or “is_not”"),
        ({"only_if": [{"column": "A", "is": []}]}, "at least one word"),
        ({"encoding": "klingon"}, "no encoding that is known"),
        ({"encoding": "hex"}, "no encoding of text"),
        ({"delimiter": "ab"}, "one character"),
        ({"quote": "`"}, "double or a single quote"),
        ({"header_line": -1}, "header_line"),
    ],
)
def test_what_is_wrong_is_named(data: object, said: str) -> None:
    assert any(said in problem for problem in problems_of(data)), problems_of(data)


def test_all_that_is_wrong_is_named_at_once() -> None:
    data = {
        "delimiter": "",
        "columns": [
            {"column": "A", "field": "sku"},
            {"column": "B", "field": "sku"},
            {"column": "C", "field": "price", "factor": "x", "round": "y"},
        ],
    }
    found = problems_of(data)
    places = ["columns[2].factor", "columns[2].round", "columns[1].field", "delimiter"]
    assert [problem.partition(":")[0] for problem in found] == places


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "keep", "value", "price", "sku", "A", ".99", "1e400000", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(*Rules.__dataclass_fields__, *ColumnRule.__dataclass_fields__, *FIELDS),
                    *("column", "is", "is_not", "value"),
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
rubbish_rules = st.fixed_dictionaries(
    {},
    optional={
        "columns": st.lists(
            st.fixed_dictionaries(
                {"field": st.sampled_from(FIELDS)},
                optional=dict.fromkeys(
                    [*list(ColumnRule.__dataclass_fields__)[1:], "column"], json_values
                ),
            ),
            max_size=3,
        ),
        "blank": st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
        "only_if": st.lists(json_values, max_size=2),
        **dict.fromkeys(["encoding", "delimiter", "quote", "header_line", "sheet"], json_values),
    },
)


@settings(max_examples=600, deadline=None)
@given(data=json_values | rubbish_rules)
def test_rubbish_raises_nothing_but_a_rules_error(data: object) -> None:
    try:
        rules = parse_rules(data)
    except RulesError:
        return
    assert parse_rules(rules_as_json(rules)) == rules
    json.dumps(rules_as_json(rules), allow_nan=False)


def one(**rule: Any) -> Rules:
    return parse_rules({"columns": [{"field": "sku", **rule}]})


def test_columns_are_found_by_name_by_number_and_without_regard_to_case() -> None:
    header = ["Art", "PREIS", "preis ", ""]
    assert resolve_columns(one(columns=["Art", 4, "PREIS"]), header).fields == {"sku": (0, 3, 1)}
    assert resolve_columns(one(column=" art"), header).fields == {"sku": (0,)}


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("Nummer", "There is no column “Nummer”"),
        (9, "There is no column 9; there are 3."),
        ("Art", "Several columns are named “Art”: 1, 2."),
    ],
)
def test_columns_that_cannot_be_found_are_named(column: object, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        resolve_columns(one(column=column), ["Art", "Art", "x"])


def test_only_rules_that_keep_stored_values_say_so() -> None:
    price: dict[str, Any] = {"column": "P", "field": "price"}
    sku = {"column": "S", "field": "sku"}
    assert not may_keep(parse_rules({"columns": [sku, price]}))
    assert not may_keep(parse_rules({"columns": [sku], "blank": {"price": "keep"}}))
    assert may_keep(parse_rules({"columns": [sku, price], "blank": {"price": "keep"}}))
    price |= {"values": {"x": "1"}, "otherwise": "keep"}
    assert may_keep(parse_rules({"columns": [sku, price]}))
