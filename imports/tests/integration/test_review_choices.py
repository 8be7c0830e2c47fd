"""A review in use: found, sorted, left out by tick, by several people; and its list as a CSV."""

import csv
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client

from catalog.models import Product
from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs
from imports.queries.review import read_page
from imports.queries.word_diff import word_diff
from imports.sql.review import Filters

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,price\n"


@pytest.fixture
def review(
    upload: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
    settings: Any,
) -> ImportJob:
    """Prices of 20 products that go up by 1 to 20 per cent, but one that halves; one is new."""
    settings.IMPORT_CHUNK_ROWS = 5
    for number in range(1, 21):
        make_product(f"S-{number:02d}", f"Lamp {number}", price=Decimal(100))
    lines = [f"S-{n:02d},Lamp {n},{50 if n == 7 else 100 + n}" for n in range(1, 21)]
    job = upload(HEADER + "\n".join([*lines, "NEW,New,5"]) + "\n", review=True)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"
    return job


def skus(job: ImportJob, **given: str) -> list[str]:
    """All that match, forwards by small pages; and back again the same."""
    page = read_page(job, {**given, "page_size": "3"})
    pages = [page]
    while page.next:
        page = read_page(job, {**given, "page_size": "3", "cursor": page.next})
        pages.append(page)
    back = [pages[-1]]
    while back[0].previous:
        back.insert(0, read_page(job, {**given, "page_size": "3", "cursor": back[0].previous}))
    found = [row.sku for page in pages for row in page.rows]
    assert [row.sku for page in back for row in page.rows] == found
    assert {page.count for page in pages} == {len(found)}
    return found


def text_of(page: Client, path: str, status: int = 200) -> str:
    answer = page.get(path)
    assert answer.status_code == status
    return re.sub(r"\s+", " ", answer.content.decode())


def apply(job: ImportJob, messages: Messages) -> ImportJob:
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    return job


def test_changes_are_found_by_how_much_a_price_moves(review: ImportJob) -> None:
    assert skus(review, more_than="18") == ["S-07", "S-19", "S-20"]
    assert skus(review, more_than="10,5", q="s-1", action="updated") == [
        f"S-{n}" for n in range(11, 20)
    ]


def test_changes_are_found_by_sku_and_by_a_name_that_stays(review: ImportJob) -> None:
    assert skus(review, q="lamp 1") == [f"S-{n:02d}" for n in (1, *range(10, 20))]
    assert skus(review, q="NEW") == ["NEW"]
    assert skus(review, q="100%") == []


def test_changes_are_sorted_by_how_much_a_price_moves(review: ImportJob) -> None:
    rising = skus(review, sort="price_change")
    assert rising == ["S-07", *(f"S-{n:02d}" for n in range(1, 21) if n != 7)]
    assert skus(review, sort="-price_change") == rising[::-1]
    assert skus(review, sort="-sku") == sorted([*rising, "NEW"], reverse=True)


