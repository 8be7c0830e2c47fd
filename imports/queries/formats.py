"""Formats: found by name, by a file's columns, and what was chosen in them before."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import F, QuerySet

from catalog.queries.own_fields.fields import definitions
from imports.mapping.exchange import format_as_file
from imports.mapping.formats import KnownFormat, likeness
from imports.mapping.matching.aliases import key_of, keys_of
from imports.mapping.matching.match import fingerprint
from imports.mapping.matching.own_names import OwnNames
from imports.mapping.matching.table import Memory
from imports.mapping.ready_made import SHOPIFY_HANDLE, is_once_in_shopify
from imports.mapping.rules import parse_rules
from imports.models import Format, Supplier
from product_importer.common.parsing import whole_number

CHOICES = 500  # formats in a list to choose from
REMEMBERED = 300  # formats, the last used ones, that are looked through
ALIKE = 0.7  # of the columns the same: files of one kind, changed a little
ALIKE_OF_SUPPLIER = 0.5


class NoFormat(Exception):
    """There is no such format; the message says so."""


class NoSupplier(Exception):
    """There is no such supplier; the message says so."""


def find_supplier(text: str) -> Supplier:
    """A supplier by its id, or by its name in any case. Raises ``NoSupplier``."""
    text = text.replace("\0", "").strip()
    number = whole_number(text)
    found = Supplier.objects.filter(pk=number).first() if number is not None else None
    found = found or Supplier.objects.filter(name__iexact=text).first()
    if found is None:
        raise NoSupplier(
            f"There is no supplier “{text[:200]}”. Write its id or its name; /api/v1/suppliers/ "
            "lists them."
        )
    return found


def find_format(text: str) -> Format:
    """A format by its id, or as ``SUPPLIER/FORMAT`` by name (one without a supplier: its name).

    Names match without regard to case, and may have a slash. Raises ``NoFormat``.
    """
    formats = Format.objects.select_related("supplier")
    text = text.replace("\0", "")
    number = whole_number(text)
    found = formats.filter(pk=number).first() if number is not None else None
    if found is None:
        found = formats.filter(supplier=None, name__iexact=text.strip()).first()
    parts = text.split("/")
    for count in range(1, min(len(parts), 10)):
        if found is None:
            supplier, name = "/".join(parts[:count]), "/".join(parts[count:])
            named = formats.filter(supplier__name__iexact=supplier.strip())
            found = named.filter(name__iexact=name.strip()).first()
    if found is None:
        raise NoFormat(
            f"There is no format “{text[:200]}”. Write its id, or SUPPLIER/FORMAT by name; "
            "/api/v1/formats/ lists them."
        )
    return found


def formats_by_supplier() -> list[tuple[str, list[tuple[str, str]]]]:
    """All formats for a list of choices: suppliers by name, ids as text and names."""
    groups: dict[str, list[tuple[str, str]]] = {}
    formats = Format.objects.select_related("supplier").defer("rules", "columns")
    for one in formats.order_by("supplier__name", "name")[:CHOICES]:
        title = one.supplier.name if one.supplier else "Ready-made"
        groups.setdefault(title, []).append((str(one.pk), one.name))
    return list(groups.items())


def suppliers_to_choose() -> list[tuple[int, str]]:
    """Suppliers for a list of choices, by name."""
    return list(Supplier.objects.order_by("name").values_list("pk", "name")[:CHOICES])


def as_file(found: Format) -> dict[str, Any]:
    """A format by itself, as JSON."""
    supplier = found.supplier.name if found.supplier else found.name
    return format_as_file(
        found.name,
        parse_rules(found.rules),
        found.columns,
        supplier=supplier,
        version=found.version,
    )


def known(found: Format) -> KnownFormat:
    """A format as matching takes it."""
    title = str(found) if found.ready_made else f"{found}, version {found.version}"
    one = KnownFormat(title, parse_rules(found.rules), found.columns, lenient=found.ready_made)
    if is_shopify(found):
        return replace(one, within=SHOPIFY_HANDLE, once=is_once_in_shopify)
    return one


def is_shopify(found: Format) -> bool:
    """Whether a format is one of those for Shopify's files that come with the product."""
    return found.ready_made and SHOPIFY_HANDLE in found.columns


def recognise(header: Sequence[str], supplier: Supplier | None) -> list[Format]:
    """The formats that files with these columns are of; people's own go before ready-made ones.

    Several are left only where they are read in different ways, and none is the supplier's.
    """
    if print_ := fingerprint(header):
        found = list(_last_used().filter(fingerprint=print_, ready_made=False)[:20])
        if len(found) > 1 and all(one.rules == found[0].rules for one in found):
            found = found[:1]
        if supplier is not None:
            found = [one for one in found if one.supplier_id == supplier.pk][:1] or found
        if found:
            return found
    here = set(keys_of(header))
    ready_made = Format.objects.filter(ready_made=True).order_by("id")
    return [one for one in ready_made if here.issuperset(keys_of(one.columns))][:1]


def most_alike(header: Sequence[str], supplier: Supplier | None) -> Format | None:
    """The format whose files' columns are nearly these, if there is one."""
    formats = _last_used().filter(ready_made=False)
    if supplier is not None:
        formats = formats.filter(supplier=supplier)
    least = ALIKE if supplier is None else ALIKE_OF_SUPPLIER
    scored = [(likeness(one.columns, header), one) for one in formats[:REMEMBERED] if one.columns]
    score, best = max(scored, key=lambda pair: pair[0], default=(0.0, None))
    return best if score >= least else None


def memory_of(supplier: Supplier | None) -> Memory:
    """What was chosen before, by the keys of columns' names; the last used formats first."""
    formats = list(_last_used().filter(ready_made=False)[:REMEMBERED])
    own = [one for one in formats if supplier is not None and one.supplier_id == supplier.pk]
    names = OwnNames(definitions())
    return Memory(supplier=_choices(own), catalogue=_choices(formats), own=names)


def _choices(formats: Iterable[Format]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for one in formats:
        for rule in one.rules.get("columns", ()):
            column = rule.get("column")
            if isinstance(column, str) and (key := key_of(column)):
                chosen.setdefault(key, rule["field"])
    return chosen


def _last_used() -> QuerySet[Format]:
    return Format.objects.select_related("supplier").order_by(
        F("last_used_at").desc(nulls_last=True), "-id"
    )
