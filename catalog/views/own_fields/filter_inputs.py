"""The filters by fields of one's own, as the list's form shows them."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog.field_values import SEPARATOR
from catalog.models import Field
from catalog.queries.own_fields.filters import OWN_PREFIX

_RANGES = (Field.Type.INTEGER, Field.Type.DECIMAL, Field.Type.MONEY, Field.Type.DATE)
_LISTS = (Field.Type.CHOICE, Field.Type.CHOICES)
_BLANK = (("", "either"), ("true", "without one"), ("false", "with one"))
_YES = (("", "either"), ("true", "Yes"), ("false", "No"))


def filter_groups(fields: Iterable[Field], filters: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each field its label and its inputs; what stands in them is as it is filtered now.

    An input has ``name``, ``label`` and ``value``; ``options`` (value, label, whether it is
    chosen) if it is a choice; ``several`` if of more than one; ``type``.
    """
    return [
        {
            "label": field.label,
            "inputs": [_input(field, filters, *one) for one in _inputs_of(field)],
        }
        for field in fields
    ]


def other_own_filters(
    groups: Iterable[Mapping[str, Any]], filters: Mapping[str, str]
) -> dict[str, str]:
    """The own filters in force that have no input: the form keeps them as they are."""
    shown = {one["name"] for group in groups for one in group["inputs"]}
    return {
        name: text
        for name, text in filters.items()
        if name.startswith(OWN_PREFIX) and name not in shown
    }


def _inputs_of(field: Field) -> list[tuple[str, str, Any]]:
    """How a field is filtered: the end of the filter's name, its label, options if it has some."""
    blank = ("__isblank", "Value", _BLANK)
    if field.type in _LISTS:
        choices = [(one, one) for one in field.options.get("choices", ())]
        return [("__in", "is one of", choices), blank]
    if field.type == Field.Type.BOOLEAN:
        return [("", "is", _YES), blank]
    if field.type in _RANGES:
        return [("__gte", "from", None), ("__lte", "to", None), blank]
    return [("__contains", "contains", None), ("__in", "is one of (a|b)", None), blank]


def _input(
    field: Field, filters: Mapping[str, str], how: str, label: str, options: Any
) -> dict[str, Any]:
    name = f"{OWN_PREFIX}{field.key}{how}"
    value = filters.get(name, "")
    several = how == "__in" and options is not None
    chosen = set(value.split(SEPARATOR)) if several else {value}
    return {
        "name": name,
        "label": label,
        "value": value,
        "several": several,
        "options": options and [(one, word, one in chosen) for one, word in options],
        "type": "date" if field.type == Field.Type.DATE else "text",
        "number": field.type in _RANGES and field.type != Field.Type.DATE,
    }
