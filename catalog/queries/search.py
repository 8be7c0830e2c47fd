"""Which products a filter may mean, by the search index."""

import re
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import Col, Expression
from django.db.models.lookups import IContains
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


def narrowed(cursor: CursorWrapper, products: QuerySet[Any]) -> QuerySet[Any] | None:
    """The same products, found by the search index; ``None`` where it is no help.

    Exact at any moment. Run inside a transaction, whose settings for the planner it changes.
    """
    texts = [text for text in _contained(products.query.where) if _three(text)]
    if not texts:
        return None
    patterns = [(_pattern(text), _pattern(_telling_part(text))) for text in sorted(texts)]
    plain = any(_three_plain(text) for text in texts)
    params = search.candidates(cursor, patterns, plain=plain)
    if params is None:
        return None
    return products.filter(Among(params))


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
