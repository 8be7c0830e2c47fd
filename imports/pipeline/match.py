"""From a file's columns to the rules that it is read by: the stage “match columns”."""

from dataclasses import asdict, replace
from typing import Any, BinaryIO, NoReturn

from django.db import transaction
from django.utils import timezone
from structlog import get_logger

from catalog.operations import change_sets
from catalog.queries.own_fields.fields import definitions
from imports.mapping.own import fitting
from imports.mapping.questions import Question
from imports.mapping.rules import RulesError, parse_rules, rules_as_json
from imports.models import Format, ImportJob, job_snapshot
from imports.pipeline.finish import Overtaken
from imports.pipeline.notices import tell_of_job
from imports.queries.mapping import DIALECT, Found, look
from imports.readers.csv import UnreadableFile
from webhooks.models import Event
from webhooks.operations.events import record_event

logger = get_logger(__name__)

Status = ImportJob.Status
Stage = ImportJob.Stage
OnUnclear = ImportJob.OnUnclear


class Unclear(Exception):
    """The file cannot be read without a question, and somebody is to be asked.

    ``values`` are those of the job's row that keep what was found.
    """

    def __init__(self, **values: Any) -> None:
        super().__init__("The file waits for somebody to match its columns.")
        self.values = values


def match_columns(job: ImportJob, file: BinaryIO) -> Found:
    """Find the rules that a job's file is read by.

    Raises ``Unclear`` where somebody is to be asked, and ``UnreadableFile`` with the questions
    where nobody is.
    """
    rules = parse_rules(job.rules)
    questions: list[Question] = []
    settled = job.mapped_at is not None or (job.stage == Stage.STAGING and bool(job.rules))
    unfit: list[str] = []
    if settled:
        rules, unfit = fitting(rules, definitions())
    try:
        found = look(job, file, rules)
    except RulesError as error:
        # They came with the job, and do not fit to its file: ask, by what the file itself says.
        if job.on_unclear == OnUnclear.FAIL:
            raise UnreadableFile(str(error)) from error
        questions = [Question("wrong_rules", "", problem) for problem in error.problems]
        rules = replace(rules, columns=(), only_if=(), blank={})
        found = look(job, file, rules)
    if job.mends_id is not None:  # the page of its origin says what its columns are read as
        found = replace(found, matched=replace(found.matched, notes=[]))
    questions += found.questions
    if not settled and (questions or job.on_unclear == OnUnclear.ALWAYS):
        dialect = {name: getattr(found.dialect, name) for name in DIALECT}
        ask(job, questions, found={"rules": rules_as_json(replace(rules, **dialect))})
    if not settled:
        return found
    # Read once more by the very same rules, it says the very same.
    notes = [*unfit, *job.found.get("notes", found.matched.notes)]
    return replace(found, matched=replace(found.matched, notes=notes))


def ask(
    job: ImportJob,
    questions: list[Question],
    *,
    found: dict[str, Any],
    **values: Any,
) -> NoReturn:
    """Raise ``Unclear``, or ``UnreadableFile`` where a job is not to wait.

    ``found`` has the rules to look at the file by.
    """
    if job.on_unclear == OnUnclear.FAIL:
        # Perhaps another sheet is meant: what was left out is among the warnings.
        told = [question.message for question in questions]
        raise UnreadableFile(" ".join([*told, *job.unpacked.get("warnings", ())]))
    asked = [asdict(question) for question in questions]
    raise Unclear(found={**found, "questions": asked}, **values)


@transaction.atomic
def await_mapping(job: ImportJob, values: dict[str, Any]) -> None:
    """Let a job wait for somebody who maps its columns. It gives up its place in the queue.

    Raises ``Overtaken``.
    """
    locked = ImportJob.objects.select_for_update(of=("self",)).get(pk=job.pk)
    if locked.status != Status.PROCESSING or locked.stage not in (Stage.UNPACKING, Stage.MATCHING):
        raise Overtaken(f"job {job.pk} moved on without this worker")
    if locked.change_set_id is not None:
        change_sets.drop_change_set(locked.change_set_id)
        locked.change_set = None
    now = timezone.now()
    locked.status = Status.AWAITING_MAPPING
    locked.unclear_at = locked.progress_at = now
    locked.attempts = 0
    for name, value in values.items():
        setattr(locked, name, value)
    fields = ("change_set", "status", "unclear_at", "progress_at", "attempts", *values)
    locked.save(update_fields=fields)
    record_event(
        type=Event.Type.IMPORT_AWAITING_MAPPING,
        data={**job_snapshot(locked), "questions": locked.found["questions"]},
    )
    tell_of_job(locked)
    codes = [question["code"] for question in locked.found["questions"]]
    transaction.on_commit(lambda: logger.info("import_unclear", questions=codes))


def rules_to_keep(job: ImportJob, found: Found) -> dict[str, Any]:
    """What a job's row keeps of how its file is read, whatever becomes of the format."""
    notes = {"notes": found.matched.notes}
    kept: dict[str, Any] = {"rules": rules_as_json(found.rules), "found": notes}
    said = found.format or job.format
    whose = supplier_of(job, found.format)
    if said is not None and said.supplier_id not in (None, whose):
        said = None  # how such files are read, and not what is done with the products of others
    if job.full_list is None:
        kept["full_list"] = said.full_list if said else False
    if job.if_missing is None and said is not None:
        kept["if_missing"] = said.if_missing
    if found.format is not None:
        kept |= {
            "format": found.format.pk,
            "format_version": found.format.version,
            "supplier": whose,
        }
    return kept


def supplier_of(job: ImportJob, format: Format | None) -> int | None:
    """Whose file a job's is: of whom was told when it began, else of the format it is read as.

    Files of two suppliers often have the same columns: what they are recognised by tells how
    they are read, and takes no file from whom it is known to be of.
    """
    by_format = job.format is not None and job.format.supplier_id == job.supplier_id
    if job.supplier_id is not None and (job.feed_id is not None or not by_format):
        return job.supplier_id
    return (format.supplier_id if format else None) or job.supplier_id
