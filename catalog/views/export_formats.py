"""The pages of the export formats: the list, and one format's columns."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.export import column_labels
from catalog.export_columns import DELIMITERS, OWN_PREFIX, columns_as_json, of_fields
from catalog.models import ExportFormat
from catalog.operations import export_formats as operations
from catalog.operations.products import Invalid
from catalog.queries.export_formats import NoSuchFormat, find_format, ready_made_exports
from catalog.values import FIELDS
from catalog.views.exports import may_export
from product_importer.common.parsing import whole_number

FIXED_ROWS = 2  # offered for texts that are the same in each line
ROWS_AT_MOST = 240  # that a form has: Django takes 1,000 values, and a row has four


@dataclass(frozen=True)
class Row:
    """One column as the form has it; without a place it is not in the format.

    ``more`` has the rules of a field as JSON, or else the fixed text.
    """

    place: str
    name: str
    field: str
    more: str
    label: str


@require_GET
@may_export
def format_list(request: HttpRequest) -> HttpResponse:
    """The formats that were made, and the ready-made ones."""
    context = {
        "title": "Export formats",
        "formats": ExportFormat.objects.all(),
        "ready_made": ready_made_exports(),
    }
    return render(request, "catalog/export_formats.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("catalog.add_exportformat", raise_exception=True)
def format_new(request: HttpRequest) -> HttpResponse:
    """Make a format: of a ready-made one (``from``), of chosen columns, or of all."""
    if request.method == "POST":
        return _save(request, None)
    there = [name for name, _ in column_labels()]
    names = [name for text in request.GET.getlist("columns") for name in text.split(",")]
    columns = of_fields([name for name in names if name in there] or there)
    name, delimiter = "", ","
    if title := request.GET.get("from", ""):
        try:
            found = find_format(title)
        except NoSuchFormat as error:
            messages.error(request, str(error))
            return redirect("export-format-list")
        columns, name, delimiter = list(found.columns), f"{found.name} 2", found.delimiter
    return _form(request, None, name, delimiter, _rows(columns_as_json(columns)))


@require_http_methods(["GET", "POST"])
@permission_required("catalog.change_exportformat", raise_exception=True)
def format_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a format."""
    found = get_object_or_404(ExportFormat, pk=pk)
    if request.method == "POST":
        return _save(request, found)
    return _form(request, found, found.name, found.delimiter, _rows(found.columns))


@require_POST
@permission_required("catalog.delete_exportformat", raise_exception=True)
def format_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(ExportFormat, pk=pk)
    operations.delete_export_format(format_id=pk)
    messages.success(request, f"The format “{found.name}” was deleted.")
    return redirect("export-format-list")


def _save(request: HttpRequest, found: ExportFormat | None) -> HttpResponse:
    typed = _typed(request)
    name, delimiter = request.POST.get("name", ""), request.POST.get("delimiter", ",")
    try:
        data = {"name": name, "delimiter": delimiter, "columns": _columns(typed)}
        if found is None:
            saved = operations.create_export_format(data=data)
        else:
            saved = operations.update_export_format(format_id=found.pk, data=data)
    except Invalid as error:
        return _form(request, found, name, delimiter, typed, error.sentences)
    except ExportFormat.DoesNotExist:
        messages.error(request, "Somebody deleted this format meanwhile.")
        return redirect("export-format-list")
    messages.success(request, f"The format “{saved.name}” was saved.")
    return redirect("export-format-list")


def _form(
    request: HttpRequest,
    found: ExportFormat | None,
    name: str,
    delimiter: str,
    rows: list[Row],
    errors: dict[str, str] | None = None,
) -> HttpResponse:
    context = {
        "title": found.name if found else "New export format",
        "format": found,
        "name": name,
        "delimiter": delimiter,
        "delimiters": DELIMITERS,
        "rows": rows,
        "too_many": len(rows) > ROWS_AT_MOST,
        "errors": errors or {},
    }
    return render(request, "catalog/export_format.html", context, status=422 if errors else 200)


def _labels() -> dict[str, str]:
    """What fields are called, by their names in a format."""
    return {name if name in FIELDS else OWN_PREFIX + name: label for name, label in column_labels()}


def _rows(columns: list[dict[str, Any]]) -> list[Row]:
    """The columns of a format in their order, the fields that it lacks, and some fixed texts."""
    labels = _labels()
    rows = []
    for place, column in enumerate(columns, start=1):
        rules = {key: value for key, value in column.items() if key not in ("name", "field")}
        field = column.get("field", "")
        shown = json.dumps(rules, ensure_ascii=False) if rules else ""
        more = shown if field else column.get("constant", "")
        rows.append(Row(str(place), column["name"], field, more, labels.get(field, field)))
    used = {row.field for row in rows}
    for field, label in labels.items():
        if field not in used:
            rows.append(Row("", field.removeprefix(OWN_PREFIX), field, "", label))
    return rows + [Row("", "", "", "", "")] * FIXED_ROWS


def _typed(request: HttpRequest) -> list[Row]:
    """The rows as they were typed, to be saved or shown again."""
    labels = _labels()
    given = [request.POST.getlist(name) for name in ("place", "column", "field", "more")]
    return [
        Row(place.strip(), name, field, more, labels.get(field, field))
        for place, name, field, more in zip(*given, strict=False)
    ]


def _columns(rows: list[Row]) -> list[dict[str, Any]]:
    """The columns that have a place, by it; raises ``Invalid`` for what cannot be read."""
    found: list[tuple[int, dict[str, Any]]] = []
    wrong = []
    for row in rows:
        if not row.place:
            continue
        place = whole_number(row.place)
        if place is None:
            wrong.append(f"“{row.place[:20]}” is no place. Write a number, like 1.")
            continue
        column: dict[str, Any] = {"name": row.name}
        if not row.field:
            column["constant"] = row.more
        else:
            column["field"] = row.field
            try:
                rules = json.loads(row.more) if row.more.strip() else {}
            except (ValueError, RecursionError):
                rules = None
            if isinstance(rules, dict):
                column = {**rules, **column}
            else:
                wrong.append(f"The rules of {row.name[:40]} are no JSON object.")
        found.append((place, column))
    if wrong:
        raise Invalid({"columns": ("invalid", " ".join(wrong))})
    return [column for _, column in sorted(found, key=lambda one: one[0])]
