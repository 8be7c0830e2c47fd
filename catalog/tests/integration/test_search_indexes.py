"""The optional indexes: nothing needs them, and with them the same is found."""

import io
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalog.models import Product
from catalog.queries.filters import filtered_products
from catalog.queries.pagination import get_page

pytestmark = pytest.mark.django_db(transaction=True)


def shown(act: str) -> str:
    out = io.StringIO()
    call_command("search_indexes", act, stdout=out)
    return out.getvalue()


def found(text: str) -> list[str]:
    return [p.sku for p in get_page(filtered_products({"q": text}), ordering="id", size=5).rows]


def test_they_are_built_and_dropped_or_it_is_said_why_not(
    make_product: Callable[..., Product],
) -> None:
    make_product("A-1", "Lamp")
    make_product("B-1", "100% wool")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'")
        available = bool(cursor.fetchone()[0])
    assert shown("show").count("not there") == 4
    if not available:
        with pytest.raises(CommandError, match="does not have the extension pg_trgm"):
            call_command("search_indexes", "build")
        return
    before = [found(text) for text in ("lamp", "0% W", "absent")]
    assert shown("build").count("usable") == 4
    assert shown("build").count("usable") == 4  # again is harmless
    assert [found(text) for text in ("lamp", "0% W", "absent")] == before == [["A-1"], ["B-1"], []]
    assert shown("drop").count("not there") == 4
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm")
