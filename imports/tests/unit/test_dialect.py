"""How a file is written, found by evidence or given; and that well-formed files read as ever."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports.readers.csv import (
    Checkpoint,
    Dialect,
    Layout,
    Problem,
    UnreadableFile,
    find_dialect,
    inspect,
    lines,
    read_batches,
)
from imports.readers.csv.cells import unguarded
from imports.tests.unit.test_reader import cells


def dialect_of(text: str | bytes, **given: Any) -> Dialect:
    content = text if isinstance(text, bytes) else text.encode()
    return find_dialect(io.BytesIO(content), **given)


def read(text: str | bytes) -> tuple[list[list[str]], list[Problem], list[str]]:
    """The products' values (without line and record), what was refused, the warnings."""
    file = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    layout = inspect(file)
    batches = list(read_batches(file, layout))
    rows = [cells(row)[1:6] for batch in batches for row in batch.rows]
    problems = [problem for batch in batches for problem in batch.problems]
    return rows, problems, [*layout.warnings, *(w for b in batches for w in b.warnings)]


def skus(text: str | bytes) -> list[str]:
    rows, problems, _ = read(text)
    assert problems == []
    return [row[0] for row in rows]


# --- Delimiter and quote --------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~", "#", ":", "\x1f", "§"])
def test_the_delimiter_is_found_by_evidence(delimiter: str) -> None:
    rows = [["Artikel", "Bezeichnung", "Preis"], ["A-1", "Lampe rot", "5"], ["B-2", "Topf", "6"]]
    found = dialect_of("".join(delimiter.join(row) + "\n" for row in rows))
    assert (found.delimiter, found.header, found.sample) == (delimiter, rows[0], rows[1:])


def test_an_unusual_delimiter_is_named() -> None:
    assert any("“~”" in warning for warning in read("sku~name\nA~Lamp\n")[2])


def test_a_decimal_comma_is_no_delimiter() -> None:
    assert dialect_of("Nr;Preis\n" + "".join(f"{n};{n},50\n" for n in range(50))).delimiter == ";"


@pytest.mark.parametrize(
    ("first", "delimiter"),
    [
        ("sep=;", ";"),
        ("SEP=;", ";"),
        ('"sep=;"', ";"),
        ("sep=\t", "\t"),
        ("sep=\\t", "\t"),
        ("sep=;;;", ";"),
        ("sep=^", "^"),
        ("\ufeffsep=|", "|"),
        ("sep=,,", ","),
        ("sep=;\t\t", ";"),
    ],
)
def test_a_declared_delimiter_is_taken(first: str, delimiter: str) -> None:
    rows = f"\r\nsku{delimiter}name\r\nA-1{delimiter}Lamp\r\n"
    assert skus(first + rows) == ["A-1"]


def test_a_declared_delimiter_that_is_not_there_is_not_believed() -> None:
    assert skus("sep=;\nsku,name\nA-1,Lamp\n") == ["A-1"]


@pytest.mark.parametrize("header", ["sku,name,price", "'sku','name','price'"])
def test_apostrophes_are_quotes_where_all_text_stands_in_them(header: str) -> None:
    rows, problems, warnings = read(f"{header}\n'A-1','Lamp, big',5\n'B-2','O''Neill',6\n")
    assert problems == []
    assert [row[:2] for row in rows] == [["A-1", "Lamp, big"], ["B-2", "O'Neill"]]
    assert any("apostrophes" in warning for warning in warnings)


def test_apostrophes_in_text_are_text() -> None:
    rows, _, _ = read("sku,name\nA-1,'Retro' lamp\nB-2,'Pot'\nC-3,'n'\n")
    assert [row[1] for row in rows] == ["'Retro' lamp", "'Pot'", "'n'"]


@pytest.mark.parametrize(
    "text",
    [
        '"sku" ,"name" ,"price"\n"A-1" ,"Lamp, big" ,5\n"B-2","Cup","6"\n',
        'sku, name, price\nA-1, "Lamp, big", 5\nB-2, "Cup", 6\n',
        'sku  ,name        ,price\nA-1  ,"Lamp, big" ,5.00 \nB-2  ,Cup         ,6.00 \n',
    ],
)
def test_blanks_around_quotes_and_cells_are_no_part_of_them(text: str) -> None:
    rows, problems, _ = read(text)
    assert problems == []
    assert [row[:2] for row in rows] == [["A-1", "Lamp, big"], ["B-2", "Cup"]]


