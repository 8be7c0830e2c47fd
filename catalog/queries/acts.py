"""What a change set did, in words: one line per act, as the pages tell it."""

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Lower

from catalog.field_values import in_words
from catalog.models import Change, ChangeSet, Field, Product, RemovedProduct
from catalog.queries.own_fields.fields import definitions
from catalog.queries.own_fields.filters import OWN_PREFIX, own_filter_words
from catalog.queries.products import FieldChange, HistoryEntry, with_values_after
from product_importer.common.parsing import whole_number
from product_importer.common.wording import value_text

FILTER_LABELS = {
    "q": "Search",
    "sku": "SKU",
    "name": "Name",
    "description": "Description",
    "active": "Active",
    "price_min": "Price from",
    "price_max": "Price to",
    "price": "Price",
    "changed_from": "Changed from",
    "changed_to": "Changed to",
    "change_set": "From change",
    "supplier": "Brought in by",
}
_ACTIVE_WORDS = {"true": "active", "false": "inactive"}
# What was done and what is being done, for each kind of bulk act.
_VERBS = {
    "delete": ("Deleted", "Deleting"),
    "activate": ("Activated", "Activating"),
    "deactivate": ("Deactivated", "Deactivating"),
    "price": ("Changed the price of", "Changing the price of"),
}
# Of an undo, by whether it did again what an undo had taken back, and whether it is done.
_UNDO_VERBS = {
    (False, False): "Undoing",
    (False, True): "Undid",
    (True, False): "Redoing",
    (True, True): "Redid",
}
UNDOS_IN_A_ROW = 10  # each of the one before, that are followed to what was done first
_TEXT_SHOWN = 60  # characters of a value in a line


def change_sets_with(sku: str) -> set[int]:
    """The change sets that did something to a product with this SKU, in any case, or had done."""
    if "\0" in sku:
        return set()
    same = {"sku_lower": Lower(Value(sku))}
    there = Product.objects.annotate(sku_lower=Lower("sku")).filter(**same)
    gone = RemovedProduct.objects.annotate(sku_lower=Lower("sku")).filter(**same)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        products = list(there.values_list("pk", "created_in_id"))
        removed = list(gone.values_list("id", "created_in", "change_set_id"))
    ids = {row[0] for row in [*products, *removed] if row[0]}
    deletions = {row[2] for row in removed}
    found = {row[1] for row in [*products, *removed] if row[1]} | deletions
    found |= set(Change.objects.filter(product_id__in=ids).values_list("change_set_id", flat=True))
    undos = ChangeSet.objects.filter(undo_of__in=deletions).order_by()
    return found | set(undos.values_list("pk", flat=True))


def filters_in_words(filters: dict[str, Any]) -> str:
    """``matching “lamp”, active``; empty for no filter."""
    words = []
    own = [name for name in filters if name.startswith(OWN_PREFIX)]
    known = definitions() if own else {}
    for name, value in filters.items():
        if name in own:
            label, text = own_filter_words(name, str(value), known)
            words.append(
                f"with {label} {text}" if text in ("none", "any") else f"with {label} “{text}”"
            )
        elif name == "q":
            words.append(f"matching “{value}”")
        elif name == "active":
            words.append("that are " + _ACTIVE_WORDS.get(str(value).lower(), str(value)))
        elif name == "supplier":
            words.append(f"that {supplier_name(value) or f'supplier {value}'} brought in")
        elif name == "price":
            words.append("without a price")
        else:
            words.append(f"with {FILTER_LABELS.get(name, name)} “{value}”")
    return ", ".join(words)


def supplier_name(number: Any) -> str:
    """The name of a supplier, by its number; blank for one that was deleted since."""
    supplier_id = whole_number(str(number))
    if supplier_id is None:
        return ""
    imports = ChangeSet.objects.filter(supplier=supplier_id, importjob__supplier=supplier_id)
    return imports.values_list("importjob__supplier__name", flat=True).first() or ""


def price_in_words(change: dict[str, str]) -> str:
    """What a bulk edit does to prices: ``+5 %, rounded to 0.10``."""
    text = f"set to {change['value']}" if change["by"] == "set" else f"{change['value']} %"
    rounded = change.get("round", "")
    return f"{text}, rounded to {rounded}" if rounded and rounded != "0.01" else text


