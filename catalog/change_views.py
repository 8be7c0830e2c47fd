"""The pages of the change sets: what was changed, by whom, and how far a large act is."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from catalog import queries
from catalog.models import ChangeSet

PAGE_SIZE = 50
ACTIONS = ("created", "updated", "deleted")

may_see = permission_required("catalog.view_changeset", raise_exception=True)


@require_GET
@may_see
def change_list(request: HttpRequest) -> HttpResponse:
    """The change sets, newest first; older ones by the number that the page ended with."""
    found = ChangeSet.objects.select_related("actor", "importjob").order_by("-id")
    kind = request.GET.get("kind", "")
    if kind in ChangeSet.Kind.values:
        found = found.filter(kind=kind)
    before = _number(request, "before")
    if before:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE_SIZE + 1])
    return render(
        request,
        "catalog/changes.html",
        {
            "title": "Changes",
            "change_sets": rows[:PAGE_SIZE],
            "kinds": ChangeSet.Kind.choices,
            "kind": kind,
            "before": before,
            "older": rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None,
        },
    )


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
    if action and change_set.is_final:
        shown = queries.change_set_entries(change_set, action=action, page=page)
    return render(
        request,
        "catalog/change.html",
        {
            "title": f"Change {pk}",
            "change_set": change_set,
            "action": action,
            "shown": shown,
            "page_number": page,
            **_panel_context(change_set),
        },
    )


@require_GET
@may_see
def change_panel(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a change set's page that changes while it is carried out."""
    return render(request, "catalog/_change_panel.html", _panel_context(_change_set(pk)))


def _change_set(pk: int) -> ChangeSet:
    return get_object_or_404(ChangeSet.objects.select_related("actor", "importjob"), pk=pk)


def _panel_context(change_set: ChangeSet) -> dict[str, Any]:
    total = change_set.total
    percent = 0.0
    if change_set.status == ChangeSet.Status.COMPLETED:
        percent = 100.0
    elif total:
        percent = min(99.0, 100 * change_set.changed / total)
    return {
        "change_set": change_set,
        "percent": percent,
        "ahead": queries.acts_before(change_set)
        if change_set.status == ChangeSet.Status.WAITING
        else 0,
        "tiles": [(name, getattr(change_set, name)) for name in ACTIONS],
    }


def _number(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
