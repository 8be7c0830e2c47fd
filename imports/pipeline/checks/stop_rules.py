"""What is usual for a supplier: an import that is not waits for somebody, with the reason first.

Some of the rules know enough once the file is read; for the others all of its records are
looked at, and compared where that look sees more than half of what is too much
(``imports.pipeline.checks.caution``).
"""

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from catalog.sql.checks.caution import Seen, Usual
from catalog.sql.checks.missing import sets_of
from imports.mapping.matching.aliases import keys_of
from imports.models import ImportJob, Supplier
from imports.models.job_fields import JobFields
from imports.pipeline.checks import missing
from imports.queries.outcomes import tell_undone
from imports.sql import review

LOOKED_BACK = 10  # imports, for the last one that stands
NAMED = 5  # columns in a sentence


def second_person_looks(job: ImportJob) -> bool:
    """Whether somebody else than who uploaded the file has to look at what is unusual in it.

    Then nobody can have it only warned of.
    """
    return job.supplier is not None and job.supplier.second_person


# --- Before anything is compared ------------------------------------------------------


def usual_for(cursor: CursorWrapper, job: ImportJob) -> Usual | None:
    """What a quick look at a job's records is to find usual; ``None`` without a supplier."""
    supplier = job.supplier
    if supplier is None:
        return None
    is_first = last_import(job) is None
    full = job.looks_for_missing
    return Usual(
        is_unusual=lambda seen: _may_be_unusual(job, supplier, seen, is_first=is_first),
        more_than=None if supplier.stop_price_share is None else supplier.stop_price_change,
        brought_in=sets_of(cursor, supplier.pk, exclude=job.change_set_id) if full else (),
        condition=missing.condition_of(job, "stored"),
        params=missing.value_params(job),
    )


def _may_be_unusual(job: ImportJob, supplier: Supplier, seen: Seen, *, is_first: bool) -> bool:
    new = seen.records - seen.met if job.mode != ImportJob.Mode.UPDATE_ONLY else 0
    refused = job.rejected + min(seen.nameless, new)
    return (
        _over(refused, supplier.stop_refused, job.total_records)
        or _over(2 * seen.moved, supplier.stop_price_share, seen.priced)
        or _over(2 * seen.missing, supplier.stop_missing, seen.brought_in)
        or (not is_first and _over(2 * new, supplier.stop_created, seen.records))
    )


def reasons_before(job: ImportJob) -> list[str]:
    """Why a file that is read has to wait, whatever it would change; none without a supplier."""
    supplier = job.supplier
    if supplier is None:
        return []
    told = (_overtaken(job, supplier), _too_old(job, supplier))
    found = [sentence for sentence in told if sentence]
    if _over(job.rejected, supplier.stop_refused, job.total_records):
        found.append(_refused(job.rejected, job.total_records, supplier))
    last = last_import(job)
    if last is None:
        return found
    fewer = last.total_records - job.total_records
    if fewer > 0 and _over(fewer, supplier.stop_fewer, last.total_records):
        found.append(
            f"The file has {_share(fewer, last.total_records)} fewer records than the last one: "
            f"{job.total_records:,}, and {last.total_records:,} in {last.file_name[:100]}. Usual "
            f"are at most {supplier.stop_fewer} % fewer."
        )
    if supplier.stop_columns and (changed := _columns_changed(last, job)):
        found.append(changed)
    return found


def _too_old(job: ImportJob, supplier: Supplier) -> str:
    if job.file_modified_at is None or supplier.stop_age is None:
        return ""
    days = (job.created_at - job.file_modified_at).days
    if days <= supplier.stop_age:
        return ""
    return (
        f"The file is {days:,} days old: it was last changed on "
        f"{job.file_modified_at:%Y-%m-%d}. Usual are at most {supplier.stop_age:,} days."
    )


def _overtaken(job: ImportJob, supplier: Supplier) -> str:
    """Why a job would put back what was before: a newer file of its kind is imported already.

    Of the same feed, or without one of the same name: a supplier may have several files.
    """
    if supplier.stop_age is None:
        return ""
    file: JobFields = job
    while file.mends is not None:  # its records are as old as the file that they are from
        file = file.mends
    others = ImportJob.objects.filter(
        supplier=supplier, status=ImportJob.Status.COMPLETED, mends=None, feed=file.feed_id
    ).exclude(pk=file.pk)
    if file.feed_id is None:
        others = others.filter(file_name=file.file_name)
    last = _standing(others)
    if last is None:
        return ""
    if last.pk > file.pk:
        return (
            f"A newer file was imported since this one came: {last.file_name[:100]}, of "
            f"{last.created_at:%Y-%m-%d %H:%M} UTC. This one would put back what was before."
        )
    was, now = last.file_modified_at, file.file_modified_at
    if was is None or now is None or now >= was:
        return ""
    return (
        f"The file is older than the last one: it was last changed on {now:%Y-%m-%d %H:%M} UTC, "
        f"and {last.file_name[:100]}, which is imported, on {was:%Y-%m-%d %H:%M} UTC."
    )


def lock_reviews(job: ImportJob) -> list[ImportJob]:
    """The other imports of a job's supplier that wait to be applied, locked.

    Not one that somebody deals with at this very moment: the job's row is locked already, and two
    that waited for each other would not end. Run inside the transaction that ends the job.
    """
    if job.supplier_id is None:
        return []
    locked = ImportJob.objects.select_for_update(of=("self",), skip_locked=True)
    of_supplier = locked.filter(supplier=job.supplier_id, status=ImportJob.Status.AWAITING_REVIEW)
    return list(of_supplier.exclude(pk=job.pk).select_related("supplier").order_by("pk"))


