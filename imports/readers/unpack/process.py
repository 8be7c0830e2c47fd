"""The parent's side: a file is unpacked in a process of its own, which is watched and ended."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from imports.readers.csv import UnreadableFile
from imports.readers.unpack import limits

TELL_SECONDS = 1.0
ANSWER_MOST = 4 << 20  # bytes that the child may say
_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Unpacked:
    """What a file was, and what was taken of it; ``size`` is the table's, in bytes."""

    kind: str
    size: int
    members: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()
    member: str = ""
    sheet: str = ""
    warnings: tuple[str, ...] = ()


class NeedsChoice(Exception):
    """An archive holds several tables: ``members`` are their names."""

    def __init__(self, members: list[str]) -> None:
        super().__init__(members)
        self.members = members


def unpack(
    source: BinaryIO,
    target: BinaryIO,
    *,
    sheet: str | int = "auto",
    member: str = "auto",
    rows: int | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> Unpacked:
    """Write the one table of a packed file to ``target``; both are files of the system.

    A workbook or a page becomes CSV in UTF-8 (of at most ``rows``), a text in an archive stays as
    it is. A ``sheet`` has a name, or a number from 1. About every second ``tell`` hears how much
    is done, from 0 to 1; what it raises ends the child. Raises ``UnreadableFile``, ``NeedsChoice``,
    and ``OSError`` for what may go well the next time: no room, a child that somebody killed.
    """
    source.flush()
    job: dict[str, Any] = {"source": source.fileno(), "target": target.fileno()}
    job |= {"sheet": sheet, "member": member, "rows": rows}
    child = subprocess.Popen(
        [sys.executable, "-m", "imports.readers.unpack.child", json.dumps(job)],
        cwd=_ROOT,
        # Nothing of the worker's environment, with its passwords, where a stranger's file is read.
        env={
            "MALLOC_ARENA_MAX": "1",  # an arena is address space, which is limited
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": _folder_of(target),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(source.fileno(), target.fileno()),
    )
    try:
        answer = _listen(cast(IO[bytes], child.stdout), tell)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=60)  # it has closed its output: it is ending
    finally:
        child.kill()
        child.wait()
        for pipe in filter(None, (child.stdin, child.stdout)):
            pipe.close()
    return _result(answer, child.returncode)


def peek(
    source: BinaryIO, *, sheet: str | int = "auto", member: str = "auto", rows: int = 100
) -> bytes:
    """The first rows of another sheet or member, as ``unpack`` would write them.

    Raises what ``unpack`` raises.
    """
    with tempfile.TemporaryFile() as target:
        unpack(source, target, sheet=sheet, member=member, rows=rows)
        target.seek(0)
        return target.read()


def _folder_of(target: BinaryIO) -> str:
    """Where the child may put what it needs beside: on the target's disk."""
    if isinstance(target.name, str):
        return str(Path(target.name).absolute().parent)
    return tempfile.gettempdir()


def _listen(stdout: IO[bytes], tell: Callable[[float], None]) -> dict[str, Any]:
    """The child's last word; empty if it ended without one."""
    deadline = time.monotonic() + limits.SECONDS
    said, told, share = b"", time.monotonic(), 0.0
    last: dict[str, Any] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(TELL_SECONDS):
                data = os.read(stdout.fileno(), 1 << 16)
                if not data:
                    return last
                said += data
                if len(said) > ANSWER_MOST:
                    break
                *lines, said = said.split(b"\n")
                for line in lines:
                    last = json.loads(line)
                    share = last.get("share", share)
            if time.monotonic() > told + TELL_SECONDS:
                tell(share)
                told = time.monotonic()
    raise UnreadableFile(limits.TOO_LONG)


def _result(answer: dict[str, Any], code: int) -> Unpacked:
    if "done" in answer:
        done: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in answer["done"].items()
        }
        return Unpacked(**done)
    if "members" in answer:
        raise NeedsChoice(answer["members"])
    if "refused" in answer:
        raise UnreadableFile(answer["refused"])
    if "errno" in answer:
        raise OSError(answer["errno"], answer["reason"])
    if code == -signal.SIGABRT:
        raise UnreadableFile(limits.TOO_MUCH_MEMORY)  # the library's way to say so
    if code == -signal.SIGXCPU:
        raise UnreadableFile(limits.TOO_LONG)
    if code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL):
        raise UnreadableFile(limits.DAMAGED.format(what="the file"))
    raise ChildProcessError(f"The process that unpacks the file ended with {code}")
