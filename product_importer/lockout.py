"""Log-ins that fail too often: whose they are, and what is answered (django-axes counts them)."""

import ipaddress
import math
from datetime import datetime, timedelta
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

IPV6_SUBSCRIBER_BITS = 64  # RFC 6177: a site gets at least a /64, and may use any address in it


def client_address(request: HttpRequest) -> str | None:
    """The address that a request comes from; of an IPv6 address its network of 64 bits.

    Each of the ``PROXIES`` in front of the site appends to ``X-Forwarded-For`` the address that it
    was asked from, so the client's is as many places from the right, and whatever the client
    wrote itself stands further left, where nobody looks. Without proxies, or where that place
    holds no address, it is the address of the connection. ``None`` if there is no connection.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    if settings.PROXIES:
        forwarded = [word.strip() for word in request.headers.get("x-forwarded-for", "").split(",")]
        if len(forwarded) >= settings.PROXIES and _parsed(forwarded[-settings.PROXIES]):
            address = forwarded[-settings.PROXIES]
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        if not found.is_loopback:
            network = ipaddress.IPv6Network((int(found), IPV6_SUBSCRIBER_BITS), strict=False)
            return str(network.network_address)
    return str(found) if found else None


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def typed_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The name that somebody wants to log in with; no longer than a user's name can be.

    Django's form takes longer ones, and axes has no room for them.
    """
    typed = (credentials or request.POST).get("username") or ""
    return str(typed)[: User._meta.get_field("username").max_length]


def locked_out(request: HttpRequest, *answers: Any) -> HttpResponse:
    """Tell how long to wait, in place of the log-in page; ``AXES_LOCKOUT_CALLABLE`` names this."""
    name = typed_name(request, getattr(request, "axes_credentials", None))
    seconds = seconds_to_wait(username=name, address=client_address(request))
    # Who cannot log in is nobody, also to Unfold's shell.
    request.user = AnonymousUser()
    context = {"minutes": math.ceil(seconds / 60), "failures": settings.AXES_FAILURE_LIMIT}
    answer = render(request, "product_importer/locked_out.html", context, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


def seconds_to_wait(*, username: str, address: str | None) -> int:
    """Whole seconds until so many failures are forgotten that the next attempt counts again."""
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    now = timezone.now()
    failures = AccessAttempt.objects.filter(
        username=username, ip_address=address, attempt_time__gte=now - cool_off
    )
    left = sum(failure.failures_since_start for failure in failures)
    for failure in failures.order_by("attempt_time"):  # one for each browser that was used
        left -= failure.failures_since_start
        if left < settings.AXES_FAILURE_LIMIT:
            ends: datetime = failure.attempt_time + cool_off
            return max(1, math.ceil((ends - now).total_seconds()))
    return 1