def test_padded_columns_lose_their_padding_in_every_field() -> None:
    rows, problems, _ = read("sku ,description  \nA-1 ,red          \nB-22,green and blue\n")
    assert problems == []
    assert [row[2] for row in rows] == ["red", "green and blue"]


def test_text_that_has_blanks_beside_quotes_stays_as_it_is() -> None:
    table = [["sku", "description"], ["A-1", 'he said "no" , then "yes"'], ["B-2", ' "x" ']]
    buffer = io.StringIO()
    csv.writer(buffer).writerows(table)
    rows, problems, _ = read(buffer.getvalue())
    assert (problems, [row[2] for row in rows]) == ([], [row[1] for row in table[1:]])


def test_quotes_can_be_declared_to_be_text() -> None:
    text = 'sku\tname\nA-1\t"Retro" lamp\nB-2\t"Open\n'
    found = dialect_of(text, quote="")
    layout = found.layout({"sku": 0, "name": 1}, [])
    rows = [cells(row) for b in read_batches(io.BytesIO(text.encode()), layout) for row in b.rows]
    assert [row[2] for row in rows] == ['"Retro" lamp', '"Open']


WRAPPED = [
    'sku,name,price;;\n"A-1,""Lamp, big"",5";;\n"B-2,Cup,6";;\nC-3,Pot,7;;\n',
    'sku,name,price\n"A-1,""Lamp, big"",5"\n"B-2,Cup,6"\n"C-3,Pot,7"\n',
    '"sku,name,price",,\r\n"A-1,""Lamp, big"",5",,\r\n"B-2,Cup,6",,\r\n"C-3,Pot,7",,\r\n',
]


@pytest.mark.parametrize("text", WRAPPED)
def test_lines_that_are_one_quoted_cell_each_are_taken_out_of_it(text: str) -> None:
    rows, problems, warnings = read(text)
    assert problems == []
    assert [row[:2] for row in rows] == [["A-1", "Lamp, big"], ["B-2", "Cup"], ["C-3", "Pot"]]
    assert any("one quoted cell" in warning for warning in warnings)


def test_a_line_in_quotes_among_others_with_quotes_is_a_fault_of_its_own() -> None:
    rows, problems, _ = read('sku;name\nA-1;"x ""y"""\n"B-2;d"\nC-3;"z"\n')
    assert ([row[1] for row in rows], len(problems)) == (['x "y"', "z"], 1)


def test_a_field_over_several_lines_is_taken_out_as_well() -> None:
    inner = [["sku", "name"], ["A-1", 'two\nlines, \n"more"'], ["C-3", "Pot"]]
    outer = io.StringIO()
    # As a spreadsheet saves it: each line of the file was a cell.
    writer = csv.writer(outer, delimiter=";", lineterminator="\n")
    for record in inner:
        one = io.StringIO()
        csv.writer(one, lineterminator="").writerow(record)
        writer.writerow([one.getvalue(), ""])
    rows, problems, _ = read(outer.getvalue())
    assert problems == []
    assert [row[1] for row in rows] == ['two\nlines, \n"more"', "Pot"]


# --- The header -----------------------------------------------------------------------

TABLE = "Artikelnummer;Bezeichnung;Preis;Aktiv\nA-1;Lampe;1.299,00;ja\nB-2;Topf;5,00;nein\n"


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("", 1),
        ("\n", 2),
        ("Preisliste 2024\n\n", 3),
        ("Preisliste 2024;;;\nStand: 01.05.2024;;;\n", 3),
        ("Müller GmbH\nHauptstraße 5, 12345 Berlin\nTel. 030 / 123\n\n", 5),
        ("\n;;;\nKatalog;;Frühjahr;\n", 4),
        ("Lieferant;Müller;;\nKunde;4711;;\n", 3),
    ],
)
def test_the_header_is_found_below_titles_and_blank_lines(above: str, line: int) -> None:
    found = dialect_of(above + TABLE)
    assert (found.header_line, found.header[0], found.delimiter) == (line, "Artikelnummer", ";")
    assert found.sample[0] == ["A-1", "Lampe", "1.299,00", "ja"]
    assert found.line == line


def test_a_header_below_many_lines_is_found_or_asked_for() -> None:
    for count in (30, 61, 90):
        above = "".join(f"Line {number}\n" for number in range(count))
        assert (
            dialect_of(f"{above}sku,name,price\nA-1,Lamp,5\nB-2,Cup,6\n").header_line == count + 1
        )
    assert dialect_of("Line\n" * 200 + "sku,name\nA-1,Lamp\n").header == ["Line"]


