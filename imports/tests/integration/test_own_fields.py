"""A supplier's other columns: into fields of one's own, checked, reviewed, refused and undone."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client

from catalog.models import Change, Field, Product
from catalog.operations import fields, undo
from catalog.operations.products import create_product
from catalog.queries.own_fields.fields import locked_definitions
from catalog.sql import fields as sql_fields
from conftest import Messages
from imports.mapping.rules import parse_rules
from imports.models import ImportJob
from imports.operations import jobs, mending
from imports.pipeline import chunks
from imports.queries.mapping import mapping_of
from imports.queries.rejects import rejects_csv
from imports.queries.review import read_page
from imports.queries.review_csv import review_csv_response

pytestmark = pytest.mark.django_db(transaction=True)

Upload = Callable[..., ImportJob]


@pytest.fixture(autouse=True)
def defined() -> Iterator[None]:
    """Brand, stock, a weight of three decimals, and a GTIN that no two products share."""
    for data in (
        {"label": "Brand", "type": "text"},
        {"label": "Stock", "type": "integer"},
        {"label": "Weight", "type": "decimal", "options": {"scale": 3}},
        {"label": "GTIN", "type": "gtin", "unique": True},
    ):
        fields.create_field(data=data)
    yield
    with connection.cursor() as cursor:
        for field in Field.objects.all():
            sql_fields.drop_unique_index(cursor, field.pk)


@pytest.fixture
def run(upload: Upload, messages: Messages) -> Callable[..., ImportJob]:
    """Import a text, to its end."""

    def imported(text: str, **options: Any) -> ImportJob:
        job = upload(text, **options)
        messages.run_all()
        job.refresh_from_db()
        return job

    return imported


def own(sku: str) -> Any:
    return Product.objects.values_list("own_fields", flat=True).get(sku=sku)


FIRST = (
    "sku,name,Brand,Stock,Weight,EAN\n"
    "A,Lamp,Acme,3,0.5,4006381333931\n"
    'B,Desk,"Bolt, ""Ltd""",0,,\n'
    "C,Chair,,,,\n"
)


def test_columns_go_into_the_fields_that_they_name(run: Callable[..., ImportJob]) -> None:
    job = run(FIRST)
    assert (job.status, job.error, job.created, job.rejected) == ("completed", "", 3, 0)
    assert own("A") == {
        "brand": "Acme",
        "stock": 3,
        "weight": "0.500",
        "gtin": "04006381333931",
    }
    assert own("B") == {"brand": 'Bolt, "Ltd"', "stock": 0}
    assert own("C") is None
    again = run(FIRST)
    assert (again.unchanged, again.updated) == (3, 0)


def test_only_the_columns_of_a_file_are_touched_and_a_blank_clears(
    run: Callable[..., ImportJob],
) -> None:
    run(FIRST)
    job = run("sku,brand\nA,\nB,New\n")
    assert (job.updated, job.unchanged) == (2, 0)
    assert own("A") == {"stock": 3, "weight": "0.500", "gtin": "04006381333931"}
    assert own("B") == {"brand": "New", "stock": 0}
    change = Change.objects.get(product__sku="A")
    assert change.old_own_fields == {"brand": "Acme"}
    plain = run("sku,name\nA,Lamp 2\n")
    assert (plain.updated, own("A")["stock"]) == (1, 3)


def test_a_rule_keeps_what_is_stored_where_a_cell_is_blank(run: Callable[..., ImportJob]) -> None:
    run(FIRST)
    rules = parse_rules(
        {
            "columns": [
                {"column": "nr", "field": "sku"},
                {"column": "marke", "field": "fields.brand"},
                {"column": "gewicht", "field": "fields.weight", "decimal": ","},
            ],
            "blank": {"fields.brand": "keep"},
        }
    )
    job = run("nr;marke;gewicht\nA;;1,25\nB;X;\n", rules=rules)
    assert (job.status, job.error) == ("completed", "")
    assert (own("A")["brand"], own("A")["weight"], own("B")["brand"]) == ("Acme", "1.250", "X")


def test_a_decimal_comma_is_found_in_an_own_column_too(run: Callable[..., ImportJob]) -> None:
    job = run("sku;name;Gewicht\nA;Lamp;1.250,5\nB;Desk;0,75\n")
    assert (job.status, job.error) == ("completed", "")
    assert (own("A")["weight"], own("B")["weight"]) == ("1250.500", "0.750")


