"""Where something comes from: the request of a user or a program that set it going.

The id of that request is kept with what it made (import jobs, change sets, events), so that the
log lines of everything that follows, in whatever process and however late, carry the same one.
Messages to workers do not carry it: they may be lost, and the rows know it.
"""

from structlog.contextvars import get_contextvars

LENGTH = 64  # characters of a request id


def request_id() -> str:
    """The id of the request that is being served or followed up here; empty where there is none."""
    return str(get_contextvars().get("request_id", ""))[:LENGTH]
