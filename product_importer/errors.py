"""Answers to requests that reach no view: JSON for the API, Django's own pages for the rest."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from product_importer.api import NOTHING_HERE

BAD_REQUEST = (
    "The request could not be read: an address, a header or a form is damaged, or too long."
)
OUR_FAULT = (
    "Something went wrong on the server, and stands in its log. Try again; if it goes on, tell "
    "your ops staff."
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, defaults.bad_request, exception, (400, "bad_request", BAD_REQUEST))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, defaults.page_not_found, exception, (404, "not_found", NOTHING_HERE))


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, defaults.server_error, None, (500, "error", OUR_FAULT))


def _answer(
    request: HttpRequest,
    page: Callable[..., HttpResponse],
    exception: Exception | None,
    told: tuple[int, str, str],
) -> HttpResponse:
    if not request.path_info.startswith("/api/"):
        arguments: list[Any] = [] if exception is None else [exception]
        return page(request, *arguments)
    status, code, detail = told
    return JsonResponse({"detail": detail, "code": code}, status=status)
