"""The pages of the imports."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from catalog.operations.undo import why_not
from catalog.queries.products import glance
from imports.models import ImportJob
from imports.operations import jobs as operations
from imports.operations import uploads
from imports.pipeline.duplicates import same_file_warning
from imports.queries.formats import (
    NoFormat,
    NoSupplier,
    find_format,
    find_supplier,
    formats_by_supplier,
    suppliers_to_choose,
)
from imports.queries.live import live
from imports.queries.mending import in_words, mended_of
from imports.queries.outcomes import tell_undone
from imports.queries.progress import Progress, progress_of
from imports.queries.rejects import NotKept, check_kept
from imports.queries.review import review_context
from product_importer.common.actor import actor_of
from product_importer.common.parsing import page_number, whole_number

may_see = permission_required("imports.view_importjob", raise_exception=True)

SAMPLE = """sku,name,description,price,active
LAMP-0001,Desk lamp,"Steel, 40 cm, with a dimmer",39.90,true
LAMP-0002,Floor lamp,,129.00,true
CHAIR-100,Garden chair,"Oak, folds flat",59.00,false
"""


OPEN_JOBS = 100  # that run or wait for somebody: as many as the navigation's badge counts


@require_GET
@may_see
def home(request: HttpRequest) -> HttpResponse:
    context = {**_home_context(request), **_choices(request)}
    return render(request, "imports/home.html", context)


def _home_context(request: HttpRequest) -> dict[str, Any]:
    view = glance()
    awaiting = ImportJob.AWAITING
    open_jobs = ImportJob.listed().filter(status__in=(*ImportJob.ACTIVE, *awaiting))
    ended = ImportJob.listed().filter(status__in=ImportJob.FINAL)
    jobs = tell_undone(open_jobs[:OPEN_JOBS].union(ended[:5], all=True).order_by("-id"))
    unfinished = [job for job in jobs if not job.is_final]
    request.shell_jobs = unfinished  # type: ignore[attr-defined]  # the page's frame shows them too
    running = _with_progress(unfinished[:10])
    recent = [job for job in jobs if job.is_final]
    return {
        "title": "Home",
        "direct_above": _direct_above(),
        "glance": view,
        "running": running,
        "running_jobs": [job for job, _ in running if job.status not in awaiting][:3],
        "recent": recent,
        "is_new": not (view.products or running or recent),
    }


@require_GET
@may_see
def sample(request: HttpRequest) -> HttpResponse:
    """A small file to try with."""
    return HttpResponse(
        SAMPLE,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="sample.csv"'},
    )


@require_http_methods(["GET", "POST"])
@may_see
def job_list(request: HttpRequest) -> HttpResponse:
    """The imports, newest first; POST uploads one or several files."""
    if request.method == "POST":
        if not request.user.has_perm("imports.add_importjob"):
            raise PermissionDenied
        return _upload(request)
    page = Paginator(ImportJob.listed().select_related("created_by"), 50).get_page(
        page_number(request)
    )
    return render(
        request,
        "imports/jobs.html",
        {
            "title": "Imports",
            "direct_above": _direct_above(),
            **_choices(request),
            "page": page,
            "jobs": _with_progress(tell_undone(page.object_list)),
        },
    )


def _choices(request: HttpRequest) -> dict[str, Any]:
    """Suppliers and formats to choose from beside the drop zone, once somebody asks for them."""
    if "formats" not in request.GET:
        return {}
    return {"suppliers": suppliers_to_choose(), "formats": formats_by_supplier()}


def _direct_above() -> int | None:
    """The size in bytes above which the drop zone sends a file straight to the bucket."""
    return settings.UPLOADS_PART_SIZE if uploads.is_on() else None


def _upload(request: HttpRequest) -> HttpResponse:
    """The form of the home page, as a browser without JavaScript sends it."""
    files: list[UploadedFile[Any]] = request.FILES.getlist("file")
    if not files:
        return _refused(request, "No file was chosen. Choose a CSV file or a workbook.")
    mode = request.POST.get("mode", ImportJob.Mode.UPSERT)
    if mode not in ImportJob.Mode.values:
        return _refused(request, f"There is no way “{mode}” to import. Choose one from the list.")
    checks = request.POST.get("checks", ImportJob.Checks.STOP)
    if checks not in ImportJob.Checks.values:
        return _refused(request, f"There is no way “{checks}” to check. Choose one from the list.")
    try:
        format_ = find_format(text) if (text := request.POST.get("format", "")) else None
        supplier = find_supplier(text) if (text := request.POST.get("supplier", "")) else None
    except (NoFormat, NoSupplier) as error:
        return _refused(request, str(error))
    always = request.POST.get("on_unclear") == ImportJob.OnUnclear.ALWAYS
    jobs = []
    for file in files:
        try:
            jobs.append(
                operations.start_import(
                    file=file,
                    file_name=file.name or "import.csv",
                    user=actor_of(request),
                    mode=mode,
                    review="review" in request.POST,
                    review_if_known=True,
                    checks=checks,
                    format=format_,
                    supplier=supplier,
                    full_list=True if "full_list" in request.POST else None,
                    on_unclear=ImportJob.OnUnclear.ALWAYS if always else ImportJob.OnUnclear.WAIT,
                )
            )
        except operations.Refused as error:
            status = 507 if isinstance(error, operations.NoRoom) else 400
            return _refused(request, f"{file.name}: {error}", status=status)
    return redirect("job-detail", jobs[0].pk) if len(jobs) == 1 else redirect("job-list")


def _refused(request: HttpRequest, message: str, *, status: int = 400) -> HttpResponse:
    return render(
        request,
        "imports/home.html",
        {**_home_context(request), "upload_error": message},
        status=status,
    )


@require_GET
@may_see
def job_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A job's page; of one that waits for its columns, who may match them is led there."""
    waits = ImportJob.objects.filter(pk=pk, status=ImportJob.Status.AWAITING_MAPPING)
    if request.user.has_perm("imports.add_importjob") and waits.exists():
        return redirect("job-mapping", pk)
    return job_page(request, pk)


