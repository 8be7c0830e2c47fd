"""The verbs for many products at once: bulk delete, activate, deactivate; and the running of undos.

    start_bulk_act -> run_bulk_act (its turn, slices, end)

A bulk act is a change set that a worker carries out, slice by slice of product ids. A slice is
one transaction: the products, what undo needs, the counts, its done mark. Any number of
workers may run one act; each may be killed at any point.
"""

import json
import re
import time
from datetime import timedelta
from decimal import Decimal
from functools import partial
from math import ceil
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F, Max, Min, Q, QuerySet
from django.utils import timezone
from structlog import get_logger
from structlog.contextvars import bind_contextvars

from catalog import field_values
from catalog.models import BulkSlice, ChangeSet, Field, Product
from catalog.operations import change_sets, undo
from catalog.queries.filters import BadFilter, filtered_products, where_of
from catalog.queries.own_fields.fields import definitions
from catalog.queries.products import count_products, estimated_products
from catalog.sql import acts, upsert
from catalog.sql.fields import set_value
from catalog.values import clean_typed_price
from product_importer.common.enqueue import send_after_commit
from webhooks.models import Event
from webhooks.operations.events import record_changed_products, record_event

logger = get_logger(__name__)

RUN = "catalog.run"  # the name of the task (catalog/tasks.py)

SLICE_ROWS = 40_000
PARALLEL_RUNS = 4  # tasks that work on one act at a time, over all workers
RUN_SECONDS = 2.0  # of slices per task: tasks stay short
ATTEMPTS = 5  # runs without progress before an act fails
EDIT_RETRIES = 20  # of one slice whose products are being edited at the same time
STALE_SECONDS = 6  # without progress: the sweep looks at the act
MAX_IDS = 10_000

for kind in ChangeSet.BULK:
    change_sets.TURN_TASKS[kind] = RUN


@transaction.atomic
def start_bulk_act(
    *,
    kind: ChangeSet.Kind,
    actor: User | None,
    filters: dict[str, Any] | None = None,
    ids: list[int] | None = None,
    without: list[int] | None = None,
    active: bool | None = None,
    own_field: tuple[str, Any] | None = None,
    price: dict[str, str] | None = None,
) -> ChangeSet:
    """Have all products that match ``filters`` (or have one of ``ids``) deleted or changed.

    Those of the ids ``without`` are left out of what the filters match. Means the products that
    exist now: later ones are left alone. Without filters and ids it means all. An edit sets
    ``active``, or changes the ``price`` (as ``price_change`` has it), or gives ``own_field``, a
    key, a value (None: none; as ``field_change`` has them). Raises
    ``catalog.queries.filters.BadFilter``.
    """
    request: dict[str, Any] = {"up_to": Product.objects.aggregate(last=Max("id"))["last"] or 0}
    if ids is not None:
        request["ids"] = sorted(set(ids))
    else:
        request["filters"] = _storable(filters or {})
        if without:
            request["without"] = sorted(set(without))
    if own_field is not None:
        request["own_field"] = list(own_field)
    elif kind == ChangeSet.Kind.BULK_EDIT:
        request |= {"price": price} if price else {"active": bool(active)}
    change_set = change_sets.open_change_set(
        kind=kind, actor=actor, request=request, total=count_products(chosen_products(request))
    )
    figures = {"change_set_id": change_set.pk, "kind": kind, "total": change_set.total}
    transaction.on_commit(partial(logger.info, "bulk_act_started", **figures))
    send_after_commit(RUN, change_set.pk)
    return change_set


ROUNDINGS = ("0.01", "0.05", "0.10", "1.00")  # that a changed price is rounded to
PERCENT_MAX = 1_000


def price_change(*, by: str, value: str, round_to: str) -> dict[str, str]:
    """What a bulk edit of prices does, as ``start_bulk_act`` takes it, from what was typed.

    ``by`` is ``set`` (to the value) or ``percent`` (more, or less with a minus). Raises
    ``ValueError`` with a sentence.
    """
    if round_to not in ROUNDINGS:
        raise ValueError("Choose what the prices are rounded to.")
    if by == "set":
        price = clean_typed_price(value)
        if price is None:
            raise ValueError("Type the new price.")
        return {"by": by, "value": price, "round": "0.01"}
    if by != "percent":
        raise ValueError("Choose whether prices are set, or changed by a percentage.")
    text = value.strip().removesuffix("%").strip().replace(",", ".").replace("\u2212", "-")
    if not _percent(text) or not -100 < Decimal(text) <= PERCENT_MAX or not Decimal(text):
        raise ValueError(
            f"“{value.strip()[:40]}” is not a percentage. Write one like 5, -10 or 2.5; "
            f"more than -100 and at most {PERCENT_MAX:,}."
        )
    return {"by": by, "value": f"{Decimal(text):+}", "round": round_to}


