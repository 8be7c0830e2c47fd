"""What bad input gets, through the real pipeline: upload, broker, worker, database."""

import codecs
import gzip
from collections.abc import Callable
from decimal import Decimal

import pytest

from catalog.models import Change, Product
from imports.models import ImportJob
from imports.tests.workbooks import xlsx, zipped

Run = Callable[..., ImportJob]
HEADER = "sku,name,description,price,active\n"
GOOD = "G-1,Good one,fine,1.00,true\n"
LAST = "G-2,Good two,fine,2.00,false\n"


def errors_of(job: ImportJob) -> list[tuple[int, str, str]]:
    return [(e.line, e.column, e.code) for e in job.errors.order_by("line")]


def skus() -> list[str]:
    return sorted(Product.objects.values_list("sku", flat=True))


def assert_complete(job: ImportJob) -> None:
    assert job.status == "completed", job.error
    assert job.accounted_records == job.total_records == job.processed_records


# --- Files that are no catalogue ------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_fails_and_says_so(run_import: Run, content: bytes) -> None:
    job = run_import(content)
    assert job.status == "failed"
    assert "empty" in job.error


def test_a_header_alone_completes_with_nothing_and_a_warning(run_import: Run) -> None:
    job = run_import(HEADER)
    assert_complete(job)
    assert job.total_records == 0
    assert any("no records" in warning for warning in job.warnings)


def test_a_file_without_an_sku_column_fails_and_lists_its_columns(run_import: Run) -> None:
    job = run_import("code,title\nA,B\n")
    assert job.status == "failed"
    assert "“code”" in job.error
    assert "“title”" in job.error
    assert job.change_set is None


def test_a_header_that_names_a_field_twice_fails(run_import: Run) -> None:
    job = run_import("sku,name,Name\nA,B,C\n")
    assert job.status == "failed"
    assert "column 2" in job.error
    assert "column 3" in job.error


def test_an_exact_name_wins_over_an_alias_which_is_named_in_a_warning(run_import: Run) -> None:
    job = run_import("sku,title,name\nA-1,Alias,Exact\n")
    assert_complete(job)
    assert Product.objects.get().name == "Exact"
    assert any("“title”" in warning for warning in job.warnings)


def test_unknown_columns_are_left_out_with_a_warning(run_import: Run) -> None:
    job = run_import("sku,name,colour\nA-1,Lamp,red\n")
    assert_complete(job)
    assert any("“colour”" in warning for warning in job.warnings)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "Excel"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "picture"),
        (bytes(range(256)) * 20, "not text"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "web page"),
    ],
)
def test_what_is_no_csv_fails_and_says_what_it_is(
    run_import: Run, content: bytes, word: str
) -> None:
    job = run_import(content)
    assert job.status == "failed"
    assert word in job.error


def test_a_workbook_and_an_archive_are_unpacked_by_the_running_worker(run_import: Run) -> None:
    assert_complete(run_import(xlsx({"Products": [["sku", "name"], ["A-1", "Lamp"]]})))
    assert_complete(run_import(zipped({"list.csv": "sku,name\nA-2,Bed\n"})))
    assert skus() == ["A-1", "A-2"]


def test_a_bomb_ends_in_a_sentence_and_the_worker_goes_on(run_import: Run) -> None:
    job = run_import(gzip.compress(bytes(300 << 20)))
    assert job.status == "failed"
    assert "larger unpacked" in job.error
    assert_complete(run_import(HEADER + GOOD))


# --- Encodings, delimiters, line ends -------------------------------------------------

ACCENTS = "sku,name,price\nÄ-1,Größe café,1.50\nB-2,Łódź,2.50\n"


