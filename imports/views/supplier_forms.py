"""What the forms of a supplier and of a format ask: what is usual, and of full lists."""

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from catalog.field_values import as_text
from catalog.queries.own_fields.fields import definitions
from imports.models import Format, Supplier
from imports.operations import suppliers as operations
from product_importer.common.parsing import whole_number

# A line of the form: its inputs, each with the words before it and behind it.
_LINES = (
    (("stop_refused", "more than", "% of the records are refused"),),
    (
        ("stop_price_share", "more than", "% of the prices"),
        ("stop_price_change", "change by more than", "%"),
    ),
    (("stop_created", "more than", "% of its products are new, but for the first file"),),
    (("stop_missing", "a full list lacks more than", "% of what the supplier brought in"),),
    (("stop_fewer", "the file has more than", "% fewer records than the last one"),),
    (("stop_age", "the file was last changed more than", "days ago"),),
)
_NO_NUMBER = -1  # under every bound, so that the operation refuses it


def stop_rule_lines(
    supplier: Supplier, typed: Mapping[str, Any] | None = None, errors: Mapping[str, str] = {}
) -> list[list[dict[str, Any]]]:
    """The inputs of a supplier's stop rules, with what was ``typed``, and what is wrong with it."""
    given = typed or {name: getattr(supplier, name) for name in operations.STOP_RULES}
    return [
        [
            {
                "name": name,
                "before": before,
                "after": after,
                "value": given.get(name),
                "most": operations.STOP_RULES[name],
                "error": errors.get(name, ""),
            }
            for name, before, after in line
        ]
        for line in _LINES
    ]


def typed_settings(posted: QueryDict) -> dict[str, Any]:
    """What the form says is usual; a blank number is none, and one that is none is refused."""
    values: dict[str, Any] = {}
    for name in operations.STOP_RULES:
        text = posted.get(name, "").strip()
        number = whole_number(text, digits=9)
        values[name] = (_NO_NUMBER if number is None else number) if text else None
    return values | {name: name in posted for name in ("stop_columns", "second_person")}


def missing_form(format: Format, posted: QueryDict | None = None) -> dict[str, Any]:
    """What becomes of products that a full list lacks, as it is or as it was typed."""
    known = {key: one for key, one in definitions().items() if not one.unique}
    now = format.if_missing
    values = {
        "full_list": format.full_list,
        "action": now["action"],
        "field": now.get("field", ""),
        "value": as_text(known[now["field"]], now["value"]) if now.get("field") in known else "",
    }
    if posted is not None:
        values = {name: posted.get(name, "") for name in values}
    return {**values, "fields": list(known.values())}


def typed_missing(posted: QueryDict) -> dict[str, Any]:
    """The same for the operation."""
    if_missing = {name: posted.get(name, "") for name in ("action", "field", "value")}
    return {"full_list": "full_list" in posted, "if_missing": if_missing}
