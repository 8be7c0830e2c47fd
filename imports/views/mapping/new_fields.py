"""New fields of one's own, as the matching page offers to make them of a file's columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.field_values import MONEY_SCALE
from catalog.models import Field
from catalog.views.own_fields.fields import typed_options
from imports.views.mapping.form import Posted

SAMPLES = 3
TYPES: list[tuple[str, str]] = [(str(value), str(label)) for value, label in Field.Type.choices]
TICKED = "ticked"  # all columns that are ticked, in place of one by its number


@dataclass
class NewField:
    """What is typed for the field of one column, or what is proposed for it."""

    number: int
    name: str
    samples: list[str]
    label: str
    key: str
    type: str
    choices: str = ""  # a line for each
    scale: str = str(MONEY_SCALE)
    unique: bool = False
    ticked: bool = True

    @classmethod
    def of(cls, column: Mapping[str, Any], posted: Posted) -> "NewField":
        number, name = column["index"], column["name"]
        first = column.get("proposed_field") or {"type": "text", "label": name, "key": ""}
        options = first.get("options", {})
        shown = posted.had.get("keep")
        was_listed = isinstance(shown, list) and number in shown
        field = cls(
            number=number,
            name=name,
            samples=column["samples"][:SAMPLES],
            label=first["label"],
            key=first["key"],
            type=first["type"],
            choices="\n".join(options.get("choices", ())),
            scale=str(options.get("scale", MONEY_SCALE)),
            unique=first.get("unique", False),
            ticked=not was_listed or bool(posted.text(f"keep-{number}")),
        )
        for part in ("label", "key", "type", "choices", "scale"):
            if f"new-{part}-{number}" in posted.data:
                setattr(field, part, posted.text(f"new-{part}-{number}").replace("\r", ""))
        field.unique &= field.type == first["type"]
        if f"new-label-{number}" in posted.data:
            field.unique = bool(posted.text(f"new-unique-{number}"))
        return field

    @property
    def types(self) -> list[tuple[str, str]]:
        return TYPES

    @property
    def type_label(self) -> str:
        return dict(TYPES).get(self.type, self.type)

    def data(self) -> dict[str, Any]:
        """What defines the field; what is wrong with it, that says."""
        options = typed_options(self.type, self.choices, self.scale)
        if "choices" in options:
            options["choices"] = options["choices"] or self.samples
        given = {"label": self.label, "type": self.type, "options": options}
        key = {"key": self.key.strip()} if self.key.strip() else {}
        return {**given, **key, "unique": self.unique}