def tell_overtaken(reviews: list[ImportJob]) -> None:
    """Tell those that wait for somebody that a newer file was imported, with this reason first.

    Whoever has seen one before looks at it again: its review has another version then.
    """
    for job in reviews:
        told = _overtaken(job, job.supplier) if job.supplier else ""
        if not told or told in job.warnings:
            continue
        job.warnings = [told, *job.warnings]
        job.shown = {**job.shown, "warnings": [told, *job.shown.get("warnings", [])]}
        job.review_version += 1
        job.save(update_fields=["warnings", "shown", "review_version"])


def _columns_changed(last: ImportJob, job: ImportJob) -> str:
    was, now = last.layout.get("header", []), job.layout.get("header", [])
    # As a format is recognised: in any order and spelling.
    was_keys, now_keys = keys_of(was), keys_of(now)
    gone = [name for name, key in zip(was, was_keys, strict=True) if key not in now_keys]
    new = [name for name, key in zip(now, now_keys, strict=True) if key not in was_keys]
    parts = [
        f"{what} {', '.join(f'“{name[:40]}”' for name in names[:NAMED])}"
        + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
        for what, names in (("gone:", gone), ("new:", new))
        if names
    ]
    if not parts:
        return ""
    return f"The file has other columns than the last one, {last.file_name[:100]}; " + (
        f"{'; '.join(parts)}."
    )


# --- Once all is compared -------------------------------------------------------------


def reasons(job: ImportJob, sums: dict[str, int]) -> list[str]:
    """Sentences on what is not usual for a job's supplier, by the exact sums of a review."""
    supplier = job.supplier
    if supplier is None:
        return []
    found = reasons_before(job)
    refused = refused_in(job, sums)
    if refused > job.rejected and _over(refused, supplier.stop_refused, job.total_records):
        if _over(job.rejected, supplier.stop_refused, job.total_records):
            found.remove(_refused(job.rejected, job.total_records, supplier))
        found.insert(0, _refused(refused, job.total_records, supplier))
    if gone := sums["missing"]:
        of = missing.brought_in(job)
        if _over(gone, supplier.stop_missing, of):
            found.append(
                f"{gone:,} of the {of:,} products that {supplier} brought in are not in the full "
                f"list ({_share(gone, of)}). Usual are at most {supplier.stop_missing} %."
            )
    if told := _prices(job, supplier, sums):
        found.append(told)
    counted = sums["total"] - sums["superseded"]
    if _over(sums["created"], supplier.stop_created, counted) and last_import(job) is not None:
        found.append(
            f"{sums['created']:,} of {counted:,} products in the file are new "
            f"({_share(sums['created'], counted)}). Usual are at most {supplier.stop_created} %."
        )
    return found


def refused_in(job: ImportJob, sums: dict[str, int]) -> int:
    """The records that are refused: when the file was read, and by what the catalogue says."""
    return job.rejected + sums["nameless"] + sums["taken"] + sums["unmatched"]


def _prices(job: ImportJob, supplier: Supplier, sums: dict[str, int]) -> str:
    if supplier.stop_price_change is None or supplier.stop_price_share is None:
        return ""
    if not _over(sums["price"], supplier.stop_price_share, sums["priced"]):
        return ""
    with connection.cursor() as cursor:
        filters = review.Filters(more_than=supplier.stop_price_change)
        moved = review.count_review(cursor, job.pk, filters)
    if not _over(moved, supplier.stop_price_share, sums["priced"]):
        return ""
    return (
        f"{moved:,} of {sums['priced']:,} prices change by more than "
        f"{supplier.stop_price_change} % ({_share(moved, sums['priced'])}). Usual are at most "
        f"{supplier.stop_price_share} % of them."
    )


def _refused(refused: int, of: int, supplier: Supplier) -> str:
    return (
        f"{refused:,} of {of:,} records were refused ({_share(refused, of)}). Usual are at most "
        f"{supplier.stop_refused} %."
    )


# --- What both ask --------------------------------------------------------------------


def last_import(job: ImportJob) -> ImportJob | None:
    """The last import of such a file of the same supplier that was completed and still stands.

    Mended records have none: they are a few of a file that was compared with it.
    """
    if job.mends_id is not None:
        return None
    before = ImportJob.objects.filter(
        supplier=job.supplier_id, status=ImportJob.Status.COMPLETED, mends=None
    ).exclude(pk=job.pk)
    if job.format_id is not None:
        before = before.filter(format=job.format_id)
    return _standing(before)


def _standing(jobs: "QuerySet[ImportJob]") -> ImportJob | None:
    """The newest of these that was not undone, and has imported something."""
    shown = jobs.defer("rules", "found", "checkpoint", "shown", "differing_skus")
    for one in tell_undone(shown.order_by("-pk")[:LOOKED_BACK]):
        if one.undone_by is None and not one.imported_nothing:
            return one
    return None


def _over(count: int, bound: int | None, of: int) -> bool:
    """Whether a count is more than so many per cent; without a bound it never is."""
    return bound is not None and count * 100 > bound * of


def _share(count: int, of: int) -> str:
    """A share in words: whole per cent, but never “0 %” of something."""
    percent = 100 * count / of if of else 100
    return f"{percent:.0f} %" if percent >= 1 else "less than 1 %"
