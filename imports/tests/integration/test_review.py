"""Reviews: what is shown is what is applied, and what is different then is told."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from catalog.models import ChangeSet, Product
from catalog.operations import products as catalog
from catalog.queries.filters import BadFilter
from conftest import Messages
from imports.models import ImportJob, job_snapshot
from imports.operations import jobs
from imports.pipeline import apply as applying
from imports.pipeline import chunks, compare
from imports.queries.review import NoReview, ReviewRow, read_page
from imports.sql import staging
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,description,price,active\n"


@pytest.fixture
def review(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """Upload for review, and play the worker until somebody has to decide."""

    def start(content: str, **values: Any) -> ImportJob:
        job = upload(content, review=True, **values)
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "awaiting_review", job.error
        return job

    return start


def apply(job: ImportJob, messages: Messages) -> ImportJob:
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    return job


def rows(job: ImportJob, **filters: str) -> list[ReviewRow]:
    """All rows of a review, page by page."""
    found: list[ReviewRow] = []
    page = read_page(job, {**filters, "page_size": "7"})
    found += page.rows
    while page.next:
        page = read_page(job, {**filters, "page_size": "7", "cursor": page.next})
        found += page.rows
    assert page.count == len(found)
    return found


def diff(job: ImportJob, **filters: str) -> dict[str, dict[str, tuple[Any, Any]]]:
    return {
        row.sku: {change.field: (change.before, change.after) for change in row.changes}
        for row in rows(job, **filters)
    }


def test_a_review_shows_old_and_new_and_touches_nothing(
    review: Callable[..., ImportJob], make_product: Callable[..., Product]
) -> None:
    make_product("a-1", "Lamp", price=Decimal("1.00"))
    make_product("A-2", "Same", price=Decimal("2.00"))
    job = review(
        HEADER + "A-1,Lamp,new text,1.50,true\nA-2,Same,,2.00,\nA-3,Old,,,\na-3,New,,3.00,no\n"
        "A-4,Bad,,free,\n"
    )
    assert job.shown["counts"] == {
        "total": 5,
        "created": 1,
        "updated": 1,
        "unchanged": 1,
        "superseded": 1,
        "skipped": 0,
        "rejected": 1,
    }
    assert diff(job) == {
        "A-1": {
            "sku": ("a-1", "A-1"),
            "description": ("", "new text"),
            "price": (Decimal("1.00"), Decimal("1.50")),
        },
        "a-3": {
            "sku": (None, "a-3"),
            "name": (None, "New"),
            "description": (None, ""),
            "price": (None, Decimal("3.00")),
            "active": (None, False),
        },
    }
    assert job.shown["fields"] == {
        "sku": 1, "name": 0, "description": 1, "price": 1, "active": 0,
    }  # fmt: skip
    assert Product.objects.count() == 2
    assert job.change_set is None
    assert not ChangeSet.objects.exists()


@pytest.mark.parametrize("mode", ["upsert", "create_only", "update_only"])
@pytest.mark.parametrize("header", ["sku,name,price", "sku,price"])
def test_what_is_shown_is_what_is_applied(
    review: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
    settings: Any,
    mode: str,
    header: str,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 10
    for number in range(0, 60, 2):
        make_product(f"S-{number:02d}", f"Name {number}", price=Decimal(number % 3))
    lines = [
        f"S-{n:02d},Name {n},{n % 4}" if "name" in header else f"s-{n:02d},{n % 4}"
        for n in [*range(60), 3, 4]
    ]
    job = review(header + "\n" + "\n".join([*lines, "BAD"]) + "\n", mode=mode)
    shown, listed = job.shown["counts"], rows(job)
    created = {row.sku for row in listed if row.action == "created"}
    before = {product.sku.lower(): product for product in Product.objects.all()}
    apply(job, messages)
    assert shown == {"total": 63, **{name: getattr(job, name) for name in shown if name != "total"}}
    assert sum(shown[name] for name in shown if name != "total") == 63
    assert job.differing == 0
    after = {product.sku.lower(): product for product in Product.objects.all()}
    assert {sku.lower() for sku in created} == after.keys() - before.keys()
    for row in listed:
        product = after[row.sku.lower()]
        for change in row.changes:
            assert getattr(product, change.field) == change.after
    touched = {row.sku.lower() for row in listed}
    for key in before.keys() - touched:
        assert after[key].version == before[key].version


def test_rows_are_filtered_and_paged_in_both_directions(
    review: Callable[..., ImportJob], make_product: Callable[..., Product], settings: Any
) -> None:
    settings.IMPORT_CHUNK_ROWS = 10
    for number in range(0, 40, 2):
        make_product(f"S-{number:02d}", "Before" if number % 4 else "Lamp", price=Decimal("1.00"))
    job = review("sku,name,price\n" + "".join(f"S-{n:02d},Lamp,9.99\n" for n in range(40)))
    assert [row.sku for row in rows(job)] == [f"S-{n:02d}" for n in range(40)]
    assert len(rows(job, action="created")) == 20
    assert len(rows(job, action="updated")) == 20
    assert len(rows(job, field="name")) == 10
    assert len(rows(job, field="price")) == 20
    assert len(rows(job, flag="tenfold")) == 0
    second = read_page(job, {"page_size": "7", "cursor": read_page(job, {"page_size": "7"}).next})
    assert [row.sku for row in second.rows] == [f"S-{n:02d}" for n in range(7, 14)]
    first = read_page(job, {"page_size": "7", "cursor": second.previous})
    assert [row.sku for row in first.rows] == [f"S-{n:02d}" for n in range(7)]
    assert first.previous == ""


@pytest.mark.parametrize(
    "query",
    [
        {"action": "deleted"},
        {"field": "colour"},
        {"flag": "x"},
        {"page_size": "many"},
        {"page_size": ""},
        {"cursor": "x"},
        {"cursor": "f1"},
        {"cursor": "f1-99999999999"},
        {"action": "created", "field": "name"},
    ],
)
def test_a_bad_filter_says_what_there_is(
    review: Callable[..., ImportJob], query: dict[str, str]
) -> None:
    job = review(HEADER + "A-1,Lamp,,1,\n")
    with pytest.raises(BadFilter):
        read_page(job, query)


def test_warnings_tell_what_a_shopkeeper_would_want_to_know(
    review: Callable[..., ImportJob], make_product: Callable[..., Product]
) -> None:
    for number in range(4):
        make_product(f"S-{number}", f"Name {number}", price=Decimal("12.00"))
    make_product("00123", "Zeros", price=Decimal("1.00"))
    job = review(
        "sku,name,price\nS-0,Name 0,1200.00\nS-1,Name 1,13.00\nS-2,Name 2,14.00\nS-3,Name 3,12.00\n"
        "123,Zeros,1.00\n1.23E+12,Cut,1.00\n"
    )
    text = "\n".join(job.shown["warnings"])
    assert "More than half of the prices change: 3 of 4" in text
    assert "names change" not in text
    assert "1 price moves tenfold or more, for example S-0 from 12.00 to 1,200.00" in text
    assert "1 SKU looks damaged by a spreadsheet, for example 1.23E+12" in text
    assert "1 new SKU has lost the leading zeros" in text
    assert [row.sku for row in rows(job, flag="tenfold")] == ["S-0"]
    assert [row.sku for row in rows(job, flag="lost_zeros")] == ["123"]
    assert [row.sku for row in rows(job, flag="scientific", action="created")] == ["1.23E+12"]


def test_a_file_that_is_fine_warns_of_nothing(
    review: Callable[..., ImportJob], make_product: Callable[..., Product]
) -> None:
    make_product("S-1", "Lamp", price=Decimal("12.00"))
    make_product("S-2", "Lamp", price=Decimal("12.00"))
    job = review("sku,name,price\nS-1,Lamp,13.00\nS-2,Lamp,12.00\nE+1,New,1.00\n1E5,New,1.00\n")
    assert job.shown["warnings"] == []


def test_what_changed_after_the_review_is_compared_again_and_told(
    review: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
) -> None:
    products = [make_product(f"S-{n}", "Lamp", price=Decimal("1.00")) for n in range(5)]
    job = review(
        "sku,name,price\n" + "".join(f"S-{n},Lamp,2.00\n" for n in range(4)) + "S-4,Lamp,1.00\n"
        "NEW-1,New,1.00\nNEW-2,New,1.00\n"
    )
    edit: dict[str, Any] = {"actor": None}
    catalog.update_product(product_id=products[0].pk, data={"price": "2.00"}, **edit)  # unchanged
    catalog.update_product(product_id=products[1].pk, data={"name": "Desk lamp"}, **edit)
    catalog.delete_product(product_id=products[2].pk, **edit)  # now created
    catalog.update_product(product_id=products[4].pk, data={"price": "7.00"}, **edit)  # now updated
    catalog.create_product(data={"sku": "new-1", "name": "New", "price": "1.00"}, **edit)
    apply(job, messages)
    assert job.differing == 5
    assert sorted(job.differing_skus) == ["NEW-1", "S-0", "S-1", "S-2", "S-4"]
    told = job.warnings[-1]
    assert "5 records turned out differently than shown" in told
    assert "4 updated (4 shown)" in told
    assert "2 created (2 shown)" in told
    assert "1 unchanged (1 shown)" in told
    assert set(Product.objects.filter(sku__startswith="S-").values_list("name", "price")) == {
        ("Lamp", Decimal("2.00")),
        ("Lamp", Decimal("1.00")),
    }


CREATED = {"action": "create", "price": "1.00"}  # just as in the file
OTHERWISE = [
    # mode, the file's header, there before, what happens, shown and applied
    ("update_only", "sku,name,price", False, CREATED, {"skipped": 1}, {"unchanged": 1}),
    (
        "update_only",
        "sku,name,price",
        False,
        {**CREATED, "price": "7"},
        {"skipped": 1},
        {"updated": 1},
    ),
    ("update_only", "sku,name,price", True, {"action": "delete"}, {"unchanged": 1}, {"skipped": 1}),
    ("update_only", "sku,name,price", True, {"action": "edit"}, {"unchanged": 1}, {"updated": 1}),
    ("create_only", "sku,name,price", False, CREATED, {"created": 1}, {"skipped": 1}),
    ("create_only", "sku,name,price", True, {"action": "delete"}, {"skipped": 1}, {"created": 1}),
    ("upsert", "sku,name,price", False, CREATED, {"created": 1}, {"unchanged": 1}),
    ("upsert", "sku,name,price", True, {"action": "delete"}, {"unchanged": 1}, {"created": 1}),
    ("upsert", "sku,name,price", True, {"action": "edit"}, {"unchanged": 1}, {"updated": 1}),
    ("upsert", "sku,price", False, CREATED, {"rejected": 1}, {"unchanged": 1}),
    ("upsert", "sku,price", True, {"action": "delete"}, {"unchanged": 1}, {"rejected": 1}),
]


@pytest.mark.parametrize(("mode", "header", "there", "act", "shown", "applied"), OTHERWISE)
def test_counts_that_turn_out_otherwise_are_told(
    review: Callable[..., ImportJob],
    messages: Messages,
    mode: str,
    header: str,
    there: bool,
    act: dict[str, str],
    shown: dict[str, int],
    applied: dict[str, int],
) -> None:
    lamp = {"sku": "A-1", "name": "Lamp", "price": "1.00"}
    line = "A-1,Lamp,1.00" if "name" in header else "A-1,1.00"
    product = catalog.create_product(actor=None, data=lamp) if there else None
    job = review(f"{header}\n{line}\n", mode=mode)
    assert {name: count for name, count in job.shown["counts"].items() if count} == {
        "total": 1,
        **shown,
    }
    if act["action"] == "create":
        catalog.create_product(actor=None, data={**lamp, "price": act["price"]})
    elif product and act["action"] == "delete":
        catalog.delete_product(actor=None, product_id=product.pk)
    elif product:
        catalog.update_product(actor=None, product_id=product.pk, data={"price": "9"})
    apply(job, messages)
    told = job.warnings[-1]
    assert told.startswith("1 record turned out differently than shown")
    words = {"rejected": "refused"}
    for name, count in applied.items():
        assert f"{count} {words.get(name, name)} (0 shown)" in told
    for name, count in shown.items():
        assert f"0 {words.get(name, name)} ({count} shown)" in told
    assert job_snapshot(job)["warnings"][-1] == told
    event = Event.objects.get(type="import.completed")
    assert json.loads(bytes(event.body))["data"]["warnings"][-1] == told


def test_counts_that_turn_out_as_shown_are_not_told(
    review: Callable[..., ImportJob], messages: Messages
) -> None:
    job = review("sku,name\nA-1,Lamp\nA-2,Lamp\n")
    catalog.create_product(actor=None, data={"sku": "B-1", "name": "Another"})
    apply(job, messages)
    assert job.warnings == []


def test_a_review_does_not_hold_up_other_imports_and_takes_its_place_when_applied(
    review: Callable[..., ImportJob], upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = review(HEADER + "A-1,From the review,,1,\n")
    other = upload(HEADER + "A-1,From the other,,1,\n")
    messages.run_all()
    other.refresh_from_db()
    assert other.status == "completed"
    apply(job, messages)
    assert Product.objects.get().name == "From the review"
    assert job.change_set.pk > other.change_set.pk  # type: ignore[union-attr]


def test_a_discarded_review_changes_nothing_and_can_be_taken_up_again(
    review: Callable[..., ImportJob], messages: Messages
) -> None:
    job = review(HEADER + "A-1,Lamp,,1,\n")
    jobs.cancel_import(job_id=job.pk, user=None)
    job.refresh_from_db()
    assert (job.status, job.change_set) == ("cancelled", None)
    assert job.outcome_label == "Discarded"
    with pytest.raises(jobs.Refused, match="discarded"):
        jobs.apply_import(job_id=job.pk, user=None)
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"
    apply(job, messages)
    assert Product.objects.count() == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_of_the_server_does_not_take_a_review_away(
    review: Callable[..., ImportJob],
    upload: Callable[..., ImportJob],
    messages: Messages,
    when: str,
) -> None:
    content = HEADER + "A-1,Lamp,,1,\nA-2,Lamp,,1,\n"
    if when == "before":
        job = upload(content, review=True)
        messages.run_all(until=lambda: _stage(job) == "comparing")
        empty_staging(job)
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "awaiting_review"
    else:
        job = review(content)
        empty_staging(job)
    assert len(rows(job)) == 2
    apply(job, messages)
    assert job.created == 2


def _stage(job: ImportJob) -> str:
    job.refresh_from_db()
    return job.stage


def empty_staging(job: ImportJob) -> None:
    """What PostgreSQL does with unlogged tables when it recovers from a crash."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {staging.staging_table(job.pk)}")


