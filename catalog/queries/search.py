"""Which products a filter may mean, by the search index."""

import re
from itertools import chain
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import Col, Expression
from django.db.models.lookups import (
    GreaterThan,
    GreaterThanOrEqual,
    IContains,
    In,
    IsNull,
    LessThan,
    LessThanOrEqual,
)
from django.db.models.sql import Query
from django.db.models.sql.where import AND, OR, WhereNode

from catalog.models import Product
from catalog.sql import search

TEXT_FIELDS = ("sku", "name", "description")
# Trigrams are of letters and digits that stand together; those of ASCII are so in every locale.
_three_plain = re.compile("[0-9A-Za-z]{3}").search
_three = re.compile(r"[^\W_]{3}").search
_words = re.compile("[0-9A-Za-z]+").findall
TELLING = 4  # letters


class Among(Expression):
    """Whether a product is one of those that may match (``catalog.sql.search.BEYOND``)."""

    def __init__(self, params: list[Any]) -> None:
        super().__init__(output_field=BooleanField())
        self.params = params

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return search.BEYOND, tuple(self.params)


def narrowed(
    cursor: CursorWrapper, products: QuerySet[Any], *, soon: bool = False
) -> QuerySet[Any] | None:
    """The same products, found by the search index; ``None`` where it is no help.

    ``soon``: only what it finds in a moment. Exact at any moment. Run inside a transaction, whose
    settings for the planner it changes.
    """
    texts = sorted(_contained(products.query.where))
    values = _named(products.query.where)
    if not (values or any(map(_three, texts)) or (texts and not soon)):
        return None
    known = search.known(cursor)
    if known is None:
        return None
    entries, every_letter = known
    params = None
    if any(map(_three if every_letter else _three_plain, texts)):
        params = _by_trigrams(cursor, texts, entries=entries, soon=soon)
    if params is None and values:
        params = search.named(cursor, *values)
    if params is None and texts and not soon and not any(map(_three_plain, texts)):
        params = search.scanned(cursor, [_pattern(text) for text in texts])
    return None if params is None else products.filter(Among(params))


def _by_trigrams(
    cursor: CursorWrapper, texts: list[str], *, entries: float, soon: bool
) -> list[Any] | None:
    texts = [text for text in texts if _three(text)]
    patterns = [(_pattern(text), _pattern(_telling_part(text))) for text in texts]
    return search.candidates(cursor, patterns, entries=entries, soon=soon)


def bounds(condition: Any, name: str) -> list[tuple[str, Any]]:
    """What every match's value of a column that lists are sorted by is: ``[(">=", value)]``."""
    if not isinstance(condition, WhereNode) or condition.negated or condition.connector != AND:
        children = [condition]
    else:
        children = condition.children
    found = [bound for child in children if (bound := _bound(child))]
    return [(sign, value) for column, sign, value in found if column == name]


_SIGNS: dict[type, str] = {
    GreaterThan: ">",
    GreaterThanOrEqual: ">=",
    LessThan: "<",
    LessThanOrEqual: "<=",
}
_BOUND_COLUMNS = ("price", "created_at", "updated_at")  # few products share a value


def _bound(condition: Any) -> tuple[str, str, Any] | None:
    """A condition as one on a column that lists are sorted by: its name, a sign and a value.

    No price is sorted as -1 (``catalog.sql.search.SORT_KEYS``).
    """
    column = getattr(condition, "lhs", None)
    if not isinstance(column, Col) or column.target.model is not Product:
        return None
    name = column.target.name
    if name not in _BOUND_COLUMNS:
        return None
    if isinstance(condition, IsNull):
        return (name, "<", 0) if name == "price" and condition.rhs else None
    sign = _SIGNS.get(type(condition))
    return (name, sign, condition.rhs) if sign else None


def _named(condition: Any) -> tuple[str, list[Any]] | None:
    """A query, with its parameters, for the numbers of all products that may meet a condition.

    Where it says what a column that lists are sorted by is like, or names the products.
    """
    if isinstance(condition, In) and isinstance(condition.rhs, Query):
        column = condition.lhs
        is_number = isinstance(column, Col) and column.target is Product._meta.pk
        if not is_number:
            return None
        text, params = condition.rhs.get_compiler(connection=connection).as_sql()
        return text, list(params)
    if not isinstance(condition, WhereNode):
        return _in_bounds([condition])
    if condition.negated or not condition.children:
        return None
    parts = [_named(child) for child in condition.children]
    known = [part for part in parts if part]
    if condition.connector == AND:
        return _in_bounds(condition.children) or next(iter(known), None)
    if condition.connector != OR or len(known) < len(parts):
        return None
    texts, params = zip(*known, strict=True)
    return " UNION ALL ".join(f"({text})" for text in texts), [*chain(*params)]


def _in_bounds(conditions: list[Any]) -> tuple[str, list[Any]] | None:
    found = [bound for one in conditions if (bound := _bound(one))]
    if not found:
        return None
    where = " AND ".join(f"{name} {sign} %s" for name, sign, _ in found)
    return search.SORTED.format(where=where), [value for *_, value in found]


def _pattern(text: str) -> str:
    return f"%{connection.ops.prep_for_like_query(text)}%"


def _telling_part(text: str) -> str:
    """The longest word of a text, if it has one that may tell it from others: else all of it.

    What is short besides, like the ends of ``SKU-00004711-01``, is in most products: to look it up
    as well takes a hundred times as long.
    """
    word = max(_words(text), key=len, default="")
    return word if len(word) >= TELLING else text


def _contained(condition: Any) -> set[str]:
    """Texts each of which every match contains in its SKU, name or description."""
    if isinstance(condition, IContains):
        column = condition.lhs
        mine = isinstance(column, Col) and column.target.model is Product
        return {condition.rhs} if mine and column.target.name in TEXT_FIELDS else set()
    if not isinstance(condition, WhereNode) or condition.negated or not condition.children:
        return set()
    parts = [_contained(child) for child in condition.children]
    if condition.connector == AND:
        return set().union(*parts)
    return set.intersection(*parts) if condition.connector == OR else set()