def job_page(request: HttpRequest, pk: int, *, refusal: str = "") -> HttpResponse:
    """A job's page; with the reason on top, and as 409, if an act was refused."""
    job = _job(pk)
    others = ImportJob.unfinished().exclude(pk=pk)[:3]
    return render(
        request,
        "imports/job.html",
        {
            "title": f"Import of {job.file_name}",
            "running_jobs": others,
            "refusal": refusal,
            **_panel_context(job, request),
        },
        status=409 if refusal else 200,
    )


@require_GET
@may_see
def job_panel(request: HttpRequest, pk: int) -> HttpResponse:
    """The parts of a job's page that change while it runs."""
    return render(request, "imports/_live.html", _panel_context(_job(pk), request))


@require_GET
@may_see
def running(request: HttpRequest) -> HttpResponse:
    """The thin bar on top of every page, and what tells a page to look again at what it shows."""
    followed = [whole_number(part) for part in request.GET.get("followed", "").split(",")[:50]]
    found = live(
        followed={number for number in followed if number is not None},
        except_job=whole_number(request.GET.get("except", "")),
        except_act=whole_number(request.GET.get("except_change", "")),
    )
    context = {
        "running_jobs": found.running_jobs,
        "running_acts": found.running_acts,
        "ended_jobs": found.ended_jobs,
        "live": found,
    }
    return render(request, "imports/_running.html", context)


@require_GET
@may_see
def drop(request: HttpRequest) -> HttpResponse:
    """The drop zone alone, for a file that was dropped on another page."""
    if not request.user.has_perm("imports.add_importjob"):
        raise PermissionDenied
    context = {"title": "Import", "direct_above": _direct_above()}
    return render(request, "imports/drop.html", {**context, "suppliers": suppliers_to_choose()})