@pytest.mark.parametrize(
    "content",
    [
        ACCENTS.encode(),
        codecs.BOM_UTF8 + ACCENTS.encode(),
        codecs.BOM_UTF16_LE + ACCENTS.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + ACCENTS.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + ACCENTS.encode("utf-32-le"),
        ACCENTS.replace(",", ";").encode(),
        ACCENTS.replace(",", "\t").encode(),
        ACCENTS.replace(",", "|").encode(),
        ("sep=;\n" + ACCENTS.replace(",", ";")).encode(),
        ACCENTS.replace("\n", "\r\n").encode(),
        ACCENTS.replace("\n", "\r").encode(),
        ACCENTS.rstrip("\n").encode(),
        ACCENTS.replace("sku,name", " S-K_U ,Product Name").encode(),
    ],
)
def test_the_same_products_come_out_of_every_encoding_and_delimiter(
    run_import: Run, content: bytes
) -> None:
    job = run_import(content)
    assert_complete(job)
    assert set(Product.objects.values_list("sku", "name", "price")) == {
        ("Ä-1", "Größe café", Decimal("1.50")),
        ("B-2", "Łódź", Decimal("2.50")),
    }


def test_windows_1252_is_read_with_a_warning(run_import: Run) -> None:
    job = run_import("sku,name\nA-1,Größe – café\n".encode("cp1252"))
    assert_complete(job)
    assert Product.objects.get().name == "Größe – café"
    assert any("Windows-1252" in warning for warning in job.warnings)


def test_a_bad_utf8_byte_rejects_its_row_alone(run_import: Run) -> None:
    job = run_import(
        HEADER.encode()
        + "G-1,Größe,fine,1.00,true\n".encode()
        + b"B-1,Gr\xf6\xdfe,x,1.00,true\n"
        + LAST.encode()
    )
    assert_complete(job)
    assert errors_of(job) == [(3, "name", "bad_encoding")]
    assert skus() == ["G-1", "G-2"]


def test_a_file_cut_off_in_the_middle_of_a_utf16_character(run_import: Run) -> None:
    content = codecs.BOM_UTF16_LE + "sku,name\nA-1,Lamp\nB-1,Cha".encode("utf-16-le") + b"\x69"
    job = run_import(content)
    assert_complete(job)
    assert errors_of(job) == [(3, "name", "bad_encoding")]


def test_a_nul_byte_rejects_its_row_alone(run_import: Run) -> None:
    job = run_import(HEADER + GOOD + "B-1,Bad\0name,x,1.00,true\n" + LAST)
    assert_complete(job)
    assert errors_of(job) == [(3, "name", "nul_byte")]
    assert skus() == ["G-1", "G-2"]


def test_separators_that_are_no_line_ends_stay_in_the_text(run_import: Run) -> None:
    job = run_import("sku,name\nA-1,one\u2028two\x0bthree\x85four\nB-1,Chair\n")
    assert_complete(job)
    assert Product.objects.get(sku="A-1").name == "one\u2028two\x0bthree\x85four"


# --- Records that are broken ----------------------------------------------------------


def test_too_few_and_too_many_fields(run_import: Run) -> None:
    job = run_import(HEADER + "B-1,few\n" + GOOD + "B-2,a,b,1.00,true,more\n" + LAST)
    assert_complete(job)
    assert errors_of(job) == [(2, "", "too_few_fields"), (4, "", "too_many_fields")]
    assert skus() == ["G-1", "G-2"]


def test_blank_lines_are_no_records(run_import: Run) -> None:
    job = run_import(
        "\n" + HEADER + "\n" + GOOD + "\n   \n\n" + "B-1,bad,x,NaN,true\n" + LAST + "\n"
    )
    assert_complete(job)
    assert job.total_records == 3
    assert errors_of(job) == [(8, "price", "invalid_price")]


def test_an_inch_mark_in_the_middle_of_a_field_is_text(run_import: Run) -> None:
    job = run_import(HEADER + 'P-1,10" pipe,steel 4" wide,1.00,true\n')
    assert_complete(job)
    product = Product.objects.get()
    assert (product.name, product.description) == ('10" pipe', 'steel 4" wide')


