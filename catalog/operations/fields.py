"""The verbs of the fields of one's own: define, change, retire, delete.

What a field's definition may be is checked here for pages, API and admin alike. Its values are
changed by change sets alone: deleting a field clears them in one, which can be undone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import QuerySet
from psycopg.errors import ProgramLimitExceeded

from catalog import field_values
from catalog.field_values import Definition, bare_name
from catalog.models import ChangeSet, Field
from catalog.operations import bulk
from catalog.operations.field_indexes import KEEP
from catalog.operations.products import Invalid
from catalog.sql import fields as sql_fields
from catalog.values import FIELDS
from product_importer.common.enqueue import send_after_commit
from product_importer.common.errors import NotPossible

Errors = dict[str, tuple[str, str]]

# Offered to a catalogue that has none yet.
READY_MADE: tuple[dict[str, Any], ...] = (
    {"key": "brand", "label": "Brand", "type": "text"},
    {"key": "gtin", "label": "GTIN", "type": "gtin", "unique": True},
    {"key": "mpn", "label": "MPN", "type": "text", "in_list": False},
    {"key": "category", "label": "Category", "type": "text"},
    {"key": "stock", "label": "Stock", "type": "integer"},
    {"key": "cost", "label": "Cost", "type": "money", "in_list": False, "in_events": False},
    {"key": "compare_at_price", "label": "Compare-at price", "type": "money", "in_list": False},
    {"key": "weight", "label": "Weight", "type": "decimal", "options": {"scale": 3}},
    {"key": "image", "label": "Image", "type": "image"},
)

EDITABLE = (
    *("key", "label", "type", "options", "required", "unique", "help", "position"),
    *("in_list", "in_events", "indexed", "retired"),
)


class FieldInUse(NotPossible):
    """What was asked would lose values, or does not fit to what is there; the message says why."""


@transaction.atomic
def create_field(*, data: Mapping[str, Any]) -> Field:
    """Define a field. Raises ``Invalid`` with everything that is wrong, and ``FieldInUse``."""
    values = _cleaned({"options": {}, **data}, None)
    # What is deleted is there only as long as that can be undone.
    if Field.objects.filter(cleared_in=None).count() >= field_values.FIELDS_AT_MOST:
        most = field_values.FIELDS_AT_MOST
        raise Invalid({"key": ("too_many", f"A catalogue has at most {most} fields of its own.")})
    if "position" not in values:
        last = Field.objects.order_by("-position").values_list("position", flat=True).first()
        values["position"] = 0 if last is None else last + 1
    field = _saved(Field(**values))
    _check_values_fit(field.definition, "Choose another key")  # an undo may have brought some back
    if field.indexed:
        send_after_commit(KEEP)
    if field.unique:
        _make_unique(field)
    return field


@transaction.atomic
def create_ready_made() -> list[Field]:
    """Define the ready-made fields that are not there yet, and return them.

    Raises what ``create_field`` raises.
    """
    made = []
    for data in missing_ready_made():
        try:
            made.append(create_field(data=data))
        except Invalid:
            if data in missing_ready_made():
                raise
            # else somebody has defined it this very moment
    return made


def missing_ready_made() -> list[dict[str, Any]]:
    """The ready-made fields that are not there, by key and by label."""
    there = {bare_name(text) for pair in Field.objects.values_list("key", "label") for text in pair}
    return [
        one for one in READY_MADE if not {bare_name(one["key"]), bare_name(one["label"])} & there
    ]


@transaction.atomic
def move_field(*, field_id: int, up: bool) -> None:
    """Put a field one place up or down among those in use."""
    locked = Field.objects.select_for_update(of=("self",)).order_by("position", "id")
    every = list(locked.filter(retired=False))
    place = next((n for n, field in enumerate(every) if field.pk == field_id), None)
    if place is None:
        return
    other = place - 1 if up else place + 1
    if 0 <= other < len(every):
        every[place], every[other] = every[other], every[place]
    for position, field in enumerate(every):
        field.position = position
    Field.objects.bulk_update(every, ["position"])


@transaction.atomic
def update_field(*, field_id: int, data: Mapping[str, Any]) -> Field:
    """Change a definition. Raises ``Invalid``, ``FieldInUse`` and ``Field.DoesNotExist``.

    The key stays. Another type, fewer choices or decimals are refused where stored values would
    not fit, with how many and an example; nothing is converted in silence.
    """
    field = Field.objects.select_for_update(of=("self",)).order_by("pk").get(pk=field_id)
    values = _cleaned({**data, "key": data.get("key", field.key)}, field)
    was_unique, was_indexed, before = field.unique, field.indexed, field.definition
    for name, value in values.items():
        setattr(field, name, value)
    if field.cleared_in_id and not field.retired:
        raise FieldInUse(
            "The field is deleted: its values were cleared. Undo that to use it again."
        )
    now = field.definition
    if (now.type, now.choices, now.scale, now.unique) != (
        before.type,
        before.choices,
        before.scale,
        before.unique,
    ):
        _check_values_fit(now)
    if field.type != before.type:
        _check_no_index(field, was_indexed)
    field = _saved(field)
    if field.indexed or was_indexed:  # or a retired one comes back
        send_after_commit(KEEP)
    if field.unique and not was_unique:
        _make_unique(field)
    elif was_unique and not field.unique:
        with connection.cursor() as cursor:
            sql_fields.drop_unique_index(cursor, field.pk)
    return field


@transaction.atomic
def add_choices(*, key: str, words: Iterable[str]) -> dict[str, str]:
    """Add the words that a list lacks; return how it spells each of those that it writes otherwise.

    Raises ``ValueError`` with a sentence where they are too many. A field that is no list (any
    more) stays as it is.
    """
    field = Field.objects.select_for_update(of=("self",)).order_by("pk").filter(key=key).first()
    if field is None or field.type not in ("choice", "choices"):
        return {}
    choices = {one.casefold(): one for one in field.options["choices"]}
    known = len(choices)
    spelling = {word: choices.setdefault(word.casefold(), word) for word in words}
    if len(choices) > known:
        field_values.check_choices(list(choices.values()), field.type)
        field.options = {"choices": list(choices.values())}
        field.save(update_fields=["options"])
    return {word: stored for word, stored in spelling.items() if word != stored}


@transaction.atomic
def delete_field(*, field_id: int, actor: User | None) -> ChangeSet | None:
    """Delete a retired field: its values are cleared by a change set, which is returned.

    Undoing that one gives the values back, and the field is there again, retired. A field
    without any values goes at once (``None``). Raises ``FieldInUse``.
    """
    field = Field.objects.select_for_update(of=("self",)).order_by("pk").get(pk=field_id)
    if not field.retired:
        raise FieldInUse("Retire the field first; what is retired can be deleted.")
    if (cleared := field.cleared_in) and not _came_to_nothing(cleared):
        raise FieldInUse(
            f"The field is deleted already: its values were cleared in change set {cleared.pk}. It "
            "goes for good when that can no longer be undone."
        )
    with connection.cursor() as cursor:
        count = sql_fields.count_values(cursor, field.key)
        if not count:
            sql_fields.drop_indexes(cursor, field.pk)
    if not count:
        field.delete()
        return None
    change_set = bulk.start_bulk_act(
        kind=ChangeSet.Kind.BULK_EDIT, actor=actor, own_field=(field.key, None)
    )
    field.cleared_in = change_set
    field.save(update_fields=["cleared_in"])
    return change_set


def _came_to_nothing(cleared: ChangeSet) -> bool:
    """Whether a clearing has ended, and there is nothing to undo or something left to clear."""
    failed = cleared.status == ChangeSet.Status.FAILED
    return cleared.is_final and (failed or not cleared.changed)


# --- What a definition may be ---------------------------------------------------------


def _cleaned(data: Mapping[str, Any], field: Field | None) -> dict[str, Any]:
    """The definition's values that were given, or ``Invalid`` with all that are wrong."""
    errors: Errors = {}
    values: dict[str, Any] = {}
    for name in data:
        if name not in EDITABLE:
            errors[str(name)[:40]] = ("unknown", f"There is no such value: {', '.join(EDITABLE)}.")
    for name in ("required", "unique", "in_list", "in_events", "indexed", "retired"):
        if name in data:
            values[name] = data[name]
            if not isinstance(data[name], bool):
                errors[name] = ("invalid", "Write true or false.")
    label = data.get("label", field.label if field else "")
    _clean_label(label, data, field, values, errors)
    _clean_type(data, field, values, errors)
    if "help" in data:
        values["help"] = data["help"]
        if not isinstance(data["help"], str) or len(data["help"]) > 255 or "\0" in data["help"]:
            errors["help"] = ("invalid", "Write a text of at most 255 characters.")
    if "position" in data:
        values["position"] = data["position"]
        number = data["position"]
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 10**6:
            errors["position"] = ("invalid", "Write a whole number from 0 on.")
    if errors:
        raise Invalid(errors)
    return values


