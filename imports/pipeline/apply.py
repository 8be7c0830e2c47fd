"""From staging to the catalogue: the stage “apply”, one chunk and one transaction at a time."""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from structlog import get_logger

from catalog.models import ChangeSet
from catalog.operations import change_sets, fields
from catalog.queries.own_fields.fields import skus_by_value
from catalog.sql.acts import CHANGED_IN_KEYS
from catalog.sql.compare import MISSING, differing_skus
from catalog.sql.fields import is_taken
from catalog.sql.upsert import APPLY_SETTINGS, ConcurrentEdit, Upserted, upsert
from imports.models import ImportChunk, ImportJob
from imports.pipeline.checks.missing import Gone, apply_missing, note_supplier
from imports.pipeline.compare import comparison
from imports.pipeline.finish import Overtaken
from imports.pipeline.staged import Staged, lock_chunk, staged_of
from imports.readers.csv import Layout, cells_of
from imports.readers.csv.cells import nameless, taken, unmatched
from imports.sql import review, staging
from product_importer.common import counters
from webhooks.operations.events import record_changed_products

Status = ImportJob.Status
Stage = ImportJob.Stage

logger = get_logger(__name__)

EDIT_RETRIES = 20  # of one chunk whose products are being edited at the same time
EXAMPLES = 5  # SKUs named for what turned out differently than the review showed


def take_turn(job: ImportJob) -> bool:
    """Whether it is this job's turn to write; else whoever finishes before it wakes it."""
    if job.change_set is None:
        with transaction.atomic():
            locked = ImportJob.objects.select_for_update(of=("self",)).get(pk=job.pk)
            if locked.change_set_id is None:
                locked.change_set = change_sets.open_change_set(
                    kind=ChangeSet.Kind.IMPORT,
                    actor=job.retried_by or job.approved_by or job.created_by,
                )
                locked.save(update_fields=["change_set"])
        job.refresh_from_db()
    return change_sets.take_turn(cast(ChangeSet, job.change_set))


def begin_applying(job: ImportJob) -> None:
    """Start to write. The job has its turn. Raises ``ValueError`` for what its words cannot be."""
    if job.layout.get("own"):  # else it has no lists
        _add_choices(job)
    note_supplier(job)
    now = timezone.now()
    ImportJob.objects.filter(
        pk=job.pk,
        status=Status.PROCESSING,
        stage__in=(Stage.RESOLVING, Stage.COMPARING),
        resolved_at__isnull=False,
    ).update(
        stage=Stage.APPLYING,
        applying_at=now,
        applying_from=F("processed_records"),
        progress_at=now,
    )
    job.refresh_from_db()


def _add_choices(job: ImportJob) -> None:
    """Have the lists of own fields take the new words of a file whose rules say so."""
    for key in job.lists_it_adds_to:
        with transaction.atomic(), connection.cursor() as cursor:
            if not staging.holds_rows(cursor, job.pk):
                return  # found out again where they are applied
            spelling = fields.add_choices(key=key, words=staging.own_words(cursor, job.pk, key))
            if spelling:
                staging.respell(cursor, job.pk, key, spelling)


def apply_chunk(chunk: ImportChunk) -> None:
    """Write one chunk: its products, their values before, its counts, its done mark.

    One transaction. Does nothing if the chunk is done; waits for a worker that is at it.
    """
    for _ in range(EDIT_RETRIES):
        try:
            if figures := _apply_chunk_once(chunk):
                logger.info("chunk_applied", **figures)
            return
        except ConcurrentEdit:
            continue  # somebody edited one of its products: compare again with what is there now
        except IntegrityError as error:
            if not is_taken(error):
                raise
            continue  # another product was given a value of a unique field this very moment
        except Overtaken:
            return  # cancelled: what this one did is taken back
    raise ConcurrentEdit(f"the products of chunk {chunk.number} keep changing")