def test_text_after_a_closing_quote_rejects_its_row(run_import: Run) -> None:
    job = run_import(HEADER + GOOD + 'B-1,"10" pipe,x,1.00,true\n' + LAST)
    assert_complete(job)
    assert errors_of(job) == [(3, "", "text_after_quote")]
    assert skus() == ["G-1", "G-2"]


def test_an_unclosed_quote_in_the_middle_swallows_no_product(run_import: Run) -> None:
    job = run_import(
        HEADER
        + GOOD
        + 'B-1,"never closed,x,1.00,true\n'
        + "G-3,Third,plain,3.00,true\n"
        + 'G-4,"Fourth, quoted",plain,4.00,true\n'
        + LAST
    )
    assert_complete(job)
    assert errors_of(job) == [(3, "", "unclosed_quote")]
    assert skus() == ["G-1", "G-2", "G-3", "G-4"]
    assert Product.objects.get(sku="G-4").name == "Fourth, quoted"


def test_a_record_that_a_later_inch_mark_makes_well_formed_is_one_with_a_warning(
    run_import: Run,
) -> None:
    """Whether its quote was meant to close earlier, nobody can tell: lists of parts look so."""
    job = run_import(
        HEADER
        + 'B-1,"never closed,x,1.00,true\n'
        + "G-3,Third,plain,3.00,true\n"
        + 'G-4,pipe 10",plain,4.00,true\n'
        + LAST
    )
    assert_complete(job)
    assert errors_of(job) == []
    assert skus() == ["B-1", "G-2"]
    assert any("Lines 2 to 4" in warning for warning in job.warnings)


def test_an_unclosed_quote_at_the_end(run_import: Run) -> None:
    job = run_import(HEADER + GOOD + 'B-1,"never closed,x,1.00,true\n' + LAST.rstrip("\n"))
    assert_complete(job)
    assert errors_of(job) == [(3, "", "unclosed_quote")]
    assert skus() == ["G-1", "G-2"]


def test_a_quoted_field_over_several_lines_is_kept_and_line_numbers_stay_right(
    run_import: Run,
) -> None:
    job = run_import(
        HEADER + 'G-1,Lamp,"one\r\ntwo, with more\nthree",1.00,true\n' + "B-1,x,y,-1,true\n"
    )
    assert_complete(job)
    assert Product.objects.get().description == "one\r\ntwo, with more\nthree"
    assert errors_of(job) == [(5, "price", "invalid_price")]


def test_a_field_of_300_mb_rejects_its_row_in_constant_memory(run_import: Run) -> None:
    huge = b"B-1,Huge," + b"x" * 300_000_000 + b",1.00,true\n"
    job = run_import(HEADER.encode() + GOOD.encode() + huge + LAST.encode())
    assert_complete(job)
    assert errors_of(job) == [(3, "", "record_too_large")]
    assert skus() == ["G-1", "G-2"]
    assert len(str(job.errors.get().record)) < 10_000


def test_a_quoted_field_of_many_lines_over_the_limit(run_import: Run) -> None:
    huge = 'B-1,Huge,"' + "line of text, with a comma\n" * 80_000 + '",1.00,true\n'
    job = run_import(HEADER + GOOD + huge + LAST)
    assert_complete(job)
    assert errors_of(job) == [(3, "", "record_too_large")]
    assert skus() == ["G-1", "G-2"]


def test_a_file_with_more_than_500_columns_fails(run_import: Run) -> None:
    job = run_import("sku,name," + ",".join(f"c{n}" for n in range(499)) + "\n")
    assert job.status == "failed"
    assert "501" in job.error


# --- Duplicates -----------------------------------------------------------------------


