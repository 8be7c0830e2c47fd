"""The stage “unpack”: an archive or a workbook on its way to the table that is read."""

import gzip
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Product
from conftest import Messages
from imports.files.temp import clear_old_uploads
from imports.mapping.rules import parse_rules
from imports.models import ImportJob, uploads
from imports.operations import jobs, retention
from imports.pipeline import unpack
from imports.queries.progress import progress_of
from imports.queries.rejects import rejects_csv
from imports.readers.unpack import process
from imports.tests import workbooks
from imports.tests.workbooks import unpackers, xlsx, zipped

pytestmark = pytest.mark.django_db(transaction=True)

Upload = Callable[..., ImportJob]


def finished(job: ImportJob, messages: Messages) -> ImportJob:
    messages.run_all()
    job.refresh_from_db()
    return job


@pytest.fixture
def folders(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Folders of their own for uploads, and for files on their way."""
    stored, temporary = tmp_path / "stored", tmp_path / "temporary"
    temporary.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = temporary
    settings.STORAGES = {
        **settings.STORAGES,
        "uploads": {
            "BACKEND": "imports.files.temp.UploadFolder",
            "OPTIONS": {"location": stored},
        },
    }
    for name in ("file", "table"):
        monkeypatch.setattr(ImportJob._meta.get_field(name), "storage", uploads())
    return stored, temporary


@pytest.fixture
def without_leftovers(folders: tuple[Path, Path]) -> Iterator[None]:
    """The upload is left, and nothing of what was unpacked."""
    yield
    stored, temporary = folders
    assert len([path for path in stored.rglob("*") if path.is_file()]) == 1
    assert list(temporary.iterdir()) == []
    assert not unpackers()


def test_a_workbook_goes_from_upload_to_catalogue(upload: Upload, messages: Messages) -> None:
    content = xlsx()
    job = finished(upload(content, "price list.xlsx"), messages)
    assert (job.status, job.created, job.warnings) == ("completed", 2, [])
    assert {(p.sku, p.name, str(p.price), p.active) for p in Product.objects.all()} == {
        ("A-1", "Lamp", "12.50", True),
        ("A-2", "Bed", "3.00", False),
    }
    assert job.unpacked["kind"] == "xlsx"
    assert job.unpacked["sheet"] == "Products"
    assert Path(job.file.path).read_bytes() == content
    assert Path(job.table.path).read_bytes().startswith(b"sku,name,price,active\n")
    assert job.table.size == job.table_size


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: zipped({"a.csv": text})])
def test_a_packed_csv_goes_from_upload_to_catalogue(
    pack: Callable[[bytes], bytes], upload: Upload, messages: Messages
) -> None:
    job = finished(upload(pack(b"sku,name\nA-1,Lamp\n"), "supplier.csv"), messages)
    assert (job.status, job.created) == ("completed", 1)


def test_a_text_under_the_name_of_a_workbook_is_read_as_it_is(
    upload: Upload, messages: Messages, without_leftovers: None
) -> None:
    job = finished(upload("sku,name\nA-1,Lamp\n", "products.xlsx"), messages)
    assert (job.status, job.created) == ("completed", 1)
    assert not job.table
    assert job.unpacked == {}


def test_the_same_workbook_again_is_known_by_the_file_itself(
    upload: Upload, messages: Messages
) -> None:
    content = xlsx()
    first = finished(upload(content), messages)
    assert finished(upload(content), messages).same_as == first


def test_the_warnings_of_unpacking_are_those_of_the_job(upload: Upload, messages: Messages) -> None:
    sheets = {"Products": workbooks.TABLE, "Prices": workbooks.TABLE}
    job = finished(upload(xlsx(sheets)), messages)
    assert "“Prices”" in job.warnings[0]


def test_a_workbook_whose_first_sheet_is_no_table_fails_and_names_the_others(
    upload: Upload, messages: Messages
) -> None:
    sheets = {"Cover": [["Our price list"], ["of May"]], "Prices": workbooks.TABLE}
    job = finished(upload(xlsx(sheets)), messages)
    assert job.status == "failed"
    assert "The sheet “Cover” was read." in job.error
    assert "“Prices”" in job.error


def test_a_sheet_is_chosen_by_its_number(upload: Upload, messages: Messages) -> None:
    sheets = {"Cover": [["Our", "prices"]], "Prices": workbooks.TABLE}
    job = finished(upload(xlsx(sheets), rules=parse_rules({"sheet": 2})), messages)
    assert (job.status, job.created) == ("completed", 2), job.error
    assert job.unpacked["sheet"] == "Prices"


def test_an_archive_of_several_tables_fails_and_names_them(
    upload: Upload, messages: Messages, without_leftovers: None
) -> None:
    job = finished(upload(zipped({"a.csv": "sku", "b.csv": "sku"})), messages)
    assert job.status == "failed"
    assert "2 tables: “a.csv”, “b.csv”" in job.error


def test_a_damaged_workbook_fails_the_job_with_a_sentence(
    upload: Upload, messages: Messages, without_leftovers: None
) -> None:
    job = finished(upload(xlsx()[:2000]), messages)
    assert job.status == "failed"
    assert "damaged or was cut off" in job.error


def test_cancelling_stops_the_unpacking(
    upload: Upload, messages: Messages, without_leftovers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload(xlsx({"A": [[f"A-{n}", "name", n] for n in range(50_000)]}))
    tell = unpack._tell

    def cancel_and_tell(*args: Any) -> None:
        jobs.cancel_import(job_id=job.pk, user=None)
        tell(*args)

    monkeypatch.setattr(process, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(unpack, "_tell", cancel_and_tell)
    assert finished(job, messages).status == "cancelled"


def test_unpacking_tells_how_far_it_is_and_that_it_is_alive(
    upload: Upload, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload(xlsx({"A": [[f"A-{n}", "name", n] for n in range(50_000)]}))
    ImportJob.objects.update(progress_at=timezone.now() - timedelta(minutes=1))
    seen: list[tuple[str, int, list[str]]] = []
    tell = unpack._tell

    def tell_and_look(*args: Any) -> None:
        tell(*args)
        now = ImportJob.objects.get(pk=job.pk)
        seen.append(
            (now.stage, now.bytes_read, [s.name for s in progress_of(now, now.progress_at).steps])
        )
        assert now.progress_at > timezone.now() - timedelta(seconds=50)

    monkeypatch.setattr(process, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(unpack, "_tell", tell_and_look)
    jobs.advance_import(job.pk)
    assert {stage for stage, _, _ in seen} == {"unpacking"}
    assert sorted(read for _, read, _ in seen) == [read for _, read, _ in seen]
    assert 0 < seen[-1][1] <= job.file_size
    assert seen[-1][2][:3] == ["Upload", "Unpack", "Read"]


def test_the_bar_of_a_workbook_never_goes_back() -> None:
    def fraction(**values: Any) -> float:
        job = ImportJob(status="processing", file_size=100, **values)
        return progress_of(job, timezone.now()).fraction

    table = {"table": "a.csv", "table_size": 1000}
    fractions = [
        fraction(stage="unpacking", bytes_read=0),
        fraction(stage="unpacking", bytes_read=100),
        fraction(stage="staging", bytes_read=0, **table),
        fraction(stage="staging", bytes_read=500, **table),
        fraction(stage="staging", bytes_read=1000, **table),
    ]
    assert fractions == sorted(fractions)
    assert fractions[1] == fractions[2]
    assert fractions[-1] == fraction(stage="staging", bytes_read=100)


@pytest.mark.parametrize("kill", ["child", "worker"])
def test_whatever_is_killed_the_file_is_unpacked_once_more(
    kill: str, upload: Upload, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload(xlsx())
    name = "unpack" if kill == "child" else "_go_on"

    def die(*args: Any, **values: Any) -> None:
        raise ChildProcessError("killed") if kill == "child" else KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unpack, name, die)
        with pytest.raises((ChildProcessError, KeyboardInterrupt)):
            jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert (job.status, job.stage) == ("processing", "unpacking")
    assert finished(job, messages).created == 2


def test_a_worker_that_was_overtaken_takes_its_table_away(
    upload: Upload, messages: Messages, without_leftovers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = upload(xlsx())
    real = process.unpack

    def unpack_and_lose(*args: Any, **values: Any) -> Any:
        ImportJob.objects.filter(pk=job.pk).update(stage="staging")
        return real(*args, **values)

    monkeypatch.setattr(unpack, "unpack", unpack_and_lose)
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert not job.table


def test_what_a_killed_worker_left_half_is_swept(tmp_path: Path) -> None:
    old = tmp_path / "abc.upload.csv"
    old.touch()
    assert clear_old_uploads(tmp_path) == []
    os.utime(old, (1, 1))
    assert clear_old_uploads(tmp_path) == ["abc.upload.csv"]


def test_the_table_goes_when_the_upload_goes(
    upload: Upload, messages: Messages, settings: Any
) -> None:
    job = finished(upload(xlsx()), messages)
    table, file = str(job.table.name), str(job.file.name)
    settings.KEEP_UPLOADS = timedelta(days=1)
    ImportJob.objects.update(finished_at=timezone.now() - timedelta(days=2))
    assert retention.clear_uploads() == 1
    job.refresh_from_db()
    assert not job.has_file
    assert not job.table
    assert not uploads().exists(table)
    assert not uploads().exists(file)


def test_refused_records_that_are_not_kept_are_read_from_the_table(
    upload: Upload, messages: Messages
) -> None:
    job = finished(
        upload(xlsx({"A": [["sku", "name", "price"], ["A-1", "Lamp", "free"], ["", "Bed", 1]]})),
        messages,
    )
    assert job.rejected == 2
    job.errors.order_by("line").first().delete()  # type: ignore[union-attr]
    assert "A-1,Lamp,free,2," in "".join(rejects_csv(job))
