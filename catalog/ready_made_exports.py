"""Export formats of well-known shops and feeds: the way back of what was imported from them.

Pure Python. They follow the catalogue: a column has the own field of its name (made by an import of
the shop's file), or else the usual one; columns for which there is no field are left out, as what a
shop's import lacks stays in the shop as it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalog.export_columns import NUMBERS, OWN_PREFIX, OutputColumn
from catalog.field_values import Definition, key_of
from catalog.values import FIELDS


@dataclass(frozen=True)
class ReadyMadeExport:
    """``columns`` are those for a catalogue with these own fields."""

    name: str
    delimiter: str
    columns: Callable[[Mapping[str, Definition]], list[OutputColumn]]


# (the column, what is in it, rules for that). In it is one of the five, keys of own fields of which
# the first that there is counts, or "=" and a fixed text where there is none of them. An own field
# that has the column's own name goes before all, and is written as it is.
_Row = tuple[str, str, dict[str, Any]]


def _made_of(
    rows: list[_Row], others: str = ""
) -> Callable[[Mapping[str, Definition]], list[OutputColumn]]:
    """``others`` are columns of any number: those of which own fields have the very names."""

    def columns(definitions: Mapping[str, Definition]) -> list[OutputColumn]:
        found = []
        for name, content, rules in rows:
            wanted, is_fixed, text = content.partition("=")
            if wanted not in FIELDS and (key := _named(name, definitions)):
                found.append(OutputColumn(name, OWN_PREFIX + key))
            elif field := _first(wanted.split(), definitions):
                found.append(OutputColumn(name, field, **rules))
            elif is_fixed:
                found.append(OutputColumn(name, constant=text))
        there = {column.name for column in found}
        found += [
            OutputColumn(one.label, OWN_PREFIX + key)
            for key, one in definitions.items()
            if re.fullmatch(others, one.label) and one.label not in there
        ]
        return found

    return columns


def _named(name: str, definitions: Mapping[str, Definition]) -> str:
    """The key of the own field that a column's name is the label or the key of, or blank."""
    labels = {one.label.casefold(): key for key, one in definitions.items()}
    key = key_of(name)
    return labels.get(name.casefold()) or (key if key in definitions else "")


def _first(wanted: list[str], definitions: Mapping[str, Definition]) -> str:
    for name in wanted:
        if name in FIELDS:
            return name
        if name in definitions:
            return OWN_PREFIX + name
    return ""


def _shopify(definitions: Mapping[str, Definition]) -> list[OutputColumn]:
    """The category is the shop's own type, unless a field of that name has this."""
    has_type = bool(_named("Type", definitions))
    content = {"Product Category": "category"} if has_type else {}
    rows = [(name, content.get(name, what), rules) for name, what, rules in _SHOPIFY]
    return _made_of(rows, r".*\(product\.metafields\..*\)")(definitions)


def _as_they_are(text: str) -> list[_Row]:
    """Columns that are there where own fields have their names."""
    return [(name.strip(), "", {}) for name in text.split(";")]


# Without fields for it, each product is one of the shop's own, with one variant.
_SHOPIFY: list[_Row] = [
    ("Handle", "handle sku", {}),
    ("Title", "name", {}),
    ("Body (HTML)", "description", {}),
    ("Vendor", "brand", {}),
    *_as_they_are("Product Category"),
    ("Type", "category", {}),
    *_as_they_are("Tags; Published"),
    ("Option1 Name", "=Title", {}),
    ("Option1 Value", "=Default Title", {}),
    *_as_they_are(
        "Option1 Linked To; Option2 Name; Option2 Value; Option2 Linked To; Option3 Name;"
        "Option3 Value; Option3 Linked To"
    ),
    ("Variant SKU", "sku", {}),
    *_as_they_are("Variant Grams; Variant Inventory Tracker"),
    ("Variant Inventory Qty", "stock", {}),
    *_as_they_are("Variant Inventory Policy; Variant Fulfillment Service"),
    ("Variant Price", "price", {}),
    ("Variant Compare At Price", "compare_at_price", {}),
    *_as_they_are(
        "Variant Requires Shipping; Variant Taxable; Unit Price Total Measure;"
        "Unit Price Total Measure Unit; Unit Price Base Measure; Unit Price Base Measure Unit"
    ),
    ("Variant Barcode", "gtin", {}),
    ("Image Src", "image", {}),
    *_as_they_are(
        "Image Position; Image Alt Text; Gift Card; SEO Title; SEO Description;"
        "Google Shopping / Google Product Category; Google Shopping / Gender;"
        "Google Shopping / Age Group; Google Shopping / MPN; Google Shopping / Condition;"
        "Google Shopping / Custom Product; Google Shopping / Custom Label 0;"
        "Google Shopping / Custom Label 1; Google Shopping / Custom Label 2;"
        "Google Shopping / Custom Label 3; Google Shopping / Custom Label 4;"
        "Variant Image; Variant Weight Unit; Variant Tax Code"
    ),
    ("Cost per item", "cost", {}),
    ("Status", "active", {"values": {"true": "active", "false": "draft"}}),
]

