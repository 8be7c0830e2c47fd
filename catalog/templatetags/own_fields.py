"""How values of fields of one's own are shown in the list of products."""

from urllib.parse import urlsplit

from django import template
from django.template.defaultfilters import truncatechars
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.field_values import in_words, shown_image
from catalog.models import Product
from catalog.queries.columns import Column

register = template.Library()

CELL_CHARACTERS = 90  # as many as of a description


@register.filter
def own_cell(product: Product, column: Column) -> str | SafeString:
    """A product's value in a cell: a link as a link, an image as a small picture of itself.

    Nothing is fetched here: the browser does, when the row comes into sight, and tells the image's
    server nothing of where it was shown. Only ``https`` images are shown; the page's policy
    (product_importer.web.csp) takes no others.
    """
    if column.field is None:
        return ""
    definition = column.field.definition
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
        return format_html('<span title="{}">{}</span>', truncatechars(text, 500), short)
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
