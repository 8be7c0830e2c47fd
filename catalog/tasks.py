"""Celery tasks. Each is a hint: look at this change set, and do what its row says is due."""

from celery import shared_task

from catalog.operations import bulk, field_indexes, retention, search_index


@shared_task(name=bulk.RUN)
def run(change_set_id: int) -> None:
    bulk.run_bulk_act(change_set_id)


@shared_task(name="catalog.sweep", ignore_result=True)
def sweep() -> None:
    bulk.sweep_bulk_acts()


@shared_task(name="catalog.clear", ignore_result=True)
def clear() -> None:
    retention.clear_changes()


@shared_task(name=search_index.KEEP, ignore_result=True)
def keep_search_index() -> None:
    search_index.keep_search_index()


@shared_task(name=field_indexes.KEEP, ignore_result=True)
def keep_field_indexes() -> None:
    field_indexes.keep_field_indexes()