@transaction.atomic
def _apply_chunk_once(chunk: ImportChunk) -> dict[str, float]:
    """Return the chunk's counts and ``seconds``, or nothing where there was nothing to do."""
    started = time.monotonic()
    with connection.cursor() as cursor:
        mine = ImportChunk.objects.filter(pk=chunk.pk, done_at=None)
        staged = lock_chunk(cursor, mine, Stage.APPLYING)
        if staged is None:
            return {}
        job = staged.job
        differing = _differing(staged, chunk)
        result = _upsert(staged, chunk, chunk.first_key, chunk.end_key)
        unmatched_rows = staged.unmatched(cursor, chunk) if staged.found_by else []
        gone = apply_missing(cursor, job, chunk) if job.full_list else Gone()
        if result.created or result.updated or gone.updated:
            record_changed_products(
                cursor,
                change_set_id=cast(int, job.change_set_id),
                source_sql=CHANGED_IN_KEYS,
                params={
                    "change_set": job.change_set_id,
                    "first_key": chunk.first_key,
                    "end_key": chunk.end_key,
                },
            )
    counts = {
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "superseded": result.superseded,
        "skipped": result.skipped,
        "rejected": len(result.nameless) + len(result.taken) + len(unmatched_rows),
    }
    missing = gone.updated + gone.deleted
    left_out = _keep_refused(job, result, unmatched_rows)
    seconds = time.monotonic() - started
    mine.update(done_at=timezone.now(), seconds=seconds, error="", refused_lines=left_out)
    # Last, because from here to the commit the other workers' chunks wait for these rows.
    moved = ImportJob.objects.filter(
        pk=job.pk, status=Status.PROCESSING, stage=Stage.APPLYING
    ).update(
        **{name: F(name) + count for name, count in counts.items()},
        missing=F("missing") + missing,
        processed_records=F("processed_records") + sum(counts.values()),
        differing=F("differing") + len(differing),
        progress_at=timezone.now(),
    )
    if not moved:
        raise Overtaken(f"job {job.pk} is no longer applied")
    if left_out:
        warnings = ImportJob.objects.values_list("warnings", flat=True).get(pk=job.pk)
        if staging.PARTLY_KEPT not in warnings:
            ImportJob.objects.filter(pk=job.pk).update(warnings=[*warnings, staging.PARTLY_KEPT])
    if differing:
        told = ImportJob.objects.values_list("differing_skus", flat=True).get(pk=job.pk)
        ImportJob.objects.filter(pk=job.pk).update(
            differing_skus=[*told, *differing[: EXAMPLES - len(told)]]
        )
    change_sets.count_changes(
        cast(int, job.change_set_id),
        created=result.created,
        updated=result.updated + gone.updated,
        deleted=gone.deleted,
    )
    records = {f"records|{outcome}": count for outcome, count in counts.items()}
    counters.add(records, {counters.CHUNK_SECONDS: [seconds]})
    return {**counts, "missing": missing, "seconds": round(seconds, 3)}


def _upsert(staged: Staged, chunk: ImportChunk, first_key: str, end_key: str | None) -> Upserted:
    """Write a range of a chunk's SKUs; what was left out of the review is skipped."""
    job, source, left_out = staged.job, staged.taken["source"], 0
    if job.review and job.left_out:
        source = review.without_left_out(source, job.pk, chunk.number)
        left_out = job.left_out_records.filter(chunk=chunk.number).exclude(action=MISSING).count()
    with connection.cursor() as cursor:
        result = upsert(
            cursor,
            **{**staged.taken, "source": source},
            more=staging.RECORD_SUPERSEDED,
            params={"job": job.pk, "details": staging.DETAILS_ROWS},
            change_set_id=cast(int, job.change_set_id),
            first_key=first_key,
            end_key=end_key,
        )
    return replace(result, skipped=result.skipped + left_out)


def _differing(staged: Staged, chunk: ImportChunk) -> list[str]:
    """The SKUs that turn out differently than the review showed; mostly nothing has changed."""
    job = staged.job
    if not job.review or job.comparing_at is None:
        return []
    if not change_sets.changed_since(job.comparing_at, exclude=job.change_set):
        return []
    compared = comparison(staged, chunk)
    compared["source"] = review.without_left_out(compared["source"], job.pk, chunk.number)
    against = review.shown_without_left_out(job.pk, chunk.number)
    with connection.cursor() as cursor:
        return differing_skus(cursor, **compared, against=against)


