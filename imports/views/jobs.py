"""The pages of the imports."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from catalog.operations.undo import undo_of, why_not
from catalog.queries.products import glance, unfinished_bulk_acts
from imports.models import ImportJob
from imports.operations import jobs as operations
from imports.operations import uploads
from imports.queries.formats import NoFormat, find_format, formats_by_supplier
from imports.queries.progress import Progress, progress_of
from imports.queries.rejects import NotKept, check_kept, rejects_response
from imports.queries.review import review_context
from product_importer.common.actor import actor_of
from product_importer.common.downloads import TooManyDownloads, too_many_downloads
from product_importer.common.parsing import page_number, whole_number

may_see = permission_required("imports.view_importjob", raise_exception=True)

SAMPLE = """sku,name,description,price,active
LAMP-0001,Desk lamp,"Steel, 40 cm, with a dimmer",39.90,true
LAMP-0002,Floor lamp,,129.00,true
CHAIR-100,Garden chair,"Oak, folds flat",59.00,false
"""


@require_GET
@may_see
def home(request: HttpRequest) -> HttpResponse:
    context = {**_home_context(), "formats": _formats(request)}
    return render(request, "imports/home.html", context)


def _home_context() -> dict[str, Any]:
    view = glance()
    awaiting = ImportJob.AWAITING
    open_jobs = ImportJob.listed().filter(status__in=(*ImportJob.ACTIVE, *awaiting))
    ended = ImportJob.listed().filter(status__in=ImportJob.FINAL)
    jobs = list(open_jobs[:10].union(ended[:5], all=True).order_by("-id"))
    running = _with_progress([job for job in jobs if not job.is_final])
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
            "formats": _formats(request),
            "page": page,
            "jobs": _with_progress(page.object_list),
        },
    )


def _formats(request: HttpRequest) -> list[Any] | None:
    """The formats to choose from beside the drop zone, once somebody asks for them."""
    return formats_by_supplier() if "formats" in request.GET else None


def _direct_above() -> int | None:
    """The size in bytes above which the drop zone sends a file straight to the bucket."""
    return settings.UPLOADS_PART_SIZE if uploads.is_on() else None


def _upload(request: HttpRequest) -> HttpResponse:
    """The form of the home page, as a browser without JavaScript sends it."""
    files: list[UploadedFile[Any]] = request.FILES.getlist("file")
    if not files:
        return _refused(request, "No file was chosen. Choose a CSV file and upload it again.")
    mode = request.POST.get("mode", ImportJob.Mode.UPSERT)
    if mode not in ImportJob.Mode.values:
        return _refused(request, f"There is no way “{mode}” to import. Choose one from the list.")
    try:
        format_ = find_format(text) if (text := request.POST.get("format", "")) else None
    except NoFormat as error:
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
                    format=format_,
                    on_unclear=ImportJob.OnUnclear.ALWAYS if always else ImportJob.OnUnclear.WAIT,
                )
            )
        except operations.Refused as error:
            status = 507 if isinstance(error, operations.NoRoom) else 400
            return _refused(request, f"{file.name}: {error}", status=status)
    return redirect("job-detail", jobs[0].pk) if len(jobs) == 1 else redirect("job-list")


def _refused(request: HttpRequest, message: str, *, status: int = 400) -> HttpResponse:
    return render(
        request, "imports/home.html", {**_home_context(), "upload_error": message}, status=status
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
            "title": f"Import {job.pk}",
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
    """The thin bar on top of every page, while something runs."""
    jobs, acts = ImportJob.unfinished(), unfinished_bulk_acts()
    if (shown := whole_number(request.GET.get("except", ""))) is not None:
        jobs = jobs.exclude(pk=shown)
    if (shown := whole_number(request.GET.get("except_change", ""))) is not None:
        acts = acts.exclude(pk=shown)
    context = {"running_jobs": jobs[:3], "running_acts": acts[:3]}
    return render(request, "imports/_running.html", context)


@require_GET
@may_see
def job_rejected(request: HttpRequest, pk: int) -> HttpResponse:
    """All refused records of a job, by line."""
    job = _job(pk)
    errors = job.errors.order_by("line", "id")
    if code := request.GET.get("code", ""):
        errors = errors.filter(code=code.replace("\0", ""))
    page = Paginator(errors, 100).get_page(page_number(request))
    return render(
        request,
        "imports/rejected.html",
        {
            "title": f"Import {pk}: rejected",
            "job": job,
            "page": page,
            "code": code,
            "not_kept": _not_kept(job),
        },
        status=410 if job.details_expired_at else 200,
    )


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
            "title": f"Import {pk}: superseded",
            "job": job,
            "page": page,
            "not_kept": _not_kept(job),
        },
        status=410 if job.details_expired_at else 200,
    )


@require_GET
@may_see
def job_rejects_csv(request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    job = _job(pk)
    try:
        return rejects_response(job, user_id=request.user.pk)
    except NotKept:
        return job_rejected(request, pk)  # the page says so
    except TooManyDownloads as error:
        return too_many_downloads(error)


def _not_kept(job: ImportJob) -> str:
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
        "format__supplier",
    )
    return get_object_or_404(jobs, pk=pk)


def _with_progress(jobs: Any) -> list[tuple[ImportJob, Progress]]:
    now = timezone.now()
    return [(job, progress_of(job, now)) for job in jobs]


TILES = {
    "created": "new in the catalogue",
    "updated": "overwritten with new values",
    "unchanged": "the same as stored",
    "superseded": "replaced by a later line",
    "skipped": "left out by the mode or a filter",
    "rejected": "refused, see below",
}


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
    counts = job.shown["counts"] if awaits else {name: getattr(job, name) for name in TILES}
    context = {
        "job": job,
        "awaits": awaits,
        "progress": progress_of(job, timezone.now()),
        "tiles": [(name, counts[name], meaning) for name, meaning in TILES.items()],
        "reasons": [
            {**reason, "example": examples.get((reason["code"], reason["first_line"]))}
            for reason in reasons
        ],
        "not_kept": _not_kept(job) if job.rejected or job.superseded else "",
        "first_errors": list(job.errors.order_by("line", "id")[:10]) if reasons else [],
        "undone_by": undo_of(job.change_set) if job.change_set else None,
        "may_undo": job.is_final
        and job.change_set is not None
        and not why_not(job.change_set)
        and operations.may_undo(job, request.user),
    }
    return {**context, **review_context(job, {})} if awaits else context
