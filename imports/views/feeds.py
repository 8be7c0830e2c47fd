"""The pages of the feeds."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from imports.models import Feed, ImportJob, Supplier
from imports.operations.feeds import feeds as operations
from imports.operations.feeds.trial import test_feed
from imports.operations.suppliers import Invalid
from imports.queries.feeds import (
    DAYS,
    STRIP,
    due_by_day,
    listed_feeds,
    listed_runs,
    tell_jobs,
    with_runs,
)
from imports.queries.formats import formats_by_supplier
from imports.schedule import EXAMPLES, ScheduleError, in_words, next_times, zone_of
from imports.views.mapping.form import Posted
from imports.views.mapping.page import Page, numbered
from product_importer.common.actor import actor_of
from product_importer.common.parsing import page_number, whole_number

may_see = permission_required("imports.view_feed", raise_exception=True)
may_add = permission_required("imports.add_feed", raise_exception=True)
may_change = permission_required("imports.change_feed", raise_exception=True)
may_delete = permission_required("imports.delete_feed", raise_exception=True)
may_run = permission_required("imports.run_feed", raise_exception=True)

# Suggested beside the schedule; every zone that there is can be written.
ZONES = (
    *("UTC", "Europe/Berlin", "Europe/London", "Europe/Paris", "Europe/Warsaw", "Europe/Athens"),
    *("America/New_York", "America/Chicago", "America/Los_Angeles", "America/Sao_Paulo"),
    *("Asia/Dubai", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney"),
)
TEXTS = ("name", "url", "username", "pattern", "schedule", "time_zone")
SUPPLIERS = 500  # to choose from


@require_GET
@may_see
def feed_list(request: HttpRequest) -> HttpResponse:
    """The feeds by the time of their next run, and what is due in the next days."""
    feeds = listed_feeds().order_by("-enabled", "next_run_at", "-id")
    page = Paginator(feeds, 50).get_page(page_number(request))
    return render(
        request,
        "imports/feeds.html",
        {
            "title": "Feeds",
            "page": page,
            "rows": with_runs(page.object_list),
            "strip": STRIP,
            "days": due_by_day(page.object_list),
            "days_shown": DAYS,
            "zone": settings.TIME_ZONE,
            "now": timezone.now(),
            "has_suppliers": Supplier.objects.exists(),
        },
    )


@require_GET
@may_see
def feed_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One feed and its runs, the newest first."""
    feed = _feed(pk)
    page = Paginator(listed_runs().filter(feed=feed).order_by("-id"), 50).get_page(
        page_number(request)
    )
    return render(request, "imports/feed.html", _detail(feed, {"page": page}))


def _detail(feed: Feed, context: dict[str, Any]) -> dict[str, Any]:
    [row] = with_runs([feed])
    page = context.get("page")
    return {
        "title": feed.name,
        "feed": feed,
        "row": row,
        "runs": tell_jobs(page.object_list) if page else [],
        "schedule": in_words(feed.schedule),
        "now": timezone.now(),
        "is_running": row.last is not None and row.last.outcome == "running",
        **context,
    }


@require_http_methods(["GET", "POST"])
@may_add
def feed_new(request: HttpRequest) -> HttpResponse:
    """The form of a new feed."""
    values = {"time_zone": settings.TIME_ZONE, "supplier": request.GET.get("supplier", "")}
    if request.method != "POST":
        return _form(request, values)
    try:
        supplier = whole_number(request.POST.get("supplier", "")) or 0
        feed = operations.create_feed(
            supplier_id=supplier, user=actor_of(request), **_typed(request)
        )
    except Invalid as error:
        return _form(request, _echo(request), errors=error)
    messages.success(request, "The feed is made. Test it, or fetch it now.")
    return redirect("feed-detail", feed.pk)


@require_http_methods(["GET", "POST"])
@may_change
def feed_edit(request: HttpRequest, pk: int) -> HttpResponse:
    feed = _feed(pk)
    if request.method != "POST":
        return _form(request, _values(feed), feed=feed)
    try:
        operations.update_feed(feed_id=pk, user=actor_of(request), **_typed(request))
    except Invalid as error:
        return _form(request, _echo(request), feed=feed, errors=error)
    messages.success(request, "Saved. The next fetch goes by it.")
    return redirect("feed-detail", pk)


def _values(feed: Feed) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(feed, name) for name in TEXTS}
    chosen = str(feed.format_id) if feed.format_id else ""
    return {**values, "format": chosen, "full_list": feed.full_list, "enabled": feed.enabled}


def _echo(request: HttpRequest) -> dict[str, Any]:
    """What was typed, but for secrets: they are not sent back."""
    values: dict[str, Any] = {
        name: request.POST.get(name, "") for name in (*TEXTS, "format", "supplier")
    }
    return {**values, "full_list": "full_list" in request.POST}


