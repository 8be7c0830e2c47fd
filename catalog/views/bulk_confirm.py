"""The question before an act on many products; pages and admin ask the same one."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from catalog.operations import bulk
from catalog.queries import products as queries
from catalog.queries.filters import BadFilter

FILTER_LABELS = {
    "q": "Search",
    "sku": "SKU",
    "name": "Name",
    "description": "Description",
    "active": "Active",
}
# Which permission each act on many products needs, and the word for it.
ACTS = {
    "delete": ("catalog.bulk_delete_product", "Delete"),
    "activate": ("catalog.change_product", "Activate"),
    "deactivate": ("catalog.change_product", "Deactivate"),
}


def refused(error: BadFilter) -> HttpResponse:
    """400 with what is wrong: no page of ours sends such filters."""
    return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")


def ask(
    request: HttpRequest,
    act: str,
    wanted: dict[str, Any],
    *,
    typed: str | None = None,
    shell: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """The page that asks before ``act`` (of ``ACTS``), with how many products it means.

    ``wanted`` is what ``start_bulk_act`` takes: ``ids`` or ``filters``. ``typed`` is a number
    that was typed and is wrong. ``shell`` is what the page's frame needs where the context
    processor does not bring it.
    """
    try:
        products = bulk.chosen_products(wanted)
    except BadFilter as error:
        return refused(error)
    count = queries.count_products(products)
    return render(
        request,
        "catalog/bulk.html",
        {
            **(shell or {}),
            "title": f"{ACTS[act][1]} {count:,} product{'' if count == 1 else 's'}?",
            "act": act,
            "word": ACTS[act][1],
            "count": count,
            "examples": products.order_by("id")[:10] if count else [],
            "ids": ",".join(str(number) for number in wanted.get("ids", [])),
            "filters": {FILTER_LABELS[k]: v for k, v in wanted.get("filters", {}).items()},
            "hidden": wanted.get("filters", {}),
            "everything": "filters" in wanted,
            "typed": typed,
        },
        status=200 if typed is None else 400,
    )
