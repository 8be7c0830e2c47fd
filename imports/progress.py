"""How far a job is: the bar, the rate and the time left. Pure arithmetic on the job's row."""

from dataclasses import dataclass
from datetime import datetime

from imports.models import ImportJob

Stage = ImportJob.Stage
Status = ImportJob.Status

# The share of a whole import that each stage takes, as measured (docs/performance.md): the bar
# and the time left follow the clock, not the number of stages.
READ_SHARE = 0.35
RESOLVE_SHARE = 0.05

WAITING_SECONDS = 3  # without progress, before the page says that the job waits


@dataclass(frozen=True)
class Step:
    """One of the named stages above the bar; ``state`` is done, current or ahead."""

    name: str
    state: str


@dataclass(frozen=True)
class Progress:
    """``fraction`` from 0 to 1, ``rate`` in records per second, times in seconds."""

    fraction: float
    rate: float | None
    seconds_left: float | None
    elapsed: float
    waiting: str
    steps: list[Step]

    @property
    def percent(self) -> int:
        return int(self.fraction * 100)


def progress_of(job: ImportJob, now: datetime) -> Progress:
    """The progress of a job at a time. The fraction never falls while a job goes on."""
    end = job.finished_at or now
    elapsed = (end - job.started_at).total_seconds() if job.started_at else 0.0
    fraction = _fraction(job)
    rate, left = _pace(job, fraction, elapsed, now)
    return Progress(
        fraction=fraction,
        rate=rate,
        seconds_left=left,
        elapsed=elapsed,
        waiting=_waiting(job, now),
        steps=_steps(job),
    )


def _fraction(job: ImportJob) -> float:
    if job.status == Status.COMPLETED:
        return 1.0
    if job.resolved_at is None:
        read = job.bytes_read / job.file_size if job.file_size else 1.0
        return READ_SHARE * min(1.0, read)
    before = READ_SHARE + RESOLVE_SHARE
    if not job.applying_at or not job.total_records:
        return before
    return before + (1.0 - before) * job.processed_records / job.total_records


def _pace(
    job: ImportJob, fraction: float, elapsed: float, now: datetime
) -> tuple[float | None, float | None]:
    """Records a second, and seconds left; nothing before there is something to go by."""
    if job.status == Status.COMPLETED:
        return (job.total_records / elapsed if elapsed > 0 else None), None
    if job.status != Status.PROCESSING or elapsed < 0.5:
        return None, None
    if job.applying_at:
        applying = (now - job.applying_at).total_seconds()
        applied = job.created + job.updated + job.unchanged + job.superseded + job.skipped
        if applying < 0.2 or not applied:
            return None, None
        rate = applied / applying
        return rate, (job.total_records - job.processed_records) / rate
    if job.resolved_at or not job.total_records or fraction <= 0:
        return None, None
    return job.total_records / elapsed, elapsed * (1 - fraction) / fraction


def _waiting(job: ImportJob, now: datetime) -> str:
    """A sentence why a job does not move, or nothing if it does."""
    if job.is_final or job.status == Status.AWAITING_REVIEW:
        return ""
    quiet = (now - job.progress_at).total_seconds()
    if quiet < WAITING_SECONDS:
        return ""
    if job.resolved_at and job.stage == Stage.RESOLVING:
        return "Read and checked. Waiting for an earlier import to finish writing."
    if job.stage == Stage.RESOLVING:
        return "Ordering all records by SKU. This step has no finer progress."
    return f"Waiting for a worker for {quiet:.0f} s."


def _steps(job: ImportJob) -> list[Step]:
    names = ["Upload", "Read", "Check duplicates", "Apply"]
    if job.status == Status.COMPLETED:
        current = len(names)
    elif job.applying_at:
        current = 3
    elif job.stage == Stage.RESOLVING:
        current = 2
    else:
        current = 1
    return [
        Step(name, "done" if i < current else "current" if i == current else "ahead")
        for i, name in enumerate(names)
    ]
