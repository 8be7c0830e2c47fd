"""Waking a worker after a commit.

A Celery message is a hint: the truth about what is due is in PostgreSQL, and a periodic
sweep finds it. So a kick is tried once, quickly, and a broker that does not answer costs
neither the request nor the work.
"""

import logging
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def kick_after_commit(task: str, *args: Any) -> None:
    """Send the task named ``task`` once the surrounding transaction has committed."""
    transaction.on_commit(partial(_kick, task, args))


def _kick(task: str, args: tuple[Any, ...]) -> None:
    try:
        current_app.send_task(task, args=args)
    except OperationalError as error:
        logger.warning("the broker did not take %s%s: %s; the sweep will", task, args, error)
