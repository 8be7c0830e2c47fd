"""Suppliers and their formats: made, changed, remembered, deleted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from structlog import get_logger

from catalog import field_values
from catalog.queries.own_fields.fields import definitions
from imports.mapping.exchange import format_from_file
from imports.mapping.formats import under
from imports.mapping.matching.match import fingerprint
from imports.mapping.rules import RulesError, parse_rules, rules_as_json
from imports.models import NAME_MAX_LENGTH, Feed, Format, FormatVersion, ImportJob, Supplier
from product_importer.common.errors import Invalid as Invalid
from product_importer.common.errors import NotPossible

MAX_COLUMNS = 500  # a file has no more

logger = get_logger(__name__)


class ReadyMade(NotPossible):
    """A ready-made format stays as it is."""

    def __init__(self) -> None:
        super().__init__(
            "A format that comes with the product stays as it is. Remember a mapping for a "
            "supplier, or import the format's JSON under another name, and change that one."
        )


@contextmanager
def _named_once(sentence: str) -> Iterator[None]:
    """Say it beside the name if the database has it already.

    It alone knows which names are the same without regard to case, and who was quicker.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise Invalid({"name": ("unique", sentence)}) from error


# --- Suppliers ------------------------------------------------------------------------


@transaction.atomic
def create_supplier(*, name: str, user: User | None) -> Supplier:
    """Raises ``Invalid``."""
    name = clean_name(name)
    with _named_once(f"There is a supplier “{name}” already."):
        supplier, made = Supplier.objects.get_or_create(
            name__iexact=name, defaults={"name": name, "created_by": user}
        )
    if not made:
        raise Invalid({"name": ("unique", f"There is a supplier “{supplier.name}” already.")})
    return supplier


@transaction.atomic
def rename_supplier(*, supplier_id: int, name: str) -> Supplier:
    """Raises ``Invalid``."""
    supplier = Supplier.objects.select_for_update().get(pk=supplier_id)
    name = clean_name(name)
    if Supplier.objects.filter(name__iexact=name).exclude(pk=supplier_id).exists():
        raise Invalid({"name": ("unique", f"There is a supplier “{name}” already.")})
    supplier.name = name
    with _named_once(f"There is a supplier “{name}” already."):
        supplier.save(update_fields=["name"])
    return supplier


# The bounds of what is usual, with the most that may be written: per cent, and days.
STOP_RULES = {
    "stop_refused": 100,
    "stop_missing": 100,
    "stop_price_change": 1000,
    "stop_price_share": 100,
    "stop_created": 100,
    "stop_fewer": 100,
    "stop_age": 3650,
}
SETTINGS = (*STOP_RULES, "stop_columns", "second_person")


@transaction.atomic
def change_settings(*, supplier_id: int, user: User | None, **values: Any) -> Supplier:
    """Change what is usual for a supplier, and who applies what is not: some of ``SETTINGS``.

    The bounds are whole numbers, or ``None`` for none. Raises ``Invalid``.
    """
    supplier = Supplier.objects.select_for_update(of=("self",)).get(pk=supplier_id)
    errors = {
        name: ("invalid", f"Write a whole number from 0 to {most:,}, or nothing.")
        for name, most in STOP_RULES.items()
        if (bound := values.get(name)) is not None and not 0 <= bound <= most
    }
    if errors:
        raise Invalid(errors)
    changed = {name: values[name] for name in SETTINGS if name in values}
    told = {name: value for name, value in changed.items() if value != getattr(supplier, name)}
    for name, value in told.items():
        setattr(supplier, name, value)
    supplier.save(update_fields=list(told))
    if told:
        who = user.pk if user else None
        log = partial(logger.info, "supplier_changed", supplier_id=supplier_id, by=who, **told)
        transaction.on_commit(log)
    return supplier


def may_delete_supplier(supplier: Supplier, user: Any) -> bool:
    """Whoever imports may, but not take away that a second person has to look at his files."""
    return not supplier.second_person or bool(user.has_perm("imports.change_supplier"))


@transaction.atomic
def delete_supplier(*, supplier_id: int) -> None:
    """With its formats and feeds; what is being fetched is left.

    Its imports stay, and those under way go on by the rules they keep. A full list looks for what
    is missing no longer: whose products those would be, nobody knows.
    """
    # As whoever ends a run does: the feeds first, then their runs.
    list(Feed.objects.select_for_update(of=("self",)).filter(supplier=supplier_id))
    for found in Format.objects.filter(supplier=supplier_id).select_for_update().order_by("pk"):
        _leave_rules(found)
    # Before anything is recognised as another supplier's, and taken for the whole list of that one.
    unread = ImportJob.objects.filter(supplier=supplier_id, full_list=True, layout={})
    unread.update(full_list=False)
    Supplier.objects.filter(pk=supplier_id).delete()


