"""The fields of one's own, as reads ask for them."""

from collections.abc import Iterable

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import QuerySet

from catalog.field_values import Definition
from catalog.models import Field, Product
from catalog.sql.fields import count_values, lock_definitions, products_by_value

FOUND_AT_MOST = 1_000  # products by their values, where many may share one


def definitions() -> dict[str, Definition]:
    """What the fields in use take, by key, in their order."""
    return {field.key: field.definition for field in Field.objects.filter(retired=False)}


def with_keys(products: QuerySet[Product]) -> QuerySet[Product]:
    """The products with the keys of the fields in use (``own_keys``), by no query of its own."""
    in_use = Field.objects.filter(retired=False).values("key")
    return products.annotate(own_keys=ArraySubquery(in_use))


def shown_values(own_fields: dict[str, object] | None, keys: list[str]) -> dict[str, object]:
    """A product's values of the fields in use, by key; those without one are null."""
    own = own_fields or {}
    return {key: own.get(key) for key in keys}


def counted_values(key: str) -> int:
    """How many products have a value under a key."""
    with connection.cursor() as cursor:
        return count_values(cursor, key)


def lacking_values(key: str) -> int:
    """How many products have no value under a key."""
    return Product.objects.count() - counted_values(key)


def there_are() -> set[str]:
    """The keys of all fields whose values are kept: the retired ones too, not the deleted."""
    return set(Field.objects.filter(cleared_in=None).values_list("key", flat=True))


def locked_definitions(keys: list[str]) -> dict[str, Definition]:
    """The definitions of these fields, the retired ones too, as they stay to the transaction's end.

    A deleted field has none.
    """
    with connection.cursor() as cursor:
        lock_definitions(cursor, keys)
    fields = Field.objects.filter(key__in=keys, cleared_in=None)
    return {field.key: field.definition for field in fields}


def unique_keys() -> list[str]:
    """The keys of the fields that no two products share a value of, the retired ones too."""
    return list(Field.objects.filter(unique=True).values_list("key", flat=True))


def names_taken() -> list[tuple[str, str]]:
    """The keys and labels of all fields, whatever has become of them."""
    return list(Field.objects.values_list("key", "label"))


def skus_by_value(
    key: str, values: Iterable[object], *, supplier: int | None = None
) -> dict[str, list[str]]:
    """The SKUs of the products that have these values under a key, by the values as texts.

    ``supplier``: of those that this one brought in.
    """
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        wanted = sorted(map(str, values))
        limit = max(FOUND_AT_MOST, len(wanted))  # all of them, where no two products share one
        for value, sku in products_by_value(cursor, key, wanted, supplier=supplier, limit=limit):
            found.setdefault(value, []).append(sku)
    return found
