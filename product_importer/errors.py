"""Answers to requests that reach no view: JSON for the API, a page for the rest."""

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.views import defaults

from product_importer.api import NOTHING_HERE
from product_importer.database import is_away

BAD_REQUEST = (
    "The request could not be read: an address, a header or a form is damaged, or too long."
)
OUR_FAULT = (
    "Something went wrong on the server, and stands in its log. Try again; if it goes on, tell "
    "your ops staff."
)
AWAY = (
    "The database did not answer in time, or is not there. What you sent may not have been done: "
    "wait a little, look, and try again. If it goes on, tell your ops staff."
)
AWAY_SECONDS = 10  # until to try again


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _told(400, "bad_request", BAD_REQUEST)
    return _page(400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _told(404, "not_found", NOTHING_HERE)
    return _page(404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Called where the exception is handled: 503 where it is of the database, which comes back."""
    if is_away(sys.exc_info()[1]):
        answer = _told(503, "unavailable", AWAY) if _is_api(request) else _page(503)
        answer.headers["Retry-After"] = str(AWAY_SECONDS)
        return answer
    if _is_api(request):
        return _told(500, "error", OUR_FAULT)
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _page(status: int) -> HttpResponse:
    """Not Django's own, which looks into the form again: that may be what cannot be read."""
    return HttpResponse(get_template(f"{status}.html").render(), status=status)


def _told(status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse({"detail": detail, "code": code}, status=status)
