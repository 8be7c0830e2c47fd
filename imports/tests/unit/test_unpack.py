"""Archives and workbooks: what becomes of each kind, and of each kind of bad one."""

import csv
import datetime
import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import psutil
import pytest
import xlsxwriter

from conftest import wait_for
from imports.readers.unpack import (
    Kind,
    NeedsChoice,
    Unpacked,
    UnreadableFile,
    kind_of,
    limits,
    peek,
    process,
    unpack,
)
from imports.readers.unpack.cells import number_text
from imports.readers.unpack.kinds import foreign_name
from imports.tests import workbooks
from imports.tests.workbooks import ods_cell, unpackers, xlsx, zipped
from product_importer.environment import BASE_DIR

CSV = b"sku,name\nA-1,Lamp\n"
EXPECTED = [
    ["sku", "name", "price", "active"],
    ["A-1", "Lamp", "12.5", "true"],
    ["A-2", "Bed", "3", "0"],
]


def unpacked(content: bytes, **choice: Any) -> tuple[Unpacked, bytes]:
    """What a file with this content is, and its table."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(content)
        done = unpack(cast(BinaryIO, source), cast(BinaryIO, target), **choice)
        target.seek(0)
        table = target.read()
        assert len(table) == done.size
        return done, table


def rows(content: bytes, **choice: Any) -> list[list[str]]:
    _, table = unpacked(content, **choice)
    return list(csv.reader(io.StringIO(table.decode(), newline="")))


def refusal(content: bytes, **choice: Any) -> str:
    with pytest.raises(UnreadableFile) as refused:
        unpacked(content, **choice)
    return str(refused.value)


def book(fill: Callable[[Any, Any], None]) -> bytes:
    """A workbook whose one sheet is filled by a function."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as made:
        fill(made, made.add_worksheet("Products"))
    return buffer.getvalue()


# --- What a file is -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (CSV, Kind.TEXT),
        (b"", Kind.TEXT),
        (b"PKW,name\n", Kind.TEXT),
        (b"BZh1,name\n", Kind.TEXT),
        (b"<b>sku</b>,name\n", Kind.TEXT),
        (b"<sku>\t<name>\n", Kind.TEXT),
        (b"<sku>;<name>\n", Kind.TEXT),
        (b"ID;Preis\nA1;5\nB;6\n", Kind.TEXT),
        (b"PAR1,Lamp,5\n", Kind.TEXT),
        (gzip.compress(CSV), Kind.GZIP),
        (zipped({"a.csv": CSV}), Kind.ZIP),
        (xlsx(), Kind.ZIP),
        (workbooks.xls([]), Kind.OLE),
        (b"\n <TABLE><tr>", Kind.HTML),
        (b"<!-- made by x --><html>", Kind.HTML),
        ("<html>".encode("utf-16"), Kind.HTML),
        (b'<?xml version="1.0"?><html>', Kind.HTML),
        (b"%PDF-1.4", Kind.FOREIGN),
    ],
    ids=range(18),
)
def test_the_first_bytes_tell_what_a_file_is(content: bytes, kind: Kind) -> None:
    assert kind_of(content[:4096]) == kind


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"7z\xbc\xaf\x27\x1c..", "7-Zip"),
        (b"Rar!\x1a\x07\x01", "RAR"),
        (b"BZh91AY&SY..", "bzip2"),
        (b"\x28\xb5\x2f\xfd..", "Zstandard"),
        (bytes(257) + b"ustar", "tar"),
        (b"MSCF" + bytes(4) + b"..", "cabinet"),
        (b'<?xml version="1.0"?><feed/>', "XML"),
        (b'<?xml?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">', "2003"),
        (
            b'<?xml?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet>'
            b"<Table><Row><Cell>",
            "2003",
        ),
        (b"<products>\n\t<product><sku>1</sku>", "XML"),
        (b'<rss version="2.0"><channel>', "XML"),
        (b"INSERT INTO products VALUES ('A1');", "SQL"),
        (b"ID;PWXL;N;E\r\nP;PGeneral\r\nC;Y1;X1", "SYLK"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related", "web archive"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "picture"),
        (b"\0\0\0\x18ftypheic", "picture"),
    ],
    ids=range(17),
)
def test_a_file_without_a_table_is_refused_by_its_name(content: bytes, word: str) -> None:
    assert word in foreign_name(content)
    assert word in refusal(content)
    assert word in refusal(gzip.compress(content))
    assert ("Unpack it" in refusal(content)) == (
        word in ("7-Zip", "RAR", "bzip2", "tar", "Zstandard", "cabinet")
    )


