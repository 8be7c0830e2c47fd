"""Uploads that do not go well: no room, or a server that dies in the middle."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.test import Client

from imports.models import ImportJob, uploads
from imports.received import LEFTOVER_SECONDS, clear_old_uploads

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


def test_the_halves_of_uploads_of_a_killed_server_are_cleared_away(tmp_path: Path) -> None:
    for name, age in (("a.upload.csv", LEFTOVER_SECONDS + 1), ("b.upload.csv", 0), ("c.txt", 9e5)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    assert clear_old_uploads(tmp_path) == ["a.upload.csv"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.upload.csv", "c.txt"]
