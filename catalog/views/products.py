"""The pages of the products. Each part that htmx swaps is also a page's part without it."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.export import asked_columns, export_response
from catalog.models import ChangeSet, Product
from catalog.operations import bulk
from catalog.operations import products as operations
from catalog.queries import products as queries
from catalog.queries.filters import FILTERS, BadFilter, active_filters, filtered_products
from catalog.queries.pagination import LAST, check_ordering, get_page
from catalog.values import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH, SKU_MAX_LENGTH
from catalog.views.bulk_confirm import ACTS, FILTER_LABELS, ask, refused
from product_importer.common.actor import actor_of
from product_importer.common.downloads import TooManyDownloads, too_many_downloads
from product_importer.common.parsing import whole_number

PAGE_SIZES = (25, 50, 100, 200)
HISTORY_SHOWN = 20

COLUMNS = {
    "name": "Name",
    "description": "Description",
    "price": "Price",
    "active": "Active",
    "updated_at": "Changed",
}

may_see = permission_required("catalog.view_product", raise_exception=True)
may_change = permission_required("catalog.change_product", raise_exception=True)


# --- The list -------------------------------------------------------------------------


@require_GET
@may_see
def product_list(request: HttpRequest) -> HttpResponse:
    """The products; the address holds all of the state."""
    state = _state(request.GET)
    context: dict[str, Any] = {"title": "Products", **state}
    try:
        context |= _results(request.GET, state)
        status = 200
    except BadFilter as error:
        context |= {"products": [], "errors": error.errors.values()}
        status = 400
    details = getattr(request, "htmx", None)
    partial = details and details.target == "results" and not details.history_restore_request
    template = "catalog/_results.html" if partial else "catalog/products.html"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])  # “back” must not find the part alone
    return response


def _state(given: QueryDict) -> dict[str, Any]:
    """What the address says about the list, without the place in it."""
    filters = active_filters(given)
    size = given.get("page_size", "")
    columns = [name for name in given.getlist("column") if name in COLUMNS]
    kept: dict[str, Any] = dict(filters)
    ordering = given.get("ordering", "")
    if ordering:
        kept["ordering"] = ordering
    if size in map(str, PAGE_SIZES) and size != "50":
        kept["page_size"] = size
    if columns:
        kept["column"] = columns
    return {
        "filters": filters,
        "ordering": ordering,
        "page_size": int(kept.get("page_size", 50)),
        "page_sizes": PAGE_SIZES,
        "columns": {name: name in columns or not columns for name in COLUMNS},
        "column_labels": COLUMNS,
        "shown_columns": columns,
        "kept": kept,
        "filter_query": urlencode(filters),
        "chips": [
            {
                "label": FILTER_LABELS[name],
                "value": {"true": "yes", "false": "no"}.get(text, text)
                if name == "active"
                else text,
                "without": _query(kept, **{name: None}),
            }
            for name, text in filters.items()
        ],
        "clear_query": _query(kept, **dict.fromkeys(FILTERS)),
    }


def _query(kept: Mapping[str, Any], **changes: Any) -> str:
    wanted = {name: value for name, value in {**kept, **changes}.items() if value is not None}
    return urlencode(wanted, doseq=True)


def _results(given: QueryDict, state: dict[str, Any]) -> dict[str, Any]:
    products = filtered_products(state["filters"])
    ordering = check_ordering(state["ordering"])
    size = state["page_size"]
    page = get_page(products, ordering=ordering, size=size, cursor=given.get("cursor", ""))
    total = page.total
    if total is None:
        count = queries.count_products if "count" in given else queries.quick_count
        total = count(products)
    pages = max(1, -(-total // size)) if total is not None else None
    kept = state["kept"]
    number = _page_number(given, pages)
    return {
        "products": page.rows,
        "total": total,
        "page_number": number,
        "pages": pages,
        "count_query": _query(kept, cursor=given.get("cursor"), page=given.get("page"), count=1),
        "first_query": _query(kept) if page.previous else "",
        "previous_query": _query(kept, cursor=page.previous, page=_beside(number, -1, pages))
        if page.previous
        else "",
        "next_query": _query(kept, cursor=page.next, page=_beside(number, 1, pages))
        if page.next
        else "",
        "last_query": _query(kept, cursor=LAST, page=pages) if page.next else "",
        "headers": [
            _header(name, label, state)
            for name, label in {"sku": "SKU", **COLUMNS}.items()
            if name == "sku" or state["columns"][name]
        ],
    }


def _page_number(given: QueryDict, pages: int | None) -> int | None:
    """Which page this is, as the links count; keyset paging itself does not know.

    ``None`` where it cannot be told, because it is not known how many there are (``pages``).
    """
    if given.get("cursor") == LAST:
        return pages
    if not given.get("cursor"):
        return 1
    text = given.get("page", "")
    number = max(1, int(text[:9])) if text.isascii() and text.isdigit() else 1
    return number if pages is None else min(number, pages)


def _beside(number: int | None, step: int, pages: int | None) -> int | None:
    """The number of the page before or after one, where it can be told."""
    if number is None:
        return None
    return max(1, number + step if pages is None else min(pages, number + step))


def _header(name: str, label: str, state: dict[str, Any]) -> dict[str, Any]:
    up, down = state["ordering"] == name, state["ordering"] == f"-{name}"
    return {
        "name": name,
        "label": label,
        "sorted": "ascending" if up else "descending" if down else "",
        "query": _query(state["kept"], ordering=f"-{name}" if up else None if down else name),
    }


@require_GET
@permission_required("catalog.export_product", raise_exception=True)
def product_export(request: HttpRequest) -> HttpResponseBase:
    """The list as it is filtered, as a file that an import takes."""
    try:
        products = filtered_products(active_filters(request.GET))
        columns = asked_columns(request.GET.get("columns", ""))
    except BadFilter as error:
        return refused(error)
    spreadsheet = bool(request.GET.get("spreadsheet"))
    try:
        return export_response(
            products, spreadsheet=spreadsheet, user_id=request.user.pk, columns=columns
        )
    except TooManyDownloads as error:
        return too_many_downloads(error)


# --- One product ----------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@may_change
def product_row(request: HttpRequest, pk: int) -> HttpResponse:
    """A row of the list: to look at, with ``?edit=FIELD`` as a form; POST saves it."""
    product = get_object_or_404(Product, pk=pk)
    state = _state(request.GET)
    if request.method == "GET" and "edit" not in request.GET:
        return render(request, "catalog/_row.html", {"product": product, **state})
    context: dict[str, Any] = {"focus": request.GET.get("edit") or "name", **state}
    if request.method == "POST":
        saved, answer = _save(request, product)
        if saved is not None:
            context = {"product": saved, "flash": saved.version != product.version, **state}
            return render(request, "catalog/_row.html", context)
        return render(
            request, "catalog/_row_edit.html", {**context, **answer}, status=answer["status"]
        )
    return render(request, "catalog/_row_edit.html", {**context, **_form(product)})


@require_http_methods(["GET", "POST"])
@may_see
def product_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One product: its values as a form, and what happened to it."""
    if request.method == "POST" and not request.user.has_perm("catalog.change_product"):
        raise PermissionDenied
    product = get_object_or_404(Product, pk=pk)
    context = _form(product)
    status = 200
    if request.method == "POST":
        saved, answer = _save(request, product)
        if saved is not None:
            words = "Saved." if saved.version != product.version else "Nothing had changed."
            messages.success(request, words)
            return redirect("product-detail", pk)
        context, status = answer, answer["status"]
    history = queries.product_history(product)
    everything = "history" in request.GET
    return render(
        request,
        "catalog/product.html",
        {
            "title": product.sku,
            "history": history.entries if everything else history.entries[:HISTORY_SHOWN],
            "older": 0 if everything else max(0, len(history.entries) - HISTORY_SHOWN),
            "complete": history.complete,
            **context,
        },
        status=status,
    )


