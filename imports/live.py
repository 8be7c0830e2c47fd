"""Live progress of jobs over Server-Sent Events.

All streams of a process share one loop that looks at the watched jobs in the database four
times a second: one query, whatever the number of clients, and no broker in between. What is
committed is what is shown.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from imports.models import ImportJob, job_snapshot

TICK_SECONDS = 0.25  # the contract: at most four events a second
COMMENT_SECONDS = 15.0  # keeps proxies from closing a quiet stream
LIFE_SECONDS = 600.0  # then the stream ends; browsers connect again by themselves

Snapshot = dict[str, Any]


class Watch:
    """The jobs that streams of this process look at, and the loop that reads them."""

    def __init__(self) -> None:
        self._watchers: dict[int, int] = {}
        self._snapshots: dict[int, Snapshot] = {}
        self._changed = asyncio.Condition()
        self._loop_task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def follow(self, job_id: int, *, timeout: float) -> AsyncIterator[Snapshot | None]:
        """Yield a job's snapshots as they change; ``None`` after ``timeout`` without one."""
        self._watchers[job_id] = self._watchers.get(job_id, 0) + 1
        if self._loop_task is None or self._loop_task.done():
            self._failure = None
            self._loop_task = asyncio.create_task(self._look())
        seen: Snapshot | None = None
        try:
            while True:
                try:
                    async with asyncio.timeout(timeout), self._changed:
                        while (current := self._snapshots.get(job_id)) is seen:
                            if self._failure is not None:
                                return  # the database is away; the client connects again
                            await self._changed.wait()
                except TimeoutError:
                    yield None
                    continue
                seen = current
                yield current
        finally:
            self._watchers[job_id] -= 1
            if not self._watchers[job_id]:
                del self._watchers[job_id]
                self._snapshots.pop(job_id, None)

    async def _look(self) -> None:
        while self._watchers:
            try:
                fresh = await sync_to_async(_read, thread_sensitive=False)(list(self._watchers))
            except Exception as error:
                # Whatever it is, the streams that wait for this loop must hear of its end.
                async with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                raise
            async with self._changed:
                for job_id, snapshot in fresh.items():
                    if self._snapshots.get(job_id) != snapshot:
                        self._snapshots[job_id] = snapshot
                self._changed.notify_all()
            await asyncio.sleep(TICK_SECONDS)


def _read(job_ids: list[int]) -> dict[int, Snapshot]:
    try:
        return {job.pk: job_snapshot(job) for job in ImportJob.objects.filter(pk__in=job_ids)}
    finally:
        connection.close()  # this thread is nobody's request: nothing else would give it back


_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


def _watch() -> Watch:
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches.clear()  # of loops that have ended
        _watches[loop] = Watch()
    return _watches[loop]


async def event_stream(job_id: int) -> AsyncIterator[bytes]:
    """The body of ``GET imports/{id}/events/``; ends after a final status."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + LIFE_SECONDS
    yield b": connected\n\n"
    async for snapshot in _watch().follow(job_id, timeout=COMMENT_SECONDS):
        if snapshot is None:
            yield b": still here\n\n"
        else:
            yield b"event: progress\ndata: " + json.dumps(snapshot).encode() + b"\n\n"
            if snapshot["status"] in ImportJob.FINAL:
                return
        if loop.time() > ends:
            return
