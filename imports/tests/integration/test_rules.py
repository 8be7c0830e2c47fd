"""Imports by rules through the pipeline: what is kept, what is left out, how it goes on."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from catalog.models import ChangeSet, Product
from conftest import Messages
from imports.mapping.rules import layout_keeps, parse_rules, rules_as_json
from imports.mapping.values import compile_plan
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import stage
from imports.queries.rejects import rejects_csv
from imports.queries.review import read_page
from imports.readers.csv import Checkpoint, Layout, lines
from imports.sql import staging

pytestmark = pytest.mark.django_db(transaction=True)

SKU = {"column": "Art", "field": "sku"}
NAME = {"column": "Name", "field": "name"}
PRICE = {"column": "Preis", "field": "price", "decimal": ","}
KEEPING = {
    "columns": [SKU, NAME, PRICE | {"values": {"alt": ""}, "otherwise": "keep"}],
    "blank": {"name": "keep", "price": "clear"},
}
Begin = Callable[..., ImportJob]


@pytest.fixture
def begin(upload: Callable[..., ImportJob]) -> Begin:
    """Upload a file, and begin to read it by these rules."""

    def start(content: str, rules: dict[str, Any], **values: Any) -> ImportJob:
        job = upload(content, **{"checks": "warn", **values})  # however unusual it is
        first = content.partition("\n")[0]
        header = first.split(";")
        parsed = parse_rules(rules)
        job.layout = Layout(
            encoding="utf-8",
            mark_size=0,
            delimiter=";",
            header=header,
            fields=compile_plan(parsed, header).fields,
            offset=len(first.encode()) + 1,
            line=1,
            rules=rules_as_json(parsed),
        ).as_json()
        job.checkpoint = Checkpoint(len(first.encode()) + 1, 1).as_json()
        job.status, job.stage = ImportJob.Status.PROCESSING, ImportJob.Stage.STAGING
        job.save()
        with connection.cursor() as cursor:
            staging.create_staging(cursor, job.pk, may_keep=layout_keeps(job.layout))
        return job

    return start


@pytest.fixture
def imported(begin: Begin, messages: Messages) -> Begin:
    """Import a file by these rules, and return the job as it ended."""

    def run(content: str, rules: dict[str, Any], **values: Any) -> ImportJob:
        job = begin(content, rules, **values)
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "completed", job.error
        assert job.total_records == job.accounted_records
        return job

    return run


def catalogue() -> list[tuple[str, str, Decimal | None, bool]]:
    return list(Product.objects.order_by("sku").values_list("sku", "name", "price", "active"))


def test_a_german_price_list_goes_in_as_it_is(imported: Begin) -> None:
    rules = {
        "columns": [
            SKU | {"prefix": "MU-"},
            {"columns": ["Marke", "Name"], "field": "name"},
            PRICE | {"currency": "EUR", "factor": "1.19", "round": ".99"},
            {"column": "Lager", "field": "active", "values": {"lieferbar": 1, "vergriffen": 0}},
        ]
    }
    job = imported(
        "Art;Marke;Name;Preis;Lager\n"
        "17;Acme;Lampe;1.299,00 €;lieferbar\n18;;Stuhl;;Vergriffen\n19;Acme;Tisch;12.5;ja\n",
        rules,
    )
    assert catalogue() == [
        ("MU-17", "Acme Lampe", Decimal("1545.99"), True),
        ("MU-18", "Stuhl", None, False),
    ]
    error = job.errors.get()
    assert (error.line, error.column, error.code) == (4, "Preis", "invalid_price")
    assert error.record == ["19", "Acme", "Tisch", "12.5", "ja"]
    assert "12.5" in error.message
    assert "ja" in error.message
    assert "19;Acme;Tisch;12.5;ja;4;invalid_price" in "".join(rejects_csv(job))


def test_a_record_keeps_what_is_stored_and_others_do_not(
    imported: Begin, make_product: Callable[..., Product]
) -> None:
    for sku in ("A", "B", "C", "D"):
        make_product(sku, f"Old {sku}", price=Decimal("5.00"), description="text")
    job = imported("Art;Name;Preis\nA;New;?\nB;;7,50\nC;;\nD;Old D;?\nE;;1\nF;F;?\n", KEEPING)
    assert catalogue() == [
        ("A", "New", Decimal("5.00"), True),
        ("B", "Old B", Decimal("7.50"), True),
        ("C", "Old C", None, True),
        ("D", "Old D", Decimal("5.00"), True),
        ("F", "F", None, True),
    ]
    assert (job.created, job.updated, job.unchanged, job.rejected) == (1, 3, 1, 1)
    error = job.errors.get()
    assert (error.line, error.code, error.record) == (6, "name_required", ["E", "", "1"])
    assert "its name is blank" in error.message
    assert set(Product.objects.exclude(sku="F").values_list("description", flat=True)) == {"text"}


def test_a_review_shows_what_is_kept_and_the_undo_brings_the_rest_back(
    begin: Begin,
    messages: Messages,
    make_product: Callable[..., Product],
    undone: Callable[..., ChangeSet],
) -> None:
    make_product("A", "Old", price=Decimal("5.00"))
    make_product("B", "Old", price=Decimal("5.00"))
    before = catalogue()
    content = "Art;Name;Preis\nA;New;?\nB;;7,50\nC;;1\n"
    job = begin(content, KEEPING, review=True)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"
    shown = {row.sku: {change.field for change in row.changes} for row in read_page(job, {}).rows}
    assert shown == {"A": {"name"}, "B": {"price"}}
    assert job.shown["counts"]["rejected"] == 1
    assert any("have no name in the file" in warning for warning in job.shown["warnings"])
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert catalogue() == [
        ("A", "New", Decimal("5.00"), True),
        ("B", "Old", Decimal("7.50"), True),
    ]
    assert job.change_set
    undone(job.change_set)
    assert catalogue() == before


def test_a_filter_leaves_records_out_counted_and_told(
    begin: Begin, messages: Messages, imported: Begin
) -> None:
    rules = {"columns": [SKU, NAME], "only_if": [{"column": "Lager", "is": ["ja"]}]}
    content = "Art;Name;Lager\nA;a;ja\nB;b;nein\nC;;nein\nA;a2;JA\nD;;ja\n"
    job = imported(content, rules)
    assert (job.total_records, job.created, job.skipped) == (5, 1, 2)
    assert (job.superseded, job.rejected) == (1, 1)
    told = "2 records left out by the filter on “Lager”: counted as skipped."
    assert told in job.warnings
    reviewed = begin(content, rules, review=True)
    messages.run_all()
    reviewed.refresh_from_db()
    assert reviewed.shown["counts"]["skipped"] == 2


def test_descriptions_that_say_null_are_blank_and_told(imported: Begin) -> None:
    rules = {"columns": [SKU, NAME, {"column": "Text", "field": "description"}]}
    job = imported("Art;Name;Text\nA;a;NULL\nB;b;\\N\nC;NULL;x\n", rules)
    assert list(Product.objects.values_list("description", flat=True)) == ["", ""]
    assert any("2 descriptions that said NULL" in warning for warning in job.warnings)
    assert job.errors.get().code == "invalid_name"


def test_reading_goes_on_after_a_crash_with_what_was_above_and_what_was_counted(
    begin: Begin, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {
        "columns": [SKU, NAME | {"fill_down": True}],
        "only_if": [{"column": "Lager", "is_not": ["nein"]}],
    }
    records = [
        f"A{n};{f'Group {n}' if n % 10 == 0 else ''};{'nein' if n % 4 == 1 else ''}\n"
        for n in range(200)
    ]
    monkeypatch.setattr(lines, "BLOCK_SIZE", 200)
    monkeypatch.setattr(stage, "SLICE_SECONDS", 0)
    monkeypatch.setattr(stage, "PER_FETCH", 0)  # however long it took to have the file
    job = begin("Art;Name;Lager\n" + "".join(records), rules)
    for _ in range(5):  # a slice each, by a worker that knows only the row
        assert not stage.stage_records(job, seconds=0)
        job = ImportJob.objects.get(pk=job.pk)
    assert stage.stage_records(job)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert (job.total_records, job.created, job.skipped) == (200, 150, 50)
    for sku, name in Product.objects.values_list("sku", "name"):
        assert name == f"Group {int(sku[1:]) // 10 * 10}"


def test_what_was_left_out_is_counted_anew_when_a_file_is_read_again(
    begin: Begin, messages: Messages
) -> None:
    rules = {
        "columns": [{"column": "sku", "field": "sku"}, {"column": "name", "field": "name"}],
        "only_if": [{"column": "stock", "is": ["yes"]}],
    }
    job = begin("sku;name;stock\nA;a;yes\nB;b;no\nC;c;no\nD;;yes\n", rules)
    assert stage.stage_records(job)
    job.refresh_from_db()
    assert (job.total_records, job.skipped, job.rejected, job.processed_records) == (4, 2, 1, 3)
    stage.stage_again(job)  # as after a crash of the server
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert job.total_records == job.accounted_records == 4
    assert job.processed_records == 4
