"""Celery tasks of the project itself."""

from celery import shared_task

from product_importer import house


@shared_task(name="product_importer.clear", ignore_result=True)
def clear() -> None:
    house.clear_logins_and_results()