def test_the_last_line_of_an_sku_wins_without_regard_to_case(run_import: Run) -> None:
    job = run_import(
        HEADER + "dup-1,First,,1,true\n" + GOOD + "DUP-1,Second,,2,true\nDup-1,Third,,3,no\n"
    )
    assert_complete(job)
    assert (job.created, job.superseded) == (2, 2)
    product = Product.objects.get(sku__iexact="dup-1")
    assert (product.sku, product.name, product.active) == ("Dup-1", "Third", False)
    assert list(job.superseded_records.order_by("line").values_list("line", "sku", "by_line")) == [
        (2, "dup-1", 4),
        (4, "DUP-1", 5),
    ]


def test_duplicates_far_apart_meet_in_one_chunk(run_import: Run) -> None:
    rows = [f"S-{n:05d},Name {n},,{n % 90}.50,true\n" for n in range(30_000)]
    again = [f"s-{n:05d},Other {n},,1.00,true\n" for n in range(0, 30_000, 1000)]
    job = run_import(HEADER + "".join(rows + again))
    assert_complete(job)
    assert job.chunks.count() == 3
    assert (job.created, job.superseded) == (30_000, 30)
    assert Product.objects.get(sku="s-29000").name == "Other 29000"


def test_an_existing_product_is_overwritten_whatever_its_case(
    run_import: Run, make_product: Callable[..., Product]
) -> None:
    product = make_product("abc-1", "Old", description="old", price=Decimal("9.00"))
    job = run_import(HEADER + "ABC-1,New,,,\n")
    assert_complete(job)
    assert (job.created, job.updated) == (0, 1)
    product.refresh_from_db()
    assert (product.sku, product.name, product.description) == ("ABC-1", "New", "")
    assert product.price is None
    assert product.active is True  # a blank cell keeps it
    assert product.version == 2
    change = Change.objects.get()
    assert change.change_set_id == job.change_set_id
    assert change.fields == 1 + 2 + 4 + 8
    assert (change.old_sku, change.old_name, change.old_description) == ("abc-1", "Old", "old")
    assert (change.old_price, change.old_active) == (Decimal("9.00"), None)


def test_only_the_database_decides_on_case(run_import: Run) -> None:
    """İ folds to i in this database; the two sigmas are two letters in it."""
    job = run_import(
        HEADER + "İ-1,Dotted,,1,true\ni-1,Plain,,2,true\nΑΣ-1,Big,,1,true\nας-1,Final,,1,true\n"
    )
    assert_complete(job)
    assert (job.created, job.superseded) == (3, 1)
    assert skus() == ["i-1", "ΑΣ-1", "ας-1"]


def test_invisible_characters_around_an_sku_are_taken_off(run_import: Run) -> None:
    job = run_import(
        HEADER + "\u00a0X-1\u200b,First,,1,true\n x-1\u00a0 ,Second,,2,true\nCafe\u0301,C,,1,true\n"
    )
    assert_complete(job)
    assert skus() == ["Caf\u00e9", "x-1"]


# --- Values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "column", "code"),
    [
        ("B-1,x,y,NaN,true", "price", "invalid_price"),
        ("B-1,x,y,1e5,true", "price", "invalid_price"),
        ("B-1,x,y,-1,true", "price", "invalid_price"),
        ('B-1,x,y,"1,2990.00",true', "price", "invalid_price"),
        ("B-1,x,y,12.345,true", "price", "invalid_price"),
        ("B-1,x,y,10000000000,true", "price", "invalid_price"),
        ("B-1,x,y,٣,true", "price", "invalid_price"),
        ("B-1,x,y,1,maybe", "active", "invalid_active"),
        (f"B-1,{'n' * 300},y,1,true", "name", "invalid_name"),
        ("B-1,,y,1,true", "name", "blank_name"),
        ("B-1,   ,y,1,true", "name", "blank_name"),
        (",x,y,1,true", "sku", "blank_sku"),
        ("\u200b,x,y,1,true", "sku", "invalid_sku"),
        (f"{'s' * 101},x,y,1,true", "sku", "invalid_sku"),
        ('"B\n1",x,y,1,true', "sku", "invalid_sku"),
        (f"B-1,x,{'d' * 100_001},1,true", "description", "invalid_description"),
    ],
)
def test_a_bad_value_rejects_its_row_and_names_its_column(
    run_import: Run, record: str, column: str, code: str
) -> None:
    job = run_import(HEADER + GOOD + record + "\n" + LAST)
    assert_complete(job)
    assert errors_of(job) == [(3, column, code)]
    assert skus() == ["G-1", "G-2"]


