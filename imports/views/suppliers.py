"""The pages of the suppliers and of their formats."""

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.field_values import Definition
from catalog.queries.filters import filtered_products
from catalog.queries.own_fields.fields import definitions, names_taken
from catalog.queries.products import count_products
from catalog.values import FIELDS
from imports.mapping.exchange import format_from_file
from imports.mapping.model import OWN_PREFIX
from imports.mapping.rules import RulesError
from imports.models import Format, ImportJob, Supplier
from imports.operations import suppliers as operations
from imports.queries.formats import as_file
from imports.views.mapping.editor import Editor
from imports.views.mapping.form import labels_of
from imports.views.supplier_forms import (
    missing_form,
    stop_rule_lines,
    typed_missing,
    typed_settings,
)
from product_importer.common.actor import actor_of
from product_importer.common.parsing import page_number, whole_number

may_see = permission_required("imports.view_importjob", raise_exception=True)
may_change = permission_required("imports.add_importjob", raise_exception=True)

MAX_FILE = 2 * 1024**2  # bytes of a format as JSON: 500 long names, a table of 10,000 words
JOBS_SHOWN = 50


@require_http_methods(["GET", "POST"])
@may_see
def supplier_list(request: HttpRequest) -> HttpResponse:
    """The suppliers by name; POST adds one."""
    refusal = ""
    if request.method == "POST":
        _check_may_change(request)
        try:
            name = request.POST.get("name", "")
            supplier = operations.create_supplier(name=name, user=actor_of(request))
        except operations.Invalid as error:
            refusal = error.sentence
        else:
            return redirect("supplier-detail", supplier.pk)
    suppliers = Supplier.objects.annotate(
        format_count=Count("formats", distinct=True),
        last_job=Max("jobs__id"),
        last_import=Max("jobs__created_at"),
    ).order_by("name")
    return render(
        request,
        "imports/suppliers.html",
        {
            "title": "Suppliers",
            "page": Paginator(suppliers, 50).get_page(page_number(request)),
            "ready_made": Format.objects.filter(ready_made=True).order_by("id"),
            "refusal": refusal,
            "typed": request.POST.get("name", ""),
        },
        status=400 if refusal else 200,
    )


@require_http_methods(["GET", "POST"])
@may_see
def supplier_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A supplier with its formats and imports; POST renames it."""
    if request.method == "POST":
        _check_may_change(request)
    supplier = get_object_or_404(Supplier.objects.select_related("created_by"), pk=pk)
    if request.method == "POST":
        try:
            operations.rename_supplier(supplier_id=pk, name=request.POST.get("name", ""))
        except operations.Invalid as error:
            return _supplier_page(request, supplier, refusal=error.sentence)
        messages.success(request, "Renamed.")
        return redirect("supplier-detail", pk)
    return _supplier_page(request, supplier)


@require_POST
@permission_required("imports.change_supplier", raise_exception=True)
def supplier_settings(request: HttpRequest, pk: int) -> HttpResponse:
    """Save what is usual for a supplier, and who applies what is not."""
    supplier = get_object_or_404(Supplier, pk=pk)
    values = typed_settings(request.POST)
    try:
        operations.change_settings(supplier_id=pk, user=actor_of(request), **values)
    except operations.Invalid as error:
        return _supplier_page(request, supplier, settings=request.POST, errors=error.sentences)
    messages.success(request, "What is usual was saved.")
    return redirect("supplier-detail", pk)


def _supplier_page(
    request: HttpRequest,
    supplier: Supplier,
    *,
    refusal: str = "",
    settings: Mapping[str, Any] | None = None,
    errors: Mapping[str, str] = {},
) -> HttpResponse:
    """A supplier's page; with ``settings`` as they were typed, and what is wrong with them."""
    jobs = ImportJob.listed().filter(supplier=supplier).select_related("format")
    brought_in = filtered_products({"supplier": str(supplier.pk)})
    return render(
        request,
        "imports/supplier.html",
        {
            "title": supplier.name,
            "supplier": supplier,
            "formats": supplier.formats.defer("rules").order_by("name"),
            "feeds": supplier.feeds.order_by("name"),
            "now": timezone.now(),
            "jobs": jobs[:JOBS_SHOWN],
            "refusal": refusal,
            "products": count_products(brought_in),
            "may_delete": operations.may_delete_supplier(supplier, request.user),
            "stop_rules": stop_rule_lines(supplier, settings, errors),
            "settings": settings or supplier,
        },
        status=400 if refusal or errors else 200,
    )


