"""The pages of the change sets: what was changed, by whom, and how far a large act is."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db.models import F, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_GET, require_http_methods

from catalog.models import ChangeSet, UndoConflict
from catalog.operations import undo
from catalog.queries import acts, products
from catalog.queries.filters import BadFilter, day_start
from catalog.views.endings import tell_begun
from product_importer.common.actor import actor_of
from product_importer.common.parsing import TEXT_MAX_LENGTH, whole_number

PAGE_SIZE = 50
ACTIONS = ("created", "updated", "deleted")
SEARCHED = ("sku", "person", "from", "to", "kind")
# Changes of one act up to which its undo's page waits for the numbers; those of more come after it.
COUNTED_AT_ONCE = 20_000
KEPT = "kept"  # by an undo, because somebody changed them since

may_see = permission_required("catalog.view_changeset", raise_exception=True)


@require_GET
@may_see
def change_list(request: HttpRequest) -> HttpResponse:
    """The change sets, newest first; older ones by the number that the page ended with."""
    found = (
        products.listed_change_sets()
        .annotate(file_name=F("importjob__file_name"))  # all of a job may be a megabyte
        .order_by("-id")
    )
    wanted = {name: request.GET.get(name, "").strip() for name in SEARCHED}
    errors: list[str] = []
    try:
        found = found.filter(*_conditions(wanted))
    except BadFilter as error:
        errors, found = list(error.sentences.values()), found.none()
    before = _number(request, "before")
    if before:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE_SIZE + 1])
    words = acts.describe_acts(rows[:PAGE_SIZE])
    kept = {name: text for name, text in wanted.items() if text}
    return render(
        request,
        "catalog/changes.html",
        {
            "title": "Changes",
            "change_sets": [
                (
                    row,
                    words[row.pk],
                    not undo.why_not(row) and undo.may_undo(row, request.user),
                    undo.undo_of(row),
                )
                for row in rows[:PAGE_SIZE]
            ],
            "errors": errors,
            "kinds": ChangeSet.Kind.choices,
            "wanted": wanted,
            "kept_query": urlencode(kept),
            "before": before,
            "older": rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None,
        },
        status=400 if errors else 200,
    )


def _conditions(wanted: dict[str, str]) -> list[Q]:
    """What the search of the changes asks for. Raises ``BadFilter``."""
    conditions = []
    if wanted["kind"] in ChangeSet.Kind.values:
        conditions.append(Q(kind=wanted["kind"]))
    if sku := wanted["sku"]:
        conditions.append(Q(pk__in=acts.change_sets_with(sku)))
    if (person := wanted["person"]) and "\0" not in person:
        conditions.append(Q(actor__username__icontains=person))
    if wanted["from"]:
        conditions.append(Q(created_at__gte=day_start("from", wanted["from"])))
    if wanted["to"]:
        conditions.append(Q(created_at__lt=day_start("to", wanted["to"], days=1)))
    return conditions


@require_GET
@may_see
def change_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One change set: its progress, and its products by what was done to them."""
    change_set = _change_set(pk)
    counts = {name: getattr(change_set, name) for name in ACTIONS}
    action = request.GET.get("action", "")
    if action not in ACTIONS:
        action = next((name for name in ("updated", "deleted", "created") if counts[name]), "")
    page = _number(request, "page") or 1
    shown: Any = None
    if request.GET.get("action") == KEPT:
        return _kept(request, change_set, page)
    if action and change_set.is_final:
        shown = products.change_set_entries(change_set, action=action, page=page)
    return render(
        request,
        "catalog/change.html",
        {
            "title": f"Change {pk}",
            "words": acts.describe_act(change_set),
            "change_set": change_set,
            "action": action,
            "shown": shown,
            "page_number": page,
            **_panel_context(change_set, request),
        },
    )


