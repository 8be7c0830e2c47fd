"""Answers to requests that reach no view: JSON for the API, a page for the rest."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.utils.deprecation import MiddlewareMixin
from django.views import defaults
from structlog import get_logger

from imports.files.temp import is_disk_full
from imports.operations.jobs import NO_ROOM
from product_importer.accounts.rights import role_givers
from product_importer.common.downloads import give_back_connection
from product_importer.web.database import is_away
from product_importer.web.exception_handler import BAD_VALUE, NOTHING_HERE, note_bad_value

logger = get_logger(__name__)

BAD_REQUEST = (
    "The request could not be read: an address, a header or a form is damaged, or too long."
)
OUR_FAULT = (
    "Something went wrong on the server, and stands in its log. Try again; if it goes on, tell "
    "your ops staff."
)
NOT_ALLOWED = "You do not have permission to perform this action."
AWAY = (
    "The database did not answer in time, or is not there. What you sent may not have been done: "
    "wait a little, look, and try again. If it goes on, tell your ops staff."
)
AWAY_SECONDS = 10  # until to try again


def holding_nothing(handler: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Give back the connection that an error's page took, for the user's name and rights.

    Under ASGI, Django calls the handlers in threads that are not the request's, where no
    request's end gives it back: each would keep one of the pool's for good.
    """

    @wraps(handler)
    def handle(*args: Any, **named: Any) -> HttpResponse:
        try:
            return handler(*args, **named)
        finally:
            give_back_connection()

    return handle


@holding_nothing
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _told(400, "bad_request", BAD_REQUEST)
    return _page(400)


@holding_nothing
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _told(404, "not_found", NOTHING_HERE)
    return _with_navigation(request, 404) or _page(404)


@holding_nothing
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Tells who can give a role: a new user has none."""
    if _is_api(request):
        return _told(403, "permission_denied", str(exception) or NOT_ALLOWED)
    context = {
        "title": "Not allowed",
        "new_here": not request.user.get_all_permissions(),
        "role_givers": role_givers(),
    }
    return render(request, "403.html", context, status=403)


class RefuseValues(MiddlewareMixin):
    """400 where the database refuses a value, whose check before it was forgotten."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DataError):
            return None
        note_bad_value(exception)
        return _told(400, "invalid", BAD_VALUE) if _is_api(request) else _page(400, BAD_VALUE)


@holding_nothing
def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 507 if the disk is full, 503 if the database is away, which comes back.

    A form is received wherever it is looked into first, in a middleware too, so that no view and
    no ``process_exception`` sees that there was no room for its file. Django calls this while it
    handles the exception.
    """
    error = sys.exception()
    if is_disk_full(error):
        return _told(507, "no_room", NO_ROOM) if _is_api(request) else _page(507, NO_ROOM)
    if is_away(error):
        answer = _told(503, "unavailable", AWAY) if _is_api(request) else _page(503)
        answer.headers["Retry-After"] = str(AWAY_SECONDS)
        return answer
    if _is_api(request):
        return _told(500, "error", OUR_FAULT)
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _page(status: int, sentence: str = "") -> HttpResponse:
    """Not Django's own, which looks into the form again: that may be what cannot be read."""
    page = get_template(f"{status}.html").render({"sentence": sentence})
    return HttpResponse(page, status=status)


def _with_navigation(request: HttpRequest, status: int) -> HttpResponse | None:
    """The error's page inside the shell, for who is logged in; nothing where that fails too."""
    try:
        if not request.user.is_authenticated:
            return None
        return render(
            request, f"product_importer/{status}.html", {"title": "Nothing is here"}, status=status
        )
    except Exception:
        logger.exception("error_page_failed", status=status)
        return None


def _told(status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse({"detail": detail, "code": code}, status=status)
