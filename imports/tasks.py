"""Celery tasks. Each is a hint: look at this job, and do what its row says is due."""

from celery import shared_task

from imports import clearing, direct, operations, task_names


@shared_task(name=task_names.ADVANCE)
def advance(job_id: int) -> None:
    operations.advance_import(job_id)


@shared_task(name=task_names.RUN_CHUNKS)
def run_chunks(job_id: int) -> None:
    operations.run_chunks(job_id)


@shared_task(name=task_names.TAKE_TURN)
def take_turn(change_set_id: int) -> None:
    operations.take_turn(change_set_id)


@shared_task(name="imports.sweep", ignore_result=True)
def sweep() -> None:
    operations.sweep_imports()


@shared_task(name="imports.clear", ignore_result=True)
def clear() -> None:
    try:
        clearing.clear_uploads()
    finally:
        clearing.clear_details()


@shared_task(name="imports.clear_uploads", ignore_result=True)
def clear_uploads() -> None:
    direct.clear_uploads()
