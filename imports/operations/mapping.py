"""What people decide about a file's columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from catalog.models import ChangeSet, Field
from catalog.operations import change_sets, fields
from catalog.operations import products as catalog
from imports.mapping.rules import AUTO, Rules, RulesError, parse_rules, rules_as_json
from imports.models import ImportJob, uploads
from imports.operations import suppliers
from imports.operations.jobs import Refused, go_on, locked_job, log_act, state_of
from imports.pipeline.match import supplier_of
from imports.queries.mapping import DIALECT, Found, look_at_job, needs_unpacking

Status = ImportJob.Status
Stage = ImportJob.Stage


class NotMade(Exception):
    """Fields that cannot be made; ``problems`` has a sentence for each, and none was made."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@transaction.atomic
def make_fields(wanted: Sequence[Mapping[str, Any]]) -> list[Field]:
    """Define fields of one's own for a file's columns, all of them or none. Raises ``NotMade``."""
    made: list[Field] = []
    problems: list[str] = []
    for data in wanted:
        try:
            with transaction.atomic():
                made.append(fields.create_field(data=data))
        except fields.FieldInUse as error:
            problems.append(f"{data['label']}: {error}")
        except catalog.Invalid as error:
            problems += [f"{data['label']}: {what}" for what in error.sentences.values()]
    if problems:
        raise NotMade(problems)
    return made


def save_mapping(
    *,
    job_id: int,
    user: User | None,
    rules: Rules,
    remember: Mapping[str, str] | None = None,
) -> ImportJob:
    """Let a job go on under these rules. It takes its place in the queue now.

    ``remember`` names the ``supplier`` and the ``format`` that keep them for the next such file.
    Raises ``Refused`` for a job that does not wait for it, as when somebody else was quicker;
    ``RulesError`` with everything that the file does not fit to or that is still unclear;
    ``suppliers.Invalid``, ``NoMapping`` and ``UnreadableFile``.
    """
    job = ImportJob.objects.select_related("mapped_by", "format", "supplier").get(pk=job_id)
    _check_waits(job)
    job.mapped_by = user or job.mapped_by  # whose rights what the rules do is within
    found = look_at_job(job, rules)
    if found.questions:
        raise RulesError([question.message for question in found.questions])
    found.layout()  # says what the rules lack beside
    again = needs_unpacking(job, rules)
    with transaction.atomic():
        job = locked_job(job_id)
        _check_waits(job)
        _note_format(job, found, remember, user)  # by what was asked for, and found, before
        job.rules, job.found = rules_as_json(found.rules), {}
        job.mapped_at, job.mapped_by = timezone.now(), user
        if again:
            _unpack_again(job)
        else:
            job.stage = Stage.MATCHING
        if job.is_approved:
            job.change_set = change_sets.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=user)
        since, job.unclear_at = job.unclear_at, None
        go_on(job, since=since, status=Status.PROCESSING)
        log_act("import_mapped", job, user)
    return job


def _note_format(
    job: ImportJob, found: Found, remember: Mapping[str, str] | None, user: User | None
) -> None:
    """Which format the file is read by: the one that is remembered, if any."""
    kept = found.format
    if remember is not None:
        rules = rules_as_json(replace(found.rules, **_left_to_find(job, found)))
        kept = suppliers.remember(
            supplier=remember["supplier"],
            name=remember["format"],
            rules=rules,
            columns=found.dialect.header if found.dialect.header_line else [],
            user=user,
        )
    told = kept.supplier_id if kept and remember and not job.feed_id else None
    job.supplier_id = told or supplier_of(job, kept)
    job.format = kept
    job.format_version = kept.version if kept else None
    if kept is not None:
        suppliers.note_use(kept.pk)


def _left_to_find(job: ImportJob, found: Found) -> dict[str, Any]:
    """What of the dialect was found by itself: it may be another one in the next file."""
    asked, first = parse_rules(job.rules), job.found.get("rules", {})
    return {
        name: AUTO
        for name in DIALECT
        if getattr(asked, name) == AUTO and getattr(found.dialect, name) == first.get(name)
    }


def _unpack_again(job: ImportJob) -> None:
    """Another sheet, or another file of the archive, is read than the one that is at hand."""
    if job.table:
        transaction.on_commit(partial(uploads().delete, str(job.table.name)))
    job.table, job.table_size, job.unpacked = "", 0, {}
    job.stage = Stage.UNPACKING


def _check_waits(job: ImportJob) -> None:
    if job.status == Status.AWAITING_MAPPING:
        return
    who: Any = job.mapped_by
    if job.mapped_at is not None:
        raise Refused(
            f"Its columns were matched {f'by {who} ' if who else ''}at "
            f"{timezone.localtime(job.mapped_at):%H:%M %Z}, and the import goes on. "
            f"{state_of(job)}"
        )
    raise Refused(f"Only an import that waits for its columns can be mapped. {state_of(job)}")
