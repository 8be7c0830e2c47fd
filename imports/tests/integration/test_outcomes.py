"""How an import ended, told alike on every page: nothing imported, undone, what is left."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import ChangeSet, Product
from conftest import Messages
from imports.models import ImportJob, job_snapshot
from imports.operations import jobs

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = "sku,name,price\nA-1,Lamp,free\nA-2,Lamp,cheap\n"
LISTS = ["/", "/imports/"]


@pytest.fixture
def run(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    def start(content: str, **values: object) -> ImportJob:
        job = upload(content, **values)
        messages.run_all()
        job.refresh_from_db()
        return job

    return start


def text_of(page: Client, path: str) -> str:
    return re.sub(r"\s+", " ", page.get(path).content.decode())


def statuses(text: str) -> list[tuple[str, str]]:
    """The statuses on a page: the class that gives the colour, and the words."""
    found = r'pi-status pi-status-([\w ]+)"><span[^>]*></span>([^<]+)<'
    return re.findall(found, text)


def tiles(text: str) -> dict[str, int]:
    found = re.findall(r"<b>(?:= )?([\d,]+)</b><i>([\w ]+)</i>", text)
    return {name: int(count.replace(",", "")) for count, name in found}


def test_one_whose_records_were_all_refused_has_imported_nothing(
    page: Client, run: Callable[..., ImportJob]
) -> None:
    job = run(REFUSED)
    for path in (*LISTS, f"/imports/{job.pk}/"):
        assert statuses(text_of(page, path)) == [("nothing", "Nothing imported")], path
    text = text_of(page, f"/imports/{job.pk}/")
    assert "All 2 records were refused" in text
    assert "What it changed" not in text
    assert job_snapshot(job)["status"] == "completed"


def test_the_admin_says_so_too(
    client: Client,
    static_files: None,
    run: Callable[..., ImportJob],
    make_user: Callable[..., User],
) -> None:
    run(REFUSED)
    admin = make_user("root", role="")
    admin.is_staff = admin.is_superuser = True
    admin.save()
    client.force_login(admin)
    text = client.get("/admin/imports/importjob/").content.decode()
    assert "Nothing imported" in text


def test_one_that_was_partly_refused_is_completed(
    page: Client, run: Callable[..., ImportJob]
) -> None:
    run(REFUSED + "A-3,Lamp,1\n")
    assert statuses(text_of(page, "/imports/")) == [("completed", "Completed")]


def test_an_undone_one_says_so_in_every_list(
    page: Client, run: Callable[..., ImportJob], messages: Messages, user: User
) -> None:
    job = run("sku,name\nA-1,Lamp\n", user=user)
    undo = jobs.undo_import(job_id=job.pk, user=user)
    for path in (*LISTS, f"/imports/{job.pk}/"):
        assert ("undone", "Being undone") in statuses(text_of(page, path)), path
    messages.run_all()
    for path in (*LISTS, f"/imports/{job.pk}/"):
        assert ("undone", "Undone") in statuses(text_of(page, path)), path
    from catalog.operations import undo as undos

    undos.start_undo(change_set_id=undo.pk, actor=user)
    messages.run_all()
    assert ("completed", "Completed") in statuses(text_of(page, "/imports/"))


def test_many_undone_ones_cost_no_more_queries(
    page: Client,
    run: Callable[..., ImportJob],
    messages: Messages,
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    for number in range(12):
        job = run(f"sku,name\nA-{number},Lamp\n")
        jobs.undo_import(job_id=job.pk, user=None)
        messages.run_all()
    page.get("/imports/")
    with django_assert_max_num_queries(16):  # type: ignore[attr-defined]
        text = text_of(page, "/imports/")
    assert len(statuses(text)) == 12


def test_the_tiles_of_a_discarded_review_add_up(
    page: Client, run: Callable[..., ImportJob]
) -> None:
    job = run("sku,name,price\n" + "".join(f"A-{n},Lamp,{n}\n" for n in range(7)) + "B,,1\n",
              review=True)  # fmt: skip
    shown = tiles(text_of(page, f"/imports/{job.pk}/"))
    assert shown.pop("records in the file") == sum(shown.values()) == 8
    jobs.cancel_import(job_id=job.pk, user=None)
    shown = tiles(text_of(page, f"/imports/{job.pk}/"))
    assert shown["left"] == 7
    assert shown.pop("records in the file") == sum(shown.values()) == 8
    assert "8 records: 1 refused · 7 left as they were" in text_of(page, "/")


def test_the_tiles_of_a_running_job_add_up(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("sku,name\nA-1,Lamp\nA-2,Lamp\n,Lamp\n")

    def is_read() -> bool:
        job.refresh_from_db()
        return job.total_records > 0

    messages.run_all(until=is_read)
    shown = tiles(text_of(page, f"/imports/{job.pk}/"))
    assert shown["to do"] == 2
    assert shown.pop("records in the file") == sum(shown.values()) == 3


def test_undo_asks_by_the_name_of_the_file(
    page: Client, run: Callable[..., ImportJob], user: User
) -> None:
    job = run("sku,name\nA-1,Lamp\n", file_name="spring prices.csv", user=user)
    if job.change_set_id == job.pk:  # as the tests before left the sequences
        run("sku,name\nA-0,Lamp\n", review=True)  # has no change set: the numbers differ then
        job = run("sku,name\nA-2,Lamp\n", file_name="spring prices.csv", user=user)
    assert job.change_set
    assert job.change_set.pk != job.pk
    text = text_of(page, f"/changes/{job.change_set.pk}/undo/")
    assert "Undo the import of <bdi>spring prices.csv</bdi>?" in text
    assert f"mport {job.change_set.pk}" not in text
    assert f"mport {job.pk}" not in text_of(page, f"/imports/{job.pk}/")


def test_an_import_is_called_by_its_file_wherever_its_change_is_told(
    page: Client, run: Callable[..., ImportJob], messages: Messages, user: User
) -> None:
    run("sku,name\nA-0,Lamp\n", review=True)  # has no change set: the numbers differ from here on
    job = run("sku,name\nA-1,Lamp\n", file_name="spring.csv", user=user)
    product = Product.objects.get()
    assert "<bdi>Import of spring.csv</bdi>" in text_of(page, f"/products/{product.pk}/")
    undo = jobs.undo_import(job_id=job.pk, user=user)
    messages.run_all()
    paths = (
        "/changes/",
        f"/changes/{job.change_set_id}/",
        f"/changes/{undo.pk}/",
        f"/products/{product.pk}/",
    )
    for path in paths:
        text = text_of(page, path)
        assert "mport of spring.csv" in text or "mport of <a" in text, path
        assert f"mport {job.change_set_id}" not in text, path
    assert "Undid import of spring.csv" in text_of(page, "/changes/")


def test_what_undid_an_undo_is_told_by_what_it_did_again(
    page: Client, run: Callable[..., ImportJob], undone: Callable[..., ChangeSet]
) -> None:
    job = run("sku,name\nA-1,Lamp\n", file_name="spring.csv")
    last = job.change_set
    for verb in ("Undid", "Redid", "Undid"):
        last = undone(last)
        assert f"{verb} import of spring.csv" in text_of(page, f"/changes/{last.pk}/")
    text = text_of(page, "/changes/")
    assert (text.count("Undid import of"), text.count("Redid import of")) == (2, 1)
    assert "id undo " not in text


def test_the_changes_name_what_was_undone_by_as_many_questions_however_many(
    page: Client,
    run: Callable[..., ImportJob],
    messages: Messages,
) -> None:
    def undone(numbers: range) -> None:
        for number in numbers:
            job = run(f"sku,name\nA-{number},Lamp\n")
            jobs.undo_import(job_id=job.pk, user=None)
            messages.run_all()

    undone(range(1))
    page.get("/changes/")
    with CaptureQueriesContext(connection) as few:
        page.get("/changes/")
    undone(range(1, 6))
    page.get("/changes/")
    with CaptureQueriesContext(connection) as many:
        text = text_of(page, "/changes/")
    assert text.count("Undid import of products.csv") == 6
    assert len(many) <= len(few)
