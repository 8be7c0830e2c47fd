"""Celery tasks. Each is a hint: look whether deliveries are due."""

from celery import shared_task

from webhooks import queries, task_names
from webhooks.operations import retention


@shared_task(name=task_names.DISPATCH, ignore_result=True)
def dispatch_deliveries() -> None:
    if not queries.pending_deliveries(limit=1):
        return
    # Only now: requests and cryptography are 10 MB in each process that loads them, and those
    # that a worker's first process has loaded are in its children as well.
    from webhooks.delivery import dispatcher

    dispatcher.dispatch_deliveries()


@shared_task(name="webhooks.clear", ignore_result=True)
def clear() -> None:
    retention.clear_log()
