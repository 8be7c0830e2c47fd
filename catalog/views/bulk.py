"""Acts on many products: what was selected, the question, the start."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from catalog.models import ChangeSet
from catalog.operations import bulk
from catalog.queries import products as queries
from catalog.queries.acts import describe_act
from catalog.queries.filters import BadFilter, active_filters
from catalog.views.bulk_confirm import ACTS, ask, refused
from catalog.views.endings import list_place, list_url, tell_begun
from catalog.views.own_fields.inputs import typed_own
from catalog.views.product_list import may_see
from product_importer.common.actor import actor_of
from product_importer.common.parsing import whole_number


@require_POST
@may_see
def bulk_ask(request: HttpRequest) -> HttpResponse:
    """Ask before many products are changed, with how many they are."""
    act = _act(request)
    wanted = _wanted(request)
    if not wanted:
        messages.warning(request, "No product was selected. Tick some, or all that match.")
        return redirect(list_url(list_place(request)))
    return ask(request, act, wanted, place=list_place(request))


@require_GET
@permission_required("catalog.bulk_delete_product", raise_exception=True)
def clear(request: HttpRequest) -> HttpResponse:
    """The place where the whole catalogue is cleared: it asks as every other deletion does."""
    return ask(request, "delete", {"filters": {}}, place=list_place(request))


@require_POST
@may_see
def bulk_start(request: HttpRequest) -> HttpResponse:
    """Start what was asked, if the number that was typed is how many there are."""
    act = _act(request)
    wanted = _wanted(request)
    place = list_place(request)
    asked_from = place if "back" in request.POST else None
    if not wanted:
        raise Http404
    try:
        if act == "delete":
            count = queries.count_products(bulk.chosen_products(wanted))
            typed = "".join(c for c in request.POST.get("typed", "") if c.isdigit())
            if typed != str(count):
                typed = request.POST.get("typed", "")
                return ask(request, act, wanted, place=asked_from, typed=typed)
        edit: dict[str, Any] = {"active": act == "activate"}
        if act in _CHANGES:
            try:
                edit = _CHANGES[act](request)
            except ValueError as error:
                return ask(request, act, wanted, place=asked_from, refusal=str(error))
        change_set = bulk.start_bulk_act(
            kind=ChangeSet.Kind.BULK_DELETE if act == "delete" else ChangeSet.Kind.BULK_EDIT,
            actor=actor_of(request),
            **edit,
            **wanted,
        )
    except BadFilter as error:
        return refused(error)
    if "back" not in request.POST:  # asked in the admin
        return redirect("change-detail", change_set.pk)
    if not request.user.has_perm("catalog.view_changeset"):
        messages.info(request, f"{describe_act(change_set)}.")
        return redirect(list_url(place))
    tell_begun(request, f"{describe_act(change_set)}.", change_set)
    return redirect(list_url(place))


def _price_change(request: HttpRequest) -> dict[str, Any]:
    given = request.POST
    change = bulk.price_change(
        by=given.get("by", ""), value=given.get("value", ""), round_to=given.get("round", "0.01")
    )
    return {"price": change}


def _field_change(request: HttpRequest) -> dict[str, Any]:
    """Which field is set to what; a blank value clears only where that was ticked."""
    key = request.POST.get("own_key", "")
    value = typed_own(request.POST).get(key, "")
    clear = "clear" in request.POST
    if clear and value.strip():
        raise ValueError("Type a value or tick that it is cleared, not both.")
    if not clear and not value.strip():
        raise ValueError("Give the new value, or tick that the field is cleared.")
    change = bulk.field_change(key=key, value=value, typed=True)
    if change[1] is None and not clear:  # nothing but a sign between words of a list
        raise ValueError("Give the new value, or tick that the field is cleared.")
    return {"own_field": change}


# What is asked beside which products: from the form to what ``start_bulk_act`` takes.
_CHANGES = {"price": _price_change, "field": _field_change}


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
        wanted: dict[str, Any] = {"filters": active_filters(request.POST)}
        without = _numbers(request.POST.get("without", "").split(","))
        return wanted | ({"without": without} if without else {})
    texts = [*request.POST.getlist("id"), *request.POST.get("ids", "").split(",")]
    ids = _numbers(texts)
    return {"ids": ids} if ids else {}


def _numbers(texts: list[str]) -> list[int]:
    return sorted({number for text in texts if (number := whole_number(text)) is not None})