def test_what_an_own_field_does_not_take_is_refused_by_line(run: Callable[..., ImportJob]) -> None:
    job = run(
        "sku,name,Stock,GTIN\nA,Lamp,many,4006381333931\nB,Desk,2,4006381333930\nC,Mug,1,\n"
        "D,Pot,1,4.00638E+12\nE,Pan,1,#REF!\n"
    )
    assert (job.created, job.rejected, job.total_records) == (1, 4, 5)
    errors = list(job.errors.values_list("line", "column", "code"))
    assert errors == [
        (2, "Stock", "invalid_field"),
        (3, "GTIN", "invalid_field"),
        (5, "GTIN", "invalid_field"),
        (6, "GTIN", "spreadsheet_error"),
    ]


def test_a_value_that_another_product_has_is_refused_with_its_record(
    run: Callable[..., ImportJob],
) -> None:
    run("sku,name,gtin\nA,Lamp,4006381333931\n")
    job = run("sku,name,gtin\nB,Desk,4006381333931\nC,Mug,73513537\nD,Pot,73513537\nE,Pan,\n")
    assert (job.created, job.rejected, job.accounted_records) == (2, 2, job.total_records)
    assert list(job.errors.values_list("line", "code")) == [
        (2, "value_taken"),
        (4, "value_taken"),
    ]
    assert job.errors.first().record == ["B", "Desk", "4006381333931"]  # type: ignore[union-attr]
    lines = "".join(rejects_csv(job)).splitlines()
    assert lines[1].startswith('B,Desk,4006381333931,2,"value_taken: Another product, A, has')


def test_a_review_shows_own_fields_and_what_a_unique_one_refuses(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    run(FIRST)
    job = run(
        "sku,name,brand,gtin\nA,Lamp,Zen,4006381333931\nC,Chair,New,\nD,Mug,Dot,4006381333931\n",
        review=True,
    )
    counts = job.shown["counts"]
    assert (counts["created"], counts["updated"], counts["rejected"]) == (0, 2, 1)
    rows = read_page(job, {"field": "own_fields"}).rows
    assert [[(c.field, c.before, c.after) for c in row.changes] for row in rows] == [
        [("fields.brand", "Acme", "Zen")],
        [("fields.brand", None, "New")],
    ]
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.updated, job.rejected, job.differing) == (2, 1, 0)


