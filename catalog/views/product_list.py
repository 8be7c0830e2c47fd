"""The list of the products: filters, order and place in the address; columns, rows, saved views."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from csp.decorators import csp_update
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from catalog.models import Field, PersonSettings
from catalog.operations import personal
from catalog.queries import products as queries
from catalog.queries.acts import FILTER_LABELS, supplier_name
from catalog.queries.columns import Column, all_columns, first_columns, known_columns, moved
from catalog.queries.filters import FILTERS, BadFilter, active_filters, filtered_products
from catalog.queries.own_fields.filters import OWN_PREFIX, own_filter_words
from catalog.queries.pagination import LAST, check_ordering, get_page
from catalog.queries.personal import settings_of
from catalog.views.endings import list_place, list_url
from catalog.views.own_fields.filter_inputs import filter_groups, other_own_filters

PAGE_SIZES = (25, 50, 100, 200)
EDITABLE = ("sku", "name", "description", "price", "active")

_CHIP_WORDS = {
    ("active", "true"): "Active",
    ("active", "false"): "Inactive",
    ("price", "none"): "none",
}

may_see = permission_required("catalog.view_product", raise_exception=True)


def shows_images(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let a page load images over TLS from anywhere: fields that are links to images.

    Their servers are whoever a supplier names. The browser alone fetches them, for the pages that
    show products and for no other.
    """
    return csp_update({"img-src": ["https:"]})(view)


@require_GET
@may_see
@shows_images
def product_list(request: HttpRequest) -> HttpResponse:
    """The products; what the address does not say of columns and rows, the person has set."""
    own = settings_of(request.user)
    state = shown_state(request.GET, own)
    context: dict[str, Any] = {"title": "Products", "own": own, **state}
    try:
        context |= _results(request.GET, state)
        if not context["products"] and (text := state["filters"].get("q")):
            context["gone"] = _deleted_one(text)
        status = 200
    except BadFilter as error:
        context |= {"products": [], "errors": error.sentences.values()}
        status = 400
    details = getattr(request, "htmx", None)
    partial = details and details.target == "results" and not details.history_restore_request
    template = "catalog/_results.html" if partial else "catalog/products.html"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])  # “back” must not find the part alone
    return response


def _deleted_one(text: str) -> dict[str, Any] | None:
    """The product with this very SKU that was deleted, and who did it, where the search fails."""
    removed = queries.removed_with_sku(text.strip())
    return {"product": removed, "by": removed.change_set.actor} if removed else None


def shown_state(given: QueryDict, own: PersonSettings) -> dict[str, Any]:
    """What the address says about the list, without the place in it.

    What it does not say of columns and rows is as the person has set it.
    """
    fields = list(Field.objects.filter(retired=False))
    every = all_columns(fields)
    filters = active_filters(given)
    size = given.get("page_size", "")
    asked = known_columns(given.getlist("column"), every)
    kept: dict[str, Any] = dict(filters)
    ordering = given.get("ordering", "")
    if ordering:
        kept["ordering"] = ordering
    if size in map(str, PAGE_SIZES):
        kept["page_size"] = size
    if asked:
        kept["column"] = asked
    shown = asked or known_columns(own.columns, every) or first_columns(every)
    groups = filter_groups(fields, filters)
    return {
        "filters": filters,
        "filter_groups": groups,
        "other_filters": other_own_filters(groups, filters),
        "ordering": ordering,
        "page_size": int(kept.get("page_size", own.page_size)),
        "page_sizes": PAGE_SIZES,
        "columns": [every[name] for name in shown],
        "column_choices": [
            (every[name], name in shown) for name in dict.fromkeys([*shown, *every])
        ],
        "row_columns": asked,
        "row_query": urlencode({"column": asked}, doseq=True),
        "place": given.urlencode(),
        "kept": kept,
        "filter_query": urlencode(filters),
        "views": [
            {**view, "current": _is_current(view["query"], filters, ordering, shown)}
            for view in own.views
        ],
        "chips": _chips(filters, kept, fields),
        "clear_query": _query(kept, **dict.fromkeys([*FILTERS, *filters])),
    }


