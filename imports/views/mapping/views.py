"""The matching page: how a file's columns are read, what of it is unclear, its first records."""

import re
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from catalog.queries.own_fields.fields import definitions
from imports.mapping.model import OWN_PREFIX
from imports.mapping.own import LISTS
from imports.mapping.rules import RulesError, parse_rules
from imports.models import Format, ImportJob
from imports.operations.jobs import Refused
from imports.operations.mapping import NotMade, make_fields, save_mapping
from imports.operations.suppliers import Invalid
from imports.queries.mapping import NoMapping, mapping_of, preview
from imports.readers.csv import UnreadableFile
from imports.views import jobs as job_views
from imports.views.mapping.form import Posted, hash_of, named
from imports.views.mapping.new_fields import TICKED, NewField
from imports.views.mapping.page import Page, numbered
from imports.views.mapping.questions import ask_which, first_places, kept_rules, once_in_lines
from product_importer.common.actor import actor_of
from product_importer.common.parsing import whole_number

may_import = permission_required("imports.add_importjob", raise_exception=True)


@require_http_methods(["GET", "POST"])
@job_views.may_see
def job_mapping(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of a job that awaits its mapping; POST lets it go on."""
    if request.method == "POST" and not request.user.has_perm("imports.add_importjob"):
        raise PermissionDenied
    job = _job(pk)
    if request.method == "POST":
        return _save(request, job)
    if job.status != ImportJob.Status.AWAITING_MAPPING:
        return redirect("job-detail", pk)
    return _render(request, _as_found(job))


@require_POST
@may_import
def job_mapping_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """The page under the choices as they are sent; nothing is kept."""
    job = _job(pk)
    part = bool(request.headers.get("HX-Request"))
    if job.status != ImportJob.Status.AWAITING_MAPPING:
        if not part:
            return redirect("job-detail", pk)
        return render(request, "imports/_mapping_gone.html", {"job": job}, status=409)
    return _render(request, _recompute(job, _posted(request)), part=part)


@require_POST
@may_import
@permission_required("catalog.add_field", raise_exception=True)
def job_mapping_fields(request: HttpRequest, pk: int) -> HttpResponse:
    """Make fields of the column that ``make`` numbers, or of all that are ticked; then the page."""
    job = _job(pk)
    part = bool(request.headers.get("HX-Request"))
    if job.status != ImportJob.Status.AWAITING_MAPPING:
        return _late(request, job)
    posted = _posted(request)
    page = _recompute(job, posted)
    if posted.text("make") == TICKED:
        page.may_add_fields = True
        chosen = [new for new in page.to_keep() if new.ticked]
    else:
        number = whole_number(posted.text("make"))
        columns = (c for c in page.shown.get("columns", ()) if c["index"] == number)
        chosen = [NewField.of(column, posted) for column in columns]
    try:
        made = make_fields([new.data() for new in chosen])
    except NotMade as error:
        page.errors = [*error.problems, *page.errors]
        return _render(request, page, part=part, status=400)
    data = request.POST.dict()
    for new, field in zip(chosen, made, strict=True):
        name = OWN_PREFIX + field.key
        data[f"field-{new.number}"] = name
        if new.type in LISTS:  # the first values are not all: others become choices as well
            data |= {f"otherwise-{name}": "add", f"blank-{name}": ""}
    return _render(request, _recompute(job, Posted(data, definitions())), part=part)


def _posted(request: HttpRequest) -> Posted:
    return Posted(request.POST.dict(), definitions())


def _render(
    request: HttpRequest, page: Page, *, part: bool = False, status: int = 200
) -> HttpResponse:
    page.may_add_fields = request.user.has_perm("catalog.add_field")
    template = "imports/_mapping.html" if part else "imports/mapping.html"
    return render(request, template, page.context(), status=status)


def _job(pk: int) -> ImportJob:
    return get_object_or_404(
        ImportJob.objects.select_related("supplier", "format__supplier", "mapped_by"), pk=pk
    )


def _as_found(job: ImportJob) -> Page:
    try:
        return _fresh(job, mapping_of(job), Posted({}, definitions()))
    except (NoMapping, UnreadableFile, RulesError) as error:
        return _without_columns(job, Posted({}, definitions()), [str(error)])


def _fresh(job: ImportJob, shown: dict[str, Any], posted: Posted) -> Page:
    """The page of columns that nobody has chosen anything for yet."""
    asked = ask_which(shown, job, posted.labels)
    header = [column["name"] for column in shown["columns"]]
    return Page(
        job=job,
        shown=shown,
        rules=_without_guesses(numbered(shown["rules"], header), asked),
        asked=asked,
        posted=posted,
        first=first_places(shown, asked),
        kept=kept_rules(shown, asked),
        once=once_in_lines(shown),
    )


def _without_guesses(rules: dict[str, Any], asked: list[Any]) -> dict[str, Any]:
    """The rules without the columns that are asked for: nothing is chosen for anybody."""
    open_fields = {one.field for one in asked}
    columns = [rule for rule in rules["columns"] if rule["field"] not in open_fields]
    return {**rules, "columns": columns}


def _without_columns(job: ImportJob, posted: Posted, errors: list[str]) -> Page:
    """The page of a file that cannot be looked at in this way: what was chosen, and the reason."""
    packing = {name: list(job.unpacked.get(name, ())) for name in ("sheets", "members")}
    rules = {**posted.dialect, "columns": [], "only_if": []}
    shown = {"columns": [], "preview": [], "questions": [], "notes": [], **packing}
    return Page(job, shown, rules, [], posted, [], errors)


def _recompute(job: ImportJob, posted: Posted) -> Page:
    """The page under what was posted; with the reasons where that cannot be followed."""
    page = _under(job, posted)
    page.errors += [
        f"The field “{name.removeprefix(OWN_PREFIX)[:40]}” is retired or deleted meanwhile: look "
        "what becomes of its column."
        for name in posted.gone
    ]
    return page


def _under(job: ImportJob, posted: Posted) -> Page:
    try:
        if (chosen := posted.chosen_format) is not None:
            job.format = Format.objects.select_related("supplier").filter(pk=chosen).first()
            return _fresh(job, preview(job, parse_rules(posted.dialect)), posted)
        if posted.is_other_file or not posted.had.get("header"):
            return _read_anew(job, posted)
        return _followed(job, posted)
    except RulesError as error:
        return _without_columns(job, posted, _told(error.problems, [], posted.labels))
    except (NoMapping, UnreadableFile) as error:
        return _without_columns(job, posted, [str(error)])


def _read_anew(job: ImportJob, posted: Posted) -> Page:
    """The page of a file that is read in another way; choices stay if its columns are the same."""
    try:
        page = _followed(job, posted)
        if not page.errors and hash_of(page.header) == posted.had.get("header"):
            return page
    except RulesError:
        pass  # the columns are others now
    return _fresh(job, preview(job, parse_rules(posted.dialect)), posted)


def _followed(job: ImportJob, posted: Posted) -> Page:
    data, errors = posted.rules(), []
    try:
        shown = preview(job, parse_rules(data))
    except RulesError as error:
        errors = _told(error.problems, data["columns"], posted.labels)
        shown = preview(job, parse_rules(posted.bare_rules()))
        shown = {**shown, "preview": []}
        settled = data
    else:
        settled = numbered(shown["rules"], [column["name"] for column in shown["columns"]])
    first = [n for text in posted.text("first").split(",") if (n := whole_number(text))]
    places = first_places(shown, [])
    return Page(
        job=job,
        shown=shown,
        rules=settled,
        asked=[one for one in posted.asked if one.field != "sku" or not posted.key],
        posted=posted,
        first=list(dict.fromkeys([*first, *places])),
        errors=errors,
    )


def _save(request: HttpRequest, job: ImportJob) -> HttpResponse:
    posted = _posted(request)
    if job.status != ImportJob.Status.AWAITING_MAPPING:
        return _late(request, job)
    page = _recompute(job, posted)
    if not page.errors and page.open_questions():
        page.errors = ["Something is not clear yet: answer what is asked below."]
    if page.errors:
        return _render(request, page, status=400)
    supplier, name = posted.text("supplier").strip(), posted.text("format_name").strip()
    try:
        save_mapping(
            job_id=job.pk,
            user=actor_of(request),
            rules=parse_rules(named(page.rules, page.header)),
            remember={"supplier": supplier, "format": name} if supplier else None,
        )
    except Refused:
        return _late(request, _job(job.pk))
    except RulesError as error:
        page.errors = _told(error.problems, page.rules["columns"], posted.labels)
    except Invalid as error:
        page.errors = [f"Remember: {text}" for text in error.sentences.values()]
    except (NoMapping, UnreadableFile) as error:
        page.errors = [str(error)]
    else:
        return redirect("job-detail", job.pk)
    return _render(request, page, status=400)


def _late(request: HttpRequest, job: ImportJob) -> HttpResponse:
    """The job's page, and that nothing of this was taken: it waits no longer."""
    who = f" by {job.mapped_by}" if job.mapped_by else ""
    matched = f"Its columns were matched{who} meanwhile." if job.mapped_at else ""
    refusal = matched or "It does not wait for its columns any more."
    return job_views.job_page(request, job.pk, refusal=f"{refusal} What you chose was not taken.")


_place = re.compile(r"^(columns|only_if)\[(\d+)\](?:\.(\w+))?")
_NAMES = {"fill_down": "fill down", "clean_html": "HTML", "round": "rounding"}


def _told(problems: list[str], rules: list[dict[str, Any]], labels: Mapping[str, str]) -> list[str]:
    """What is wrong with rules in a person's words: by field, not by place in the JSON."""
    told = []
    for problem in problems:
        place = _place.match(problem)
        rest = problem[place.end() :] if place else ""
        if place and place[1] == "columns" and int(place[2]) < len(rules):
            label = labels.get(rules[int(place[2])]["field"], "")
            part = f", {_NAMES.get(place[3], place[3])}" if place[3] else ""
            told.append(f"{label}{part}{rest}")
        elif place and place[1] == "only_if":
            told.append(f"Records that are taken{rest}")
        else:
            told.append(problem.removeprefix("rules: "))
    return told
