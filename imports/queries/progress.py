"""How far a job is: the bar, the rate and the time left. Pure arithmetic on the job's row."""

from dataclasses import dataclass
from datetime import datetime

from imports.models import ImportJob

Stage = ImportJob.Stage
Status = ImportJob.Status

# How the time of a whole import divides, as measured (docs/performance.md): the bar and the time
# left follow the clock, not the number of stages. With a review, comparing takes its part.
READ_SHARE = {False: 0.35, True: 0.30}
UNPACK_SHARE = 0.5  # of reading, for a file that is unpacked before
RESOLVE_SHARE = 0.05
COMPARE_SHARE = {False: 0.0, True: 0.20}

ORDERING_SECONDS = 60  # that ordering may take without progress; then nobody is at it
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
    elapsed = _elapsed(job, now)
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


def _elapsed(job: ImportJob, now: datetime) -> float:
    """Seconds of work: without those that the job waited for people."""
    if job.started_at is None:
        return 0.0
    end = job.finished_at or now
    if job.unclear_at is not None:
        end = min(end, job.unclear_at)
    if job.compared_at is not None and job.approved_at is None:
        end = min(end, job.compared_at)
    return max(0.0, (end - job.started_at).total_seconds() - job.paused_seconds)


def _fraction(job: ImportJob) -> float:
    if job.status == Status.COMPLETED:
        return 1.0
    reading = READ_SHARE[job.review]
    if job.resolved_at is None:
        if job.stage == Stage.UNPACKING:
            return reading * UNPACK_SHARE * min(1.0, job.bytes_read / max(1, job.file_size))
        read = min(1.0, job.bytes_read / job.readable_size) if job.readable_size else 1.0
        return reading * (1 - (1 - read) * (1 - UNPACK_SHARE) if job.table else read)
    before = reading + RESOLVE_SHARE
    if not job.total_records:
        return before
    if not job.is_approved:
        return before + COMPARE_SHARE[True] * job.compared_records / job.total_records
    before += COMPARE_SHARE[job.review]
    if job.stage not in (Stage.APPLYING, Stage.FINISHING):
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
    if job.stage == Stage.APPLYING and job.applying_at:
        return _rate(
            since=job.applying_at,
            now=now,
            done=job.processed_records - job.applying_from,
            left=job.total_records - job.processed_records,
        )
    if job.stage == Stage.COMPARING and job.is_to_compare and job.comparing_at:
        return _rate(
            since=job.comparing_at,
            now=now,
            done=job.compared_records,
            left=job.total_records - job.compared_records,
        )
    if job.resolved_at or not job.total_records or fraction <= 0 or job.paused_seconds:
        return None, None
    whole = 1.0
    if not job.is_approved:  # to the review
        whole = READ_SHARE[True] + RESOLVE_SHARE + COMPARE_SHARE[True]
    return job.total_records / elapsed, elapsed * max(0.0, whole - fraction) / fraction


def _rate(
    *, since: datetime, now: datetime, done: int, left: int
) -> tuple[float | None, float | None]:
    seconds = (now - since).total_seconds()
    if seconds < 0.2 or done <= 0:
        return None, None
    return done / seconds, left * seconds / done


def _waiting(job: ImportJob, now: datetime) -> str:
    """A sentence why a job does not move, or nothing if it does."""
    if job.is_final or job.status in job.AWAITING:
        return ""
    quiet = (now - job.progress_at).total_seconds()
    if quiet < WAITING_SECONDS:
        return ""
    waits_for_turn = job.stage in (Stage.RESOLVING, Stage.COMPARING) and not job.is_to_compare
    if job.resolved_at and waits_for_turn:
        return f"Ready to apply. Waiting for its turn to write to the catalogue for {quiet:.0f} s."
    if job.stage == Stage.RESOLVING and quiet < ORDERING_SECONDS:
        return "Ordering all records by SKU. This step has no finer progress."
    return f"Waiting for a worker for {quiet:.0f} s."


def _steps(job: ImportJob) -> list[Step]:
    looks = job.stage == Stage.COMPARING and job.is_to_compare
    unpacks = job.stage == Stage.UNPACKING and job.bytes_read > 0
    has = {
        "Unpack": bool(job.table) or unpacks,
        "Match columns": bool(job.unclear_at or job.mapped_at),  # where somebody is, or was, asked
        "Review": job.review or looks,
    }
    every = ("Upload", "Unpack", "Match columns", "Read", "Check duplicates", "Review", "Apply")
    names = [name for name in every if has.get(name, True)]
    current = names.index(_current_step(job, looks=looks, unpacks=unpacks))
    if job.status == Status.COMPLETED:
        current = len(names)
    return [
        Step(name, "done" if i < current else "current" if i == current else "ahead")
        for i, name in enumerate(names)
    ]


def _current_step(job: ImportJob, *, looks: bool, unpacks: bool) -> str:
    if job.unclear_at:
        return "Match columns"
    if unpacks:
        return "Unpack"
    if job.stage == Stage.RESOLVING:
        return "Check duplicates"
    if looks:
        return "Review"
    return "Apply" if job.stage in (Stage.COMPARING, Stage.APPLYING, Stage.FINISHING) else "Read"
