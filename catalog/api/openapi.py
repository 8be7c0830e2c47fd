"""The fields of one's own in the description of the API: their types, and filters by them.

They are the catalogue's own affair, so only who may see products is told of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from catalog import field_values
from catalog.field_values import Definition
from catalog.queries.own_fields.fields import definitions
from catalog.queries.own_fields.filters import FILTER_MAX_LENGTH, ways_of
from catalog.values import DESCRIPTION_MAX_LENGTH

OWN_FIELDS = "x-own-fields"  # marks the schema of a product's own values
_FILTERED = ("/api/v1/products/", "/api/v1/products/export.csv", "/api/v1/products/export.xlsx")


def describe_fields(
    result: dict[str, Any], *, request: Any = None, **options: Any
) -> dict[str, Any]:
    """Describe the fields that there are (a postprocessing hook of drf-spectacular)."""
    user = getattr(request, "user", None)
    own = definitions() if user and user.has_perm("catalog.view_product") else {}
    values = {key: _value(one) for key, one in own.items()}
    for schema in _marked(result):
        del schema[OWN_FIELDS]
        if own:
            schema |= {"properties": values, "additionalProperties": False}
            schema.pop("example", None)
    _add_filters(result, own)
    return result


def _marked(part: Any) -> Iterator[dict[str, Any]]:
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for one in list(inside):
        yield from _marked(one)
    if isinstance(part, dict) and OWN_FIELDS in part:
        yield part


def _value(definition: Definition) -> dict[str, Any]:
    """The schema of one field's value, as it is sent and answered."""
    bound = {
        "long_text": DESCRIPTION_MAX_LENGTH,
        "link": field_values.LINK_MAX_LENGTH,
        "image": field_values.LINK_MAX_LENGTH,
    }.get(definition.type, field_values.TEXT_MAX_LENGTH)
    text: dict[str, Any] = {"type": "string", "maxLength": bound}
    number = {"type": "string", "pattern": r"^[+-]?[0-9]{1,15}(\.[0-9]+)?$"}
    schemas: dict[str, dict[str, Any]] = {
        "integer": {"type": "integer"},
        "decimal": number,
        "money": {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,2})?$"},
        "boolean": {"type": "boolean"},
        "date": {"type": "string", "format": "date"},
        "choice": {"type": "string", "enum": [*definition.choices, None]},
        "choices": {
            "type": "array",
            "items": {"type": "string", "enum": [*definition.choices]},
        },
        "gtin": {"type": "string", "pattern": "^[0-9]{8,14}$"},
    }
    schema = schemas.get(definition.type, text)
    return schema | {"title": definition.label, "nullable": True}


def _add_filters(result: dict[str, Any], own: Mapping[str, Definition]) -> None:
    """Add ``fields.KEY`` and the ways that its type has to where products are listed."""
    known = {}
    for key, one in own.items():
        for how, words in ways_of(one).items():
            name = f"fields.{key}{'__' if how else ''}{how}"
            told = {"schema": _filter(one, how), "description": f"{one.label}{words}"}
            known[name] = {"in": "query", "name": name, **told}
    if not known:
        return
    result["components"]["parameters"] = known
    refs = [{"$ref": f"#/components/parameters/{name}"} for name in known]
    for path in _FILTERED:
        operation = result["paths"][path]["get"]
        operation["parameters"] = [*operation.get("parameters", []), *refs]


def _filter(definition: Definition, how: str) -> dict[str, Any]:
    if how == "isblank":
        return {"type": "boolean"}
    if how in ("in", "contains") or definition.type not in ("integer", "boolean", "date"):
        return {"type": "string", "maxLength": FILTER_MAX_LENGTH}
    return {name: part for name, part in _value(definition).items() if name in ("type", "format")}