def _chips(
    filters: Mapping[str, str], kept: Mapping[str, Any], fields: Iterable[Field]
) -> list[dict[str, str]]:
    """The filters in force in words, each with the address of the list without it."""
    known = {field.key: field.definition for field in fields}
    chips = []
    for name, text in filters.items():
        if name.startswith(OWN_PREFIX):
            label, value = own_filter_words(name, text, known)
        else:
            name_of = supplier_name(text) if name == "supplier" else ""
            label, value = FILTER_LABELS[name], name_of or _CHIP_WORDS.get((name, text), text)
        chips.append({"label": label, "value": value, "without": _query(kept, **{name: None})})
    return chips


def _is_current(query: str, filters: dict[str, str], ordering: str, shown: list[str]) -> bool:
    """Whether a saved view is what the list shows; one of another time may say no columns."""
    given = QueryDict(query)
    same = active_filters(given) == filters and given.get("ordering", "") == ordering
    return same and given.getlist("column") in ([], shown)


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
        "headers": [_header(column, state) for column in (Column("sku", "SKU"), *state["columns"])],
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


def _header(column: Column, state: dict[str, Any]) -> dict[str, Any]:
    name = column.name
    up, down = state["ordering"] == name, state["ordering"] == f"-{name}"
    return {
        "label": column.label,
        "classes": column.classes,
        "sortable": column.sortable,
        "sorted": "ascending" if up else "descending" if down else "",
        "query": _query(state["kept"], ordering=f"-{name}" if up else None if down else name),
    }


# --- What a person keeps ----------------------------------------------------------------


@require_POST
@may_see
def list_display(request: HttpRequest) -> HttpResponse:
    """Keep which columns in which order and how many rows this person sees; back to the list.

    ``order`` names all columns as they stand in the form, ``move`` one to go up or down there.
    """
    size = request.POST.get("page_size", "")
    every = all_columns(Field.objects.filter(retired=False))
    ticked = request.POST.getlist("column")
    order = moved(request.POST.getlist("order") or ticked, request.POST.get("move", ""))
    chosen = [name for name in known_columns(order, every) if name in ticked]
    personal.keep_columns(
        user=request.user,
        columns=[] if chosen == first_columns(every) else chosen,
        page_size=int(size) if size in map(str, PAGE_SIZES) else 50,
    )
    # A place is the end of a page: with another number of rows it begins anew.
    place = _without(list_place(request), "column", "page_size", "cursor", "page")
    return redirect(list_url(place) + ("#columns" if "move" in request.POST else ""))


@require_POST
@may_see
def view_save(request: HttpRequest) -> HttpResponse:
    """Keep the filters, the order and the columns of the list under a name."""
    name = " ".join(request.POST.get("name", "").split())[: personal.VIEW_NAME_MAX_LENGTH]
    given = QueryDict(_without(list_place(request), "cursor", "page"), mutable=True)
    shown = shown_state(given, settings_of(request.user))["columns"]
    given.setlist("column", [column.name for column in shown])
    place = given.urlencode()
    if not name or "\0" in name:
        messages.error(request, "The view was not saved: it needs a name.")
        return redirect(list_url(place))
    try:
        personal.save_view(user=request.user, name=name, query=place)
    except personal.TooManyViews:
        messages.error(
            request, f"You have {personal.MAX_VIEWS} saved views already: delete one first."
        )
    else:
        messages.success(request, f"The view “{name}” is saved: it stands above the list.")
    return redirect(list_url(place))


@require_POST
@may_see
def view_delete(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("name", "")
    personal.drop_view(user=request.user, name=name)
    messages.success(request, f"The view “{name[:60]}” is deleted.")
    return redirect(list_url(list_place(request)))


def _without(place: str, *names: str) -> str:
    given = QueryDict(place, mutable=True)
    for name in names:
        given.pop(name, None)
    return given.urlencode()
