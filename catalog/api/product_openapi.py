"""A product in the description of the API: its values, and what a list of products is asked by."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from catalog.api.openapi import OWN_FIELDS
from catalog.field_values import CHOICE_MAX_LENGTH, CHOICES_AT_MOST
from catalog.queries.own_fields.filters import FILTER_MAX_LENGTH
from catalog.values import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH, SKU_MAX_LENGTH
from product_importer.common.parsing import TEXT_MAX_LENGTH

VERSION_DIGITS = 9

OWN_VALUES: dict[str, Any] = {  # catalog.api.openapi puts the fields that there are in its place
    "type": "object",
    OWN_FIELDS: True,
    "additionalProperties": {
        "oneOf": [
            {"type": "string", "maxLength": DESCRIPTION_MAX_LENGTH},
            {"type": "number"},
            {"type": "boolean"},
            {
                "type": "array",
                "items": {"type": "string", "maxLength": CHOICE_MAX_LENGTH},
                "maxItems": CHOICES_AT_MOST,
            },
        ],
        "nullable": True,
    },
    "example": {"brand": "Acme", "stock": 12},
}


def _text_or_number(**rules: Any) -> dict[str, Any]:
    return {"oneOf": [{"type": "string", **rules}, {"type": "number"}]}


# What catalog.operations.products.clean_values takes, as OpenAPI has it.
PRODUCT_VALUES: dict[str, Any] = {
    "sku": _text_or_number(minLength=1, maxLength=SKU_MAX_LENGTH)
    | {"description": "Unique without regard to case; trimmed."},
    "name": _text_or_number(minLength=1, maxLength=NAME_MAX_LENGTH) | {"description": "Trimmed."},
    "description": _text_or_number(maxLength=DESCRIPTION_MAX_LENGTH) | {"nullable": True},
    "price": {
        "oneOf": [
            {
                "type": "string",
                "pattern": r"^\s*(0*[0-9]{1,10}(\.[0-9]{1,2})?)?\s*$",
                "maxLength": TEXT_MAX_LENGTH,
            },
            {"type": "number", "minimum": 0, "exclusiveMaximum": True, "maximum": 10**10},
        ],
        "nullable": True,
        "example": "1299.00",
        "description": "Plain digits with at most two decimals; null or blank: no price.",
    },
    "active": {
        "oneOf": [
            {"type": "boolean"},
            {"type": "string", "maxLength": TEXT_MAX_LENGTH},
            {"type": "integer", "enum": [0, 1]},
        ],
        "nullable": True,
        "example": True,
        "description": "true or false (the words of a file do as well); null keeps it.",
    },
    "fields": OWN_VALUES
    | {"description": "Values of the catalogue's own fields by key; null takes one away."},
}
VERSION = {
    "oneOf": [
        {"type": "integer", "minimum": 0, "maximum": 999_999_999},
        {"type": "string", "maxLength": VERSION_DIGITS},
    ],
    "nullable": True,
    "description": "The version that you have seen: 409 if the product has moved on.",
}


def body_of(*, required: bool, **more: Any) -> dict[str, Any]:
    """The body of a request that creates or changes a product."""
    body = {"type": "object", "properties": {**PRODUCT_VALUES, **more}}
    return {"application/json": body | ({"required": ["sku", "name"]} if required else {})}


_TEXT = {"type": "string", "maxLength": FILTER_MAX_LENGTH}
_DAY: dict[str, Any] = {  # an empty filter filters nothing, as a form sends it
    "anyOf": [
        {"type": "string", "format": "date", "maxLength": 10},
        {"type": "string", "maxLength": 0},
    ]
}
PRODUCT_FILTERS = [
    OpenApiParameter("q", _TEXT, description="SKU, name or description contains this, in any case"),
    OpenApiParameter("sku", _TEXT, description="contains this, in any case"),
    OpenApiParameter("name", _TEXT, description="contains this, in any case"),
    OpenApiParameter("description", _TEXT, description="contains this, in any case"),
    OpenApiParameter("active", bool),
    OpenApiParameter("price", {"type": "string", "enum": ["none"]}, description="without a price"),
    OpenApiParameter("price_min", _TEXT, description="costs this or more"),
    OpenApiParameter("price_max", _TEXT, description="costs this or less"),
    OpenApiParameter("changed_from", _DAY, description="changed last on this day or later"),
    OpenApiParameter("changed_to", _DAY, description="changed last on this day or earlier"),
    OpenApiParameter(
        "change_set", int, description="created or updated by the change set of this number"
    ),
    OpenApiParameter(
        "supplier", int, description="brought in by the supplier of this number: it created them"
    ),
]
EXPORT_LAYOUT = [
    OpenApiParameter(
        "columns", _TEXT, description="the columns in their order, with commas: sku,price,brand"
    ),
    OpenApiParameter(
        "export_format",
        _TEXT,
        description="an export format by its name or number, in place of columns",
    ),
    OpenApiParameter("format", _TEXT, description="the same as export_format"),
    OpenApiParameter(
        "currency",
        {"type": "string", "maxLength": 3},
        description="in three letters, where the format asks for one",
    ),
]
IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "maxLength": TEXT_MAX_LENGTH},
    OpenApiParameter.HEADER,
    description="the version that you have seen",
)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="the version, quoted"
)
