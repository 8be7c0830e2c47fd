"""Uploads that do not go well: no room, or a server that dies in the middle."""

import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.db import OperationalError
from django.test import Client
from psycopg.errors import DiskFull

from imports.files.temp import LEFTOVER_SECONDS, UploadFolder, clear_old_uploads
from imports.models import ImportJob, uploads

pytestmark = pytest.mark.django_db


def no_room(*args: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_storing_is_told_and_leaves_nothing(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(uploads()), "_save", no_room)
    file = SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")
    answer = page.post("/api/v1/imports/", {"file": file})
    assert answer.status_code == 507
    assert "disk is full" in answer.json()["detail"]
    answer = page.post("/imports/", {"file": SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")})
    assert answer.status_code == 507
    assert "disk is full" in answer.content.decode()
    assert not ImportJob.objects.exists()


def test_a_full_disk_while_receiving_is_told(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(handler: TemporaryFileUploadHandler, data: bytes, start: int) -> None:
        handler.file.close()  # as the request's end does
        no_room()

    monkeypatch.setattr(TemporaryFileUploadHandler, "receive_data_chunk", receive)
    file = SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")
    answer = page.post("/api/v1/imports/", {"file": file})
    assert answer.status_code == 507
    assert "upload it again" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/imports/", "/products/new/", "/api/v1/imports/"])
def test_a_full_disk_while_receiving_a_form_is_told_and_leaves_nothing(
    path: str, page: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check for forgery is the first to look into a form: no view has been called by then."""

    def receive(handler: TemporaryFileUploadHandler, data: bytes, start: int) -> None:
        handler.file.write(data)
        handler.file.flush()
        assert list(tmp_path.iterdir()) != []
        no_room()

    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    monkeypatch.setattr(TemporaryFileUploadHandler, "receive_data_chunk", receive)
    sender = Client(enforce_csrf_checks=True, raise_request_exception=False)
    sender.cookies = page.cookies
    token = {"csrfmiddlewaretoken": "a" * 32}
    sender.cookies["csrftoken"] = "a" * 32
    file = SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")
    answer = sender.post(path, {"file": file, **token})
    assert answer.status_code == 507
    assert "disk is full" in answer.content.decode()
    assert "upload it again" in answer.content.decode()
    assert list(tmp_path.iterdir()) == []
    assert not ImportJob.objects.exists()


class TooLarge(File):  # type: ignore[type-arg]
    """A file of which only the beginning fits."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"sku,name\n"
        no_room()


def test_a_file_that_does_not_fit_leaves_no_half_in_the_folder(tmp_path: Path) -> None:
    folder = UploadFolder(location=tmp_path)
    first = folder.save("day/p.csv", ContentFile(b"sku,name\n"))
    with pytest.raises(OSError, match="No space left"):
        folder.save("day/p.csv", TooLarge(io.BytesIO(), name="p.csv"))
    assert [file.name for file in (tmp_path / "day").iterdir()] == [Path(first).name]


def test_a_full_disk_of_the_database_is_one_as_well(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OperationalError("could not extend file") from DiskFull("could not extend file")

    monkeypatch.setattr(ImportJob, "save", full)
    page.raise_request_exception = False
    folder = Path(uploads().path(""))
    before = set(folder.rglob("*.*"))  # tests before it have left theirs
    for path in ("/imports/", "/api/v1/imports/"):
        file = SimpleUploadedFile("p.csv", b"sku,name\nA-1,Lamp\n")
        assert page.post(path, {"file": file}).status_code == 507
    assert set(folder.rglob("*.*")) == before


def test_the_halves_of_uploads_of_a_killed_server_are_cleared_away(tmp_path: Path) -> None:
    for name, age in (("a.upload.csv", LEFTOVER_SECONDS + 1), ("b.upload.csv", 0), ("c.txt", 9e5)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    assert clear_old_uploads(tmp_path) == ["a.upload.csv"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.upload.csv", "c.txt"]
