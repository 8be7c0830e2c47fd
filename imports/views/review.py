"""The pages of deciding about an import: look at what it would change, apply, cancel, retry."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from imports.models import ImportJob
from imports.operations import jobs
from imports.queries.review import review_context
from imports.views import jobs as views
from product_importer.common.actor import actor_of

may_import = permission_required("imports.add_importjob", raise_exception=True)


@require_GET
@views.may_see
def job_review(request: HttpRequest, pk: int) -> HttpResponse:
    """What a job would change (or what it was shown to change), filtered and paged."""
    job = get_object_or_404(ImportJob, pk=pk)
    part = request.headers.get("HX-Target") == "review"
    return render(
        request,
        "imports/_review.html" if part else "imports/review.html",
        {"title": f"{job.file_name}: review", "job": job, **review_context(job, request.GET)},
    )


@require_POST
@may_import
def job_apply(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, jobs.apply_import, user=actor_of(request))


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
