"""Stop rules: an import that is usual for its supplier applies, another one waits."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import ChangeSet, Product
from conftest import Messages
from imports.models import Format, ImportJob, Supplier
from imports.operations import jobs, suppliers
from imports.operations.mending import import_mended, save_cells
from imports.tests.supplier_files import COLUMNS, HEADER, make_format, records

pytestmark = pytest.mark.django_db(transaction=True)

Importing = Callable[..., ImportJob]


@pytest.fixture
def run(upload: Callable[..., ImportJob], messages: Messages) -> Importing:
    """Import a file, as far as it goes by itself."""

    def go(content: str, **values: Any) -> ImportJob:
        job = upload(content, **values)
        messages.run_all()
        job.refresh_from_db()
        return job

    return go


@pytest.fixture
def as_made() -> Format:
    """A full list of a supplier whose stop rules nobody has changed."""
    made = suppliers.create_supplier(name="Mueller", user=None)
    return suppliers.create_format(
        supplier_id=made.pk, name="List", rules={"columns": COLUMNS}, user=None, full_list=True
    )


def changed_price(count: int, of: int, price: int) -> str:
    return records(count, price=price) + records(of - count, first=count)


def stored() -> list[Any]:
    prices = Product.objects.values_list("sku", "price")
    return [ChangeSet.objects.count(), *sorted(prices)]


# By rule: its bound, the last file of 40 records, one that is just within it, one that is just
# outside it, and what the reason says of that.
BEFORE = records(40)
CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "refused records": (
        {"stop_refused": 10},
        records(36) + "X,Thing,no price\n" * 4,
        records(35) + "X,Thing,no price\n" * 5,
        "5 of 40 records were refused (12 %)",
    ),
    "records without a name": (
        {"stop_refused": 10},
        records(36) + "X-1,,1\nX-2,,1\nX-3,,1\nX-4,,1\n",
        records(35) + "X-1,,1\nX-2,,1\nX-3,,1\nX-4,,1\nX-5,,1\n",
        "5 of 40 records were refused (12 %)",
    ),
    "missing products": (
        {"stop_missing": 10},
        records(36),
        records(35),
        "5 of the 40 products that Mueller brought in are not in the full list (12 %)",
    ),
    "changed prices": (
        {"stop_price_change": 20, "stop_price_share": 10},
        changed_price(4, 40, 121),
        changed_price(5, 40, 121),
        "5 of 40 prices change by more than 20 % (12 %)",
    ),
    "by how much they change": (
        {"stop_price_change": 20, "stop_price_share": 10},
        changed_price(40, 40, 120),
        changed_price(40, 40, 79),
        "40 of 40 prices change by more than 20 % (100 %)",
    ),
    "new products": (
        {"stop_created": 50},
        records(40) + records(40, word="N"),
        records(40) + records(41, word="N"),
        "41 of 81 products in the file are new (51 %)",
    ),
    "fewer records": (
        {"stop_fewer": 20},
        records(32),
        records(31),
        "22 % fewer records than the last one: 31, and 40 in products.csv",
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_an_import_within_the_bound_applies_by_itself(run: Importing, rule: str) -> None:
    usual, within, _, _ = CASES[rule]
    a_format = make_format("Mueller", usual=usual)
    run(HEADER + BEFORE, format=a_format)
    job = run(HEADER + within, format=a_format)
    assert (job.status, job.caution) == ("completed", "clear"), job.warnings


@pytest.mark.parametrize("rule", CASES)
def test_an_import_outside_it_waits_with_the_reason_first(run: Importing, rule: str) -> None:
    usual, _, outside, reason = CASES[rule]
    a_format = make_format("Mueller", usual=usual)
    run(HEADER + BEFORE, format=a_format)
    before = stored()
    job = run(HEADER + outside, format=a_format)
    assert (job.status, job.caution) == ("awaiting_review", "held"), job.warnings
    assert reason in job.warnings[0]
    assert stored() == before


@pytest.mark.parametrize("rule", CASES)
def test_without_the_rule_it_applies(run: Importing, rule: str) -> None:
    _, _, outside, _ = CASES[rule]
    a_format = make_format("Mueller")
    run(HEADER + BEFORE, format=a_format)
    assert run(HEADER + outside, format=a_format).status == "completed"


def test_what_waited_can_be_applied_and_is_usual_from_then_on(
    run: Importing, messages: Messages
) -> None:
    a_format = make_format("Mueller", usual={"stop_fewer": 20})
    run(HEADER + BEFORE, format=a_format)
    job = run(HEADER + records(20), format=a_format)
    assert job.status == "awaiting_review"
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.missing) == ("completed", 20)
    assert run(HEADER + records(20), format=a_format).status == "completed"


def test_an_import_that_was_undone_is_not_the_last_one(
    run: Importing, undone: Callable[..., ChangeSet]
) -> None:
    a_format = make_format("Mueller", usual={"stop_fewer": 20}, full_list=False)
    run(HEADER + BEFORE, format=a_format)
    more = run(HEADER + records(100), format=a_format)
    assert more.change_set
    undone(more.change_set)
    assert run(HEADER + records(38), format=a_format).status == "completed"


def test_other_columns_than_last_time_stop_it(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_columns": True})
    run("sku,name,price,Farbe\nA,Lamp,1,rot\n", format=a_format)
    assert run("Name,SKU,FARBE,price\nLamp,A,rot,1\n", format=a_format).status == "completed"
    job = run("sku,name,price,Größe\nA,Lamp,1,4\n", format=a_format)
    assert job.status == "awaiting_review"
    assert "gone: “FARBE”; new: “Größe”" in job.warnings[0]


@pytest.mark.parametrize(("days", "status"), [(3, "completed"), (4, "awaiting_review")])
def test_a_file_that_is_older_than_expected_waits(run: Importing, days: int, status: str) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 3})
    age = timedelta(days=days, hours=1)
    job = run(HEADER + BEFORE, format=a_format, file_modified_at=timezone.now() - age)
    assert job.status == status
    assert (status == "completed") == ("4 days old" not in str(job.warnings))


def test_a_file_that_is_older_than_the_one_before_waits(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 30})
    yesterday = timezone.now() - timedelta(days=1)
    assert run(HEADER + BEFORE, format=a_format, file_modified_at=yesterday).status == "completed"
    hour = timedelta(hours=1)
    older = run(HEADER + BEFORE, format=a_format, file_modified_at=yesterday - hour)
    assert older.status == "awaiting_review"
    assert "The file is older than the last one" in older.warnings[0]
    newer = run(HEADER + BEFORE, format=a_format, file_modified_at=yesterday + hour)
    assert newer.status == "completed", newer.warnings


def test_another_file_of_the_supplier_may_be_older(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 30})
    now = timezone.now()
    run(HEADER + BEFORE, format=a_format, file_modified_at=now)
    other = {"file_name": "other.csv", "file_modified_at": now - timedelta(days=1)}
    assert run(HEADER + BEFORE, format=a_format, **other).status == "completed"


def test_what_goes_on_after_a_newer_file_waits(run: Importing, messages: Messages) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 30})
    old = run(HEADER + BEFORE, format=a_format, review=True)
    jobs.cancel_import(job_id=old.pk, user=None)
    ImportJob.objects.filter(pk=old.pk).update(review=False)
    run(HEADER + changed_price(2, 40, 101), format=a_format)
    jobs.retry_import(job_id=old.pk, user=None)
    messages.run_all()
    old.refresh_from_db()
    assert old.status == "awaiting_review"
    assert "A newer file was imported since" in old.warnings[0]


def test_a_review_that_waits_tells_first_that_a_newer_file_was_imported(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 30, "stop_fewer": 20}, full_list=False)
    run(HEADER + BEFORE, format=a_format)
    old = run(HEADER + records(20), format=a_format)
    another = run(HEADER + records(20), format=a_format, file_name="stock.csv")
    other = run(HEADER + records(20), format=make_format("Huber"), review=True)
    seen = old.review_version
    run(HEADER + changed_price(2, 40, 101), format=a_format)
    for job in (old, another, other):
        job.refresh_from_db()
    assert old.status == "awaiting_review"
    assert "A newer file was imported since" in old.warnings[0]
    assert old.shown["warnings"][0] == old.warnings[0]
    assert "fewer records" in old.warnings[1]
    assert "newer file" not in str([another.warnings, other.warnings])
    with pytest.raises(jobs.Refused, match="newer file was imported"):
        jobs.apply_import(job_id=old.pk, user=None, version=seen)
    jobs.apply_import(job_id=old.pk, user=None, version=old.review_version)


def test_a_review_is_told_once_that_newer_files_were_imported(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 30}, full_list=False)
    old = run(HEADER + BEFORE, format=a_format, review=True)
    for price in (101, 102):
        run(HEADER + changed_price(2, 40, price), format=a_format)
    old.refresh_from_db()
    assert len([one for one in old.warnings if "newer file" in one]) == 1


def test_records_mended_after_a_newer_file_wait(run: Importing, messages: Messages) -> None:
    a_format = make_format("Mueller", usual={"stop_age": 30})
    old = run(HEADER + BEFORE + "N-1,Thing,no price\n", format=a_format)
    run(HEADER + BEFORE + "N-1,Thing,7\n", format=a_format)
    save_cells(job_id=old.pk, cells={(old.errors.get().pk, 2): "5"})
    mended = import_mended(job_id=old.pk, user=None)
    messages.run_all()
    mended.refresh_from_db()
    assert mended.status == "awaiting_review"
    assert "A newer file was imported since" in mended.warnings[0]


def test_a_first_import_has_nothing_to_be_compared_with(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_created": 0, "stop_fewer": 0})
    assert run(HEADER + BEFORE, format=a_format).status == "completed"


def test_an_empty_file_of_a_supplier_waits(run: Importing, as_made: Format) -> None:
    run(HEADER + BEFORE, format=as_made)
    job = run(HEADER, format=as_made)
    assert job.status == "awaiting_review"
    assert "100 % fewer" in job.warnings[0]
    assert Product.objects.filter(active=True).count() == 40


def test_half_a_full_list_waits_by_the_usual_rules(run: Importing, as_made: Format) -> None:
    run(HEADER + BEFORE, format=as_made)
    job = run(HEADER + records(20), format=as_made)
    assert job.status == "awaiting_review"
    assert job.shown["counts"]["missing"] == 20
    assert Product.objects.filter(active=True).count() == 40


def test_the_list_of_another_supplier_waits_by_the_usual_rules(
    run: Importing, as_made: Format
) -> None:
    run(HEADER + BEFORE, format=as_made)
    job = run(HEADER + records(40, word="Z"), format=as_made)
    assert job.status == "awaiting_review"
    assert any("40 of the 40 products" in reason for reason in job.warnings)
    assert any("40 of 40 products in the file are new" in reason for reason in job.warnings)


def test_mended_records_are_not_compared_with_the_whole_list(
    run: Importing, messages: Messages, as_made: Format
) -> None:
    run(HEADER + BEFORE, format=as_made)
    job = run(HEADER + BEFORE + "N-1,Thing,no price\n", format=as_made)
    save_cells(job_id=job.pk, cells={(job.errors.get().pk, 2): "5"})
    mended = import_mended(job_id=job.pk, user=None)
    messages.run_all()
    mended.refresh_from_db()
    assert (mended.status, mended.created) == ("completed", 1), mended.warnings


def test_with_warn_an_unusual_one_is_applied_and_warned_of(run: Importing) -> None:
    a_format = make_format("Mueller", usual={"stop_fewer": 20})
    run(HEADER + BEFORE, format=a_format)
    job = run(HEADER + records(20), format=a_format, checks="warn")
    assert job.status == "completed"
    assert "fewer records" in job.warnings[0]


@pytest.mark.parametrize("wrong", [{"stop_refused": 101}, {"stop_age": -1}])
def test_a_bound_is_refused_that_cannot_be(wrong: dict[str, int]) -> None:
    made = suppliers.create_supplier(name="Mueller", user=None)
    with pytest.raises(suppliers.Invalid):
        suppliers.change_settings(supplier_id=made.pk, user=None, stop_fewer=7, **wrong)
    assert Supplier.objects.get().stop_fewer == 20
