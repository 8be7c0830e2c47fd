"""The pages of the export formats: the list, and one format's columns."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.export import column_labels
from catalog.export_columns import DELIMITERS, columns_as_json, of_fields
from catalog.models import ExportFormat
from catalog.operations import export_formats as operations
from catalog.operations.products import Invalid
from catalog.queries.export_formats import NoSuchFormat, find_format, ready_made_exports
from catalog.views.export_rows import (
    ROWS_AT_MOST,
    Row,
    field_labels,
    read_rows,
    rows_of,
    typed_rows,
    with_free_rows,
)
from catalog.views.exports import may_export

MARKED = "Some columns cannot be written like this. They are marked, each with what is wrong."


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
    return _form(request, None, name, delimiter, rows_of(columns_as_json(columns)))


@require_http_methods(["GET", "POST"])
@permission_required("catalog.change_exportformat", raise_exception=True)
def format_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a format."""
    found = get_object_or_404(ExportFormat, pk=pk)
    if request.method == "POST":
        return _save(request, found)
    return _form(request, found, found.name, found.delimiter, rows_of(found.columns))


@require_POST
@permission_required("catalog.delete_exportformat", raise_exception=True)
def format_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(ExportFormat, pk=pk)
    operations.delete_export_format(format_id=pk)
    messages.success(request, f"The format “{found.name}” was deleted.")
    return redirect("export-format-list")


def _save(request: HttpRequest, found: ExportFormat | None) -> HttpResponse:
    name, delimiter = request.POST.get("name", ""), request.POST.get("delimiter", ",")
    typed = typed_rows(request.POST.dict())
    if "more" in request.POST:
        return _form(request, found, name, delimiter, with_free_rows(typed), focus=len(typed))
    columns, rows = read_rows(typed)
    if any(row.error for row in rows):
        return _form(request, found, name, delimiter, rows, {"columns": MARKED})
    try:
        data = {"name": name, "delimiter": delimiter, "columns": columns}
        if found is None:
            saved = operations.create_export_format(data=data)
        else:
            saved = operations.update_export_format(format_id=found.pk, data=data)
    except Invalid as error:
        return _form(request, found, name, delimiter, rows, error.sentences)
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
    *,
    focus: int | None = None,
) -> HttpResponse:
    """The form; ``focus`` is the number of the row to go on with, else the first wrong one."""
    wrong = (row.number for row in rows if row.error)
    context = {
        "title": found.name if found else "New export format",
        "format": found,
        "name": name,
        "delimiter": delimiter,
        "delimiters": DELIMITERS,
        "labels": field_labels(),
        "rows": rows,
        "focus": next(wrong, None) if focus is None else focus,
        "too_many": len(rows) > ROWS_AT_MOST,
        "errors": errors or {},
    }
    return render(request, "catalog/export_format.html", context, status=422 if errors else 200)
