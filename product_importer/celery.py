"""The Celery application. Tasks live in the apps as ``@shared_task``."""

import os
from typing import Any

import redis
from celery import Celery
from celery.signals import heartbeat_sent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "product_importer.settings")

app = Celery("product_importer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

WORKER_KEY_PREFIX = "product-importer:worker:"
WORKER_KEY_SECONDS = 8  # four missed heartbeats of two seconds


@heartbeat_sent.connect
def report_alive(sender: Any, **_: Any) -> None:
    """Leave a short-lived mark for ``/readyz`` with each heartbeat of this worker.

    The mark lives in the broker because that is where a worker must be able to listen.
    Celery calls this on its event loop, which a failure here must not stop.
    """
    from django.conf import settings

    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, **settings.REDIS_TLS)
        client.set(WORKER_KEY_PREFIX + sender.eventer.hostname, "1", ex=WORKER_KEY_SECONDS)
        client.close()
    except redis.RedisError:
        return  # no broker: the mark runs out, and /readyz says so
