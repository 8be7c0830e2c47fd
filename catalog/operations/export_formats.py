"""The verbs of export formats: make, change, delete. Pages, API and admin call these."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from catalog.export_columns import DELIMITERS, ColumnsError, columns_as_json, parse_columns
from catalog.models import ExportFormat
from catalog.operations.products import Invalid
from catalog.queries.own_fields.fields import definitions

EDITABLE = ("name", "delimiter", "columns")
NAME_MAX_LENGTH = 100
FORMATS_AT_MOST = 500

Errors = dict[str, tuple[str, str]]


def create_export_format(*, data: Mapping[str, Any]) -> ExportFormat:
    """Make a format. Raises ``Invalid`` with everything that is wrong."""
    required: Errors = {
        name: ("required", "Send it.") for name in ("name", "columns") if name not in data
    }
    if required:
        raise Invalid(required)
    values = _cleaned(data)
    if ExportFormat.objects.count() >= FORMATS_AT_MOST:
        raise Invalid({"name": ("too_many", f"There are {FORMATS_AT_MOST} formats at most.")})
    return _saved(ExportFormat(**values))


@transaction.atomic
def update_export_format(*, format_id: int, data: Mapping[str, Any]) -> ExportFormat:
    """Change a format. Raises ``Invalid`` and ``ExportFormat.DoesNotExist``."""
    found = ExportFormat.objects.select_for_update().order_by("pk").get(pk=format_id)
    for name, value in _cleaned(data).items():
        setattr(found, name, value)
    return _saved(found)


def delete_export_format(*, format_id: int) -> None:
    """Delete a format, if it is there."""
    ExportFormat.objects.filter(pk=format_id).delete()


def _cleaned(data: Mapping[str, Any]) -> dict[str, Any]:
    errors: Errors = {}
    values = {name: data[name] for name in EDITABLE if name in data}
    for name in data:
        if name not in EDITABLE:
            errors[str(name)[:40]] = ("unknown", f"There is no such value: {', '.join(EDITABLE)}.")
    if "name" in values:
        name = values["name"]
        if not isinstance(name, str) or not 0 < len(name.strip()) <= NAME_MAX_LENGTH:
            errors["name"] = ("invalid", f"Write a name of 1 to {NAME_MAX_LENGTH} characters.")
        elif any(ord(letter) < 32 or "\ud800" <= letter <= "\udfff" for letter in name):
            errors["name"] = ("invalid", "Write a name in one line.")
        elif name.strip().isdigit():
            errors["name"] = ("invalid", "A name of digits alone would be taken for a number.")
        else:
            values["name"] = name.strip()
    if "delimiter" in values and values["delimiter"] not in [*DELIMITERS]:
        errors["delimiter"] = ("invalid", "Choose a comma, a semicolon, a tab or a pipe.")
    if "columns" in values:
        try:
            values["columns"] = columns_as_json(parse_columns(values["columns"], definitions()))
        except ColumnsError as error:
            errors["columns"] = ("invalid", str(error))
    if errors:
        raise Invalid(errors)
    return values


def _saved(found: ExportFormat) -> ExportFormat:
    try:
        with transaction.atomic():
            found.save()
    except IntegrityError as error:
        raise Invalid({"name": ("unique", f"There is a format “{found.name}” already.")}) from error
    return found
