"""Checks of every import: what looks unusual waits for somebody, before anything is written."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from catalog.models import ChangeSet, Product
from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import ordering, stage
from imports.pipeline.checks import caution
from imports.queries.review import read_page
from imports.sql import staging

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def plain(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """Import without asking for a review, as far as it goes by itself."""

    def run(content: str, **values: Any) -> ImportJob:
        job = upload(content, **values)
        messages.run_all()
        job.refresh_from_db()
        return job

    return run


def stored(make_product: Callable[..., Product], *skus: str, price: str = "10.00") -> None:
    for number, sku in enumerate(skus):
        make_product(sku, f"Name {number}", price=Decimal(price))


@pytest.fixture(params=[False, True], ids=["ordered", "sifted"])
def sifted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All records are looked at, or only those that would change something."""
    monkeypatch.setattr(ordering, "LEAST_RECORDS", 1 if request.param else 10**9)
    monkeypatch.setattr(ordering, "MOST_DIFFER", 1.0)


UNUSUAL = {
    "a long number that a spreadsheet cut": ("", "4.00638E+12,Tea,1\n", "damaged by a spreadsheet"),
    "the same in small letters": ("", "4e+12,Tea,1\n", "damaged by a spreadsheet"),
    "a number with a decimal": ("", "4711.0,Tea,1\n", "4711.0"),
    "a date": ("", "12-Feb,Screw,1\nMar-01,Screw,1\n", "12-Feb, Mar-01"),
    "the date of a workbook": ("", "2026-12-02,Screw,1\n", "like a date, for example 2026-12-02"),
    "zeros that are lost": ("0017", "17,Bolt,10\n", "lost the leading zeros"),
    "another dash": ("AB-1", "AB–1,Lamp,10\n", "only in dashes"),
    "another dash in the catalogue": ("AB–1", "AB-1,Lamp,10\n", "only in dashes"),
    "two other dashes": ("AB–1", "AB—1,Lamp,10\n", "only in dashes"),
    "wide letters": ("AB-1", "ＡＢ－１,Lamp,10\n", "only in dashes"),
    "what cannot be seen": ("AB\u2063-1", "AB-1,Lamp,10\n", "only in dashes"),
    "a price ten times as high": ("A", "A,Name 0,100\n", "A from 10.00 to 100.00"),
    "a price a tenth": ("A", "A,Name 0,1.00\n", "A from 10.00 to 1.00"),
    "prices taken away": ("A B C", "A,Name 0,\nB,Name 1,10\nC,Name 2,10\n", "taken away, of 3"),
    "half of the names": ("A B", "A,Other,10\nB,Another,10\n", "half of the names"),
}


@pytest.mark.usefixtures("sifted")
@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_looks_unusual_waits_before_anything_is_written(
    plain: Callable[..., ImportJob], make_product: Callable[..., Product], kind: str
) -> None:
    before, records, reason = UNUSUAL[kind]
    stored(make_product, *before.split())
    was = list(Product.objects.values_list("sku", "name", "price"))
    job = plain("sku,name,price\n" + records)
    assert job.status == "awaiting_review", job.warnings
    assert reason in job.warnings[0]
    assert list(Product.objects.values_list("sku", "name", "price")) == was
    assert not ChangeSet.objects.exists()  # nobody waits behind it
    assert read_page(job, {}).count


@pytest.mark.parametrize("kind", UNUSUAL)
def test_with_warn_it_is_applied_and_warned_of(
    plain: Callable[..., ImportJob], make_product: Callable[..., Product], kind: str
) -> None:
    before, records, reason = UNUSUAL[kind]
    stored(make_product, *before.split())
    job = plain("sku,name,price\n" + records, checks="warn")
    assert job.status == "completed", job.error
    assert reason in job.warnings[0]
    assert job.created + job.updated
    assert job.accounted_records == job.total_records


USUAL = {
    "new products": ("", "A-1,Lamp,1\n12345,Lamp,2\n12345-AB,Lamp,3\nMAR-01,Lamp,1\n1.5,Lamp,1\n"),
    "the same again": ("0017 AB–1 4711.0 12-Feb", "0017,Name 0,10\nAB–1,Name 1,10\n"
                       "4711.0,Name 2,10\n12-Feb,Name 3,10\n"),
    "all prices a little higher": ("A B C", "A,Name 0,11\nB,Name 1,12\nC,Name 2,99.99\n"),
    "one name of three": ("A B C", "A,Other,10\nB,Name 1,10\nC,Name 2,10\n"),
    "an unusual record that a later line replaces": ("A", "A,Name 0,1000\na,Name 0,11\n"),
    "numbers of which none is lost": ("17 0017", "17,Name 0,11\n"),
}  # fmt: skip


