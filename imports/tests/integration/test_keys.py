"""Products found by another key than the SKU: by a field of one's own, set-wise, in SQL."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from catalog.models import Field, Product
from catalog.operations import fields, undo
from catalog.operations import products as catalog
from catalog.sql import fields as sql_fields
from conftest import Messages
from imports.mapping.rules import RulesError, parse_rules, rules_as_json
from imports.models import ImportJob, Supplier
from imports.operations import jobs, mending
from imports.queries.mapping import mapping_of, preview
from imports.queries.rejects import rejects_csv
from imports.queries.review import read_page
from imports.sql import staging

pytestmark = pytest.mark.django_db(transaction=True)

LAMP, MUG, DESK, NEW = "4006381333931", "73513537", "036000291452", "10012345678902"


@pytest.fixture(autouse=True)
def defined() -> Iterator[None]:
    """A GTIN that no two products share, and an MPN that they may."""
    fields.create_field(data={"label": "GTIN", "type": "gtin", "unique": True})
    fields.create_field(data={"label": "MPN", "type": "text"})
    for sku, gtin, mpn in (("A", LAMP, "m-1"), ("B", MUG, "m-1"), ("C", DESK, "m-3")):
        values = {"gtin": gtin, "mpn": mpn}
        catalog.create_product(actor=None, data={"sku": sku, "name": sku, "fields": values})
    yield
    with connection.cursor() as cursor:
        for field in Field.objects.all():
            sql_fields.drop_unique_index(cursor, field.pk)


@pytest.fixture
def run(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """Import a text, found by a key, to its end."""

    def imported(text: str, key: str = "fields.gtin", **options: Any) -> ImportJob:
        more = {
            name: options.pop(name)
            for name in ("no_match", "columns", "key_within")
            if name in options
        }
        options = {"checks": "warn", **options}
        job = upload(text, rules=parse_rules({"key": key} | more), **options)
        messages.run_all()
        job.refresh_from_db()
        return job

    return imported


def named() -> dict[str, str]:
    return dict(Product.objects.values_list("sku", "name"))


FILE = f"EAN,name,price\n{LAMP},Lamp,1\n{MUG},Mug,2\n36000291452,Desk,3\n"


def test_products_are_found_by_a_unique_field_and_keep_their_skus(
    run: Callable[..., ImportJob],
) -> None:
    job = run(FILE)
    assert (job.status, job.error) == ("completed", "")
    assert (job.updated, job.created, job.rejected) == (3, 0, 0)
    assert named() == {"A": "Lamp", "B": "Mug", "C": "Desk"}
    again = run(FILE)
    assert (again.unchanged, again.updated) == (3, 0)


def test_a_record_whose_key_no_product_has_is_refused_by_line(
    run: Callable[..., ImportJob],
) -> None:
    job = run(f"gtin,name\n{LAMP},Lamp\n{NEW},Pan\n,Blank\n")
    assert (job.updated, job.created, job.rejected) == (1, 0, 2)
    assert job.accounted_records == job.total_records == 3
    told = list(job.errors.order_by("line").values_list("line", "column", "code"))
    assert told == [(3, "gtin", "no_match"), (4, "gtin", "blank_field")]
    lines = "".join(rejects_csv(job)).splitlines()
    assert lines[1].startswith(f'{NEW},Pan,3,"no_match: No product has the GTIN')


def test_refused_records_beyond_the_bound_come_back_too(
    run: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "DETAILS_ROWS", 1)
    job = run(f"gtin,name\n{NEW},Pan\n4012345678901,Pot\n")
    assert (job.rejected, job.errors.count()) == (2, 1)
    lines = "".join(rejects_csv(job)).splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        [NEW, "Pan", "2"],
        ["4012345678901", "Pot", "3"],
    ]


def test_a_new_product_gets_the_key_as_its_sku_where_the_rule_says_so(
    run: Callable[..., ImportJob],
) -> None:
    job = run("gtin,name\n12345678905,Pan\n4012345678901,Pot\n", no_match="create")
    assert (job.created, job.rejected) == (2, 0)
    assert named() | {"A": "", "B": "", "C": ""} == {
        **{"A": "", "B": "", "C": ""},
        "012345678905": "Pan",
        "4012345678901": "Pot",
    }
    again = run("gtin,name\n012345678905,Pan\n4012345678901,Pot\n", no_match="create")
    assert (again.unchanged, again.created) == (2, 0)


def test_a_new_product_gets_the_files_sku_where_it_has_one(run: Callable[..., ImportJob]) -> None:
    job = run(f"gtin,sku,name\n{NEW},P-1,Pan\n{LAMP},X-9,Lamp\n", no_match="create")
    assert (job.created, job.updated, job.rejected) == (1, 1, 0)
    assert named() == {"A": "Lamp", "B": "B", "C": "C", "P-1": "Pan"}


def test_a_new_product_whose_sku_another_one_has_is_refused(
    run: Callable[..., ImportJob],
) -> None:
    job = run(f"gtin,sku,name\n{NEW},a,Pan\n", no_match="create")
    assert (job.created, job.updated, job.rejected) == (0, 0, 1)
    assert "its SKU is another product's, A." in job.errors.get().message


def test_of_the_records_with_one_key_the_last_counts(run: Callable[..., ImportJob]) -> None:
    job = run(
        f"gtin,sku,name\n{LAMP},1,Old\n{NEW},2,First\n0{LAMP},3,Lamp\n{NEW},4,Pan\n",
        no_match="create",
    )
    assert (job.superseded, job.updated, job.created) == (2, 1, 1)
    assert named() == {"A": "Lamp", "B": "B", "C": "C", "4": "Pan"}


def test_a_value_that_several_products_have_is_refused_with_their_skus(
    run: Callable[..., ImportJob],
) -> None:
    job = run("mpn,name\nm-1,X\nm-3,Desk\n", key="fields.mpn")
    assert (job.updated, job.rejected) == (1, 1)
    error = job.errors.get()
    assert (error.line, error.code) == (2, "several_match")
    assert error.message.startswith("Several products have the MPN “m-1”: A, B.")


def test_a_review_counts_what_is_not_found_and_its_import_is_undone(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    job = run(f"gtin,name\n{LAMP},Lamp\n{NEW},Pan\n", review=True)
    counts = job.shown["counts"]
    assert (counts["total"], counts["updated"], counts["rejected"]) == (2, 1, 1)
    assert [row.sku for row in read_page(job, {}).rows] == ["A"]
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.updated, job.rejected, job.differing) == (1, 1, 0)
    assert job.change_set_id
    undo.start_undo(change_set_id=job.change_set_id, actor=None)
    messages.run_all()
    assert named()["A"] == "A"


def test_a_product_that_is_deleted_before_a_review_is_applied_is_not_made_again(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    job = run(f"gtin,name\n{LAMP},Lamp\n{MUG},Mug\n", review=True)
    catalog.delete_product(product_id=Product.objects.get(sku="A").pk, actor=None)
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.created, job.skipped, job.updated) == (0, 1, 1)
    assert named() == {"B": "Mug", "C": "C"}


def test_a_staging_table_that_a_crash_has_emptied_is_matched_again(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(FILE, rules=parse_rules({"key": "fields.gtin"}), checks="warn")
    messages.waiting.clear()
    jobs.advance_import(job.pk)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {staging.staging_table(job.pk)}")
    jobs.run_chunks(job.pk)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.updated, job.rejected) == ("completed", 3, 0)


def test_a_key_that_is_mended_finds_its_product(
    run: Callable[..., ImportJob], messages: Messages
) -> None:
    job = run(f"gtin,name\n{NEW},Lamp\n")
    mending.save_cells(job_id=job.pk, cells={(job.errors.get().pk, 0): LAMP})
    mended = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    mended.refresh_from_db()
    assert (mended.status, mended.error, mended.updated) == ("completed", "", 1)
    assert named()["A"] == "Lamp"


def test_a_key_without_a_column_is_asked_for(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("sku,name\nA,x\n", rules=parse_rules({"key": "fields.gtin"}), on_unclear="wait")
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_mapping"
    assert [one["code"] for one in mapping_of(job)["questions"]] == ["no_key"]


def test_the_preview_names_the_products_that_are_found(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(f"gtin,name\n{LAMP},Lamp\n{NEW},Pan\n", on_unclear="always")
    messages.run_all()
    job.refresh_from_db()
    rules = {"key": "fields.gtin"}
    first, second = preview(job, parse_rules(rules))["preview"]
    assert (first["values"]["sku"], first["problems"]) == ("A", [])
    assert [one["code"] for one in second["problems"]] == ["no_match"]
    made = preview(job, parse_rules({**rules, "no_match": "create"}))["preview"][1]
    assert (made["values"]["sku"], made["problems"]) == (NEW, [])


def test_a_key_that_is_deleted_while_the_file_is_read_fails_the_import(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.create_product(actor=None, data={"sku": "Z", "name": "Z"})
    job = upload(FILE, rules=parse_rules({"key": "fields.gtin"}))
    messages.waiting.clear()
    from imports.pipeline import stage

    monkeypatch.setattr(stage, "there_are", lambda: set())
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "GTIN" in job.error


def test_an_import_by_sku_looks_for_no_key(
    run: Callable[..., ImportJob], django_assert_max_num_queries: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "match_by_key", None)
        patch.setattr(staging, "unmatched_rows", None)
        job = run(f"sku,name,gtin\nA,Lamp,{LAMP}\n", key="sku")
    assert (job.status, job.updated) == ("completed", 1)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"key": "name"}, "“sku”, or a field of your own"),
        ({"key": "fields.gtin", "no_match": "guess"}, "“refuse” or “create”"),
        ({"no_match": "create"}, "the import's mode says it"),
        ({"key": "fields.gtin", "key_within": "shop"}, "“catalogue” or “supplier”"),
        ({"key_within": "supplier"}, "one product's in the whole catalogue"),
    ],
)
def test_rules_about_keys_that_are_wrong_are_told(rules: dict[str, Any], why: str) -> None:
    with pytest.raises(RulesError, match=why):
        parse_rules(rules)


def test_rules_about_keys_are_the_same_as_json() -> None:
    rules = {"key": "fields.gtin", "key_within": "supplier", "no_match": "create"}
    kept = rules_as_json(parse_rules(rules))
    assert {name: kept[name] for name in rules} == rules
    assert not {"key", "no_match"} & rules_as_json(parse_rules({})).keys()


def test_the_api_makes_a_field_of_a_column_and_finds_products_by_it(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    text = "sku,name,Ref\nA,A,x-1\nB,B,x-2\n"
    job = upload(text, on_unclear="always")
    messages.run_all()
    path = f"/api/v1/imports/{job.pk}/mapping/"
    column = page.get(path).json()["columns"][2]
    proposed = column["proposed_field"]
    assert {name: proposed[name] for name in ("label", "key", "type")} == {
        "label": "Ref",
        "key": "ref",
        "type": "text",
    }
    made = page.post("/api/v1/fields/", proposed, content_type="application/json")
    assert made.status_code == 201
    mapping = page.get(path).json()
    assert [one["field"] for one in mapping["columns"]] == ["sku", "name", "fields.ref"]
    given = {"rules": mapping["rules"]}
    assert page.put(path, given, content_type="application/json").status_code == 202
    messages.run_all()
    supplier = page.post(
        "/api/v1/suppliers/", {"name": "Acme"}, content_type="application/json"
    ).json()
    columns = [{"column": "Ref", "field": "fields.ref"}, {"column": "title", "field": "name"}]
    rules = {"key": "fields.ref", "columns": columns}
    kept = page.post(
        "/api/v1/formats/",
        {"supplier": supplier["id"], "name": "titles", "rules": rules, "columns": ["Ref", "title"]},
        content_type="application/json",
    )
    assert kept.status_code == 201, kept.content
    shown = page.get(f"/api/v1/formats/{kept.json()['id']}/").json()["rules"]
    assert (shown["key"], shown["no_match"]) == ("fields.ref", "refuse")
    file = SimpleUploadedFile("titles.csv", b"Ref,title\nx-2,Mug\nx-9,Pan\n")
    found = page.post("/api/v1/imports/", {"file": file, "checks": "warn"})
    messages.run_all()
    job = ImportJob.objects.get(pk=found.json()["id"])
    assert (job.status, job.error, job.updated, job.rejected) == ("completed", "", 1, 1)
    assert (named()["A"], named()["B"]) == ("A", "Mug")
    errors = page.get(f"/api/v1/imports/{job.pk}/errors/").json()["results"]
    assert [(one["line"], one["column"], one["code"]) for one in errors] == [(3, "Ref", "no_match")]


def test_the_api_refuses_a_key_that_is_no_field(page: Client) -> None:
    file = SimpleUploadedFile("titles.csv", b"Ref,title\nx-2,Mug\n")
    refused = page.post("/api/v1/imports/", {"file": file, "rules": '{"key": "name"}'})
    assert refused.status_code == 400
    assert "a field of your own" in refused.content.decode()


def test_a_number_of_a_suppliers_own_finds_no_product_of_another(
    run: Callable[..., ImportJob],
) -> None:
    one, two = (Supplier.objects.create(name=name) for name in ("Acme", "Bolt"))
    for supplier, sku in ((one, "AC-1"), (two, "BO-1")):
        run(f"sku,name,mpn\n{sku},Old,77\n", key="sku", supplier=supplier)
    within: dict[str, Any] = {"key": "fields.mpn", "key_within": "supplier"}
    job = run("mpn,name\n77,New\nm-3,Desk\n", **within, supplier=one)
    assert (job.status, job.updated, job.rejected) == ("completed", 1, 1)
    assert named() == {"A": "A", "B": "B", "C": "C", "AC-1": "New", "BO-1": "Old"}
    assert [(e.line, e.code) for e in job.errors.all()] == [(3, "no_match")]
    assert run("mpn,name\n77,X\n", key="fields.mpn").errors.get().code == "several_match"


def test_a_new_number_of_a_supplier_becomes_a_product_whatever_others_have(
    run: Callable[..., ImportJob],
) -> None:
    supplier = Supplier.objects.create(name="Acme")
    within: dict[str, Any] = {"key": "fields.mpn", "key_within": "supplier", "no_match": "create"}
    file = "mpn,sku,name\nm-1,AC-1,Pan\n"
    assert run(file, **within, supplier=supplier).created == 1
    assert run(file, **within, supplier=supplier).unchanged == 1
    assert named()["A"] == "A"


def test_products_of_a_supplier_that_nobody_named_are_not_looked_for(
    run: Callable[..., ImportJob],
) -> None:
    job = run("mpn,name\nm-3,Desk\n", key="fields.mpn", key_within="supplier")
    assert job.status == "failed"
    assert "nobody said whose file this is" in job.error


def test_the_preview_looks_among_the_suppliers_products(
    upload: Callable[..., ImportJob], messages: Messages, run: Callable[..., ImportJob]
) -> None:
    supplier = Supplier.objects.create(name="Acme")
    run("sku,name,mpn\nAC-1,Old,m-1\n", key="sku", supplier=supplier)
    job = upload("mpn,name\nm-1,New\nm-3,X\n", on_unclear="always", supplier=supplier)
    messages.run_all()
    job.refresh_from_db()
    rules = parse_rules({"key": "fields.mpn", "key_within": "supplier"})
    first, second = preview(job, rules)["preview"]
    assert (first["values"]["sku"], first["problems"]) == ("AC-1", [])
    assert [one["code"] for one in second["problems"]] == ["no_match"]


WITH_SKU = [
    {"field": "sku", "column": "sku"},
    {"field": "fields.gtin", "column": "EAN"},
    {"field": "name", "column": "name"},
]


def test_a_record_without_an_sku_is_found_by_its_key_all_the_same(
    run: Callable[..., ImportJob],
) -> None:
    text = f"sku,EAN,name\n,{LAMP},Lamp\nX,{MUG},Mug\n,{NEW},New\n"
    job = run(text, columns=WITH_SKU)
    assert (job.updated, job.rejected, named()["A"], named()["B"]) == (2, 1, "Lamp", "Mug")
    text += f"N-1,36000291452.0,Own\n,36000291452,Own\n,'0{DESK},Other\n"
    job = run(text, columns=WITH_SKU, no_match="create")
    assert (job.created, job.rejected, named()[NEW]) == (1, 0, "New")
    assert named()["C"] == "Other"


def test_of_records_with_one_new_key_the_last_with_an_sku_names_the_product(
    run: Callable[..., ImportJob],
) -> None:
    text = f"sku,EAN,name\nN-1,{NEW},New\n,{NEW},Newer\n"
    run(text, columns=WITH_SKU, no_match="create")
    assert named()["N-1"] == "Newer"
