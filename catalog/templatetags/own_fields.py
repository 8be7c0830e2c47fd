"""How the values of products are shown in their list.

A page of 200 rows has thousands of cells, so they are made here: a template that asks of each cell
what it is takes several times as long.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.template.defaultfilters import truncatechars
from django.template.loader import render_to_string
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.field_values import Definition, in_words, shown_image
from catalog.models import Product
from catalog.queries.columns import Column
from catalog.queries.history import FieldChange
from catalog.queries.own_fields.fields import definitions
from product_importer.templatetags.figures import ago, told

register = template.Library()

CELL_CHARACTERS = 90  # of a long text
TITLE_CHARACTERS = 500  # of it, where the pointer rests


@register.simple_tag
def product_cells(product: Product, columns: Iterable[Column]) -> SafeString:
    """The cells of a row that is not being edited."""
    cells = ((cell_attributes(product, one), product_cell(product, one)) for one in columns)
    return format_html_join("\n", "<td{}>{}</td>", cells)


@register.simple_tag(takes_context=True)
def label_of(context: template.Context, change: FieldChange) -> str:
    """What a changed field is called; one that there is no more by its key."""
    definition = _definition(context, change.field)
    return change.label if definition is None else definition.label


@register.simple_tag(takes_context=True)
def value_of(context: template.Context, value: Any, field: str) -> str:
    """A value before or after in words; of an own field as its type is read."""
    definition = _definition(context, field)
    if definition is not None and value is not None:
        value = in_words(definition, value)
    return told(value, field)


def _definition(context: template.Context, field: str) -> Definition | None:
    if not field.startswith("fields."):
        return None
    # Asked for once, where the page has any: beneath what its parts add and take away.
    every = context.dicts[0]
    if "own_definitions" not in every:
        every["own_definitions"] = definitions()
    found: Definition | None = every["own_definitions"].get(field.removeprefix("fields."))
    return found


@register.filter
def cell_attributes(product: Product, column: Column) -> SafeString:
    """The attributes of a cell: those of its column, and of a description what is cut off."""
    if column.name != "description":
        return column.attributes
    title = truncatechars(product.description, TITLE_CHARACTERS)
    return format_html('{} title="{}"', column.attributes, title)


@register.filter
def product_cell(product: Product, column: Column) -> str | SafeString:
    """What a column's cell of a product shows."""
    if column.field is not None:
        return own_cell(product, column)
    if column.name == "description":
        return truncatechars(product.description, CELL_CHARACTERS)
    if column.name == "price":
        return "—" if product.price is None else str(localize(product.price))
    if column.name == "active":
        return _active(product.active)
    return ago(product.updated_at) if column.name == "updated_at" else product.name


@lru_cache(maxsize=2)
def _active(active: bool) -> SafeString:
    return render_to_string("catalog/_active.html", {"active": active})


def own_cell(product: Product, column: Column) -> str | SafeString:
    """A product's value in a cell: a link as a link, an image as a small picture of itself.

    Nothing is fetched here: the browser does, when the row comes into sight, and tells the image's
    server nothing of where it was shown. Only ``https`` images are shown; the page's policy
    (product_importer.web.csp) takes no others.
    """
    definition = column.definition
    if definition is None:
        return ""
    value = (product.own_fields or {}).get(definition.key)
    if value is None:
        return "—"
    if shown_image(definition, value):
        return format_html(
            '<a href="{}" target="_blank" rel="noopener noreferrer" hx-boost="false">'
            '<img class="pi-thumb" src="{}" alt="{} of {}" width="40" height="40" loading="lazy"'
            ' decoding="async" referrerpolicy="no-referrer"></a>',
            value,
            value,
            definition.label,
            product.sku,
        )
    if definition.type in ("link", "image"):
        return _link(str(value))
    text = in_words(definition, value)
    if len(text) > CELL_CHARACTERS:
        short = truncatechars(text, CELL_CHARACTERS)
        return format_html(
            '<span title="{}">{}</span>', truncatechars(text, TITLE_CHARACTERS), short
        )
    return text


def _link(address: str) -> str | SafeString:
    """A link that opens beside the list. A value of another time that is none stays text."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    text = truncatechars(parts.netloc + parts.path.rstrip("/"), 40)
    return format_html(
        '<a href="{}" target="_blank" rel="noopener noreferrer" hx-boost="false">{}</a>',
        address,
        text,
    )
