"""Files that a web server receives, on their way into the storage."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest
from psycopg.errors import DiskFull

LEFTOVER_SECONDS = 300  # without a byte; a received file is moved away within seconds


@dataclass(frozen=True)
class StoredFile:
    """A file that is in the storage already, under ``name``; ``size`` in bytes.

    ``sha256`` where it is known, in hexadecimal; else the worker that reads the file finds it out.
    """

    name: str
    size: int
    sha256: str = ""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether something could not be written for want of room, to a file or by the database."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return error is not None and isinstance(error.__cause__, DiskFull)


class UploadHandler(TemporaryFileUploadHandler):
    """Django's, which writes a file of a form to the disk; what does not fit there goes at once.

    Django leaves it, and the files of the form before it, to whenever Python collects garbage.
    """

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.received: list[TemporaryUploadedFile] = []

    def new_file(self, *args: Any, **options: Any) -> None:
        with self._room():
            super().new_file(*args, **options)
            self.received.append(self.file)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        with self._room():
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        with self._room():
            file = super().file_complete(file_size)
        return file

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            for file in self.received:
                with suppress(OSError):  # what is not written yet does not fit either
                    file.close()
            raise


class UploadFolder(FileSystemStorage):
    """A folder of uploads; of a file for which there is no room, nothing is left in it.

    A received file is renamed into place, but one from another disk, or of the command line, is
    copied. No name is ever used twice, so that a half under it is this file's and nobody else's.
    """

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        root, extension = os.path.splitext(name)
        alternative = self.get_alternative_name(root, extension)
        return super().get_available_name(alternative, max_length)

    def _save(self, name: str, content: "File[Any]") -> str:
        try:
            return str(super()._save(name, content))  # type: ignore[misc]
        except OSError as error:
            if is_disk_full(error):
                with suppress(OSError):
                    self.delete(name)
            raise


def clear_old_uploads(folder: Path) -> list[str]:
    """Delete received files that nobody came for: the server that received them was killed."""
    gone = []
    for file in folder.glob("*.upload*"):
        try:
            if file.stat().st_mtime < time.time() - LEFTOVER_SECONDS:
                file.unlink()
                gone.append(file.name)
        except FileNotFoundError:
            continue  # moved into place, or cleared by another process, this very moment
    return gone
