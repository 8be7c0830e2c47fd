"""A chunk's staged records: locked for a worker, and as they meet the catalogue.

Comparing and applying take the same ones, in the same way.
"""

from dataclasses import dataclass, replace
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from catalog.field_values import Definition, definition_of
from catalog.queries.own_fields.fields import locked_definitions, there_are, unique_keys
from catalog.sql.upsert import APPLY_SETTINGS
from imports.models import ImportChunk, ImportJob
from imports.pipeline.stage import stage_again
from imports.sql import staging


@dataclass(frozen=True)
class Staged:
    """The records of a job that are staged.

    ``taken`` is what ``upsert`` and ``compare`` take them by; ``found_by`` is the key of the own
    field that their products are found by, or blank.
    """

    job: ImportJob
    found_by: str
    taken: dict[str, Any]

    def unmatched(
        self, cursor: CursorWrapper, chunk: ImportChunk
    ) -> list[tuple[int, str, str, str]]:
        """The records of a chunk whose key no product has, if products are found by one."""
        if not self.found_by:
            return []
        bounds = (chunk.first_key, chunk.end_key)
        return staging.unmatched_rows(cursor, self.job.pk, self.found_by, *bounds)


def lock_chunk(
    cursor: CursorWrapper, mine: "QuerySet[ImportChunk]", stage: ImportJob.Stage
) -> Staged | None:
    """Lock a chunk that is still to do, until the end of the transaction.

    Returns nothing where another worker has done it, where its job is no longer at this stage, and
    where what is staged is lost or outdated: the file is read again then.
    """
    cursor.execute(APPLY_SETTINGS)
    # Waits for a worker that looks for a chunk: it may hold this row for a moment as well.
    chunk = mine.select_for_update(of=("self",)).order_by("pk").first()
    if chunk is None:
        return None
    job = ImportJob.objects.get(pk=chunk.job_id)
    if job.status != ImportJob.Status.PROCESSING or job.stage != stage:
        return None
    if not staging.holds_rows(cursor, job.pk) or is_outdated(job):
        stage_again(job)
        return None
    return staged_of(job)


def staged_of(job: ImportJob, *, of_lines: bool = False) -> Staged:
    """The records of a job, whoever holds which chunk; ``of_lines``: only those of ``lines``."""
    own = job.layout.get("own", ())
    found_by = job.found_by if own else ""
    taken = {"fields": job.layout["fields"].keys(), "unique": unique_keys() if own else ()}
    may = job.may
    source = staging.chunk_source(
        job.pk,
        may_keep=may["may_keep"],
        has_own=bool(own),
        gone=sorted({one["key"] for one in own} - there_are()) if own else (),
        by_key=bool(found_by),
        of_lines=of_lines,
    )
    return Staged(job, found_by, {**taken, **may, "source": source})


def is_outdated(job: ImportJob) -> bool:
    """Whether values of own fields are staged that are no longer as their fields take them.

    Somebody may change a field's type, or make it unique, while an import waits. A label is not
    among the values, and what a field requires is asked where a file is read. Nobody changes a
    field from here to the end of the transaction.
    """
    own = job.layout.get("own")
    if not own:
        return False
    staged = {one["key"]: definition_of(one) for one in own}
    now = locked_definitions(list(staged))
    return any(_takes_other_values(staged[key], now[key]) for key in now)


def _takes_other_values(staged: Definition, now: Definition) -> bool:
    """A list that has grown since takes what it took: the import itself may have added to it."""
    was, is_now = (replace(one, label="", required=False, choices=()) for one in (staged, now))
    return was != is_now or not set(staged.choices) <= set(now.choices)