# --- Workbooks ------------------------------------------------------------------------


def test_a_workbook_becomes_a_table_of_its_rows() -> None:
    done, table = unpacked(xlsx())
    assert (done.kind, done.sheets, done.sheet) == ("xlsx", ("Products",), "Products")
    assert done.warnings == ()
    assert table == b"sku,name,price,active\nA-1,Lamp,12.5,true\nA-2,Bed,3,0\n"


def test_a_binary_workbook_an_old_one_and_an_open_document_are_read_as_well() -> None:
    expected = [["sku", "price"], ["A-1", "12.5"]]
    number = 'office:value-type="float" office:value="12.5"'
    made = {
        "xlsb": workbooks.xlsb(
            [
                *(workbooks.xlsb_row(0), workbooks.xlsb_text(0, "sku")),
                *(workbooks.xlsb_text(1, "price"), workbooks.xlsb_row(1)),
                *(workbooks.xlsb_text(0, "A-1"), workbooks.xlsb_number(1, 12.5)),
            ]
        ),
        "xls": workbooks.xls(
            [
                *(workbooks.xls_text(0, 0, "sku"), workbooks.xls_text(0, 1, "price")),
                *(workbooks.xls_text(1, 0, "A-1"), workbooks.xls_number(1, 1, 12.5)),
            ]
        ),
        "ods": workbooks.ods(
            [
                [ods_cell("sku"), ods_cell("price")],
                [
                    ods_cell("A-1"),
                    ods_cell("12,50 €", number),
                ],
            ]
        ),
    }
    for kind, content in made.items():
        assert rows(content) == expected, kind
        assert unpacked(content)[0].kind == kind


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17.0, "17"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (0.1 + 0.2, "0.3"),
        (19.989999999999998, "19.99"),
        (1299.0, "1299"),
        (4006381333931.0, "4006381333931"),
        (1e20, "100000000000000000000"),
        (0.0000001, "0.0000001"),
        (-2.5e-7, "-0.00000025"),
        (123456789012345.6, "123456789012346"),
    ],
)
def test_a_number_is_written_as_people_see_it(value: float, text: str) -> None:
    assert number_text(value) == text


def test_dates_times_and_truths_are_written_in_one_way_whatever_the_format() -> None:
    def fill(made: Any, sheet: Any) -> None:
        moment = datetime.datetime(2024, 1, 31, 13, 4, 5)
        for column, (code, value) in enumerate(
            [
                ("dd.mm.yyyy", moment.date()),
                ("yyyy-mm-dd hh:mm:ss", moment),
                ("hh:mm:ss", moment.time()),
                ("[h]:mm:ss", datetime.timedelta(hours=42)),
            ]
        ):
            sheet.write_datetime(0, column, value, made.add_format({"num_format": code}))
        sheet.write_boolean(0, 4, False)

    assert rows(book(fill)) == [
        ["2024-01-31", "2024-01-31T13:04:05", "13:04:05", "42:00:00", "false"]
    ]


def test_formulas_are_their_last_value_and_errors_their_name() -> None:
    def fill(made: Any, sheet: Any) -> None:
        sheet.write_formula(0, 0, "=1+1", None, 2)
        sheet.write_formula(0, 1, "=A1", None, "text")
        sheet.write_formula(0, 2, "=1/0", None, "#DIV/0!")
        sheet.write_formula(0, 3, "=VLOOKUP(1,A:A,9)", None, "#REF!")
        sheet.write_string(0, 4, 'say t="e"')

    assert rows(book(fill)) == [["2", "text", "#DIV/0!", "#REF!", 'say t="e"']]


