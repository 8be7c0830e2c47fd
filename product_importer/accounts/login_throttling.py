"""Log-ins that fail too often: whose they are, and what is answered (django-axes counts them)."""

import ipaddress
import math
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
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


class Handler(AxesDatabaseHandler):  # type: ignore[misc]
    """Axes' count of a name's failures at an address, and one of all names' there.

    Without the second, one address could try a common password with every name there is.
    """

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        if super().is_locked(request, credentials):
            return True
        return _seconds(*_of_address(client_address(request))) > 0


def locked_out(request: HttpRequest, *answers: Any) -> HttpResponse:
    """Tell how long to wait, in place of the log-in page; ``AXES_LOCKOUT_CALLABLE`` names this."""
    name = typed_name(request, getattr(request, "axes_credentials", None))
    address = client_address(request)
    of_name = _seconds(*_of_name(name, address))
    seconds = seconds_to_wait(username=name, address=address)
    # Who cannot log in is nobody, also to Unfold's shell.
    request.user = AnonymousUser()
    context = {
        "minutes": math.ceil(seconds / 60),
        "failures": settings.AXES_FAILURE_LIMIT if of_name else settings.LOGIN_FAILURES_OF_ADDRESS,
        "of_address": not of_name,
    }
    answer = render(request, "product_importer/locked_out.html", context, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


def seconds_to_wait(*, username: str, address: str | None) -> int:
    """Whole seconds until so many failures are forgotten that the next attempt counts again."""
    return max(1, _seconds(*_of_name(username, address)), _seconds(*_of_address(address)))


def _of_name(username: str, address: str | None) -> tuple[QuerySet[AccessAttempt], int]:
    """The failures with a name at an address, and how many there may be."""
    failures = AccessAttempt.objects.filter(username=username, ip_address=address)
    return failures, settings.AXES_FAILURE_LIMIT


def _of_address(address: str | None) -> tuple[QuerySet[AccessAttempt], int]:
    """The failures with any name; nobody's address is not one that all could be locked out by."""
    failures = AccessAttempt.objects.filter(ip_address=address)
    return (failures if address else failures.none()), settings.LOGIN_FAILURES_OF_ADDRESS


def _seconds(failures: QuerySet[AccessAttempt], limit: int) -> int:
    """Whole seconds until fewer than ``limit`` are left; 0 if they are already."""
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    now = timezone.now()
    # One for each name and browser, the oldest first.
    times: list[tuple[datetime, int]] = list(
        failures.filter(attempt_time__gte=now - cool_off)
        .order_by("attempt_time")
        .values_list("attempt_time", "failures_since_start")
    )
    left = sum(number for _, number in times)
    for at, number in times:
        if left < limit:
            break
        left -= number
        if left < limit:
            return max(1, math.ceil((at + cool_off - now).total_seconds()))
    return 0