def describe_acts(change_sets: Iterable[ChangeSet]) -> dict[int, str]:
    """A sentence for each change set. Those of one product say which, and what became of it."""
    found = list(change_sets)
    undos = [one for one in found if one.kind == ChangeSet.Kind.UNDO]
    words = _sentences([one for one in found if one.kind != ChangeSet.Kind.UNDO])
    return words | _undone(undos)


def describe_act(change_set: ChangeSet) -> str:
    return describe_acts([change_set])[change_set.pk]


def name_acts(change_sets: Iterable[ChangeSet]) -> dict[int, str]:
    """What links to change sets are called: what these did; an import by its file."""
    found = {one.pk: one for one in change_sets}
    imports = {pk for pk, one in found.items() if one.kind == ChangeSet.Kind.IMPORT}
    words = describe_acts(one for pk, one in found.items() if pk not in imports)
    return words | {pk: found[pk].label for pk in imports}


def name_history(entries: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    """Entries of one product's history, each with what its change set is called.

    An edit by what it set alone: the entry has the values, and the page says of which product.
    """
    found = list(entries)
    sets = [entry.change_set for entry in found if entry.change_set]
    names = name_acts(one for one in sets if one.kind != ChangeSet.Kind.EDIT)
    named = []
    for entry in found:
        edit = f"Edited {', '.join(change.label for change in entry.changes)}".strip()
        number = entry.change_set.pk if entry.change_set else 0
        named.append(replace(entry, words=names.get(number, edit)))
    return named


def _undone(undos: list[ChangeSet]) -> dict[int, str]:
    """A sentence for each of these undos. One that undid an undo did again what that took back."""
    taken_back = {one.pk: one.undo_of_id for one in undos}
    again: set[int] = set()
    acts: dict[int | None, ChangeSet] = {}
    for _ in range(UNDOS_IN_A_ROW):
        ids = {pk for pk in taken_back.values() if pk} - acts.keys()
        found = ChangeSet.objects.filter(pk__in=ids).order_by().defer("request")
        acts |= {one.pk: one for one in found.annotate(file_name=F("importjob__file_name"))}
        undone = {pk: acts[act] for pk, act in taken_back.items() if act in acts}
        further = {
            pk: act.undo_of_id for pk, act in undone.items() if act.kind == ChangeSet.Kind.UNDO
        }
        if not further:
            break
        taken_back |= further
        again ^= further.keys()
    names = _names([act for act in acts.values() if act.kind != ChangeSet.Kind.UNDO])
    return {
        one.pk: f"{_UNDO_VERBS[one.pk in again, one.is_final]} "
        + names.get(taken_back[one.pk], "a change")
        for one in undos
    }


def _names(acts: list[ChangeSet]) -> dict[int | None, str]:
    """What these did, none of them an undo, as it stands behind “Undid”; an import by its file."""
    words = _sentences([one for one in acts if one.kind != ChangeSet.Kind.IMPORT])
    return {one.pk: f"“{words[one.pk]}”" if one.pk in words else one.label_within for one in acts}


def _sentences(change_sets: list[ChangeSet]) -> dict[int, str]:
    """A sentence for each of these, which are no undos."""
    single = _single_changes(change_sets)
    asked = _asked([one.pk for one in change_sets if one.kind != ChangeSet.Kind.IMPORT])
    _name_fields(asked.values())
    return {
        one.pk: _sentence(one, asked.get(one.pk, {}), single.get(one.pk)) for one in change_sets
    }


def _asked(ids: list[int]) -> dict[int, dict[str, Any]]:
    """What bulk acts were asked for, but for the ids: up to 10,000 of them."""
    rows = ChangeSet.objects.filter(pk__in=ids).order_by()
    names = {
        "filters": F("request__filters"),
        "active": F("request__active"),
        "price": F("request__price"),
        "own_field": F("request__own_field"),
        "sku": F("request__sku"),
    }
    found: list[dict[str, Any]] = [dict(row) for row in rows.values("pk", **names)]
    return {row.pop("pk"): row for row in found}


def _name_fields(asked: Iterable[dict[str, Any]]) -> None:
    """Lay the fields that bulk acts set beside what was asked (``definition``), by one query."""
    acts = [one for one in asked if one.get("own_field")]
    keys = {one["own_field"][0] for one in acts}
    found = Field.objects.filter(key__in=keys) if keys else ()
    known = {field.key: field.definition for field in found}
    for one in acts:
        one["definition"] = known.get(one["own_field"][0])


def _single_changes(change_sets: list[ChangeSet]) -> dict[int, HistoryEntry]:
    """What the edits and deletions of one product did, by change set."""
    edits = [one.pk for one in change_sets if one.kind == ChangeSet.Kind.EDIT]
    deletions = [one.pk for one in change_sets if one.kind == ChangeSet.Kind.DELETE]
    if not edits and not deletions:
        return {}
    with transaction.atomic(), connection.cursor() as cursor:
        # Block ranges find the few rows; the planner would rather read all of a small table.
        cursor.execute("SET LOCAL jit = off; SET LOCAL enable_seqscan = off")
        changes = list(Change.objects.filter(change_set__in=edits)) if edits else []
        removed = list(RemovedProduct.objects.filter(change_set__in=deletions))
    found = {entry.change_set_id or 0: entry for entry in with_values_after(changes)}
    for product in removed:
        found[product.change_set_id] = HistoryEntry(
            None, "deleted", None, product.sku, product.pk, change_set_id=product.change_set_id
        )
    return found


def _sentence(one: ChangeSet, asked: dict[str, Any], entry: HistoryEntry | None) -> str:
    kinds = ChangeSet.Kind
    if one.kind == kinds.IMPORT:
        return f"Imported {one.imported_file or 'a file'}"
    if one.kind in ChangeSet.BULK:
        return _bulk_sentence(one, asked)
    sku = entry.sku if entry else asked.get("sku") or ""
    if one.kind == kinds.EDIT:
        if entry is None or not entry.changes:
            return f"Edited {sku or 'a product'}"
        return f"{sku}: " + ", ".join(_difference(change) for change in entry.changes)
    verb = "Created" if one.kind == kinds.CREATE else "Deleted"
    return f"{verb} {sku or 'a product'}"


def _bulk_sentence(one: ChangeSet, asked: dict[str, Any]) -> str:
    act = "delete" if one.kind == ChangeSet.Kind.BULK_DELETE else bulk_act(asked)
    count = one.changed if one.is_final else one.total or 0
    filters = asked.get("filters")
    which = f"{count:,} product{'' if count == 1 else 's'}"
    if filters is None:
        which = f"{count:,} selected product{'' if count == 1 else 's'}"
    elif filters:
        which += " " + filters_in_words(filters)
    if act == "field":
        return f"{_field_in_words(asked, done=one.is_final)} on {which}"
    sentence = f"{_VERBS[act][0 if one.is_final else 1]} {which}"
    return f"{sentence}: {price_in_words(asked['price'])}" if act == "price" else sentence


def _field_in_words(asked: dict[str, Any], *, done: bool) -> str:
    """``Set Brand to “Acme”``, ``Clearing Brand``; a field that is gone is called by its key."""
    key, value = asked["own_field"]
    definition = asked.get("definition")
    label = definition.label if definition else key
    if value is None:
        return f"{'Cleared' if done else 'Clearing'} {label}"
    text = _short(in_words(definition, value) if definition else value_text(value))
    return f"{'Set' if done else 'Setting'} {label} to “{text}”"


def bulk_act(asked: dict[str, Any]) -> str:
    """The name of the act that a bulk edit is, by what it was asked for."""
    if asked.get("price"):
        return "price"
    if asked.get("own_field"):
        return "field"
    return "activate" if asked.get("active") else "deactivate"


def _difference(change: FieldChange) -> str:
    before, after = (_isolated(_short(value_text(v))) for v in (change.before, change.after))
    return f"{change.label} {before} → {after}"


def _isolated(text: str) -> str:
    """A value that is read from the right, so that what stands around it keeps its order."""
    from_right = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return f"\u2068{text}\u2069" if from_right else text


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 1] + "…"
