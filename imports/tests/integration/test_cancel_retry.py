"""Cancelling at every stage, and going on: the end is as if nothing had happened."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, connections
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from catalog.models import Change, ChangeSet, Product
from catalog.operations import undo
from catalog.sql.upsert import upsert
from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import apply, chunks, stage
from imports.pipeline.finish import fail_import, sweep_leftovers
from imports.queries.progress import progress_of
from imports.sql import staging
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,price\n"
ROWS = "".join(f"S-{n:03d},Name {n},{n}.50\n" for n in range(100))
FILE = HEADER + ROWS + "s-007,Other spelling,1.00\n" + "BAD,No price,free\n"


@pytest.fixture(autouse=True)
def small_chunks(settings: Any) -> None:
    settings.IMPORT_CHUNK_ROWS = 10


def result(job: ImportJob) -> dict[str, Any]:
    """What an import leaves, without numbers and times."""
    job.refresh_from_db()
    change_set = job.change_set
    assert change_set is not None
    counts = (
        *("created", "updated", "unchanged", "superseded", "skipped", "rejected"),
        *("total_records", "processed_records"),
    )
    return {
        "status": job.status,
        "error": job.error,
        "counts": {name: getattr(job, name) for name in counts},
        "products": sorted(Product.objects.values_list("sku", "name", "price", "version")),
        "errors": sorted(job.errors.values_list("line", "code")),
        "superseded": sorted(job.superseded_records.values_list("line", "by_line")),
        "change_set": (change_set.status, change_set.created, change_set.updated),
        "changes": sorted(
            Change.objects.filter(change_set=change_set).values_list("old_name", "old_version")
        ),
    }


@pytest.fixture
def undisturbed(
    upload: Callable[..., ImportJob], messages: Messages, make_product: Callable[..., Product]
) -> dict[str, Any]:
    """What the file leaves in a catalogue that has some of its products."""
    job = import_into_some_products(upload, make_product)
    messages.run_all()
    expected = result(job)
    Product.objects.all().delete()
    return expected


def import_into_some_products(
    upload: Callable[..., ImportJob], make_product: Callable[..., Product], **options: Any
) -> ImportJob:
    for number in range(0, 100, 3):
        make_product(f"S-{number:03d}", f"Name {number}")  # without a price
    return upload(FILE, **options)


def stop_after(number: int, job: ImportJob, messages: Messages) -> None:
    """Let the workers do so many steps: reading, then one chunk after the other."""
    if number == 0:
        return
    messages.waiting = [message for message in messages.waiting if message[1] != job.pk]
    jobs.advance_import(job.pk)
    for _ in range(number - 1):
        chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
        assert chunk is not None
        chunks._DO[ImportJob.Stage.APPLYING](chunk)


@pytest.mark.parametrize("steps", [0, 1, 2, 6, 11])
@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_a_job_that_ended_too_early_goes_on_to_the_same_end(
    undisturbed: dict[str, Any],
    upload: Callable[..., ImportJob],
    make_product: Callable[..., Product],
    messages: Messages,
    steps: int,
    how: str,
) -> None:
    job = import_into_some_products(upload, make_product)
    stop_after(steps, job, messages)
    if how == "cancelled":
        jobs.cancel_import(job_id=job.pk, user=None)
    else:
        fail_import(job.pk, "for a test")
    messages.run_all()
    job.refresh_from_db()
    assert job.status == how
    applied = job.created + job.updated
    assert (job.change_set is not None) == (applied > 0)
    if job.change_set:
        assert job.change_set.status == how
        assert (job.change_set.created, job.change_set.updated) == (job.created, job.updated)
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    assert result(job) == undisturbed


def test_a_retry_after_the_staging_is_cleared_away_reads_the_file_again(
    undisturbed: dict[str, Any],
    upload: Callable[..., ImportJob],
    make_product: Callable[..., Product],
    messages: Messages,
) -> None:
    job = import_into_some_products(upload, make_product)
    stop_after(4, job, messages)
    jobs.cancel_import(job_id=job.pk, user=None)
    sweep_leftovers()
    with connection.cursor() as cursor:
        assert not staging.staging_exists(cursor, job.pk)
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    assert result(job) == undisturbed


def test_the_sweep_leaves_the_staging_of_running_jobs_alone(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(FILE)
    stop_after(2, job, messages)
    sweep_leftovers()
    with connection.cursor() as cursor:
        assert staging.holds_rows(cursor, job.pk)


def test_a_chunk_at_work_commits_nothing_after_the_cancel(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload(FILE)
    stop_after(2, job, messages)

    def cancelled_meanwhile(*args: Any, **options: Any) -> Any:
        written = upsert(*args, **options)
        in_another_connection(lambda: jobs.cancel_import(job_id=job.pk, user=None))
        return written

    monkeypatch.setattr(apply, "upsert", cancelled_meanwhile)
    chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
    assert chunk is not None
    apply.apply_chunk(chunk)
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert Product.objects.count() == job.created == job.change_set.created  # type: ignore[union-attr]


def in_another_connection(act: Callable[[], Any]) -> None:
    def run() -> None:
        act()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_reading_stops_at_the_cancel_and_leaves_nothing(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload(FILE)
    real = stage._stage_slice

    def cancelled_before(*args: Any) -> Any:
        in_another_connection(lambda: jobs.cancel_import(job_id=job.pk, user=None))
        return real(*args)

    monkeypatch.setattr(stage, "_stage_slice", cancelled_before)
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert (job.status, job.total_records, job.change_set) == ("cancelled", 0, None)


def test_a_cancelled_job_gives_up_its_turn_and_tells_of_it(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    first, second = upload(FILE), upload(HEADER + "A-1,Lamp,1\n")
    stop_after(3, first, messages)
    jobs.cancel_import(job_id=first.pk, user=None)
    messages.run_all()
    second.refresh_from_db()
    assert second.status == "completed"
    assert Event.objects.filter(type="import.cancelled").count() == 1


def test_a_retried_job_goes_next_and_does_not_interrupt_the_one_that_writes(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    first, second, third = upload(FILE), upload(FILE), upload(FILE)
    stop_after(3, first, messages)
    jobs.cancel_import(job_id=first.pk, user=None)
    stop_after(2, second, messages)
    jobs.retry_import(job_id=first.pk, user=None)
    messages.run_all()
    for job in (first, second, third):
        job.refresh_from_db()
        assert job.status == "completed", job.error
    assert second.finished_at < first.finished_at < third.finished_at  # type: ignore[operator]


@pytest.mark.parametrize(
    ("status", "may_cancel", "may_retry"),
    [
        ("pending", True, False),
        ("processing", True, False),
        ("awaiting_review", True, False),
        ("completed", False, False),
        ("failed", False, True),
        ("cancelled", False, True),
    ],
)
def test_every_state_but_completed_can_be_cancelled_or_retried(
    upload: Callable[..., ImportJob],
    messages: Messages,
    status: str,
    may_cancel: bool,
    may_retry: bool,
) -> None:
    for allowed, act in (
        (may_cancel, jobs.cancel_import),
        (may_retry, jobs.retry_import),
    ):
        job = upload(FILE)
        ImportJob.objects.filter(pk=job.pk).update(status=status)
        if allowed:
            act(job_id=job.pk, user=None)
        else:
            with pytest.raises(jobs.Refused, match="can be"):
                act(job_id=job.pk, user=None)


def test_the_clock_stands_still_between_an_end_and_a_retry(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(FILE)
    stop_after(3, job, messages)
    jobs.cancel_import(job_id=job.pk, user=None)
    hour = timedelta(hours=1)
    job.refresh_from_db()
    assert job.started_at
    assert job.finished_at
    ImportJob.objects.filter(pk=job.pk).update(
        started_at=job.started_at - hour, finished_at=job.finished_at - hour
    )
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert progress_of(job, timezone.now()).elapsed < 60


def test_a_record_that_the_database_refuses_fails_the_job_with_its_line_and_reason(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE catalog_product ADD CONSTRAINT no_poison CHECK (name <> 'Name 42')"
        )
    try:
        job = upload(FILE)
        for _ in range(60):
            if messages.waiting:
                with contextlib.suppress(IntegrityError):  # the task fails, and is tried again
                    messages.obey(*messages.waiting.pop(0))
        job.refresh_from_db()
        assert job.status == "failed"
        assert "Line 44 (SKU “S-042”)" in job.error
        assert "no_poison" in job.error
        assert Product.objects.count() == job.created
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE catalog_product DROP CONSTRAINT no_poison")
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created, job.superseded, job.rejected) == ("completed", 100, 1, 1)


def test_a_file_that_was_imported_before_is_recognised(
    upload: Callable[..., ImportJob], messages: Messages, user: Any
) -> None:
    first = upload(FILE, user=user)
    messages.run_all()
    again = upload(FILE, file_name="renamed.csv", review_if_known=True)
    assert again.same_as == first
    assert again.review
    assert f"as {first.file_name}" in again.warnings[0]
    assert "by mara" in again.warnings[0]
    messages.run_all()
    again.refresh_from_db()
    assert again.status == "awaiting_review"
    assert "by mara" in again.warnings[0]


def test_a_file_whose_import_came_to_nothing_is_new(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    first = upload(FILE)
    jobs.cancel_import(job_id=first.pk, user=None)
    assert upload(FILE, review_if_known=True).same_as is None
    assert not ChangeSet.objects.filter(importjob=first).exists()


# --- Who did it -----------------------------------------------------------------------


@pytest.fixture
def mara(make_user: Callable[..., User]) -> User:
    return make_user("mara", "editor")


@pytest.fixture
def noah(make_user: Callable[..., User]) -> User:
    return make_user("noah", "editor")


def acts(logs: Sequence[Any]) -> list[tuple[str, int | None]]:
    """What the log tells of who did what."""
    return [
        (line["event"], line["by"])
        for line in logs
        if line["event"] in ("import_cancelled", "import_retried")
    ]


def test_who_cancelled_and_who_retried_is_kept_shown_and_logged(
    upload: Callable[..., ImportJob],
    messages: Messages,
    mara: User,
    noah: User,
    client: Client,
    static_files: None,
) -> None:
    job = upload(FILE, user=mara)
    client.force_login(noah)
    with capture_logs() as logs:
        assert client.post(f"/imports/{job.pk}/cancel/").status_code == 302
    job.refresh_from_db()
    assert (job.created_by, job.cancelled_by, job.retried_by) == (mara, noah, None)
    assert "The import was cancelled by noah." in client.get(f"/imports/{job.pk}/").content.decode()
    client.force_login(mara)
    with capture_logs() as more:
        assert client.post(f"/api/v1/imports/{job.pk}/retry/").status_code == 202
    job.refresh_from_db()
    assert (job.cancelled_by, job.retried_by) == (noah, mara)
    assert job.retried_at is not None
    assert "tried again by mara" in client.get(f"/imports/{job.pk}/").content.decode()
    assert acts([*logs, *more]) == [("import_cancelled", noah.pk), ("import_retried", mara.pk)]
    noah.is_staff = noah.is_superuser = True
    noah.save()
    client.force_login(noah)
    shown = client.get(f"/admin/imports/importjob/{job.pk}/change/").content.decode()
    assert "Cancelled by" in shown
    assert "Retried by" in shown


def test_a_retry_of_what_changed_nothing_is_all_its_own(
    upload: Callable[..., ImportJob], messages: Messages, mara: User, noah: User
) -> None:
    job = upload(FILE, user=mara)
    jobs.cancel_import(job_id=job.pk, user=mara)
    jobs.retry_import(job_id=job.pk, user=noah)
    messages.run_all()
    job.refresh_from_db()
    change_set = job.change_set
    assert change_set is not None
    assert (job.created_by, change_set.actor, change_set.is_shared) == (mara, noah, False)
    assert undo.may_undo(change_set, noah)
    assert not undo.may_undo(change_set, mara)


def test_a_retry_of_what_changed_something_is_shared_and_nobodys_own_to_undo(
    upload: Callable[..., ImportJob],
    messages: Messages,
    mara: User,
    noah: User,
    make_user: Callable[..., User],
    client: Client,
    static_files: None,
) -> None:
    job = upload(FILE, user=mara)
    stop_after(4, job, messages)
    jobs.cancel_import(job_id=job.pk, user=mara)
    jobs.retry_import(job_id=job.pk, user=noah)
    messages.run_all()
    job.refresh_from_db()
    change_set = job.change_set
    assert change_set is not None
    assert (job.status, change_set.actor, change_set.is_shared) == ("completed", noah, True)
    assert not undo.may_undo(change_set, noah)
    assert not undo.may_undo(change_set, mara)
    manager = make_user("kim", "manager")
    assert undo.may_undo(change_set, manager)
    client.force_login(manager)
    for path in ("/changes/", f"/changes/{change_set.pk}/", f"/changes/{change_set.pk}/undo/"):
        assert "noah and others" in client.get(path).content.decode()
    client.force_login(noah)
    assert client.post(f"/api/v1/imports/{job.pk}/undo/").status_code == 403


def test_who_retries_his_own_import_keeps_it(
    upload: Callable[..., ImportJob], messages: Messages, mara: User
) -> None:
    job = upload(FILE, user=mara)
    stop_after(4, job, messages)
    jobs.cancel_import(job_id=job.pk, user=mara)
    jobs.retry_import(job_id=job.pk, user=mara)
    messages.run_all()
    job.refresh_from_db()
    assert job.change_set is not None
    assert (job.change_set.actor, job.change_set.is_shared) == (mara, False)
    assert undo.may_undo(job.change_set, mara)


def test_what_was_shared_once_stays_so(
    upload: Callable[..., ImportJob], messages: Messages, mara: User, noah: User
) -> None:
    job = upload(FILE, user=mara)
    stop_after(4, job, messages)
    for user in (noah, mara):
        jobs.cancel_import(job_id=job.pk, user=user)
        jobs.retry_import(job_id=job.pk, user=user)
    job.refresh_from_db()
    assert job.change_set is not None
    assert (job.change_set.actor, job.change_set.is_shared) == (mara, True)


def test_what_a_deleted_user_began_is_shared_too(
    upload: Callable[..., ImportJob], messages: Messages, mara: User, noah: User
) -> None:
    job = upload(FILE, user=mara)
    stop_after(4, job, messages)
    jobs.cancel_import(job_id=job.pk, user=mara)
    mara.delete()
    jobs.retry_import(job_id=job.pk, user=noah)
    job.refresh_from_db()
    assert job.change_set is not None
    assert not undo.may_undo(job.change_set, noah)
