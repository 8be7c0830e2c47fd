"""The box that finds everything: products, imports and pages; and whether single keys work."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from catalog.operations.personal import switch_keys
from catalog.queries.filters import BadFilter, filtered_products
from catalog.queries.own_fields.filters import FILTER_MAX_LENGTH
from catalog.queries.pagination import get_page
from catalog.queries.personal import settings_of
from imports.models import ImportJob
from product_importer.common.parsing import TEXT_MAX_LENGTH, whole_number

SHOWN = 6  # of each kind
KEYS = "single_keys"  # in the session, so that no page asks the database for it


@receiver(user_logged_in)
def know_keys(request: HttpRequest, user: User, **_: Any) -> None:
    """Take what the person has set along into the session."""
    request.session[KEYS] = settings_of(user).keys


@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """What is called like ``q``, of what this person may see."""
    text = request.GET.get("q", "").strip()[:FILTER_MAX_LENGTH].replace("\0", "")
    options = _pages(request, text)
    if text and request.user.has_perm("catalog.view_product"):
        options += _products(text)
    if request.user.has_perm("imports.view_importjob"):
        options += _imports(text)
    return render(request, "product_importer/_found.html", {"options": options})


def _pages(request: HttpRequest, text: str) -> list[dict[str, Any]]:
    groups = admin.site.get_sidebar_list(request)  # type: ignore[attr-defined]
    items = [item for group in groups for item in group["items"] if item["has_permission"]]
    return [
        {"kind": "Page", "title": item["title"], "href": str(item["link"])}
        for item in items
        if text.lower() in str(item["title"]).lower()
    ]


def _products(text: str) -> list[dict[str, Any]]:
    try:
        found = get_page(filtered_products({"q": text}), ordering="sku", size=SHOWN).rows
    except BadFilter:
        return []
    return [
        {
            "kind": "Product",
            "title": product.sku,
            "more": product.name,
            "href": reverse("product-detail", args=[product.pk]),
        }
        for product in found
    ]


def _imports(text: str) -> list[dict[str, Any]]:
    wanted = Q(file_name__icontains=text)
    if (number := whole_number(text)) is not None:
        wanted |= Q(pk=number)
    jobs = ImportJob.objects.filter(wanted).only("pk", "file_name", "created_at")
    return [
        {
            "kind": "Import",
            "title": job.file_name,
            "more": f"{job.created_at:%d %b %Y}",
            "href": reverse("job-detail", args=[job.pk]),
        }
        for job in jobs.order_by("-pk")[:SHOWN]
    ]


@require_POST
def keys_switch(request: HttpRequest) -> HttpResponse:
    """Switch single keys on or off for this person, and stay where the person is."""
    request.session[KEYS] = request.POST.get("on") == "1"
    switch_keys(user=request.user, on=request.session[KEYS])
    there = request.POST.get("there", "")[:TEXT_MAX_LENGTH]
    local = there.startswith("/") and url_has_allowed_host_and_scheme(there, None)
    return redirect(there if local else "home")
