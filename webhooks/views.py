"""The pages of the webhooks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from product_importer.common.actor import actor_of
from product_importer.common.forms import add_refusals
from product_importer.common.parsing import page_number, whole_number
from webhooks.forms import EndpointForm
from webhooks.models import SUBSCRIBABLE, Attempt, Delivery, Endpoint, Event
from webhooks.operations import endpoints
from webhooks.queries import days_of, events_kept

may_see = permission_required("webhooks.view_endpoint", raise_exception=True)
may_add = permission_required("webhooks.add_endpoint", raise_exception=True)
may_change = permission_required("webhooks.change_endpoint", raise_exception=True)
may_delete = permission_required("webhooks.delete_endpoint", raise_exception=True)


@require_GET
@may_see
def endpoint_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(Endpoint.objects.order_by("-id"), 50).get_page(page_number(request))
    shown = list(page.object_list)
    days = days_of(shown)
    return render(
        request,
        "webhooks/endpoints.html",
        {
            "title": "Webhooks",
            "page": page,
            "endpoints": [(endpoint, days[endpoint.pk]) for endpoint in shown],
        },
    )


@require_http_methods(["GET", "POST"])
@may_add
@never_cache
def endpoint_new(request: HttpRequest) -> HttpResponse:
    """The form of a new endpoint; its secret is in the answer, and nowhere afterwards."""
    form = EndpointForm(request.POST or None, initial={"events": SUBSCRIBABLE})
    if request.method == "POST" and form.is_valid():
        try:
            endpoint, secret = endpoints.create_endpoint(
                actor=actor_of(request), **form.cleaned_data
            )
        except endpoints.Invalid as error:
            add_refusals(form, error)
        else:
            return _show_secret(request, endpoint, secret, is_new=True)
    return _show_form(request, form, {"title": "New endpoint"})


@require_http_methods(["GET", "POST"])
@may_change
def endpoint_edit(request: HttpRequest, pk: int) -> HttpResponse:
    endpoint = _endpoint(pk)
    form = EndpointForm(
        request.POST or None,
        initial={
            "url": endpoint.url,
            "description": endpoint.description,
            "events": endpoint.events,
        },
    )
    if request.method == "POST" and form.is_valid():
        try:
            endpoints.update_endpoint(endpoint_id=pk, **form.cleaned_data)
        except endpoints.Invalid as error:
            add_refusals(form, error)
        else:
            messages.success(request, "Saved. Attempts from now on go by it.")
            return redirect("endpoint-detail", pk)
    return _show_form(request, form, {"title": "Edit endpoint", "endpoint": endpoint})


def _show_form(request: HttpRequest, form: EndpointForm, context: dict[str, Any]) -> HttpResponse:
    status = 400 if form.errors else 200
    return render(request, "webhooks/endpoint_form.html", {"form": form, **context}, status=status)


def _show_secret(
    request: HttpRequest, endpoint: Endpoint, secret: str, *, is_new: bool
) -> HttpResponse:
    context = {"title": "Secret", "endpoint": endpoint, "secret": secret, "is_new": is_new}
    return render(request, "webhooks/secret.html", context)


@require_GET
@may_see
def endpoint_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One endpoint and its deliveries, the newest first."""
    endpoint = _endpoint(pk)
    deliveries = endpoint.deliveries.select_related("event").defer("event__body")
    brief = Prefetch(
        "attempts", Attempt.objects.defer("response_body", "response_headers", "request_headers")
    )
    state, event_type = request.GET.get("state", ""), request.GET.get("event", "")
    if state in Delivery.State.values:
        deliveries = deliveries.filter(state=state)
    if event_type in Event.Type.values:
        deliveries = deliveries.filter(event__type=event_type)
    page = Paginator(deliveries.prefetch_related(brief).order_by("-event_id"), 50).get_page(
        page_number(request)
    )
    return render(
        request,
        "webhooks/endpoint.html",
        {
            "title": "Webhook",
            "endpoint": endpoint,
            "day": days_of([endpoint])[pk],
            "page": page,
            "is_moving": any(not delivery.is_final for delivery in page),
            "now": timezone.now(),
            "state": state,
            "event_type": event_type,
            "states": Delivery.State.choices,
            "event_types": Event.Type.values,
            "since": timezone.localtime() - timedelta(hours=24),
            "zone": timezone.get_current_timezone_name(),
            "events_kept": events_kept(),
        },
    )