def test_all_bad_values_of_a_row_are_told_at_once(run_import: Run) -> None:
    job = run_import(HEADER + "B-1,x,y,free,maybe\n")
    error = job.errors.get()
    assert job.rejected == 1
    assert "“free”" in error.message
    assert "“maybe”" in error.message
    assert error.record == ["B-1", "x", "y", "free", "maybe"]


@pytest.mark.parametrize(
    ("text", "active"),
    [
        *((word, True) for word in ("TRUE", "Yes", "y", "1", " Active ", "")),
        *((word, False) for word in ("f", "NO", "0", "inactive")),
    ],
)
def test_ways_to_write_active(run_import: Run, text: str, active: bool) -> None:
    assert_complete(run_import(f"sku,name,active\nA-1,Lamp,{text}\n"))
    assert Product.objects.get().active is active


def test_the_limits_themselves_are_allowed(run_import: Run) -> None:
    row = f"{'s' * 100},{'n' * 255},{'d' * 100_000},9999999999.99,true\n"
    assert_complete(run_import(HEADER + row))
    assert Product.objects.get().price == Decimal("9999999999.99")


def test_characters_that_copy_treats_specially_are_stored_as_they_are(run_import: Run) -> None:
    text = 'a\\b \\N \\. \t tab "quoted"'
    cell = '"' + text.replace('"', '""') + '"'
    assert_complete(run_import(HEADER + f"A-1,Lamp,{cell},1,true\n"))
    assert Product.objects.get().description == text


# --- Columns that are not in the file -------------------------------------------------


def test_a_column_that_is_not_in_the_file_stays_as_stored(
    run_import: Run, make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Lamp", description="kept", price=Decimal("1.00"), active=False)
    job = run_import("sku,price\na-1,2.00\n")
    assert_complete(job)
    product = Product.objects.get()
    assert (product.name, product.description, product.active) == ("Lamp", "kept", False)
    assert product.price == Decimal("2.00")


def test_a_new_product_needs_a_name_column(
    run_import: Run, make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Lamp")
    job = run_import("sku,price\nA-1,2.00\nNEW-1,3.00\n")
    assert_complete(job)
    assert (job.updated, job.rejected) == (1, 1)
    assert errors_of(job) == [(3, "", "name_required")]
    assert job.errors.get().record == ["NEW-1", "3.00"]
    assert any("no name column" in warning for warning in job.warnings)


@pytest.mark.parametrize(
    ("mode", "counts", "names"),
    [
        ("upsert", (1, 1, 1, 0), {"Old", "Newer", "Fresh"}),
        ("create_only", (1, 0, 0, 2), {"Old", "Stale", "Fresh"}),
        ("update_only", (0, 1, 1, 1), {"Old", "Newer"}),
    ],
)
def test_modes_and_what_they_skip(
    run_import: Run,
    make_product: Callable[..., Product],
    mode: str,
    counts: tuple[int, ...],
    names: set[str],
) -> None:
    make_product("SAME", "Old")
    make_product("STALE", "Stale")
    job = run_import("sku,name\nSAME,Old\nstale,Newer\nNEW,Fresh\n", mode=mode)
    assert_complete(job)
    assert (job.created, job.updated, job.unchanged, job.skipped) == counts
    assert set(Product.objects.values_list("name", flat=True)) == names
