"""The values of a field of one's own as SQL compares and sorts them, and as an index holds them."""

import re
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Case, DecimalField, F, Func, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Left
from django.db.models.lookups import Regex

from catalog.field_values import NUMBER_DIGITS, Definition
from catalog.models import Field, Product
from catalog.sql.fields import field_indexes, order_index

NUMBERS = ("integer", "decimal", "money")
# Characters of a text that it is sorted by: as many as an index takes of any script.
SORTED_CHARACTERS = 200

# What stands for no value: before every number, and before every text.
_NO_NUMBER = Decimal(-(10**NUMBER_DIGITS))
_NO_TEXT = ""
_IS_NUMBER = "^-?[0-9]+([.][0-9]+)?$"
_number = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,10})?").fullmatch


def may_sort(definition: Definition) -> bool:
    """Whether lists can be in the order of a field."""
    return definition.type != "long_text"


def text_of(definition: Definition) -> Any:
    """The value as text, NULL for none."""
    return KT(f"own_fields__{definition.key}")


def own_key(definition: Definition) -> Any:
    """What products are compared and sorted by: a number, or the beginning of a text.

    Never NULL: products without a value have ``nothing``, which comes before all else. So has a
    text in a field of numbers: an undo may bring it back from before the field was one of numbers.
    """
    if definition.type in NUMBERS:
        number = DecimalField(max_digits=40, decimal_places=10)
        text = text_of(definition)
        is_number = When(Regex(text, Value(_IS_NUMBER)), then=Cast(text, number))
        value = Case(is_number, output_field=number)
        return Coalesce(value, Value(_NO_NUMBER), output_field=number)
    return Coalesce(Left(text_of(definition), SORTED_CHARACTERS), Value(_NO_TEXT))


def key_sql(definition: Definition) -> str:
    """The key as SQL without parameters, for an index: the very expression that queries have."""
    return _without_parameters(own_key(definition))


def text_sql(definition: Definition) -> str:
    return _without_parameters(text_of(definition))


def _without_parameters(expression: Any) -> str:
    query = Product.objects.all().query
    compiler = query.get_compiler(connection=connection)
    sql, params = compiler.compile(expression.resolve_expression(query))
    postgres: Any = connection.ops
    return str(postgres.compose_sql(sql, params))


def has_index(definition: Definition) -> bool:
    """Whether an index of the key is there, for an order to go along."""
    field = Field.objects.filter(key=definition.key, indexed=True).first()
    if field is None:
        return False
    with connection.cursor() as cursor:
        return field_indexes(cursor).get(order_index(field.pk), False)


def nothing(definition: Definition) -> Decimal | str:
    """The key of products without a value."""
    return _NO_NUMBER if definition.type in NUMBERS else _NO_TEXT


def own_position(definition: Definition, key: Any) -> Decimal | str:
    """A key as a cursor has it; ``ValueError`` if it is none of this field."""
    if not isinstance(key, str):
        raise ValueError
    if definition.type in NUMBERS:
        if not _number(key):
            raise ValueError
        return Decimal(key)
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in key):
        raise ValueError
    return key


def beyond(key: Any, number: int, *, descending: bool) -> Any:
    """Whether a product stands behind a place (key and id) in an order by ``sort_key``.

    As PostgreSQL compares rows, so that an index of both is entered at the place.
    """

    def row(*parts: Any) -> Func:
        return Func(*parts, template="(%(expressions)s)", output_field=BooleanField())

    return Func(
        row(F("sort_key"), F("id")),
        row(Value(key), Value(number)),
        template="(%(expressions)s)",
        arg_joiner=" < " if descending else " > ",
        output_field=BooleanField(),
    )
