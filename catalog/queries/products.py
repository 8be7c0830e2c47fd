"""Questions to the catalogue that pages and API ask: how much there is, and what changed lately.

What happened to a product, and what a change set did, have modules of their own; their names are
here as well.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import (
    Count,
    Model,
    Q,
    QuerySet,
    Sum,
)
from django.db.models.functions import TruncDate
from django.utils import timezone

from catalog.models import (
    ChangeSet,
    Product,
)
from catalog.queries.change_sets import (
    CHANGES_PAGE,
    EntriesPage,
    acts_before,
    change_set_entries,
    listed_change_sets,
    unfinished_bulk_acts,
    with_values_after,
)
from catalog.queries.counts import KEPT_SECONDS, KeptCount, cache_key
from catalog.queries.history import (
    FieldChange,
    FieldConflict,
    History,
    HistoryEntry,
    MergedEdit,
    field_label,
    merge_edit,
    product_history,
    removed_product,
    removed_with_sku,
)
from catalog.queries.search import narrowed
from catalog.sql.acts import catalogue_state

__all__ = [
    "CHANGES_PAGE",
    "EXACT_BELOW",
    "QUICK_BELOW",
    "Day",
    "EntriesPage",
    "FieldChange",
    "FieldConflict",
    "Glance",
    "History",
    "HistoryEntry",
    "MergedEdit",
    "acts_before",
    "change_set_entries",
    "count_products",
    "estimated_products",
    "estimated_rows",
    "field_label",
    "glance",
    "listed_change_sets",
    "merge_edit",
    "product_history",
    "quick_count",
    "removed_product",
    "removed_with_sku",
    "unfinished_bulk_acts",
    "with_values_after",
]

EXACT_BELOW = 20_000  # rows; up to here counting costs about a millisecond


def estimated_products() -> int:
    """How many products there are: exact while they are few, else the planner's estimate."""
    return estimated_rows(Product)


def estimated_rows(model: type[Model]) -> int:
    """How many rows a table has: exact while they are few, else the planner's estimate.

    The estimate comes from the last VACUUM or ANALYZE and costs nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
            [model._meta.db_table],
        )
        estimate = int(cursor.fetchone()[0])
    return estimate if estimate >= EXACT_BELOW else model._default_manager.count()


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
    unpriced: int
    changed_today: int
    days: list[Day]

    @property
    def active_percent(self) -> float:
        return 100 * self.active / self.products if self.products else 0.0

    @property
    def busiest(self) -> int:
        return max((day.total for day in self.days), default=0)


def glance(days: int = 30) -> Glance:
    """Counts over the catalogue, exact as of the last change set, and the last days' changes."""
    totals = _totals()
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
        **totals,
        changed_today=found[-1].total,
        days=found,
    )


# --- Counts ---------------------------------------------------------------------------

_WITHOUT_JIT = """
SELECT set_config('jit', 'off', true), GREATEST(reltuples, 0) FROM pg_class
WHERE oid = 'catalog_product'::regclass
"""
QUICK_BELOW = 100_000  # products: looking at all of them takes some 30 ms


def count_products(products: QuerySet[Product]) -> int:
    """How many products match, exactly as of the last change set.

    Counting reads the whole table, so a count is kept until a change set changes something
    (every write to products is in one), and a list counts once, not on each of its pages.
    """
    return _count(products, below=None) or 0


def quick_count(products: QuerySet[Product]) -> int | None:
    """The same if it is kept, or quickly made; else ``None``: no page should wait for it."""
    return _count(products, below=QUICK_BELOW)


def _count(products: QuerySet[Product], *, below: int | None) -> int | None:
    """Count; but look at all products only if there are not ``below`` of them or more."""
    kept = KeptCount.of(products)
    if kept.count is not None:
        return kept.count
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WITHOUT_JIT)
        guessed = cursor.fetchone()[1]
        found = narrowed(cursor, products, soon=True) if products.query.where else None
        if found is None and below is not None and guessed >= below:
            return None
        if found is None and products.query.where and guessed >= QUICK_BELOW:
            found = narrowed(cursor, products)
        count = (products if found is None else found).order_by().count()
    kept.keep(count)
    return count


def _totals() -> dict[str, int]:
    """How many products there are, are active, and have no price; kept like other counts."""
    with connection.cursor() as cursor:
        state = catalogue_state(cursor)
    key = cache_key("priced-totals", state)
    totals: dict[str, int] | None = cache.get(key)
    if totals is None:
        totals = Product.objects.aggregate(
            products=Count("id"),
            active=Count("id", filter=Q(active=True)),
            unpriced=Count("id", filter=Q(price=None)),
        )
        cache.set(key, totals, KEPT_SECONDS)
    return totals
