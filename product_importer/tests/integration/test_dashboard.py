"""The admin's first page, and the lists that come from elsewhere."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from catalog.models import ChangeSet
from catalog.operations import change_sets, products
from imports.models import ImportJob, RowError
from product_importer.accounts.tokens import make_token

pytestmark = pytest.mark.django_db

INDEX = "/admin/"


@pytest.fixture
def ops(client: Client, make_user: Callable[..., User], static_files: None) -> Client:
    user = make_user("olga")
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client.force_login(User.objects.get(pk=user.pk))
    return client


def job_of(status: ImportJob.Status, **values: object) -> ImportJob:
    return ImportJob.objects.create(
        file="x.csv", file_name="x.csv", file_size=1, sha256="0", status=status, **values
    )


def text_of(ops: Client) -> str:
    answer = ops.get(INDEX)
    assert answer.status_code == 200
    return answer.content.decode()


def test_without_trouble_all_is_well(ops: Client) -> None:
    text = text_of(ops)
    assert "All is well" in text
    assert "Needs attention" not in text


def test_a_failed_import_of_the_week_is_shown_with_its_reason_and_page(ops: Client) -> None:
    job = job_of(ImportJob.Status.FAILED, error="The file is a <zip>.")
    old = job_of(
        ImportJob.Status.FAILED, error="Long ago.", created_at=timezone.now() - timedelta(days=8)
    )
    text = text_of(ops)
    assert "Needs attention" in text
    assert reverse("job-detail", args=[job.pk]) in text
    assert "The file is a &lt;zip&gt;." in text
    assert reverse("job-detail", args=[old.pk]) not in text
    assert "0 completed, 1 failed, 0 other" in text


def test_jobs_are_counted_by_status(ops: Client) -> None:
    job_of(ImportJob.Status.COMPLETED)
    job_of(ImportJob.Status.COMPLETED)
    job_of(ImportJob.Status.AWAITING_REVIEW)
    states = {state["status"]: state for state in ops.get(INDEX).context["job_states"]}
    assert states["completed"]["count"] == 2
    assert states["awaiting_review"]["count"] == 1
    assert states["failed"]["count"] == 0
    assert len(ops.get(states["completed"]["link"]).context["cl"].result_list) == 2


def test_discarded_reviews_are_counted_and_found_apart_from_what_was_cancelled(ops: Client) -> None:
    cancelled = job_of(ImportJob.Status.CANCELLED)
    discarded = job_of(ImportJob.Status.CANCELLED, compared_at=timezone.now())
    states = {state["label"]: state for state in ops.get(INDEX).context["job_states"]}
    for label, job in (("Cancelled", cancelled), ("Discarded", discarded)):
        assert states[label]["count"] == 1
        assert list(ops.get(states[label]["link"]).context["cl"].result_list) == [job]
        shown = ops.get(reverse("admin:imports_importjob_change", args=[job.pk])).content.decode()
        assert f">{label}<" in re.sub(r"\s+", "", shown)


def test_a_job_that_no_worker_takes_wants_attention(ops: Client) -> None:
    job_of(ImportJob.Status.PENDING)
    assert "All is well" in text_of(ops)
    waiting = job_of(ImportJob.Status.PENDING, progress_at=timezone.now() - timedelta(minutes=5))
    text = text_of(ops)
    assert "Check that a worker runs" in text
    assert reverse("job-detail", args=[waiting.pk]) in text


def test_a_job_behind_one_that_writes_is_no_trouble(ops: Client) -> None:
    change_sets.open_change_set(kind=ChangeSet.Kind.BULK_EDIT, actor=None, status="applying")
    job_of(ImportJob.Status.PROCESSING, progress_at=timezone.now() - timedelta(minutes=5))
    assert "All is well" in text_of(ops)


def test_failed_acts_and_tasks_want_attention(ops: Client) -> None:
    act = change_sets.open_change_set(
        kind=ChangeSet.Kind.BULK_DELETE, actor=None, status="failed", error="Tried 5 times."
    )
    task = TaskResult.objects.create(task_id="t", task_name="imports.run", status="FAILURE")
    text = text_of(ops)
    assert reverse("change-detail", args=[act.pk]) in text
    assert "Tried 5 times." in text
    assert reverse("admin:django_celery_results_taskresult_change", args=[task.pk]) in text


def test_the_catalogue_is_counted_once_while_nothing_changes(
    ops: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = timezone.localtime().replace(hour=12)
    monkeypatch.setattr(timezone, "now", lambda: noon)  # no day ends in between
    for number in range(4):
        products.create_product(
            actor=None,
            data={
                **{"sku": f"A-{number}", "name": "Lamp", "active": number > 0},
                "price": number or None,
            },
        )
    glance = ops.get(INDEX).context["glance"]
    assert (glance.products, glance.active, glance.unpriced, glance.changed_today) == (4, 3, 1, 4)
    with CaptureQueriesContext(connection) as asked:
        ops.get(INDEX)
    counted = [query["sql"] for query in asked if 'FROM "catalog_product"' in query["sql"]]
    assert counted == []


def test_who_has_no_permission_sees_no_figures(
    client: Client, make_user: Callable[..., User], static_files: None
) -> None:
    job_of(ImportJob.Status.FAILED, error="A secret.")
    user = make_user("nobody", role="")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    text = client.get(INDEX).content.decode()
    assert "A secret." not in text
    assert "All is well" not in text
    assert "Ask who runs it for a role" in text


def test_the_page_has_no_script_or_style_of_its_own_inside_it(ops: Client) -> None:
    job_of(ImportJob.Status.FAILED)
    part = text_of(ops).split("pi-dashboard")[1].split("</main>")[0]
    body = part.split("<h2>Everything</h2>")[0]
    assert "<svg" in body
    for inline in ("<script", "<style", "style=", "onclick="):
        assert inline not in body


@pytest.mark.parametrize(
    "model",
    [
        "imports/importjob",
        "imports/rowerror",
        "django_celery_results/taskresult",
        "auth/user",
        "auth/group",
        "product_importer/apitoken",
        "catalog/changeset",
        "catalog/change",
        "catalog/removedproduct",
    ],
)
def test_every_list_asks_a_constant_number_of_questions(
    ops: Client, make_user: Callable[..., User], model: str
) -> None:
    def grow() -> None:
        for _ in range(3):
            person = make_user(f"person-{User.objects.count()}")
            make_token(user=person)
            change_set = change_sets.open_change_set(
                kind=ChangeSet.Kind.IMPORT, actor=person, status="completed", created=1
            )
            job = job_of(ImportJob.Status.COMPLETED, created_by=person, change_set=change_set)
            RowError.objects.create(job=job, line=1, code="c", message="m", record=[])
            TaskResult.objects.create(task_id=str(job.pk), task_name="imports.run")
            product = products.create_product(
                actor=person, data={"sku": f"P-{job.pk}", "name": "Lamp"}
            )
            products.update_product(product_id=product.pk, actor=person, data={"name": "X"})
            products.delete_product(product_id=product.pk, actor=person)

    grow()
    address = f"/admin/{model}/"
    assert ops.get(address).status_code == 200
    with CaptureQueriesContext(connection) as few:
        ops.get(address)
    grow()
    with CaptureQueriesContext(connection) as many:
        ops.get(address)
    assert len(many) == len(few), [query["sql"] for query in many]


def test_users_are_listed_with_their_roles(ops: Client, make_user: Callable[..., User]) -> None:
    make_user("edda", role="editor")
    text = ops.get("/admin/auth/user/").content.decode()
    assert "editor" in text.split("</thead>")[1]


def test_jobs_and_refused_records_lead_to_the_page_of_the_job(ops: Client) -> None:
    change_set = change_sets.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=None)
    job = job_of(ImportJob.Status.COMPLETED, change_set=change_set)
    RowError.objects.create(job=job, line=1, code="c", message="m", record=[])
    jobs = ops.get("/admin/imports/importjob/").content.decode()
    assert reverse("job-detail", args=[job.pk]) in jobs
    assert reverse("change-detail", args=[change_set.pk]) in jobs
    errors = ops.get("/admin/imports/rowerror/").content.decode()
    assert reverse("job-detail", args=[job.pk]) in errors
