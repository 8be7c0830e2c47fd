"""Keyset paging: a page is found by where the one before it ended, so that none costs more.

Pages and API share it. A position is the sort key and the id of a product; the id makes every
order total, so that no product is shown twice or left out.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import DecimalField, F, OrderBy, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Lower

from catalog.field_values import Definition
from catalog.models import Product
from catalog.queries.counts import KeptCount, KeptIds
from catalog.queries.filters import BadFilter, where_of
from catalog.queries.own_fields.fields import definitions
from catalog.queries.own_fields.filters import OWN_PREFIX
from catalog.queries.own_fields.values import beyond, has_index, may_sort, own_key, own_position
from catalog.queries.products import estimated_products
from catalog.queries.search import Among, bounds, narrowed
from catalog.sql.search import (
    SORT_KEYS,
    first_of_few,
    prefer_order_of_index,
    prefer_whole_table,
    walk,
)
from product_importer.common.parsing import CURSOR_MAX_LENGTH

# What each order sorts by. Products without a price come before the cheapest.
_KEYS: dict[str, Any] = {
    "id": F("id"),
    "sku": Lower("sku"),
    "name": F("name"),
    "price": Coalesce("price", Value(Decimal(-1)), output_field=DecimalField()),
    "active": F("active"),
    "created_at": F("created_at"),
    "updated_at": F("updated_at"),
}
ORDERINGS = tuple(_KEYS)
INDEXED = ("id", "sku")  # orders that an index gives
LAST = "last"
# A stored price, or what stands for none in the order.
_price = re.compile(r"-1|[0-9]{1,10}(\.[0-9]{1,2})?").fullmatch
FIRST_PROBE_ROWS = 2_000  # looked at in the order of an index before the search index is
PROBE_ROWS = 20_000  # and before all of the table is
WALK_ROWS = 10_000  # the same in an order that the search index has
NEAR_ROWS = 1_000  # from an end of a list whose pages have numbers
FAR_ROWS = 200_000  # passed in the order of an index, rather than to sort what matches of all
# Matches that are counted where they are looked for; more are sorted without being gathered.
MOST_COUNTED = 20_000


@dataclass(frozen=True)
class Page:
    """One page; ``previous`` and ``next`` are cursors or empty. ``total`` if it came for free."""

    rows: list[Product]
    previous: str
    next: str
    total: int | None


def check_ordering(text: str) -> str:
    """Return an ordering that exists (``name``, ``-fields.brand``); blank is ``id``.

    Raises ``BadFilter`` with those that there are.
    """
    ordering = text.strip() or "id"
    name = ordering.removeprefix("-")
    if name not in _KEYS and _own_ordering(name) is None:
        raise _no_ordering(ordering)
    return ordering


def _own_ordering(name: str) -> Definition | None:
    """The field that an order (``fields.brand``) goes by; ``None`` where it is none of its own."""
    if not name.startswith(OWN_PREFIX):
        return None
    found = definitions().get(name.removeprefix(OWN_PREFIX))
    return found if found and may_sort(found) else None


def _no_ordering(ordering: str) -> BadFilter:
    return BadFilter(
        {
            "ordering": f"There is no ordering “{ordering[:40]}”. There are: "
            f"{', '.join(ORDERINGS)}, and fields.KEY for fields of your own (but for long texts); "
            "a minus before it turns it round."
        }
    )


def get_page(products: QuerySet[Product], *, ordering: str, size: int, cursor: str = "") -> Page:
    """The page of ``size`` products at a cursor (as found in another ``Page``), or the first.

    The cursor ``last`` is the last page, as quick as the first: it is read from the other end.
    Raises ``BadFilter`` for a cursor that is none.
    """
    name = ordering.removeprefix("-")
    own = _own_ordering(name)
    if own is None and name not in _KEYS:
        raise _no_ordering(ordering)
    backwards, position = _decode(cursor, name, own)
    descending = ordering.startswith("-") != backwards
    key = own_key(own) if own else _KEYS[name]
    everything: QuerySet[Any] = Product.objects.annotate(sort_key=key)
    wanted: QuerySet[Any] = products.annotate(sort_key=key)
    if position is not None:
        beyond = _beyond(name, position, descending)
        everything, wanted = everything.filter(beyond), wanted.filter(beyond)
    order = ["-sort_key", "-id"] if descending else ["sort_key", "id"]
    if name in INDEXED:
        order = order[:1]
    everything, wanted = everything.order_by(*order), wanted.order_by(*order)
    limit = size + 1
    indexed = name in INDEXED or (own is not None and has_index(own))
    total: int | None = None
    if indexed and not products.query.where:
        found = list(wanted[:limit])
    else:
        sought = _Sought(products, everything, wanted, name, position, descending, limit)
        look = _among_next if own and indexed else _probe
        found, is_all = look(sought, FIRST_PROBE_ROWS)
        if len(found) < limit and not is_all:
            found, total = _find_once(sought)
    more = len(found) > size if total is None else total > size
    rows = found[:size]
    if backwards:
        rows.reverse()
    return Page(
        rows=rows,
        previous=_encode("b", rows[0]) if rows and (more if backwards else position) else "",
        next=_encode("f", rows[-1]) if rows and (position if backwards else more) else "",
        total=len(rows) if position is None and not more else total,
    )


def total_order(order: Any) -> list[Any]:
    """The order of a list here that begins with this one, for ``QuerySet.order_by``.

    ``order`` is a name or an ``OrderBy``. Blank where no list begins so.
    """
    found = (one for name, one in _orders() if order in (name, one[0]))
    return next(found, [])


def _order_of(products: QuerySet[Product]) -> str:
    """The ordering whose ``total_order`` products are in; blank if it is another."""
    given = list(products.query.order_by)
    return next((name for name, order in _orders() if order == given), "")


def _orders() -> Iterator[tuple[str, list[Any]]]:
    """All orderings that there are, each with its total order."""
    yield from _both_ways(_KEYS)
    own = {OWN_PREFIX + key: definition for key, definition in definitions().items()}
    yield from _both_ways({name: own_key(one) for name, one in own.items() if may_sort(one)})


def _both_ways(keys: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name, key in keys.items():
        for sign in ("", "-"):
            ordering = sign + name
            first = ordering if name == "id" else OrderBy(key, descending=sign == "-")
            yield ordering, [first] if name == "id" else [first, sign + "id"]


def ids_at(products: QuerySet[Product], *, start: int, size: int, total: int) -> list[int]:
    """The ids of ``size`` of ``total`` ordered products from ``start`` (0 is the first) on.

    For lists whose pages have numbers. Near an end they are found as pages without numbers are.
    Further inside only ids are passed over, an index holds them all, and they are counted from the
    nearer end.
    """
    size = min(size, total - start)
    from_end = total - start - size
    ordering = _order_of(products)
    if ordering and min(start, from_end) + size <= NEAR_ROWS:
        whole = products.order_by()
        if start <= from_end:
            rows = get_page(whole, ordering=ordering, size=start + size).rows[start:]
        else:
            rows = get_page(whole, ordering=ordering, size=size + from_end, cursor=LAST).rows[:size]
        return [product.pk for product in rows]
    ids = products.values_list("pk", flat=True)
    walks = ordering.removeprefix("-") in INDEXED and _passed(start + size, total) <= FAR_ROWS
    if from_end < start:
        return _ids(ids.reverse(), from_end, size, walks=walks)[::-1]
    return _ids(ids, start, size, walks=walks)


def _passed(rows: int, total: int) -> float:
    """How many products are passed in the order of an index until so many of ``total`` are met."""
    return rows * estimated_products() / max(total, 1)


def _ids(ids: QuerySet[Any], start: int, size: int, *, walks: bool) -> list[int]:
    window = slice(start, start + size)
    if start < PROBE_ROWS and not ids.query.where:
        return list(ids[window])
    with transaction.atomic(), connection.cursor() as cursor:
        # A far page by name sorts as many ids as lie before it: in memory, not on disk.
        cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        found = narrowed(cursor, ids) if ids.query.where else ids
        if found is None:
            found = ids
            if walks:
                prefer_order_of_index(cursor)
            else:
                prefer_whole_table(cursor)
        return list(found[window])


@dataclass(frozen=True)
class _Sought:
    """The ``limit`` products that a page begins with, out of those that ``products`` matches.

    It begins after ``position`` (sort key and id), or at an end of the order ``name``.
    ``everything`` is the catalogue from there on in this order, ``wanted`` what matches of it.
    """

    products: QuerySet[Product]
    everything: QuerySet[Any]
    wanted: QuerySet[Any]
    name: str
    position: list[Any] | None
    descending: bool
    limit: int


def _probe(sought: _Sought, rows: int) -> tuple[list[Product], bool]:
    """Look for matches among the next ``rows`` products in the order of an index, if it has one.

    Returns also whether these were all that are left.
    A filter that matches often is answered by walking the index, one that matches seldom by
    looking at all of the table. Which it is, nobody can know before: so the walk is tried,
    and given up if it does not fill the page.
    """
    if sought.name not in INDEXED:
        return [], False
    wanted = sought.wanted
    end = sought.everything.values_list("sort_key", flat=True)[rows : rows + 1].first()
    if end is not None:
        wanted = wanted.filter(**{f"sort_key__{'gte' if sought.descending else 'lte'}": end})
    return list(wanted[: sought.limit]), end is None


def _among_next(sought: _Sought, rows: int) -> tuple[list[Product], bool]:
    """The same in an order by an own field: many may share a value, so the next are named."""
    following = list(sought.everything.values_list("pk", flat=True)[:rows])
    found = list(sought.wanted.filter(pk__in=following)[: sought.limit])
    return found, len(following) < rows


def _find_once(sought: _Sought) -> tuple[list[Product], int | None]:
    """As ``_find``; a first page by own fields, which may take a look at all, is kept."""
    by_own = sought.name.startswith(OWN_PREFIX) or "own_fields" in where_of(sought.products)[0]
    if sought.position is not None or not by_own:
        return _find(sought)
    kept = KeptIds.of(sought.wanted[: sought.limit])
    if kept.ids is not None:
        return list(sought.wanted.filter(pk__in=kept.ids)), None
    found, total = _find(sought)
    kept.keep([product.pk for product in found])
    return found, total


def _find(sought: _Sought) -> tuple[list[Product], int | None]:
    """Look at what the search index names; or go along the order that it has; or look at all.

    Also how many match, where that came with it. Looking at all is done in parallel. Without being
    told, the planner may choose to walk the whole catalogue in the order of another index, which
    takes several times as long.
    """
    limit = sought.limit
    with transaction.atomic(), connection.cursor() as cursor:
        if sought.products.query.where:
            page = _found_soon(cursor, sought)
            if page is not None:
                return page, None
        if sought.name in SORT_KEYS:
            page, is_all = _walk(cursor, sought, WALK_ROWS), False
        else:
            page, is_all = _probe(sought, PROBE_ROWS)
        if is_all or len(page) == limit:
            return page, None
        found = narrowed(cursor, sought.wanted) if sought.products.query.where else None
        if found is not None:
            return list(found[:limit]), None
        own = "own_fields" in where_of(sought.products)[0]
        prefer_whole_table(cursor, unless_indexed=own)
        counted = _counted(cursor, sought) if own else None
        if counted is not None:
            return counted
        # Whole rows make the sort of all products take a third longer.
        ids = list(sought.wanted.values_list("pk", flat=True)[:limit])
    return list(sought.wanted.filter(pk__in=ids)), None


def _found_soon(cursor: CursorWrapper, sought: _Sought) -> list[Product] | None:
    """The page, if it lies among the next of its order, or if few match; else ``None``."""
    if sought.name in SORT_KEYS:
        page = _walk(cursor, sought, FIRST_PROBE_ROWS)
        if len(page) == sought.limit:
            return page
    found = narrowed(cursor, sought.wanted, soon=True)
    return None if found is None else list(found[: sought.limit])


def _counted(cursor: CursorWrapper, sought: _Sought) -> tuple[list[Product], int] | None:
    """The first page and the count of what matches, by looking at all products once for both.

    ``None`` where the count is known or not asked for, and where many match.
    """
    if sought.position is not None:
        return None
    kept = KeptCount.of(sought.products)
    if kept.count is not None:
        return None
    matches = sought.wanted.order_by().values("id", "sort_key")[: MOST_COUNTED + 1]
    found = first_of_few(
        cursor,
        matches.query.sql_with_params(),
        count_limit=MOST_COUNTED,
        descending=sought.descending,
        limit=sought.limit,
    )
    if found is None:
        return None
    ids, count = found
    kept.keep(count)
    return list(sought.wanted.filter(pk__in=ids)), count


def _walk(cursor: CursorWrapper, sought: _Sought, rows: int) -> list[Product]:
    """The page by the order that the search index has; fewer than ``limit`` where it cannot say."""
    walked = walk(
        cursor,
        name=sought.name,
        descending=sought.descending,
        position=sought.position,
        bounds=bounds(sought.products.query.where, sought.name),
        where=where_of(sought.products),
        rows=rows,
        limit=sought.limit,
    )
    if walked is None:
        return []
    params, last = walked
    # What changed meanwhile may belong behind the last one, where others are that were not met.
    not_beyond = ~_beyond(sought.name, last, sought.descending)
    return list(sought.wanted.filter(Among(params), not_beyond)[: sought.limit])


def _beyond(name: str, position: list[Any], descending: bool) -> Any:
    key, number = position
    if name not in _KEYS:
        return beyond(key, number, descending=descending)
    side = "lt" if descending else "gt"
    if name in INDEXED:
        return Q(**{f"sort_key__{side}": key})
    return Q(**{f"sort_key__{side}": key}) | Q(sort_key=key, **{f"id__{side}": number})


def _encode(direction: str, product: Product) -> str:
    key: Any = product.sort_key  # type: ignore[attr-defined]
    text = key.isoformat() if isinstance(key, datetime) else key
    text = format(text, "f") if isinstance(text, Decimal) else text
    raw = json.dumps([direction, text, product.pk], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(cursor: str, name: str, own: Definition | None) -> tuple[bool, list[Any] | None]:
    if not cursor:
        return False, None
    if cursor == LAST:
        return True, None
    try:
        if len(cursor) > CURSOR_MAX_LENGTH:
            raise ValueError
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        direction, key, number = json.loads(raw)
        if direction not in ("f", "b") or type(number) is not int or abs(number) >= 2**63:
            raise ValueError
        key = own_position(own, key) if own else _key(name, key)
        return direction == "b", [key, number]
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise BadFilter(
            {
                "cursor": "This cursor is not one of this list. Follow the links “next” and "
                "“previous”, or start again without it."
            }
        ) from None


def _key(name: str, key: Any) -> Any:
    """The sort key as it was written; ``ValueError`` if it is none of this order."""
    if name in ("created_at", "updated_at"):
        moment = datetime.fromisoformat(key)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)  # PostgreSQL knows no zone as far from it as Python does
    if name == "price":
        if not _price(key):
            raise ValueError
        return Decimal(key)
    if type(key) is not {"id": int, "active": bool}.get(name, str):
        raise ValueError
    if isinstance(key, int) and abs(key) >= 2**63:
        raise ValueError
    if isinstance(key, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in key):
        raise ValueError
    return key
