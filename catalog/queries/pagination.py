"""Keyset paging: a page is found by where the one before it ended, so that none costs more.

Pages and API share it. A position is the sort key and the id of a product; the id makes every
order total, so that no product is shown twice or left out.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import DecimalField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Lower

from catalog.field_values import Definition
from catalog.models import Product
from catalog.queries.counts import KeptCount, KeptIds
from catalog.queries.fields import definitions
from catalog.queries.filters import BadFilter, where_of
from catalog.queries.own_filters import OWN_PREFIX
from catalog.queries.own_values import beyond, has_index, own_key, own_position
from catalog.queries.search import Among, narrowed
from catalog.sql.search import SORT_KEYS, first_of_few, prefer_whole_table, walk
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
    return None if found is None or found.type == "long_text" else found


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
        place = _Place(name, position, descending)
        if own and indexed:
            found = _among_next(everything, wanted, FIRST_PROBE_ROWS, limit)
        else:
            found = _probe(everything, wanted, place, FIRST_PROBE_ROWS, limit)
        if len(found) < limit:
            found, total = _find_once(products, everything, wanted, place, limit)
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


def ids_at(products: QuerySet[Product], *, start: int, size: int, total: int) -> list[int]:
    """The ids of ``size`` of ``total`` ordered products from ``start`` (0 is the first) on.

    For lists whose pages have numbers. Only ids are passed over, an index holds them all, and
    they are counted from the nearer end, so that a page far inside costs little more.
    """
    size = min(size, total - start)
    ids = products.values_list("pk", flat=True)
    from_end = total - start - size
    if from_end < start:
        return _ids(ids.reverse(), from_end, size)[::-1]
    return _ids(ids, start, size)


def _ids(ids: QuerySet[Any], start: int, size: int) -> list[int]:
    window = slice(start, start + size)
    if start < PROBE_ROWS and not ids.query.where:
        return list(ids[window])
    with transaction.atomic(), connection.cursor() as cursor:
        # A far page by name sorts as many ids as lie before it: in memory, not on disk.
        cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        found = narrowed(cursor, ids) if ids.query.where else ids
        if found is None:
            prefer_whole_table(cursor)
            found = ids
        return list(found[window])


def _probe(
    everything: QuerySet[Any], wanted: QuerySet[Any], place: "_Place", rows: int, limit: int
) -> list[Product]:
    """Look for matches among the next ``rows`` products in the order of an index, if it has one.

    A filter that matches often is answered by walking the index, one that matches seldom by
    looking at all of the table. Which it is, nobody can know before: so the walk is tried,
    and given up if it does not fill the page.
    """
    if place.name not in INDEXED:
        return []
    end = everything.values_list("sort_key", flat=True)[rows : rows + 1].first()
    if end is not None:
        wanted = wanted.filter(**{f"sort_key__{'gte' if place.descending else 'lte'}": end})
    return list(wanted[:limit])


def _among_next(
    everything: QuerySet[Any], wanted: QuerySet[Any], rows: int, limit: int
) -> list[Product]:
    """The same in an order by an own field: many may share a value, so the next are named."""
    return list(wanted.filter(pk__in=list(everything.values_list("pk", flat=True)[:rows]))[:limit])


@dataclass(frozen=True)
class _Place:
    """Where a page begins: after ``position`` (sort key and id), or at an end of the order."""

    name: str
    position: list[Any] | None
    descending: bool


def _find_once(
    products: QuerySet[Product],
    everything: QuerySet[Any],
    wanted: QuerySet[Any],
    place: _Place,
    limit: int,
) -> tuple[list[Product], int | None]:
    """As ``_find``; a first page by own fields, which may take a look at all, is kept."""
    by_own = place.name.startswith(OWN_PREFIX) or "own_fields" in where_of(products)[0]
    if place.position is not None or not by_own:
        return _find(products, everything, wanted, place, limit)
    kept = KeptIds.of(wanted[:limit])
    if kept.ids is not None:
        return list(wanted.filter(pk__in=kept.ids)), None
    found, total = _find(products, everything, wanted, place, limit)
    kept.keep([product.pk for product in found])
    return found, total


def _find(
    products: QuerySet[Product],
    everything: QuerySet[Any],
    wanted: QuerySet[Any],
    place: _Place,
    limit: int,
) -> tuple[list[Product], int | None]:
    """Look at what the search index names; or go along the order that it has; or look at all.

    Also how many match, where that came with it. Looking at all is done in parallel. Without being
    told, the planner may choose to walk the whole catalogue in the order of another index, which
    takes several times as long.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        found = narrowed(cursor, wanted) if products.query.where else None
        if found is not None:
            return list(found[:limit]), None
        if place.name in SORT_KEYS:
            page = _walk(cursor, products, wanted, place, limit)
        else:
            page = _probe(everything, wanted, place, PROBE_ROWS, limit)
        if len(page) == limit:
            return page, None
        own = "own_fields" in where_of(products)[0]
        prefer_whole_table(cursor, unless_indexed=own)
        counted = _counted(cursor, products, wanted, place, limit) if own else None
        if counted is not None:
            return counted
        # Whole rows make the sort of all products take a third longer.
        ids = list(wanted.values_list("pk", flat=True)[:limit])
    return list(wanted.filter(pk__in=ids)), None


def _counted(
    cursor: CursorWrapper,
    products: QuerySet[Product],
    wanted: QuerySet[Any],
    place: _Place,
    limit: int,
) -> tuple[list[Product], int] | None:
    """The first page and the count of what matches, by looking at all products once for both.

    ``None`` where the count is known or not asked for, and where many match.
    """
    if place.position is not None:
        return None
    kept = KeptCount.of(products)
    if kept.count is not None:
        return None
    matches = wanted.order_by().values("id", "sort_key")[: MOST_COUNTED + 1]
    found = first_of_few(
        cursor,
        matches.query.sql_with_params(),
        count_limit=MOST_COUNTED,
        descending=place.descending,
        limit=limit,
    )
    if found is None:
        return None
    ids, count = found
    kept.keep(count)
    return list(wanted.filter(pk__in=ids)), count


def _walk(
    cursor: CursorWrapper,
    products: QuerySet[Product],
    wanted: QuerySet[Any],
    place: _Place,
    limit: int,
) -> list[Product]:
    """The page by the order that the search index has; fewer than ``limit`` where it cannot say."""
    walked = walk(
        cursor,
        name=place.name,
        descending=place.descending,
        position=place.position,
        where=where_of(products),
        limit=limit,
    )
    if walked is None:
        return []
    params, last = walked
    # What changed meanwhile may belong behind the last one, where others are that were not met.
    not_beyond = ~_beyond(place.name, last, place.descending)
    return list(wanted.filter(Among(params), not_beyond)[:limit])


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
