"""Formats of well-known shops and feeds, by their exports' and templates' own columns.

A file is one of these where it has all of ``columns``; of the others that a format reads, those
that the file lacks are left out.
"""

from dataclasses import dataclass
from typing import Any

from imports.mapping.matching.aliases import key_of
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

# --- What a product's further lines lack ----------------------------------------------

SHOPIFY_HANDLE = "Handle"  # the same in all lines of a product

# https://help.shopify.com/en/manual/products/import-export/using-csv: what is no variant's own.
_ONCE = """
    Vendor, Product Category, Type, Tags, Published, Option1 Name, Option1 Linked To, Option2 Name,
    Option2 Linked To, Option3 Name, Option3 Linked To, Gift Card, SEO Title, SEO Description,
    Google Shopping / Google Product Category, Google Shopping / Gender,
    Google Shopping / Age Group, Google Shopping / Condition, Google Shopping / Custom Product,
    Google Shopping / Custom Label 0, Google Shopping / Custom Label 1,
    Google Shopping / Custom Label 2, Google Shopping / Custom Label 3,
    Google Shopping / Custom Label 4
"""
_ONCE_KEYS = {key_of(name) for name in _ONCE.split(",")}


def is_once_in_shopify(column: str) -> bool:
    """Whether only the first line of a product has a column of Shopify's file.

    Such a column is filled down where it is read as a field of one's own, as far as the product
    goes: the next one may have nothing in it.
    """
    return key_of(column) in _ONCE_KEYS or "(product.metafields." in column.casefold()
