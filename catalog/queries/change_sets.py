"""The change sets, and what each did to which products."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction
from django.db.models import (
    Exists,
    F,
    OuterRef,
    Prefetch,
    QuerySet,
)

from catalog.models import (
    BulkSlice,
    Change,
    ChangeSet,
    Product,
    RemovedProduct,
    UndoConflict,
)
from catalog.queries.history import FieldChange, HistoryEntry, differences, state_of
from catalog.values import FIELDS


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
    states = {product.pk: state_of(product) for product in products}
    # By the changes' own numbers: a change set that was retried goes on after later ones.
    own = {change.pk for change in changes}
    later = Change.objects.filter(product_id__in=ids, pk__gte=min(own, default=0))
    found = {}
    for change in later.order_by("-id"):
        state = states.setdefault(change.product_id, {})
        sku = state.get("sku", "")
        changed = differences(change, state)
        if change.pk in own:
            found[change.pk] = HistoryEntry(
                at=None,
                action="updated",
                change_set=None,
                sku=sku,
                product_id=change.product_id,
                changes=changed,
                change_set_id=change.change_set_id,
            )
    return [found[change.pk] for change in changes]