def test_an_import_of_own_fields_is_undone_and_the_undo_too(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    run(FIRST)
    job = run("sku,name,brand,stock\nA,Lamp,Zen,\nD,Mug,Dot,1\n")
    assert job.change_set_id
    taken_back = undo.start_undo(change_set_id=job.change_set_id, actor=None)
    messages.run_all()
    assert (own("A")["brand"], own("A")["stock"]) == ("Acme", 3)
    assert not Product.objects.filter(sku="D").exists()
    undo.start_undo(change_set_id=taken_back.pk, actor=None)
    messages.run_all()
    assert own("A")["brand"] == "Zen"
    assert "stock" not in own("A")
    assert own("D") == {"brand": "Dot", "stock": 1}


def test_refused_own_values_are_mended_by_the_same_rules(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    job = run("sku;name;Gewicht\nA;Lamp;1,5\nB;Desk;heavy\n")
    error = job.errors.get()
    mending.save_cells(job_id=job.pk, cells={(error.pk, 2): "2,75"})
    error.refresh_from_db()
    assert error.is_mended
    mended = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    mended.refresh_from_db()
    assert (mended.status, mended.error, mended.created) == ("completed", "", 1)
    assert own("B")["weight"] == "2.750"


def test_a_field_that_is_deleted_while_its_import_runs_gets_no_values(
    upload: Upload, messages: Messages
) -> None:
    create_product(actor=None, data={"sku": "Z", "name": "Z", "fields": {"brand": "Acme"}})
    job = upload(FIRST)
    messages.waiting.clear()
    jobs.advance_import(job.pk)
    brand = Field.objects.get(key="brand")
    fields.update_field(field_id=brand.pk, data={"retired": True})
    fields.delete_field(field_id=brand.pk, actor=None)
    chunks.run_chunks(job.pk)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed"
    assert own("A") == {"stock": 3, "weight": "0.500", "gtin": "04006381333931"}


def test_the_mapping_shows_own_fields_as_they_would_be_stored(
    upload: Upload, messages: Messages
) -> None:
    job = upload("sku,name,Marke,Bestand\nA,Lamp,Acme,7\n", on_unclear="always")
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_mapping"
    shown = mapping_of(job)
    assert [one["field"] for one in shown["columns"]] == [
        "sku",
        "name",
        "fields.brand",
        "fields.stock",
    ]
    assert shown["preview"][0]["values"]["fields.stock"] == 7


def test_rules_that_name_a_field_that_there_is_not_fail_with_a_sentence(
    run: Callable[..., ImportJob],
) -> None:
    column = {"column": "name", "field": "fields.colour"}
    rules = parse_rules({"columns": [{"column": "sku", "field": "sku"}, column]})
    job = run("sku,name\nA,red\n", rules=rules)
    assert job.status == "failed"
    assert "There is no field “fields.colour”. There are: fields.brand" in job.error


def colours(*choices: str, rule: dict[str, Any], type: str = "choice") -> dict[str, Any]:
    """Define a list of colours, and give the rules of a file with a column of them."""
    options = {"choices": list(choices)}
    fields.create_field(data={"label": "Colour", "type": type, "options": options})
    columns = [{"column": n, "field": n} for n in ("sku", "name")]
    columns.append({"column": "Farbe", "field": "fields.colour", **rule})
    return {"rules": parse_rules({"columns": columns})}


WORDS = "sku,name,Farbe\nA,Lamp,RED\nB,Desk,green\nC,Chair,Green\n"


def test_a_word_that_a_list_does_not_have_is_refused_unless_a_rule_adds_it(
    run: Callable[..., ImportJob],
) -> None:
    job = run(WORDS, **colours("Red", rule={}))
    assert (job.created, job.rejected) == (1, 2)
    assert "“green”" in job.errors.order_by("line")[0].message
    assert Field.objects.get(key="colour").options == {"choices": ["Red"]}


@pytest.mark.parametrize("type", ["choice", "choices"])
def test_words_that_a_rule_adds_are_spelt_as_the_list_has_them_when_they_are_written(
    upload: Upload, messages: Messages, type: str
) -> None:
    job = upload(WORDS, review=True, **colours("Red", rule={"otherwise": "add"}, type=type))
    messages.run_all()
    assert Field.objects.get(key="colour").options == {"choices": ["Red"]}  # nothing is written
    fields.add_choices(key="colour", words=["GREEN"])  # another import was quicker
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.error, job.created) == ("completed", "", 3)
    assert Field.objects.get(key="colour").options == {"choices": ["Red", "GREEN"]}
    stored = [own(sku)["colour"] for sku in "ABC"]
    assert stored == (
        ["Red", "GREEN", "GREEN"] if type == "choice" else [["Red"], *[["GREEN"]] * 2]
    )


def test_more_words_than_a_list_may_have_fail_the_import_and_write_nothing(
    upload: Upload, messages: Messages
) -> None:
    rows = "".join(f"P{n},Name {n},Colour {n}\n" for n in range(300))
    given = colours("Red", rule={"otherwise": "add"})
    job = upload(f"sku,name,Farbe\n{rows}", review=True, **given)
    messages.run_all()
    fields.add_choices(key="colour", words=[f"Other {n}" for n in range(300)])
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, Product.objects.count()) == ("failed", 0)
    assert "at most 500 choices" in job.error


def test_only_the_columns_whose_rule_says_so_are_filled_from_above(
    run: Callable[..., ImportJob],
) -> None:
    columns = [
        {"field": "sku", "column": "sku"},
        {"field": "name", "column": "name", "fill_down": True},
        {"field": "fields.brand", "column": "Vendor", "fill_down": True},
        {"field": "fields.stock", "column": "Qty"},
    ]
    only_if = [{"column": "sku", "is_not": [""]}]
    rules = parse_rules({"columns": columns, "only_if": only_if})
    job = run("sku,name,Vendor,Qty\nA,Lamp,Acme,3\nB,,,\n,,,4\n", rules=rules)
    assert (job.created, job.skipped, job.rejected) == (2, 1, 0)
    assert Product.objects.get(sku="B").name == "Lamp"
    assert (own("A"), own("B")) == ({"brand": "Acme", "stock": 3}, {"brand": "Acme"})


def test_an_import_that_waits_is_read_again_once_its_field_takes_something_else(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    job = run("sku,name,Brand\nA,Lamp,Acme\nB,Desk,7\n", review=True)
    brand = Field.objects.get(key="brand")
    fields.update_field(field_id=brand.pk, data={"type": "integer"})
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created, job.rejected) == ("completed", 1, 1), job.error
    assert own("B") == {"brand": 7}
    assert job.errors.get().line == 2


def test_a_field_that_becomes_unique_while_an_import_waits_refuses_its_second_record(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    job = run("sku,name,Brand\nA,Lamp,Acme\nB,Desk,Acme\n", review=True)
    brand = Field.objects.get(key="brand")
    fields.update_field(field_id=brand.pk, data={"unique": True})
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created, job.rejected) == ("completed", 1, 1), job.error
    refused = job.errors.get()
    assert (refused.code, refused.record) == ("value_taken", ["B", "Desk", "Acme"])


