"""The shell around every page: Unfold's site, which looks up once what is alike on all of them.

Unfold asks its settings anew for each page, in some thirty merges of dictionaries, and makes a
class for each thing that is to be told later; Django looks for every model that the user may see.
That was nearly half of an empty page (docs/decisions/0075-what-a-request-pays-for.md).
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin import AdminSite, sites
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from unfold.apps import DefaultAppConfig
from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):  # type: ignore[misc]
    """Unfold's, with what is alike on every page kept for as long as the process lives."""

    _alike: dict[str, Any] | None = None

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        of_request = AdminSite.each_context(self, request)
        of_request["sidebar_navigation"] = (
            self.get_sidebar_list(request) if of_request["has_permission"] else []
        )
        if self._alike is None:
            made = super().each_context(request)
            differs = of_request.keys() - {"site_title", "site_header", "site_url"}
            self._alike = {name: made[name] for name in made.keys() - differs}
        return of_request | self._alike

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Made when it is looked at, which of all pages those of the admin itself do."""
        return SimpleLazyObject(partial(super().get_app_list, request, app_label))

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The groups of the navigation, their items with ``active`` and ``has_permission``."""
        return [
            {**group, "items": [_of_request(item, request) for item in group["items"]]}
            for group in _navigation()
        ]


def _of_request(item: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    allowed: Callable[[HttpRequest], bool] | None = item.get("permission")
    made = {
        **item,
        "active": item["active"](request),
        "has_permission": allowed is None or allowed(request),
    }
    if "badge" in item:
        made["badge_callback"] = partial(item["tells"], request)  # called where it is shown
    return made


@cache
def _navigation() -> list[dict[str, Any]]:
    """The settings' navigation, with its links as texts and its callbacks imported."""
    sidebar: Any = settings.UNFOLD["SIDEBAR"]
    return [
        {**group, "items": [_ready(item) for item in group["items"]]}
        for group in sidebar["navigation"]
    ]


def _ready(item: dict[str, Any]) -> dict[str, Any]:
    link = str(item["link"])
    is_active = _is_here if link == reverse("admin:index") else _is_within
    names = {"active": "active", "permission": "permission", "badge": "tells"}
    callbacks = {to: import_string(item[name]) for name, to in names.items() if name in item}
    return {**item, "active": partial(is_active, link), **callbacks, "link": link}


def _is_within(link: str, request: HttpRequest) -> bool:
    """Whether the request's page is the link's, or one below it."""
    return link in request.path


def _is_here(link: str, request: HttpRequest) -> bool:
    return request.path == link


class SiteConfig(DefaultAppConfig):  # type: ignore[misc]
    """Unfold's own, with our site."""

    def ready(self) -> None:
        admin.site = sites.site = Site()
