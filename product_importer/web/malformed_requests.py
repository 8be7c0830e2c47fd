"""What no request may contain, because those that it is for would fall over it."""

import codecs
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest
from django.utils.decorators import sync_and_async_middleware

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@sync_and_async_middleware
def refuse_malformed(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """400 for a form that is not in UTF-8, a body in no encoding at all, a NUL for the admin.

    404 for an address with a number in the digits of another script, which Python takes for ours.

    Django takes any codec that Python has for an encoding (``charset=hex``), and the filters of
    its admin hand a NUL on to the database.
    """

    async def answer_async(request: HttpRequest) -> Any:
        _check(request)
        return await get_response(request)

    def answer(request: HttpRequest) -> Any:
        _check(request)
        return get_response(request)

    return answer_async if iscoroutinefunction(get_response) else answer


def _check(request: HttpRequest) -> None:
    """Raises ``BadRequest`` and ``Http404``."""
    parts = request.path_info.split("/")
    if any(part.isdecimal() and not part.isascii() for part in parts):
        raise Http404
    if request.encoding is not None:
        if request.content_type in FORMS:
            # Django takes forms in UTF-8 alone, and says so only when one is looked into: in the
            # midst of a page that tells of another error, too.
            if codecs.lookup(request.encoding).name != "utf-8":
                raise BadRequest("The form is not in UTF-8.")
            request.encoding = "utf-8"
        try:
            "é".encode(request.encoding, "replace").decode(request.encoding, "replace")
        except (LookupError, UnicodeError):
            raise BadRequest("The body is in no encoding of texts: send UTF-8.") from None
    if request.path_info.startswith("/admin/") and "%00" in request.META["QUERY_STRING"]:
        raise BadRequest("There is a NUL in the address.")