def test_nobody_changes_a_field_while_a_chunk_writes_its_values() -> None:
    brand = Field.objects.get(key="brand")
    with transaction.atomic():
        assert locked_definitions(["brand", "gone"]) == {"brand": brand.definition}
        with ThreadPoolExecutor(1) as other:
            assert not other.submit(_may_lock, brand.pk).result()
    assert _may_lock(brand.pk)


def _may_lock(field_id: int) -> bool:
    """Whether a field could be changed this moment; closes the connection of the thread."""
    try:
        with transaction.atomic():
            locked = Field.objects.select_for_update(skip_locked=True)
            return locked.filter(pk=field_id).exists()
    finally:
        connection.close()


def test_the_list_of_a_reviews_changes_has_own_fields_too(
    run: Callable[..., ImportJob],
) -> None:
    run("sku,name,Brand,Stock\nA,Lamp,Acme,3\n")
    job = run("sku,name,Brand,Stock\nA,Lamp,Bolt,3\nB,Desk,,4\n", review=True)
    response = review_csv_response(job, {}, user_id=None)

    async def body() -> bytes:
        return b"".join([bytes(piece) async for piece in response])

    content = async_to_sync(body)().decode("utf-8-sig")
    rows = {row["sku"]: row for row in csv.DictReader(content.splitlines())}
    brand = ("fields.brand_before", "fields.brand_after")
    assert [rows["A"][name] for name in brand] == ["Acme", "Bolt"]
    assert (rows["A"]["fields.stock_after"], rows["B"]["fields.stock_after"]) == ("", "4")


def test_yes_and_no_in_another_language_are_read_where_all_words_are_known(
    run: Callable[..., ImportJob],
) -> None:
    fields.create_field(data={"label": "Vegan", "type": "boolean"})
    job = run("sku;name;Vegan\nA;Lamp;ja\nB;Desk;Nein\nC;Chair;\n")
    assert (job.created, job.rejected) == (3, 0)
    assert [own(sku) for sku in "ABC"] == [{"vegan": True}, {"vegan": False}, None]


ONE, TWO, NEW = "4006381333931", "73513537", "036000291452"


def numbered() -> dict[str, str]:
    return {sku: (own(sku) or {}).get("gtin", "").lstrip("0") for sku in "AB"}


def test_two_products_that_change_their_unique_values_are_both_refused_with_what_to_do(
    run: Callable[..., ImportJob],
) -> None:
    run(f"sku,name,gtin\nA,Lamp,{ONE}\nB,Desk,{TWO}\n")
    job = run(f"sku,name,gtin\nA,Lamp,{TWO}\nB,Desk,{ONE}\n")
    assert (job.status, job.updated, job.rejected) == ("completed", 0, 2)
    assert numbered() == {"A": ONE, "B": TWO}
    told = [error.message for error in job.errors.order_by("line")]
    assert told[0].startswith(
        "Another product, B, has the GTIN “00000073513537” until this file gives it another one. "
    )
    assert all("clear them before, by an import of their SKUs with blank cells" in t for t in told)
    run("sku,gtin\nA,\nB,\n")
    assert run(f"sku,name,gtin\nA,Lamp,{TWO}\nB,Desk,{ONE}\n").rejected == 0
    assert numbered() == {"A": TWO, "B": ONE}


def test_the_product_that_has_a_unique_value_is_named(run: Callable[..., ImportJob]) -> None:
    run(f"sku,name,gtin\nA,Lamp,{ONE}\n")
    job = run(f"sku,name,gtin\nA,Lamp,{ONE}\nB,Desk,{ONE}\n")
    message = job.errors.get().message
    assert message.startswith("Another product, A, has the GTIN “04006381333931”, and no two may")


