"""Questions to the catalogue that pages and API ask."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from catalog.models import Change, ChangeSet, Product, RemovedProducts

EXACT_BELOW = 20_000  # rows; up to here counting costs about a millisecond


def estimated_products() -> int:
    """How many products there are: exact while they are few, else the planner's estimate.

    The estimate comes from the last VACUUM or ANALYZE and costs nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = 'catalog_product'::regclass"
        )
        estimate = int(cursor.fetchone()[0])
    return estimate if estimate >= EXACT_BELOW else Product.objects.count()


@dataclass(frozen=True)
class Day:
    """What change sets did to the catalogue on one day."""

    day: date
    created: int
    updated: int
    deleted: int

    @property
    def total(self) -> int:
        return self.created + self.updated + self.deleted


@dataclass(frozen=True)
class Glance:
    """The catalogue at a glance."""

    products: int
    active: int
    changed_today: int
    days: list[Day]

    @property
    def active_percent(self) -> float:
        return 100 * self.active / self.products if self.products else 0.0

    @property
    def busiest(self) -> int:
        return max((day.total for day in self.days), default=0)


def glance(days: int = 30) -> Glance:
    """Counts over the catalogue, and the last days' changes, oldest first."""
    counted = Product.objects.aggregate(
        products=Count("id"), active=Count("id", filter=Q(active=True))
    )
    today = timezone.localdate()
    since = today - timedelta(days=days - 1)
    sums = {
        row["day"]: row
        for row in ChangeSet.objects.filter(created_at__date__gte=since)
        .order_by()
        .values(day=TruncDate("created_at"))
        .annotate(c=Sum("created"), u=Sum("updated"), d=Sum("deleted"))
    }
    found = []
    for number in range(days):
        day = since + timedelta(days=number)
        row = sums.get(day, {"c": 0, "u": 0, "d": 0})
        found.append(Day(day, row["c"], row["u"], row["d"]))
    return Glance(
        products=counted["products"],
        active=counted["active"],
        changed_today=found[-1].total,
        days=found,
    )


# --- Counts ---------------------------------------------------------------------------

COUNT_SECONDS = 300  # that a count is kept, while nothing changes


def count_products(products: QuerySet[Product]) -> int:
    """How many products match, exactly as of the last change set.

    Counting reads the whole table, so a count is kept until a change set changes something
    (every write to products is in one), and a list counts once, not on each of its pages.
    """
    sql, params = products.order_by().values("pk").query.sql_with_params()
    text = f"{_catalogue_state()}|{sql}|{params!r}"
    key = "catalog.count." + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    count = cache.get(key)
    if count is None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL jit = off")
            count = products.order_by().count()
        cache.set(key, count, COUNT_SECONDS)
    return int(count)


def _catalogue_state() -> str:
    """A text that is another one after every write to products."""
    last = ChangeSet.objects.aggregate(last=Max("id"))["last"]
    writing = (
        ChangeSet.objects.filter(status=ChangeSet.Status.APPLYING)
        .values_list("id", "created", "updated", "deleted")
        .first()
    )
    ended = ChangeSet.objects.aggregate(last=Max("finished_at"))["last"]
    return f"{last} {writing} {ended}"


# --- History --------------------------------------------------------------------------