def test_errors_keep_their_name_in_the_other_kinds_of_workbooks() -> None:
    error = 'table:formula="of:=NA()" office:value-type="string" office:string-value="" ' + (
        'calcext:value-type="error"'
    )
    assert rows(workbooks.ods([[ods_cell("sku"), ods_cell("#N/A", error)]])) == [["sku", "#N/A"]]
    cells = [workbooks.xlsb_row(0), workbooks.xlsb_text(0, "sku"), workbooks.xlsb_error(1, 23)]
    assert rows(workbooks.xlsb(cells)) == [["sku", "#REF!"]]
    old = [workbooks.xls_text(0, 1, "sku"), workbooks.xls_error(1, 1, 42)]
    old.append(workbooks.xls_formula_error(1, 2, 7))
    assert rows(workbooks.xls(old)) == [["", "sku", ""], ["", "#N/A", "#DIV/0!"]]


def test_a_number_that_is_shown_with_leading_zeros_keeps_them() -> None:
    def fill(made: Any, sheet: Any) -> None:
        zeros = made.add_format({"num_format": "00000", "bold": True})
        sheet.write_row(0, 0, ["sku", "name"])
        sheet.write_number(1, 0, 17, zeros)
        sheet.write_string(2, 0, "A-1", zeros)
        sheet.write_formula(3, 0, "=8+9", zeros, 17)
        sheet.write_number(4, 0, 1234567, zeros)

    done, table = unpacked(book(fill))
    assert table == b"sku,name\n00017,\nA-1,\n00017,\n1234567,\n"
    assert done.warnings == ()


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("00-0000", "12-0034"),
        ('"A&B-"0000000', "A&B-0120034"),
        ("[$-407]000\\.000", "120.034"),
        ("(00) 00", "(1200) 34"),
        ("000000;-000000;0", "120034"),
        ('0 "pcs"', "120034"),
        ("#,##0.00", "120034"),
    ],
)
def test_a_number_has_the_signs_that_its_format_puts_between_zeros(code: str, shown: str) -> None:
    def fill(made: Any, sheet: Any) -> None:
        sheet.write_number(0, 0, 120034, made.add_format({"num_format": code}))

    assert rows(book(fill)) == [[shown]]


def test_an_old_workbook_and_an_open_document_keep_such_numbers_too() -> None:
    cells = [
        workbooks.xls_text(0, 0, "sku"),
        workbooks.xls_number(1, 0, 17, 1),
        workbooks.xls_number(2, 0, 17),
        workbooks.xls_packed(3, 0, 120034, 2),
        workbooks.xls_packed_row(4, 0, [7, 8], 1),
        workbooks.xls_number(5, 0, 1.5, 1),
        workbooks.xls_number(6, 0, 12, 3),
    ]
    old = workbooks.xls(cells, formats=["00000", "00-0000", "#,##0.00"])
    shown = ["sku", "00017", "17", "12-0034", "00007", "1.5", "12"]
    assert [row[0] for row in rows(old)] == shown
    assert rows(old)[4] == ["00007", "00008"]

    def number(value: str, text: str) -> list[str]:
        return [ods_cell(text, f'office:value-type="float" office:value="{value}"')]

    cells_of = {"00017": "17", "12-0034": "120034", "ART-17": "17"}
    kept = {"1,234": "1234", "0.50": "0.5", "0": "0", "-7": "-7", "007": "7.1"}
    table = workbooks.ods([number(v, text) for text, v in (cells_of | kept).items()])
    assert [row[0] for row in rows(table)] == [*cells_of, *kept.values()]