def test_of_several_lines_of_names_the_last_one_is_the_header() -> None:
    found = dialect_of(
        "Settings=1\tVersion=2\tFor us\nNumber\tTitle\tCost\nnum\tttl\tcst\n1\tx\t5\n"
    )
    assert (found.header_line, found.header) == (3, ["num", "ttl", "cst"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "sku,name,Price,,Stock\n,,Net,Gross,\nA1,Lamp,5.00,5.95,1\nA2,Cup,6.00,7.14,2\n",
            ["sku", "name", "Price Net", "Price Gross", "Stock"],
        ),
        (
            "Artikelnummer;Bezeichnung;Preis;Gewicht\n;;EUR;kg\nA1;Lampe;5,00;1,2\nA2;T;6,00;2\n",
            ["Artikelnummer", "Bezeichnung", "Preis EUR", "Gewicht kg"],
        ),
    ],
)
def test_a_header_of_two_lines_has_the_names_of_both(text: str, names: list[str]) -> None:
    for options in ({}, {"header_line": 1}):
        found = dialect_of(text, **options)
        assert (found.header_line, found.header, found.line) == (1, names, 2)
        assert [record[0] for record in found.sample] == ["A1", "A2"]
        assert any("second line of the columns' names" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "second",
    [
        "A0,Lamp,on request,none",  # an SKU
        ",Lamp,on request,none",  # a text above texts
        ",,on request,",  # one cell is no line of names
        ",,4.00,2",
    ],
)
def test_a_record_below_the_header_is_none_of_its_lines(second: str) -> None:
    text = f"sku,name,price,stock\n{second}\nA1,Lamp,5.00,1\nA2,Cup,6.00,2\n"
    assert dialect_of(text).line == 1


def test_known_names_tell_a_header_that_shape_does_not() -> None:
    assert dialect_of("Price list, all of it\nsku,name\nA,Lamp\nB,Cup\n").header_line == 2


def test_a_first_record_that_is_unlike_the_others_is_no_header() -> None:
    found = dialect_of(
        "Artikelnummer;Bezeichnung;Preis\nA-1;Lampe;auf Anfrage\nA-2;Tasse;5,00\nA-3;Topf;6,00\n"
    )
    assert (found.header_line, found.header[0]) == (1, "Artikelnummer")


@pytest.mark.parametrize(
    "text", ["A-1,Lamp,5\nB-2,Cup,6\n", "4006381;Lampe;5,00\n4006382;Topf;6,00\n", "A-1|x|yes\n"]
)
def test_a_file_without_a_header_has_its_columns_by_number(text: str) -> None:
    found = dialect_of(text)
    assert (found.header_line, found.header, found.line) == (0, ["1", "2", "3"], 0)
    assert len(found.sample) == text.count("\n")


def test_a_header_of_text_above_text_is_the_first_line() -> None:
    assert dialect_of("Artikel;Farbe\nLampe;rot\nTopf;blau\n").header == ["Artikel", "Farbe"]


def test_a_header_may_contain_digits_and_stand_alone() -> None:
    text = "EAN13,Title,Price 1\n4006381,Lamp,5\n4006382,Cup,6\n"
    assert dialect_of(text).header_line == 1


@pytest.mark.parametrize(("line", "header"), [(3, ["A", "B"]), (4, ["c", "d"]), (0, ["1", "2"])])
def test_the_header_line_can_be_given(line: int, header: list[str]) -> None:
    found = dialect_of("t\n\nA,B\nc,d\ne,f\n", header_line=line)
    assert (found.header, found.header_line) == (header, line)


def test_a_header_line_beyond_the_file_says_so() -> None:
    with pytest.raises(UnreadableFile, match="no line 9"):
        dialect_of("a,b\n", header_line=9)


def test_delimiter_and_quote_can_be_given() -> None:
    found = dialect_of("a;b,c\n'x;y';z,1\n", delimiter=";", quote="'", header_line=1)
    assert (found.header, found.sample) == (["a", "b,c"], [["x;y", "z,1"]])


def test_a_file_without_an_sku_names_the_columns_of_its_header() -> None:
    with pytest.raises(UnreadableFile, match="“UGS”, “Nom”, “Tarif”"):
        inspect(io.BytesIO(b"\nUGS,Nom,Tarif\nA1,Lampe,5\n"))


