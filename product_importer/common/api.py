"""What the API of every app shares: permissions, refusals, bodies, paging, and streams."""

from collections.abc import Mapping
from typing import Any

from rest_framework import exceptions, parsers, serializers, status
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from product_importer.common.downloads import RETRY_SECONDS, TooManyDownloads
from product_importer.common.errors import Invalid, NotPossible
from product_importer.common.parsing import CURSOR_MAX_LENGTH, whole_number

MAX_PAGE_SIZE = 200


class HasPermission(BasePermission):
    """The permission that a view names for its action; ``permissions_of`` maps actions to them."""

    message = "Your role does not allow this. A manager can give you one that does."

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(view, "action", None) is None or view.action == "metadata":
            return bool(request.user and request.user.is_authenticated)  # 405, or OPTIONS
        return bool(request.user and request.user.has_perm(view.permissions_of[view.action]))


# --- Refusals -------------------------------------------------------------------------


class Refusal(exceptions.APIException):
    """What was asked does not fit to how things stand: 409, with a sentence that says why."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class Busy(exceptions.APIException):
    """As much is under way as may be at a time: 429, and after how many seconds to try again."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "busy"

    def __init__(self, detail: str, *, seconds: int) -> None:
        super().__init__(detail)
        self.wait = seconds  # DRF makes Retry-After of it


def as_api_error(error: Exception) -> Exception:
    """What operations refuse, as the API has it; any other error as it is."""
    if isinstance(error, Invalid):
        return invalid(error.errors)
    if isinstance(error, NotPossible):
        return Refusal(str(error))
    if isinstance(error, TooManyDownloads):
        return Busy(str(error), seconds=RETRY_SECONDS)
    return error


def invalid(errors: Mapping[str, tuple[str, str]]) -> exceptions.ValidationError:
    """The API's 400 for values that an operation refused: fields to a code and a sentence."""
    return exceptions.ValidationError(
        {name: [exceptions.ErrorDetail(text, code)] for name, (code, text) in errors.items()}
    )


def asked_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body. 400 for anything else."""
    if not isinstance(request.data, dict):
        raise exceptions.ValidationError("Send a JSON object.")
    return {str(name): request.data[name] for name in request.data}


class FaultSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(help_text="A sentence that says what to do.")
    code = serializers.CharField(help_text="for programs: required, invalid, unique ...")


class ErrorSerializer(serializers.Serializer[Any]):
    """The body of every answer from 400 on (``web.exception_handler.explain`` makes it)."""

    detail = serializers.CharField(help_text="A sentence that says what to do.")
    code = serializers.CharField(help_text="for programs: invalid, not_found, conflict ...")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=FaultSerializer(many=True),
        required=False,
        help_text="Of a 400: what is wrong, by field or parameter; a dot leads into a list or an "
        "object. non_field_errors is what concerns no single field.",
    )


class JSONParser(parsers.JSONParser):
    """DRF's, which takes JSON that nests too deep for an error of the server."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise exceptions.ParseError("The JSON nests too deep to be read.") from None


class JSONText(serializers.CharField):
    """A text, and no number that would become one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class JSONBoolean(serializers.BooleanField):
    """``true`` or ``false``, and neither 1 nor “yes”."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WholeNumber(serializers.IntegerField):
    """A whole number; as a text, of ASCII digits alone."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and whole_number(data) is None:
            self.fail("invalid")
        return int(super().to_internal_value(data))


# --- Paging ---------------------------------------------------------------------------


def asked_page_size(request: Request, *, usual: int, limit: int) -> int:
    """The ``page_size`` of a request; ``limit`` for a greater one. 400 for what is no number."""
    text = request.query_params.get("page_size")
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit() or not text.strip("0"):
        sentence = f"Write a whole number from 1 to {limit}."
        raise exceptions.ValidationError({"page_size": [sentence]})
    return limit if len(text) > 9 else min(int(text), limit)


def page_parameters(*, usual: int, limit: int) -> list[dict[str, Any]]:
    """The parameters of every list, as OpenAPI has them."""
    return [
        {
            "name": "page_size",
            "in": "query",
            "description": f"How many a page has: {usual} if not told, {limit} at most.",
            "schema": {"type": "integer", "minimum": 1},
        },
        {
            "name": "cursor",
            "in": "query",
            "description": "A place in the list, from `next` or `previous`.",
            "schema": {"type": "string", "maxLength": CURSOR_MAX_LENGTH},
        },
    ]


def page_schema(schema: Any) -> dict[str, Any]:
    """A page of a list, as OpenAPI has it."""
    link = {"type": "string", "nullable": True, "format": "uri"}
    return {
        "type": "object",
        "required": ["count", "next", "previous", "results"],
        "properties": {
            "count": {"type": "integer", "minimum": 0, "description": "of the whole list"},
            "next": link,
            "previous": link,
            "results": schema,
        },
    }


class CountedCursorPagination(CursorPagination):
    """Keyset paging, so that the ten-thousandth page costs what the first does, with ``count``.

    Every ``ordering`` begins with a whole number.
    """

    page_size = 50
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        self.count = queryset.order_by().count()
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int:
        return asked_page_size(request, usual=self.page_size, limit=self.max_page_size)

    def decode_cursor(self, request: Request) -> Any:
        """The place that a cursor names. 400 for a cursor that is none."""
        refused = exceptions.ValidationError(
            {
                "cursor": [
                    "This cursor is not one of this list. Follow the links “next” and "
                    "“previous”, or start again without it."
                ]
            }
        )
        text = request.query_params.get("cursor", "")
        if not text:
            return None
        if len(text) > CURSOR_MAX_LENGTH:
            raise refused
        try:
            cursor: Any = super().decode_cursor(request)
        except (exceptions.NotFound, ValueError):
            raise refused from None
        place = cursor.position
        if place is None:
            known = cursor.offset > 0 or cursor.reverse
        else:
            known = place.isascii() and place.isdigit() and len(place) < 19
        if not known:
            raise refused
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "count": self.count,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                "results": data,
            }
        )

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return page_parameters(usual=self.page_size, limit=self.max_page_size)

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        return page_schema(schema)


class NewestFirst(CountedCursorPagination):
    ordering = "-id"


# --- Streams --------------------------------------------------------------------------


class BrowsableRenderer(BrowsableAPIRenderer):
    """The API for people to look at; what they send is JSON, or a file.

    No form of the fields: each would have its own, and one of related rows would list them all.
    """

    filter_template = "rest_framework/filters.html"

    def get_rendered_html_form(self, data: Any, view: Any, method: str, request: Any) -> Any:
        """Whether DELETE and OPTIONS may be asked for."""
        if method not in ("DELETE", "OPTIONS"):
            return None
        return super().get_rendered_html_form(data, view, method, request)


class StreamRenderer(BaseRenderer):
    """Lets clients ask for a media type that a view streams itself; only errors come here."""

    def render(self, data: Any, media_type: str | None = None, context: Any = None) -> bytes:
        (context or {})["response"]["Content-Type"] = JSONRenderer.media_type
        return JSONRenderer().render(data)
