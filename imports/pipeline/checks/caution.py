"""What a shopkeeper would want to know before an import happens, and which of it stops one.

An import without a review is looked at as a whole before it writes (``look``), for little. Where
something looks unusual, all of its records are compared (``imports.pipeline.compare``), and what
that finds decides: it waits for somebody, or goes on and warns.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from catalog.sql import compare
from catalog.sql.checks.caution import WIPED_SHARE, looks_unusual
from imports.models import ImportJob
from imports.pipeline import ordering
from imports.pipeline.checks import stop_rules
from imports.pipeline.stage import stage_again
from imports.pipeline.staged import is_outdated
from imports.sql import review, staging

EXAMPLES = 3  # named in a warning

Caution = ImportJob.Caution

Sums = dict[str, int]


@transaction.atomic
def look(job: ImportJob) -> bool:
    """See whether anything about a read job looks unusual, once, before it writes.

    Returns whether that is known; else another worker is at it, or the records have to be read
    again. One that is reviewed is seen by somebody anyway. Records whose ordering was put off are
    sifted by it.
    """
    if job.review or job.caution in (Caution.LOOKING, Caution.CLEAR):
        return True
    with connection.cursor() as cursor:
        staging.lock_job(cursor, job.pk)
        job.refresh_from_db()
        if job.status != ImportJob.Status.PROCESSING or job.stage != ImportJob.Stage.RESOLVING:
            return False  # cancelled, or another worker was quicker and goes on with it
        if job.caution in (Caution.LOOKING, Caution.CLEAR):
            return True
        put_off = ordering.is_put_off(job)
        if job.staged_records and (
            not staging.holds_rows(cursor, job.pk)
            or (put_off and is_outdated(job))  # else seen where it is applied
        ):
            stage_again(job)
            return False
        unusual = _look(cursor, job, put_off=put_off)
    mine = ImportJob.objects.filter(
        pk=job.pk,
        status=ImportJob.Status.PROCESSING,
        stage=ImportJob.Stage.RESOLVING,
        review=False,
        caution="",
    )
    found = Caution.LOOKING if unusual else Caution.CLEAR
    if not mine.update(caution=found, progress_at=timezone.now()):
        transaction.set_rollback(True)  # cancelled: all of its records are to stay staged
        return False
    job.refresh_from_db()
    return True


def _look(cursor: CursorWrapper, job: ImportJob, *, put_off: bool) -> bool:
    """Whether anything about a job's staged records looks unusual; orders what was put off."""
    usual = stop_rules.usual_for(cursor, job)
    table, sifted = staging.staging_table(job.pk), None
    if put_off:
        more_than = usual.more_than if usual else None
        table, sifted = ordering.sift_records(cursor, job, more_than=more_than)
    begun = job.change_set is not None and job.change_set.changed  # before a retry
    unusual = (
        not begun
        and job.staged_records > 0
        and looks_unusual(
            cursor,
            table=table,
            fields=job.layout["fields"].keys(),
            may_create=job.may_create,
            may_update=job.may_update,
            usual=usual,
            sifted=sifted,
        )
    ) or bool(not begun and stop_rules.reasons_before(job))
    if sifted is not None:
        ordering.settle(cursor, job, sifted, all_records=unusual)
    return unusual


# --- In words -------------------------------------------------------------------------


def reasons_to_stop(job: ImportJob, sums: Sums) -> list[str]:
    """Sentences on what looks so unusual that somebody should see it first."""
    found = stop_rules.reasons(job, sums)
    for name, flag, sentence in _REASONS:
        if sums[name]:
            found.append(sentence(sums[name], _flagged(job, flag)))
    if sums["wiped"] * WIPED_SHARE > sums["priced"]:
        rows = _flagged(job, compare.FLAG_WIPED)
        found.append(
            f"{_count(sums['wiped'], 'price is', 'prices are')} taken away, of {sums['priced']:,} "
            f"products with a price, for example {_skus(rows)}: the cells are blank. Leave the "
            "column out to keep the prices."
        )
    return found + _halves(sums, ("name",))


def further_warnings(job: ImportJob, sums: Sums) -> list[str]:
    """Sentences on what a review tells besides: it may well be meant."""
    found = _halves(sums, ("price", "description"))
    if sums["nameless"]:
        has_column = "name" in job.layout["fields"]
        why = "have no name in the file" if has_column else "the file has no name column"
        found.append(
            f"{_count(sums['nameless'], 'record is', 'records are')} not in the catalogue, and "
            f"{why}: refused, because a new product needs a name."
        )
    return found


def _halves(sums: Sums, fields: tuple[str, ...]) -> list[str]:
    met = sums["existing"]
    return [
        f"More than half of the {field}s change: {sums[field]:,} of {met:,} products that "
        "are in the catalogue. Is it the right file?"
        for field in fields
        if met > 1 and sums[field] * 2 > met
    ]


Rows = list[dict[str, Any]]


def _tenfold(count: int, rows: Rows) -> str:
    moves = ", ".join("{sku} from {old_price:,} to {price:,}".format(**row) for row in rows)
    return (
        f"{_count(count, 'price moves', 'prices move')} tenfold or more, for example {moves}. "
        "Perhaps a decimal point was lost."
    )


def _scientific(count: int, rows: Rows) -> str:
    example = f", for example {_skus(rows)}" if rows else ""
    return (
        f"{_count(count, 'SKU looks', 'SKUs look')} damaged by a spreadsheet"
        f"{example}: a long number was cut. Take the SKUs from the original file."
    )


def _lost_zeros(count: int, rows: Rows) -> str:
    return (
        f"{_count(count, 'new SKU has', 'new SKUs have')} lost the leading zeros that the same "
        f"number has in the catalogue, for example {_skus(rows)}: they would become second "
        "products."
    )


def _decimal(count: int, rows: Rows) -> str:
    return (
        f"{_count(count, 'new SKU ends', 'new SKUs end')} in .0, for example {_skus(rows)}: "
        "perhaps a program took the SKU for a number."
    )


def _date(count: int, rows: Rows) -> str:
    return (
        f"{_count(count, 'new SKU looks', 'new SKUs look')} like a date, for example "
        f"{_skus(rows)}: a spreadsheet makes that of SKUs like 2-12. Take the SKUs from the "
        "original file."
    )


def _alike(count: int, rows: Rows) -> str:
    return (
        f"{_count(count, 'new SKU differs', 'new SKUs differ')} from one in the catalogue only in "
        f"dashes, in the width of letters or in what cannot be seen, for example {_skus(rows)}: "
        "they would become second products."
    )


# A sum that is to be 0, the flag of its rows in a review, and what to say.
_REASONS: list[tuple[str, int, Callable[[int, Rows], str]]] = [
    ("tenfold", compare.FLAG_TENFOLD, _tenfold),
    ("scientific", compare.FLAG_SCIENTIFIC, _scientific),
    ("lost_zeros", compare.FLAG_LOST_ZEROS, _lost_zeros),
    ("decimal", compare.FLAG_DECIMAL, _decimal),
    ("date", compare.FLAG_DATE, _date),
    ("alike", compare.FLAG_ALIKE, _alike),
]


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _skus(rows: Rows) -> str:
    return ", ".join(row["sku"] for row in rows)


def _flagged(job: ImportJob, flag: int) -> Rows:
    with connection.cursor() as cursor:
        return review.read_review(
            cursor, job.pk, limit=EXAMPLES, filters=review.Filters(flags=flag)
        )
