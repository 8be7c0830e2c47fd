"""Chunks, spread over the workers: which one is next, and what happens when one always fails.

A review compares each chunk, an import applies it; both are one transaction per chunk, and
both are carried by the same messages.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from structlog.contextvars import bind_contextvars, unbind_contextvars

from imports.models import ImportChunk, ImportJob
from imports.pipeline import apply, compare
from imports.pipeline.finish import ATTEMPTS, fail_import
from imports.pipeline.passed_on import finish_applying
from imports.task_names import RUN_CHUNKS
from product_importer.common.enqueue import send_after_commit

Status = ImportJob.Status
Stage = ImportJob.Stage

CLAIM_SECONDS = 5  # between claiming a chunk and locking it; then the claimant is dead
RUN_SECONDS = 2.0  # of chunks per task
PARALLEL_RUNS = 16  # tasks that work on one job's chunks at a time, over all workers

# What is left to do in a stage, how a chunk of it is done, and what comes after the last one.
_LEFT = {Stage.COMPARING: Q(compared__isnull=True), Stage.APPLYING: Q(done_at=None)}
_DO: dict[str, Callable[[ImportChunk], None]] = {
    Stage.COMPARING: compare.compare_chunk,
    Stage.APPLYING: apply.apply_chunk,
}
_AFTER: dict[str, Callable[[int], None]] = {
    Stage.COMPARING: compare.finish_comparing,
    Stage.APPLYING: finish_applying,
}


def start_runs(job: ImportJob) -> None:
    """Wake as many workers as the job can use; without chunks the stage is over at once."""
    left = _LEFT.get(Stage(job.stage))
    if job.status != Status.PROCESSING or left is None:
        return
    waiting = job.chunks.filter(left).count()
    if not waiting:
        _AFTER[job.stage](job.pk)
    for _ in range(min(waiting, PARALLEL_RUNS)):
        send_after_commit(RUN_CHUNKS, job.pk)


def run_chunks(job_id: int, *, seconds: float = RUN_SECONDS) -> None:
    """Do chunks of a job's stage until none is free or the time is up; then pass the baton."""
    job = ImportJob.objects.filter(pk=job_id, status=Status.PROCESSING).first()
    if job is None or job.stage not in _LEFT:
        return
    bind_contextvars(**job.log_context)
    stage = Stage(job.stage)
    deadline = time.monotonic() + seconds
    while chunk := claim_chunk(job_id, stage):
        if chunk.attempts > ATTEMPTS:
            _give_up(chunk, stage)
            return
        bind_contextvars(chunk=chunk.number, attempt=chunk.attempts)
        try:
            _DO[stage](chunk)
        except Exception as error:
            # Kept for the message that the job fails with; the worker's log and the task's
            # result have it whole.
            ImportChunk.objects.filter(pk=chunk.pk).update(error=str(error)[:2000], claimed_at=None)
            if not isinstance(error, OperationalError):
                send_after_commit(RUN_CHUNKS, job_id)  # waiting would not help
            raise
        unbind_contextvars("chunk", "attempt")
        if time.monotonic() > deadline:
            send_after_commit(RUN_CHUNKS, job_id)
            return
    if not ImportChunk.objects.filter(_LEFT[stage], job=job_id).exists():
        _AFTER[stage](job_id)


def claim_chunk(job_id: int, stage: ImportJob.Stage) -> ImportChunk | None:
    """Count an attempt at the next chunk that nobody works on.

    While a chunk is at work, its row is locked. The claim bridges the moment before that, and
    is why an attempt of a worker that was killed counts.
    """
    expired = timezone.now() - timedelta(seconds=CLAIM_SECONDS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        chunk = (
            ImportChunk.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(
                _LEFT[stage],
                Q(claimed_at=None) | Q(claimed_at__lt=expired),
                job=job_id,
                job__status=Status.PROCESSING,
                job__stage=stage,
            )
            .order_by("attempts", "number")
            .first()
        )
        if chunk is not None:
            chunk.attempts += 1
            chunk.claimed_at = timezone.now()
            chunk.save(update_fields=["attempts", "claimed_at"])
        return chunk


def _give_up(chunk: ImportChunk, stage: ImportJob.Stage) -> None:
    """Fail the job of a chunk that always fails, with the record that it fails for."""
    what = "Comparing" if stage == Stage.COMPARING else "Applying"
    kept = "" if stage == Stage.COMPARING else " What was applied before stays in the catalogue."
    poison = apply.find_poison(chunk) if stage == Stage.APPLYING and chunk.error else None
    if poison is not None:
        message = (
            f"Line {poison.line:,} (SKU “{poison.sku}”) cannot be written: {poison.reason}. "
            f"Mend it, and upload the file again; or see to the reason, and retry the import.{kept}"
        )
    else:
        first = f"the SKUs from “{chunk.first_key}” on" if chunk.first_key else "the first SKUs"
        reason = f": {chunk.error}" if chunk.error else "; the worker was killed each time"
        message = f"{what} {first} failed {ATTEMPTS} times{reason}.{kept}"
    fail_import(chunk.job_id, message)
