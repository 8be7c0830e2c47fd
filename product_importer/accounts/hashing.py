"""Passwords are hashed a few at a time, and never while a database connection is held.

A hash takes a third of a second of a core, on purpose. Without a lane of their own, log-ins that
come together would take every connection of the pool, and every core, from everybody else.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

AT_ONCE = 2  # hashes in a process: as many cores as log-ins may take
WAITING = 100  # requests that wait for a turn in a process, each with a thread; more are refused
WAIT_SECONDS = 15.0  # for a turn; about as long as a hundred take

_turns = threading.BoundedSemaphore(AT_ONCE)
_places = threading.BoundedSemaphore(AT_ONCE + WAITING)
_this_thread = threading.local()


class TooManyHashes(Exception):
    """No turn came within ``WAIT_SECONDS``, or too many wait already."""


@contextmanager
def turn() -> Iterator[None]:
    """Wait for one of the ``AT_ONCE`` places to hash in, and hold it; a turn may hold another.

    The thread's database connection goes back to the pool first. Raises ``TooManyHashes``.
    """
    _give_back_connections()
    if getattr(_this_thread, "has_turn", False):
        yield
        return
    if not _places.acquire(blocking=False):
        raise TooManyHashes
    try:
        if not _turns.acquire(timeout=WAIT_SECONDS):
            raise TooManyHashes
        _this_thread.has_turn = True
        try:
            yield
        finally:
            _this_thread.has_turn = False
            _turns.release()
    finally:
        _places.release()


def _give_back_connections() -> None:
    """Without a pool they close. One in a transaction has to stay; no page hashes in one."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


class Hasher(PBKDF2PasswordHasher):
    """Django's, in turns. The hashes are the same, so those that exist stay valid."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with turn():
            return super().encode(password, salt, iterations)


def in_turn(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view whose POST checks a password: all of it is one turn.

    A failure is counted before the turn ends, and looked for after it began. So who asks many
    times at once does not get more guesses than who asks one after the other.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        with turn():
            return view(request, *args, **kwargs)

    return answer


class TellTooManyHashes(MiddlewareMixin):
    """503 and ``Retry-After`` for who got no turn: nothing was checked or changed."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TooManyHashes):
            return None
        request.user = AnonymousUser()  # the page needs no user, nor then the database
        answer = render(request, "product_importer/busy.html", status=503)
        answer["Retry-After"] = str(round(WAIT_SECONDS))
        return answer