@require_GET
@may_see
def job_superseded(request: HttpRequest, pk: int) -> HttpResponse:
    """The records that a later one with the same SKU replaced."""
    job = _job(pk)
    page = Paginator(job.superseded_records.order_by("line"), 100).get_page(page_number(request))
    return render(
        request,
        "imports/superseded.html",
        {
            "title": f"Superseded in {job.file_name}",
            "job": job,
            "page": page,
            "not_kept": not_kept(job),
        },
        status=410 if job.details_expired_at else 200,
    )


def not_kept(job: ImportJob) -> str:
    """A sentence why there are no refused or superseded records to show, or nothing."""
    try:
        check_kept(job)
    except NotKept as error:
        return str(error)
    return ""


def _job(pk: int) -> ImportJob:
    jobs = ImportJob.objects.select_related(
        "created_by",
        "approved_by",
        "cancelled_by",
        "retried_by",
        "mapped_by",
        "change_set",
        "mends",
        "same_as",
        "supplier",
        "format__supplier",
        "feed",
    )
    return get_object_or_404(jobs, pk=pk)


def _with_progress(jobs: Any) -> list[tuple[ImportJob, Progress]]:
    now = timezone.now()
    return [(job, progress_of(job, now)) for job in jobs]


MEANINGS = {
    "created": "new in the catalogue",
    "updated": "overwritten with new values",
    "unchanged": "the same as stored",
    "superseded": "replaced by a later line",
    "skipped": "left out by the mode, a filter or in the review",
    "rejected": "not imported, see below",
}


def _tiles(job: ImportJob) -> list[tuple[str, int, str]]:
    """The counts of a job with what they mean; they add up to all of its records.

    While it is reviewed they are those that applying would have.
    """
    counts = {name: getattr(job, name) for name in MEANINGS}
    left = job.left_records
    if job.status == ImportJob.Status.AWAITING_REVIEW:
        counts, left = job.shown_counts, 0
    tiles = [(name, counts[name], meaning) for name, meaning in MEANINGS.items()]
    if left and job.is_final:
        tiles.append(("left", left, "not imported, not refused"))
    elif left:
        tiles.append(("to do", left, "not dealt with yet"))
    return tiles


def _panel_context(job: ImportJob, request: HttpRequest) -> dict[str, Any]:
    reasons = (
        job.errors.order_by()
        .values("code")
        .annotate(count=Count("id"), first_line=Min("line"))
        .order_by("-count")[:8]
        if job.rejected and not job.details_expired_at
        else []
    )
    examples = {
        (error.code, error.line): error
        for error in job.errors.filter(line__in=[reason["first_line"] for reason in reasons])
    }
    awaits = job.status == ImportJob.Status.AWAITING_REVIEW
    tell_undone([job])
    context = {
        "job": job,
        "awaits": awaits,
        "progress": progress_of(job, timezone.now()),
        "warnings": [one for one in job.warnings if one not in same_file_warning(job)],
        "tiles": _tiles(job),
        "missing": job.shown_counts.get("missing", 0) if awaits else job.missing,
        "mended": mended_of(job) if job.rejected or job.mends_id else None,
        "reasons": [
            {
                **reason,
                "words": in_words(reason["code"]),
                "example": examples.get((reason["code"], reason["first_line"])),
            }
            for reason in reasons
        ],
        "not_kept": not_kept(job) if job.rejected or job.superseded else "",
        "first_errors": list(job.errors.order_by("line", "id")[:10]) if reasons else [],
        "undone_by": job.undone_by,
        "may_undo": job.is_final
        and job.change_set is not None
        and not why_not(job.change_set)
        and operations.may_undo(job, request.user),
    }
    if not awaits:
        return context
    return {**context, **choices(job, request), **review_context(job, {})}


def choices(job: ImportJob, request: HttpRequest) -> dict[str, Any]:
    """Whether the user decides about a review: which records to leave out, and to apply it.

    ``second_person`` is a sentence why somebody else has to apply it, or nothing.
    """
    awaits = job.status == ImportJob.Status.AWAITING_REVIEW
    return {
        "may_choose": awaits and request.user.has_perm("imports.add_importjob"),
        "second_person": operations.needs_second_person(job, request.user) if awaits else "",
    }