# --- Formats --------------------------------------------------------------------------


@transaction.atomic
def create_format(
    *,
    supplier_id: int | None,
    name: str,
    rules: object,
    columns: Sequence[str] = (),
    user: User | None,
    **full: Any,
) -> Format:
    """Make a format; ``full`` has ``full_list`` and ``if_missing``, if they are not as usual.

    Raises ``Invalid``, for a name that the supplier has a format of as well.
    """
    supplier = Supplier.objects.select_for_update().filter(pk=supplier_id or 0).first()
    if supplier is None:
        raise Invalid({"supplier": ("does_not_exist", "There is no such supplier.")})
    if supplier.formats.filter(name__iexact=clean_name(name)).exists():
        raise Invalid({"name": ("unique", f"The supplier has a format “{name}” already.")})
    made = save_format(supplier=supplier, name=name, rules=rules, columns=columns, user=user)
    return change_format(format_id=made.pk, user=user, **full) if full else made


@transaction.atomic
def save_format(
    *,
    supplier: Supplier,
    name: str,
    rules: object,
    columns: Sequence[str],
    user: User | None,
) -> Format:
    """Make a format, or the next version of the one that has this name. Raises ``Invalid``."""
    name = clean_name(name)
    values = _clean_values(rules, columns)
    with _named_once(f"The supplier has a format “{name}” already."):
        found, made = Format.objects.get_or_create(
            supplier=supplier, name__iexact=name, defaults={"name": name, **values}
        )
    return (
        _add_version(found, user)
        if made
        else change_format(format_id=found.pk, user=user, **values)
    )


@transaction.atomic
def change_format(*, format_id: int, user: User | None, **values: Any) -> Format:
    """Change a format's ``name``, ``rules`` or ``columns``; new rules or columns are a new version.

    ``full_list`` and ``if_missing`` (``clean_missing``) are not of a version: they say what is done
    with such a file, not how it is read. It stays its supplier's. Raises ``Invalid`` and
    ``ReadyMade``.
    """
    changed = Format.objects.select_for_update(of=("self",)).get(pk=format_id)
    if changed.ready_made:
        raise ReadyMade
    if values.get("supplier_id", changed.supplier_id) != changed.supplier_id:
        raise Invalid({"supplier": ("invalid", "A format stays its supplier's.")})
    if "name" in values:
        changed.name = clean_name(values["name"])
        others = Format.objects.filter(supplier=changed.supplier_id, name__iexact=changed.name)
        if others.exclude(pk=format_id).exists():
            text = f"The supplier has a format “{changed.name}” already."
            raise Invalid({"name": ("unique", text)})
    new = _clean_values(values.get("rules", changed.rules), values.get("columns", changed.columns))
    is_new = (new["rules"], new["columns"]) != (changed.rules, changed.columns)
    for field, value in new.items():
        setattr(changed, field, value)
    changed.version += is_new
    changed.full_list = values.get("full_list", changed.full_list)
    if "if_missing" in values:
        changed.if_missing = clean_missing(values["if_missing"])
    with _named_once(f"The supplier has a format “{changed.name}” already."):
        changed.save()
    return _add_version(changed, user) if is_new else changed


def may_set_missing(values: Mapping[str, Any], user: Any, format: Format | None = None) -> bool:
    """Whether ``user`` may give a format these ``full_list`` and ``if_missing``.

    A full list that deletes what it lacks takes the permission to delete many products at once.
    """
    if not values.keys() & {"full_list", "if_missing"}:
        return True
    if_missing = values.get("if_missing") or (format.if_missing if format else {})
    deletes = if_missing.get("action") == "delete"
    return not deletes or bool(user.has_perm("catalog.bulk_delete_product"))


