"""What a full list lacks: products that its supplier brought in, dealt with chunk by chunk.

The chunks of an import cut all possible SKUs into ranges, so each of them looks for what is
missing in its own range, in the transaction in which it is compared or applied: killed, tried
again, cancelled or undone, what is missing goes the way of the records.
"""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.backends.utils import CursorWrapper

from catalog.models import Change, ChangeSet
from catalog.operations.change_sets import tell_chosen
from catalog.queries.own_fields.fields import definitions
from catalog.sql.acts import delete_products, set_active
from catalog.sql.checks import missing as sql
from catalog.sql.fields import set_value
from imports.models import ImportChunk, ImportJob
from imports.readers.csv import Layout
from imports.sql import staging

# Of records, in per cent, that may be refused: where the supplier has no such stop rule, too.
MOST_REFUSED = 5

# What is asked of a product beside that it is not in the file: else there is nothing to do.
_CONDITIONS = {
    "deactivate": "{product}.active",
    "delete": "true",
    "set": "{product}.own_fields -> %(key)s IS DISTINCT FROM %(value)s::jsonb",
}
# A record that was refused is in the file all the same; and what somebody left out of the review.
_ALSO = """
key NOT IN (SELECT lower(sku) FROM imports_rowerror WHERE job_id = %(job)s AND sku IS NOT NULL)
AND -id NOT IN (SELECT line FROM imports_leftoutrecord
                WHERE job_id = %(job)s AND chunk = %(chunk)s AND action = 'm')
"""


@dataclass(frozen=True)
class Gone:
    """How many products a chunk has dealt with."""

    updated: int = 0
    deleted: int = 0


# --- Once the file is read ------------------------------------------------------------


def settle(job: ImportJob) -> str:
    """Find out whether a full list that was read to its end may be trusted to say what is missing.

    Returns a sentence why it may not, or nothing. Run inside a transaction.
    """
    if not job.full_list:
        return ""
    note_supplier(job)
    return _why_not(job) or _note_refused(job)


def _why_not(job: ImportJob) -> str:
    nothing = "Products that it lacks are left as they are: "
    if job.supplier_id is None:
        return f"{nothing}it is a full list, but no supplier is known whose it is."
    if not job.may_update:
        return f"{nothing}an import that only creates changes none that is there."
    if (user := _may_not_delete(job)) is not None:
        return (
            f"{nothing}they would be deleted, its format does not say that it is a full list, and "
            f"{user} may not delete many products at once."
        )
    if not job.staged_records:
        return f"{nothing}the file has no record that can be imported."
    refused, bound = refused_of(job), bound_of(job)
    if refused * 100 > bound * job.total_records:
        return (
            f"{nothing}{refused:,} of its {job.total_records:,} records were refused, more than "
            f"{bound} %, and nobody knows which products those are."
        )
    if job.found_by and (unclear := refused + _unmatched(job)):
        return (
            f"{nothing}{unclear:,} of its records were refused or met no product. Products are "
            f"found by {job.found_by}, not by the SKU: nobody knows which those are."
        )
    if (job.if_missing or {}).get("field", "") not in ("", *definitions()):
        return f"{nothing}the field that they were to get a value in is not in use any more."
    return ""


def _may_not_delete(job: ImportJob) -> User | None:
    """Who says that a file is a full list, where what it lacks is deleted and he may not do that.

    What a format says was set by somebody who may; a feed says what its owner says.
    """
    if job.missing_action != "delete" or (job.format is not None and job.format.full_list):
        return None
    user = job.feed.created_by if job.feed is not None else job.created_by
    return user if user is not None and not user.has_perm("catalog.bulk_delete_product") else None


def _unmatched(job: ImportJob) -> int:
    with connection.cursor() as cursor:
        return staging.count_unmatched(cursor, job.pk)


def refused_of(job: ImportJob) -> int:
    """The records that were refused when the file was read."""
    return job.total_records - job.staged_records - int(job.checkpoint.get("skipped", 0))


def bound_of(job: ImportJob) -> int:
    """How many of the records may be refused, in per cent."""
    bound = job.supplier.stop_refused if job.supplier else None
    return MOST_REFUSED if bound is None else bound


