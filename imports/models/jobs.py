"""Import jobs: one uploaded file on its way into the catalogue."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.fields.files import FieldFile

from catalog.models import ChangeSet
from imports.mapping.model import OWN_PREFIX
from imports.mapping.rules import layout_keeps, layout_key, layout_key_within
from imports.models.job_fields import JobFields
from imports.models.suppliers import deactivate

# What only the work itself and the page of one job need: a header alone may be a megabyte.
INNER = ("rules", "found", "layout", "unpacked", "checkpoint", "shown", "differing_skus")


class ImportJob(JobFields):
    """One uploaded file on its way into the catalogue.

    The row is the whole truth about the job: what was read (``checkpoint``), how it ended,
    and its counts, which always hold

        total = created + updated + unchanged + superseded + skipped + rejected

    once the job is completed. Celery messages only say "look here".

    For a job with ``review`` the counts stay 0 until it is applied: ``shown`` has what they
    would be.
    """

    FINAL = (JobFields.Status.COMPLETED, JobFields.Status.FAILED, JobFields.Status.CANCELLED)
    ACTIVE = (JobFields.Status.PENDING, JobFields.Status.PROCESSING)
    AWAITING = (JobFields.Status.AWAITING_MAPPING, JobFields.Status.AWAITING_REVIEW)  # a person
    COUNTS = ("created", "updated", "unchanged", "superseded", "skipped", "rejected")
    COUNT_WORDS = {**{name: name for name in COUNTS}, "rejected": "refused"}  # as people read them

    _REVIEW_DISCARDED = models.Q(
        status=JobFields.Status.CANCELLED, compared_at__isnull=False, approved_at=None
    )

    undone_by: ChangeSet | None = None  # the undo that stands, where somebody has looked

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(status__in=["pending", "processing"]),
                name="imports_job_active",
            ),
            models.Index(fields=["status"], name="imports_job_status"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.pk})"

    @classmethod
    def listed(cls) -> models.QuerySet["ImportJob"]:
        """The jobs with what a list shows of them, and without what is long."""
        return cls.objects.defer(*INNER, "warnings", "error")

    @classmethod
    def unfinished(cls) -> models.QuerySet["ImportJob"]:
        """The jobs that a worker has still to do something for, as for a list."""
        return cls.listed().filter(status__in=cls.ACTIVE)

    @classmethod
    def states(cls) -> dict[str, tuple[str, models.Q]]:
        """What people tell jobs apart by: the label and the condition of each, by its name.

        Their status, but for those whose review somebody discarded: they are ``discarded``.
        """
        found = {status.value: (status.label, models.Q(status=status)) for status in cls.Status}
        label, cancelled = found[cls.Status.CANCELLED]
        found[cls.Status.CANCELLED] = (label, cancelled & ~cls._REVIEW_DISCARDED)
        return found | {"discarded": ("Discarded", cls._REVIEW_DISCARDED)}

    @property
    def is_final(self) -> bool:
        return self.status in self.FINAL

    @property
    def log_context(self) -> dict[str, Any]:
        """What the log lines of its tasks carry."""
        return {
            "request_id": self.request_id,
            "job_id": self.pk,
            "change_set_id": self.change_set_id,
        }

    @property
    def is_approved(self) -> bool:
        """Whether it may write: nobody asked for a review, or somebody has looked at it."""
        return not self.review or self.approved_at is not None

    @property
    def is_to_compare(self) -> bool:
        """Whether its records are compared with the catalogue before anything is written."""
        return not self.is_approved or self.caution == self.Caution.LOOKING

    @property
    def imported_nothing(self) -> bool:
        """Whether it came to its end, and all of it was refused."""
        dealt_with = self.created or self.updated or self.unchanged or self.skipped
        return self.status == self.Status.COMPLETED and self.rejected > 0 and not dealt_with

    @property
    def is_discarded(self) -> bool:
        """Whether somebody looked at its review, and did not want it."""
        was_shown = self.compared_at is not None and self.approved_at is None
        return self.status == self.Status.CANCELLED and was_shown

    @property
    def status_label(self) -> str:
        """Its status in words."""
        return "Discarded" if self.is_discarded else self.get_status_display()

    @property
    def outcome(self) -> str:
        """Its status, or ``nothing`` or ``undone`` where that says more, as pages style it.

        Who shows jobs tells them of undos (``imports.queries.outcomes.tell_undone``).
        """
        if self.undone_by is not None:
            return "undone"
        return "nothing" if self.imported_nothing else self.status

    @property
    def outcome_label(self) -> str:
        """The outcome in words."""
        if self.undone_by is not None and self.status == self.Status.COMPLETED:
            return "Undone" if self.undone_by.is_final else "Being undone"
        label = "Nothing imported" if self.imported_nothing else self.status_label
        return f"{label}, undone" if self.undone_by is not None else label

    @property
    def left_records(self) -> int:
        """How many that were read are in none of the counts: still to do, or left there."""
        return max(0, self.total_records - self.accounted_records)

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What became of its records so far, in words and without what is none; it adds up."""
        left = "left as they were" if self.is_final else "to do"
        named = [(words, getattr(self, name)) for name, words in self.COUNT_WORDS.items()]
        return [(words, count) for words, count in [*named, (left, self.left_records)] if count]

    @property
    def shown_counts(self) -> dict[str, int]:
        """What applying a reviewed job would come to, as it was shown and with what is left out."""
        counts = dict(self.shown["counts"])
        counts["created"] -= self.left_out_created
        counts["updated"] -= self.left_out_updated
        counts["skipped"] += self.left_out_created + self.left_out_updated
        if "missing" in counts:
            counts["missing"] -= self.left_out_missing
        return counts

    @property
    def left_out(self) -> int:
        return self.left_out_created + self.left_out_updated + self.left_out_missing

    @property
    def looks_for_missing(self) -> bool:
        """Whether products that its supplier brought in, and that its file lacks, are dealt with.

        Known once the file is read. Without a supplier, be it deleted meanwhile, there are none.
        """
        return bool(self.full_list) and self.supplier_id is not None and not self.missing_off

    @property
    def missing_action(self) -> str:
        """What becomes of those: deactivate, delete, or set (a field)."""
        return str((self.if_missing or deactivate())["action"])

    @property
    def missing_done(self) -> str:
        """The same of those that it has dealt with, in words."""
        what = self.if_missing or deactivate()
        done = {"deactivate": "deactivated", "delete": "deleted"}
        return done.get(what["action"]) or f"{what['field']} set to {what['value']}"

    @property
    def shown_changes(self) -> int:
        """How many products of its review would be changed, without what is left out."""
        counts = self.shown_counts
        return int(sum(counts.get(name, 0) for name in ("created", "updated", "missing")))

    @property
    def has_changed(self) -> bool:
        """Whether it has changed anything in the catalogue so far."""
        return bool(self.created or self.updated or self.missing)

    @property
    def has_file(self) -> bool:
        """Whether the uploaded file is kept; after ``KEEP_UPLOADS`` it is not."""
        return bool(self.file)

    @property
    def readable(self) -> FieldFile:
        """What the records are read from: the unpacked table, or the upload itself."""
        return self.table or self.file

    @property
    def readable_size(self) -> int:
        """Its bytes."""
        return self.table_size if self.table else self.file_size

    @property
    def may_keep(self) -> bool:
        """Whether its rules may leave stored values as they are, record by record."""
        return "rules" in self.layout and layout_keeps(self.layout)

    @property
    def has_own(self) -> bool:
        """Whether its file has columns for fields of one's own."""
        return bool(self.layout.get("own"))

    @property
    def column_rules(self) -> Sequence[dict[str, Any]]:
        """The rules of its file's columns, as JSON; none where the file is read without any."""
        rules: Sequence[dict[str, Any]] = self.layout.get("rules", {}).get("columns", ())
        return rules

    @property
    def lists_it_adds_to(self) -> list[str]:
        """The keys of the own fields whose lists take the new words of its file."""
        adding = [rule["field"] for rule in self.column_rules if rule.get("otherwise") == "add"]
        return [name.removeprefix(OWN_PREFIX) for name in adding]

    @property
    def found_by(self) -> str:
        """The key of the own field that its products are found by; blank where that is the SKU."""
        return layout_key(self.layout)[0] if "rules" in self.layout else ""

    @property
    def found_within_supplier(self) -> bool:
        """Whether they are looked for among what its supplier brought in alone."""
        return layout_key_within(self.layout) == "supplier"

    @property
    def creates_unmatched(self) -> bool:
        """Whether a record whose key no product has may become a new one, if its mode lets it."""
        return layout_key(self.layout)[1] == "create"

    @property
    def may_create(self) -> bool:
        """Whether a product may be made of a record that none is found for.

        Where such are refused, none is made either of what somebody deletes in the meantime.
        """
        refused = bool(self.found_by) and not self.creates_unmatched
        return self.mode != self.Mode.UPDATE_ONLY and not refused

    @property
    def may_update(self) -> bool:
        """Whether products that are there may change."""
        return self.mode != self.Mode.CREATE_ONLY

    @property
    def may(self) -> dict[str, bool]:
        """What its records may do with products, as ``upsert`` and ``compare`` take it."""
        return {
            "may_create": self.may_create,
            "may_update": self.may_update,
            "may_keep": self.may_keep,
        }

    @property
    def accounted_records(self) -> int:
        """The sum that must equal ``total_records`` when the job completes."""
        return sum(getattr(self, name) for name in self.COUNTS)


def job_snapshot(job: ImportJob) -> dict[str, Any]:
    """The public state of a job (the API's job, an event's data), as JSON-ready values."""

    def moment(value: Any) -> str | None:
        return value.isoformat().replace("+00:00", "Z") if value else None

    return {
        "id": job.pk,
        "status": job.status,
        "stage": job.stage,
        "file_name": job.file_name,
        "file_size": job.file_size,
        "mode": job.mode,
        "review": job.review,
        "supplier": job.supplier_id,
        "format": job.format_id,
        "format_version": job.format_version,
        "feed": job.feed_id,
        "checks": job.checks,
        "mends": job.mends_id,
        "full_list": bool(job.full_list),
        "total_records": job.total_records,
        "processed_records": job.processed_records,
        "created": job.created,
        "updated": job.updated,
        "unchanged": job.unchanged,
        "superseded": job.superseded,
        "skipped": job.skipped,
        "rejected": job.rejected,
        "missing": job.missing,
        "warnings": job.warnings,
        "error": job.error,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "change_set": job.change_set_id,
    }
