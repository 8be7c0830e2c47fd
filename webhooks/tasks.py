"""Celery tasks. Each is a hint: look whether deliveries are due."""

from celery import shared_task

from webhooks import endpoints, operations, pump


@shared_task(name=operations.PUMP, ignore_result=True)
def pump_deliveries() -> None:
    pump.pump_deliveries()


@shared_task(name="webhooks.clear", ignore_result=True)
def clear() -> None:
    endpoints.clear_log()
