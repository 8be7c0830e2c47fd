"""A second person: by setting of a supplier, who uploaded a file cannot apply its review."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from catalog.operations import undo
from conftest import Messages
from imports.models import ImportJob, Supplier
from imports.operations import jobs, suppliers
from imports.operations.feeds import feeds
from imports.operations.mending import import_mended, save_cells
from imports.tests.supplier_files import HEADER, make_format, records

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(make_user: Callable[..., User]) -> dict[str, User]:
    return {name: make_user(name, "manager") for name in ("anna", "ben")}


@pytest.fixture
def waiting(
    upload: Callable[..., ImportJob], messages: Messages, people: dict[str, User]
) -> ImportJob:
    """An unusual file that Anna uploaded, of a supplier at whose files somebody else looks."""
    a_format = make_format("Mueller", usual={"stop_fewer": 20, "second_person": True})
    for count in (10, 5):
        job = upload(HEADER + records(count), format=a_format, user=people["anna"])
        messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"
    return job


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_uploaded_it_cannot_apply_it(waiting: ImportJob, people: dict[str, User]) -> None:
    with pytest.raises(jobs.SecondPerson, match="applied by a second person"):
        jobs.apply_import(job_id=waiting.pk, user=people["anna"])
    waiting.refresh_from_db()
    assert waiting.status == "awaiting_review"


def test_nobody_in_particular_cannot_apply_it_either(waiting: ImportJob) -> None:
    with pytest.raises(jobs.SecondPerson):
        jobs.apply_import(job_id=waiting.pk, user=None)


def test_somebody_else_can(waiting: ImportJob, people: dict[str, User], messages: Messages) -> None:
    jobs.apply_import(job_id=waiting.pk, user=people["ben"])
    messages.run_all()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.approved_by) == ("completed", people["ben"])


def test_what_is_usual_needs_nobody(
    waiting: ImportJob, upload: Callable[..., ImportJob], messages: Messages,
    people: dict[str, User],
) -> None:  # fmt: skip
    job = upload(HEADER + records(10), format=waiting.format, user=people["anna"])
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed"


def test_it_cannot_be_had_only_warned_of(
    waiting: ImportJob, upload: Callable[..., ImportJob], messages: Messages,
    people: dict[str, User],
) -> None:  # fmt: skip
    values: dict[str, Any] = {"user": people["anna"], "checks": "warn"}
    job = upload(HEADER + records(5), format=waiting.format, **values)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review"


def test_the_api_answers_403_and_the_page_has_no_button(
    waiting: ImportJob, people: dict[str, User], static_files: None
) -> None:
    anna, ben = client_of(people["anna"]), client_of(people["ben"])
    answer = anna.post(f"/api/v1/imports/{waiting.pk}/apply/")
    assert answer.status_code == 403
    assert "second person" in answer.json()["detail"]
    button = f'action="/imports/{waiting.pk}/apply/"'
    for path in (f"/imports/{waiting.pk}/", f"/imports/{waiting.pk}/review/"):
        shown = anna.get(path).content.decode()
        assert button not in shown
        assert "applied by a second person" in shown
        assert button in ben.get(path).content.decode()
    answer = anna.post(f"/imports/{waiting.pk}/apply/")
    assert answer.status_code == 409
    assert "second person" in answer.content.decode()
    assert ben.post(f"/api/v1/imports/{waiting.pk}/apply/").status_code == 202


def apply_as(
    job: ImportJob, user: User, messages: Messages, other: User | None = None
) -> ImportJob:
    """Apply as ``user``, who is refused if there is an ``other``, who is not."""
    if other:
        with pytest.raises(jobs.SecondPerson):
            jobs.apply_import(job_id=job.pk, user=user)
    jobs.apply_import(job_id=job.pk, user=other or user)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    return job


def test_who_uploaded_it_cannot_redo_it_once_it_was_taken_back(
    waiting: ImportJob, people: dict[str, User], messages: Messages
) -> None:
    anna, ben = people["anna"], people["ben"]
    applied = apply_as(waiting, anna, messages, other=ben).change_set
    assert applied
    # Taking it back is anybody's, in whatever order; to do it again is not.
    taken_back = undo.start_undo(change_set_id=applied.pk, actor=anna)
    messages.run_all()
    with pytest.raises(undo.NotUndoable, match="applied by a second person"):
        undo.start_undo(change_set_id=taken_back.pk, actor=anna)
    answer = client_of(anna).post(f"/api/v1/change-sets/{taken_back.pk}/undo/")
    assert answer.status_code == 409
    again = undo.start_undo(change_set_id=taken_back.pk, actor=ben)
    messages.run_all()
    undo.start_undo(change_set_id=again.pk, actor=anna)


def test_what_goes_on_after_a_cancel_waits_again(
    waiting: ImportJob, people: dict[str, User], messages: Messages
) -> None:
    jobs.cancel_import(job_id=waiting.pk, user=people["ben"])
    jobs.retry_import(job_id=waiting.pk, user=people["anna"])
    messages.run_all()
    waiting.refresh_from_db()
    assert waiting.status == "awaiting_review"
    apply_as(waiting, people["anna"], messages, other=people["ben"])


def test_mended_records_stay_their_suppliers_and_his_who_uploaded_them(
    upload: Callable[..., ImportJob], messages: Messages, people: dict[str, User],
    make_user: Callable[..., User],
) -> None:  # fmt: skip
    """Also where the file is read by another supplier's format, and somebody else mends it."""
    make_format("Huber")
    usual = {"stop_age": None, "stop_refused": None, "second_person": True}
    strict = suppliers.create_supplier(name="Mueller", user=None)
    suppliers.change_settings(supplier_id=strict.pk, user=None, **usual)
    content = HEADER + records(10) + "N-1,Thing,no price\n"
    job = upload(content, user=people["anna"], supplier=strict)
    messages.run_all()
    save_cells(job_id=job.pk, cells={(job.errors.get().pk, 2): "5"})
    mended = import_mended(job_id=job.pk, user=people["ben"])
    assert mended.supplier == strict
    messages.run_all()
    for name in ("anna", "ben"):
        assert jobs.needs_second_person(mended, people[name])
    assert not jobs.needs_second_person(mended, make_user("carl", "manager"))