def test_a_workbook_of_many_blocks_keeps_its_errors_and_zeros() -> None:
    def fill(made: Any, sheet: Any) -> None:
        zeros = made.add_format({"num_format": "00000"})
        for row in range(40_000):
            sheet.write_number(row, 0, row, zeros)
            sheet.write_string(row, 1, "a name that takes its room")
            sheet.write_formula(row, 2, "=NA()", None, "#N/A")

    found = rows(book(fill))
    assert [row[0] for row in found] == [f"{row:05}" for row in range(40_000)]
    assert {tuple(row[1:]) for row in found} == {("a name that takes its room", "#N/A")}


def test_what_a_workbook_has_lost_is_warned_of() -> None:
    done, _ = unpacked(
        xlsx({"A": [["sku", "ean"], ["00123", 4006381333931], [17, 40063813339310000], [18, 1]]})
    )
    zeros, digits = done.warnings
    assert zeros.startswith("Column A (“sku”) has 1 cell with leading zeros, such as 00123, and 2")
    assert digits.startswith("Column B (“ean”) has 1 cell with a number of more than 15 digits")


@pytest.mark.parametrize("value", ["", "<v></v>", "<v/>"])
def test_formulas_that_were_never_computed_are_warned_of(value: str) -> None:
    def fill(made: Any, sheet: Any) -> None:
        sheet.write_formula(0, 0, "=1+1", None, 2)

    with zipfile.ZipFile(io.BytesIO(book(fill))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    part = "xl/worksheets/sheet1.xml"
    assert unpacked(zipped({**members}))[0].warnings == ()
    members[part] = (
        members[part]
        .replace(b"<v>2</v>", value.encode())
        .replace(b"</row>", b'<c r="B1"><v>1</v></c></row>')
    )
    done, table = unpacked(zipped({**members}))
    assert "never computed" in done.warnings[0]
    assert table == b",1\n"


def test_rows_and_columns_keep_their_numbers() -> None:
    def fill(made: Any, sheet: Any) -> None:
        sheet.write_row(2, 1, ["sku", "name"])
        sheet.write_row(4, 1, ["A-1", "Lamp"])

    assert unpacked(book(fill))[1] == b"\n\n,sku,name\n\n,A-1,Lamp\n"


def test_a_stray_cell_far_to_the_right_does_not_widen_the_table() -> None:
    def fill(made: Any, sheet: Any) -> None:
        for row in range(100):
            sheet.write_row(row, 0, ["A", "Lamp"])
        sheet.write(80, 200, "stray")

    found = rows(book(fill))
    assert {len(row) for row in found[:80] + found[81:]} == {2}
    assert len(found[80]) == 201


def test_a_workbook_with_thousands_of_pictures_is_read() -> None:
    with zipfile.ZipFile(io.BytesIO(xlsx({"A": [["sku"], ["A-1"]], "B": []}))) as archive:
        members: dict[str, bytes | str] = {n: archive.read(n) for n in archive.namelist()}
    pictures: dict[str, bytes | str] = {
        f"xl/media/image{n}.png": bytes(30_000) for n in range(3_000)
    }
    done, table = unpacked(zipped(members | pictures))
    assert (table, done.warnings) == (b"sku\nA-1\n", ())


def test_text_with_quotes_line_breaks_and_delimiters_comes_through() -> None:
    text = 'He said "8, 9"\nand; left\ttoo'
    assert rows(xlsx({"A": [["sku", "name"], ["A-1", text]]})) == [["sku", "name"], ["A-1", text]]


def test_the_first_sheet_with_a_cell_is_read_and_the_others_are_named() -> None:
    sheets: dict[str, workbooks.Rows] = {"Cover": [], "List": workbooks.TABLE, "None": []}
    done, _ = unpacked(xlsx(sheets | {f"Sheet{n}": [["x"]] for n in range(37)}))
    assert done.sheet == "List"
    assert len(done.sheets) == 40
    (warning,) = done.warnings
    assert "“List” was read" in warning
    assert "“Sheet0”" in warning
    assert "and 17 more" in warning
    assert "None" not in warning


def test_a_hidden_sheet_is_read_only_where_no_other_has_a_cell() -> None:
    def fill(made: Any, sheet: Any) -> None:
        sheet.write(0, 0, "hidden")
        made.add_worksheet("Shown").write(0, 0, "shown")
        made.get_worksheet_by_name("Shown").activate()
        sheet.hide()

    assert rows(book(fill)) == [["shown"]]
    assert rows(book(fill), sheet="Products") == [["hidden"]]


def test_a_sheet_is_taken_by_its_name_and_one_that_is_not_there_is_told() -> None:
    content = xlsx({"A": [["a"]], "B": [["b"]]})
    done, table = unpacked(content, sheet="B")
    assert (table, done.sheet, done.warnings) == (b"b\n", "B", ())
    assert "It has: “A”, “B”." in refusal(content, sheet="C")


def test_a_sheet_is_taken_by_its_number_and_one_that_is_not_there_is_told() -> None:
    content = xlsx({"2": [["a"]], "B": [["b"]], "Empty": []})
    assert unpacked(content, sheet=2)[1] == b"b\n"
    assert unpacked(content, sheet="2")[1] == b"a\n"
    assert "no sheet 4. It has: “2”, “B”, “Empty”." in refusal(content, sheet=4)


def test_hidden_columns_merged_cells_and_protected_sheets_are_read() -> None:
    def fill(made: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 1, "Price list")
        sheet.write_row(1, 0, ["sku", "name"])
        sheet.write_row(2, 0, ["A-1", "Lamp"])
        sheet.set_column(1, 1, None, None, {"hidden": True})
        sheet.protect("secret")

    assert rows(book(fill)) == [["Price list", ""], ["sku", "name"], ["A-1", "Lamp"]]


def test_a_look_at_another_sheet_gives_its_first_rows_only() -> None:
    content = xlsx({"A": [["a"]], "B": [[n] for n in range(5_000)]})
    with tempfile.TemporaryFile() as source:
        source.write(content)
        assert peek(cast(BinaryIO, source), sheet="B", rows=3) == b"0\n1\n2\n"


@pytest.mark.parametrize(
    "content",
    [
        workbooks.container("EncryptedPackage", b"x" * 5000),
        workbooks.xls([], encrypted=True),
        workbooks.ods([], manifest="<manifest:encryption-data/>"),
    ],
    ids=["xlsx", "xls", "ods"],
)
def test_a_workbook_with_a_password_is_refused_as_such(content: bytes) -> None:
    assert "password" in refusal(content)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: xlsx()[:3000], "damaged or was cut off"),
        (lambda: workbooks.xls([])[:3000], "damaged or was cut off"),
        (lambda: xlsx({"A": [], "B": []}), "none of its sheets has a cell"),
        (lambda: zipped({"[Content_Types].xml": "", "word/document.xml": ""}), "Word"),
        (lambda: zipped({"[Content_Types].xml": "<", "xl/workbook.xml": "<"}), "damaged"),
        (lambda: zipped({"Index/Document.iwa": b"x"}), "Numbers"),
        (lambda: zipped({"mimetype": "opendocument.text", "content.xml": ""}), "not a spread"),
        (lambda: workbooks.container("WordDocument", b"x" * 5000), "not a workbook"),
        (lambda: xlsx({f"S{n}": [] for n in range(251)}), "251 sheets"),
    ],
    ids=range(9),
)
def test_a_workbook_that_is_none_ends_in_a_sentence(make: Callable[[], bytes], word: str) -> None:
    assert word in refusal(make())