def test_a_price_that_was_nothing_has_no_percentage(
    review: ImportJob, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    Product.objects.filter(sku="S-01").update(price=0)
    job = upload(HEADER + "S-01,Lamp 1,5\nS-02,Lamp 2,101\n", review=True)
    messages.run_all()
    job.refresh_from_db()
    assert skus(job, sort="-price_change") == ["S-01", "S-02"]
    assert skus(job, more_than="100") == ["S-01"]


def test_what_is_left_out_is_skipped_counted_and_told(
    review: ImportJob, messages: Messages, page: Client
) -> None:
    jobs.leave_out(job_id=review.pk, user=None, filters=Filters(more_than=Decimal(10)))
    review.refresh_from_db()
    assert (review.left_out_created, review.left_out_updated) == (0, 11)
    text = text_of(page, f"/imports/{review.pk}/")
    assert "Apply 10 changes" in text
    assert "11 left out" in text
    assert "<b>11</b><i>skipped</i>" in text
    assert skus(review, left_out="no") == ["NEW", *(f"S-{n:02d}" for n in range(1, 11) if n != 7)]
    job = apply(review, messages)
    assert (job.created, job.updated, job.skipped) == (1, 9, 11)
    assert job.accounted_records == job.total_records
    assert job.differing == 0
    assert not any("differently" in warning for warning in job.warnings)
    prices = dict(Product.objects.values_list("sku", "price"))
    assert prices["S-07"] == prices["S-20"] == 100
    assert prices["S-10"] == 110


def test_a_record_left_out_is_not_applied_though_the_catalogue_changes_meanwhile(
    review: ImportJob, messages: Messages
) -> None:
    from catalog.operations import products as catalog

    jobs.leave_out(job_id=review.pk, user=None, filters=Filters(), lines=[2, 3])
    for sku in ("S-01", "S-05"):
        product = Product.objects.get(sku=sku)
        catalog.update_product(product_id=product.pk, actor=None, data={"name": "Edited"})
    review.refresh_from_db()
    job = apply(review, messages)
    assert (job.skipped, job.differing, job.differing_skus) == (2, 1, ["S-05"])
    assert Product.objects.get(sku="S-01").name == "Edited"


def test_ticks_of_a_page_are_kept_without_scripts(review: ImportJob, page: Client) -> None:
    ticked = {"line": ["2", "3", "4"], "keep": ["3"]}
    answer = page.post(f"/imports/{review.pk}/leave-out/?sort=-sku", ticked)
    assert answer["Location"] == f"/imports/{review.pk}/review/?sort=-sku"
    assert skus(review, left_out="yes") == ["S-01", "S-03"]
    page.post(f"/imports/{review.pk}/leave-out/", {"line": ["2"], "keep": ["2"]})
    assert skus(review, left_out="yes") == ["S-03"]


def test_all_that_match_are_left_out_and_taken_in(review: ImportJob, page: Client) -> None:
    path = f"/imports/{review.pk}/leave-out/"
    page.post(f"{path}?more_than=18", {"all": "out"})
    assert skus(review, left_out="yes") == ["S-07", "S-19", "S-20"]
    page.post(f"{path}?q=S-07", {"all": "in"})
    assert skus(review, left_out="yes") == ["S-19", "S-20"]
    answer = page.post(f"{path}?more_than=x", {"all": "out"})
    assert answer.status_code == 409
    review.refresh_from_db()
    assert review.left_out == 2


def test_who_saw_another_choice_applies_nothing(
    review: ImportJob, page: Client, messages: Messages
) -> None:
    version = re.search(r'name="version" value="(\d+)"', text_of(page, f"/imports/{review.pk}/"))
    assert version
    jobs.leave_out(job_id=review.pk, user=None, filters=Filters(), lines=[2])
    answer = page.post(f"/imports/{review.pk}/apply/", {"version": version[1]})
    assert answer.status_code == 409
    assert "Somebody has left out other records" in answer.content.decode()
    review.refresh_from_db()
    assert review.status == "awaiting_review"


def test_nothing_is_left_out_of_what_is_decided(
    review: ImportJob, page: Client, messages: Messages
) -> None:
    apply(review, messages)
    answer = page.post(f"/imports/{review.pk}/leave-out/", {"line": ["2"]})
    assert answer.status_code == 409
    assert "waits for review" in answer.content.decode()


def test_one_who_may_only_look_ticks_nothing(
    review: ImportJob, client: Client, static_files: None, make_user: Callable[..., User]
) -> None:
    client.force_login(make_user("vera", "viewer"))
    assert 'name="keep"' not in text_of(client, f"/imports/{review.pk}/review/")
    assert client.post(f"/imports/{review.pk}/leave-out/", {"line": ["2"]}).status_code == 403


def test_a_review_made_anew_leaves_nothing_out(review: ImportJob, messages: Messages) -> None:
    jobs.leave_out(job_id=review.pk, user=None, filters=Filters())
    jobs.cancel_import(job_id=review.pk, user=None)
    jobs.retry_import(job_id=review.pk, user=None)
    messages.run_all()
    review.refresh_from_db()
    assert (review.status, review.left_out) == ("awaiting_review", 0)
    assert skus(review, left_out="yes") == []


def test_the_list_is_a_csv_with_the_filters_of_the_page(review: ImportJob, page: Client) -> None:
    answer = page.get(f"/imports/{review.pk}/review.csv?more_than=18")

    async def body() -> bytes:
        return b"".join([bytes(piece) async for piece in cast(StreamingHttpResponse, answer)])

    text = async_to_sync(body)().decode("utf-8-sig")
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["sku"] for line in lines] == ["S-07", "S-19", "S-20"]
    assert lines[0]["price_before"] == "100.00"
    assert lines[0]["price_change_percent"] == "-50.0"
    assert lines[0]["name"] == "Lamp 7"


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ("Desk lamp, red", "Desk lamp, blue", [("same", "Desk lamp, "), ("del", "red"),
                                               ("ins", "blue")]),
        ("Lamp", "Chair", [("del", "Lamp"), ("ins", "Chair")]),
        ("", "Lamp", [("ins", "Lamp")]),
        ("كرسي أحمر", "كرسي أزرق", [("same", "كرسي "), ("del", "أحمر"), ("ins", "أزرق")]),
    ],
)  # fmt: skip
def test_only_the_words_that_differ_are_marked(
    before: str, after: str, parts: list[tuple[str, str]]
) -> None:
    assert word_diff(before, after) == parts


def test_what_stays_around_a_difference_is_cut() -> None:
    long = " ".join(f"word{n}" for n in range(40))
    parts = word_diff(f"{long} red {long}", f"{long} blue {long}")
    assert [kind for kind, _ in parts] == ["same", "del", "ins", "same"]
    assert all(len(text) < 100 for _, text in parts)