def test_a_header_and_records_with_different_delimiters_fail_in_one_sentence() -> None:
    with pytest.raises(UnreadableFile, match=r"separated by “,”, the records by “;”"):
        inspect(io.BytesIO(b"sku,name,price\nA1;Lamp;5\nB2;Cup;6\n"))


@pytest.mark.parametrize("text", [",,,\n,,,\n", ';"";\n' * 9, "\t\t\n", "\x1a"])
def test_a_sheet_of_nothing_but_delimiters_is_empty(text: str) -> None:
    with pytest.raises(UnreadableFile, match="is empty"):
        dialect_of(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [("<table border=1><tr><td>sku", "HTML"), ('[{"sku": 1}]', "JSON"), ('{\n "a": 1}', "JSON")],
)
def test_other_kinds_of_text_are_told_by_name(text: str, word: str) -> None:
    with pytest.raises(UnreadableFile, match=word):
        dialect_of(text)


# --- Records --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sku;name;price\nA-1;n;1;\nB-2;m;2;\nC-3;o;3;;;\n",
        "sku;name;price;\nA-1;n;1\nB-2;m;2\nC-3;o;3;\n",
        "sku;name;price;colour;size\nA-1;n;1\nB-2;m;2;red\nC-3;o;3;;L\n",
    ],
)
def test_blank_cells_too_many_or_too_few_are_no_matter(text: str) -> None:
    assert skus(text) == ["A-1", "B-2", "C-3"]


def test_a_field_that_a_record_lacks_is_no_blank_one() -> None:
    rows, problems, _ = read("sku,name,price\nA-1,Lamp,5\nB-2,Cup\nC-3,Pot,\n")
    assert [row[0] for row in rows] == ["A-1", "C-3"]
    assert [(p.line, p.code) for p in problems] == [(3, "too_few_fields")]


def test_a_file_that_never_writes_blank_cells_at_the_end_is_filled_up_with_a_warning() -> None:
    text = "sku,name,price,description\n" + "A,Lamp,5,red\nB,Cup\nC,Pot,6\n" * 3
    rows, problems, warnings = read(text)
    assert (len(rows), problems) == (9, [])
    assert any("lack cells at their end" in warning for warning in warnings)


def test_an_unclosed_quote_swallows_nothing_where_records_have_cells_to_spare() -> None:
    good = "".join(f"A-{n};n;1;;\n" for n in range(9))
    rows, problems, _ = read("sku;name;price\n" + good + 'B-1;"open;1;;\n' + good)
    assert (len(rows), [problem.code for problem in problems]) == (18, ["unclosed_quote"])


def test_rows_of_nothing_but_delimiters_are_blank_lines() -> None:
    assert skus("sku,name,price\n,,\nA-1,Lamp,5\n ,, \n,,,,\n,\n\n") == ["A-1"]


def test_a_header_that_comes_again_is_no_product_and_told_once() -> None:
    rows, problems, warnings = read(
        "SKU,Name\nA-1,Lamp\nSKU,Name\n\ufeffsku,name\nB-2,Cup\nSku,NAME,\n"
    )
    assert ([row[0] for row in rows], problems) == (["A-1", "B-2"], [])
    assert [warning for warning in warnings if "Line 3" in warning and "once more" in warning]
    assert sum("once more" in warning for warning in warnings) == 1


def test_a_product_that_is_called_like_a_column_is_one() -> None:
    assert skus("sku,name\nsku-1,name\nname,sku\n") == ["sku-1", "name"]


@pytest.mark.parametrize("end", ["\x1a", "\x1a\x1a\x1a", "\r\n\x1a", "\r\n\x1a\r\n", "\n\x1a\n\n"])
def test_the_end_of_text_mark_of_dos_is_no_record(end: str) -> None:
    rows, problems, _ = read("sku,active,name\nA-1,true,Lamp\nB-2,false,Cup" + end)
    assert problems == []
    assert [row[1] for row in rows] == ["Lamp", "Cup"]


def test_a_well_formed_record_is_never_cut_though_its_lines_look_like_products() -> None:
    text = (
        'sku,name,price,description\nKIT,Kit,15,"Contents:\nX1,Bolt,2,steel\nX2,Nut,1,brass"\n'
        "B,Mat,6,d\n"
    )
    rows, problems, warnings = read(text)
    assert ([row[0] for row in rows], problems) == (["KIT", "B"], [])
    assert rows[0][2] == "Contents:\nX1,Bolt,2,steel\nX2,Nut,1,brass"
    assert any("Lines 2 to 4" in warning for warning in warnings)