# --- Pages ----------------------------------------------------------------------------


def test_a_table_of_a_page_under_the_name_of_a_workbook_is_read() -> None:
    page = (
        "<html><head><meta charset=windows-1252><style>td {}</style></head><body>"
        "<table><tr><td>made by us</td></tr></table>"
        "<table border=1><tr><th>sku<th>name<th colspan=2>price</tr>"
        "<tr><td rowspan=2>A&amp;1</td><td>Gr\xf6\xdfe<br>L &euro;</td><td>1</td><td>EUR</td></tr>"
        "<tr><td>Bed\n  and more</td><td>2</td><td></td></tr></table></body></html>"
    )
    done, table = unpacked(page.encode("cp1252"))
    assert done.kind == "html"
    assert list(csv.reader(io.StringIO(table.decode(), newline=""))) == [
        ["sku", "name", "price", ""],
        ["A&1", "Größe\nL €", "1", "EUR"],
        ["", "Bed and more", "2", ""],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_page_says_its_encoding_or_shows_it(encoding: str) -> None:
    page = "<table><tr><td>sku<td>name<tr><td>A<td>Größe</table>"
    assert rows(page.encode(encoding)) == [["sku", "name"], ["A", "Größe"]]


@pytest.mark.parametrize(
    "page",
    [
        b"<!doctype html><html><body>Log in</body></html>",
        b"<html><table><tr><td>User<td><input><tr><td>Password<td><input type=password></table>",
    ],
)
def test_a_page_without_a_table_of_products_is_refused_as_a_page(page: bytes) -> None:
    assert "web page" in refusal(page)


# --- Archives -------------------------------------------------------------------------


def test_a_text_in_an_archive_stays_as_it_is_byte_by_byte() -> None:
    text = "sku;name\r\nA;Größe\r\n".encode("cp1252")
    assert unpacked(gzip.compress(text))[1] == text
    done, table = unpacked(zipped({"folder/": b"", "folder/liste.txt": text, "a.jpg": b"x"}))
    assert (table, done.kind, done.member) == (text, "zip", "folder/liste.txt")


def test_a_workbook_in_an_archive_is_read_too() -> None:
    assert rows(gzip.compress(xlsx())) == EXPECTED
    done, _ = unpacked(zipped({"a.xlsx": xlsx(), "__MACOSX/._a.xlsx": b"x", "readme.txt": "x"}))
    assert (done.kind, done.member, done.sheet) == ("zip", "a.xlsx", "Products")


def test_several_tables_in_an_archive_are_offered_to_choose_from() -> None:
    content = zipped({"a.csv": CSV, "b.tsv": b"sku\tname\n", "c.png": b"x"})
    with pytest.raises(NeedsChoice) as several:
        unpacked(content)
    assert several.value.members == ["a.csv", "b.tsv"]
    done, table = unpacked(content, member="b.tsv")
    assert (done.member, done.members, table) == ("b.tsv", ("a.csv", "b.tsv"), b"sku\tname\n")
    assert "“a.csv”, “b.tsv”" in refusal(content, member="d.csv")


def test_a_name_that_leads_out_of_the_archive_leads_nowhere() -> None:
    done, table = unpacked(zipped({"../../etc/products.csv": CSV}))
    assert (done.member, table) == ("../../etc/products.csv", CSV)


def corrupted(content: bytes) -> bytes:
    """The same with another byte in the middle of what is packed."""
    return content[:60] + bytes((content[60] ^ 0xFF,)) + content[61:]


def encrypted(content: bytes) -> bytes:
    """The same archive, whose one member says that it is encrypted."""
    flags = content.index(b"PK\x01\x02") + 8
    return content[:flags] + b"\x01\x00" + content[flags + 2 :]


def large() -> bytes:
    return gzip.compress(b"".join(b"%d,Lamp\n" % n for n in range(50_000)))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: large()[:-2000], "damaged or was cut off"),
        (lambda: corrupted(large()), "damaged or was cut off"),
        (lambda: large() + b"rubbish", "damaged or was cut off"),
        (lambda: zipped({"a.csv": CSV * 99})[:-30], "damaged or was cut off"),
        (lambda: corrupted(zipped({"a.csv": os.urandom(500)})), "damaged or was cut off"),
        (lambda: encrypted(zipped({"a.csv": CSV})), "password"),
        (lambda: zipped({}), "holds no table"),
        (lambda: zipped({"a.jpg": b"x"}), "holds no table"),
        (lambda: zipped({f"{n}.csv": CSV for n in range(10_000)}), "10,000 members"),
        (lambda: zipped({"inner.zip": zipped({"a.csv": CSV})}), "another archive"),
        (lambda: gzip.compress(gzip.compress(CSV)), "another archive"),
    ],
    ids=range(11),
)
def test_an_archive_that_is_none_ends_in_a_sentence(make: Callable[[], bytes], word: str) -> None:
    assert word in refusal(make())


