"""Fields of one's own in the admin's list of products: columns, orders and filters as on the page.

The filters have the names that pages and API know them by (``fields.KEY__how``).
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import DropdownFilter, TextFilter
from unfold.decorators import display

from catalog.models import Field, Product
from catalog.queries.columns import Column, all_columns, first_columns, known_columns
from catalog.queries.filters import BadFilter, filtered_products
from catalog.queries.own_fields.values import own_key
from catalog.queries.personal import settings_of
from catalog.templatetags.own_fields import own_cell
from catalog.views.own_fields.filter_inputs import filter_groups


def own_fields_of(request: HttpRequest) -> list[Field]:
    """The fields in use. Asked for once a request."""
    found: list[Field] | None = getattr(request, "_own_fields", None)
    if found is None:
        found = list(Field.objects.filter(retired=False))
        request._own_fields = found  # type: ignore[attr-defined]
    return found


_ONE_LINE = ("pi-num", "pi-one-line")  # of columns on the page of the products


def one_line(text: str) -> str:
    """A text that is not broken at its dashes and blanks."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def own_columns(request: HttpRequest) -> list[Callable[[Product], str]]:
    """The columns of own fields that this person sees on the page of the products, in their order.

    For ``list_display``.
    """
    every = all_columns(own_fields_of(request))
    shown = known_columns(settings_of(request.user).columns, every) or first_columns(every)
    return [_shown(every[name]) for name in shown if every[name].field]


def _shown(column: Column) -> Callable[[Product], str]:
    order = own_key(column.definition) if column.definition and column.sortable else None

    @display(description=column.label, ordering=order)
    def cell(product: Product) -> str:
        text = own_cell(product, column)
        return one_line(text) if column.classes in _ONE_LINE else text

    cell.__name__ = column.name.replace(".", "_")
    shown: Callable[[Product], str] = cell
    return shown


class _OwnFilter(SimpleListFilter):
    """A filter of the page of the products; what it cannot be is told, and matches nothing."""

    def queryset(self, request: HttpRequest, products: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value or not self.parameter_name:
            return products
        try:
            return products & filtered_products({self.parameter_name: value})
        except BadFilter as error:
            messages.error(request, str(error))
            return products.none()


class _Text(_OwnFilter, TextFilter):
    pass


class _Choice(_OwnFilter, DropdownFilter):
    words: Iterable[tuple[str, str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.words)


def own_filters(request: HttpRequest) -> list[type[SimpleListFilter]]:
    """A filter for each input that the page of the products has for fields of one's own."""
    groups = filter_groups(own_fields_of(request), {})
    return [_filter(group["label"], one) for group in groups for one in group["inputs"]]


def _filter(label: str, one: dict[str, Any]) -> type[SimpleListFilter]:
    """The filter for an input of a field (``catalog.views.own_fields.filter_inputs``)."""
    options = one["options"]
    told = {
        "title": f"{label}: {one['label'].lower()}",
        "parameter_name": one["name"],
        "words": [(value, word) for value, word, _ in options or () if value],
    }
    return type("OwnFilter", (_Choice if options else _Text,), told)
