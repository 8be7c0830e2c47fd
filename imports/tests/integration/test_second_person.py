"""A second person: by setting of a supplier, who uploaded a file cannot apply its review."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conftest import Messages
from imports.models import ImportJob, Supplier
from imports.operations import jobs, suppliers
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