_AS_ALL = "Every product has “{}”. Choose another label."


def _clean_label(
    label: Any, data: Mapping[str, Any], field: Field | None, values: dict[str, Any], errors: Errors
) -> None:
    most = field_values.LABEL_MAX_LENGTH
    if not isinstance(label, str) or not label.strip() or len(label) > most or "\0" in label:
        errors["label"] = ("invalid", f"Write a label of 1 to {most} characters.")
        return
    values["label"] = label = label.strip()
    others = Field.objects.exclude(pk=field.pk) if field else Field.objects.all()
    is_new = field is None or label != field.label
    if is_new and (other := _named_alike(label, others)):
        errors["label"] = ("unique", f"There is a field “{other}” already.")
        return
    if field is not None and is_new and bare_name(label) in FIELDS:
        errors["label"] = ("unique", _AS_ALL.format(bare_name(label)))
        return
    key = data.get("key", "")
    if not isinstance(key, str):
        errors["key"] = ("invalid", "The key has to be a text.")
        return
    key = key or (_free_key(label) if field is None else field.key)
    if field is not None:
        if key != field.key:
            errors["key"] = ("invalid", "A key stays as it is: programs and formats name it.")
        return
    try:
        values["key"] = field_values.clean_key(key)
    except ValueError as error:
        errors["key"] = ("invalid", str(error))
        return
    if Field.objects.filter(key=values["key"]).exists():
        errors["key"] = ("unique", f"There is a field with the key “{key}” already.")
    elif other := _named_alike(values["key"], Field.objects.all()):
        errors["key"] = ("unique", f"A column of this name means the field “{other}” already.")
    elif bare_name(label) in FIELDS:
        errors["label"] = ("unique", _AS_ALL.format(bare_name(label)))