# --- All of it at once ----------------------------------------------------------------

ODD = {
    "wrapped": "sku,name,price;;\n" + '"A,""x, y"",1";;\n"B,c,2";;\n"C,""o\n";;\n' * 30,
    "padded": '"sku" ,"name" ,"price"\n' + '"A" ,"x, y" ,1\n"B", "c\nd" ,2\n"C","o ,\n' * 30,
    "apostrophes": "'sku','name','price'\n" + "'A','x, y',1\n'B','c\nd',2\n'C','o,\n" * 30,
    "widths": "sku;name;price\n" + 'A;x;1;;\nB;"c\nd";2;;\nC;"o;3\n;;;;\nsku;name;price\n' * 30,
    "short": "sku;name;price;a;b\n" + 'A;x;1\nB;"c\nd";2\nC;"o;3\n' * 30,
}


@pytest.mark.parametrize("kind", ODD)
def test_it_reads_the_same_from_every_checkpoint(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    content = ("Title\n\n" + ODD[kind] if kind != "wrapped" else ODD[kind]).encode()
    layout = inspect(io.BytesIO(content))
    layout = Layout(**json.loads(json.dumps(layout.as_json())))  # as a job keeps it
    expected = [
        item
        for batch in read_batches(io.BytesIO(content), layout)
        for item in [*batch.rows, *batch.problems]
    ]
    assert len(expected) >= 60
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(lines, "BLOCK_SIZE", size)
        found: list[Any] = []
        checkpoint: Checkpoint | None = None
        while True:
            batch = next(read_batches(io.BytesIO(content), layout, checkpoint))
            if batch.checkpoint == checkpoint or (checkpoint is None and size == 1):
                for rest in read_batches(io.BytesIO(content), layout, checkpoint):
                    found += [*rest.rows, *rest.problems]
                break
            found += [*batch.rows, *batch.problems]
            checkpoint = batch.checkpoint
        assert sorted(map(str, found)) == sorted(map(str, expected))


def test_a_layout_that_was_stored_before_still_reads() -> None:
    stored: dict[str, Any] = {
        "encoding": "utf-8",
        "mark_size": 0,
        "delimiter": ";",
        "header": ["sku", "name"],
        "fields": {"sku": 0, "name": 1},
        "offset": 9,
        "line": 1,
        "warnings": [],
    }
    file = io.BytesIO(b"sku;name\nA-1;Lamp\n")
    layout = Layout(**stored)
    assert [cells(row)[1] for b in read_batches(file, layout) for row in b.rows] == ["A-1"]
    assert inspect(file).as_json() == stored  # and the release before reads what is stored now


word = st.text("abc1 ", max_size=6)
text = st.text("ab1,;|\t\"' \n\ré=-", max_size=14)
plain_tables = st.integers(0, 4).flatmap(
    lambda extra: st.lists(
        st.tuples(text, text, st.sampled_from(["", "5", "1.50"]), *[word] * extra), max_size=12
    )
)


@settings(max_examples=400, deadline=None)
@given(
    plain_tables,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.randoms(use_true_random=False),
)
def test_a_plain_file_reads_as_it_always_did(
    table: list[tuple[str, ...]], delimiter: str, end: str, quoted: bool, encoding: str, order: Any
) -> None:
    """Whatever its text looks like: rows, other delimiters and quotes, blanks beside quotes."""
    names = ["sku", "note", "description", "price", "a", "b", "c", "d"]
    width = 1 + (len(table[0]) if table else 3)
    columns = list(range(width))
    order.shuffle(columns)
    records = [(f"S-{number}", *record) for number, record in enumerate(table)]

    def field(value: str) -> str:
        needed = quoted or any(sign in value for sign in (delimiter, '"', "\r", "\n"))
        return '"' + value.replace('"', '""') + '"' if needed else value

    content = "".join(
        delimiter.join(field(record[n]) for n in columns) + end for record in [names, *records]
    )
    rows, problems, warnings = read(content.encode(encoding))
    assert problems == []
    texts = [unguarded(record[2]) for record in records]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (record[0], "" if text.isspace() else text, record[3])
        for record, text in zip(records, texts, strict=True)
    ]
    expected = ("columns that the catalogue", "no name column", "were read as one record")
    assert not [w for w in warnings if not any(part in w.lower() for part in expected)]
