"""Exports in the pages: choose columns or a format, and the files themselves."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from catalog.export import (
    DoesNotFit,
    asked_layout,
    column_labels,
    export_response,
    workbook_response,
)
from catalog.queries.acts import FILTER_LABELS
from catalog.queries.export_formats import known_exports
from catalog.queries.filters import BadFilter, active_filters, filtered_products
from catalog.queries.own_fields.fields import definitions
from catalog.queries.own_fields.filters import OWN_PREFIX, own_filter_words
from catalog.queries.products import quick_count
from catalog.views.bulk_confirm import refused
from product_importer.common.downloads import TooManyDownloads, too_many_downloads

may_export = permission_required("catalog.export_product", raise_exception=True)


@require_GET
@may_export
def export_ask(request: HttpRequest) -> HttpResponse:
    """Choose what the file has; the list's filters stand in the address."""
    return _ask(request)


@require_GET
@may_export
def product_export(request: HttpRequest, kind: str = "csv") -> HttpResponseBase:
    """The list as it is filtered, as a file that an import takes, or as it was asked for."""
    try:
        products = filtered_products(active_filters(request.GET))
    except BadFilter as error:
        return refused(error)
    user_id = request.user.pk
    try:
        layout = asked_layout(_asked(request.GET))
        if kind == "xlsx":
            return workbook_response(products, user_id=user_id, layout=layout)
        spreadsheet = bool(request.GET.get("spreadsheet"))
        return export_response(products, spreadsheet=spreadsheet, user_id=user_id, layout=layout)
    except BadFilter as error:
        return _ask(request, [*error.sentences.values()], status=400)
    except DoesNotFit as error:
        return _ask(request, [str(error)], status=409)
    except TooManyDownloads as error:
        return too_many_downloads(error)


def _asked(given: QueryDict) -> dict[str, str]:
    """What is asked for; a form sends each ticked column by itself."""
    wanted = {name: given.get(name, "") for name in ("export_format", "currency")}
    return {**wanted, "columns": ",".join(given.getlist("columns"))}


def _ask(
    request: HttpRequest, problems: list[str] | None = None, status: int = 200
) -> HttpResponse:
    filters = active_filters(request.GET)
    try:
        total = quick_count(filtered_products(filters))
    except BadFilter as error:
        return refused(error)
    known = definitions()
    asked = _asked(request.GET)
    columns = [name for name in asked["columns"].split(",") if name]
    context: dict[str, Any] = {
        "title": "Export",
        "problems": problems or [],
        "total": total,
        "filters": filters,
        "told": [
            own_filter_words(name, text, known)
            if name.startswith(OWN_PREFIX)
            else (FILTER_LABELS[name], text)
            for name, text in filters.items()
        ],
        "filter_query": urlencode(filters),
        "formats": known_exports(),
        "asked": asked,
        "columns": [
            (name, label, name in columns or not columns) for name, label in column_labels()
        ],
    }
    return render(request, "catalog/export.html", context, status=status)