def test_a_cancelled_apply_goes_on_without_another_review(
    review: Callable[..., ImportJob], messages: Messages, settings: Any, user: User
) -> None:
    settings.IMPORT_CHUNK_ROWS = 10
    job = review(HEADER + "".join(f"S-{n:02d},Lamp,,1,\n" for n in range(50)))
    jobs.apply_import(job_id=job.pk, user=user)
    messages.run_all(until=lambda: _stage(job) == "applying")
    chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
    assert chunk
    applying.apply_chunk(chunk)
    jobs.cancel_import(job_id=job.pk, user=None)
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created, job.differing) == ("completed", 50, 0)
    assert job.change_set.actor == user  # type: ignore[union-attr]


def test_a_worker_that_comes_late_does_not_take_an_apply_back(
    review: Callable[..., ImportJob], messages: Messages
) -> None:
    """It found no chunk left to compare, and hears only now that it was the last one."""
    job = review(HEADER + "A-1,Lamp,,1.00,\n")
    jobs.apply_import(job_id=job.pk, user=None)
    compare.finish_comparing(job.pk)
    chunks.run_chunks(job.pk)
    job.refresh_from_db()
    assert job.status == "processing"
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created) == ("completed", 1)


def test_a_job_without_a_review_has_none_to_read(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(HEADER + "A-1,Lamp,,1,\n")
    with pytest.raises(NoReview, match="not reviewed"):
        read_page(job, {})
    waiting = upload(HEADER + "A-1,Lamp,,1,\n", review=True)
    with pytest.raises(NoReview, match="still"):
        read_page(waiting, {})
