"""The pipeline's operations, run by hand in every order in which workers might."""

import io
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files import File
from django.db import connection, connections, transaction
from django.utils import timezone

from catalog.models import ChangeSet, Product
from catalog.operations import bulk
from catalog.sql.upsert import ConcurrentEdit, upsert
from conftest import wait_for
from imports import task_names
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import apply, chunks, stage
from imports.pipeline.finish import ATTEMPTS, Overtaken
from imports.sql import staging
from product_importer.common import enqueue
from product_importer.common.locks import AdvisoryLock
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,description,price,active\n"
THREE = HEADER + "A-1,One,,1.00,true\nA-2,Two,,2.00,true\nA-3,bad,,NaN,true\n"


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Messages are kept here instead of being sent: these tests are the worker."""
    messages: list[tuple[str, int]] = []
    monkeypatch.setattr(enqueue, "_send_now", lambda task, args, *_: messages.append((task, *args)))
    return messages


def start(content: str = THREE, **values: Any) -> ImportJob:
    return jobs.start_import(
        file=File(io.BytesIO(content.encode()), name="x.csv"),
        file_name="x.csv",
        user=None,
        **values,
    )


def run_all(sent: list[tuple[str, int]]) -> None:
    """Do what the messages ask for until there are none."""
    for _ in range(200):
        if not sent:
            return
        obey(*sent.pop(0))
    raise AssertionError("the messages do not end")


def obey(task: str, row_id: int) -> None:
    """Do what a message asks for, as the tasks do."""
    operation = {
        task_names.ADVANCE: jobs.advance_import,
        task_names.TAKE_TURN: jobs.take_turn,
        task_names.RUN_CHUNKS: jobs.run_chunks,
        bulk.RUN: bulk.run_bulk_act,
    }[task]
    operation(row_id)


def snapshot(job: ImportJob) -> dict[str, Any]:
    job.refresh_from_db()
    return {
        "job": (job.status, job.total_records, job.accounted_records, job.created, job.rejected),
        "products": list(Product.objects.order_by("sku").values_list("sku", "name", "version")),
        "errors": list(job.errors.order_by("line").values_list("line", "code")),
        "change_set": ChangeSet.objects.values_list("status", "created", "updated").get(
            importjob=job
        ),
        "events": list(Event.objects.values_list("type", flat=True)),
    }


EXPECTED = {
    "job": ("completed", 3, 3, 2, 1),
    "products": [("A-1", "One", 1), ("A-2", "Two", 1)],
    "errors": [(4, "invalid_price")],
    "change_set": ("completed", 2, 0),
    "events": ["import.completed"],
}


def test_a_job_goes_from_upload_to_catalogue(sent: list[tuple[str, int]]) -> None:
    job = start()
    assert job.status == "pending"
    assert sent == [(task_names.ADVANCE, job.pk)]
    run_all(sent)
    assert snapshot(job) == EXPECTED


def test_every_message_twice_changes_nothing(sent: list[tuple[str, int]]) -> None:
    job = start()
    for _ in range(20):
        messages, sent[:] = list(dict.fromkeys(sent)), []
        for task, job_id in messages * 2:
            obey(task, job_id)
        if not sent:
            break
    assert snapshot(job) == EXPECTED


def test_a_job_whose_messages_are_all_lost_is_found_by_the_sweep(
    sent: list[tuple[str, int]],
) -> None:
    job = start()
    for _ in range(20):
        sent.clear()
        ImportJob.objects.update(progress_at=timezone.now() - timedelta(minutes=1))
        jobs.sweep_imports()
        assert len(sent) <= 1
        for task, job_id in list(sent):
            obey(task, job_id)
        # What advance_import asked for reaches a worker once, then messages are lost again.
        for task, job_id in list(sent)[1:]:
            obey(task, job_id)
        job.refresh_from_db()
        if job.is_final:
            break
    assert snapshot(job) == EXPECTED
    assert jobs.sweep_imports() == []


def test_the_sweep_leaves_a_job_alone_that_gets_on(sent: list[tuple[str, int]]) -> None:
    start()
    sent.clear()
    assert jobs.sweep_imports() == []


def test_jobs_write_one_at_a_time_in_the_order_of_their_start(
    sent: list[tuple[str, int]],
) -> None:
    first = start(HEADER + "A-1,From the first,,1,true\n")
    second = start(HEADER + "A-1,From the second,,1,true\n")
    sent.clear()
    jobs.advance_import(second.pk)  # read and resolved, but not its turn
    second.refresh_from_db()
    assert (second.stage, second.chunks.filter(done_at=None).count()) == ("resolving", 1)
    assert sent == []
    jobs.advance_import(first.pk)
    run_all(sent)  # the end of the first wakes the second
    assert [snapshot(job)["job"][0] for job in (first, second)] == ["completed", "completed"]
    assert Product.objects.get().name == "From the second"
    assert Product.objects.get().version == 2


def test_a_failed_job_gives_up_its_turn_and_leaves_no_change_set(
    sent: list[tuple[str, int]],
) -> None:
    broken = start("no header here")
    after = start(HEADER + "A-1,One,,1,true\n")
    run_all(sent)
    broken.refresh_from_db()
    after.refresh_from_db()
    assert (broken.status, broken.change_set) == ("failed", None)
    assert after.status == "completed"
    assert ChangeSet.objects.count() == 1
    assert set(Event.objects.values_list("type", flat=True)) == {
        "import.failed",
        "import.completed",
    }


def test_staging_that_a_crash_emptied_is_read_again(sent: list[tuple[str, int]]) -> None:
    job = start()
    jobs.advance_import(job.pk)
    with connection.cursor() as cursor:
        # What PostgreSQL does with unlogged tables when it recovers from a crash.
        cursor.execute(f"TRUNCATE {staging.staging_table(job.pk)}")
    run_all(sent)
    assert snapshot(job) == EXPECTED


def test_staging_that_is_gone_half_way_is_read_again_and_counts_stay_right(
    sent: list[tuple[str, int]], settings: Any
) -> None:
    settings.IMPORT_CHUNK_ROWS = 10
    rows = "".join(f"S-{n:03d},Name,,1,true\n" for n in range(40))
    job = start(HEADER + rows + "BAD,x,,NaN,true\n")
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert job.chunks.count() == 4
    chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
    assert chunk is not None
    apply.apply_chunk(chunk)
    with connection.cursor() as cursor:
        staging.drop_staging(cursor, job.pk)
    run_all(sent)
    job.refresh_from_db()
    assert (job.status, job.error) == ("completed", "")
    assert (job.created, job.rejected, job.total_records) == (40, 1, 41)
    assert Product.objects.count() == 40


def test_who_finds_staging_lost_after_it_was_read_again_does_nothing(
    sent: list[tuple[str, int]],
) -> None:
    job = start()
    jobs.advance_import(job.pk)
    with connection.cursor() as cursor:
        staging.drop_staging(cursor, job.pk)
    late = ImportJob.objects.get(pk=job.pk)  # as a chunk's worker sees it
    sent.clear()
    stage.stage_again(ImportJob.objects.get(pk=job.pk))
    stage.stage_again(late)
    assert sent == [(task_names.ADVANCE, job.pk)]
    jobs.advance_import(job.pk)
    stage.stage_again(late)
    job.refresh_from_db()
    assert job.stage == ImportJob.Stage.APPLYING
    assert job.layout["fields"]
    run_all(sent)
    assert snapshot(job) == EXPECTED


def test_who_comes_late_to_read_a_file_leaves_what_the_first_one_read(
    sent: list[tuple[str, int]],
) -> None:
    job = start()
    assert stage._begin_run(job)
    late = ImportJob.objects.get(pk=job.pk)
    assert stage.stage_records(job)
    with pytest.raises(Overtaken):
        stage.stage_records(late)
    jobs.advance_import(job.pk)
    run_all(sent)
    assert snapshot(job) == EXPECTED


def test_a_worker_waits_for_the_jobs_lock_and_does_not_lose_what_it_came_for(
    sent: list[tuple[str, int]],
) -> None:
    """Who has the lock may be about to find that it came too late, and do nothing."""
    job = start()
    assert stage._begin_run(job)
    assert stage.stage_records(job)
    sent.clear()

    def advance() -> None:
        try:
            jobs.advance_import(job.pk)
        finally:
            connections.close_all()

    def waits(cursor: Any) -> bool:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND classid = %s AND objid = %s AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database()))",
            [AdvisoryLock.JOB, job.pk],
        )
        return bool(cursor.fetchone()[0])

    worker = threading.Thread(target=advance)
    with transaction.atomic(), connection.cursor() as cursor:
        staging.lock_job(cursor, job.pk)
        worker.start()
        wait_for(lambda: waits(cursor) or not worker.is_alive())
    worker.join()
    assert sent == [(task_names.RUN_CHUNKS, job.pk)]


def test_two_workers_that_find_staging_lost_at_once_read_it_once(
    sent: list[tuple[str, int]], settings: Any
) -> None:
    """Each acts on what it saw before the other one moved the job on."""
    settings.IMPORT_CHUNK_ROWS = 50
    rows = "".join(f"S-{n:04d},Name {n},,1,true\n" for n in range(2000))
    job = start(HEADER + rows)
    jobs.advance_import(job.pk)
    with connection.cursor() as cursor:
        staging.drop_staging(cursor, job.pk)
    ended = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        try:
            while not ended.wait(0.001):
                try:
                    message = sent.pop()
                except IndexError:
                    continue
                obey(*message)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: errors or ImportJob.objects.get(pk=job.pk).is_final)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert errors == []
    job.refresh_from_db()
    assert (job.status, job.error) == ("completed", "")
    assert (job.created, job.total_records) == (2000, 2000)


def test_a_file_that_is_gone_fails_the_job_and_says_so(sent: list[tuple[str, int]]) -> None:
    job = start()
    job.file.storage.delete(str(job.file.name))
    run_all(sent)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "Upload it again" in job.error


def test_a_job_that_never_gets_on_fails_after_a_few_attempts(
    sent: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start()

    def break_down(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(stage, "read_batches", break_down)
    for _ in range(ATTEMPTS):
        with pytest.raises(ZeroDivisionError):
            jobs.advance_import(job.pk)
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"
    assert f"{ATTEMPTS} times" in job.error


def test_a_chunk_that_always_fails_fails_the_job_with_its_reason(
    sent: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start()
    jobs.advance_import(job.pk)

    def break_down(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError("a poisonous row")

    monkeypatch.setattr(apply, "upsert", break_down)
    for _ in range(ATTEMPTS):
        with pytest.raises(ZeroDivisionError):
            chunks.run_chunks(job.pk)
    chunks.run_chunks(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "a poisonous row" in job.error
    assert Product.objects.count() == 0


def test_two_workers_share_the_chunks_and_no_row_is_counted_twice(
    sent: list[tuple[str, int]], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CLAIM_SECONDS", 600)  # none of them is taken for dead
    settings.IMPORT_CHUNK_ROWS = 50
    rows = "".join(f"S-{n:04d},Name {n},,1,true\n" for n in range(2000))
    job = start(HEADER + rows)
    jobs.advance_import(job.pk)

    def work() -> None:
        chunks.run_chunks(job.pk, seconds=600)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent.clear()
    job.refresh_from_db()
    assert (job.status, job.created, job.total_records) == ("completed", 2000, 2000)
    assert set(job.chunks.values_list("attempts", flat=True)) == {1}


def test_counts_that_do_not_add_up_fail_the_job(sent: list[tuple[str, int]]) -> None:
    job = start()
    jobs.advance_import(job.pk)
    ImportJob.objects.update(total_records=4)
    run_all(sent)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "do not add up" in job.error


def test_a_file_over_the_limit_is_refused_and_not_kept(settings: Any) -> None:
    settings.IMPORT_MAX_FILE_SIZE = 10
    with pytest.raises(jobs.Refused, match="at most"):
        start()
    assert not ImportJob.objects.exists()


def test_an_edit_in_the_middle_of_a_chunk_loses_nothing(
    sent: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    make_product: Callable[..., Product],
) -> None:
    """Somebody edits a product between comparing and writing: the values before are theirs."""
    make_product("A-1", "Before")
    job = start(HEADER + "A-1,From the file,,1,true\n")
    jobs.advance_import(job.pk)
    real = upsert
    edits: list[int] = []

    def edit_first(cursor: Any, **options: Any) -> Any:
        if not edits:
            edits.append(1)
            raise ConcurrentEdit
        return real(cursor, **options)

    monkeypatch.setattr(apply, "upsert", edit_first)
    run_all(sent)
    job.refresh_from_db()
    assert (job.status, job.updated) == ("completed", 1)


def test_a_chunk_of_a_killed_worker_is_claimed_again_after_a_moment(
    sent: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CLAIM_SECONDS", 600)  # a moment that no machine needs
    job = start()
    jobs.advance_import(job.pk)
    assert chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)  # and then the worker is killed
    sent.clear()
    chunks.run_chunks(job.pk)
    job.refresh_from_db()
    assert job.status == "processing"
    passed = timezone.now() - timedelta(seconds=chunks.CLAIM_SECONDS + 1)
    job.chunks.update(claimed_at=passed)
    chunks.run_chunks(job.pk)
    assert snapshot(job) == EXPECTED
    assert job.chunks.get().attempts == 2
