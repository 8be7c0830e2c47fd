"""Celery tasks. Each is a hint: look at this job, and do what its row says is due."""

from celery import shared_task

from imports import operations


@shared_task(name=operations.ADVANCE)
def advance(job_id: int) -> None:
    operations.advance_import(job_id)


@shared_task(name=operations.APPLY_CHUNKS)
def apply_chunks(job_id: int) -> None:
    operations.apply_chunks(job_id)


@shared_task(name=operations.TAKE_TURN)
def take_turn(change_set_id: int) -> None:
    operations.take_turn(change_set_id)


@shared_task(name="imports.sweep", ignore_result=True)
def sweep() -> None:
    operations.sweep_imports()
