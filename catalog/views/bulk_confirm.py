"""The question before an act on many products; pages and admin ask the same one."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from catalog.models import Field
from catalog.operations import bulk
from catalog.queries import products as queries
from catalog.queries.acts import filters_in_words
from catalog.queries.filters import BadFilter
from catalog.views.endings import list_url
from catalog.views.own_fields.inputs import own_inputs, typed_own

# Which permission each act on many products needs, and the word for it.
ACTS = {
    "delete": ("catalog.bulk_delete_product", "Delete"),
    "activate": ("catalog.change_product", "Activate"),
    "deactivate": ("catalog.change_product", "Deactivate"),
    "price": ("catalog.change_product", "Change the price of"),
    "field": ("catalog.change_product", "Set a field of"),
}


def refused(error: BadFilter) -> HttpResponse:
    """400 with what is wrong: no page of ours sends such filters."""
    return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")


def ask(
    request: HttpRequest,
    act: str,
    wanted: dict[str, Any],
    *,
    place: str | None = None,
    typed: str | None = None,
    refusal: str = "",
    shell: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """The page that asks before ``act`` (of ``ACTS``), with how many products it means.

    ``wanted`` is what ``start_bulk_act`` takes: ``ids``, or ``filters`` with those ``without``.
    ``place`` is where in the list the person comes from, if so. ``typed`` is a number that was
    typed and is wrong, ``refusal`` what is wrong with a new price or value. ``shell`` is what the
    page's frame needs where the context processor does not bring it.
    """
    try:
        products = bulk.chosen_products(wanted)
    except BadFilter as error:
        return refused(error)
    count = queries.count_products(products)
    word = ACTS[act][1]
    own = _own_context(request) if act == "field" else {}
    if own.get("own_field"):
        word = f"Set {own['own_field'].label} of"
    return render(
        request,
        "catalog/bulk.html",
        {
            **(shell or {}),
            **own,
            "title": f"{word} products",
            "act": act,
            "word": word,
            "count": count,
            "examples": products.order_by("id")[:10] if count else [],
            "ids": ",".join(str(number) for number in wanted.get("ids", [])),
            "filters": filters_in_words(wanted.get("filters", {})),
            "without": ",".join(str(number) for number in wanted.get("without", [])),
            "without_count": len(wanted.get("without", [])),
            "place": place,
            "back": list_url(place or ""),
            "roundings": bulk.ROUNDINGS,
            "given": request.POST,
            "refusal": refusal,
            "hidden": wanted.get("filters", {}),
            "everything": "filters" in wanted,
            "typed": typed,
        },
        status=200 if typed is None and not refusal else 400,
    )


def _own_context(request: HttpRequest) -> dict[str, Any]:
    """The fields to choose from; if one is chosen, its input with what was typed."""
    fields = list(Field.objects.filter(retired=False))
    key = request.POST.get("own_key", "")
    field = next((field for field in fields if field.key == key), None)
    inputs = own_inputs(None, typed_own(request.POST), {}, only=key) if field else [None]
    return {
        "own_fields": fields,
        "own_field": field,
        "own_input": inputs[0],
        "own_cleared": "clear" in request.POST,
    }
