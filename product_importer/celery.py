"""The Celery application. Tasks live in the apps as ``@shared_task``."""

import os
from typing import Any

import redis
import structlog
from celery import Celery
from celery.signals import after_task_publish, beat_init, heartbeat_sent, setup_logging
from django.dispatch import receiver
from django_structlog.celery.signals import (
    bind_extra_task_metadata,
    modify_context_before_task_publish,
)
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "product_importer.settings")

app = Celery("product_importer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)

WORKER_KEY_PREFIX = "product-importer:worker:"
WORKER_KEY_SECONDS = 8  # four missed heartbeats of two seconds
BEAT_KEY = "product-importer:beat"
BEAT_KEY_SECONDS = 8  # two missed sweeps of three seconds


# --- Signs of life, for /readyz and /metrics --------------------------------------------


@heartbeat_sent.connect
def report_alive(sender: Any, **_: Any) -> None:
    """Leave a short-lived mark with each heartbeat of this worker."""
    _mark(WORKER_KEY_PREFIX + sender.eventer.hostname, WORKER_KEY_SECONDS)


@beat_init.connect
def report_beat(**_: Any) -> None:
    """Have beat leave a mark with each message that it sends."""
    after_task_publish.connect(_beat_sent)
    _beat_sent()


def _beat_sent(**_: Any) -> None:
    _mark(BEAT_KEY, BEAT_KEY_SECONDS)


def _mark(key: str, seconds: int) -> None:
    """Leave a mark that runs out.

    It lives in the broker because that is where a worker must be able to listen, and beat to
    speak. Celery calls this on its event loop, which a failure here must not stop.
    """
    from django.conf import settings

    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, **settings.REDIS_TLS)
        client.set(key, "1", ex=seconds)
        client.close()
    except redis.RedisError:
        return  # no broker: the mark runs out, and /readyz says so


# --- Logs -------------------------------------------------------------------------------


@setup_logging.connect
def leave_logs_alone(**_: Any) -> None:
    """Django's settings have set up logging; with a receiver Celery adds nothing to it."""


@receiver(modify_context_before_task_publish)
def send_no_context(sender: Any, context: dict[str, Any], **_: Any) -> None:
    """A message carries no ids: rows do, and one message may stand for many of them."""
    context.clear()


@receiver(bind_extra_task_metadata)
def name_the_task(sender: Any, task: Any, **_: Any) -> None:
    """Every line of a task names it."""
    structlog.contextvars.bind_contextvars(task=task.name)