def _named_alike(name: str, fields: QuerySet[Field]) -> str:
    """The label of a field whose columns a file would call the same, or blank.

    A column means a field by its label or its key, whatever the case, blanks and hyphens.
    """
    bare = bare_name(name)
    found = fields.values_list("label", "key")
    return next((label for label, key in found if bare in (bare_name(label), bare_name(key))), "")


def _free_key(label: str) -> str:
    """A key made of a label; with a number behind it where another field has it."""
    key = field_values.key_of(label)
    taken = set(Field.objects.values_list("key", flat=True))
    number, free = 1, key
    while free in taken:
        number += 1
        end = f"_{number}"
        free = key[: field_values.KEY_MAX_LENGTH - len(end)].rstrip("_") + end
    return free


def _clean_type(
    data: Mapping[str, Any], field: Field | None, values: dict[str, Any], errors: Errors
) -> None:
    type = data.get("type", field.type if field else None)
    if type not in Field.Type.values:
        errors["type"] = ("invalid", f"Choose one of: {', '.join(Field.Type.values)}.")
        return
    values["type"] = type
    options = data.get("options", field.options if field else {})
    if not isinstance(options, dict):
        errors["options"] = ("invalid", "Send an object.")
        return
    values["options"] = {}
    if type in ("choice", "choices"):
        try:
            values["options"] = {"choices": _choices(options.get("choices"), type)}
        except ValueError as error:
            errors["options"] = ("invalid", str(error))
    elif not _may_be_choices(options.get("choices", [])):
        errors["options"] = ("invalid", "Send the list of choices as short texts.")
    scale = options.get("scale", field_values.MONEY_SCALE)
    if type == "decimal":
        values["options"] = {"scale": scale}
    most = field_values.SCALE_AT_MOST  # wrong for any type, though only one has use for it
    if not isinstance(scale, int) or isinstance(scale, bool) or not 0 <= scale <= most:
        errors["options"] = ("invalid", f"The scale is a whole number from 0 to {most}.")
    unique = data.get("unique", field.unique if field else False)
    if unique is True and type in ("long_text", "boolean", "choices"):
        errors["unique"] = ("invalid", "Values of this type are too long or too few to be unique.")
    indexed = data.get("indexed", field.indexed if field else False)
    if indexed is True and type == "choices":
        errors["indexed"] = ("invalid", "Several of a list are not found by an index.")


