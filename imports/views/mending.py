"""The pages of refused records: a grid to mend them in, and to import them from."""

import re
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from imports.models import ImportJob, RowError
from imports.operations import jobs, mending
from imports.queries.mending import (
    PAGE_ROWS,
    alike_in,
    even,
    grid_row,
    groups,
    in_words,
    mended_of,
    open_errors,
    page_rows,
)
from imports.queries.rejects import NotKept, rejects_response
from imports.views.jobs import may_see, not_kept
from imports.views.review import may_import
from product_importer.common.actor import actor_of
from product_importer.common.downloads import TooManyDownloads, too_many_downloads
from product_importer.common.parsing import page_number, whole_number

_cell = re.compile(r"(cell|was)-([0-9]{1,15})-([0-9]{1,4})", re.ASCII).fullmatch


@require_GET
@may_see
def job_rejected(request: HttpRequest, pk: int) -> HttpResponse:
    """All refused records of a job, by line, each cell with what is wrong with it."""
    return rejected_page(request, get_object_or_404(ImportJob, pk=pk))


def rejected_page(request: HttpRequest, job: ImportJob, *, refusal: str = "") -> HttpResponse:
    errors = job.errors.order_by("line", "id")
    code = request.GET.get("code", "").replace("\0", "")
    if code:
        errors = errors.filter(code=code)
    only_open = request.GET.get("open") == "1"
    if only_open:
        errors = open_errors(job).filter(is_mended=False, pk__in=errors.values("pk"))
        errors = errors.order_by("line", "id")
    has_grid = bool(job.layout.get("header")) and bool(job.layout.get("fields"))
    rows = page_rows(job) if has_grid else PAGE_ROWS
    page = Paginator(errors, rows).get_page(page_number(request))
    shown: list[RowError] = list(page.object_list)
    alike = alike_in(job, shown) if has_grid and shown else {}
    grouped = groups(job)
    context: dict[str, Any] = {
        "title": f"Refused in {job.file_name}",
        "job": job,
        "page": page,
        "code": code,
        "only_open": only_open,
        "reason": in_words(code) if code else "",
        "groups": grouped,
        "listed": sum(group["count"] for group in grouped),
        "to_mend": open_errors(job).filter(is_mended=False).count(),
        "rows": even([grid_row(job, error, alike) for error in shown]) if has_grid else [],
        "errors": [] if has_grid else shown,
        "mended": mended_of(job),
        "refusal": refusal,
        "not_kept": not_kept(job),
    }
    status = 409 if refusal else 410 if job.details_expired_at else 200
    return render(request, "imports/rejected.html", context, status=status)


@require_POST
@may_import
def job_mend(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep what was typed into cells: ``cell-RECORD-COLUMN``, and what was there, ``was-...``.

    ``replace`` is ``RECORD-COLUMN``: all others like it get the same. Scripts get JSON.
    """
    job = get_object_or_404(ImportJob, pk=pk)
    wants_json = request.headers.get("Accept") == "application/json"
    cells, before = _cells(request)
    replace = [whole_number(part) for part in request.POST.get("replace", "").split("-", 1)]
    try:
        changed = mending.save_cells(job_id=pk, cells=cells, before=before) if cells else []
        replaced = 0
        if len(replace) == 2 and replace[0] is not None and replace[1] is not None:
            replaced = mending.replace_alike(job_id=pk, error_id=replace[0], column=replace[1])
    except jobs.Refused as error:
        if wants_json:
            return JsonResponse({"detail": str(error)}, status=409)
        return rejected_page(request, job, refusal=str(error))
    if not wants_json:
        query = request.GET.urlencode()
        return redirect(f"{reverse('job-rejected', args=[pk])}{'?' if query else ''}{query}")
    alike = alike_in(job, changed)
    rows = [grid_row(job, error, alike) for error in changed]
    return JsonResponse(
        {
            "replaced": replaced,
            "ready": mended_of(job).ready,
            "rows": [
                {
                    "id": row.id,
                    "state": row.state,
                    "problem": row.problem,
                    "cells": [
                        {"column": c.column, "problem": c.problem, "alike": c.alike}
                        for c in row.cells
                    ],
                }
                for row in rows
            ],
        }
    )


def _cells(request: HttpRequest) -> tuple[dict[tuple[int, int], str], dict[tuple[int, int], str]]:
    """The cells that differ from what was there, and what was there."""
    found: dict[str, dict[tuple[int, int], str]] = {"cell": {}, "was": {}}
    for name, value in request.POST.items():
        if match := _cell(name):
            found[match[1]][int(match[2]), int(match[3])] = str(value)
    typed, before = found["cell"], found["was"]
    plain = {key: value.replace("\r\n", "\n") for key, value in typed.items()}
    return {
        key: value
        for key, value in plain.items()
        if before.get(key, "").replace("\r\n", "\n") != value
    }, before


@require_POST
@may_import
def job_import_mended(request: HttpRequest, pk: int) -> HttpResponse:
    """Import the mended records, and go to that import."""
    job = get_object_or_404(ImportJob, pk=pk)
    try:
        new = mending.import_mended(job_id=pk, user=actor_of(request))
    except jobs.Refused as error:
        return rejected_page(request, job, refusal=str(error))
    return redirect("job-detail", new.pk)


@require_GET
@may_see
def job_rejects_csv(request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    job = get_object_or_404(ImportJob, pk=pk)
    try:
        return rejects_response(job, user_id=request.user.pk)
    except NotKept:
        return job_rejected(request, pk)  # the page says so
    except TooManyDownloads as error:
        return too_many_downloads(error)
