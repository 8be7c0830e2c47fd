"""Stored files that no job refers to."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from conftest import Messages
from imports.files import orphans
from imports.models import ImportJob, Upload, uploads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for the uploads."""
    settings.STORAGES = {
        **settings.STORAGES,
        "uploads": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path},
        },
    }
    monkeypatch.setattr(ImportJob._meta.get_field("file"), "storage", uploads())
    return tmp_path


def run_all_days(now: datetime) -> list[str]:
    """As many runs as there are days, as beat makes them."""
    gone = []
    for turn in range(len(list(orphans._days(uploads())))):
        gone += orphans.clear_orphans(now + timedelta(seconds=turn * orphans.RUN_SECONDS))
    return gone


def test_old_files_without_a_job_are_deleted_and_no_others(
    folder: Path, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("sku,name\nA-1,Lamp\n")
    day = Path(job.file.path).parent
    old = timezone.now() - timedelta(days=1, minutes=1)
    for name in (f"{day}/old.csv", f"{day}/young.csv", "2026/01/02/older.csv"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if name != f"{day}/young.csv":
            os.utime(file, (old.timestamp(), old.timestamp()))
    os.utime(job.file.path, (old.timestamp(), old.timestamp()))
    gone = run_all_days(timezone.now())
    assert sorted(gone) == sorted(
        [str(day.relative_to(folder) / "old.csv"), "2026/01/02/older.csv"]
    )
    left = sorted(file.name for file in folder.rglob("*.csv"))
    assert left == sorted(["young.csv", Path(job.file.path).name])


def test_a_bucket_is_swept_as_well(
    bucket: Any,
    upload: Callable[..., ImportJob],
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = upload("sku,name\nA-1,Lamp\n")
    arriving, lost = "2026/01/02/arriving.csv", "2026/01/02/lost.csv"
    for name in (arriving, lost):
        uploads().save(name, ContentFile(b"x"))
    now = timezone.now()
    Upload.objects.create(
        file_name="a.csv", file_size=1, name=arriving, multipart_id="1", part_size=1, expires_at=now
    )
    assert run_all_days(now) == []  # young
    assert run_all_days(now + orphans.AGE + timedelta(minutes=5)) == [lost]
    assert {item.key for item in bucket.objects.all()} == {
        f"uploads/{name}" for name in (arriving, job.file.name)
    }


def test_one_run_deletes_only_so_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "BATCH", 2)
    for number in range(3):
        uploads().save(f"2026/01/02/{number}.csv", ContentFile(b"x"))
    later = timezone.now() + timedelta(days=2)
    assert len(orphans.clear_orphans(later)) == 2
    assert len(orphans.clear_orphans(later)) == 1


def test_a_folder_that_does_not_exist_yet_has_no_orphans(folder: Path, settings: Any) -> None:
    folder.rmdir()
    assert orphans.clear_orphans(timezone.now()) == []


def test_the_table_of_a_job_is_no_orphan(
    folder: Path, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("sku,name\nA-1,Lamp\n")
    day = Path(str(job.file.name)).parent
    old = timezone.now() - timedelta(days=1, minutes=1)
    for name in ("a.table.csv", "b.table.csv"):
        (folder / day / name).touch()
        os.utime(folder / day / name, (old.timestamp(), old.timestamp()))
    ImportJob.objects.update(table=f"{day}/a.table.csv")
    assert run_all_days(timezone.now()) == [f"{day}/b.table.csv"]