@require_POST
@may_change
def endpoint_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Enable or disable."""
    _endpoint(pk)
    enabled = request.POST.get("enabled") == "true"
    endpoints.update_endpoint(endpoint_id=pk, enabled=enabled)
    if enabled:
        messages.success(
            request,
            "Enabled. What happened while it was disabled is sent when you recover it, below.",
        )
    else:
        messages.success(request, f"Disabled. Events are kept {events_kept()}, for recovery.")
    return redirect("endpoint-detail", pk)


@require_POST
@may_change
@never_cache
def endpoint_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a new secret; it is in the answer, and nowhere afterwards."""
    endpoint = _endpoint(pk)
    secret = endpoints.rotate_secret(endpoint_id=pk)
    return _show_secret(request, endpoint, secret, is_new=False)


@require_http_methods(["GET", "POST"])
@may_delete
def endpoint_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then delete."""
    endpoint = _endpoint(pk)
    if request.method == "POST":
        endpoints.delete_endpoint(endpoint_id=pk)
        messages.success(request, f"Deleted {endpoint.url}.")
        return redirect("endpoint-list")
    waiting = endpoint.deliveries.filter(state=Delivery.State.PENDING).count()
    context = {"title": "Delete endpoint", "endpoint": endpoint, "waiting": waiting}
    return render(request, "webhooks/endpoint_delete.html", context)


@require_POST
@may_change
def endpoint_recover(request: HttpRequest, pk: int) -> HttpResponse:
    _endpoint(pk)
    since = _moment(request.POST.get("since", ""))
    if since is None:
        messages.error(request, "Choose the time from which events are missing.")
        return redirect("endpoint-detail", pk)
    try:
        count = endpoints.recover(endpoint_id=pk, since=since)
    except endpoints.Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{count:,} deliveries are on their way.")
    return redirect("endpoint-detail", pk)


def _moment(text: str) -> datetime | None:
    """What a ``datetime-local`` field sends, in the site's time zone."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None:
        return None
    if timezone.is_naive(moment):
        return timezone.make_aware(moment)
    try:
        return moment.astimezone(UTC)  # PostgreSQL knows no zone as far from it as Python does
    except OverflowError:
        return None


@require_POST
@may_change
def endpoint_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test; the answer renews itself until the result is there."""
    _endpoint(pk)
    like = request.POST.get("type") or Event.Type.WEBHOOK_TEST
    if like not in Event.Type.values:
        messages.error(request, "There is no such type of event. Choose one from the list.")
        return redirect("endpoint-detail", pk)
    delivery = endpoints.send_test(endpoint_id=pk, like=Event.Type(like))
    if request.headers.get("HX-Request"):
        return render(request, "webhooks/_result.html", {"delivery": delivery})
    return redirect("delivery-detail", delivery.pk)


@require_POST
@may_change
def endpoint_resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the ticked deliveries again."""
    _endpoint(pk)
    chosen = {whole_number(text) for text in request.POST.getlist("delivery")} - {None}
    if not chosen:
        messages.error(request, "Tick the deliveries that are to be sent again.")
        return redirect("endpoint-detail", pk)
    try:
        count = endpoints.resend_several(
            endpoint_id=pk, delivery_ids=[number for number in chosen if number is not None]
        )
    except endpoints.Refused as error:
        messages.error(request, str(error))
    else:
        left = len(chosen) - count
        rest = f" {left:,} are being sent right now." if left else ""
        messages.success(request, f"{count:,} deliveries are on their way.{rest}")
    query = request.GET.urlencode()
    return redirect(f"{reverse('endpoint-detail', args=[pk])}{'?' if query else ''}{query}")


@require_GET
@may_see
def delivery_result(request: HttpRequest, pk: int) -> HttpResponse:
    """What came of a delivery so far, in a few words."""
    delivery = _delivery(pk)
    attempt = delivery.attempts.last() if delivery.is_final else None
    return render(request, "webhooks/_result.html", {"delivery": delivery, "attempt": attempt})


@require_GET
@may_see
def delivery_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One delivery: what is sent, and each attempt with its response."""
    delivery = _delivery(pk)
    return render(
        request,
        "webhooks/delivery.html",
        {
            "title": f"Delivery {pk}",
            "delivery": delivery,
            "endpoint": delivery.endpoint,
            "attempts": delivery.attempts.order_by("-id")[:100],
            "body": bytes(delivery.event.body).decode(),
            "now": timezone.now(),
            "is_leased": delivery.is_leased(timezone.now()),
        },
    )


@require_POST
@may_change
def delivery_resend(request: HttpRequest, pk: int) -> HttpResponse:
    _delivery(pk)
    try:
        endpoints.resend(delivery_id=pk)
    except endpoints.Refused as error:
        messages.error(request, str(error))
    return redirect("delivery-detail", pk)


def _endpoint(pk: int) -> Endpoint:
    return get_object_or_404(Endpoint.objects.select_related("created_by"), pk=pk)


def _delivery(pk: int) -> Delivery:
    deliveries = Delivery.objects.filter(endpoint__deleted_at=None)
    return get_object_or_404(deliveries.select_related("event", "endpoint"), pk=pk)