@pytest.mark.parametrize("chunk_rows", [1, 100])
@pytest.mark.parametrize(
    ("first", "second", "third"), [(TWO, NEW, ""), (NEW, ONE, ""), (TWO, "", ONE), ("", ONE, TWO)]
)
def test_a_value_that_a_record_gives_up_may_be_taken_by_another_wherever_it_stands(
    run: Callable[..., ImportJob],
    messages: Messages,
    settings: Any,
    chunk_rows: int,
    first: str,
    second: str,
    third: str,
) -> None:
    run(f"sku,name,gtin\nA,Lamp,{ONE}\nB,Desk,{TWO}\nC,Mug,\n")
    settings.IMPORT_CHUNK_ROWS = chunk_rows
    job = run(f"sku,name,gtin\nA,Lamp,{first}\nB,Desk,{second}\nC,Mug,{third}\nD,Pot,\n")
    assert (job.status, job.rejected, job.errors.count()) == ("completed", 0, 0)
    assert (job.updated, job.unchanged, job.created) == ((3, 0, 1) if third else (2, 1, 1))
    assert numbered() == {"A": first.lstrip("0"), "B": second.lstrip("0")}
    assert ((own("C") or {}).get("gtin") or "").lstrip("0") == third
    assert job.change_set_id
    undo.start_undo(change_set_id=job.change_set_id, actor=None)
    messages.run_all()
    assert (numbered(), own("C")) == ({"A": ONE, "B": TWO}, None)


def test_a_review_is_not_said_to_differ_for_a_value_that_its_own_file_gave_up(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    run(f"sku,name,gtin\nA,Lamp,{ONE}\nB,Desk,{TWO}\n")
    job = run(f"sku,name,gtin\nA,Lamp,{TWO}\nB,Desk,{NEW}\n", review=True)
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.updated, job.rejected) == ("completed", 2, 0)
    assert not [one for one in job.warnings if "turned out differently" in one]


def test_a_value_that_another_worker_gives_out_at_the_same_moment_is_refused_by_line(
    upload: Upload, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_product(actor=None, data={"sku": "A", "name": "A", "fields": {"gtin": ONE}})
    looked: list[int] = []

    def at_first_nothing() -> list[str]:
        """What a statement finds that began before the other worker had written."""
        looked.append(1)
        return [] if len(looked) == 1 else ["gtin"]

    job = upload(f"sku,name,gtin\nB,Desk,{ONE}\n")
    monkeypatch.setattr("imports.pipeline.staged.unique_keys", at_first_nothing)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.rejected, job.chunks.get().attempts) == ("completed", 1, 1)


def test_a_column_of_several_pictures_is_no_field_of_one(run: Callable[..., ImportJob]) -> None:
    fields.create_field(data={"label": "Image", "type": "image"})
    two = "https://a.example/1.jpg, https://a.example/2.jpg"
    job = run(f'SKU,Name,Images\nA,Lamp,"{two}"\nB,Desk,https://a.example/3.jpg\n')
    assert (job.created, job.rejected, own("B")) == (2, 0, None)
    assert any("“Images”" in one for one in job.warnings)
    assert run("SKU,Name,Images\nB,Desk,https://a.example/3.jpg\n").updated == 1
    assert own("B") == {"image": "https://a.example/3.jpg"}


def test_new_products_without_a_required_field_are_told_of(run: Callable[..., ImportJob]) -> None:
    run("sku,name\nA,Lamp\n")
    brand = Field.objects.get(key="brand")
    fields.update_field(field_id=brand.pk, data={"required": True})
    told = "The file has no column of Brand, which every product needs: 1 new product was made"
    assert any(one.startswith(told) for one in run("sku,name\nA,New\nB,Desk\n").warnings)
    assert not run("sku,name\nA,Newer\n").warnings
    assert not run("sku,name,Brand\nC,Pot,Acme\n").warnings


def test_a_field_that_is_deleted_after_a_review_is_told_of(
    upload: Upload, messages: Messages
) -> None:
    job = upload(FIRST, review=True)
    messages.run_all()
    brand = Field.objects.get(key="brand")
    fields.update_field(field_id=brand.pk, data={"retired": True})
    fields.delete_field(field_id=brand.pk, actor=None)
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, own("A").get("brand")) == ("completed", None)
    assert any("Brand was deleted after the file was read" in one for one in job.warnings)


def test_a_review_tells_own_values_by_label_and_in_words(
    upload: Upload, messages: Messages, page: Client, user: User
) -> None:
    data = {"label": "Größen", "type": "choices", "options": {"choices": ["S", "M"]}}
    fields.create_field(data=data)
    create_product(actor=None, data={"sku": "A", "name": "A", "fields": {"grossen": "S"}})
    job = upload("sku,Größen,GTIN\nA,S|M,4006381333931\n", review=True)
    messages.run_all()
    shown = page.get(f"/imports/{job.pk}/review/").content.decode()
    assert "<dt>Größen</dt><dd><del>S</del> <ins>S, M</ins></dd>" in shown
    assert "<dt>GTIN</dt><dd><del>none</del> <ins>4006381333931</ins></dd>" in shown
    (row,) = page.get(f"/api/v1/imports/{job.pk}/diff/").json()["results"]
    assert row["changes"]["fields.grossen"] == ["S", "S|M"]