@require_http_methods(["GET", "POST"])
@permission_required("catalog.add_product", raise_exception=True)
def product_new(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {"values": {"active": True}, "field_errors": {}, **LENGTHS}
    status = 200
    if request.method == "POST":
        data = _typed(request)
        try:
            product = operations.create_product(actor=actor_of(request), data=data)
        except operations.Invalid as error:
            context, status = {**context, "values": data, "field_errors": _sentences(error)}, 400
        else:
            messages.success(request, f"{product.sku} was created.")
            return redirect("product-detail", product.pk)
    return render(request, "catalog/new.html", {"title": "New product", **context}, status=status)


@require_http_methods(["GET", "POST"])
@permission_required("catalog.delete_product", raise_exception=True)
def product_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks before it deletes; a product that somebody changed meanwhile is shown again."""
    product = get_object_or_404(Product, pk=pk)
    changed = False
    if request.method == "POST":
        try:
            operations.delete_product(
                product_id=pk, actor=actor_of(request), version=_version(request)
            )
        except operations.Conflict as conflict:
            product, changed = conflict.product, True
        except Product.DoesNotExist:
            raise Http404 from None
        else:
            messages.success(request, f"{product.sku} was deleted.")
            return redirect("product-list")
    return render(
        request,
        "catalog/delete.html",
        {"title": f"Delete {product.sku}?", "product": product, "changed": changed},
        status=409 if changed else 200,
    )


LENGTHS = {
    "sku_max": SKU_MAX_LENGTH,
    "name_max": NAME_MAX_LENGTH,
    "description_max": DESCRIPTION_MAX_LENGTH,
}


def _form(product: Product) -> dict[str, Any]:
    """A form's content: the values as text, as nobody has touched them yet."""
    return {
        "product": product,
        "version": product.version,
        "values": {
            "sku": product.sku,
            "name": product.name,
            "description": product.description,
            "price": "" if product.price is None else f"{product.price:.2f}",
            "active": product.active,
        },
        "field_errors": {},
        **LENGTHS,
    }


def _save(request: HttpRequest, product: Product) -> tuple[Product | None, dict[str, Any]]:
    """Save the form; else what to show again: everything typed, and what is in its way."""
    data = _typed(request)
    seen = _version(request)
    try:
        saved = operations.update_product(
            product_id=product.pk, actor=actor_of(request), data=data, version=seen
        )
    except operations.Invalid as error:
        again = {**_form(product), "version": seen, "values": data}
        return None, {**again, "field_errors": _sentences(error), "status": 422}
    except operations.Conflict as conflict:
        merged = queries.merge_edit(conflict.product, typed=data, seen_version=seen or 0)
        return None, {
            **_form(conflict.product),
            "values": merged.values,
            "conflict": merged,
            "status": 409,
        }
    except Product.DoesNotExist:
        raise Http404 from None
    return saved, {}


def _typed(request: HttpRequest) -> dict[str, Any]:
    # Browsers send a line break in a text area as CR LF; what was stored had LF.
    data: dict[str, Any] = {
        name: request.POST[name].replace("\r\n", "\n")
        for name in ("sku", "name", "description", "price")
        if name in request.POST
    }
    data["active"] = request.POST.get("active") == "true"
    return data


def _version(request: HttpRequest) -> int | None:
    return whole_number(request.POST.get("version", ""), digits=9)


def _sentences(error: operations.Invalid) -> dict[str, str]:
    return {name: text for name, (_, text) in error.errors.items()}


# --- Many products --------------------------------------------------------------------


@require_POST
@may_see
def bulk_ask(request: HttpRequest) -> HttpResponse:
    """Ask before many products are changed, with how many they are."""
    act = _act(request)
    wanted = _wanted(request)
    if not wanted:
        messages.warning(request, "No product was selected. Tick some, or all that match.")
        return redirect("product-list")
    return ask(request, act, wanted)


@require_POST
@may_see
def bulk_start(request: HttpRequest) -> HttpResponse:
    """Start what was asked, if the number that was typed is how many there are."""
    act = _act(request)
    wanted = _wanted(request)
    if not wanted:
        raise Http404
    try:
        if act == "delete":
            count = queries.count_products(bulk.chosen_products(wanted))
            typed = "".join(c for c in request.POST.get("typed", "") if c.isdigit())
            if typed != str(count):
                return ask(request, act, wanted, typed=request.POST.get("typed", ""))
        change_set = bulk.start_bulk_act(
            kind=ChangeSet.Kind.BULK_DELETE if act == "delete" else ChangeSet.Kind.BULK_EDIT,
            actor=actor_of(request),
            active=act == "activate",
            **wanted,
        )
    except BadFilter as error:
        return refused(error)
    return redirect("change-detail", change_set.pk)


def _act(request: HttpRequest) -> str:
    act = request.POST.get("act", "")
    if act not in ACTS:
        raise Http404
    if not request.user.has_perm(ACTS[act][0]):
        raise PermissionDenied
    return act


def _wanted(request: HttpRequest) -> dict[str, Any]:
    """What was selected, as ``start_bulk_act`` takes it; empty if nothing was."""
    if request.POST.get("everything"):
        return {"filters": active_filters(request.POST)}
    texts = [*request.POST.getlist("id"), *request.POST.get("ids", "").split(",")]
    ids = {number for text in texts if (number := whole_number(text)) is not None}
    return {"ids": sorted(ids)} if ids else {}