def test_a_feed_is_owned_by_who_says_what_it_fetches(people: dict[str, User]) -> None:
    owner, other = people["ben"], people["anna"]
    supplier = suppliers.create_supplier(name="Mueller", user=None)
    values = {"name": "list", "url": "https://example.com/a.csv", "schedule": "every hour"}
    feed = feeds.create_feed(supplier_id=supplier.pk, user=owner, **values)
    path, kind = f"/api/v1/feeds/{feed.pk}/", "application/json"
    client = client_of(other)
    assert client.patch(path, {"schedule": "every 2 hours"}, content_type=kind).status_code == 200
    feed.refresh_from_db()
    assert feed.created_by == owner
    change = {"url": "https://example.com/b.csv"}
    assert client.patch(path, change, content_type=kind).status_code == 200
    feed.refresh_from_db()
    assert feed.created_by == other


def test_a_feed_is_not_deleted_to_forget_whose_it_was(
    waiting: ImportJob, people: dict[str, User], messages: Messages, static_files: None
) -> None:
    assert waiting.supplier_id
    values = {"name": "list", "url": "https://example.com/a.csv", "schedule": "every hour"}
    feed = feeds.create_feed(supplier_id=waiting.supplier_id, user=people["anna"], **values)
    ImportJob.objects.filter(pk=waiting.pk).update(feed=feed, created_by=people["ben"])
    anna = client_of(people["anna"])
    answer = anna.delete(f"/api/v1/feeds/{feed.pk}/")
    assert answer.status_code == 409
    assert "not applied yet" in answer.json()["detail"]
    page = anna.post(f"/feeds/{feed.pk}/delete/", follow=True)
    assert "not applied yet" in page.content.decode()
    jobs.cancel_import(job_id=waiting.pk, user=people["ben"])
    assert anna.delete(f"/api/v1/feeds/{feed.pk}/").status_code == 409
    jobs.retry_import(job_id=waiting.pk, user=people["ben"])
    messages.run_all()
    carl = User.objects.create_user("carl")
    apply_as(waiting, people["anna"], messages, other=carl)
    assert anna.delete(f"/api/v1/feeds/{feed.pk}/").status_code == 204


def test_who_uploads_cannot_take_the_setting_away(
    waiting: ImportJob, make_user: Callable[..., User], static_files: None
) -> None:
    """Not by the setting, and not by deleting the supplier."""
    editor, path = (
        client_of(make_user("eve", "editor")),
        f"/api/v1/suppliers/{waiting.supplier_id}/",
    )
    change = {"second_person": False}
    assert editor.patch(path, change, content_type="application/json").status_code == 403
    assert editor.delete(path).status_code == 403
    assert editor.post(f"/suppliers/{waiting.supplier_id}/delete/").status_code == 403
    assert editor.post(f"/suppliers/{waiting.supplier_id}/settings/").status_code == 403
    assert Supplier.objects.get().second_person
    name = {"name": "Mueller & Sons"}
    assert editor.patch(path, name, content_type="application/json").status_code == 200


def test_an_editor_deletes_another_supplier(
    make_user: Callable[..., User], static_files: None
) -> None:
    made = suppliers.create_supplier(name="Huber", user=None)
    editor = client_of(make_user("eve", "editor"))
    assert editor.delete(f"/api/v1/suppliers/{made.pk}/").status_code == 204
