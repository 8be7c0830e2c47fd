"""What is cleared away after a while, and what never is. The clock is moved, not waited for."""

import io
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessFailureLog, AccessLog
from celery import current_app
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult
from knox.models import get_token_model
from rest_framework.test import APIClient

from catalog.models import Change, ChangeSet, Product, RemovedProduct, UndoConflict
from catalog.operations import products as catalog
from catalog.operations import retention as catalog_clearing
from catalog.operations import undo
from catalog.queries.products import product_history
from catalog.sql import retention
from conftest import PASSWORD, Messages
from imports.models import ImportChunk, ImportJob, RowError, SupersededRecord
from imports.operations import jobs
from imports.operations import retention as clearing
from imports.pipeline import chunks
from imports.pipeline.finish import sweep_leftovers
from product_importer.environment import Environment
from product_importer.ops.retention import retained_kinds
from webhooks.models import Event
from webhooks.operations import retention as webhooks_clearing

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,description,price,active\n"
REFUSED = HEADER + "A-1,Lamp,,1.00,\na-1,Lamp,,2.00,\nA-2,bad,,x,\n"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock so many days from now; of the real one, however often it is called."""
    real = timezone.now

    def move(days: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(days=days))

    return move


@pytest.fixture
def imported(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """Import these records, and return the job as it ended."""

    def run(content: str = REFUSED, **values: Any) -> ImportJob:
        job = upload(content, **{"checks": "warn", **values})  # however unusual they are
        messages.run_all()
        job.refresh_from_db()
        return job

    return run


@pytest.fixture
def page(client: Client, user: User, static_files: None, settings: Any) -> Client:
    """The pages, as a user sees them whose session lasts as long as the clock is moved."""
    settings.SESSION_COOKIE_AGE = timedelta(days=10_000).total_seconds()
    client.force_login(user)
    return client


@pytest.fixture
def program(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def printed(*options: str) -> dict[str, str]:
    """What ``keep_house`` prints: the number of each kind of thing."""
    output = io.StringIO()
    call_command("keep_house", *options, stdout=output)
    rows = [line.strip().split("  ", 1) for line in output.getvalue().splitlines()]
    return {row[1].split(" (")[0]: row[0] for row in rows if len(row) == 2}


# --- Settings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "days"), [({}, 90), ({"X": "7"}, 7), ({"X": "0"}, None), ({"X": ""}, None)]
)
def test_days_of_0_or_nothing_mean_for_ever(values: dict[str, str], days: int | None) -> None:
    expected = None if days is None else timedelta(days=days)
    assert Environment(values).days("X", 90) == expected


@pytest.mark.parametrize("value", ["-1", "a week", "1.5"])
def test_days_that_are_no_number_stop_the_start(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"X is .* whole number of days"):
        Environment({"X": value}).days("X", 90)


def test_nothing_is_cleared_where_everything_is_kept_for_ever(
    imported: Callable[..., ImportJob], later: Callable[[float], None], settings: Any
) -> None:
    job = imported()
    for name in (
        "UPLOADS",
        "IMPORT_DETAILS",
        "CHANGES",
        "EVENTS",
        "TASK_RESULTS",
        "LOGINS",
        "REVIEWS",
    ):
        setattr(settings, f"KEEP_{name}", None)
    later(10_000)
    found = printed()
    assert list(found.values()) == ["kept for ever"] * 6 + ["0", "0", "0"]
    job.refresh_from_db()
    assert job.has_file
    assert (RowError.objects.count(), SupersededRecord.objects.count()) == (1, 1)
    assert Event.objects.count() == 1


# --- Files ----------------------------------------------------------------------------


def test_a_file_is_deleted_so_many_days_after_the_end_of_its_import(
    imported: Callable[..., ImportJob], later: Callable[[float], None], page: Client
) -> None:
    job = imported()
    name, storage = str(job.file.name), storages["uploads"]
    later(89.9)
    assert clearing.clear_uploads() == 0
    assert storage.exists(name)
    later(90.1)
    assert clearing.clear_uploads() == 1
    assert not storage.exists(name)
    assert "no longer kept" in page.get(f"/imports/{job.pk}/").content.decode()
    assert page.get(f"/imports/{job.pk}/rejects.csv").status_code == 200  # from the rows
    assert clearing.clear_uploads() == 0


def test_an_import_whose_file_is_gone_is_not_retried_and_says_why(
    upload: Callable[..., ImportJob],
    later: Callable[[float], None],
    page: Client,
    program: APIClient,
    messages: Messages,
) -> None:
    job = upload(REFUSED)
    jobs.cancel_import(job_id=job.pk, user=None)
    address = f"/imports/{job.pk}/"
    assert "Try again" in page.get(address).content.decode()
    later(91)
    clearing.clear_uploads()
    text = page.get(address).content.decode()
    assert "Try again" not in text
    assert "cannot be tried again" in text
    answer = program.post(f"/api/v1{address}retry/")
    assert answer.status_code == 409
    assert "no longer kept" in answer.json()["detail"]


def test_an_import_that_has_not_ended_loses_nothing(
    upload: Callable[..., ImportJob], messages: Messages, later: Callable[[float], None]
) -> None:
    waiting = upload(REFUSED)
    reviewed = upload("sku,name\nB-1,Chair\nB-2,\n", review=True)
    messages.run_all(until=lambda: ImportJob.objects.get(pk=reviewed.pk).status[0] == "a")
    running = upload("sku,name\nC-1,Table\n")  # and its message is lost
    messages.waiting.clear()
    later(5000)
    printed()
    sweep_leftovers()
    jobs.apply_import(job_id=reviewed.pk, user=None)
    messages.waiting.append(("imports.advance", running.pk))
    messages.run_all()
    for job in (waiting, reviewed, running):
        job.refresh_from_db()
        assert job.status == "completed", job.error
    assert reviewed.errors.count() == reviewed.rejected == 1


def test_a_file_that_the_storage_keeps_is_told_and_tried_again(
    imported: Callable[..., ImportJob],
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stubborn, other = imported(), imported("sku,name\nB-1,Chair\n")
    storage = type(storages["uploads"])
    delete = storage.delete

    def refuse(self: Any, name: str) -> None:
        if name == stubborn.file.name:
            raise PermissionError(13, "the folder is read-only")
        delete(self, name)

    later(91)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", refuse)
        with pytest.raises(CommandError, match=r"1 old files .* read-only"):
            printed()
    other.refresh_from_db()
    stubborn.refresh_from_db()
    assert (stubborn.has_file, other.has_file) == (True, False)
    assert clearing.clear_uploads() == 1


# --- Records --------------------------------------------------------------------------


def test_refused_and_superseded_records_go_and_their_counts_stay(
    imported: Callable[..., ImportJob],
    later: Callable[[float], None],
    page: Client,
    program: APIClient,
) -> None:
    job = imported()
    address = f"/imports/{job.pk}/"
    assert clearing.clear_details() == 0
    later(366)
    assert clearing.clear_details() == 2
    assert not RowError.objects.exists()
    assert not SupersededRecord.objects.exists()
    assert not ImportChunk.objects.exists()
    text = page.get(address).content.decode()
    assert "are no longer kept" in text
    job.refresh_from_db()
    assert (job.rejected, job.superseded, job.total_records) == (1, 1, 3)
    for answer in (page.get(f"{address}rejected/"), page.get(f"{address}superseded/")):
        assert answer.status_code == 410
        assert "are no longer kept" in answer.content.decode()
    assert page.get(f"{address}rejects.csv").status_code == 410
    for path in ("errors/", "rejects.csv"):
        refusal = program.get(f"/api/v1{address}{path}")
        assert refusal.status_code == 410
        assert "are no longer kept" in refusal.json()["detail"]


def test_an_import_that_can_be_retried_keeps_its_records(
    upload: Callable[..., ImportJob],
    messages: Messages,
    later: Callable[[float], None],
    settings: Any,
) -> None:
    settings.KEEP_UPLOADS = None
    job = upload(REFUSED)
    messages.run_all(until=lambda: ImportJob.objects.get(pk=job.pk).rejected)
    jobs.cancel_import(job_id=job.pk, user=None)
    later(1000)
    printed()
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.rejected, job.errors.count()) == ("completed", 1, 1)


def test_a_run_is_bounded_and_nobody_sees_a_part(
    imported: Callable[..., ImportJob],
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    program: APIClient,
) -> None:
    job = imported(HEADER + "".join(f"A-{n},bad,,x,\n" for n in range(5)))
    later(366)
    monkeypatch.setattr(clearing, "RECORDS_AT_ONCE", 2)
    assert clearing.clear_details(seconds=0) == 2
    assert job.errors.count() == 3
    assert program.get(f"/api/v1/imports/{job.pk}/errors/").status_code == 410
    assert clearing.clear_details() == 3


def test_staging_of_a_job_that_is_gone_is_dropped(db: None) -> None:
    tables = "SELECT to_regclass('imports_staging_987654'), to_regclass('imports_review_987654')"
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNLOGGED TABLE imports_staging_987654 (line bigint)")
        cursor.execute("CREATE TABLE imports_review_987654 (line bigint)")
        sweep_leftovers()
        cursor.execute(tables)
        assert cursor.fetchone() == (None, None)


# --- Changes --------------------------------------------------------------------------


def test_after_its_time_a_change_set_keeps_its_counts_and_says_why_it_cannot_be_undone(
    imported: Callable[..., ImportJob],
    later: Callable[[float], None],
    page: Client,
    program: APIClient,
) -> None:
    imported("sku,name\nA-1,Lamp\nA-2,Chair\n")
    job = imported("sku,name\nA-1,Desk lamp\nA-2,Armchair\n")
    assert job.change_set
    product = Product.objects.get(sku="A-1")
    removal = catalog.delete_product(product_id=Product.objects.get(sku="A-2").pk, actor=None)
    later(364)
    catalog.update_product(product_id=product.pk, actor=None, data={"price": "9"})
    assert catalog_clearing.clear_changes() == 0
    assert program.get(f"/api/v1/change-sets/{job.change_set.pk}/").json()["undoable"]
    later(366)
    assert catalog_clearing.clear_changes() == 3
    assert Change.objects.get().change_set.kind == "edit"
    assert not RemovedProduct.objects.filter(change_set=removal).exists()
    for change_set in (job.change_set, removal):
        told = program.get(f"/api/v1/change-sets/{change_set.pk}/").json()
        assert not told["undoable"]
        assert told["expired_at"]
        assert told["updated"] + told["deleted"] == change_set.changed > 0
        answer = program.post(f"/api/v1/change-sets/{change_set.pk}/undo/")
        assert answer.status_code == 409
        assert "too old to be undone" in answer.json()["detail"]
        assert "too old to be undone" in page.get(f"/changes/{change_set.pk}/").content.decode()
    history = program.get(f"/api/v1/products/{product.pk}/history/").json()
    assert [entry["action"] for entry in history["results"]] == ["updated", "created"]
    assert history["complete"] is False
    product.refresh_from_db()
    assert "no longer kept" in page.get(f"/products/{product.pk}/").content.decode()


def test_what_a_younger_undo_needs_stays_as_long_as_that(
    imported: Callable[..., ImportJob], messages: Messages, later: Callable[[float], None]
) -> None:
    imported("sku,name\nA-1,Lamp\n")
    job = imported("sku,name\nA-1,Desk lamp\nB-1,New\n")
    assert job.change_set
    later(300)
    undone = undo.start_undo(change_set_id=job.change_set.pk, actor=None)
    messages.run_all()
    later(400)
    catalog_clearing.clear_changes()
    undone.refresh_from_db()
    redone = undo.start_undo(change_set_id=undone.pk, actor=None)
    messages.run_all()
    redone.refresh_from_db()
    assert (redone.status, redone.conflicts) == ("completed", 0)
    assert list(Product.objects.order_by("sku").values_list("sku", "name")) == [
        ("A-1", "Desk lamp"),
        ("B-1", "New"),
    ]
    later(800)
    catalog_clearing.clear_changes()
    assert not Change.objects.exists()
    assert not RemovedProduct.objects.filter(change_set=undone).exists()
    assert not ChangeSet.objects.filter(cleared_at=None).exists()


def test_an_undo_that_waits_for_its_turn_finds_everything(
    imported: Callable[..., ImportJob], messages: Messages, later: Callable[[float], None]
) -> None:
    imported("sku,name\nA-1,Lamp\n")
    job = imported("sku,name\nA-1,Desk lamp\n")
    assert job.change_set
    undo.start_undo(change_set_id=job.change_set.pk, actor=None)
    later(1000)
    assert catalog_clearing.clear_changes() == 0
    messages.run_all()
    assert Product.objects.get().name == "Lamp"


def test_an_import_that_is_too_old_to_be_undone_does_not_go_on(
    imported: Callable[..., ImportJob],
    upload: Callable[..., ImportJob],
    messages: Messages,
    later: Callable[[float], None],
    settings: Any,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 1
    settings.KEEP_UPLOADS = None
    content = "sku,name\n" + "".join(f"A-{n},new\n" for n in range(5))
    imported(content.replace("new", "old"))
    job = upload(content, checks="warn")
    messages.run_all(until=lambda: ImportJob.objects.get(pk=job.pk).stage == "applying")
    while not ImportJob.objects.get(pk=job.pk).updated:  # the first chunk may be an empty one
        chunks.run_chunks(job.pk, seconds=0)
    jobs.cancel_import(job_id=job.pk, user=None)
    later(366)
    catalog_clearing.clear_changes()
    with pytest.raises(jobs.Refused, match="too old"):
        jobs.retry_import(job_id=job.pk, user=None)


def test_changes_go_in_small_transactions_and_from_the_first_on_there_is_no_undo(
    imported: Callable[..., ImportJob],
    messages: Messages,
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = "".join(f"A-{n},old\n" for n in range(9))
    imported(f"sku,name\n{rows}")
    job = imported(f"sku,name\n{rows.replace('old', 'new')}")
    assert job.change_set
    later(366)
    monkeypatch.setattr(retention, "SLICE_ROWS", 4)
    assert catalog_clearing.clear_changes(seconds=0) == 0  # of the first one, which has none
    runs = [catalog_clearing.clear_changes(seconds=0)]
    assert 1 <= runs[0] <= 4
    with pytest.raises(undo.NotUndoable, match="too old"):
        undo.start_undo(change_set_id=job.change_set.pk, actor=None)
    runs += [catalog_clearing.clear_changes(seconds=0) for _ in range(5)]
    assert sum(runs) == 9
    assert max(runs) <= 4
    assert runs[-1] == 0
    job.change_set.refresh_from_db()
    assert (job.change_set.updated, job.change_set.cleared_at is None) == (9, False)


def test_what_an_undo_left_alone_is_cleared_with_it(
    imported: Callable[..., ImportJob], messages: Messages, later: Callable[[float], None]
) -> None:
    imported("sku,name\nA-1,Lamp\n")
    job = imported("sku,name\nA-1,Desk lamp\n")
    assert job.change_set
    catalog.update_product(product_id=Product.objects.get().pk, actor=None, data={"name": "Edited"})
    undo.start_undo(change_set_id=job.change_set.pk, actor=None)
    messages.run_all()
    assert UndoConflict.objects.count() == 1
    later(366)
    while catalog_clearing.clear_changes():
        pass
    assert not UndoConflict.objects.exists()


# --- History --------------------------------------------------------------------------


def test_a_deletion_that_was_taken_back_is_in_the_products_history(
    imported: Callable[..., ImportJob], messages: Messages, make_user: Callable[..., User]
) -> None:
    eve, adam = make_user("eve"), make_user("adam")
    imported("sku,name\nA-1,Lamp\n")
    product = Product.objects.get()
    catalog.update_product(product_id=product.pk, actor=eve, data={"name": "Desk lamp"})
    removal = catalog.delete_product(product_id=product.pk, actor=eve)
    undo.start_undo(change_set_id=removal.pk, actor=adam)
    messages.run_all()
    catalog.update_product(product_id=product.pk, actor=eve, data={"name": "Floor lamp"})
    history = product_history(Product.objects.get())
    told = [
        (entry.action, str(entry.actor), [(c.before, c.after) for c in entry.changes])
        for entry in history.entries
    ]
    assert told == [
        ("updated", "eve", [("Desk lamp", "Floor lamp")]),
        ("brought back", "adam", []),
        ("deleted", "eve", []),
        ("updated", "eve", [("Lamp", "Desk lamp")]),
        ("created", "None", []),
    ]
    assert history.complete
    times = [entry.at for entry in history.entries]
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


# --- Events, results, sessions, tokens ------------------------------------------------


def test_events_are_kept_as_long_as_the_setting_says(
    imported: Callable[..., ImportJob], later: Callable[[float], None], settings: Any
) -> None:
    settings.KEEP_EVENTS = timedelta(days=30)
    imported()
    later(29)
    assert (webhooks_clearing.old_events(), webhooks_clearing.clear_log()) == (0, 0)
    later(31)
    assert (webhooks_clearing.old_events(), webhooks_clearing.clear_log()) == (1, 1)


def test_results_sessions_and_tokens_that_ran_out_are_cleared(
    user: User, later: Callable[[float], None], client: Client
) -> None:
    client.force_login(user)
    _, kept = get_token_model().objects.create(user)
    get_token_model().objects.create(user, expiry=timedelta(days=1))
    TaskResult.objects.create(task_id="a", status="SUCCESS")
    later(6)
    found = printed()
    assert (found["results of tasks"], found["sessions that have run out"]) == ("0", "0")
    later(32)
    found = printed()
    assert found["results of tasks"] == "1"
    assert found["sessions that have run out"] == "1"
    assert found["API tokens that ran out 30 days ago"] == "1"
    assert not TaskResult.objects.exists()
    assert not Session.objects.exists()
    assert [token.token_key for token in get_token_model().objects.all()] == [
        kept[: len(get_token_model().objects.get().token_key)]
    ]


def test_what_is_told_of_log_ins_is_kept_as_long_as_the_setting_says(
    user: User, later: Callable[[float], None], client: Client, settings: Any
) -> None:
    settings.KEEP_LOGINS = timedelta(days=30)
    for password in ("wrong", PASSWORD):
        client.post("/login/", {"username": user.username, "password": password})
    logs = (AccessLog.objects, AccessFailureLog.objects)
    assert [log.count() for log in logs] == [1, 1]
    later(29)
    assert printed()["log-ins and failed log-ins"] == "0"
    later(31)
    assert printed()["log-ins and failed log-ins"] == "2"
    assert [log.count() for log in logs] == [0, 0]


# --- Command and beat -----------------------------------------------------------------


def test_a_dry_run_counts_what_is_then_cleared_and_clears_nothing(
    imported: Callable[..., ImportJob], later: Callable[[float], None]
) -> None:
    imported()
    imported(REFUSED.replace("Lamp", "Desk lamp"))
    later(1000)
    foretold = printed("--dry-run")
    assert (ImportJob.objects.exclude(file="").count(), Change.objects.count()) == (2, 1)
    assert printed() == foretold
    assert list(foretold.values())[:4] == ["2", "4", "1", "2"]
    assert set(printed().values()) == {"0"}


def test_beat_has_everything_cleared(
    imported: Callable[..., ImportJob], later: Callable[[float], None], settings: Any
) -> None:
    imported()
    TaskResult.objects.create(task_id="a", status="SUCCESS")
    later(1000)
    current_app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        if entry["task"].endswith(".clear"):
            assert entry["schedule"] <= 600  # in intervals: beat may start anew every day
            current_app.tasks[entry["task"]].run()
    assert [kind.count() for kind in retained_kinds()] == [0] * len(retained_kinds())
    assert not TaskResult.objects.exists()
    assert not Event.objects.exists()


# --- At volume ------------------------------------------------------------------------

FILL = """
INSERT INTO catalog_changeset (id, kind, status, created, updated, deleted, request, conflicts,
    error, attempts, created_at, progress_at, finished_at)
