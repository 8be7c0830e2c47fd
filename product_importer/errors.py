"""Answers to requests that reach no view: JSON for the API, a page for the rest."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
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
    if _is_api(request):
        return _told(400, "bad_request", BAD_REQUEST)
    return _page(400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _told(404, "not_found", NOTHING_HERE)
    return _page(404)


def server_error(request: HttpRequest) -> HttpResponse:
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
