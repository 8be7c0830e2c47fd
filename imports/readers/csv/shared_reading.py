"""Reading one file with the other workers of this machine, by way of a folder.

Who imports the file puts it together and alone writes (``segments.stitched``). The others are
asked by messages that may be lost: a segment is read by whoever makes its file in the folder
first, and what a helper does not finish is read by the importer. Nothing of it lasts.
"""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from imports.readers.csv.header import Layout
from imports.readers.csv.records import Checkpoint
from imports.readers.csv.segments import (
    Piece,
    Segment,
    is_cuttable,
    read_segment,
    segments,
    stitched,
)

LEAST_BYTES = 8 << 20  # left to read; a smaller rest is read before a helper has begun
PREFIX = "product-importer-reading-"
HELP_SECONDS = 20.0  # of a helper's task: tasks stay short
WAIT_SECONDS = 10.0  # for a segment that a helper has begun; then it is read here
LOOK_SECONDS = 0.002
LEFTOVER_SECONDS = 3600.0  # since a folder was made, whose reader was killed
AHEAD = 16  # segments that are read here while another is waited for, at most; on the disk
BACKLOG = 128  # segments that helpers are ahead, at most; on the disk

_PLAN, _PLACE = "plan", "place"


def may_be_shared(file: BinaryIO, layout: Layout, start: Checkpoint) -> bool:
    """Whether others can read a file too, and it is long enough."""
    try:
        size = os.fstat(file.fileno()).st_size
    except (OSError, AttributeError):
        return False
    return size - start.offset >= LEAST_BYTES and is_cuttable(layout) and bool(_path(file))


def _path(file: BinaryIO) -> str:
    """Where other processes of this user open the very file; blank: they cannot.

    What was downloaded from a bucket has no name, and is gone with its process; on Linux the
    process's descriptor leads to it.
    """
    own = os.fstat(file.fileno())
    for path in (str(file.name), f"/proc/{os.getpid()}/fd/{file.fileno()}"):
        with suppress(OSError):
            if os.path.samestat(os.stat(path), own):
                return os.path.abspath(path)
    return ""


@contextmanager
def shared_reading(
    file: BinaryIO, layout: Layout, start: Checkpoint
) -> Iterator[tuple[str, Iterator[Piece]]]:
    """Read a file with others: the name that helpers are to be told, and the file's pieces.

    Without room for the folder, it is read alone, and the name is blank.
    """
    _clear_leftovers()
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    except OSError:
        yield "", stitched(file, layout, start, _Nobody())
        return
    try:
        own = os.fstat(file.fileno())
        plan = {
            "path": _path(file),
            "file": [own.st_dev, own.st_ino],
            "layout": layout.as_json(),
            "checkpoint": start.as_json(),
        }
        with suppress(OSError):  # then nobody can help
            (folder / _PLACE).write_text("0")
            (folder / _PLAN).write_text(json.dumps(plan))
        yield folder.name, stitched(file, layout, start, _Folder(folder, file, layout))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a helper may be making a file in it


def help_reading(name: str) -> int:
    """Read segments of the file that a folder is about; returns how many.

    Does nothing where the folder is not there: on another machine, or once the file is read; nor
    where the system lets nobody follow another process's descriptors.
    """
    folder = Path(tempfile.gettempdir(), name)
    deadline = time.monotonic() + HELP_SECONDS
    if not name.startswith(PREFIX) or folder.name != name:
        return 0
    done = 0
    with suppress(FileNotFoundError, PermissionError):
        if folder.stat().st_uid != os.getuid():
            return 0
        plan = json.loads((folder / _PLAN).read_text())
        layout = Layout(**plan["layout"])
        with open(plan["path"], "rb") as file:
            own = os.fstat(file.fileno())
            if [own.st_dev, own.st_ino] != plan["file"]:
                return 0
            for segment in segments(file, layout, Checkpoint(**plan["checkpoint"])):
                if not _is_wanted(folder, segment, deadline):
                    break
                done += _read_into(folder, file, layout, segment)
    return done


def _is_wanted(folder: Path, segment: Segment, deadline: float) -> bool:
    """Whether a helper is to go on with a segment, once it is not too far ahead."""
    if segment.is_too_large:
        return False
    while time.monotonic() < deadline:
        if segment.number - int((folder / _PLACE).read_text() or 0) < BACKLOG:
            return True
        time.sleep(10 * LOOK_SECONDS)
    return False


def _read_into(folder: Path, file: BinaryIO, layout: Layout, segment: Segment) -> bool:
    """Read a segment into its file in the folder; false if another reader has it."""
    claimed = _claim(folder, segment)
    if claimed is None:
        return False
    with claimed:
        try:
            # Held until it is finished, or until this process is gone.
            fcntl.flock(claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if piece := read_segment(file, layout, segment):
            claimed.write(piece.dump())
        claimed.flush()
    return True


def _claim(folder: Path, segment: Segment) -> BinaryIO | None:
    """Make a segment's file; ``None`` if somebody has made it before."""
    try:
        return open(folder / str(segment.number), "xb")
    except FileExistsError:
        return None


def _clear_leftovers() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another's, or another clears it
            if folder.stat().st_mtime < time.time() - LEFTOVER_SECONDS:
                shutil.rmtree(folder)


class _Nobody:
    """``segments.Readings`` of nobody."""

    def take(self, segment: Segment, coming: Callable[[], Segment | None]) -> None:
        return None


class _Folder:
    """``segments.Readings`` of the helpers, and of what is read while one of them is waited for."""

    def __init__(self, folder: Path, file: BinaryIO, layout: Layout) -> None:
        self.folder, self.file, self.layout = folder, file, layout

    def take(self, segment: Segment, coming: Callable[[], Segment | None]) -> Piece | None:
        try:
            return self._take(segment, coming)
        except OSError:
            return None  # no room on the disk, or somebody has cleared it up

    def _take(self, segment: Segment, coming: Callable[[], Segment | None]) -> Piece | None:
        (self.folder / _PLACE).write_text(str(segment.number))
        if claimed := _claim(self.folder, segment):
            claimed.close()
            return None  # nobody else has begun with it: it is read here
        with open(self.folder / str(segment.number), "r+b") as file:
            if not self._wait(file, coming):
                return None
            data = file.read()
            file.truncate(0)  # the name stays, or it could be claimed again
        return Piece.load(data)

    def _wait(self, file: BinaryIO, coming: Callable[[], Segment | None]) -> bool:
        """Wait until nobody is at a segment any more; meanwhile read those to come that are free.

        They go the way of the helpers' own: in memory they would be many.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        ahead = islice(iter(coming, None), AHEAD)
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                segment = next(ahead, None)
                if segment is None or segment.is_too_large:
                    time.sleep(LOOK_SECONDS)
                else:
                    _read_into(self.folder, self.file, self.layout, segment)
            else:
                return True
        return False
