"""What no request may contain, because those that it is for would fall over it."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def refuse_unreadable(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """400 for a body in no encoding of texts, and for a NUL in an address of the admin.

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
    """Raises ``BadRequest``."""
    if request.encoding is not None:
        try:
            "é".encode(request.encoding, "replace").decode(request.encoding, "replace")
        except (LookupError, UnicodeError):
            request.encoding = "utf-8"  # the page that tells of it looks into the form again
            raise BadRequest("The body is in no encoding of texts: send UTF-8.") from None
    if request.path_info.startswith("/admin/") and "%00" in request.META["QUERY_STRING"]:
        raise BadRequest("There is a NUL in the address.")
