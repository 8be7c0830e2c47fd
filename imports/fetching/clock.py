"""The time and the rate of one fetch: a server that drips, hangs or never ends is left."""

import time

from imports.fetching.source import Alive, FetchFailed, Limits

BEAT_SECONDS = 2.0  # between two calls of ``alive``
SLACK = 16 * 1024 * 1024  # bytes on the wire beside a file: heads, listings, packets


class Clock:
    """Counts what comes over the wire; the sockets look at it before and after each wait."""

    def __init__(self, limits: Limits, alive: Alive | None) -> None:
        self.limits = limits
        self.size, self.total = 0, None  # type: int, int | None
        self._alive = alive
        self._deadline = time.monotonic() + limits.seconds
        self._beat = time.monotonic() + BEAT_SECONDS
        self._list_by: float | None = None
        self.restart()

    def restart(self) -> None:
        """A connection begins: its time to be made, its first stretch, its bytes."""
        self._since = time.monotonic()
        self._came = 0
        self._wire = 0
        self._connect_by = self._since + self.limits.connect_seconds

    def begin_listing(self) -> None:
        """The names of a folder come from now on."""
        self._list_by = time.monotonic() + self.limits.listing_seconds

    def end_listing(self) -> None:
        self._list_by = None

    def connecting(self) -> float:
        """Seconds left to connect. Raises ``FetchFailed`` when there are none."""
        left = min(self._connect_by, self._deadline) - time.monotonic()
        if left <= 0:
            self.check()
            raise FetchFailed(
                "connect_timeout",
                "The server did not answer in time: no connection could be made.",
                temporary=True,
            )
        return left

    def pause(self) -> float:
        """How long to wait for bytes before looking at the clock again, in seconds."""
        now = time.monotonic()
        ends = min(self._deadline, self._since + self.limits.slow_seconds, now + BEAT_SECONDS)
        ends = min(ends, self._list_by or ends)
        return max(0.001, ends - now)

    def count(self, count: int) -> None:
        """Some bytes came over the wire."""
        self._came += count
        self._wire += count

    def came(self, count: int) -> None:
        """Count, and look at the clock. Raises ``FetchFailed``."""
        self.count(count)
        self.check()

    def check(self) -> None:
        """Call ``alive`` if it is due. Raises ``FetchFailed`` for a limit that is passed."""
        if self._wire > self.limits.bytes * 1.1 + SLACK:
            raise too_large(self.limits)
        now = time.monotonic()
        if now >= self._deadline:
            raise FetchFailed(
                "time_limit",
                f"The file did not arrive within {_time(self.limits.seconds)}. Ask for a faster "
                "server or a smaller file.",
                temporary=True,
            )
        if self._list_by is not None and now >= self._list_by:
            raise FetchFailed(
                "listing_too_long",
                f"The folder’s names did not end within {_time(self.limits.listing_seconds)}. Give "
                "the address of a folder with fewer, or of the file itself.",
                temporary=True,
            )
        if now >= self._beat:
            self._beat = now + BEAT_SECONDS
            self.tell()
        if now - self._since >= self.limits.slow_seconds:
            if self._came < self.limits.slow_bytes:
                raise self._slow()
            self._since, self._came = now, 0

    def tell(self) -> None:
        if self._alive:
            self._alive(self.size, self.total)

    def _slow(self) -> FetchFailed:
        stretch = _time(self.limits.slow_seconds)
        if not self._came:
            return FetchFailed("silent", f"The server sent nothing for {stretch}.", temporary=True)
        return FetchFailed(
            "too_slow",
            f"The server is too slow: it sent {self._came:,} bytes in {stretch}.",
            temporary=True,
        )

    def sleep(self, seconds: float) -> None:
        """Wait before another try. Raises ``FetchFailed`` at the deadline."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._since = time.monotonic()
            self.check()
            time.sleep(min(left, BEAT_SECONDS, max(0.001, self._deadline - time.monotonic())))


def too_large(limits: Limits) -> FetchFailed:
    return FetchFailed(
        "too_large",
        f"The file is larger than {limits.bytes:,} bytes, which is the most that is taken.",
    )


def _time(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:g} hours"
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"
