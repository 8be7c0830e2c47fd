"""The export formats that there are: those that were made, and the ready-made ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.export_columns import OutputColumn, stored_columns
from catalog.models import ExportFormat
from catalog.queries.own_fields.fields import definitions
from catalog.ready_made_exports import READY_MADE
from product_importer.common.parsing import whole_number


class NoSuchFormat(Exception):
    """There is no such export format; the message says which there are."""


@dataclass(frozen=True)
class KnownExport:
    """An export format as it is used; a ready-made one has no ``pk``."""

    name: str
    delimiter: str
    columns: Sequence[OutputColumn]
    pk: int | None = None

    @property
    def asks_currency(self) -> bool:
        return any(column.currency == "" for column in self.columns)


def ready_made_exports() -> list[KnownExport]:
    """The ready-made formats, for the own fields that there are."""
    own = definitions()
    return [KnownExport(one.name, one.delimiter, one.columns(own)) for one in READY_MADE]


def known_exports() -> list[KnownExport]:
    """All formats by name: those that were made, then the ready-made ones that none hides."""
    made = [_known(one) for one in ExportFormat.objects.all()]
    names = {one.name.casefold() for one in made}
    return [*made, *(one for one in ready_made_exports() if one.name.casefold() not in names)]


def _known(made: ExportFormat) -> KnownExport:
    return KnownExport(made.name, made.delimiter, stored_columns(made.columns), made.pk)


def find_format(title: str) -> KnownExport:
    """The format of this name, in any case, or number. Raises ``NoSuchFormat``.

    One that was made goes before a ready-made one of its name.
    """
    number = whole_number(title)
    made = ExportFormat.objects.all()
    if "\0" not in title:
        made = made.filter(name__iexact=title) if number is None else made.filter(pk=number)
        for one in made:
            return _known(one)
    for ready in ready_made_exports():
        if ready.name.casefold() == title.casefold():
            return ready
    names = ExportFormat.objects.values_list("name", flat=True)[:50]
    there = dict.fromkeys([*names, *(ready.name for ready in READY_MADE)])
    raise NoSuchFormat(f"There is no format “{title[:40]}”. There are: {', '.join(there)}.")
