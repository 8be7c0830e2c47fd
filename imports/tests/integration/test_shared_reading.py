"""A long file, which other workers help to read: all of it is staged by the one that imports it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.models import Product
from conftest import Messages
from imports import task_names, tasks
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import stage
from imports.readers.csv import segments, shared_reading
from imports.tests.integration.test_cancel_retry import in_another_connection
from product_importer.common.enqueue import send_after_commit

BAD = {300: "A-300,Lamp,no price\n", 700: 'A-700,"open,1\n', 1100: 'A-1100,"La\nmp",1.00\n'}
FILE = "sku,name,price\n" + "".join(
    BAD.get(number, f"A-{number},Lamp {number},{number}.50\n") for number in range(1, 2_001)
)


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1_500)
    monkeypatch.setattr(shared_reading, "LEAST_BYTES", 10_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def outcome(job: ImportJob) -> dict[str, Any]:
    job.refresh_from_db()
    return {
        "counts": (job.total_records, job.staged_records, job.rejected, job.bytes_read),
        "checkpoint": job.checkpoint,
        "warnings": [w for w in job.warnings if "very file" not in w],
        "errors": [*job.errors.order_by("line").values_list("line", "code", "message", "record")],
    }


def read_alone(upload: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch) -> ImportJob:
    """A job whose file was read by nobody but its importer."""
    job = upload(FILE)
    with monkeypatch.context() as patch:
        patch.setattr(shared_reading, "LEAST_BYTES", 1 << 30)
        jobs.advance_import(job.pk)
    return job


def helped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have messages obeyed at once, in threads; returns how many segments helpers have read."""
    done: list[int] = []

    def send(task: str, *args: Any) -> None:
        if task != task_names.HELP_READING:
            send_after_commit(task, *args)
            return
        thread = threading.Thread(target=lambda: done.append(shared_reading.help_reading(*args)))
        thread.start()
        if not done:
            thread.join()  # one has read what may be ahead before the importer begins

    monkeypatch.setattr(stage, "send_after_commit", send)
    return done


def test_helpers_change_nothing_but_who_reads(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = read_alone(upload, monkeypatch)
    done = helped(monkeypatch)
    job = upload(FILE)
    jobs.advance_import(job.pk)
    assert done[0] > 10
    expected = outcome(alone)
    assert outcome(job) == expected
    assert expected["counts"][0] == 2_000
    assert [error[:2] for error in expected["errors"]] == [
        (301, "invalid_price"),
        (701, "unclosed_quote"),
    ]


def test_whoever_is_asked_to_help_may_never_come(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(FILE)
    jobs.advance_import(job.pk)
    asked = [args for task, *args in messages.waiting if task == task_names.HELP_READING]
    assert len(asked) == stage.HELPERS
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.rejected) == ("completed", 2)
    assert Product.objects.count() == 1_998
    for args in asked:
        tasks.help_reading(*args)  # comes late


def test_a_reading_that_is_cancelled_leaves_no_folder(
    upload: Callable[..., ImportJob],
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    job = upload(FILE)
    monkeypatch.setattr(stage, "SLICE_SECONDS", 0.0)
    real, slices = stage._stage_slice, []

    def cancelled_meanwhile(*args: Any) -> Any:
        slices.append(1)
        if len(slices) == 3:
            in_another_connection(lambda: jobs.cancel_import(job_id=job.pk, user=None))
        return real(*args)

    monkeypatch.setattr(stage, "_stage_slice", cancelled_meanwhile)
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert len(slices) == 3
    assert not [*tmp_path.glob(f"{shared_reading.PREFIX}*")]


def test_reading_goes_on_where_a_killed_worker_stood(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = read_alone(upload, monkeypatch)
    job = upload(FILE)
    monkeypatch.setattr(stage, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(stage, "PER_FETCH", 0)  # however long it took to have the file
    assert stage._begin_run(job)
    for _ in range(10):
        assert not stage.stage_records(ImportJob.objects.get(pk=job.pk), seconds=0)
    jobs.advance_import(job.pk)
    assert outcome(job) == outcome(alone)