def _keep_refused(
    job: ImportJob, result: Upserted, unmatched_rows: list[tuple[int, str, str, str]]
) -> list[int] | None:
    """Keep the refused records of a chunk; return the lines of those there was no room for."""
    if not result.nameless and not result.taken and not unmatched_rows:
        return None
    has_column = "name" in job.layout["fields"]
    cells = partial(cells_of, layout=Layout(**job.layout))
    problems = [
        nameless(line, cells(record), has_column=has_column) for line, record in result.nameless
    ]
    labels = {one["key"]: one["label"] for one in job.layout.get("own", ())}

    def told(key: str, value: str) -> dict[str, str]:
        place = job.layout["fields"][f"fields.{key}"]
        column = job.layout["header"][place] if place >= 0 else ""
        return {"label": labels[key], "value": value, "column": column}

    holders = _holders(job, result)
    for line, record, key, value in result.taken:
        holder, passes_on = holders.get((key, value), ("", False))
        whose = told(key, value)
        refused = taken(line, cells(record), holder=holder, passes_on=passes_on, **whose)
        problems.append(refused)
    for line, record, value, reason in unmatched_rows:
        why, _, skus = reason.partition(":")
        key = job.found_by
        refused = unmatched(line, cells(record), **told(key, value), why=why, skus=skus)
        problems.append(refused)
    problems.sort(key=lambda problem: problem.line)
    width = len(job.layout["header"])
    with connection.cursor() as cursor:
        kept = staging.keep_problems(cursor, job.pk, problems, width=width, while_applying=True)
    return [problem.line for problem in problems[kept:]] or None


def _holders(job: ImportJob, result: Upserted) -> dict[tuple[str, str], tuple[str, bool]]:
    """Which products have the values that were refused, by key and value: the SKU, and whether
    the file gives the product another one."""
    found = {}
    for key in {key for _, _, key, _ in result.taken}:
        skus = skus_by_value(key, {value for _, _, one, value in result.taken if one == key})
        with connection.cursor() as cursor:
            given = staging.given_values(cursor, job.pk, key, [of[0] for of in skus.values()])
        for value, (sku, *_) in skus.items():
            passes_on = sku in given and given[sku] != value and job.may_update
            found[key, value] = (sku, passes_on)
    return found


# --- Poison ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Poison:
    """A record that cannot be written, and why."""

    line: int
    sku: str
    reason: str


def find_poison(chunk: ImportChunk) -> Poison | None:
    """Find the record that a chunk fails for, by applying ever smaller parts of it.

    Everything is rolled back. ``None`` if the chunk does not fail now, or not for a record.
    """
    job = chunk.job
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(APPLY_SETTINGS)
        keys = staging.chunk_keys(cursor, job.pk, chunk.first_key, chunk.end_key)
        staged = staged_of(job)
        reason = _refusal(staged, chunk, chunk.first_key, chunk.end_key)
        if reason is None or not keys:
            return None
        low, high = 0, len(keys)
        while high - low > 1:
            middle = (low + high) // 2
            found = _refusal(staged, chunk, keys[low][0], keys[middle][0])
            if found is None:
                low = middle
            else:
                reason, high = found, middle
        return Poison(line=keys[low][1], sku=keys[low][2], reason=reason)


def _refusal(staged: Staged, chunk: ImportChunk, first_key: str, end_key: str | None) -> str | None:
    """Why a range of SKUs cannot be written, or ``None`` if it can."""
    try:
        with transaction.atomic():
            _upsert(staged, chunk, first_key, end_key)
            transaction.set_rollback(True)
    except ConcurrentEdit:
        return None
    except Exception as error:
        # Whatever it is, a defect of ours too: the job has to end, and to say what it ends for.
        return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return None
