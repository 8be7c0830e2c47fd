"""Formats: found by name, by a file's columns, and what was chosen before."""

from imports.models import Format
from product_importer.common.parsing import whole_number


class NoFormat(Exception):
    """There is no such format; the message says so."""


def find_format(text: str) -> Format:
    """A format by its id, or as ``SUPPLIER/FORMAT`` by name (one without a supplier: its name).

    Names match without regard to case, and may have a slash. Raises ``NoFormat``.
    """
    formats = Format.objects.select_related("supplier")
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