@require_http_methods(["GET", "POST"])
@may_change
def supplier_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The question, and the act."""
    supplier = get_object_or_404(Supplier, pk=pk)
    if not operations.may_delete_supplier(supplier, request.user):
        raise PermissionDenied
    if request.method == "POST":
        operations.delete_supplier(supplier_id=pk)
        messages.success(request, f"“{supplier.name}” was deleted with its formats and feeds.")
        return redirect("supplier-list")
    waiting = Q(status__in=(*ImportJob.ACTIVE, *ImportJob.AWAITING))
    context = {
        "title": f"Delete {supplier.name}?",
        "supplier": supplier,
        "format_count": supplier.formats.count(),
        "feed_count": supplier.feeds.count(),
        "job_count": supplier.jobs.count(),
        "unfinished": supplier.jobs.filter(waiting).count(),
    }
    return render(request, "imports/supplier_delete.html", context)


@require_POST
@may_change
def format_upload(request: HttpRequest, pk: int) -> HttpResponse:
    """A format out of a JSON file: a new one, or the next version of the one of its name."""
    supplier = get_object_or_404(Supplier, pk=pk)
    file = request.FILES.get("file")
    try:
        if file is None:
            raise RulesError(["No file was chosen. Choose the JSON of a format."])
        if file.size is None or file.size > MAX_FILE:
            raise RulesError([f"A format has at most {MAX_FILE // 1024**2} MB as JSON."])
        given = format_from_file(_json(file.read()))
        saved = operations.save_format(
            supplier=supplier,
            name=request.POST.get("name", "").strip() or given.name,
            rules=given.rules,
            columns=given.columns,
            user=actor_of(request),
        )
    except RulesError as error:
        return _supplier_page(request, supplier, refusal=" ".join(error.problems))
    except operations.Invalid as error:
        return _supplier_page(request, supplier, refusal=error.sentence)
    messages.success(request, f"“{saved.name}” is kept, as version {saved.version}.")
    return redirect("format-detail", saved.pk)


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RulesError(["The file is no JSON."]) from error


@require_http_methods(["GET", "POST"])
@may_see
def format_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A format and its versions; POST renames it."""
    if request.method == "POST":
        _check_may_change(request)
    found = _format(pk)
    refusal = ""
    if request.method == "POST":
        try:
            name = request.POST.get("name", "")
            operations.change_format(format_id=pk, user=actor_of(request), name=name)
        except operations.Invalid as error:
            refusal = error.sentence
        except operations.ReadyMade as error:
            refusal = str(error)
        else:
            messages.success(request, "Renamed.")
            return redirect("format-detail", pk)
    return _format_page(request, found, refusal=refusal, missing=missing_form(found))


