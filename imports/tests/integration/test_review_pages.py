"""The pages of deciding about an import, as plain HTML, and the same by API."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import ChangeSet, Product
from catalog.operations import undo
from catalog.views import change_sets
from conftest import Messages
from imports.models import ImportJob
from imports.queries.progress import progress_of

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = b"sku,name,price\n"
FILE = HEADER + b"A-1,Desk lamp,2.00\nB-1,New,1.00\nC-1,Bad,free\n"


@pytest.fixture
def lamp(make_product: Callable[..., Product]) -> Product:
    return make_product("A-1", "Lamp", price="1.00")


@pytest.fixture
def upload_page(page: Client, messages: Messages) -> Callable[..., ImportJob]:
    """Send the form of the home page, and play the worker."""

    def send(content: bytes = FILE, **fields: str) -> ImportJob:
        file = SimpleUploadedFile("p.csv", content)
        answer = page.post("/imports/", {"file": file, **fields})
        assert answer.status_code == 302, answer.content
        messages.run_all()
        return ImportJob.objects.latest("id")

    return send


def text_of(page: Client, path: str, status: int = 200) -> str:
    answer = page.get(path)
    assert answer.status_code == status
    return re.sub(r"\s+", " ", answer.content.decode())


def test_a_review_is_looked_at_and_applied_without_scripts(
    page: Client, upload_page: Callable[..., ImportJob], messages: Messages, lamp: Product
) -> None:
    job = upload_page(review="true")
    text = text_of(page, f"/imports/{job.pk}/")
    assert "Nothing is written yet" in text
    assert "Apply 2 changes" in text
    assert "<del>Lamp</del> <ins>Desk lamp</ins>" in text
    only = text_of(page, f"/imports/{job.pk}/review/?action=created")
    assert "B-1" in only
    assert "A-1" not in only
    assert page.post(f"/imports/{job.pk}/apply/").status_code == 302
    messages.run_all()
    assert "Completed" in text_of(page, f"/imports/{job.pk}/")
    assert Product.objects.get(sku="A-1").name == "Desk lamp"
    assert "What the review showed" in text_of(page, f"/imports/{job.pk}/review/")


def test_an_import_is_undone_after_a_question_in_numbers(
    page: Client,
    upload_page: Callable[..., ImportJob],
    messages: Messages,
    lamp: Product,
    make_user: Callable[..., User],
) -> None:
    job = upload_page()
    job.refresh_from_db()
    assert job.change_set
    eve = make_user("eve", "editor")
    from catalog.operations import products as catalog

    catalog.update_product(product_id=lamp.pk, actor=eve, data={"name": "Edited"})
    assert f"/changes/{job.change_set.pk}/undo/" in text_of(page, f"/imports/{job.pk}/")
    text = text_of(page, f"/changes/{job.change_set.pk}/undo/")
    assert "<b>1</b> product that came in with it is deleted" in text
    assert "<b>1</b> product was changed by somebody since and stays as it is" in text
    assert "Undo 1 change" in text
    answer = page.post(f"/changes/{job.change_set.pk}/undo/")
    messages.run_all()
    begun = ChangeSet.objects.get(kind="undo")
    assert answer["Location"] == f"/changes/{begun.pk}/"
    kept = text_of(page, f"/changes/{begun.pk}/?action=kept")
    assert "A-1" in kept
    assert "eve" in kept
    assert "This import was undone" in text_of(page, f"/imports/{job.pk}/")
    assert "undone already" in text_of(page, f"/changes/{job.change_set.pk}/undo/", status=409)
    assert "undone" in text_of(page, "/changes/")


def test_the_numbers_of_a_large_undo_come_after_its_page(
    page: Client,
    upload_page: Callable[..., ImportJob],
    lamp: Product,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(change_sets, "COUNTED_AT_ONCE", 1)
    job = upload_page()
    path = f"/changes/{job.change_set_id}/undo/"
    with monkeypatch.context() as patch:
        patch.setattr(undo, "forecast", None)  # nothing is counted yet
        text = text_of(page, path)
    assert 'hx-get="?count"' in text
    assert '<a href="?count">' in text  # without scripts
    assert "Undo 2 changes" not in text
    assert "Undo 2 changes" in text_of(page, f"{path}?count")


def test_an_act_that_does_not_fit_says_why_and_does_nothing(
    page: Client, upload_page: Callable[..., ImportJob]
) -> None:
    job = upload_page()
    for act, reason in (
        ("apply", "waits for review"),
        ("cancel", "has not ended"),
        ("retry", "failed or cancelled"),
    ):
        answer = page.post(f"/imports/{job.pk}/{act}/")
        assert answer.status_code == 409
        assert reason in answer.content.decode()
    assert page.get(f"/imports/{job.pk}/apply/").status_code == 405


def test_a_waiting_import_is_cancelled_and_tried_again(
    page: Client, messages: Messages, lamp: Product
) -> None:
    page.post("/imports/", {"file": SimpleUploadedFile("p.csv", FILE)})
    job = ImportJob.objects.get()
    assert page.post(f"/imports/{job.pk}/cancel/").status_code == 302
    text = text_of(page, f"/imports/{job.pk}/")
    assert "The import was cancelled by mara." in text
    assert "Nothing in the catalogue was changed." in text
    assert "Try again" in text
    page.post(f"/imports/{job.pk}/retry/")
    messages.run_all()
    assert "Completed" in text_of(page, f"/imports/{job.pk}/")


def test_a_discarded_review_is_told_as_discarded(
    page: Client, upload_page: Callable[..., ImportJob], lamp: Product
) -> None:
    job = upload_page(review="true")
    page.post(f"/imports/{job.pk}/cancel/")
    for path in ("/", "/imports/", f"/imports/{job.pk}/", f"/imports/{job.pk}/panel/"):
        text = text_of(page, path)
        assert "Discarded" in text
        assert "Cancelled" not in text
    assert "The review was discarded by mara." in text_of(page, f"/imports/{job.pk}/")
    assert get(page, f"imports/{job.pk}/")["status"] == "cancelled"
    assert "This one is discarded." in post(page, f"imports/{job.pk}/apply/", 409)["detail"]


def test_lists_tell_discarded_reviews_without_a_question_for_each(
    page: Client, upload_page: Callable[..., ImportJob], lamp: Product
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert "Discarded" in text_of(page, "/imports/")
        return len(asked)

    def discard(content: bytes) -> None:
        page.post(f"/imports/{upload_page(content, review='true').pk}/cancel/")

    discard(FILE)
    questions()
    before = questions()
    for number in range(3):
        discard(FILE + b"X-%d,New,1.00\n" % number)
    assert questions() == before


def test_one_that_was_cancelled_before_or_after_its_review_was_not_discarded(
    page: Client, upload_page: Callable[..., ImportJob], messages: Messages, lamp: Product
) -> None:
    job = upload_page(review="true")
    page.post(f"/imports/{job.pk}/apply/")
    page.post(f"/imports/{job.pk}/cancel/")
    assert "Cancelled" in text_of(page, f"/imports/{job.pk}/")
    job = upload_page(FILE + b"D-1,New,1.00\n", review="true")
    page.post(f"/imports/{job.pk}/cancel/")
    page.post(f"/imports/{job.pk}/retry/")
    page.post(f"/imports/{job.pk}/cancel/")  # before it is compared again
    assert "Cancelled" in text_of(page, f"/imports/{job.pk}/")


def test_the_time_that_a_discarded_review_waited_is_no_time_of_work(
    page: Client, upload_page: Callable[..., ImportJob], messages: Messages, lamp: Product
) -> None:
    job = upload_page(review="true")
    jobs = ImportJob.objects.filter(pk=job.pk)
    hour = timedelta(hours=1)
    jobs.update(started_at=F("started_at") - hour, compared_at=F("compared_at") - hour)
    page.post(f"/imports/{job.pk}/cancel/")
    page.post(f"/imports/{job.pk}/retry/")
    messages.run_all()
    page.post(f"/imports/{job.pk}/apply/")
    messages.run_all()
    assert 0 < progress_of(jobs.get(), timezone.now()).elapsed < hour.total_seconds() / 2


def test_the_same_file_again_is_held_back_and_says_by_whom_it_was_imported(
    page: Client, upload_page: Callable[..., ImportJob], lamp: Product
) -> None:
    first, again = upload_page(), upload_page()
    assert first.status != again.status == "awaiting_review"
    text = text_of(page, f"/imports/{again.pk}/")
    assert "This is the very same file as" in text
    assert "by mara" in text
    assert "Nothing would be created or updated" in text
    assert "Waiting for review" in text_of(page, "/")


def test_a_mode_is_chosen_beside_the_drop_zone(
    page: Client, upload_page: Callable[..., ImportJob], lamp: Product
) -> None:
    job = upload_page(mode="create_only")
    assert (job.created, job.skipped, job.rejected) == (1, 1, 1)
    answer = page.post("/imports/", {"file": SimpleUploadedFile("p.csv", FILE), "mode": "x"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("role", "statuses"),
    [("viewer", (403, 403, 403, 403)), ("editor", (302, 409, 302, 403))],
)
def test_a_role_may_do_what_its_permissions_say(
    client: Client,
    make_user: Callable[..., User],
    static_files: None,
    messages: Messages,
    upload: Callable[..., ImportJob],
    role: str,
    statuses: tuple[int, ...],
) -> None:
    client.force_login(make_user(role, role))
    applied = upload(FILE)  # nobody's
    messages.run_all()
    job = upload(FILE + b"D-1,More,1\n")
    applied.refresh_from_db()
    assert client.post(f"/imports/{job.pk}/cancel/").status_code == statuses[0]
    assert client.post(f"/imports/{job.pk}/apply/").status_code == statuses[1]
    assert client.post(f"/imports/{job.pk}/retry/").status_code == statuses[2]
    assert client.get(f"/changes/{applied.change_set_id}/undo/").status_code == statuses[3]


def test_the_admin_leads_to_undo(
    client: Client, static_files: None, upload_page: Callable[..., ImportJob], db: None
) -> None:
    job = upload_page()
    job.refresh_from_db()
    client.force_login(User.objects.create_superuser("root"))
    text = client.get("/admin/catalog/changeset/").content.decode()
    assert f"/changes/{job.change_set_id}/undo/" in text
    one = client.get(f"/admin/catalog/changeset/{job.change_set_id}/change/").content.decode()
    assert f"/changes/{job.change_set_id}/undo/" in one


# --- The same by API ------------------------------------------------------------------


def post(client: Client, path: str, status: int, **data: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/{path}", data)
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def get(client: Client, path: str, status: int = 200) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_the_api_reviews_applies_and_undoes(
    page: Client, messages: Messages, lamp: Product
) -> None:
    job = post(page, "imports/", 202, file=SimpleUploadedFile("p.csv", FILE), review="true")
    path = f"imports/{job['id']}/"
    assert "still read" in get(page, f"{path}diff/", 409)["detail"]
    assert "can be undone" not in post(page, f"{path}undo/", 409)["detail"]
    messages.run_all()
    assert get(page, path)["status"] == "awaiting_review"
    diff = get(page, f"{path}diff/?page_size=1")
    assert diff["counts"]["updated"] == 1
    assert diff["count"] == 2
    assert diff["results"] == [
        {
            "sku": "A-1",
            "line": 2,
            "action": "updated",
            "name": "Desk lamp",
            "price_change": "100.0",
            "left_out": False,
            "changes": {"name": ["Lamp", "Desk lamp"], "price": ["1.00", "2.00"]},
        }
    ]
    assert diff["next"].endswith(f"{path}diff/?cursor=f1-1&page_size=1")
    assert get(page, f"{path}diff/?action=created")["results"][0]["changes"]["name"] == [
        None,
        "New",
    ]
    assert "There is no field" in get(page, f"{path}diff/?field=x", 400)["detail"]
    assert post(page, f"{path}apply/", 202)["status"] == "processing"
    assert "waits for review" in post(page, f"{path}apply/", 409)["detail"]
    messages.run_all()
    done = get(page, path)
    assert (done["status"], done["created"], done["updated"]) == ("completed", 1, 1)
    change_set = get(page, f"change-sets/{done['change_set']}/")
    assert change_set["undoable"] is True
    undo = post(page, f"{path}undo/", 202)
    assert (undo["kind"], undo["undo_of"]) == ("undo", done["change_set"])
    messages.run_all()
    undo = get(page, f"change-sets/{undo['id']}/")
    assert (undo["status"], undo["updated"], undo["deleted"], undo["conflicts"]) == (
        "completed", 1, 1, 0,
    )  # fmt: skip
    assert get(page, f"change-sets/{done['change_set']}/")["undoable"] is False
    assert "undone already" in post(page, f"change-sets/{done['change_set']}/undo/", 409)["detail"]
    assert list(Product.objects.values_list("sku", "name")) == [("A-1", "Lamp")]
    redo = post(page, f"change-sets/{undo['id']}/undo/", 202)
    assert redo["undo_of"] == undo["id"]


def test_the_api_tells_what_an_undo_left_alone(
    page: Client, messages: Messages, lamp: Product
) -> None:
    job = post(page, "imports/", 202, file=SimpleUploadedFile("p.csv", FILE))
    messages.run_all()
    page.patch(f"/api/v1/products/{lamp.pk}/", {"name": "Edited"}, "application/json")
    undo = post(page, f"imports/{job['id']}/undo/", 202)
    messages.run_all()
    kept = get(page, f"change-sets/{undo['id']}/conflicts/")
    assert kept["count"] == 1
    assert kept["results"][0].items() >= {
        "product": lamp.pk, "sku": "A-1", "reason": "changed", "changed_by": "mara",
    }.items()  # fmt: skip


def test_the_api_cancels_and_retries(page: Client, messages: Messages, lamp: Product) -> None:
    job = post(page, "imports/", 202, file=SimpleUploadedFile("p.csv", FILE))
    path = f"imports/{job['id']}/"
    assert post(page, f"{path}cancel/", 202)["status"] == "cancelled"
    assert "cancelled" in post(page, f"{path}cancel/", 409)["detail"]
    assert post(page, f"{path}retry/", 202)["status"] == "pending"
    messages.run_all()
    assert "completed" in post(page, f"{path}retry/", 409)["detail"]
    assert get(page, path)["rejected"] == 1


def test_the_api_takes_the_same_file_again_and_says_so(
    page: Client, messages: Messages, lamp: Product
) -> None:
    first = post(page, "imports/", 202, file=SimpleUploadedFile("p.csv", FILE))
    messages.run_all()
    again = post(page, "imports/", 202, file=SimpleUploadedFile("p.csv", FILE))
    assert f"as {first['file_name']}" in again["warnings"][0]
    messages.run_all()
    done = get(page, f"imports/{again['id']}/")
    assert (done["status"], done["unchanged"]) == ("completed", 2)
    assert f"as {first['file_name']}" in done["warnings"][0]