SELECT n, CASE WHEN n = 1 THEN 'import' WHEN n = 2 THEN 'bulk_delete' ELSE 'edit' END,
    'completed', 0, CASE WHEN n = 1 THEN 500000 WHEN n = 2 THEN 0 ELSE 1 END,
    CASE WHEN n = 2 THEN 500000 ELSE 0 END, '{}', 0, '', 0, now(), now(),
    now() - CASE WHEN n <= 2002 THEN interval '400 days' ELSE interval '1 day' END
FROM generate_series(1, 4002) AS n;
INSERT INTO catalog_change
    (change_set_id, product_id, fields, old_name, old_version, old_updated_at)
SELECT 1, n, 2, repeat('name ', 8), 1, now() FROM generate_series(1, 500000) AS n;
INSERT INTO catalog_removedproduct (change_set_id, id, sku, name, description, active, version,
    created_at, updated_at)
SELECT 2, n, 'SKU-' || n, 'Lamp', repeat('text ', 20), true, 1, now(), now()
FROM generate_series(1, 500000) AS n;
INSERT INTO catalog_change
    (change_set_id, product_id, fields, old_name, old_version, old_updated_at)
SELECT n, n, 2, 'Lamp', 1, now() FROM generate_series(3, 4002) AS n;
ANALYZE catalog_changeset;
SELECT setval(pg_get_serial_sequence('catalog_changeset', 'id'), 4002)
"""


@pytest.mark.heavy
def test_a_million_rows_go_in_transactions_that_hold_nobody_up(
    messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
    seconds: list[float] = []
    enter, leave = transaction.Atomic.__enter__, transaction.Atomic.__exit__
    begun: list[float] = []

    def begin(self: Any) -> None:
        begun.append(time.perf_counter())
        enter(self)

    def end(self: Any, *args: Any) -> None:
        leave(self, *args)
        seconds.append(time.perf_counter() - begun.pop())

    monkeypatch.setattr(transaction.Atomic, "__enter__", begin)
    monkeypatch.setattr(transaction.Atomic, "__exit__", end)
    started = time.perf_counter()
    runs = []
    while cleared := catalog_clearing.clear_changes(seconds=1.0):
        runs.append((cleared, time.perf_counter() - started))
        started = time.perf_counter()
    assert sum(cleared for cleared, _ in runs) == 1_002_000
    assert Change.objects.count() == 2000
    print(
        f"{len(runs)} runs, the longest {max(s for _, s in runs):.2f} s; {len(seconds)} "
        f"transactions, the longest {max(seconds):.2f} s"
    )
    # A run may pass its time by one transaction, and finding the rows of a change set is one.
    assert max(seconds) < 1.5
    assert max(taken for _, taken in runs) < 4
