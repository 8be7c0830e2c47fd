"""What the description of the API says of every operation alike, so that no view has to.

A view describes what is its own: what it takes, what it answers when all is well, and where it
refuses because of how things stand (409). The answers to a request that is wrong, too early, too
large or not allowed are the same for all, new views included, and are added here.
"""

from collections.abc import Iterator
from typing import Any

from product_importer.common.parsing import ROW_NUMBER

ERROR = "Error"  # the component of product_importer.common.api.ErrorSerializer

# Of every operation. A name from outside (?format=) can make any address one that is not there.
SHARED = {
    "400": ("BadRequest", "What was sent cannot be; `errors` names each field or parameter."),
    "401": ("NotAuthenticated", "No token or session was sent, or it is not valid."),
    "403": ("NotAllowed", "The user's role or the token's scope does not allow this."),
    "404": ("NotFound", "There is nothing at this address, or no longer."),
    "406": ("NotAcceptable", "It is not to be had in the media type that `Accept` asks for."),
    "429": ("TooManyRequests", "Wait for as long as `Retry-After` tells, then go on."),
    "503": ("Unavailable", "The database does not answer; try again after `Retry-After`."),
}
# Of those that take a body, or may be sent one.
BODY_SCHEMAS = {
    "413": ("TooLarge", "More was sent than may be sent at once."),
    "415": ("UnsupportedMediaType", "The body has a media type that is not understood here."),
}
_RETRY_AFTER = {
    "Retry-After": {"schema": {"type": "integer", "minimum": 0}, "description": "seconds"}
}
HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Token`"}},
    "429": _RETRY_AFTER,
    "503": _RETRY_AFTER,
}
WITH_BODY = ("post", "put", "patch")
NUMBER = f"^{ROW_NUMBER}$"  # ``lookup_value_regex`` of all views whose rows have numbers


def describe_errors(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Add the shared answers to every operation (a postprocessing hook of drf-spectacular).

    The shape of their bodies, ``Error``, stands in the schema already: views name it for 409.
    """
    result["components"]["responses"] = {
        name: _answer(description, HEADERS.get(status, {}))
        for status, (name, description) in (SHARED | BODY_SCHEMAS).items()
    }
    for method, operation in _operations(result):
        shared = SHARED | BODY_SCHEMAS if method in WITH_BODY else SHARED
        refs = {
            status: {"$ref": f"#/components/responses/{name}"}
            for status, (name, _) in shared.items()
        }
        operation["responses"] = dict(sorted((refs | operation["responses"]).items()))
    return result


def describe_parameters(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Say of the number in an address that it is one (another such hook).

    ``format``, with which the browsable pages override ``Accept``, is for people and left out. A
    choice or a day in a query may be empty, as forms send it: that is as good as not sent.
    """
    for _, operation in _operations(result):
        parameters = operation.get("parameters", [])
        parameters[:] = [one for one in parameters if one["name"] != "format"]
        for one in parameters:
            if one["in"] == "path" and one["schema"].get("pattern") == NUMBER:
                one["schema"] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
            choices = one["schema"].get("enum") if one["in"] == "query" else None
            if choices and "" not in choices:
                choices.append("")
            if one["in"] == "query" and one["schema"].get("format") == "date":
                one["schema"] = {"anyOf": [one["schema"], {"type": "string", "maxLength": 0}]}
    return result


def _answer(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    body = {"schema": {"$ref": f"#/components/schemas/{ERROR}"}}
    answer = {"description": description, "content": {"application/json": body}}
    return answer | ({"headers": headers} if headers else {})


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for operations in result["paths"].values():
        yield from operations.items()
