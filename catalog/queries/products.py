"""Questions to the catalogue that pages and API ask."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import (
    Count,
    Exists,
    F,
    Model,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.functions import Lower, TruncDate
from django.utils import timezone

from catalog.field_values import as_text
from catalog.models import (
    BulkSlice,
    Change,
    ChangeSet,
    Product,
    RemovedProduct,
    UndoConflict,
)
from catalog.queries.fields import definitions
from catalog.queries.search import narrowed
from catalog.sql.upsert import catalogue_state
from catalog.values import FIELDS

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
    products, active = _totals()
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
        products=products,
        active=active,
        changed_today=found[-1].total,
        days=found,
    )


# --- Counts ---------------------------------------------------------------------------

QUICK_BELOW = 100_000  # products: looking at all of them takes some 30 ms
COUNT_SECONDS = 300  # that a count is kept, while nothing changes


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
    try:
        sql, params = products.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0  # it can match nothing: no ids, or a text that cannot be stored
    with connection.cursor() as cursor:
        state = catalogue_state(cursor)
    text = f"{state}|{sql}|{params!r}"
    key = "catalog.count." + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    count: int | None = cache.get(key)
    if count is not None:
        return count
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        found = narrowed(cursor, products) if products.query.where else None
        if found is None and below is not None and estimated_products() >= below:
            return None
        count = (products if found is None else found).order_by().count()
    cache.set(key, count, COUNT_SECONDS)
    return count


def _totals() -> tuple[int, int]:
    """How many products there are, and how many of them are active; kept like other counts."""
    with connection.cursor() as cursor:
        state = catalogue_state(cursor)
    key = "catalog.totals." + hashlib.sha256(state.encode()).hexdigest()
    totals = cache.get(key)
    if totals is None:
        totals = Product.objects.aggregate(
            products=Count("id"), active=Count("id", filter=Q(active=True))
        )
        cache.set(key, totals, COUNT_SECONDS)
    return int(totals["products"]), int(totals["active"])


# --- History --------------------------------------------------------------------------


def field_label(name: str) -> str:
    """What a changed field is called in a sentence; an own one by its key, whatever it is now."""
    return name.removeprefix("fields.").replace("_", " ")


@dataclass(frozen=True)
class FieldChange:
    """One value before and after; both as they are stored."""

    field: str
    before: Any
    after: Any

    @property
    def label(self) -> str:
        return field_label(self.field)


@dataclass(frozen=True)
class HistoryEntry:
    """What one change set did to one product."""

    at: datetime | None
    action: str  # created, updated, deleted or brought back
    change_set: ChangeSet | None
    sku: str
    product_id: int
    changes: list[FieldChange] = field(default_factory=list)
    change_set_id: int | None = None
    # The values that the product had after it, and which version that was; for its history.
    version: int = 0
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def actor(self) -> User | None:
        return self.change_set.actor if self.change_set else None


@dataclass(frozen=True)
class History:
    """What is known of a product's past, newest first.

    ``complete`` is false where older changes are no longer kept (``KEEP_CHANGES``): a product
    counts its versions, so what is missing shows.
    """

    entries: list[HistoryEntry]
    complete: bool


def removed_product(product_id: int) -> RemovedProduct | None:
    """A product that is not there any more, as it was when it was deleted last."""
    return _removed(id=product_id)


def removed_with_sku(sku: str) -> RemovedProduct | None:
    """The product deleted last of those that had this SKU, in any case, if none has it now."""
    if "\0" in sku:
        return None
    there = Product.objects.annotate(sku_lower=Lower("sku")).filter(sku_lower=Lower(Value(sku)))
    if there.exists():
        return None
    return _removed(sku_lower=Lower(Value(sku)))


def _removed(**wanted: Any) -> RemovedProduct | None:
    """The last of the deleted products that this holds for; no index leads to it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        found = RemovedProduct.objects.annotate(sku_lower=Lower("sku")).filter(**wanted)
        return found.order_by("-change_set_id").first()


