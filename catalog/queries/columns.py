"""The columns of the product list: what every product has, and the fields of one's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.field_values import Definition
from catalog.models import Field
from catalog.queries.own_fields.filters import OWN_PREFIX
from catalog.queries.own_fields.values import may_sort

OWN_AT_FIRST = 6  # own fields that are shown to who has chosen no columns: a table has to fit

# How the cells of own fields look; those of others take some room and break between words.
_CLASSES: dict[str, str] = {
    Field.Type.INTEGER: "pi-num",
    Field.Type.DECIMAL: "pi-num",
    Field.Type.MONEY: "pi-num",
    Field.Type.DATE: "pi-one-line",
    Field.Type.GTIN: "pi-one-line",
    Field.Type.IMAGE: "pi-one-line",
    Field.Type.BOOLEAN: "pi-one-line",
    Field.Type.LONG_TEXT: "pi-long pi-less",
}


@dataclass(frozen=True)
class Column:
    """One column. ``name`` is what addresses, settings and forms call it, ``field`` an own one."""

    name: str
    label: str
    classes: str = ""
    field: Field | None = None
    sortable: bool = True
    editable: bool = True

    @cached_property
    def definition(self) -> Definition | None:
        """What an own field takes: made once for all rows of a page."""
        return self.field.definition if self.field else None

    @cached_property
    def attributes(self) -> SafeString:
        """The attributes of its cells in HTML: the same in all rows, so made once for a page."""
        text = self.field is not None or self.name in ("name", "description")
        return format_html(
            "{}{}{}",
            format_html(' class="{}"', self.classes) if self.classes else "",
            format_html(' data-edit="{}"', self.name) if self.editable else "",
            SafeString(' dir="auto"') if text else "",
        )


_FIRST = (
    Column("name", "Name"),
    Column("description", "Description", "pi-long pi-less", sortable=False),
    Column("price", "Price", "pi-num"),
    Column("active", "Active"),
)
_LAST = Column("updated_at", "Changed", "pi-less", editable=False)


def all_columns(fields: Iterable[Field]) -> dict[str, Column]:
    """The columns that there are by name, in their first order; of own fields those of lists."""
    own = [_own_column(field) for field in fields if field.in_list]
    return {column.name: column for column in (*_FIRST, *own, _LAST)}


def _own_column(field: Field) -> Column:
    classes = _CLASSES.get(field.type, "pi-own")
    sortable = may_sort(field.definition)
    return Column(OWN_PREFIX + field.key, field.label, classes, field, sortable=sortable)


def first_columns(columns: dict[str, Column]) -> list[str]:
    """What is shown to who has chosen nothing."""
    own = [name for name, column in columns.items() if column.field]
    too_many = set(own[OWN_AT_FIRST:])
    return [name for name in columns if name not in too_many]


def known_columns(names: Iterable[str], columns: dict[str, Column]) -> list[str]:
    """Those of the names that are columns, each once, in their order."""
    return [name for name in dict.fromkeys(names) if name in columns]


def moved(order: Sequence[str], move: str) -> list[str]:
    """The names with one of them a place further: ``up:price``, ``down:fields.brand``."""
    names = list(order)
    way, _, name = move.partition(":")
    if name in names and way in ("up", "down"):
        place = names.index(name)
        names.insert(max(0, place - 1 if way == "up" else place + 1), names.pop(place))
    return names