def _may_be_choices(given: Any) -> bool:
    """Whether these could be choices, of a type that has no use for them."""
    texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
    most, longest = field_values.CHOICES_AT_MOST, field_values.CHOICE_MAX_LENGTH
    return texts and len(given) <= most and all(len(one) <= longest for one in given)


def _choices(given: Any, type: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError("Send the list of choices as texts.")
    choices = [one.strip() for one in given]
    field_values.check_choices(choices, type)
    return choices


def _saved(field: Field) -> Field:
    try:
        with transaction.atomic():
            field.save()
    except IntegrityError as error:  # somebody defined the same one this very moment
        raise Invalid({"label": ("unique", "There is such a field already.")}) from error
    return field


# --- What the stored values are -------------------------------------------------------


def _check_values_fit(definition: Definition, advice: str = "") -> None:
    """Raise ``FieldInUse`` where stored values are no values of this definition, as they stand."""
    bad, example, are_values = 0, "", True
    with connection.cursor() as cursor:
        for value, count, sku in sql_fields.distinct_values(cursor, definition.key):
            again = _value_of(definition, value)
            if again != value or type(again) is not type(value):  # 1 is true to Python
                bad += count
                are_values &= again is not None
                example = example or f"“{str(value)[:60]}” of {sku}"
    if not bad:
        return
    told = f"{bad:,} product{' has a value' if bad == 1 else 's have values'} that would"
    if are_values and not advice:
        raise FieldInUse(
            f"{told} be kept in another form, {example} for one. Export the field, clear it, "
            "change it, and import it again; nothing was changed."
        )
    advice = advice or "Change those first"
    raise FieldInUse(f"{told} not fit, {example} for one. {advice}; nothing was changed.")


def _check_no_index(field: Field, asked_for: bool) -> None:
    """Raise ``FieldInUse`` while the field has an index: it takes values of the old type alone."""
    names = {sql_fields.order_index(field.pk), sql_fields.part_index(field.pk)}
    with connection.cursor() as cursor:
        there = names & set(sql_fields.field_indexes(cursor))
    if asked_for or there:
        raise FieldInUse(
            "The field has an index of its own, of values of its type. Take it away first; it is "
            "gone a moment later. Then change the type."
        )


def _value_of(definition: Definition, value: Any) -> Any:
    """What a stored value would be stored as again; ``None`` if it is none of this definition."""
    try:
        return field_values.clean_value(definition, value)
    except ValueError:
        return None


def _make_unique(field: Field) -> None:
    with connection.cursor() as cursor:
        shared = sql_fields.shared_values(cursor, field.key)
        if shared:
            value, count = shared[0]
            raise FieldInUse(
                f"{count:,} products share the {field.label} “{value[:60]}”"
                + (f", and so it is with {len(shared) - 1} more" if len(shared) > 1 else "")
                + ". Mend those first, then make the field unique."
            )
        try:
            with transaction.atomic():
                sql_fields.create_unique_index(cursor, field.pk, field.key)
        except OperationalError as error:
            # Of products as they were before, as long as an older transaction may see them so.
            if not isinstance(error.__cause__, ProgramLimitExceeded):
                raise
            raise FieldInUse(
                f"A {field.label} that a product had a moment ago is too long to be unique, and "
                "somebody may still be reading it. Try again in a moment."
            ) from error