@dataclass(frozen=True)
class FieldChange:
    """One value before and after; both as they are stored."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class HistoryEntry:
    """What one change set did to one product."""

    at: datetime | None
    action: str  # created, updated or deleted
    change_set: ChangeSet | None
    sku: str
    product_id: int
    changes: list[FieldChange] = field(default_factory=list)

    @property
    def actor(self) -> User | None:
        return self.change_set.actor if self.change_set else None


FIELDS = ("sku", "name", "description", "price", "active")


def product_history(product: Product) -> list[HistoryEntry]:
    """What happened to a product, newest first; values after follow from the change after it."""
    changes = list(
        Change.objects.filter(product_id=product.pk, action=Change.Action.UPDATED).order_by("-id")
    )
    ids = {change.change_set_id for change in changes} | {product.created_in_id}
    sets = ChangeSet.objects.select_related("actor").in_bulk([n for n in ids if n is not None])
    state: dict[str, Any] = {name: getattr(product, name) for name in FIELDS}
    entries = []
    at = product.updated_at
    for change in changes:
        entries.append(
            HistoryEntry(
                at=at,
                action="updated",
                change_set=sets.get(change.change_set_id),
                sku=state["sku"],
                product_id=product.pk,
                changes=_differences(change, state),
            )
        )
        at = change.old_updated_at
    entries.append(
        HistoryEntry(
            at=product.created_at,
            action="created",
            change_set=sets.get(product.created_in_id or 0),
            sku=state["sku"],
            product_id=product.pk,
        )
    )
    return entries


def _differences(change: Change, state: dict[str, Any]) -> list[FieldChange]:
    """What an update changed; ``state`` is the product after it and becomes the one before."""
    found = []
    for name in FIELDS:
        if change.fields & Change.Field[name.upper()]:
            before = getattr(change, f"old_{name}")
            found.append(FieldChange(name, before, state[name]))
            state[name] = before
    return found


CHANGES_PAGE = 50


def change_set_entries(change_set: ChangeSet, *, page: int) -> tuple[list[HistoryEntry], bool]:
    """The updated, then the deleted products of a change set, and whether more follow.

    Products that it created and that are still as it left them are listed by the catalogue
    (``created_in``); reading them would read all of it, so here they are only counted.
    """
    start = (page - 1) * CHANGES_PAGE
    changes = list(
        Change.objects.filter(change_set=change_set).order_by("id")[
            start : start + CHANGES_PAGE + 1
        ]
    )
    entries = list(_with_values_after(changes[:CHANGES_PAGE], change_set))
    more = len(changes) > CHANGES_PAGE
    if not changes and change_set.kind == ChangeSet.Kind.BULK_DELETE:
        return _removed_entries(change_set, start)
    return entries, more


def _with_values_after(changes: Iterable[Change], change_set: ChangeSet) -> Iterator[HistoryEntry]:
    changes = list(changes)
    ids = [change.product_id for change in changes]
    products = Product.objects.in_bulk(ids)
    later: dict[int, list[Change]] = {}
    for other in Change.objects.filter(
        product_id__in=ids, change_set_id__gt=change_set.pk
    ).order_by("id"):
        later.setdefault(other.product_id, []).append(other)
    for change in changes:
        product = products.get(change.product_id)
        if change.action == Change.Action.DELETED:
            values = {name: getattr(change, f"old_{name}") for name in FIELDS}
            yield HistoryEntry(
                change_set.created_at,
                "deleted",
                change_set,
                values["sku"],
                change.product_id,
                [FieldChange(name, values[name], None) for name in FIELDS],
            )
            continue
        state = {name: getattr(product, name, None) for name in FIELDS}
        for other in reversed(later.get(change.product_id, [])):
            _differences(other, state)
        entry_sku = state["sku"] or change.old_sku or ""
        yield HistoryEntry(
            change_set.created_at,
            "updated",
            change_set,
            entry_sku,
            change.product_id,
            _differences(change, state),
        )


def _removed_entries(change_set: ChangeSet, start: int) -> tuple[list[HistoryEntry], bool]:
    """Products that a bulk act deleted, out of the batches that they were put away in."""
    entries: list[HistoryEntry] = []
    place = 0
    for batch in RemovedProducts.objects.filter(change_set=change_set).order_by("first_id", "id"):
        if place + len(batch.ids) > start and len(entries) <= CHANGES_PAGE:
            for i in range(max(0, start - place), len(batch.ids)):
                entries.append(
                    HistoryEntry(
                        change_set.created_at,
                        "deleted",
                        change_set,
                        batch.skus[i],
                        batch.ids[i],
                        [
                            FieldChange("name", batch.names[i], None),
                            FieldChange("price", batch.prices[i], None),
                            FieldChange("active", batch.actives[i], None),
                        ],
                    )
                )
                if len(entries) > CHANGES_PAGE:
                    break
        place += len(batch.ids)
        if len(entries) > CHANGES_PAGE:
            break
    return entries[:CHANGES_PAGE], len(entries) > CHANGES_PAGE
