"""The pages as plain HTML: what a browser without scripts sees and can do."""

import csv
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from imports import task_names
from imports.models import ImportJob
from imports.queries import rejects
from imports.queries.progress import progress_of
from product_importer.common import enqueue

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/products/", "/imports/", "/imports/1/", "/sample.csv"])
def test_pages_need_a_login(client: Client, static_files: None, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=")


def test_an_empty_catalogue_shows_the_drop_zone_and_the_sample_alone(page: Client) -> None:
    text = page.get("/").content.decode()
    assert 'enctype="multipart/form-data"' in text
    assert "/sample.csv" in text
    assert "Last imports" not in text
    assert "import a CSV" in page.get("/products/").content.decode()


def test_the_form_works_without_scripts(page: Client, user: User) -> None:
    file = SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")
    answer = page.post("/imports/", {"file": file})
    job = ImportJob.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/imports/{job.pk}/"
    assert job.created_by == user
    text = page.get(answer["Location"]).content.decode()
    assert "p.csv" in text
    assert 'http-equiv="refresh"' in text  # the page of a running job renews itself


def test_several_files_at_once_lead_to_the_list(page: Client) -> None:
    files = [SimpleUploadedFile(f"{n}.csv", b"sku,name\nA-1,Lamp\n") for n in range(2)]
    answer = page.post("/imports/", {"file": files})
    assert answer["Location"] == "/imports/"
    assert ImportJob.objects.count() == 2


def test_a_form_without_a_file_says_what_to_do(page: Client) -> None:
    answer = page.post("/imports/")
    assert answer.status_code == 400
    assert "Choose a CSV file" in answer.content.decode()


def test_a_file_over_the_limit_is_refused_beside_the_form(page: Client, settings: Any) -> None:
    settings.IMPORT_MAX_FILE_SIZE = 5
    answer = page.post("/imports/", {"file": SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")})
    assert answer.status_code == 400
    assert "at most" in answer.content.decode()


def make_job(**values: Any) -> ImportJob:
    return ImportJob.objects.create(file_name="p.csv", file_size=1_000_000, sha256="0", **values)


def test_a_job_that_does_not_move_says_why(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    job = make_job(progress_at=now - timedelta(seconds=12))
    text = page.get(f"/imports/{job.pk}/panel/").content.decode()
    assert "Waiting for a worker for 12 s." in text


def test_a_job_that_waits_for_another_says_so() -> None:
    now = timezone.now()
    job = make_job(
        status="processing",
        stage="resolving",
        resolved_at=now,
        progress_at=now - timedelta(seconds=5),
    )
    assert "its turn" in progress_of(job, now).waiting


def test_progress_never_falls_from_stage_to_stage() -> None:
    now = timezone.now()
    started = {"status": "processing", "started_at": now - timedelta(seconds=2)}
    states = [
        make_job(),
        make_job(**started, stage="staging", bytes_read=500_000, total_records=50),
        make_job(**started, stage="resolving", bytes_read=1_000_000, total_records=100),
        make_job(**started, stage="resolving", resolved_at=now, total_records=100),
        make_job(
            **started,
            stage="applying",
            resolved_at=now,
            applying_at=now - timedelta(seconds=1),
            total_records=100,
            processed_records=50,
            created=50,
        ),
        make_job(status="completed", total_records=100, processed_records=100, finished_at=now),
    ]
    fractions = [progress_of(job, now).fraction for job in states]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    applying = progress_of(states[4], now)
    assert applying.rate == pytest.approx(50, rel=0.1)
    assert applying.seconds_left == pytest.approx(1, rel=0.1)


def test_rejected_records_are_grouped_and_listed(page: Client) -> None:
    job = make_job(status="completed", total_records=150, rejected=150)
    for line in range(150):
        job.errors.create(
            line=line, column="price", code="invalid_price", message="Bad <b>", record=["<i>"]
        )
    text = page.get(f"/imports/{job.pk}/").content.decode()
    assert "150 ×" in text
    assert "Bad &lt;b&gt;" in text
    text = page.get(f"/imports/{job.pk}/rejected/?page=2").content.decode()
    assert "Page 2 of 3" in text
    assert page.get(f"/imports/{job.pk}/rejected/?code=other").status_code == 200
    assert "".join(rejects.rejects_csv(job)).count("invalid_price: Bad <b>") == 150


def test_rejects_csv_has_every_refused_record_once_and_in_order_over_many_pages(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "PAGE_ROWS", 7)
    job = make_job(status="completed", layout={"header": ["sku", "price"], "delimiter": ","})
    for line in [*range(20, 0, -1), 5, 5]:
        job.errors.create(
            line=line, column="price", code="invalid_price", message="Bad", record=["A", "x"]
        )
    lines = list(csv.DictReader("".join(rejects.rejects_csv(job)).splitlines()))
    expected = sorted([*range(1, 21), 5, 5])
    assert [int(line["_line"]) for line in lines] == expected


@pytest.mark.parametrize("count", [1, 40])
def test_a_page_asks_the_same_number_of_questions_whatever_it_shows(
    page: Client, django_assert_max_num_queries: Any, count: int, make_product: Callable[..., Any]
) -> None:
    for number in range(count):
        make_product(f"S-{number}")
        make_job(status="completed", change_set=None)
    for path, questions in (("/", 9), ("/imports/", 9), ("/products/", 9)):
        with django_assert_max_num_queries(questions):
            assert page.get(path).status_code == 200


@pytest.mark.parametrize(
    "query", ["q=%25", "q=_", "q='", "q=%00", "after=x", "after=99999999999999999999", "before=0"]
)
def test_odd_questions_to_the_product_list_are_answered(
    page: Client, make_product: Callable[..., Any], query: str
) -> None:
    make_product()
    assert page.get(f"/products/?{query}").status_code == 200


def test_products_are_paged_by_keyset_in_both_directions(
    page: Client, make_product: Callable[..., Any]
) -> None:
    for number in range(120):
        make_product(f"S-{number:03d}")
    first = page.get("/products/").content.decode()
    second = page.get("/products/?" + _link(first, "next")).content.decode()
    third = page.get("/products/?" + _link(second, "next")).content.decode()
    assert "S-050" in second
    assert "S-119" in third
    assert 'rel="next"' not in third
    back = page.get("/products/?" + _link(second, "prev")).content.decode()
    assert "S-000" in back
    assert 'rel="prev"' not in back


def _link(text: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="\?([^"]+)"', text)
    assert found
    return found.group(1).replace("&amp;", "&")


def test_a_dead_broker_costs_a_request_less_than_half_a_second(
    page: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)
    dead.conf.update(
        broker_transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        task_publish_retry=settings.CELERY_TASK_PUBLISH_RETRY,
    )
    monkeypatch.setattr(enqueue, "current_app", dead)

    def seconds() -> float:
        started = time.monotonic()
        enqueue._send_now(task_names.ADVANCE, (1,))
        return time.monotonic() - started

    # The quickest of some tells what the broker costs; the rest is what else the machine does.
    assert min(seconds() for _ in range(10)) < 0.5
    dead.close()
