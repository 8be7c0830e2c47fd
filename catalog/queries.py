"""Questions to the catalogue that pages and API ask."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from catalog.models import ChangeSet, Product

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