def clean_missing(given: object) -> dict[str, Any]:
    """What becomes of products that a full list lacks, as a format and a job keep it.

    ``{"action": "deactivate"}``, ``{"action": "delete"}``, or ``{"action": "set", "field": KEY,
    "value": VALUE}`` for a field of one's own that is not unique. Raises ``Invalid``.
    """
    if not isinstance(given, Mapping) or given.get("action") not in ("deactivate", "delete", "set"):
        sentence = "Write an object whose “action” is deactivate, delete or set."
        raise Invalid({"if_missing": ("invalid", sentence)})
    if given["action"] != "set":
        return {"action": given["action"]}
    known = definitions()
    definition = known.get(str(given.get("field", "")))
    if definition is None:
        there = ", ".join(known) or "none yet"
        raise Invalid({"if_missing": ("invalid", f"Name one of your fields. There are: {there}.")})
    if definition.unique:
        sentence = f"No two products may share a {definition.label}: choose another field."
        raise Invalid({"if_missing": ("invalid", sentence)})
    try:
        value = field_values.clean_value(definition, given.get("value"))
    except ValueError as error:
        raise Invalid({"if_missing": ("invalid", str(error))}) from error
    if value is None:
        sentence = f"Write what the {definition.label} of a missing product becomes."
        raise Invalid({"if_missing": ("invalid", sentence)})
    return {"action": "set", "field": definition.key, "value": value}


@transaction.atomic
def delete_format(*, format_id: int) -> None:
    """Imports that are, or are to be, read by it keep its rules. Raises ``ReadyMade``."""
    # As whoever ends a run does: its feeds, which forget it, before the format.
    list(Feed.objects.select_for_update(of=("self",)).filter(format=format_id))
    found = Format.objects.select_for_update(of=("self",)).filter(pk=format_id).first()
    if found is None:
        return
    if found.ready_made:
        raise ReadyMade
    _leave_rules(found)
    found.delete()


def _leave_rules(found: Format) -> None:
    """Give a format's rules to the imports that were to be read by it, and are not yet."""
    unread = ImportJob.objects.filter(format=found, layout={})
    unread = unread.exclude(status=ImportJob.Status.AWAITING_MAPPING)  # somebody looks at it
    for job in unread.select_for_update(of=("self",)).order_by("pk"):
        rules = parse_rules(job.rules)
        if not rules.columns:
            job.rules = rules_as_json(under(rules, parse_rules(found.rules)))
            job.save(update_fields=["rules"])


def remember(
    *,
    supplier: str,
    name: str,
    rules: object,
    columns: Sequence[str],
    user: User | None,
) -> Format:
    """Keep how a file was read as a supplier's format; both are made if they are new.

    Raises ``Invalid``.
    """
    known = Supplier.objects.filter(name__iexact=clean_name(supplier, "supplier")).first()
    if known is None:
        known = create_supplier(name=supplier, user=user)
    return save_format(supplier=known, name=name, rules=rules, columns=columns, user=user)


def import_format(*, data: Mapping[str, Any], user: User | None) -> Format:
    """Make a format of its JSON (``queries.formats.as_file``), or its next version.

    Raises ``Invalid``.
    """
    try:
        read = format_from_file(data)
    except RulesError as error:
        raise Invalid({"rules": ("invalid", " ".join(error.problems))}) from error
    return remember(
        supplier=data["supplier"],
        name=read.name,
        rules=read.rules,
        columns=read.columns,
        user=user,
    )


def note_use(format_id: int) -> None:
    Format.objects.filter(pk=format_id).update(last_used_at=timezone.now())


def _add_version(saved: Format, user: User | None) -> Format:
    FormatVersion.objects.create(
        format=saved,
        number=saved.version,
        rules=saved.rules,
        columns=saved.columns,
        created_by=user,
    )
    return saved


def clean_name(text: str, field: str = "name") -> str:
    """A name without blanks around and doubled ones in it. Raises ``Invalid``."""
    name = " ".join(text.replace("\0", "").split())
    if not name:
        raise Invalid({field: ("blank", "The name is empty. Write one.")})
    if len(name) > NAME_MAX_LENGTH:
        sentence = f"The name has {len(name)} characters; at most {NAME_MAX_LENGTH} are allowed."
        raise Invalid({field: ("max_length", sentence)})
    return name


def _clean_values(rules: object, columns: Sequence[str]) -> dict[str, Any]:
    try:
        clean = rules_as_json(parse_rules(rules))
    except RulesError as error:
        raise Invalid({"rules": ("invalid", " ".join(error.problems))}) from error
    if len(columns) > MAX_COLUMNS:
        text = f"These are {len(columns):,} columns; a file has {MAX_COLUMNS} at most."
        raise Invalid({"columns": ("max_length", text)})
    return {"rules": clean, "columns": list(columns), "fingerprint": fingerprint(columns)}