@require_POST
@may_change
def format_full_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Save whether such a file is a full list, and what becomes of what it lacks."""
    found = _format(pk)
    values = typed_missing(request.POST)
    if not operations.may_set_missing(values, request.user):
        raise PermissionDenied
    try:
        operations.change_format(format_id=pk, user=actor_of(request), **values)
    except (operations.Invalid, operations.ReadyMade) as error:
        told = str(error) if isinstance(error, operations.ReadyMade) else error.sentence
        missing = missing_form(found, request.POST)
        return _format_page(request, found, missing=missing, missing_refusal=told)
    messages.success(request, "Saved.")
    return redirect("format-detail", pk)


def _format_page(request: HttpRequest, found: Format, **context: Any) -> HttpResponse:
    versions = list(found.versions.select_related("created_by").defer("rules", "columns")[:200])
    number = whole_number(request.GET.get("version", ""))
    old = found.versions.filter(number=number).first() if number is not None else None
    shown = old or found
    own = definitions()
    labels = _all_labels(own)
    return render(
        request,
        "imports/format.html",
        {
            "title": str(found),
            "format": found,
            "versions": versions,
            "shown": old.number if old else found.version,
            "read": _in_words(shown.rules, labels, own),
            "found_by": labels.get(key, key) if (key := shown.rules.get("key", "")) else "",
            "within_supplier": shown.rules.get("key_within") == "supplier",
            "creates": shown.rules.get("no_match") == "create",
            "conditions": [
                {"column": one["column"], "none": "is_not" in one, "words": words}
                for one in shown.rules.get("only_if", ())
                if (words := one.get("is_not") or one.get("is"))
            ],
            "columns": shown.columns,
            "used": found.jobs.count(),
            "may_set_missing": request.user.has_perm("imports.add_importjob")
            and operations.may_set_missing({"if_missing": found.if_missing}, request.user),
            **context,
        },
        status=400 if context.get("refusal") or context.get("missing_refusal") else 200,
    )


def _all_labels(own: Mapping[str, Definition]) -> dict[str, str]:
    """What fields are called, by their names in rules; those that are not read say so."""
    gone = {OWN_PREFIX + key: f"{label} (not in use)" for key, label in names_taken()}
    return {**gone, **labels_of(own)}


def _in_words(
    rules: dict[str, Any], labels: Mapping[str, str], own: Mapping[str, Definition]
) -> list[dict[str, Any]]:
    """Each field with its columns and its rules as chips."""
    told = []
    by_field = {rule["field"]: rule for rule in rules.get("columns", ())}
    for name, rule in sorted(by_field.items(), key=lambda item: _place(item[0])):
        columns = [rule["column"]] if "column" in rule else rule.get("columns", [])
        editor = Editor(
            name,
            {**rule, "columns": columns},
            rules.get("blank", {}).get(name),
            own=own.get(name.removeprefix(OWN_PREFIX)),
        )
        source = [f"column {one}" if isinstance(one, int) else one for one in columns]
        told.append(
            {
                "label": labels.get(name, name),
                "columns": source or [f"always “{rule.get('constant', '')}”"],
                "chips": editor.chips,
            }
        )
    return told


def _place(name: str) -> int:
    """Where a field stands: the five in their order, and its own ones behind them."""
    return FIELDS.index(name) if name in FIELDS else len(FIELDS)


@require_GET
@may_see
def format_json(request: HttpRequest, pk: int) -> HttpResponse:
    found = _format(pk)
    name = slugify(str(found)) or "format"
    return JsonResponse(
        as_file(found),
        json_dumps_params={"indent": 2, "ensure_ascii": False},
        headers={"Content-Disposition": f'attachment; filename="{name}.json"'},
    )


@require_http_methods(["GET", "POST"])
@may_change
def format_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The question, and the act."""
    found = _format(pk)
    refusal = ""
    if request.method == "POST":
        try:
            operations.delete_format(format_id=pk)
        except operations.ReadyMade as error:
            refusal = str(error)
        else:
            messages.success(request, f"“{found.name}” was deleted.")
            if found.supplier_id is None:
                return redirect("supplier-list")
            return redirect("supplier-detail", found.supplier_id)
    return render(
        request,
        "imports/format_delete.html",
        {
            "title": f"Delete {found}?",
            "format": found,
            "used": found.jobs.count(),
            "refusal": refusal,
        },
        status=409 if refusal else 200,
    )


def _format(pk: int) -> Format:
    return get_object_or_404(Format.objects.select_related("supplier"), pk=pk)


def _check_may_change(request: HttpRequest) -> None:
    if not request.user.has_perm("imports.add_importjob"):
        raise PermissionDenied
