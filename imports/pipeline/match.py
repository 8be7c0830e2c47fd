"""From a file's columns to the rules that it is read by: the stage “match columns”."""

from typing import Any, BinaryIO

from django.db import transaction
from django.utils import timezone
from structlog import get_logger

from catalog.operations import products as catalog
from imports.mapping.rules import RulesError, parse_rules, rules_as_json
from imports.models import ImportJob
from imports.pipeline.finish import Overtaken
from imports.queries.mapping import Found, look
from imports.readers.csv import UnreadableFile

logger = get_logger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage


class Unclear(Exception):
    """The file cannot be read without a question, and somebody is to be asked."""

    def __init__(self, found: Found) -> None:
        super().__init__("The file waits for somebody to match its columns.")
        self.found = found


def match_columns(job: ImportJob, file: BinaryIO) -> Found:
    """Find the rules that a job's file is read by.

    Raises ``Unclear`` where somebody is to be asked, and ``UnreadableFile`` with the questions
    where nobody is.
    """
    try:
        found = look(job, file, parse_rules(job.rules))
    except RulesError as error:
        raise UnreadableFile(str(error)) from error
    asks = job.on_unclear == ImportJob.OnUnclear.ALWAYS and job.mapped_at is None
    settled = job.stage == Stage.STAGING and bool(job.rules)  # and read before
    if settled or not (found.questions or asks):
        return found
    if job.on_unclear == ImportJob.OnUnclear.FAIL:
        raise UnreadableFile(" ".join(question.message for question in found.questions))
    raise Unclear(found)


@transaction.atomic
def await_mapping(job: ImportJob, found: Found) -> None:
    """Let a job wait for somebody who maps its columns. It gives up its place in the queue.

    Raises ``Overtaken``.
    """
    locked = ImportJob.objects.select_for_update(of=("self",)).get(pk=job.pk)
    if locked.status != Status.PROCESSING or locked.stage != Stage.MATCHING:
        raise Overtaken(f"job {job.pk} moved on without this worker")
    if locked.change_set_id is not None:
        catalog.drop_change_set(locked.change_set_id)
        locked.change_set = None
    now = timezone.now()
    locked.status = Status.AWAITING_MAPPING
    locked.found = {
        "rules": rules_as_json(found.rules),
        "questions": [
            {"code": one.code, "column": one.column, "message": one.message}
            for one in found.questions
        ],
    }
    locked.unclear_at = locked.progress_at = now
    locked.attempts = 0
    locked.save(
        update_fields=["change_set", "status", "found", "unclear_at", "progress_at", "attempts"]
    )


def rules_to_keep(job: ImportJob, found: Found) -> dict[str, Any]:
    """What a job's row keeps of how its file is read, as long as there is the row."""
    return {"rules": rules_as_json(found.rules), "found": {}}
