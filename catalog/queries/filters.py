"""Filters of the product list, for pages, API, export and bulk acts alike."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import django_filters
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from catalog.field_values import SEPARATOR
from catalog.models import Change, ChangeSet, Product
from catalog.queries.own_fields.filters import FILTER_MAX_LENGTH, OWN_PREFIX, own_conditions
from catalog.values import clean_typed_price
from product_importer.common.errors import Invalid
from product_importer.common.parsing import whole_number


class BadFilter(Invalid):
    """A filter, an order or a value that does not exist; made of a sentence for each by name."""

    def __init__(self, sentences: dict[str, str]) -> None:
        super().__init__({name: ("invalid", text) for name, text in sentences.items()})

    def __str__(self) -> str:
        return self.sentence


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


def _price_from(name: str, text: str) -> Q:
    return Q(price__gte=_price(name, text))


def _price_to(name: str, text: str) -> Q:
    return Q(price__lte=_price(name, text))


def _price(name: str, text: str) -> Decimal:
    try:
        return Decimal(clean_typed_price(text) or "")
    except (ValueError, InvalidOperation) as error:
        raise BadFilter({name: str(error) or f"The filter {name} has to be a price."}) from None


def _without_price(name: str, text: str) -> Q:
    if text != "none":
        raise BadFilter({name: "The filter price takes one word: none, for products without one."})
    return Q(price=None)


def _changed_from(name: str, text: str) -> Q:
    return Q(updated_at__gte=day_start(name, text))


def _changed_to(name: str, text: str) -> Q:
    return Q(updated_at__lt=day_start(name, text, days=1))


def day_start(name: str, text: str, days: int = 0) -> datetime:
    """The beginning of a day, or of the one so many days later, in the site's time zone."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return timezone.make_aware(datetime.combine(day, time.min))
    except (ValueError, OverflowError):
        sentence = f"“{text[:40]}” is not a day. Write one like 2026-01-31."
        raise BadFilter({name: sentence}) from None


_CREATING = (ChangeSet.Kind.CREATE, ChangeSet.Kind.IMPORT)


def _of_change_set(name: str, text: str) -> Q:
    """What a change set created or updated, whatever became of it since."""
    number = whole_number(text)
    if number is None:
        raise BadFilter({name: f"“{text[:40]}” is not the number of a change set."})
    updated = Q(pk__in=Change.objects.filter(change_set=number).order_by().values("product_id"))
    kind = ChangeSet.objects.filter(pk=number).values_list("kind", flat=True).first()
    if kind is not None and kind not in _CREATING:
        return updated  # else all products would be looked at for what it created
    return Q(created_in=number) | updated


def _of_supplier(name: str, text: str) -> Q:
    """What a supplier brought in: its imports created it, whoever changed it since."""
    number = whole_number(text)
    if number is None:
        raise BadFilter({name: f"“{text[:40]}” is not the number of a supplier."})
    return brought_in_by(number)


def brought_in_by(supplier_id: int) -> Q:
    """The products that a supplier brought in (of change sets, see ``ChangeSet.supplier``)."""
    return Q(created_in__in=ChangeSet.objects.filter(supplier=supplier_id).order_by().values("id"))


_CONDITIONS: dict[str, Callable[[str, str], Q]] = {
    "price_min": _price_from,
    "price_max": _price_to,
    "price": _without_price,
    "changed_from": _changed_from,
    "changed_to": _changed_to,
    "change_set": _of_change_set,
    "supplier": _of_supplier,
}
FILTERS = ("q", "sku", "name", "description", "active", *_CONDITIONS)
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

    ``given`` maps names of filters to text (``active`` to true or false, ``price`` to none,
    ``price_min`` and ``price_max`` to prices, ``changed_from`` and ``changed_to`` to days,
    ``change_set`` and ``supplier`` to a number); ``also`` names what
    else may stand there. Text is literal: no character in it has a meaning. Raises
    ``BadFilter`` for an unknown name if ``strict``, and for a value that cannot be.
    """
    errors: dict[str, str] = {}
    wanted: dict[str, str] = {}
    own: dict[str, str] = {}
    conditions: list[Any] = []
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
                    errors |= error.sentences
            if not isinstance(value, str | bool | int | None):
                errors[name] = f"The filter {name} has to be a text."
            if any("\ud800" <= character <= "\udfff" for character in text):
                errors[name] = f"The filter {name} contains half a character."
            if len(text) > FILTER_MAX_LENGTH:
                errors[name] = (
                    f"The filter {name} has {len(text):,} characters; at most "
                    f"{FILTER_MAX_LENGTH:,} are allowed. A part of the text is enough."
                )
            elif name in _CONDITIONS and text.strip():
                try:
                    conditions.append(_CONDITIONS[name](name, text.strip()))
                except BadFilter as error:
                    errors |= error.sentences
            wanted[name] = text
        elif strict and name not in also:
            errors[name] = (
                f"There is no filter “{name[:40]}”. There are: {', '.join([*FILTERS, *also])}."
            )
    more, wrong = own_conditions(own)
    conditions += more
    errors |= wrong
    if errors:
        raise BadFilter(errors)
    products = Product.objects.all()
    if any("\0" in text for text in wanted.values()):
        return products.none()  # no stored text has a NUL, so nothing contains it
    filtered: QuerySet[Product] = ProductFilter(wanted, queryset=products).qs
    return filtered.filter(*conditions) if conditions else filtered


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
    """The filters that are set, as they stand in an address or a form.

    One that is there several times, as a list of choices sends it, is one of all its values.
    """
    names = [*FILTERS, *(name for name in given if name.startswith(OWN_PREFIX))]
    found = {name: str(given[name]) for name in names if given.get(name) not in (None, "")}
    if isinstance(given, QueryDict):
        for name in found:
            if name.startswith(OWN_PREFIX) and name.endswith("__in"):
                found[name] = SEPARATOR.join(one for one in given.getlist(name) if one)
    return found
