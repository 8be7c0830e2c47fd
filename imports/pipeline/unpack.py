"""From an archive or a workbook to the table that is read: the stage “unpack”."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from typing import BinaryIO, NoReturn, cast

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db.models import QuerySet
from django.utils import timezone
from structlog import get_logger

from imports.mapping.questions import Question
from imports.mapping.rules import parse_rules, rules_as_json
from imports.models import ImportJob, uploads
from imports.pipeline.duplicates import TELL_SECONDS
from imports.pipeline.finish import Overtaken
from imports.pipeline.match import ask
from imports.readers.unpack import (
    HEAD_SIZE,
    Kind,
    NeedsChoice,
    Unpacked,
    kind_of,
    unpack,
)

logger = get_logger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage

NAMES_KEPT = 100  # of members and of sheets
NAME_LENGTH = 200  # characters of each
NAMES_TOLD = 20


def unpack_upload(job: ImportJob, file: BinaryIO) -> bool:
    """Bring a job from unpacking to reading; return whether it is this very file that is read.

    Of a packed one, the table goes into the storage, beside it. Killed at any point, it is done
    once more, and what it left is swept. Raises ``UnreadableFile``, ``Overtaken``, ``OSError``.
    """
    file.seek(0)
    if kind_of(file.read(HEAD_SIZE)) == Kind.TEXT:
        _go_on(job)
        return True
    # The name is that of a received file: what a killed worker leaves goes like one.
    with TemporaryUploadedFile("table.csv", "text/csv", 0, None) as temporary:
        done = _unpacked(job, file, temporary)
        temporary.size = done.size
        temporary.seek(0)
        try:
            _store(job, temporary)
            values = {"table_size": done.size, "unpacked": _as_json(done), "attempts": 0}
            _go_on(job, table=str(job.table.name), **values)
        except Overtaken:
            if job.table:
                uploads().delete(str(job.table.name))
            raise
    logger.info("file_unpacked", kind=done.kind, bytes=done.size)
    return False


def chosen(job: ImportJob) -> tuple[str, str | int]:
    """The member of an archive and the sheet of a workbook that are to be read."""
    rules = parse_rules(job.rules)
    return rules.member, rules.sheet


def choose_member(job: ImportJob, members: list[str]) -> NoReturn:
    """Ask which table of an archive is read. Raises ``Unclear`` or ``UnreadableFile``."""
    listed = ", ".join(f"“{name[:80]}”" for name in members[:NAMES_TOLD])
    more = f" and {len(members) - NAMES_TOLD:,} more" if len(members) > NAMES_TOLD else ""
    question = Question(
        "several_tables",
        "",
        f"The archive holds {len(members):,} tables: {listed}{more}. Name the one to import by the "
        "rule “member”, or upload it by itself.",
    )
    kept = [name[:NAME_LENGTH] for name in members[:NAMES_KEPT]]
    ask(
        job,
        [question],
        unpacked={"members": kept},
        found={"rules": rules_as_json(parse_rules(job.rules))},
    )


def _unpacked(job: ImportJob, file: BinaryIO, target: TemporaryUploadedFile) -> Unpacked:
    member, sheet = chosen(job)
    try:
        return unpack(
            file,
            cast(BinaryIO, target.file),
            sheet=sheet,
            member=member,
            tell=lambda share: _tell(job, target, share),
        )
    except NeedsChoice as choice:
        choose_member(job, choice.members)


def _store(job: ImportJob, table: TemporaryUploadedFile) -> None:
    """Put the table into the storage; into a bucket that takes long."""
    with ThreadPoolExecutor(1) as thread:
        storing = thread.submit(job.table.save, "table.csv", table, save=False)
        while not wait([storing], timeout=TELL_SECONDS).done:
            _tell(job, table, 1.0)
        storing.result()


def _tell(job: ImportJob, target: TemporaryUploadedFile, share: float) -> None:
    """A sign of life for the sweeps: of jobs, and of files to which nothing is written."""
    with suppress(FileNotFoundError):  # moved into place
        os.utime(target.temporary_file_path())
    moved = _here(job).update(
        bytes_read=max(1, int(share * job.file_size)), progress_at=timezone.now()
    )
    if not moved:
        raise Overtaken(f"job {job.pk} moved on without this worker")


def _go_on(job: ImportJob, **values: object) -> None:
    """Raises ``Overtaken`` if somebody else moved the job on, or ended it."""
    if values:  # else nothing was done that would be progress
        values["attempts"] = 0
    moved = _here(job).update(
        **values, stage=Stage.MATCHING, bytes_read=0, progress_at=timezone.now()
    )
    if not moved:
        raise Overtaken(f"job {job.pk} moved on without this worker")
    job.refresh_from_db()


def _here(job: ImportJob) -> QuerySet[ImportJob]:
    return ImportJob.objects.filter(pk=job.pk, status=Status.PROCESSING, stage=Stage.UNPACKING)


def _as_json(done: Unpacked) -> dict[str, object]:
    short = {
        name: [text[:NAME_LENGTH] for text in getattr(done, name)[:NAMES_KEPT]]
        for name in ("members", "sheets")
    }
    return {**asdict(done), **short}
