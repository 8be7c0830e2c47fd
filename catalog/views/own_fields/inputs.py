"""The fields of one's own in a product's form: what stands in each, and what was typed."""

import re
from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from catalog import field_values
from catalog.field_values import shown_image
from catalog.models import Field, Product

PREFIX = "field_"  # before a field's key, in a form

_INPUT_MODES = {"integer": "numeric", "decimal": "decimal", "money": "decimal", "gtin": "numeric"}
has_lines = re.compile("[\r\n]").search  # an input of one line would lose them
_is_day = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch


def typed_own(posted: QueryDict) -> dict[str, str]:
    """What was typed, by key; a form without such fields has none."""
    # Browsers send a line break in a text area as CR LF; what was stored had LF.
    return {
        name.removeprefix(PREFIX): "|".join(filter(None, posted.getlist(name))).replace(
            "\r\n", "\n"
        )
        for name in posted
        if name.startswith(PREFIX)
    }


def own_inputs(
    product: Product | None, typed: Mapping[str, str], errors: Mapping[str, str], *, only: str = ""
) -> list[dict[str, Any]]:
    """The inputs in the fields' order: what was typed goes before what is stored.

    ``only``: the key of the one field that is asked for.
    """
    stored = (product.own_fields if product else None) or {}
    fields = Field.objects.filter(retired=False)
    inputs = []
    for field in fields.filter(key=only) if only else fields:
        definition = field.definition
        value = typed.get(field.key, field_values.as_text(definition, stored.get(field.key)))
        inputs.append(
            {
                "field": field,
                "name": PREFIX + field.key,
                "value": value,
                "choices": _choices(field, value),
                "several": field.type == Field.Type.CHOICES,
                "long": field.type == Field.Type.LONG_TEXT or bool(has_lines(value)),
                # What a date field of a browser cannot show is left to be mended as text.
                "date": field.type == Field.Type.DATE and (not value or bool(_is_day(value))),
                "picture": shown_image(definition, stored.get(field.key)),
                "inputmode": _INPUT_MODES.get(field.type, ""),
                "told": f"error-{PREFIX}{field.key}",
                "error": errors.get(f"fields.{field.key}", ""),
            }
        )
    return inputs


def option_values(field: Field) -> list[tuple[str, str]]:
    """The options of a field that is chosen from some, value and label; none of the others."""
    if field.type == Field.Type.BOOLEAN:
        return [("", "not said"), ("true", "yes"), ("false", "no")]
    none = [("", "none")] if field.type == Field.Type.CHOICE else []
    return [*none, *((one, one) for one in field.options.get("choices", ()))]


def _choices(field: Field, value: str) -> list[tuple[str, str, bool]]:
    """The options of a select: value, label, whether it is chosen."""
    several = field.type == Field.Type.CHOICES
    chosen = set(value.split(field_values.SEPARATOR)) if several else {value}
    return [(one, label, one in chosen) for one, label in option_values(field)]
