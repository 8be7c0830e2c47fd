"""What a dispatcher holds while it lives: a number of its own, and a slot while it claims.

Both are advisory locks of one transaction, on a connection that does nothing else. So they end
with the process, however it ends; and a pooler that gives out sessions for a transaction at a
time (pgbouncer) leaves this one to the dispatcher for as long as it lives. A transaction that has
only taken locks has no snapshot and no number: it keeps no row from being vacuumed.
"""

import random
from contextlib import suppress
from types import TracebackType
from typing import cast

from django.db import DEFAULT_DB_ALIAS, Error, connections

from product_importer.common.locks import AdvisoryLock


class PumpLock:
    """Use as a context manager, which opens the connection and at the end gives up all."""

    def __init__(self) -> None:
        self._connection = connections.create_connection(DEFAULT_DB_ALIAS)
        self._before_slot: str | None = None
        self.number = 0  # in leased_by; nobody who lives has the same

    def __enter__(self) -> "PumpLock":
        self._connection.set_autocommit(False)
        try:
            with self._connection.cursor() as cursor:
                # Waiting for receivers is what a dispatcher does, whatever the server makes of it.
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            while not self.number:
                number = random.randrange(1, 2**31)  # noqa: S311 (a name, no secret)
                self.number = number if self._lock(AdvisoryLock.PUMP, number) else 0
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A closed connection's locks go when the server notices, a rolled back one's at once.
        with suppress(Error):  # it is lost, and its locks with it
            self._connection.rollback()
        self._connection.close()

    @property
    def has_slot(self) -> bool:
        return self._before_slot is not None

    def take_slot(self, *, slots: int) -> bool:
        """Take one of the slots for dispatchers; ``False`` if all are taken."""
        savepoint = cast(str, self._connection.savepoint())  # None outside a transaction only
        if any(self._lock(AdvisoryLock.PUMP_SLOT, slot) for slot in range(slots)):
            self._before_slot = savepoint
        else:
            self._connection.savepoint_commit(savepoint)
        return self.has_slot

    def free_slot(self) -> None:
        """Give up the slot, and keep the number."""
        assert self._before_slot is not None  # noqa: S101 (a slot is freed by who has it)
        # What was locked since a savepoint is unlocked by going back to it.
        self._connection.savepoint_rollback(self._before_slot)
        self._before_slot = None

    def _lock(self, kind: AdvisoryLock, number: int) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [kind, number])
            return bool(cursor.fetchone()[0])