@pytest.mark.usefixtures("sifted")
@pytest.mark.parametrize("kind", USUAL)
def test_what_is_usual_goes_through(
    plain: Callable[..., ImportJob], make_product: Callable[..., Product], kind: str
) -> None:
    before, records = USUAL[kind]
    stored(make_product, *before.split())
    job = plain("sku,name,price\n" + records)
    assert job.status == "completed", job.warnings
    assert job.warnings == []


@pytest.mark.parametrize(("last", "is_compared"), [("11", False), ("1000", True)])
def test_only_a_price_that_stands_has_all_records_compared(
    plain: Callable[..., ImportJob],
    make_product: Callable[..., Product],
    last: str,
    is_compared: bool,
) -> None:
    stored(make_product, "A", "B")
    job = plain(f"sku,name,price\nA,Name 0,900\nb,Name 1,10\na,Name 0,{last}\n")
    assert (job.comparing_at is not None) == is_compared
    assert job.status == ("awaiting_review" if is_compared else "completed")


def test_prices_of_five_in_a_hundred_may_go(
    plain: Callable[..., ImportJob], make_product: Callable[..., Product]
) -> None:
    stored(make_product, *(f"S-{number:03d}" for number in range(100)))

    def file(wiped: int) -> str:
        lines = (f"S-{n:03d},Name {n},{'' if n < wiped else 10}" for n in range(100))
        return "sku,name,price\n" + "\n".join(lines)

    assert plain(file(6)).status == "awaiting_review"
    assert plain(file(5)).status == "completed"


def test_one_that_waits_is_applied_as_reviewed_and_undone(
    plain: Callable[..., ImportJob],
    make_product: Callable[..., Product],
    messages: Messages,
) -> None:
    stored(make_product, "A")
    job = plain("sku,name,price\nA,Name 0,100\nB,New,1\n")
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created, job.updated) == ("completed", 1, 1)
    jobs.undo_import(job_id=job.pk, user=None)
    messages.run_all()
    assert list(Product.objects.values_list("sku", "price")) == [("A", Decimal("10.00"))]


def test_it_is_checked_against_what_the_imports_before_it_have_made(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    first = upload("sku,name,price\nA,Lamp,10\n")
    second = upload("sku,name,price\nA,Lamp,100\n", file_name="second.csv")
    third = upload("sku,name,price\nB,Lamp,1\n", file_name="third.csv")
    messages.run_all()
    states = dict(ImportJob.objects.values_list("pk", "status"))
    assert states == {
        first.pk: "completed", second.pk: "awaiting_review", third.pk: "completed",
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["create_only", "update_only"])
def test_only_what_the_mode_does_is_checked(
    plain: Callable[..., ImportJob], make_product: Callable[..., Product], mode: str
) -> None:
    stored(make_product, "A", "0017")
    records = "A,Name 0,100\n" if mode == "create_only" else "17,Bolt,10\n"
    assert plain("sku,name,price\n" + records, mode=mode).status == "completed"


def test_a_cancelled_one_that_is_tried_again_waits_again(
    plain: Callable[..., ImportJob], make_product: Callable[..., Product], messages: Messages
) -> None:
    stored(make_product, "A")
    job = plain("sku,name,price\nA,Name 0,100\n")
    jobs.cancel_import(job_id=job.pk, user=None)
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"
    assert Product.objects.get().price == Decimal("10.00")


def test_a_crash_that_empties_the_staging_leads_past_no_check(
    upload: Callable[..., ImportJob], messages: Messages, make_product: Callable[..., Product]
) -> None:
    stored(make_product, "A")
    job = upload("sku,name,price\nA,Name 0,100\n")
    assert stage.prepare(job)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {staging.staging_table(job.pk)}")
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"


def test_while_another_worker_looks_nothing_is_applied(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload("sku,name,price\nA,Lamp,1\n")
    with monkeypatch.context() as patch:
        patch.setattr(staging, "try_lock_job", lambda cursor, pk: False)
        assert not caution.look(job)
    job.refresh_from_db()
    assert job.caution == ""
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed"