def _kept(request: HttpRequest, change_set: ChangeSet, page: int) -> HttpResponse:
    """The page of an undo, with the products that it left alone."""
    start = (page - 1) * PAGE_SIZE
    kept = UndoConflict.objects.filter(change_set=change_set)
    others = ChangeSet.objects.select_related("actor").defer("request")
    others = others.annotate(file_name=F("importjob__file_name"))
    kept = kept.prefetch_related(Prefetch("other", others))
    rows = list(kept[start : start + PAGE_SIZE + 1])
    words = acts.name_acts(row.other for row in rows if row.other)
    return render(
        request,
        "catalog/change.html",
        {
            "title": f"Change {change_set.pk}",
            "words": acts.describe_act(change_set),
            "change_set": change_set,
            "action": KEPT,
            "kept": [(row, words.get(row.other_id or 0, "")) for row in rows[:PAGE_SIZE]],
            "more_kept": len(rows) > PAGE_SIZE,
            "page_number": page,
            **_panel_context(change_set, request),
        },
    )


@require_GET
@may_see
def change_panel(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a change set's page that changes while it is carried out."""
    return render(request, "catalog/_change_panel.html", _panel_context(_change_set(pk), request))


@require_GET
@may_see
def change_notice(request: HttpRequest, pk: int) -> HttpResponse:
    """The message of an act that a worker carries out, as far as it is; at the end with Undo."""
    change_set = _change_set(pk)
    return render(
        request,
        "catalog/_notice.html",
        {
            "change_set": change_set,
            "words": acts.describe_act(change_set),
            "may_undo": not undo.why_not(change_set) and undo.may_undo(change_set, request.user),
        },
    )


@require_http_methods(["GET", "POST"])
@may_see
def change_undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell in numbers what an undo would do, and ask; POST starts it.

    The numbers of a large one take seconds: the page is there at once, and asks for them.
    """
    change_set = _change_set(pk)
    if not undo.may_undo(change_set, request.user):
        raise PermissionDenied
    reason = undo.why_not(change_set)
    if request.method == "POST" and not reason:
        try:
            begun = undo.start_undo(change_set_id=pk, actor=actor_of(request))
            return _undo_begun(request, begun)
        except undo.NotUndoable as error:
            reason = str(error)  # somebody else did it this very moment
    at_once = change_set.changed <= COUNTED_AT_ONCE or "count" in request.GET
    return render(
        request,
        "catalog/undo.html",
        {
            "title": f"Undo change {pk}",
            "change_set": change_set,
            "reason": reason,
            "words": acts.describe_act(change_set),
            "forecast": undo.forecast(change_set) if at_once and not reason else None,
        },
        status=409 if reason else 200,
    )


def _undo_begun(request: HttpRequest, begun: ChangeSet) -> HttpResponse:
    """To the undo's page; back to where the person was, if a message offered it there."""
    there = request.POST.get("there", "")
    local = url_has_allowed_host_and_scheme(there, None) and there.startswith("/")
    if not local:
        return redirect("change-detail", begun.pk)
    tell_begun(request, f"{acts.describe_act(begun)}.", begun)
    return redirect(there[:TEXT_MAX_LENGTH])


def _change_set(pk: int) -> ChangeSet:
    return get_object_or_404(
        ChangeSet.objects.select_related("actor", "importjob", "undo_of"), pk=pk
    )


def _panel_context(change_set: ChangeSet, request: HttpRequest) -> dict[str, Any]:
    total = change_set.total
    percent = 0.0
    if change_set.status == ChangeSet.Status.COMPLETED:
        percent = 100.0
    elif total:
        percent = min(99.0, 100 * (change_set.changed + change_set.conflicts) / total)
    return {
        "change_set": change_set,
        "percent": percent,
        "ahead": products.acts_before(change_set)
        if change_set.status == ChangeSet.Status.WAITING
        else 0,
        "tiles": [(name, getattr(change_set, name)) for name in ACTIONS],
        "undone_by": undo.undo_of(change_set),
        "may_undo": not undo.why_not(change_set) and undo.may_undo(change_set, request.user),
    }


def _number(request: HttpRequest, name: str) -> int | None:
    return whole_number(request.GET.get(name, ""), digits=9)
