"""Celery tasks. Each is a hint: look at this job, and do what its row says is due."""

from celery import shared_task

from imports import task_names
from imports.operations import jobs, retention, uploads
from imports.operations.feeds.schedule import sweep_feeds
from imports.operations.notices import sending
from imports.readers.csv import shared_reading


@shared_task(name=task_names.ADVANCE)
def advance(job_id: int) -> None:
    jobs.advance_import(job_id)


@shared_task(name=task_names.HELP_READING, ignore_result=True)
def help_reading(name: str) -> None:
    shared_reading.help_reading(name)


@shared_task(name=task_names.RUN_CHUNKS)
def run_chunks(job_id: int) -> None:
    jobs.run_chunks(job_id)


@shared_task(name=task_names.TAKE_TURN)
def take_turn(change_set_id: int) -> None:
    jobs.take_turn(change_set_id)


@shared_task(name="imports.sweep", ignore_result=True)
def sweep() -> None:
    try:
        jobs.sweep_imports()
    finally:
        sweep_feeds()


@shared_task(name=task_names.FETCH_FEEDS, ignore_result=True)
def fetch_feeds() -> None:
    # Only now: requests and cryptography are 10 MB in each process that loads them, and those
    # that a worker's first process has loaded are in its children as well.
    from imports.operations.feeds import runs

    runs.fetch_feeds()


@shared_task(name="imports.clear", ignore_result=True)
def clear() -> None:
    try:
        retention.clear_uploads()
    finally:
        retention.clear_details()
        retention.clear_feed_runs()
        retention.clear_notices()


@shared_task(name="imports.send_notices", ignore_result=True)
def send_notices() -> None:
    sending.send_notices()


@shared_task(name="imports.clear_uploads", ignore_result=True)
def clear_uploads() -> None:
    uploads.clear_uploads()
