"""The pages of deciding about an import: look at what it would change, apply, cancel, retry."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from catalog.queries.filters import BadFilter
from imports.models import ImportJob
from imports.operations import jobs
from imports.queries.review import NoReview, filters_of, review_context
from imports.queries.review_csv import review_csv_response
from imports.sql.review import Filters
from imports.views import jobs as views
from imports.views.jobs import choices
from product_importer.common.actor import actor_of
from product_importer.common.downloads import TooManyDownloads, too_many_downloads
from product_importer.common.parsing import whole_number

may_import = permission_required("imports.add_importjob", raise_exception=True)


@require_GET
@views.may_see
def job_review(request: HttpRequest, pk: int) -> HttpResponse:
    """What a job would change (or what it was shown to change), filtered and paged."""
    return _review_page(request, get_object_or_404(ImportJob, pk=pk))


def _review_page(request: HttpRequest, job: ImportJob, *, refusal: str = "") -> HttpResponse:
    part = request.headers.get("HX-Target") == "review" and not refusal
    context = {
        "title": f"Review of {job.file_name}",
        "job": job,
        "refusal": refusal,
        "cursor": request.GET.get("cursor", ""),
        **choices(job, request),
        **review_context(job, request.GET),
    }
    template = "imports/_review.html" if part else "imports/review.html"
    return render(request, template, context, status=409 if refusal else 200)


@require_GET
@views.may_see
def job_review_csv(request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """The list of changes as it is filtered, for a spreadsheet."""
    job = get_object_or_404(ImportJob, pk=pk)
    try:
        return review_csv_response(job, request.GET, user_id=request.user.pk)
    except (NoReview, BadFilter):
        return job_review(request, pk)  # the page says so
    except TooManyDownloads as error:
        return too_many_downloads(error)


@require_POST
@may_import
def job_leave_out(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave records out of a review or take them in: all that match the address, or some lines.

    ``all`` is ``out`` or ``in``; else of the lines ``line`` those in ``keep`` are taken in, and the
    others left out: that is a page with its ticks.
    """
    get_object_or_404(ImportJob, pk=pk)
    lines, kept = (_lines(request.POST.getlist(name)) for name in ("line", "keep"))
    everything = request.POST.get("all", "")
    user = actor_of(request)
    try:
        filters = filters_of(request.GET) if everything else Filters()
        if everything:
            job = jobs.leave_out(job_id=pk, user=user, filters=filters, out=everything != "in")
        else:
            job = _choose(pk, user, lines, kept)
    except BadFilter as error:
        return _review_page(request, get_object_or_404(ImportJob, pk=pk), refusal=str(error))
    except jobs.Refused as error:
        return _review_page(request, get_object_or_404(ImportJob, pk=pk), refusal=str(error))
    if request.headers.get("HX-Request"):
        return render(request, "imports/_decide.html", {"job": job, **choices(job, request)})
    query = request.GET.urlencode()
    return redirect(f"{reverse('job-review', args=[pk])}{'?' if query else ''}{query}")


def _choose(pk: int, user: User | None, lines: set[int], kept: set[int]) -> ImportJob:
    """Bring a page's ticks into the review; what is as ticked already changes nothing."""
    job = get_object_or_404(ImportJob, pk=pk)
    for chosen, out in ((lines - kept, True), (lines & kept, False)):
        if chosen:
            job = jobs.leave_out(job_id=pk, user=user, filters=Filters(), lines=chosen, out=out)
    return job


def _lines(texts: list[str]) -> set[int]:
    """Lines of a review; those of products that the file lacks are below zero."""
    numbers = ((text[:1], whole_number(text.removeprefix("-"))) for text in texts)
    return {-number if sign == "-" else number for sign, number in numbers if number is not None}


@require_POST
@may_import
def job_apply(request: HttpRequest, pk: int) -> HttpResponse:
    version = whole_number(request.POST.get("version", ""))
    return _act(request, pk, jobs.apply_import, user=actor_of(request), version=version)


@require_POST
@may_import
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, jobs.cancel_import, user=actor_of(request))


@require_POST
@may_import
def job_retry(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, jobs.retry_import, user=actor_of(request))


def _act(
    request: HttpRequest, pk: int, operation: Callable[..., ImportJob], **options: Any
) -> HttpResponse:
    get_object_or_404(ImportJob, pk=pk)
    try:
        operation(job_id=pk, **options)
    except jobs.Refused as error:
        # Somebody else decided meanwhile: show how it is now, and why nothing was done.
        return views.job_page(request, pk, refusal=str(error))
    return redirect("job-detail", pk)
