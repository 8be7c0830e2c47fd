"""When a delivery is tried again. Pure arithmetic; the clock is the caller's."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# After the first try, the second, ...; all together a little over three days.
DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
TRIES = len(DELAYS) + 1
JITTER = 0.2  # of the delay, at most: what failed together does not come back together
RETRY_AFTER_MOST = timedelta(hours=24)


def delay_after(tries: int, *, retry_after: timedelta | None = None) -> timedelta | None:
    """How long to wait after ``tries`` tries that failed; ``None`` when that was the last.

    ``retry_after`` is what the receiver asked for: it makes the wait longer, never shorter.
    """
    if tries >= TRIES:
        return None
    planned = DELAYS[tries - 1] * (1 + JITTER * random.random())  # noqa: S311 (spread, no secret)
    return max(planned, min(retry_after or timedelta(0), RETRY_AFTER_MOST))


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """A ``Retry-After`` header, in seconds or as a date; ``None`` for anything else."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), int(RETRY_AFTER_MOST.total_seconds())))
    try:
        moment = parsedate_to_datetime(value)
    except Exception:  # a stranger's text; besides ValueError the parser raises what befalls it
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta(0))
