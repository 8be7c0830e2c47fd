"""What all API calls share: errors as JSON with a sentence that says what to do."""

import math
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DataError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler
from structlog import get_logger

from catalog.values import DESCRIPTION_MAX_LENGTH
from imports.files.temp import is_disk_full
from imports.operations.jobs import NO_ROOM
from product_importer.common.api import as_api_error

logger = get_logger(__name__)

NOTHING_HERE = "There is nothing at this address. It may have been deleted."
BAD_VALUE = (
    "A value that was sent can be neither stored nor looked for: a number or a date is out of "
    "range, or a text contains what no text may. Change it, and send it again."
)
SENTENCES: dict[type[Exception], str] = {
    exceptions.NotAuthenticated: "Log in, or send the header “Authorization: Token ...” "
    "(the page “API tokens” makes one).",
    exceptions.NotFound: NOTHING_HERE,
    Http404: NOTHING_HERE,
}


def explain(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's error answer, in the shape of ``product_importer.common.api.ErrorSerializer``."""
    if is_disk_full(error):
        return Response({"detail": NO_ROOM, "code": "no_room"}, status=507)
    if isinstance(error, DataError | UnicodeEncodeError):  # half a character, for one
        note_bad_value(error)
        return Response({"detail": BAD_VALUE, "code": "invalid"}, status=400)
    if isinstance(error, RequestDataTooBig):
        detail = "What you sent is too long to be read as one product. A description has at most "
        detail += f"{DESCRIPTION_MAX_LENGTH:,} characters; send many products as a file."
        return Response({"detail": detail, "code": "too_large"}, status=400)
    error = as_api_error(error)
    response = exception_handler(error, context)
    if response is None:
        return None
    code = getattr(error, "default_code", "not_found")
    if isinstance(error, exceptions.ValidationError):
        response.data = {
            "detail": _sendable(_first_sentence(error.detail)),
            "code": "invalid",
            "errors": _sendable(_by_field(error.get_full_details())),
        }
        return response
    if isinstance(error, exceptions.Throttled):
        seconds = math.ceil(float(response.headers.get("Retry-After", 1)))
        detail = f"These are too many requests. Wait {seconds} s, as Retry-After tells, and go on."
        response.data = {"detail": detail, "code": code}
        return response
    detail = SENTENCES.get(type(error)) or str(getattr(error, "detail", error))
    response.data = {"detail": detail, "code": code}
    return response


def note_bad_value(error: Exception) -> None:
    """Leave a trace of what the database refused: it may be a defect of ours as well."""
    logger.warning("value_refused_by_database", exc_info=error)


def _sendable(data: Any) -> Any:
    """The same without halves of characters, which names that were sent may have."""
    if isinstance(data, dict):
        return {_sendable(name): _sendable(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_sendable(one) for one in data]
    return data.encode("utf-8", "replace").decode() if isinstance(data, str) else data


def _by_field(details: Any, field: str = "") -> dict[str, list[Any]]:
    """What is wrong, by field: a flat object of lists, however the serializer nests it."""
    found: dict[str, list[Any]] = {}
    if isinstance(details, dict) and not isinstance(details.get("message"), str):
        for name, inner in details.items():
            found |= _by_field(inner, f"{field}.{name}" if field else str(name))
        return found
    for one in details if isinstance(details, list) else [details]:
        if isinstance(one, dict) and isinstance(one.get("message"), str):
            found.setdefault(field or "non_field_errors", []).append(one)
        else:
            found |= _by_field(one, field)
    return found


def _first_sentence(detail: Any, field: str = "") -> str:
    if isinstance(detail, dict):
        name, value = next(iter(detail.items()))
        return _first_sentence(value, "" if name == "non_field_errors" else f"{name}: ")
    if isinstance(detail, list):
        return _first_sentence(detail[0], field)
    return f"{field}{detail}"
