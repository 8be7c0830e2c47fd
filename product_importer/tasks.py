"""Celery tasks of the project itself."""

from celery import shared_task

from product_importer.ops import retention


@shared_task(name="product_importer.clear", ignore_result=True)
def clear() -> None:
    retention.clear_logins_and_results()
