"""Records through the rules: the reader by itself, no database."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.values import FIELDS
from imports.mapping.rules import RulesError, parse_rules
from imports.mapping.values import FIELD_BITS, compile_plan
from imports.readers.csv import Batch, Checkpoint, Layout, lines, read_batches
from imports.tests.unit.test_reader import cells

SKU = {"column": "Art", "field": "sku"}
NAME = {"column": "Name", "field": "name"}


def layout_of(header: list[str], rules: dict[str, Any]) -> Layout:
    size = len(";".join(header).encode()) + 1
    fields = compile_plan(parse_rules(rules), header).fields
    return Layout("utf-8", 0, ";", header, fields, size, 1, rules=rules)


def as_file(header: list[str], records: list[list[str]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\n")
    buffer.write(";".join(header) + "\n")
    writer.writerows(records)
    return buffer.getvalue().encode()


def read(
    records: list[list[str]], rules: dict[str, Any], header: list[str]
) -> tuple[list[list[str]], list[tuple[int, str, str]], Checkpoint]:
    """The staged values, the problems (line, column, code), and the last checkpoint."""
    layout = layout_of(header, rules)
    batches = list(read_batches(io.BytesIO(as_file(header, records)), layout))
    rows = [cells(row)[1:] for batch in batches for row in batch.rows]
    problems = [
        (problem.line, problem.column, problem.code)
        for batch in batches
        for problem in batch.problems
    ]
    return rows, problems, batches[-1].checkpoint


def values(cell: str, rule: dict[str, Any], **more: Any) -> str:
    """What one field of one record comes to, or the code of what is wrong."""
    field = rule["field"]
    rules = {"columns": [SKU, rule] if field != "sku" else [rule], **more}
    header = ["Art", "X"] if field != "sku" else ["X", "Y"]
    record = ["A-1", cell] if field != "sku" else [cell, ""]
    rows, problems, _ = read([record], rules, header)
    return problems[0][2] if problems else rows[0][FIELDS.index(field)]


def X(field: str, **options: Any) -> dict[str, Any]:
    return {"column": "X", "field": field, **options}


def test_a_table_turns_words_into_values_without_regard_to_case() -> None:
    table = {"lieferbar": "active", "vergriffen": "inactive"}
    rule = X("active", values=table)
    assert [values(word, rule) for word in (" Lieferbar", "VERGRIFFEN", "", "no", "?")] == [
        *("t", "f", "", "f", "invalid_active")
    ]
    assert values("no", rule | {"otherwise": "refuse"}) == "invalid_active"
    assert values("?", rule | {"otherwise": {"value": "false"}}) == "f"
    assert values("?", rule | {"otherwise": "keep"}) == ""


def test_a_word_may_stand_for_a_blank() -> None:
    rule = X("price", decimal=",", values={"auf Anfrage": ""})
    assert values("Auf Anfrage", rule) == ""
    assert values("Auf Anfrage", rule, blank={"price": "refuse"}) == "blank_price"
    assert values("1.299,00", rule) == "1299"


def test_a_number_is_no_word_that_a_table_does_not_know() -> None:
    rule = X("price", decimal=",", values={"alt": "1"}, otherwise={"value": "0"})
    assert values("7,50", rule) == "7.50"
    assert values("7.5", rule) == "invalid_price"
    assert values("auf Anfrage", rule) == "0"


def test_a_blank_does_what_its_rule_says() -> None:
    for field, blank, value in [
        ("price", "clear", ""),
        ("price", "refuse", "blank_price"),
        ("price", {"value": "9.90"}, "9.90"),
        ("description", {"value": "none yet"}, "none yet"),
        ("active", "refuse", "blank_active"),
        ("active", {"value": "no"}, "f"),
        ("name", "refuse", "blank_name"),
        ("name", {"value": "?"}, "?"),
    ]:
        assert values(" ", X(field), blank={field: blank}) == value, (field, blank)


def test_what_a_record_keeps_is_told_beside_its_values() -> None:
    rules = {
        "columns": [SKU, NAME, X("price", values={"alt": "1"}, otherwise="keep")],
        "blank": {"name": "keep", "price": "clear"},
    }
    rows, problems, _ = read(
        [["A", "Lamp", "alt"], ["B", "", "?"], ["C", "Cup", ""]], rules, ["Art", "Name", "X"]
    )
    assert not problems
    kept = [int(row[5]) for row in rows]
    assert kept == [0, FIELD_BITS["name"] | FIELD_BITS["price"], 0]
    assert [row[6] for row in rows] == ["", '["B", "", "?"]', ""]


def test_columns_are_joined_without_the_blank_ones() -> None:
    rules = {
        "columns": [
            {"columns": ["Art", "X"], "separator": "-", "field": "sku"},
            {"columns": ["Name", "X", "Name2"], "separator": " / ", "field": "name"},
        ]
    }
    rows, problems, _ = read(
        [["'17", "red", "Cup", ""], ["18", "", "Mug", "tall"]], rules, ["Art", "X", "Name", "Name2"]
    )
    assert not problems
    assert [row[:2] for row in rows] == [["17-red", "Cup / red"], ["18", "Mug / tall"]]


def test_a_constant_and_a_prefix_need_no_cell() -> None:
    rules = {
        "columns": [SKU | {"prefix": "MU-"}, NAME, {"constant": "no", "field": "active"}],
    }
    rows, problems, _ = read([["17", "Cup"], [" '18", "Mug"], ["", "x"]], rules, ["Art", "Name"])
    assert [(row[0], row[4]) for row in rows] == [("MU-17", "f"), ("MU-18", "f")]
    assert problems == [(4, "Art", "blank_sku")]


def test_html_is_taken_out_where_wanted() -> None:
    rule = X("description", clean_html=True)
    assert values("<p>Tea &amp; cake</p><ul><li>one<li>two</ul>", rule) == "Tea & cake\none\ntwo"
    assert values("5 < 6 &uuml;\nnext", rule) == "5 < 6 ü\nnext"
    assert values("<b>Cup</b><br>&nbsp;", X("name", clean_html=True)) == "Cup"


def test_a_filter_leaves_records_out_and_counts_them() -> None:
    rules = {"columns": [SKU, NAME], "only_if": [{"column": "X", "is": ["A", ""]}]}
    records = [["1", "n", "a "], ["2", "n", "B"], ["3", "", "B"], ["4", "n", ""], ["5", "", "A"]]
    rows, problems, end = read(records, rules, ["Art", "Name", "X"])
    assert [row[0] for row in rows] == ["1", "4"]
    assert problems == [(6, "Name", "blank_name")]
    assert end.skipped == 2
    rules["only_if"] = [{"column": "X", "is_not": ["A"]}, {"column": 1, "is_not": ["2"]}]
    rows, problems, end = read(records, rules, ["Art", "Name", "X"])
    assert ([row[0] for row in rows], problems, end.skipped) == (
        ["4"],
        [(4, "Name", "blank_name")],
        3,
    )


def test_every_bad_cell_is_named_and_the_record_is_shown_as_it_was() -> None:
    rules = {"columns": [SKU, NAME, X("price", decimal=",")]}
    layout = layout_of(["Art", "Name", "X"], rules)
    file = as_file(layout.header, [["#REF!", "NULL", "12.5"]])
    (problem,) = next(read_batches(io.BytesIO(file), layout)).problems
    assert (problem.column, problem.code) == ("Art", "spreadsheet_error")
    for said in ("“#REF!”", "“NULL”", "“12.5”"):
        assert said in problem.message
    assert problem.record == ["#REF!", "NULL", "12.5"]


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None", " null "])
def test_words_for_nothing_are_no_product(word: str) -> None:
    assert values(word, X("sku")) == "invalid_sku"
    assert values(word, X("name")) == "invalid_name"
    assert values(word, X("price")) == "invalid_price"
    assert values(word, X("active")) == "invalid_active"
    header = ["Art", "X"]
    rules = {"columns": [SKU, X("description")]}
    rows, _, end = read([["A", word], ["B", "nanometre"]], rules, header)
    assert [row[2] for row in rows] == ["", "nanometre"]
    assert end.nothings == 1


@pytest.mark.parametrize("field", ["sku", "name", "description", "price", "active"])
def test_errors_of_spreadsheets_are_refused_in_every_field(field: str) -> None:
    for word in ("#REF!", "#N/A", "#BEZUG!", "#ДЕЛ/0!"):
        assert values(word, X(field)) == "spreadsheet_error"
        assert values(word, X(field, values={"x": "1"})) == "spreadsheet_error"


def test_rules_that_do_not_fit_a_file_are_refused() -> None:
    for rules, said in [
        ({"columns": [NAME]}, "No column is the SKU"),
        ({"columns": [SKU], "blank": {"price": "keep"}}, "blank.price: The field has no column."),
        ({"columns": [{"column": "Nr", "field": "sku"}]}, "There is no column “Nr”"),
    ]:
        with pytest.raises(RulesError, match=said):
            compile_plan(parse_rules(rules), ["Art", "Name"])


def test_a_fixed_value_that_is_none_is_refused_with_the_rules() -> None:
    for rule in [
        {"constant": "NULL", "field": "name"},
        NAME | {"values": {"x": "None"}},
        NAME | {"values": {"x": "y"}, "otherwise": {"value": "nan"}},
    ]:
        with pytest.raises(RulesError, match="it is no name"):
            parse_rules({"columns": [SKU, rule]})


def test_a_mapping_alone_keeps_the_shortest_way() -> None:
    assert compile_plan(parse_rules({"columns": [SKU, NAME]}), ["Art", "Name"]).is_plain


# --- Fill down ------------------------------------------------------------------------

FILLED: dict[str, Any] = {
    "columns": [
        {"columns": ["Group", "Art"], "separator": "-", "field": "sku", "fill_down": True},
        {"column": "Name", "field": "name", "fill_down": True},
    ],
    "only_if": [{"column": "X", "is_not": ["no"]}],
}
FILLED_HEADER = ["Group", "Art", "Name", "X"]


def test_blank_cells_are_filled_from_the_record_above_whatever_became_of_that() -> None:
    records = [
        ["", "0", "none above", ""],
        ["G1", "1", "Cup", "no"],  # left out
        ["", "2", "", ""],
        ["G2", "3", "NULL", ""],  # refused
        ["", "4", "Mug", ""],
    ]
    rows, problems, end = read(records, FILLED, FILLED_HEADER)
    assert [row[:2] for row in rows] == [["0", "none above"], ["G1-2", "Cup"], ["G2-4", "Mug"]]
    assert [problem[0] for problem in problems] == [5]
    assert end.above == {"0": "G2", "1": "4", "2": "Mug"}


def test_nothing_is_filled_from_a_record_that_could_not_be_read() -> None:
    layout = layout_of(FILLED_HEADER, FILLED)
    text = "Group;Art;Name;X\nG1;1;Cup;\nG2;2\n;3;Mug;\nG3;4;;\nG3;5;Jar;\n;6;;\n"
    batches = list(read_batches(io.BytesIO(text.encode()), layout))
    problems = [(p.line, p.code) for batch in batches for p in batch.problems]
    assert problems == [(3, "too_few_fields"), (4, "unknown_above")]
    rows = [cells(row)[1:3] for batch in batches for row in batch.rows]
    assert rows == [["G1-1", "Cup"], ["G3-4", "Mug"], ["G3-5", "Jar"], ["G3-6", "Jar"]]


WITHIN: dict[str, Any] = {
    "columns": [
        SKU,
        {"column": "Name", "field": "name", "fill_down": True, "within": "Group"},
        {"column": "Text", "field": "description", "fill_down": True, "within": "Group"},
    ]
}
WITHIN_HEADER = ["Art", "Group", "Name", "Text"]


def test_filling_down_ends_where_a_column_says_something_else() -> None:
    records = [
        ["1", "a", "Cup", "blue"],
        ["2", " a", "", ""],
        ["3", "b", "Mug", ""],
        ["4", "b", "", ""],
        ["5", "a", "Jar", ""],
        ["6", "", "", ""],
    ]
    rows, problems, end = read(records, WITHIN, WITHIN_HEADER)
    assert [row[:3] for row in rows] == [
        ["1", "Cup", "blue"],
        ["2", "Cup", "blue"],
        ["3", "Mug", ""],
        ["4", "Mug", ""],
        ["5", "Jar", ""],
    ]
    assert [(one[0], one[2]) for one in problems] == [(7, "blank_name")]
    assert end.above["-2"] == ""


def test_nothing_is_filled_below_a_record_that_could_not_be_read_until_others_begin() -> None:
    layout = layout_of(WITHIN_HEADER, WITHIN)
    text = "Art;Group;Name;Text\n1;a;Cup;blue\n2;a\n3;a;Mug;\n4;b;Jar;\n"
    batches = list(read_batches(io.BytesIO(text.encode()), layout))
    problems = [(p.line, p.code) for batch in batches for p in batch.problems]
    assert problems == [(3, "too_few_fields"), (4, "unknown_above")]
    rows = [cells(row)[1:4] for batch in batches for row in batch.rows]
    assert rows == [["1", "Cup", "blue"], ["4", "Jar", ""]]


def test_only_the_field_that_asks_for_it_is_filled() -> None:
    rules = {
        "columns": [SKU, NAME | {"fill_down": True}, {"column": "Name", "field": "description"}]
    }
    rows, problems, _ = read([["1", "Cup"], ["2", ""]], rules, ["Art", "Name"])
    assert not problems
    assert [row[1:3] for row in rows] == [["Cup", "Cup"], ["Cup", ""]]


def test_filling_and_counting_go_on_from_every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of(FILLED_HEADER, FILLED)
    records = [
        [f"G{n}" if n % 7 == 0 else "", str(n), "Näme" if n % 5 == 0 else "", "no" if n % 3 else ""]
        for n in range(120)
    ]
    content = as_file(FILLED_HEADER, records) + b'G;"open\n;900;;\n'
    whole = list(read_batches(io.BytesIO(content), layout))
    assert len(whole) == 2
    monkeypatch.setattr(lines, "BLOCK_SIZE", 100)
    found: list[Batch] = []
    checkpoint: Checkpoint | None = None
    for _ in range(1000):
        # One batch at a time, each from a new start: as if the worker died after each.
        batches = read_batches(io.BytesIO(content), layout, checkpoint)
        batch = next(batches)
        found.append(batch)
        stored = Checkpoint(**batch.checkpoint.as_json())
        if stored == checkpoint:
            found += batches
            break
        checkpoint = stored
    assert [row for b in found for row in b.rows] == [row for b in whole for row in b.rows]
    assert [p for b in found for p in b.problems] == [p for b in whole for p in b.problems]
    assert found[-1].checkpoint.skipped == whole[-1].checkpoint.skipped == 80


# --- The quick way --------------------------------------------------------------------

odd_cells = st.one_of(
    st.sampled_from(
        [
            *("", " ", "NULL", "#REF!", "'17", '="17"', "ja", "Nein", "1.299,00", "12,5", "0"),
            *("€ 5,00", "A\u00ad1", "x" * 101, "\u200bname", "text\\n", "a\tb", "na\u00efve"),
            *("y" * 300, "#N/A "),
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters='\0\r\n;"'), max_size=6),
)
QUICK: list[dict[str, Any]] = [
    {"columns": [SKU | {"prefix": "MU-"}, NAME, X("price", decimal=",", currency="EUR")]},
    {
        "columns": [
            SKU,
            {"columns": ["Name", "X"], "separator": "\t", "field": "name"},
            {"column": "Art", "field": "active", "values": {"ja": 1, "nein": 0}},
        ],
        "blank": {"name": {"value": "a\\b"}, "active": "refuse"},
    },
    {
        "columns": [
            SKU,
            NAME | {"clean_html": True},
            {"constant": "true", "field": "active"},
            X("description"),
        ],
        "blank": {"description": "refuse"},
    },
    {"columns": [SKU, NAME, X("price", factor="1.19", round=".99")]},
    {"columns": [SKU, X("price", decimal="."), {"column": "Name", "field": "description"}]},
]


@settings(max_examples=300, deadline=None)
@given(record=st.tuples(odd_cells, odd_cells, odd_cells), rules=st.sampled_from(QUICK))
def test_what_is_taken_at_once_is_what_the_long_way_makes(
    record: tuple[str, ...], rules: dict[str, Any]
) -> None:
    plan = compile_plan(parse_rules(rules), ["Art", "Name", "X"])
    assert plan.quick
    five = plan.quick(list(record))
    if five is None:
        return
    cleaned = plan.clean(list(record))
    assert not cleaned.problems
    taken = dict(zip(FIELD_BITS, five, strict=True))
    price, expected = taken.pop("price"), cleaned.values.pop("price", "")
    assert (Decimal(price) if price else price) == (Decimal(expected) if expected else expected)
    assert taken == {name: cleaned.values.get(name, "") for name in taken}
    if not plan.escapes:
        assert not set("".join(five)) & set("\t\n\r\\") - set("".join(record))
