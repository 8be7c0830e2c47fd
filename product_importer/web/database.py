"""How long a web request waits for the database: each statement, and a connection of the pool."""

import time
from typing import Any, TypeVar

import psycopg
from django.db import InterfaceError, OperationalError, connection
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg_pool import PoolTimeout

RV = TypeVar("RV")

# For each answer of the database, locks that are waited for included. Together with what follows it
# is less than the 30 s after which the routers of platforms answer themselves.
ANSWER_SECONDS = 25.0
CANCEL_SECONDS = 2.0  # for the server to be told that nobody waits any longer
# That a process is told to be exhausted, after a request waited for a connection in vain.
EXHAUSTED_SECONDS = 10.0

_waited_in_vain: float | None = None  # when, by time.monotonic()


class LimitedConnection(psycopg.Connection[Any]):
    """One that waits for an answer of the database for ``ANSWER_SECONDS``, and closes then.

    Counted here and not by the server (``statement_timeout``), so that it holds for a server that
    is frozen, and through a pooler, which would give a session with its settings to a worker.
    """

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        """psycopg's, with our limit where it sets none. Raises ``psycopg.OperationalError``."""
        limit = ANSWER_SECONDS if options.get("timeout") is None else options["timeout"]
        try:
            return super().wait(gen, *args, **{**options, "timeout": limit})
        except _WaitTimeout:
            self._try_cancel(timeout=CANCEL_SECONDS)
            self.close()  # what comes yet belongs to nobody
            raise psycopg.OperationalError(
                f"The database did not answer within {limit:.0f} s."
            ) from None


def is_away(error: BaseException | None) -> bool:
    """Whether the database did not do what it was asked for reasons of its own.

    It is away, full, restarting, or did not answer in time; or the pool has no connection left,
    which is noted for ``exhausted``.
    """
    global _waited_in_vain
    if not isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError):
        return False
    if isinstance(error.__cause__, PoolTimeout):
        _waited_in_vain = time.monotonic()
    return True


def exhausted() -> bool:
    """Whether a request of this process has just waited for a connection in vain."""
    return _waited_in_vain is not None and time.monotonic() - _waited_in_vain < EXHAUSTED_SECONDS


def pool_state() -> dict[str, int] | None:
    """Connections of this process: at most, in use, and requests that wait; None without a pool."""
    pool: Any = getattr(connection, "pool", None)  # PostgreSQL's, unknown to the stubs
    if pool is None:
        return None
    stats = pool.get_stats()
    return {
        "most": stats["pool_max"],
        "in_use": stats["pool_size"] - stats["pool_available"],
        "waiting": stats["requests_waiting"],
    }
