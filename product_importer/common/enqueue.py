"""Waking a worker after a commit.

A Celery message is a hint: the truth about what is due is in PostgreSQL, and a periodic
sweep finds it. So a message is tried once, quickly, and a broker that does not answer costs
neither the request nor the work.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from celery import current_app
from django.db import transaction
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.pools import ProducerPool, producers
from structlog import get_logger

logger = get_logger(__name__)

SOCKET_SECONDS = 0.3  # for a broker that accepts connections and then says nothing
PAUSE_SECONDS = 2.0  # after a failure: a request may want to send several messages
# Messages in a queue that are not yet taken. More than one, because beat's are thrown away when
# they are older than its interval: one that is good to the end should be among them.
ENOUGH_WAITING = 8

_broker_away_until = 0.0


@dataclass(frozen=True)
class _Message:
    task: str
    args: tuple[Any, ...]
    unless: Callable[[], bool] | None = None
    into: str = ""  # the queue that may have enough of them

    def __call__(self) -> None:
        if self.unless is None or not self.unless():
            _send_now(self.task, self.args, self.into)


def send_after_commit(task: str, *args: Any) -> None:
    """Send the task named ``task`` once the surrounding transaction has committed."""
    transaction.on_commit(_Message(task, args))


def send_once_after_commit(
    task: str, *, into: str, unless: Callable[[], bool] | None = None
) -> None:
    """The same, but only one message, however often a transaction asks for it.

    And none if ``unless``, which is called after the commit, says so, or if enough messages wait
    in the queue ``into``, which no other task may use: whoever takes one finds all that is due.
    """
    message = _Message(task, (), unless, into)
    if message not in [waiting[1] for waiting in transaction.get_connection().run_on_commit]:
        transaction.on_commit(message)


def _send_now(task: str, args: tuple[Any, ...], into: str = "") -> None:
    global _broker_away_until
    if time.monotonic() < _broker_away_until:
        return
    try:
        pool = _producers(os.getpid(), current_app.conf.broker_url)
        with pool.acquire(block=True, timeout=SOCKET_SECONDS) as producer:
            if not into or _waiting(producer, into) < ENOUGH_WAITING:
                current_app.send_task(task, args=args, producer=producer)
    except (OperationalError, OSError) as error:
        _broker_away_until = time.monotonic() + PAUSE_SECONDS
        # A sweep will ask for it.
        logger.warning("broker_did_not_take", message=task, args=args, error=str(error))


def _waiting(producer: Producer, queue: str) -> int:
    """How many messages of a queue no worker has taken. Raises ``OperationalError``."""
    broker: Any = producer.connection
    channel: Any = producer.channel
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except broker.channel_errors:
        return 0  # to Redis, an empty queue does not exist
    except broker.connection_errors as error:
        raise OperationalError(str(error)) from error


@cache
def _producers(pid: int, url: str) -> ProducerPool:
    """Connections of this process whose answers are not waited for beyond ``SOCKET_SECONDS``."""
    options = {**current_app.conf.broker_transport_options, "socket_timeout": SOCKET_SECONDS}
    connection: Connection = current_app.connection_for_write(transport_options=options)
    pool: ProducerPool = producers[connection]
    return pool
