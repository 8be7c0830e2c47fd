"""What happened to a product, and an edit beside what others made of it meanwhile."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import (
    F,
    Q,
    Value,
)
from django.db.models.functions import Lower

from catalog.field_values import as_text
from catalog.models import (
    Change,
    ChangeSet,
    Product,
    RemovedProduct,
)
from catalog.queries.own_fields.fields import definitions
from catalog.values import FIELDS


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
    words: str = ""  # what its change set did, where it is shown (``catalog.queries.acts``)

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
    state = state_of(product)
    at = product.updated_at
    entries = []
    for step in steps:
        if isinstance(step, Change):
            values = dict(state)
            changes = differences(step, state)
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
            state = state_of(step)
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
        .annotate(file_name=F("importjob__file_name"))
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


def differences(change: Change, state: dict[str, Any]) -> list[FieldChange]:
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


def state_of(product: Product | RemovedProduct) -> dict[str, Any]:
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
    seen = state_of(product)
    for change in since.order_by("-id"):
        differences(change, seen)
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