# --- Limits ---------------------------------------------------------------------------


def bomb(size: int, *, told: int | None = None) -> bytes:
    """An archive with a member of so many zeros, which may tell of another size."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros.csv", "w", force_zip64=True) as member,
    ):
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    content = buffer.getvalue()
    if told is not None:
        place = content.index(b"PK\x01\x02") + 24
        content = content[:place] + struct.pack("<I", told) + content[place + 4 :]
    return content


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    content = bomb(300 << 20)
    ten_gigabytes = content.replace(struct.pack("<I", 300 << 20), struct.pack("<I", 0xF0000000))
    assert refusal(content) == limits.TOO_LARGE
    assert refusal(ten_gigabytes) == limits.TOO_LARGE


def test_a_bomb_is_refused_while_it_is_unpacked() -> None:
    packed = gzip.compress(bytes(300 << 20), 1)
    assert refusal(packed) == limits.TOO_LARGE
    assert "damaged" in refusal(bomb(300 << 20, told=1000))


@pytest.mark.parametrize("kind", ["ods", "xlsx"])
def test_a_workbook_that_grows_without_end_ends_at_the_limit_of_memory(kind: str) -> None:
    if kind == "ods":
        wide = "<table:table-cell table:number-columns-repeated='16000' office:value-type='string'>"
        cell = wide + "<text:p>x</text:p></table:table-cell>"
        content = workbooks.ods([[cell]] * 5_000)
    else:

        def fill(made: Any, sheet: Any) -> None:
            sheet.write(0, 0, "x")
            sheet.write(1_048_575, 16_383, "x")

        content = book(fill)
    assert refusal(content) == limits.TOO_MUCH_MEMORY


def test_the_child_hears_nothing_of_the_environment_and_ends_when_it_is_left() -> None:
    seen: list[dict[str, str]] = []

    class Enough(Exception):
        pass

    def look(share: float) -> None:
        (child,) = unpackers()
        seen.append(child.environ())
        raise Enough

    big = xlsx({"A": [[f"A-{n}", "name", n] for n in range(60_000)]})
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(process, "TELL_SECONDS", 0.0)
        with pytest.raises(Enough):
            unpacked(big, tell=look)
    assert not unpackers()
    assert not seen[0].keys() & {"DATABASE_URL", "SECRET_KEY", "REDIS_URL"}


def test_a_child_that_somebody_killed_may_go_well_the_next_time() -> None:
    def kill(share: float) -> None:
        for child in unpackers():
            child.send_signal(signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "TELL_SECONDS", 0.0)
        with pytest.raises(ChildProcessError):
            unpacked(xlsx({"A": [[f"A-{n}", "name", n] for n in range(60_000)]}), tell=kill)


def test_what_takes_too_long_is_stopped() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SECONDS", 0)
        assert refusal(xlsx()) == limits.TOO_LONG
    assert not unpackers()


LEAVE = """
import os, signal, sys, tempfile
import psutil
from imports.readers.unpack import process
process.TELL_SECONDS = 0.0
def leave(share):
    print(psutil.Process().children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
with open(sys.argv[1], "rb") as source, tempfile.TemporaryFile() as target:
    process.unpack(source, target, tell=leave)
"""


def test_the_child_of_a_worker_that_was_killed_ends_too(tmp_path: Path) -> None:
    file = tmp_path / "big.xlsx"
    file.write_bytes(xlsx({"A": [[f"A-{n}", "name", n] for n in range(60_000)]}))
    done = subprocess.run(
        [sys.executable, "-c", LEAVE, str(file)],
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    child = int(done.stdout)
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")
