"""Uploads in S3, against moto's server."""

import io
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from django.core.files import File
from django.utils import timezone

from catalog.models import Product
from conftest import Messages
from imports import task_names
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import duplicates, stage
from imports.pipeline.finish import ATTEMPTS
from imports.readers.csv import segments, shared_reading
from imports.tests.workbooks import xlsx
from product_importer.common import enqueue

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_upload_goes_to_the_bucket_and_is_imported_from_there(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []
    monkeypatch.setattr(enqueue, "_send_now", lambda task, args, *_: sent.append((task, *args)))
    content = b"sku,name\n" + b"".join(b"S-%d,Name\n" % n for n in range(5000))
    job = jobs.start_import(
        file=File(io.BytesIO(content), name="p.csv"), file_name="p.csv", user=None
    )
    stored = [item.key for item in bucket.objects.all()]
    assert stored == [f"uploads/{job.file.name}"]
    while sent:
        task, job_id = sent.pop(0)
        if task == task_names.ADVANCE:
            jobs.advance_import(job_id)
        else:
            jobs.run_chunks(job_id)
    assert ImportJob.objects.get().status == "completed"
    assert Product.objects.count() == 5000


def test_the_workers_of_a_machine_read_one_download_together(
    bucket: Any, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 5_000)
    monkeypatch.setattr(shared_reading, "LEAST_BYTES", 20_000)
    read: list[int] = []

    def send(task: str, *args: Any) -> None:
        if task == task_names.HELP_READING:
            read.append(shared_reading.help_reading(*args))
        else:
            enqueue.send_after_commit(task, *args)

    monkeypatch.setattr(stage, "send_after_commit", send)
    content = b"sku,name\n" + b"".join(b"S-%d,Name\n" % n for n in range(5000))
    job = jobs.start_import(
        file=File(io.BytesIO(content), name="p.csv"), file_name="p.csv", user=None
    )
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created) == ("completed", 5000)
    assert sum(read) > 10


def test_a_workbook_in_the_bucket_is_unpacked_to_a_table_beside_it(
    bucket: Any, messages: Messages
) -> None:
    job = jobs.start_import(
        file=File(io.BytesIO(xlsx()), name="p.xlsx"), file_name="p.xlsx", user=None
    )
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created) == ("completed", 2)
    stored = {item.key: item.size for item in bucket.objects.all()}
    assert stored == {
        f"uploads/{job.file.name}": job.file_size,
        f"uploads/{job.table.name}": job.table_size,
    }


def test_a_file_that_is_gone_from_the_bucket_fails_the_job(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enqueue, "_send_now", lambda task, args, *_: None)
    job = jobs.start_import(
        file=File(io.BytesIO(b"sku,name\nA-1,Lamp\n"), name="p.csv"), file_name="p.csv", user=None
    )
    bucket.objects.all().delete()
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "no longer in the storage" in job.error


def test_a_bucket_that_does_not_answer_is_the_reason_that_a_job_fails_with(
    bucket: Any, messages: Messages
) -> None:
    job = jobs.start_import(
        file=File(io.BytesIO(b"sku,name\nA-1,Lamp\n"), name="p.csv"), file_name="p.csv", user=None
    )
    bucket.go_away()
    for _ in range(ATTEMPTS):
        with pytest.raises(BotoCoreError):
            jobs.advance_import(job.pk)
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "Could not connect" in job.error


def test_a_download_that_takes_long_gives_signs_of_life(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    monkeypatch.setattr(stage, "TELL_SECONDS", 0.01)
    monkeypatch.setattr(stage, "still_reading", lambda job_id: told.set())

    class Slow(io.BytesIO):
        def tell(self) -> int:
            assert told.wait(300)
            return 0

    stage._fetch(upload("sku,name\nA-1,Lamp\n"), Slow())
    assert told.is_set()


def test_what_took_long_to_download_is_read_for_longer(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next task would download it once more."""
    passed: list[int] = []  # seconds: one with each slice, and a day with the download below
    monkeypatch.setattr(stage, "time", SimpleNamespace(monotonic=lambda: sum(passed)))
    monkeypatch.setattr(stage, "SLICE_SECONDS", -1)  # a slice for each batch
    stage_slice = stage._stage_slice

    def one_second(*args: Any) -> Any:
        passed.append(1)
        return stage_slice(*args)

    monkeypatch.setattr(stage, "_stage_slice", one_second)
    content = "sku,name\n" + "".join(f"S-{n},Lamp\n" for n in range(50_000))
    job = upload(content)
    assert stage._begin_run(job)
    assert not stage.stage_records(job, seconds=0)
    job.refresh_from_db()
    assert 0 < job.staged_records < 25_000
    monkeypatch.setattr(stage, "_fetch", lambda job, file: passed.append(86_400))
    assert stage.stage_records(job, seconds=0)


def test_a_file_that_takes_long_to_read_gives_signs_of_life(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload("sku,name\nA-1,Lamp\n")
    past = timezone.now() - timedelta(minutes=1)
    ImportJob.objects.update(sha256="", status="processing", progress_at=past)
    seen: list[bool] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.append(ImportJob.objects.get().progress_at > past)
            return super().read(size)

    monkeypatch.setattr(duplicates, "TELL_SECONDS", 0.0)
    duplicates.recognise_stored(job, Watched(bytes(duplicates.BLOCK + 1)))
    assert seen == [False, True, True]
