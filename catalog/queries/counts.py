"""Counts of products that are kept until a change set changes something."""

import hashlib
from dataclasses import dataclass

from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from catalog.models import Product
from catalog.sql.acts import catalogue_state

KEPT_SECONDS = 300  # that a count is kept, while nothing changes


def cache_key(kind: str, text: str) -> str:
    """A key of the cache for what a text, of any length, says."""
    return f"catalog.{kind}." + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class KeptCount:
    """How many products match, if it is known as of the last change set (``count``).

    Asked for before counting: so a count that a change set overtakes is kept for none.
    """

    key: str
    count: int | None

    @classmethod
    def of(cls, products: QuerySet[Product]) -> "KeptCount":
        try:
            sql, params = products.order_by().values("pk").query.sql_with_params()
        except EmptyResultSet:
            return cls("", 0)  # it can match nothing: no ids, or a text that cannot be stored
        with connection.cursor() as cursor:
            state = catalogue_state(cursor)
        key = cache_key("count", f"{state}|{sql}|{params!r}")
        return cls(key, cache.get(key))

    def keep(self, count: int) -> None:
        cache.set(self.key, count, KEPT_SECONDS)
