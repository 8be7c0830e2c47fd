"""Questions to the parts, answered in time whatever state the parts are in.

A database that accepts connections and then says nothing holds whoever asks it, for hours if
need be, and so does a pool whose connections are all held by such requests. So a probe asks in
a thread that can be left, over a connection of its own.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction

T = TypeVar("T")

SECONDS = 3.0  # for an answer
AT_ONCE = 4  # questions to a part under way in a process: threads that may be left hanging
TURN_SECONDS = 1.0  # for one of them to end, so that another may be asked; most take 0.02 s


class Part:
    """A part of the product that may not answer."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(AT_ONCE)

    def ask(self, question: Callable[[], T]) -> "Future[T]":
        """Put a question in a thread of its own; wait with ``result(timeout=SECONDS)``.

        That raises ``TimeoutError`` where no answer came, and whatever the question raises.
        """
        answer: Future[T] = Future()
        if not self._free.acquire(timeout=TURN_SECONDS):
            answer.set_exception(TimeoutError("earlier questions are not answered either"))
            return answer

        def run() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)  # raised where the answer is waited for
            finally:
                self._free.release()

        # A daemon: a process that ends does not wait for what will not come.
        threading.Thread(target=run, name="probe", daemon=True).start()
        return answer


DATABASE = Part()
BROKER = Part()


@contextmanager
def own_connection() -> Iterator[None]:
    """In the thread of a question: a database connection outside the pool, closed at the end."""
    connection = connections.create_connection(DEFAULT_DB_ALIAS)
    options = {**connection.settings_dict["OPTIONS"], "connect_timeout": 2}
    options.pop("pool", None)
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
    connections[DEFAULT_DB_ALIAS] = connection
    try:
        # Settings of this transaction alone: a pooler may give the session to others.
        with transaction.atomic(), connection.cursor() as cursor:
            # No question is worth more of the server's time, and each has an index to read.
            cursor.execute(
                f"SET LOCAL statement_timeout = {SECONDS * 1000:.0f}; "
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; "
                "SET LOCAL jit = off"
            )
            yield
    finally:
        connection.close()
