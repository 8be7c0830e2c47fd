"""The end of the stage “apply”: records that were refused for a value that is free by now.

A file may pass a value of a unique field on from one product to another. Whether the one has given
it up before the other was looked at is a matter of the order in which their chunks come, and in one
statement it never has. So what was refused for a value is tried again once all chunks are done, as
an undo does it (docs/decisions/0061-values-passed-on.md). Products that take their values from each
other are not helped by that: they stay refused.
"""

from typing import Any, cast

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from structlog import get_logger

from catalog.operations import change_sets
from catalog.sql.acts import CHANGED_IN_KEYS
from catalog.sql.fields import is_taken
from catalog.sql.upsert import APPLY_SETTINGS, ConcurrentEdit, upsert
from imports.models import ImportJob, RowError
from imports.pipeline.finish import finish_import
from imports.pipeline.staged import is_outdated, staged_of
from imports.sql import staging
from product_importer.common import counters
from webhooks.operations.events import record_changed_products

logger = get_logger(__name__)

ROUNDS = 20  # each frees the next link of a chain
COUNTS = ("created", "updated", "unchanged")


def finish_applying(job_id: int) -> None:
    """Write what is free by now, and complete the job."""
    try:
        write_freed(job_id)
    except ConcurrentEdit:
        pass  # somebody edits these products right now: the records stay refused
    except IntegrityError as error:
        if not is_taken(error):
            raise
    finish_import(job_id)


@transaction.atomic
def write_freed(job_id: int) -> None:
    """Write the records that were refused for a value which nobody has any more.

    Of those that are listed: what was refused beyond that stays refused. Raises ``ConcurrentEdit``,
    and ``IntegrityError`` where somebody takes such a value this very moment.
    """
    job = ImportJob.objects.select_for_update(of=("self",)).get(pk=job_id)
    if job.status != ImportJob.Status.PROCESSING or job.stage != ImportJob.Stage.APPLYING:
        return
    refused = RowError.objects.filter(job=job, code="value_taken", while_applying=True)
    lines = sorted(refused.values_list("line", flat=True))
    if not lines:
        return
    with connection.cursor() as cursor:
        if not staging.holds_rows(cursor, job.pk) or is_outdated(job):
            return
        counts, left = _try_again(cursor, job, lines)
        written = sorted(set(lines) - set(left))
        if not written:
            return
        _tell(cursor, job, written)
    refused.filter(line__in=written).delete()
    changed = {name: F(name) + count for name, count in counts.items()}
    ImportJob.objects.filter(pk=job.pk).update(
        **changed,
        rejected=F("rejected") - len(written),
        shown=_shown(job.shown, counts, len(written)),
    )
    change_sets.count_changes(
        cast(int, job.change_set_id), created=counts["created"], updated=counts["updated"]
    )
    counters.add({f"records|{name}": count for name, count in counts.items()})
    logger.info("freed_values_written", job_id=job.pk, records=len(written))


def _try_again(
    cursor: CursorWrapper, job: ImportJob, lines: list[int]
) -> tuple[dict[str, int], list[int]]:
    """Write those of the lines that can be by now; how many were, and which are left."""
    counts = dict.fromkeys(COUNTS, 0)
    cursor.execute(APPLY_SETTINGS)
    for _ in range(ROUNDS):
        done = upsert(
            cursor,
            **staged_of(job, of_lines=True).taken,
            params={"lines": lines},
            change_set_id=cast(int, job.change_set_id),
            first_key="",
            end_key=None,
        )
        left = [line for line, *_ in done.taken]
        for name in COUNTS:
            counts[name] += getattr(done, name)
        if not left or len(left) == len(lines):
            break
        lines = left
    cursor.execute("SET LOCAL synchronous_commit = on")
    return counts, left


def _tell(cursor: CursorWrapper, job: ImportJob, lines: list[int]) -> None:
    """Tell outsiders of the products of these records."""
    record_changed_products(
        cursor,
        change_set_id=cast(int, job.change_set_id),
        source_sql=f"{CHANGED_IN_KEYS} AND {staging.products_of_lines(job.pk)}",
        params={
            "change_set": job.change_set_id,
            "first_key": "",
            "end_key": None,
            "lines": lines,
        },
    )


def _shown(shown: Any, counts: dict[str, int], written: int) -> Any:
    """What a review had shown, as it would have, had it known that the values become free."""
    if not shown:
        return shown
    told = shown["counts"]
    more = {name: told[name] + count for name, count in counts.items()}
    return {
        **shown,
        "counts": {**told, **more, "rejected": max(0, told["rejected"] - written)},
    }