def product_history(product: Product | RemovedProduct) -> History:
    """What happened to a product; values after follow from the change after it.

    A deletion that was taken back is two entries: ``deleted``, and ``brought back``. One that is
    deleted (``removed_product``) has no such entry after its last deletion.
    """
    steps: list[Change | RemovedProduct] = [*Change.objects.filter(product_id=product.pk)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off; SET LOCAL enable_seqscan = off")
        steps += RemovedProduct.objects.filter(id=product.pk)
    steps.sort(key=lambda step: (_version_before(step), step.change_set_id), reverse=True)
    created_in = _created_in(product)
    sets = _change_sets(product, steps)
    state = _state_of(product)
    at = product.updated_at
    entries = []
    for step in steps:
        if isinstance(step, Change):
            values = dict(state)
            changes = _differences(step, state)
            after = HistoryEntry(
                at,
                "updated",
                sets.get(step.change_set_id),
                values["sku"],
                product.pk,
                changes,
                version=step.old_version + 1,
                values=values,
            )
            entries.append(after)
            at = step.old_updated_at
        else:
            # An undo brought it back, or a person did by itself.
            alone = sets.get(created_in or 0) if created_in != step.created_in else None
            deletion, undo = (
                sets.get(step.change_set_id),
                alone or _brought_back_in(step, sets, at),
            )
            gone = deletion.created_at if deletion else None
            if not (isinstance(product, RemovedProduct) and step.version == product.version):
                entries.append(HistoryEntry(at, "brought back", undo, step.sku, product.pk))
            entries.append(HistoryEntry(gone, "deleted", deletion, step.sku, product.pk))
            created_in = step.created_in
            state = _state_of(step)
            at = step.updated_at
    oldest = _version_before(steps[-1]) if steps else product.version
    created = HistoryEntry(
        product.created_at, "created", sets.get(created_in or 0), state["sku"], product.pk
    )
    # What it began with is known if all that came after it is.
    begun: dict[str, Any] = {"version": 1, "values": state} if oldest <= 1 else {}
    entries.append(replace(created, **begun))
    return History(entries, complete=oldest <= 1)


def _created_in(product: Product | RemovedProduct) -> int | None:
    return product.created_in_id if isinstance(product, Product) else product.created_in


def _version_before(step: Change | RemovedProduct) -> int:
    """The version that a product had when this happened to it."""
    return step.old_version if isinstance(step, Change) else step.version


def _change_sets(
    product: Product | RemovedProduct, steps: list[Change | RemovedProduct]
) -> dict[int, ChangeSet]:
    """The change sets of a history, and those that may have brought the product back."""
    gone = [step for step in steps if isinstance(step, RemovedProduct)]
    ids = {step.change_set_id for step in steps} | {
        _created_in(one) or 0 for one in (product, *gone)
    }
    removals = [step.change_set_id for step in gone]
    found = (
        ChangeSet.objects.select_related("actor")
        .defer("request")
        .filter(Q(pk__in=ids) | Q(undo_of__in=removals, created__gt=0))
    )
    return {change_set.pk: change_set for change_set in found}


def _brought_back_in(
    removed: RemovedProduct, sets: dict[int, ChangeSet], at: datetime
) -> ChangeSet | None:
    """The undo of a deletion that was at work at that time, else the last one before."""
    undos = [one for one in sets.values() if one.undo_of_id == removed.change_set_id]
    before = [one for one in undos if one.created_at <= at]
    return max(before, key=lambda one: one.pk, default=None)


def _differences(change: Change, state: dict[str, Any]) -> list[FieldChange]:
    """What an update changed; ``state`` is the product after it and becomes the one before."""
    found = []
    for name in FIELDS:
        if change.fields & Change.Field[name.upper()]:
            before = getattr(change, f"old_{name}")
            found.append(FieldChange(name, before, state.get(name)))
            state[name] = before
    if change.fields & Change.Field.OWN_FIELDS:
        own = state.get("own_fields") or {}
        befores = change.old_own_fields or {}
        found += [FieldChange(f"fields.{k}", befores[k], own.get(k)) for k in sorted(befores)]
        state["own_fields"] = {**own, **befores}
    return found


def _state_of(product: Product | RemovedProduct) -> dict[str, Any]:
    """A product's values by name, the own fields' under ``own_fields``."""
    return {name: getattr(product, name) for name in (*FIELDS, "own_fields")}


@dataclass(frozen=True)
class FieldConflict:
    """A field that two people changed: what the one typed, and what the other saved."""

    field: str
    typed: Any
    now: Any

    @property
    def label(self) -> str:
        return field_label(self.field)


@dataclass(frozen=True)
class MergedEdit:
    """An edit of a product that somebody else changed meanwhile.

    ``values`` is for the form: what was typed, and in the fields that only the other person
    changed what they saved (``taken``). Both changed those in ``conflicts``.
    """

    values: dict[str, Any]
    taken: list[FieldChange]
    conflicts: list[FieldConflict]
    changed_by: ChangeSet | None


def merge_edit(product: Product, *, typed: dict[str, Any], seen_version: int) -> MergedEdit:
    """Lay an edit, made from ``seen_version``, over what the product is now; nothing is lost."""
    since = Change.objects.filter(product_id=product.pk, old_version__gte=seen_version)
    seen = _state_of(product)
    for change in since.order_by("-id"):
        _differences(change, seen)
    values = dict(typed)
    taken, conflicts = [], []
    for name in FIELDS:
        now = getattr(product, name)
        if seen[name] == now or _text(typed.get(name, now)) == _text(now):
            continue  # not changed by the other person, or to the same value
        if _text(typed[name]) == _text(seen[name]):
            values[name] = now if isinstance(now, bool) else _text(now)
            taken.append(FieldChange(name, seen[name], now))
        else:
            conflicts.append(FieldConflict(name, typed[name], now))
    if "fields" in typed:
        values["fields"] = dict(typed["fields"])
        _merge_own(product, seen, values["fields"], taken, conflicts)
    changed_by = (
        ChangeSet.objects.select_related("actor").filter(pk=product.changed_in_id or 0).first()
    )
    return MergedEdit(values, taken, conflicts, changed_by)


def _merge_own(
    product: Product,
    seen: dict[str, Any],
    values: dict[str, str],
    taken: list[FieldChange],
    conflicts: list[FieldConflict],
) -> None:
    """The same for the own fields: ``values`` holds what was typed, as text by key."""
    before, after = seen.get("own_fields") or {}, product.own_fields or {}
    for key, definition in definitions().items():
        then, now = before.get(key), after.get(key)
        text = as_text(definition, now)
        if key not in values or then == now or values[key].strip() == text:
            continue
        if values[key].strip() == as_text(definition, then):
            values[key] = text
            taken.append(FieldChange(f"fields.{key}", then, now))
        else:
            conflicts.append(FieldConflict(f"fields.{key}", values[key], now))


def _text(value: Any) -> str:
    """A value as a form shows it."""
    if value is None:
        return ""
    return str(value) if isinstance(value, bool) else str(value).strip()


# --- Change sets ----------------------------------------------------------------------


def acts_before(change_set: ChangeSet) -> int:
    """How many large acts have their turn before this one."""
    return ChangeSet.objects.filter(status__in=ChangeSet.UNFINISHED, pk__lt=change_set.pk).count()


def listed_change_sets() -> QuerySet[ChangeSet]:
    """The change sets with their undos, without what a bulk act was asked for.

    That is up to 10,000 ids, and no list shows it.
    """
    brief = ChangeSet.objects.defer("request")
    undos = Prefetch("undos", brief.prefetch_related(Prefetch("undos", brief)))
    return brief.select_related("actor").prefetch_related(undos)


def unfinished_bulk_acts() -> QuerySet[ChangeSet]:
    """The bulk acts that a worker has still to do something for, as for a list."""
    return (
        ChangeSet.objects.defer("request")
        .filter(status__in=ChangeSet.UNFINISHED, kind__in=ChangeSet.BULK)
        .order_by("id")
    )


CHANGES_PAGE = 50


@dataclass(frozen=True)
class EntriesPage:
    """Some of what a change set did; ``more`` tells whether further ones follow."""

    entries: list[HistoryEntry]
    more: bool


def change_set_entries(change_set: ChangeSet, *, action: str, page: int) -> EntriesPage:
    """One page of the products that a change set ``created``, ``updated`` or ``deleted``.

    Products that it created are those that still are in the catalogue; a change that a later
    change set made of them is not part of what is told here.
    """
    start = (page - 1) * CHANGES_PAGE
    window = slice(start, start + CHANGES_PAGE + 1)
    find = {"created": _created, "updated": _updated, "deleted": _deleted}[action]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        entries = find(change_set, window)
    return EntriesPage(entries[:CHANGES_PAGE], len(entries) > CHANGES_PAGE)


def _created(change_set: ChangeSet, window: slice) -> list[HistoryEntry]:
    if change_set.kind == ChangeSet.Kind.UNDO:
        return _brought_back(change_set, window)
    products = Product.objects.filter(created_in=change_set).order_by("id")[window]
    return [
        HistoryEntry(product.created_at, "created", change_set, product.sku, product.pk)
        for product in products
    ]


def _brought_back(undo: ChangeSet, window: slice) -> list[HistoryEntry]:
    """What an undo brought back has its old number, and still was created by what created it."""
    left_alone = UndoConflict.objects.filter(change_set=undo).values("product_id")
    there = Product.objects.filter(pk=OuterRef("id"))
    not_reached = BulkSlice.objects.filter(
        change_set=undo,
        part="deleted",
        done_at=None,
        first_id__lte=OuterRef("id"),
        last_id__gte=OuterRef("id"),
    )
    removed = RemovedProduct.objects.filter(
        Exists(there), ~Exists(not_reached), change_set=undo.undo_of_id
    )
    return [
        HistoryEntry(undo.created_at, "created", undo, product.sku, product.id)
        for product in removed.exclude(id__in=left_alone).order_by("id")[window]
    ]


def _deleted(change_set: ChangeSet, window: slice) -> list[HistoryEntry]:
    removed = RemovedProduct.objects.filter(change_set=change_set).order_by("id")[window]
    return [
        HistoryEntry(
            at=change_set.created_at,
            action="deleted",
            change_set=change_set,
            sku=product.sku,
            product_id=product.pk,
            changes=[
                *(FieldChange(name, getattr(product, name), None) for name in FIELDS),
                *(
                    FieldChange(f"fields.{key}", value, None)
                    for key, value in sorted((product.own_fields or {}).items())
                ),
            ],
        )
        for product in removed
    ]


def _updated(change_set: ChangeSet, window: slice) -> list[HistoryEntry]:
    # By an expression, or the planner walks through the changes of all change sets before it.
    changes = list(
        Change.objects.filter(change_set=change_set)
        .annotate(place=F("id") + 0)
        .order_by("place")[window]
    )
    return [
        replace(entry, at=change_set.created_at, change_set=change_set)
        for entry in with_values_after(changes)
    ]


def with_values_after(changes: Sequence[Change]) -> list[HistoryEntry]:
    """Updates with the values after: those before the product's next change, else those of today.

    In the order of ``changes``, which may be of several change sets.
    """
    ids = {change.product_id for change in changes}
    since = min((change.change_set_id for change in changes), default=0)
    products: list[Any] = [*Product.objects.filter(pk__in=ids)]
    gone = ids - {product.pk for product in products}
    if gone:
        removed = RemovedProduct.objects.filter(id__in=gone, change_set_id__gt=since)
        products += removed.order_by("version")
    states = {product.pk: _state_of(product) for product in products}
    # By the changes' own numbers: a change set that was retried goes on after later ones.
    own = {change.pk for change in changes}
    later = Change.objects.filter(product_id__in=ids, pk__gte=min(own, default=0))
    found = {}
    for change in later.order_by("-id"):
        state = states.setdefault(change.product_id, {})
        sku = state.get("sku", "")
        differences = _differences(change, state)
        if change.pk in own:
            found[change.pk] = HistoryEntry(
                at=None,
                action="updated",
                change_set=None,
                sku=sku,
                product_id=change.product_id,
                changes=differences,
                change_set_id=change.change_set_id,
            )
    return [found[change.pk] for change in changes]
