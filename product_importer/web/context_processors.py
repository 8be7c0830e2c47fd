"""What every page and the admin share: style, script, navigation, the bar of a running job."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static

from catalog.queries.products import unfinished_bulk_acts
from imports.models import ImportJob
from product_importer.web.finder import KEYS

# What the bar on top of every page shows of a job.
BAR = ("status", "stage", "file_name", "processed_records", "total_records")
JOBS_AT_MOST = 100  # that a page counts: beyond that, its badge says 100


def stylesheet(request: HttpRequest) -> str:
    return static("product_importer/app.css")


def script(request: HttpRequest) -> str:
    return static("product_importer/app.js")


def shell_script(request: HttpRequest) -> str:
    return static("product_importer/shell.js")


def icon(request: HttpRequest) -> str:
    return static("product_importer/icon.svg")


def is_home(request: HttpRequest) -> bool:
    """Unfold marks what the address begins with; every address begins with ours."""
    return request.path == "/"


def is_logged_in(request: HttpRequest) -> bool:
    return bool(getattr(request, "user", None) and request.user.is_authenticated)


def may_use_admin(request: HttpRequest) -> bool:
    return bool(getattr(request, "user", None) and request.user.is_staff)


def may_see_webhooks(request: HttpRequest) -> bool:
    return bool(getattr(request, "user", None) and request.user.has_perm("webhooks.view_endpoint"))


def may_see_feeds(request: HttpRequest) -> bool:
    return bool(getattr(request, "user", None) and request.user.has_perm("imports.view_feed"))


def waiting_for_people(request: HttpRequest) -> int | str:
    """The badge beside the imports; none where nothing waits, or for who may not see them."""
    user = getattr(request, "user", None)
    if user is None or not user.has_perm("imports.view_importjob"):
        return ""
    return sum(job.status in ImportJob.AWAITING for job in _jobs(request)) or ""


def may_see_notices(request: HttpRequest) -> bool:
    return bool(getattr(request, "user", None) and request.user.has_perm("imports.view_importjob"))


def _jobs(request: HttpRequest) -> list[ImportJob]:
    """The jobs that run or wait for somebody, the newest first: asked once for a whole page."""
    found: list[ImportJob] | None = getattr(request, "shell_jobs", None)
    if found is None:
        moving = ImportJob.objects.filter(status__in=(*ImportJob.ACTIVE, *ImportJob.AWAITING))
        found = list(moving.only(*BAR).order_by("-pk")[:JOBS_AT_MOST])
        request.shell_jobs = found  # type: ignore[attr-defined]
    return found


def may_see_fields(request: HttpRequest) -> bool:
    return bool(getattr(request, "user", None) and request.user.has_perm("catalog.view_field"))


def _keys(request: HttpRequest) -> dict[str, Any]:
    """Whether single keys work for this person; the session knows it since the log-in."""
    session = getattr(request, "session", None)
    return {"keys_on": session.get(KEYS, True) if session is not None else False}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Unfold's shell around our own pages; the admin's views bring theirs themselves.

    Made once for a page: Unfold's tags render templates of their own, which all ask for it.
    """
    user = getattr(request, "user", None)
    if user is None or request.path.startswith("/admin/"):
        return _keys(request)  # without a user: refused before it was asked for one
    made: tuple[Any, dict[str, Any]] | None = getattr(request, "shell_made", None)
    if made is None or made[0] != user.pk:  # who logs in is somebody else from then on
        made = user.pk, _shell(request)
        request.shell_made = made  # type: ignore[attr-defined]
    return made[1]


def _shell(request: HttpRequest) -> dict[str, Any]:
    user = request.user
    context: dict[str, Any] = dict(admin.site.each_context(request)) | _keys(request)
    if user.is_authenticated:
        # Unfold keeps its navigation for those who may enter the admin.
        context["sidebar_navigation"] = admin.site.get_sidebar_list(request)  # type: ignore[attr-defined]
    if request.path.startswith("/api/"):
        return context  # its pages have no bar
    if user.is_authenticated and not request.headers.get("HX-Request"):
        if user.has_perm("imports.view_importjob"):
            running = [job for job in _jobs(request) if job.status in ImportJob.ACTIVE]
            context["running_jobs"] = running[:3]
        if user.has_perm("catalog.view_changeset"):
            context["running_acts"] = unfinished_bulk_acts()[:3]
    return context