def _typed(request: HttpRequest) -> dict[str, Any]:
    """The form as the operation takes it. A blank secret stays as it is, a ticked one goes.

    Raises ``Invalid`` for headers that are none.
    """
    values: dict[str, Any] = {name: request.POST.get(name, "") for name in TEXTS}
    values["format_id"] = whole_number(request.POST.get("format", ""))
    values["full_list"] = "full_list" in request.POST
    for name in ("password", "private_key"):
        text = request.POST.get(name, "")
        values[name] = "" if f"clear_{name}" in request.POST else text or None
    headers = request.POST.get("headers", "").strip()
    values["headers"] = _headers(headers) if headers else None
    if "clear_headers" in request.POST:
        values["headers"] = {}
    if "clear_host_key" in request.POST:
        values["host_key"] = ""
    return values


def _headers(text: str) -> dict[str, str]:
    """Lines of ``Name: value``. Raises ``Invalid``."""
    headers = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise Invalid({"headers": ("invalid", "Write one header a line, as Name: value.")})
        if colon:
            headers[name.strip()] = value.strip()
    return headers


def _form(
    request: HttpRequest,
    values: dict[str, Any],
    *,
    feed: Feed | None = None,
    errors: Invalid | None = None,
) -> HttpResponse:
    return render(
        request,
        "imports/feed_form.html",
        {
            "title": f"Edit {feed.name}" if feed else "New feed",
            "feed": feed,
            "values": values,
            "errors": errors.sentences if errors else {},
            "suppliers": Supplier.objects.order_by("name")[:SUPPLIERS],
            "formats": formats_by_supplier(),
            "zones": ZONES,
            "schemes": operations.SCHEMES,
            "examples": EXAMPLES,
            **_coming(values.get("schedule", ""), values["time_zone"]),
        },
        status=400 if errors else 200,
    )


@require_GET
@may_see
def feed_times(request: HttpRequest) -> HttpResponse:
    """The next times of a schedule as it is being written, or what is wrong with it."""
    schedule = request.GET.get("schedule", "")
    context = _coming(schedule, request.GET.get("time_zone", "") or settings.TIME_ZONE)
    return render(request, "imports/_feed_times.html", context)


def _coming(schedule: str, zone: str) -> dict[str, Any]:
    if not schedule.strip():
        return {}
    try:
        clock = zone_of(zone)
        times = next_times(schedule, zone, timezone.now(), 3)
    except ScheduleError as error:
        return {"schedule_error": str(error)}
    return {"times": [time.astimezone(clock) for time in times], "zone": zone}


@require_POST
@may_run
def feed_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Fetch now."""
    _feed(pk)
    operations.ask_for_run(feed_id=pk, user=actor_of(request))
    return redirect("feed-detail", pk)


@require_POST
@may_run
def feed_test(request: HttpRequest, pk: int) -> HttpResponse:
    """What is there, and how it would be read; nothing is imported."""
    feed = _feed(pk)
    tested = test_feed(feed)
    context = {"feed": feed, "tested": tested, "read": _as_read(feed, tested.read)}
    if request.headers.get("HX-Request"):
        return render(request, "imports/_feed_test.html", context)
    return render(request, "imports/feed_test.html", {"title": f"Test of {feed.name}", **context})


def _as_read(feed: Feed, read: dict[str, Any]) -> dict[str, Any]:
    """How the matching page would show it."""
    if not read:
        return {}
    header = [column["name"] for column in read["columns"]]
    job = ImportJob(format=feed.format, supplier=feed.supplier)
    return Page(job, read, numbered(read["rules"], header), [], Posted({}), []).context()


@require_POST
@may_change
def feed_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """On or off."""
    _feed(pk)
    enabled = request.POST.get("enabled") == "true"
    operations.update_feed(feed_id=pk, enabled=enabled)
    told = "Switched on." if enabled else "Switched off: it is fetched when somebody asks for it."
    messages.success(request, told)
    return redirect("feed-detail", pk)


@require_http_methods(["GET", "POST"])
@may_delete
def feed_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The question, and the act."""
    feed = _feed(pk)
    if request.method == "POST":
        try:
            operations.delete_feed(feed_id=pk)
        except operations.NotNow as refused:
            messages.error(request, str(refused))
            return redirect("feed-detail", pk)
        messages.success(request, f"“{feed.name}” was deleted. Its imports stay.")
        return redirect("feed-list")
    context = {"title": f"Delete {feed.name}?", "feed": feed, "run_count": feed.runs.count()}
    return render(request, "imports/feed_delete.html", context)


def _feed(pk: int) -> Feed:
    return get_object_or_404(listed_feeds(), pk=pk)
