"""Filters of the product list, for pages, API, export and bulk acts alike."""

from collections.abc import Iterable, Mapping
from typing import Any

import django_filters
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q, QuerySet

from catalog.models import Product
from catalog.queries.own_filters import FILTER_MAX_LENGTH, OWN_PREFIX, own_conditions


class BadFilter(Exception):
    """A filter, an order or a value that does not exist: ``errors`` maps its name to a sentence."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


def _contains(**options: Any) -> django_filters.CharFilter:
    return django_filters.CharFilter(
        lookup_expr="icontains", max_length=FILTER_MAX_LENGTH, **options
    )


class ProductFilter(django_filters.FilterSet):
    """``sku``, ``name``, ``description``: contains, in any case; ``q``: any of the three."""

    sku = _contains(label="SKU")
    name = _contains()
    description = _contains()
    active = django_filters.BooleanFilter()
    q = _contains(method="search", label="SKU, name or description")

    class Meta:
        model = Product
        fields = ["sku", "name", "description", "active"]

    def search(self, products: QuerySet[Product], name: str, text: str) -> QuerySet[Product]:
        return products.filter(
            Q(sku__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text)
        )


FILTERS = ("q", "sku", "name", "description", "active")
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def is_true(name: str, text: str) -> bool | None:
    """What a word in an address means; ``None`` for a blank one. Raises ``BadFilter``."""
    if not text:
        return None
    try:
        return _WORDS[text.strip().lower()]
    except KeyError:
        raise BadFilter({name: f"“{text[:40]}” is not {name}: write true or false."}) from None


def filtered_products(
    given: Mapping[str, Any], *, also: Iterable[str] = (), strict: bool = True
) -> QuerySet[Product]:
    """The products that match; a blank filter is none.

    ``given`` maps names of filters to text (``active`` to true or false); ``also`` names what
    else may stand there. Text is literal: no character in it has a meaning. Raises
    ``BadFilter`` for an unknown name if ``strict``, and for a value that cannot be.
    """
    errors: dict[str, str] = {}
    wanted: dict[str, str] = {}
    own: dict[str, str] = {}
    for name in given:
        if name.startswith(OWN_PREFIX):
            own[name] = "" if given[name] is None else given[name]
        elif name in FILTERS:
            value = given[name]
            text = "" if value is None else str(value)
            if name == "active":
                try:
                    text = {True: "true", False: "false", None: ""}[is_true(name, text)]
                except BadFilter as error:
                    errors |= error.errors
            if not isinstance(value, str | bool | int | None):
                errors[name] = f"The filter {name} has to be a text."
            if any("\ud800" <= character <= "\udfff" for character in text):
                errors[name] = f"The filter {name} contains half a character."
            if len(text) > FILTER_MAX_LENGTH:
                errors[name] = (
                    f"The filter {name} has {len(text):,} characters; at most "
                    f"{FILTER_MAX_LENGTH:,} are allowed. A part of the text is enough."
                )
            wanted[name] = text
        elif strict and name not in also:
            errors[name] = (
                f"There is no filter “{name[:40]}”. There are: {', '.join([*FILTERS, *also])}."
            )
    conditions, wrong = own_conditions(own)
    errors |= wrong
    if errors:
        raise BadFilter(errors)
    products = Product.objects.all()
    if any("\0" in text for text in wanted.values()):
        return products.none()  # no stored text has a NUL, so nothing contains it
    filtered: QuerySet[Product] = ProductFilter(wanted, queryset=products).qs
    return filtered.filter(*conditions)


def where_of(products: QuerySet[Product]) -> tuple[str, tuple[Any, ...]]:
    """The condition of a query on products and its parameters, for raw SQL."""
    if not products.query.where:
        return "true", ()
    try:
        compiler = products.query.get_compiler(connection=connection)
        where, params = compiler.compile(products.query.where)
    except EmptyResultSet:
        return "false", ()
    return where, tuple(params)


def active_filters(given: Mapping[str, Any]) -> dict[str, str]:
    """The filters that are set, as they stand in an address."""
    names = [*FILTERS, *(name for name in given if name.startswith(OWN_PREFIX))]
    return {name: str(given[name]) for name in names if given.get(name) not in (None, "")}