_WOOCOMMERCE: list[_Row] = [
    *_as_they_are("ID"),
    ("Type", "=simple", {}),
    ("SKU", "sku", {}),
    ("GTIN, UPC, EAN, or ISBN", "gtin", {}),
    ("Name", "name", {}),
    ("Published", "active", {"values": {"true": "1", "false": "-1"}}),  # published, draft
    *_as_they_are("Is featured?; Visibility in catalog; Short description"),
    ("Description", "description", {}),
    *_as_they_are("Date sale price starts; Date sale price ends; Tax status; Tax class; In stock?"),
    ("Stock", "stock", {}),
    *_as_they_are("Low stock amount; Backorders allowed?; Sold individually?"),
    ("Weight (kg)", "weight", {}),
    *_as_they_are(
        "Length (cm); Width (cm); Height (cm); Allow customer reviews?; Purchase note; Sale price"
    ),
    ("Regular price", "price", {}),
    ("Categories", "category", {}),
    *_as_they_are("Tags; Shipping class"),
    ("Images", "image", {}),
    *_as_they_are(
        "Download limit; Download expiry days; Parent; Grouped products; Upsells; Cross-sells;"
        "External URL; Button text; Position"
    ),
    ("Brands", "brand", {}),
]


def _google(definitions: Mapping[str, Definition]) -> list[OutputColumn]:
    """https://support.google.com/merchants/answer/7052112; a price has its currency behind it."""
    if "stock" in definitions and definitions["stock"].type in NUMBERS:
        stock = {"at_least": "1", "blank": "in_stock"}
        available: _Row = ("availability", "stock", _IN_STOCK | stock)
    elif _named("availability", definitions):
        available = ("availability", "", {})
    else:
        available = ("availability", "active", _IN_STOCK)
    rows: list[_Row] = [
        ("id", "sku", {}),
        ("title", "name", {}),
        ("description", "description", {}),
        ("link", "product_link product_url url=", {}),
        ("image_link", "image=", {}),
        available,
        ("price", "price", {"currency": ""}),
        ("condition", "=new", {}),
        *_as_they_are("brand; gtin; mpn"),
        ("product_type", "category", {}),
        *_as_they_are(
            "google_product_category; additional_image_link; item_group_id; color; size; gender;"
            "age_group; material; pattern; identifier_exists; adult; multipack; is_bundle;"
            "sale_price; sale_price_effective_date; availability_date; expiration_date;"
            "mobile_link; lifestyle_image_link; product_highlight; product_detail; size_type;"
            "size_system; unit_pricing_measure; unit_pricing_base_measure; cost_of_goods_sold;"
            "energy_efficiency_class; product_length; product_width; product_height;"
            "product_weight; shipping; shipping_label; shipping_weight; tax; tax_category;"
            "custom_label_0; custom_label_1; custom_label_2; custom_label_3; custom_label_4;"
            "promotion_id; ads_redirect; excluded_destination; included_destination"
        ),
    ]
    # An amount of money has its currency behind it, like the price.
    return [
        replace(column, currency="")
        if column.key and definitions[column.key].type == "money"
        else column
        for column in _made_of(rows)(definitions)
    ]


_IN_STOCK = {"values": {"true": "in_stock", "false": "out_of_stock"}}

READY_MADE = (
    ReadyMadeExport("Shopify", ",", _shopify),
    ReadyMadeExport("WooCommerce", ",", _made_of(_WOOCOMMERCE, r"Attribute \d+ .*|Meta: .*")),
    ReadyMadeExport("Google Merchant", "\t", _google),
)
