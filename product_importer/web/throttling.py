"""How many requests the API takes from one user or one address.

The counts are in the broker, which all web processes share. A broker that does not answer
throttles nobody: the API must not depend on it.
"""

import logging
import time
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from product_importer.accounts.login_throttling import client_address

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.15  # with the 0.3 s of a task's message, a dead broker costs less than 0.5 s
REST_SECONDS = 5.0  # that a broker is left alone after it did not answer

_silent_until = 0.0


@cache
def _broker() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        **settings.REDIS_TLS,
    )


def count(key: str, seconds: int) -> int | None:
    """One more under a key that is kept for some seconds; ``None`` if the broker is away."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return None
    try:
        with _broker().pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, seconds)
            return int(pipe.execute()[0])
    except redis.RedisError as error:
        _silent_until = time.monotonic() + REST_SECONDS
        logger.warning(
            "The broker does not answer (%s): the API throttles nobody for %.0f s.",
            error,
            REST_SECONDS,
        )
        return None


class _Throttle(SimpleRateThrottle):
    """Counts in windows of the rate's length, one number each, whatever the rate.

    Around the end of a window up to twice the rate may pass.
    """

    scope: str
    num_requests: int
    duration: int  # seconds

    def get_rate(self) -> str | None:
        rates: Any = api_settings.DEFAULT_THROTTLE_RATES  # read now, not when this is loaded
        rate: str | None = rates[self.scope]
        return rate

    def allow_request(self, request: Request, view: Any) -> bool:
        identity = self.identity(request, view)
        if self.rate is None or identity is None:
            return True
        window, into = divmod(self.timer(), self.duration)
        self.seconds_left = self.duration - into
        counted = count(f"throttle:{self.scope}:{identity}:{int(window)}", self.duration)
        return counted is None or counted <= self.num_requests

    def wait(self) -> float:
        return self.seconds_left

    def identity(self, request: Request, view: Any) -> str | None:
        """Whose requests are counted together; ``None``: nobody's."""
        raise NotImplementedError


class UserThrottle(_Throttle):
    """All requests of a user, by whatever token or session."""

    scope = "user"

    def identity(self, request: Request, view: Any) -> str | None:
        return str(request.user.pk) if request.user.is_authenticated else None


class AnonymousThrottle(_Throttle):
    """All requests without a user from an address."""

    scope = "anonymous"

    def identity(self, request: Request, view: Any) -> str | None:
        return None if request.user.is_authenticated else str(client_address(request))


class HeavyThrottle(_Throttle):
    """What costs more than an answer, which views name in ``heavy_actions``: uploads, exports,
    bulk acts, undo, test messages."""

    scope = "heavy"

    def identity(self, request: Request, view: Any) -> str | None:
        heavy = getattr(view, "action", None) in getattr(view, "heavy_actions", ())
        return str(request.user.pk) if heavy and request.user.is_authenticated else None