def field_change(*, key: str, value: Any, typed: bool = False) -> tuple[str, Any]:
    """What a bulk edit of an own field does, as ``start_bulk_act`` takes it.

    ``value`` is what a program sends, or text as it was ``typed``; a blank one or ``None`` clears
    the field. Raises ``ValueError`` with a sentence.
    """
    known = definitions()
    if key not in known:
        there = ", ".join(known) or "none yet"
        raise ValueError(f"There is no field “{key[:40]}”. There are: {there}.")
    definition = known[key]
    cleaned = field_values.clean_value(definition, value, typed=typed)
    if cleaned is None and definition.required:
        raise ValueError(f"Every product needs its {definition.label}: it cannot be cleared.")
    if cleaned is not None and definition.unique:
        raise ValueError(
            f"No two products may share a {definition.label}: set it product by product, or by "
            "importing a file."
        )
    return key, cleaned


_percent = re.compile(r"[+-]?[0-9]{1,4}(\.[0-9]{1,2})?").fullmatch


def _storable(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters, unless the database cannot keep them."""
    unkept = [name for name, value in filters.items() if "\0" in str(value)]
    if unkept:
        sentence = "The filter {} contains a NUL byte, which no product has: type it again."
        raise BadFilter({name: sentence.format(name) for name in unkept})
    return filters


def chosen_products(request: dict[str, Any]) -> QuerySet[Product]:
    """The products that a bulk act means, and those that came after it was asked for.

    Raises ``BadFilter``.
    """
    named = request.get("ids", request.get("without", []))
    if len(named) > MAX_IDS:
        raise BadFilter(
            {
                "ids": f"These are {len(named):,} products; at most {MAX_IDS:,} can "
                "be named one by one. Use filters, or fewer at once."
            }
        )
    if "ids" in request:
        return Product.objects.filter(pk__in=named)
    products = filtered_products(request["filters"])
    return products.exclude(pk__in=named) if named else products


def run_bulk_act(change_set_id: int, *, seconds: float = RUN_SECONDS) -> None:
    """Do slices of a bulk act until none is free or the time is up; then pass the baton."""
    change_set = ChangeSet.objects.filter(pk=change_set_id, kind__in=ChangeSet.BULK).first()
    if change_set is None or change_set.is_final:
        return
    bind_contextvars(**change_set.log_context)  # until the task ends, with an error too
    if not _begin(change_set):
        return
    deadline = time.monotonic() + seconds
    while _do_slice(change_set):
        if time.monotonic() > deadline:
            send_after_commit(RUN, change_set_id)
            return
    for _ in range(EDIT_RETRIES):
        try:
            return _finish(change_set_id)
        except upsert.ConcurrentEdit:
            continue
    raise upsert.ConcurrentEdit(f"the products of change set {change_set_id} keep changing")


def _begin(change_set: ChangeSet) -> bool:
    """Take the turn and cut the slices, once; fail an act that never gets on."""
    if not change_sets.take_turn(change_set):
        return False
    with transaction.atomic():
        locked = ChangeSet.objects.select_for_update(of=("self",)).order_by("pk")
        current = locked.get(pk=change_set.pk)
        if current.is_final:
            return False
        if current.attempts >= ATTEMPTS * PARALLEL_RUNS:
            change_sets.close_change_set(
                current.pk,
                status=ChangeSet.Status.FAILED,
                error=f"It was tried {ATTEMPTS} times without getting any further. The log of "
                "the worker has the reason. What was done before stays done.",
            )
            return False
        if reason := _no_longer_fits(current):
            change_sets.close_change_set(current.pk, status=ChangeSet.Status.FAILED, error=reason)
            return False
        ChangeSet.objects.filter(pk=current.pk).update(attempts=F("attempts") + 1)
        if current.slices.exists():
            return True
        undoes = current.kind == ChangeSet.Kind.UNDO
        parts = undo.undo_slices(current) if undoes else _slices(current)
        BulkSlice.objects.bulk_create(parts)
        for _ in range(min(len(parts), PARALLEL_RUNS) - 1):
            send_after_commit(RUN, current.pk)
    return True


def _no_longer_fits(change_set: ChangeSet) -> str:
    """Why an own field can no longer be given the value that was asked for, or nothing.

    Acts wait for their turn, and somebody may change the field meanwhile.
    """
    asked = change_set.request.get("own_field")
    if asked is None or Field.objects.filter(cleared_in=change_set).exists():
        return ""  # deleting a field clears it, whatever it takes
    try:
        change_set.request["own_field"] = list(field_change(key=asked[0], value=asked[1]))
    except ValueError as error:
        return f"The field was changed after this was asked for. {error} Ask for it again."
    change_set.save(update_fields=["request"])  # in the form that the field has now
    return ""


def _slices(change_set: ChangeSet) -> list[BulkSlice]:
    """Cut the ids that there are into ranges of equal width, of about ``SLICE_ROWS`` or fewer.

    Nothing is read for it: numbers that an import used up without creating a product make a
    range smaller, and none holds more than its width. Several are a multiple of ``PARALLEL_RUNS``,
    or the last one would be done while all but one worker look on.
    """
    last = change_set.request["up_to"]
    first = Product.objects.aggregate(first=Min("id"))["first"] or 0
    if "ids" in change_set.request:
        ids = change_set.request["ids"] or [0]
        first, last = max(first, ids[0]), min(last, ids[-1])
    if first > last:
        return []
    count = ceil(estimated_products() / SLICE_ROWS)
    if count > 1:
        count = ceil(count / PARALLEL_RUNS) * PARALLEL_RUNS
    count = min(count, last - first + 1) or 1
    width = ceil((last - first + 1) / count)
    return [
        BulkSlice(change_set=change_set, first_id=start, last_id=min(start + width - 1, last))
        for start in range(first, last + 1, width)
    ]


def _do_slice(change_set: ChangeSet) -> bool:
    """Do the next slice that nobody is at; return whether there was one."""
    for _ in range(EDIT_RETRIES):
        try:
            return _do_slice_once(change_set)
        except upsert.ConcurrentEdit:
            continue  # somebody edited a product meanwhile: what it is now is what counts
    raise upsert.ConcurrentEdit(f"the products of change set {change_set.pk} keep changing")


@transaction.atomic
def _do_slice_once(change_set: ChangeSet) -> bool:
    free = BulkSlice.objects.select_for_update(skip_locked=True, of=("self",))
    part = free.filter(change_set=change_set, done_at=None).order_by("first_id").first()
    if part is None:
        return False
    if change_set.kind == ChangeSet.Kind.UNDO:
        counts = undo.undo_slice(change_set, part)
    else:
        counts = _change_slice(change_set, part)
    BulkSlice.objects.filter(pk=part.pk).update(done_at=timezone.now())
    # Last, because from here to the commit the other workers' slices wait for this row.
    change_sets.count_changes(change_set.pk, **counts)
    figures = {"first_id": part.first_id, "last_id": part.last_id, **counts}
    transaction.on_commit(partial(logger.info, "slice_done", **figures))
    return True


def _change_slice(change_set: ChangeSet, part: BulkSlice) -> dict[str, int]:
    products = chosen_products(change_set.request)
    where, params = where_of(products.filter(pk__gte=part.first_id, pk__lte=part.last_id))
    with connection.cursor() as cursor:
        # A slice that a crash of the server takes back is done again.
        cursor.execute("SET LOCAL synchronous_commit = off; SET LOCAL jit = off")
        if change_set.kind == ChangeSet.Kind.BULK_DELETE:
            gone = acts.delete_products(
                cursor,
                where=where,
                params=params,
                change_set_id=change_set.pk,
                tell=lambda: record_changed_products(
                    cursor,
                    change_set_id=change_set.pk,
                    source_sql=acts.CHOSEN.format(where=where),
                    params=params,
                ),
            )
            return {"deleted": gone}
        chosen: dict[str, Any] = {
            "where": where,
            "params": params,
            "change_set_id": change_set.pk,
        }
        if price := change_set.request.get("price"):
            changed = acts.set_price(cursor, change=price, **chosen)
        elif "own_field" in change_set.request:
            key, value = change_set.request["own_field"]
            text = None if value is None else json.dumps(value)
            changed = set_value(cursor, key=key, value=text, **chosen)
        else:
            changed = acts.set_active(cursor, active=change_set.request["active"], **chosen)
        record_changed_products(
            cursor,
            change_set_id=change_set.pk,
            source_sql=acts.CHANGED_IN_IDS,
            params={
                "change_set": change_set.pk,
                "first_id": part.first_id,
                "last_id": part.last_id,
            },
        )
        return {"updated": changed}


@transaction.atomic
def _finish(change_set_id: int) -> None:
    """Complete an act whose slices are all done, and tell of it."""
    locked = ChangeSet.objects.select_for_update(of=("self",)).order_by("pk")
    change_set = locked.get(pk=change_set_id)
    if change_set.is_final or change_set.slices.filter(done_at=None).exists():
        return
    if change_set.kind == ChangeSet.Kind.UNDO and change_set.conflicts:
        change_sets.count_changes(change_set_id, **undo.try_again(change_set))
        change_set.refresh_from_db()
    change_set.slices.all().delete()
    change_sets.close_change_set(change_set_id, status=ChangeSet.Status.COMPLETED)
    undo.finish_undo(change_set)
    if change_set.kind == ChangeSet.Kind.BULK_DELETE:
        record_event(
            type=Event.Type.PRODUCTS_BULK_DELETED,
            data={
                "change_set": change_set_id,
                "deleted": change_set.deleted,
                "filters": change_set.request.get("filters"),
            },
        )


def sweep_bulk_acts() -> list[int]:
    """Wake workers for acts that are due and not moving: lost messages, killed workers, turns."""
    quiet = timezone.now() - timedelta(seconds=STALE_SECONDS)
    due = ChangeSet.objects.filter(kind__in=ChangeSet.BULK, status__in=ChangeSet.UNFINISHED).filter(
        Q(status=ChangeSet.Status.WAITING) | Q(progress_at__lt=quiet)
    )
    ids = list(due.order_by("id").values_list("pk", flat=True)[:20])
    for change_set_id in ids:
        send_after_commit(RUN, change_set_id)
    return ids