def _note_refused(job: ImportJob) -> str:
    """Keep the SKUs of the refused records, as far as they can be read: those are listed."""
    errors = list(job.errors.filter(while_applying=False))
    if len(errors) < refused_of(job):
        return (
            "Products that it lacks are left as they are: more records were refused than are kept, "
            "and nobody knows which products those are."
        )
    plan, width = Layout(**job.layout).plan(), len(job.layout["header"])
    skus: dict[int, str] = {}
    for error in errors:
        cells = [*error.record, *[""] * (width - len(error.record))][:width]
        if sku := plan.clean(cells).values.get("sku"):
            skus[error.pk] = sku
    with connection.cursor() as cursor:
        staging.note_skus(cursor, skus)
    return ""


# --- Chunk by chunk -------------------------------------------------------------------


def apply_missing(cursor: CursorWrapper, job: ImportJob, chunk: ImportChunk) -> Gone:
    """Deal with what the file lacks in a chunk's range, with the values before.

    Run inside the chunk's transaction. Raises ``catalog.sql.upsert.ConcurrentEdit``. Outsiders
    are told of the deleted ones here, and of the others with the chunk's other changes.
    """
    ids = _find(cursor, job, chunk)
    if not ids or job.change_set_id is None:
        return Gone()
    chosen: dict[str, Any] = {
        "where": "id = ANY (%s)",
        "params": (ids,),
        "change_set_id": job.change_set_id,
    }
    if job.missing_action == "delete":
        gone = delete_products(
            cursor, tell=lambda: tell_chosen(cursor, chosen["change_set_id"], ids), **chosen
        )
        return Gone(deleted=gone)
    if job.missing_action == "set":
        params = _params(job, chunk)
        return Gone(updated=set_value(cursor, key=params["key"], value=params["value"], **chosen))
    return Gone(updated=set_active(cursor, active=False, **chosen))


def show_missing(
    cursor: CursorWrapper, job: ImportJob, chunk: ImportChunk, *, into: str, place: int
) -> int:
    """Put what the file lacks in a chunk's range into the review, behind so many rows; count it."""
    if ids := _find(cursor, job, chunk):
        fields = {"deactivate": Change.Field.ACTIVE, "set": Change.Field.OWN_FIELDS, "delete": 0}
        params = _params(job, chunk)
        sql.show_missing(
            cursor,
            ids,
            into=into,
            chunk=chunk.number,
            place=place,
            fields=fields[job.missing_action],
            key=params["key"],
            value=params["value"],
        )
    return len(ids)


def _find(cursor: CursorWrapper, job: ImportJob, chunk: ImportChunk) -> list[int]:
    if not job.looks_for_missing:
        return []
    return sql.missing_products(
        cursor,
        source=staging.staging_table(job.pk),
        brought_in=sql.sets_of(cursor, job.supplier_id or 0, exclude=job.change_set_id),
        condition=condition_of(job),
        also=_ALSO,
        first_key=chunk.first_key,
        end_key=chunk.end_key,
        params=_params(job, chunk),
    )


def condition_of(job: ImportJob, product: str = "product") -> str:
    """The condition on a ``product`` for which there is something to do; see ``value_params``."""
    return _CONDITIONS[job.missing_action].format(product=product)


def value_params(job: ImportJob) -> dict[str, Any]:
    """The field and the value (JSON text) that missing products get, if they get one."""
    what = job.if_missing or {}
    return {"key": what.get("field", ""), "value": json.dumps(what.get("value"))}


def _params(job: ImportJob, chunk: ImportChunk) -> dict[str, Any]:
    return {"job": job.pk, "chunk": chunk.number, **value_params(job)}


# --- Whose products they are ----------------------------------------------------------


def note_supplier(job: ImportJob) -> None:
    """Have what an import creates counted as brought in by its supplier, before it writes.

    The same of earlier imports of the supplier that a server of the release before has made.
    """
    if job.supplier_id is not None:
        ChangeSet.objects.filter(importjob__supplier=job.supplier_id, supplier=None).update(
            supplier=job.supplier_id
        )


def brought_in(job: ImportJob) -> int:
    """How many products the file could lack: its supplier's for which there is something to do."""
    if job.supplier_id is None:
        return 0
    with connection.cursor() as cursor:
        return sql.count_brought_in(
            cursor, job.supplier_id, condition=condition_of(job), params=value_params(job)
        )
