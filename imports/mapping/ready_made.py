"""Formats of well-known shops and feeds, by their exports' and templates' own columns.

A file is one of these where it has all of ``columns``; of the others that a format reads, those
that the file lacks are left out.
"""

from dataclasses import dataclass
from typing import Any

from imports.mapping.rules import parse_rules, rules_as_json


@dataclass(frozen=True)
class ReadyMade:
    name: str
    columns: list[str]
    rules: dict[str, Any]


def _format(name: str, by: str, **rules: Any) -> ReadyMade:
    return ReadyMade(name, by.split("; "), rules_as_json(parse_rules(rules)))


# Of a product's lines in Shopify's file only the first has its title and state; those of further
# pictures have no SKU.
_SHOPIFY = {
    "only_if": [{"column": "Variant SKU", "is_not": [""]}],
    "blank": {"description": "keep"},
}
_SHOPIFY_COLUMNS = [
    {"field": "sku", "column": "Variant SKU"},
    {"field": "name", "column": "Title", "fill_down": True},
    {"field": "description", "column": "Body (HTML)"},
    {"field": "price", "column": "Variant Price"},
]

READY_MADE = [
    _format(
        "Shopify",
        "Handle; Title; Variant SKU; Variant Price; Status",
        **_SHOPIFY,
        columns=[
            *_SHOPIFY_COLUMNS,
            {
                "field": "active",
                "column": "Status",
                "values": {"active": True, "draft": False, "archived": False, "unlisted": False},
                "fill_down": True,
            },
        ],
    ),
    _format(
        "Shopify (before 2020)",
        "Handle; Title; Variant SKU; Variant Price; Published",
        **_SHOPIFY,
        columns=[
            *_SHOPIFY_COLUMNS,
            {"field": "active", "column": "Published", "fill_down": True},
        ],
    ),
    _format(
        "WooCommerce",
        "Type; SKU; Name; Published; Regular price",
        columns=[
            {"field": "sku", "column": "SKU"},
            {"field": "name", "column": "Name"},
            {"field": "description", "column": "Description"},
            {"field": "price", "column": "Regular price"},
            {
                "field": "active",
                "column": "Published",
                "values": {"1": True, "0": False, "-1": False},  # published, private, draft
            },
        ],
    ),
    _format(
        "Magento 2",
        "sku; attribute_set_code; product_type; name; product_online; price",
        # Lines of single store views have what differs there, and blanks.
        only_if=[{"column": "store_view_code", "is": [""]}],
        columns=[
            {"field": "sku", "column": "sku"},
            {"field": "name", "column": "name"},
            {"field": "description", "column": "description"},
            {"field": "price", "column": "price"},
            {
                "field": "active",
                "column": "product_online",
                "values": {"1": True, "2": False, "0": False},
            },
        ],
    ),
    _format(
        "PrestaShop",
        "Active (0/1); Name *; Price tax excluded; Reference #",
        columns=[
            {"field": "sku", "column": "Reference #"},
            {"field": "name", "column": "Name *"},
            {"field": "description", "column": "Description"},
            {"field": "price", "column": "Price tax excluded"},
            {"field": "active", "column": "Active (0/1)"},
        ],
    ),
    _format(
        "Google Merchant",
        "id; title; description; link; image_link; availability; price",
        columns=[
            {"field": "sku", "column": "id"},
            {"field": "name", "column": "title"},
            {"field": "description", "column": "description"},
            {"field": "price", "column": "price"},
        ],
    ),
]
