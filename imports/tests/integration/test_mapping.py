"""Files that leave a question open, the formats that answer it, and what becomes of a job."""

import io
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from catalog.models import Product
from conftest import Messages
from imports.mapping.rules import RulesError, parse_rules
from imports.models import Format, ImportJob, Supplier
from imports.operations import jobs, mapping, suppliers
from imports.operations.retention import old_uploads
from imports.pipeline import stage
from imports.pipeline.finish import sweep_leftovers
from imports.queries.formats import find_format
from imports.queries.mapping import look, mapping_of
from imports.queries.progress import progress_of

GERMAN = "Artikel-Nr.;Kurztext;Preis A;Lager\nA1;Lampe;1.299,00;3\nA2;Stuhl;12,50;4\n"
RULES = {
    "columns": [
        {"column": "Artikel-Nr.", "field": "sku"},
        {"column": "Kurztext", "field": "name"},
        {"column": "Preis A", "field": "price"},
    ]
}
MULLER = {"supplier": "Müller GmbH", "format": "Price list"}


@pytest.fixture
def waiting(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """A job that waits for its mapping."""

    def start(content: str = GERMAN, **values: Any) -> ImportJob:
        job = upload(content, on_unclear="wait", **values)
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "awaiting_mapping", job.error
        return job

    return start


@pytest.fixture
def imported(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """A job as the workers leave it."""

    def start(content: str = GERMAN, **values: Any) -> ImportJob:
        job = upload(content, **values)
        messages.run_all()
        job.refresh_from_db()
        return job

    return start


def save(job: ImportJob, rules: dict[str, Any] = RULES, **options: Any) -> ImportJob:
    options.setdefault("user", None)
    return mapping.save_mapping(job_id=job.pk, rules=parse_rules(rules), **options)


def test_an_unclear_file_fails_with_its_question_unless_somebody_is_to_be_asked(
    imported: Callable[..., ImportJob],
) -> None:
    job = imported()
    assert job.status == "failed"
    assert "No column is surely the product's name" in job.error
    assert "Preis A" in job.error
    assert not Product.objects.exists()


def test_a_job_that_waits_goes_on_by_the_rules_it_is_given(
    waiting: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waiting()
    assert job.change_set is None  # it holds nobody up
    assert {question["code"] for question in job.found["questions"]} == {
        "unclear_name",
        "unclear_price",
    }
    save(job)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert sorted(Product.objects.values_list("sku", "name", "price")) == [
        ("A1", "Lampe", Decimal("1299.00")),
        ("A2", "Stuhl", Decimal("12.50")),
    ]
    assert job.rules["columns"][2] == {"field": "price", "column": "Preis A", "decimal": ","}
    assert job.rules["encoding"] == "utf-8"
    assert job.rules["delimiter"] == ";"


def test_the_next_file_of_the_supplier_is_recognised_and_goes_on_by_itself(
    waiting: Callable[..., ImportJob], imported: Callable[..., ImportJob], messages: Messages
) -> None:
    save(waiting(), remember=MULLER)
    messages.run_all()
    # Another order, another spelling of the names, another encoding and delimiter.
    before = '3,"1.299,00",Lampe,A1\n4,"12,50",Stuhl,A2\n'
    file = f'lager,PREIS A,Kurztext,Artikel-Nr.\n{before}1,"2.000,50",Tür,A3\n'
    job = imported(file.encode("cp1252"))
    assert job.status == "completed", job.error
    assert any("Read as Müller GmbH, Price list, version 1." in warning for warning in job.warnings)
    kept = Format.objects.get(ready_made=False)
    assert (job.supplier, job.format, job.format_version) == (kept.supplier, kept, 1)
    assert kept.last_used_at is not None
    product = Product.objects.get(sku="A3")
    assert (product.name, float(product.price or 0)) == ("Tür", 2000.5)


def test_of_a_file_that_has_changed_only_the_change_is_asked(
    waiting: Callable[..., ImportJob], imported: Callable[..., ImportJob], messages: Messages
) -> None:
    save(waiting(), remember=MULLER)
    messages.run_all()
    changed = GERMAN.replace("Preis A", "VK neu")
    job = imported(changed)
    assert job.status == "failed"
    assert "takes price from the column “Preis A”, which this file does not have" in job.error
    assert "name" not in job.error.split("New in it")[0].replace("named", "")
    more = imported(GERMAN.replace("Lager", "Farbe"), checks="warn")
    assert more.status == "completed", more.error
    assert any("new: “Farbe”" in warning for warning in more.warnings)


def test_a_job_keeps_its_rules_when_its_format_is_changed_and_its_supplier_deleted(
    waiting: Callable[..., ImportJob], upload: Callable[..., ImportJob], messages: Messages
) -> None:
    save(waiting(), remember=MULLER)
    messages.run_all()
    kept = find_format("Müller gmbh/price LIST")
    job = upload(GERMAN, format=kept)
    # Its worker has settled the rules and dies; then the format changes, and all of it goes.
    stage.prepare(ImportJob.objects.get(pk=job.pk))
    job.refresh_from_db()
    rules = job.rules
    assert rules["columns"][2]["decimal"] == ","
    changed = suppliers.change_format(
        format_id=kept.pk, user=None, rules={"columns": [{"column": "Kurztext", "field": "sku"}]}
    )
    assert changed.version == 2
    suppliers.delete_supplier(supplier_id=kept.supplier_id or 0)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert (job.rules, job.supplier, job.format, job.format_version) == (rules, None, None, 1)
    assert any("Müller GmbH, Price list, version 1" in warning for warning in job.warnings)


def test_remembering_again_is_the_next_version(
    waiting: Callable[..., ImportJob], messages: Messages, user: User
) -> None:
    save(waiting(), remember=MULLER)
    other = {"columns": [*RULES["columns"][:2], {**RULES["columns"][2], "factor": "0.5"}]}
    job = waiting(GERMAN.replace("Lager", "Lager;a;b;c;d").replace(";3", ";3;;;;"))
    save(job, other, remember={"supplier": "Müller GMBH", "format": "price LIST"}, user=user)
    kept = Format.objects.get(ready_made=False)
    assert kept.version == 2
    versions = kept.versions.all()
    assert [(one.number, one.created_by) for one in versions] == [(2, user), (1, None)]
    assert Supplier.objects.count() == 1
    # What was found by itself is not remembered: the next file may be written otherwise.
    assert (kept.rules["encoding"], kept.rules["delimiter"]) == ("auto", "auto")


def test_files_that_two_suppliers_formats_fit_to_are_asked(
    waiting: Callable[..., ImportJob], imported: Callable[..., ImportJob], messages: Messages
) -> None:
    first, second = waiting(), waiting()
    other = {"columns": [*RULES["columns"][:2], {**RULES["columns"][2], "factor": "0.5"}]}
    save(first, remember=MULLER)
    save(second, other, remember={"supplier": "Schmidt", "format": "List"})
    messages.run_all()
    job = imported()
    assert job.status == "failed"
    assert "Müller GmbH, Price list" in job.error
    assert "Schmidt, List" in job.error
    named = imported(format=find_format("Schmidt/List"), checks="warn")  # at half the price
    assert named.status == "completed", named.error
    assert any("Read as Schmidt, List" in warning for warning in named.warnings)


def test_rules_that_are_wrong_or_leave_something_open_are_named_and_the_job_waits_on(
    waiting: Callable[..., ImportJob],
) -> None:
    job = waiting("a;b;c\nA1;Lampe;1,234\n")
    unknown = [{"column": "x", "field": "sku"}, {"column": 9, "field": "name"}]
    with pytest.raises(RulesError) as wrong:
        save(job, {"columns": unknown})
    assert len(wrong.value.problems) == 2
    with pytest.raises(RulesError, match="no SKU column"):
        save(job, {"columns": [{"column": "b", "field": "name"}]})
    columns: list[dict[str, Any]] = [
        {"column": "a", "field": "sku"},
        {"column": "c", "field": "price"},
    ]
    with pytest.raises(RulesError, match="leaves its decimal mark open"):
        save(job, {"columns": columns})
    job.refresh_from_db()
    assert job.status == "awaiting_mapping"
    columns[1]["decimal"] = "."
    assert save(job, {"columns": columns}).status == "processing"


def test_the_bar_has_a_step_for_the_columns_of_one_that_was_asked_about(
    waiting: Callable[..., ImportJob], messages: Messages
) -> None:
    def steps(job: ImportJob) -> list[tuple[str, str]]:
        return [(step.name, step.state) for step in progress_of(job, timezone.now()).steps]

    job = waiting()
    asked = ("Match columns", "current")
    assert steps(job)[:3] == [("Upload", "done"), asked, ("Read", "ahead")]
    save(job, RULES)
    job.refresh_from_db()
    answered = [("Upload", "done"), ("Match columns", "done"), ("Read", "current")]
    assert steps(job)[:3] == answered
    messages.run_all()
    job.refresh_from_db()
    assert {state for _, state in steps(job)} == {"done"}


def test_of_two_people_the_second_is_told(waiting: Callable[..., ImportJob], user: User) -> None:
    job = waiting()
    results: list[Any] = []

    def one() -> None:
        try:
            results.append(save(job, user=user))
        except jobs.Refused as error:
            results.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [result for result in results if isinstance(result, str)]
    assert len(told) == 1
    assert f"matched by {user.username}" in told[0]


def test_a_job_that_waits_is_left_alone_until_it_is_cancelled(
    waiting: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waiting()
    old = timezone.now() - timedelta(days=1000)
    ImportJob.objects.filter(pk=job.pk).update(progress_at=old, created_at=old)
    assert jobs.sweep_imports() == []
    sweep_leftovers()
    assert job not in old_uploads()
    with pytest.raises(jobs.Refused, match="waits for its columns"):
        jobs.apply_import(job_id=job.pk, user=None)
    with pytest.raises(jobs.Refused, match="has not ended"):
        jobs.undo_import(job_id=job.pk, user=None)
    jobs.cancel_import(job_id=job.pk, user=None)
    with pytest.raises(jobs.Refused, match="cancelled"):
        save(job)
    # It can be gone on with: then it asks again.
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_mapping"
    save(job)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert jobs.undo_import(job_id=job.pk, user=None).undo_of == job.change_set


def test_a_review_comes_after_the_mapping(
    waiting: Callable[..., ImportJob], messages: Messages
) -> None:
    job = waiting(review=True)
    assert save(job).change_set is None
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"
    assert job.shown["counts"]["created"] == 2


def test_a_clear_file_waits_where_its_columns_are_to_be_checked_first(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("sku;name\nA1;Lamp\n", on_unclear="always")
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.found["questions"]) == ("awaiting_mapping", [])
    shown = mapping_of(job)
    save(job, shown["rules"])
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error


def test_rules_come_before_those_of_the_format(
    imported: Callable[..., ImportJob], messages: Messages
) -> None:
    supplier = suppliers.create_supplier(name="Müller", user=None)
    kept = suppliers.save_format(supplier=supplier, name="List", rules=RULES, columns=[], user=None)
    job = imported(format=kept, rules=parse_rules({"only_if": [{"column": "Lager", "is": ["4"]}]}))
    assert (job.status, job.created, job.skipped) == ("completed", 1, 1), job.error
    wrong = imported(format=kept, rules=parse_rules({"only_if": [{"column": "x", "is": ["4"]}]}))
    assert wrong.status == "failed"
    assert "“x”" in wrong.error


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "Shopify",
            "Handle,Title,Body (HTML),Vendor,Variant SKU,Variant Price,Image Src,Status\n"
            "lamp,Lamp,<p>Steel</p>,Us,L-1,19.90,a.png,active\n"
            "lamp,,,,L-2,24.90,,\n"
            "lamp,,,,,,b.png,\n"
            "chair,Chair,,Us,'0017,59.00,,draft\n",
            {"L-1": ("Lamp", True), "L-2": ("Lamp", True), "0017": ("Chair", False)},
        ),
        (
            "WooCommerce",
            "ID,Type,SKU,Name,Published,Short description,Description,Sale price,Regular price\n"
            '1,simple,W-1,Lamp,1,,Steel,,"19,90"\n2,simple,W-2,Chair,-1,,,5,10\n',
            {"W-1": ("Lamp", True), "W-2": ("Chair", False)},
        ),
        (
            "Magento 2",
            "sku,store_view_code,attribute_set_code,product_type,name,description,product_online,"
            "price,special_price\nM-1,,Default,simple,Lamp,x,1,19.90,\nM-2,,Default,simple,Chair,,2,"
            "5.0000,4\nM-1,de,Default,simple,Lampe,,,,\n",
            {"M-1": ("Lamp", True), "M-2": ("Chair", False)},
        ),
        (
            "PrestaShop",
            "Product ID;Active (0/1);Name *;Price tax excluded;Wholesale price;Reference #;"
            "Unit price;Description\n1;1;Lamp;19.900000;3;P-1;7;x\n2;0;Chair;5;3;P-2;8;\n",
            {"P-1": ("Lamp", True), "P-2": ("Chair", False)},
        ),
        (
            "Google Merchant",
            "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\n"
            "G-1\tLamp\tSteel\thttps://x/\thttps://x/a\tin_stock\t19.90 EUR\n",
            {"G-1": ("Lamp", True)},
        ),
    ],
)
def test_files_of_well_known_shops_are_read_as_they_mean_it(
    imported: Callable[..., ImportJob], name: str, content: str, expected: dict[str, Any]
) -> None:
    job = imported(content)
    assert job.status == "completed", job.error
    assert f"Read as {name}." in job.warnings
    assert job.format == find_format(name)
    assert job.rejected == 0
    assert {p.sku: (p.name, p.active) for p in Product.objects.all()} == expected
    assert all(product.price for product in Product.objects.all())


@pytest.mark.django_db
def test_ready_made_formats_stay_as_they_are() -> None:
    shopify = find_format("shopify")
    with pytest.raises(suppliers.ReadyMade):
        suppliers.change_format(format_id=shopify.pk, user=None, name="Mine")
    with pytest.raises(suppliers.ReadyMade):
        suppliers.delete_format(format_id=shopify.pk)


def test_the_command_takes_rules_formats_and_what_to_do_with_questions(
    messages: Messages, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(GERMAN, encoding="utf-8")
    command = "imports.management.commands.import_products"
    monkeypatch.setattr(f"{command}.time.sleep", lambda seconds: messages.run_all())
    with pytest.raises(CommandError, match="No column is surely"):
        call_command("import_products", path)
    call_command("import_products", path, on_unclear="wait")
    assert "Nothing is read yet" in capsys.readouterr().out
    call_command("import_products", path, rules=json.dumps(RULES))
    assert Product.objects.count() == 2
    for options, sentence in (
        ({"rules": "{"}, "no JSON"),
        ({"rules": '{"colums": []}'}, "colums"),
        ({"format": "Nobody/Nothing"}, "There is no format"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("import_products", path, **options)


# --- The API --------------------------------------------------------------------------


def ask(page: Client, method: str, address: str, data: Any = None) -> Any:
    return getattr(page, method)(f"/api/v1/{address}", data, content_type="application/json")


def test_the_api_shows_previews_and_takes_a_mapping(
    waiting: Callable[..., ImportJob], messages: Messages, page: Client
) -> None:
    job = waiting()
    address = f"imports/{job.pk}/mapping/"
    shown = page.get(f"/api/v1/{address}").json()
    assert [column["name"] for column in shown["columns"]] == GERMAN.split("\n")[0].split(";")
    assert shown["columns"][2]["samples"] == ["1.299,00", "12,50"]
    assert {one["field"] for one in shown["columns"][2]["suggestions"]} == {"price"}
    assert shown["questions"] == job.found["questions"]
    under = ask(page, "post", address + "preview/", {"rules": RULES}).json()
    assert under["questions"] == []
    first = under["preview"][0]
    assert first["line"] == 2
    assert first["raw"]["price"] == "1.299,00"
    assert first["values"] == {"sku": "A1", "name": "Lampe", "price": "1299"}
    wrong = {"columns": [{"column": "Kurztext", "field": "sku", "colour": 1}], "nothing": 1}
    answer = ask(page, "put", address, {"rules": wrong})
    assert answer.status_code == 400
    assert len(answer.json()["errors"]["rules"]) == 2
    answer = ask(page, "put", address, {"rules": RULES, "remember": MULLER})
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["format_version"]) == ("processing", 1)
    assert ask(page, "put", address, {"rules": RULES}).status_code == 409
    messages.run_all()
    after = page.get(f"/api/v1/{address}").json()
    assert after["questions"] == []
    assert after["rules"]["columns"][2]["decimal"] == ","


@pytest.mark.parametrize(
    "rules",
    [
        None,
        [],
        "x",
        {"columns": [{"column": "nothing like it", "field": "sku"}]},
        {"columns": [{"column": "Kurztext", "field": "colour"}]},
        {"columns": [{"column": 99, "field": "sku"}]},
        {"columns": [{"column": "Kurztext", "field": "sku"}, {"column": 1, "field": "sku"}]},
        {"columns": [{"column": "Text" * 2500, "field": "sku"}]},
        {"columns": [{"column": "<b>\"'\u202e", "field": "sku"}]},
        {"columns": [{"column": " ", "field": "sku"}]},
        {"encoding": "klingon"},
        {"encoding": "base64"},
        {"header_line": 10**9},
        {"header_line": 100_000},
        {"delimiter": "ab"},
    ],
)
def test_rules_that_mean_nothing_are_refused_in_words(
    waiting: Callable[..., ImportJob], page: Client, rules: Any
) -> None:
    job = waiting()
    for method, address in (("post", "mapping/preview/"), ("put", "mapping/")):
        answer = ask(page, method, f"imports/{job.pk}/{address}", {"rules": rules})
        assert answer.status_code in (400, 409), answer.content
        assert answer.json()["detail"]
    job.refresh_from_db()
    assert job.status == "awaiting_mapping"


@pytest.mark.parametrize("rules", [None, RULES])
def test_an_upload_says_how_it_is_read(messages: Messages, page: Client, rules: Any) -> None:
    def post(**options: Any) -> Any:
        file = SimpleUploadedFile("list.csv", GERMAN.encode())
        return page.post("/api/v1/imports/", {"file": file, **options})

    options = {"rules": json.dumps(rules)} if rules else {"on_unclear": "wait"}
    answer = post(**options)
    assert answer.status_code == 202, answer.content
    messages.run_all()
    job = page.get(f"/api/v1/imports/{answer.json()['id']}/").json()
    assert job["status"] == ("completed" if rules else "awaiting_mapping")
    assert (job["supplier"], job["format"], job["format_version"]) == (None, None, None)
    for wrong in (
        {"format": "9999999"},
        {"format": "No/body"},
        {"rules": "{"},
        {"rules": '{"columns": [{"field": "x"}]}'},
        {"on_unclear": "perhaps"},
    ):
        answer = post(**wrong)
        assert answer.status_code == 400, wrong
        assert set(answer.json()["errors"]) == set(wrong)


def test_suppliers_and_formats_over_the_api(page: Client) -> None:
    made = ask(page, "post", "suppliers/", {"name": " Müller  GmbH "})
    assert made.status_code == 201
    supplier = made.json()
    assert supplier["name"] == "Müller GmbH"
    again = ask(page, "post", "suppliers/", {"name": "Müller GMBH"})
    assert again.json()["errors"]["name"][0]["code"] == "unique"
    body = {"supplier": supplier["id"], "name": "List", "rules": RULES, "columns": ["a", "b"]}
    made = ask(page, "post", "formats/", body)
    assert made.status_code == 201, made.content
    kept = made.json()
    assert kept["version"] == 1
    address = f"formats/{kept['id']}/"
    assert ask(page, "post", "formats/", body).status_code == 400
    assert ask(page, "post", "formats/", {**body, "supplier": 10**9}).status_code == 400
    wrong = ask(page, "patch", address, {"rules": {"columns": [{"field": "x"}], "y": 1}})
    assert wrong.status_code == 400
    renamed = ask(page, "patch", address, {"name": "Price list"}).json()
    assert (renamed["name"], renamed["version"]) == ("Price list", 1)
    changed = ask(page, "patch", address, {"columns": ["a"]}).json()
    assert changed["version"] == 2
    versions = page.get(f"/api/v1/{address}versions/").json()["results"]
    assert [(one["number"], one["columns"]) for one in versions] == [(2, ["a"]), (1, ["a", "b"])]
    listed = page.get(f"/api/v1/formats/?supplier={supplier['id']}").json()
    assert [one["id"] for one in listed["results"]] == [kept["id"]]
    assert (
        page.get("/api/v1/formats/").json()["count"]
        == 1 + Format.objects.filter(ready_made=True).count()
    )
    shopify = find_format("Shopify").pk
    assert ask(page, "patch", f"formats/{shopify}/", {"name": "x"}).status_code == 409
    assert ask(page, "delete", f"suppliers/{supplier['id']}/").status_code == 204
    assert page.get(f"/api/v1/{address}").status_code == 404


def test_a_format_goes_out_and_comes_in_as_json(page: Client) -> None:
    rules = {**RULES, "delimiter": ";", "header_line": 3, "encoding": "cp1252", "sheet": "Prices"}
    supplier = suppliers.create_supplier(name="Müller", user=None)
    kept = suppliers.save_format(
        supplier=supplier, name="List", rules=rules, columns=["a", "b"], user=None
    )
    text = page.get(f"/api/v1/formats/{kept.pk}/export/").json()
    assert text["dialect"] == {
        "delimiter": ";",
        "header": True,
        "headerRows": [3],
        "sheetName": "Prices",
    }
    assert text["encoding"] == "cp1252"
    text |= {"supplier": "Schmidt", "name": "Copy"}
    made = ask(page, "post", "formats/import/", text)
    assert made.status_code == 201, made.content
    copy = Format.objects.get(pk=made.json()["id"])
    assert (copy.rules, copy.columns) == (kept.rules, ["a", "b"])
    wrong = ask(page, "post", "formats/import/", {**text, "dialect": {"delimiter": "abc"}})
    assert "delimiter" in wrong.json()["detail"]


def test_only_the_beginning_of_a_large_file_is_read_to_show_its_columns(
    waiting: Callable[..., ImportJob],
) -> None:
    job = waiting(GERMAN + "A3;Tür;1,00;2\n" * 400_000)

    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    with job.file.open("rb") as handle:
        file = Counted(handle.read())
    found = look(job, file, parse_rules(job.found["rules"]))
    assert len(found.records) == 500
    assert file.count < 3 << 20


@pytest.mark.parametrize("what", ["format", "supplier"])
def test_a_format_that_goes_before_its_file_is_read_leaves_its_rules(
    upload: Callable[..., ImportJob], messages: Messages, what: str
) -> None:
    supplier = suppliers.create_supplier(name="S", user=None)
    columns = [{"column": name, "field": name} for name in ("sku", "name")]
    rules = {"columns": [*columns, {"column": "price", "field": "price", "factor": "0.01"}]}
    made = suppliers.create_format(supplier_id=supplier.pk, name="F", rules=rules, user=None)
    job = upload("sku,name,price\nA,Lamp,1000\n", format=made)
    if what == "format":
        suppliers.delete_format(format_id=made.pk)
    else:
        suppliers.delete_supplier(supplier_id=supplier.pk)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.format) == ("completed", None), job.error
    assert Product.objects.get().price == Decimal("10.00")


def test_names_that_are_one_for_the_database_alone_are_taken(transactional_db: None) -> None:
    kelvin = "\N{KELVIN SIGN}elvin"  # the same in lower case, another one in upper case
    supplier = suppliers.create_supplier(name="Kelvin", user=None)
    with pytest.raises(suppliers.Invalid, match="already"):
        suppliers.create_supplier(name=kelvin, user=None)
    other = suppliers.create_supplier(name="Other", user=None)
    with pytest.raises(suppliers.Invalid, match="already"):
        suppliers.rename_supplier(supplier_id=other.pk, name=kelvin)
    make = partial(suppliers.create_format, supplier_id=supplier.pk, rules={}, user=None)
    make(name="Kelvin")
    with pytest.raises(suppliers.Invalid, match="already"):
        make(name=kelvin)
    second = make(name="Second")
    with pytest.raises(suppliers.Invalid, match="already"):
        suppliers.change_format(format_id=second.pk, user=None, name=kelvin)


def test_a_column_name_of_any_length_is_cut_and_the_file_is_read(
    imported: Callable[..., ImportJob], waiting: Callable[..., ImportJob]
) -> None:
    long = "<b>" + "x" * 10_000
    job = imported(f"sku,name,price,{long},{long}\nA1,Lamp,5,,\n")
    assert (job.status, job.created) == ("completed", 1), job.error
    assert "The name of column 4 (and of 1 more) has 10,003 characters" in job.warnings[0]
    shown = mapping_of(waiting(f"SKU;{long};Cost price\nA2;Lamp;5,00\n"))
    assert shown["columns"][1]["name"] == long[:1000]
