"""Live progress of jobs over Server-Sent Events.

All streams of a process share one loop that looks at the watched jobs in the database four
times a second: one query, whatever the number of clients, and no broker in between. What is
committed is what is shown.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.request import Request

from imports.models import INNER, ImportJob, job_snapshot

TICK_SECONDS = 0.25  # the contract: at most four events a second
COMMENT_SECONDS = 15.0  # keeps proxies from closing a quiet stream
LIFE_SECONDS = 600.0  # then the stream ends; browsers connect again by themselves
ALLOWED_SECONDS = 30.0  # between two looks whether those who follow still may

Snapshot = dict[str, Any]


@dataclass(frozen=True)
class Viewer:
    """Who follows a stream, and by what: it ends with the token, the session or the password."""

    user_id: int
    token: str = ""  # primary key of knox's token; empty for a session
    session: str = ""
    password: str = ""  # its hash, for a session, which a new one ends


class Watch:
    """The jobs that streams of this process look at, and the loop that reads them."""

    def __init__(self) -> None:
        self._watchers: Counter[int] = Counter()
        self._viewers: Counter[Viewer] = Counter()
        self._refused: set[Viewer] = set()
        self._refused_until = 0.0  # when it is to be found out anew; loop time
        self._snapshots: dict[int, Snapshot] = {}
        self._changed = asyncio.Condition()
        self._loop_task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def follow(
        self, job_id: int, viewer: Viewer, *, timeout: float
    ) -> AsyncIterator[Snapshot | None]:
        """Yield a job's snapshots as they change; ``None`` after ``timeout`` without one.

        Ends when the viewer is found to be one who may no longer follow.
        """
        self._watchers[job_id] += 1
        self._viewers[viewer] += 1
        if self._loop_task is None or self._loop_task.done():
            self._failure = None
            self._loop_task = asyncio.create_task(self._look())
        seen: Snapshot | None = None
        try:
            while True:
                try:
                    async with asyncio.timeout(timeout), self._changed:
                        while (current := self._snapshots.get(job_id)) is seen:
                            if self._failure is not None or viewer in self._refused:
                                return  # the database is away; the client connects again
                            await self._changed.wait()
                except TimeoutError:
                    yield None
                    continue
                if viewer in self._refused:
                    return
                seen = current
                yield current
        finally:
            _one_less(self._watchers, job_id)
            _one_less(self._viewers, viewer)
            if job_id not in self._watchers:
                self._snapshots.pop(job_id, None)

    async def _look(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._watchers:
            viewers = list(self._viewers) if clock() >= self._refused_until else None
            try:
                fresh, refused = await sync_to_async(_read, thread_sensitive=False)(
                    list(self._watchers), viewers
                )
            except Exception as error:
                # Whatever it is, the streams that wait for this loop must hear of its end.
                async with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                raise
            async with self._changed:
                if viewers is not None:
                    self._refused = refused
                    self._refused_until = clock() + ALLOWED_SECONDS
                for job_id, snapshot in fresh.items():
                    if self._snapshots.get(job_id) != snapshot:
                        self._snapshots[job_id] = snapshot
                self._changed.notify_all()
            await asyncio.sleep(TICK_SECONDS)


def _one_less(counter: Counter[Any], key: Any) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _read(
    job_ids: list[int], viewers: Collection[Viewer] | None
) -> tuple[dict[int, Snapshot], set[Viewer]]:
    """The jobs as they are, and which of the viewers may no longer follow (none, if not asked)."""
    try:
        jobs = ImportJob.objects.defer(*INNER).filter(pk__in=job_ids)
        return {job.pk: job_snapshot(job) for job in jobs}, refused_among(viewers or [])
    finally:
        connection.close()  # this thread is nobody's request: nothing else would give it back


def refused_among(viewers: Collection[Viewer]) -> set[Viewer]:
    """Those who are deactivated, have lost the right, the token or the session: three queries."""
    if not viewers:
        return set()
    now = timezone.now()
    users = User.objects.with_perm(
        "imports.view_importjob", backend="django.contrib.auth.backends.ModelBackend"
    )
    passwords = dict(
        users.filter(pk__in={one.user_id for one in viewers}).values_list("pk", "password")
    )
    kept = Q(expiry=None) | Q(expiry__gt=now)
    tokens = AuthToken.objects.filter(kept, pk__in={one.token for one in viewers})
    sessions = Session.objects.filter(pk__in={one.session for one in viewers}, expire_date__gt=now)
    known = {"", *tokens.values_list("pk", flat=True), *sessions.values_list("pk", flat=True)}
    return {
        one
        for one in viewers
        if one.user_id not in passwords
        or one.password not in ("", passwords[one.user_id])
        or not known.issuperset((one.token, one.session))
    }


def viewer_of(request: Request) -> Viewer:
    """By what the request was let in."""
    user: Any = request.user
    if isinstance(request.auth, AuthToken):
        return Viewer(user.pk, token=request.auth.pk)
    return Viewer(user.pk, session=request.session.session_key or "", password=user.password)


_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


def _watch() -> Watch:
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches.clear()  # of loops that have ended
        _watches[loop] = Watch()
    return _watches[loop]


async def event_stream(job_id: int, viewer: Viewer) -> AsyncIterator[bytes]:
    """The body of ``GET imports/{id}/events/``; ends after a final status.

    Within a minute, too, after its viewer may no longer follow.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + LIFE_SECONDS
    yield b": connected\n\n"
    async for snapshot in _watch().follow(job_id, viewer, timeout=COMMENT_SECONDS):
        if snapshot is None:
            yield b": still here\n\n"
        else:
            yield b"event: progress\ndata: " + json.dumps(snapshot).encode() + b"\n\n"
            if snapshot["status"] in ImportJob.FINAL:
                return
        if loop.time() > ends:
            return
