"""Mending refused records where they are shown, and importing them from there."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import transaction

from imports.mapping.rules import AUTO, Rules, parse_rules
from imports.models import ImportJob, RowError
from imports.operations import jobs
from imports.queries.mending import cells_of, cells_to_read, check, open_errors
from imports.readers.csv.header import ERROR_COLUMN, LINE_COLUMN

CELL_MAX_LENGTH = 200_000  # characters; a description may have 100,000


class Changed(jobs.Refused):
    """Somebody else has mended the cell meanwhile."""


@transaction.atomic
def save_cells(
    *,
    job_id: int,
    cells: Mapping[tuple[int, int], str],
    before: Mapping[tuple[int, int], str] | None = None,
) -> list[RowError]:
    """Keep cells by record and column as they were typed, right or wrong, and say which records.

    ``before`` has what whoever typed them saw: raises ``Changed`` where it is no longer so, and
    ``Refused`` for records that are imported already; nothing is kept then.
    """
    job = ImportJob.objects.get(pk=job_id)
    width = len(job.layout.get("header", []))
    ids = {error_id for error_id, _ in cells}
    errors = {
        error.pk: error
        for error in open_errors(job).filter(pk__in=ids).select_for_update().order_by("pk")
    }
    if ids - errors.keys():
        raise jobs.Refused("The record is imported already, or is no longer kept.")
    for (error_id, column), value in cells.items():
        error = errors[error_id]
        now = cells_of(error, width)
        if column >= len(now) or len(value) > CELL_MAX_LENGTH:
            raise jobs.Refused("There is no such cell, or it is too long.")
        seen = (before or {}).get((error_id, column))
        if seen is not None and _plain(seen) not in (_plain(now[column]), _plain(value)):
            raise Changed(f"Somebody else has written “{now[column][:80]}” here meanwhile.")
        if now[column] != value or error.mended is None:
            now[column] = value.replace("\0", "")
            error.mended = now
    for error in errors.values():
        _save(job, error)
    return list(errors.values())


def _plain(text: str) -> str:
    """As forms send it: line breaks come back as CR and LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _save(job: ImportJob, error: RowError) -> None:
    wrong, whole = check(job, error)
    error.is_mended = error.mended is not None and not wrong and not whole
    error.save(update_fields=["mended", "is_mended"])


@transaction.atomic
def replace_alike(*, job_id: int, error_id: int, column: int) -> int:
    """Give all records the mended value of a cell that have there what it had when refused.

    Returns how many were changed. Raises ``Refused`` if the cell is not mended.
    """
    job = ImportJob.objects.get(pk=job_id)
    width = len(job.layout.get("header", []))
    pattern = open_errors(job).filter(pk=error_id).first()
    if pattern is None or pattern.mended is None or column >= width:
        raise jobs.Refused("Mend the cell first: the others get what is in it.")
    old = [*pattern.record, *[""] * width][column]
    new = cells_of(pattern, width)[column]
    changed = 0
    for error in open_errors(job).exclude(pk=error_id).select_for_update().order_by("pk"):
        cells = cells_of(error, width)
        if cells[column] == old != new:
            cells[column] = new
            error.mended = cells
            _save(job, error)
            changed += 1
    return changed


@transaction.atomic
def import_mended(*, job_id: int, user: User | None) -> ImportJob:
    """Import the mended records of a job as a job of its own, which knows where they are from.

    Each is taken once, whoever asks. Raises ``Refused`` if none is mended.
    """
    job = ImportJob.objects.select_for_update(of=("self",)).get(pk=job_id)
    mended = list(open_errors(job).filter(is_mended=True).order_by("line", "pk"))
    if not mended:
        raise jobs.Refused("No record is mended that is not imported yet.")
    name = job.file_name if job.mends_id else f"mended {job.file_name}"
    # The records stay their supplier's, also where they are read by the format of another one.
    kept = job.format
    if kept and job.supplier and kept.supplier_id not in (None, job.supplier_id):
        kept = None
    new = jobs.start_import(
        file=ContentFile(_file(job, mended), name="mended.csv"),
        file_name=name,
        user=user,
        mode=job.mode,
        checks=job.checks,
        mends=job,
        rules=_rules(job),
        format=kept,
        supplier=job.supplier,
    )
    RowError.objects.filter(pk__in=[error.pk for error in mended]).update(mended_in=new.pk)
    return new


def _rules(job: ImportJob) -> Rules | None:
    """The rules that the refused records were read by, for the file that ``_file`` writes.

    Its records do not stand below those that they stood below, and are filled down already.
    """
    kept = job.rules or job.layout.get("rules")
    if not kept:
        return None
    rules = parse_rules(kept)
    columns = tuple(replace(rule, fill_down=False, within=None) for rule in rules.columns)
    return replace(
        rules,
        columns=columns,
        encoding="utf-8",
        delimiter=_delimiter(job),
        quote='"',
        header_line=1,
        sheet=AUTO,
        member=AUTO,
    )


def _delimiter(job: ImportJob) -> str:
    return str(job.layout.get("delimiter", ","))


def _file(job: ImportJob, mended: list[RowError]) -> bytes:
    """The records under the file's own header, each with the line that it had there."""
    header: list[str] = job.layout["header"]
    kept = [i for i, name in enumerate(header) if name not in (LINE_COLUMN, ERROR_COLUMN)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=_delimiter(job))
    writer.writerow([*(header[i] for i in kept), LINE_COLUMN])
    for error in mended:
        cells = cells_to_read(job, error)
        writer.writerow([*(cells[i] for i in kept), error.line])
    return buffer.getvalue().encode("utf-8-sig")
