"""What people decide about a file's columns."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from catalog.models import ChangeSet
from catalog.operations import products as catalog
from imports.mapping.rules import Rules, RulesError, rules_as_json
from imports.models import ImportJob
from imports.operations.jobs import Refused, go_on, locked_job, log_act, state_of
from imports.queries.mapping import look_at_job

Status = ImportJob.Status


def save_mapping(
    *, job_id: int, user: User | None, rules: Rules, remember: dict[str, str] | None = None
) -> ImportJob:
    """Let a job go on under these rules. It takes its place in the queue now.

    Raises ``Refused`` for a job that does not wait for it, as when somebody else was quicker, and
    ``RulesError`` with everything that the file does not fit to or that is still unclear.
    """
    job = ImportJob.objects.select_related("mapped_by").get(pk=job_id)
    _check_waits(job)
    found = look_at_job(job, rules)
    if found.questions:
        raise RulesError([question.message for question in found.questions])
    with transaction.atomic():
        job = locked_job(job_id)
        _check_waits(job)
        job.rules = rules_as_json(found.rules)
        job.found = {}
        job.mapped_at, job.mapped_by = timezone.now(), user
        if job.is_approved:
            job.change_set = catalog.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=user)
        since, job.unclear_at = job.unclear_at, None
        go_on(job, since=since, status=Status.PROCESSING)
        log_act("import_mapped", job, user)
    return job


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
    raise Refused(f"Only an import that awaits its mapping can be mapped. {state_of(job)}")
