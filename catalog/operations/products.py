"""The verbs of the catalogue: what is done to one product.

Every write to products belongs to a change set (``change_sets``), and its events are in the same
transaction. What is done to many products at once is in ``catalog.operations.bulk``.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from structlog import get_logger

from catalog import field_values, values
from catalog.field_values import Definition
from catalog.models import BroughtBack, Change, ChangeSet, Field, Product, RemovedProduct
from catalog.queries import products as queries
from catalog.queries.own_fields.fields import definitions
from catalog.sql.fields import unique_index
from catalog.sql.violations import SKU_INDEX, violated
from catalog.values import FIELDS
from product_importer.common.errors import Invalid as Invalid
from product_importer.common.errors import NotPossible
from product_importer.common.parsing import TEXT_MAX_LENGTH
from webhooks.models import Event
from webhooks.operations.events import record_event

logger = get_logger(__name__)


class Conflict(NotPossible):
    """Somebody changed the product since it was read. ``product`` is what it is now."""

    def __init__(self, product: Product) -> None:
        super().__init__(
            f"The product was changed by somebody else: it is at version {product.version} now. "
            "Read it again, and repeat the change if it is still right."
        )
        self.product = product


def clean_values(data: Mapping[str, Any], *, partial: bool, typed: bool = False) -> dict[str, Any]:
    """Bring what a person or a program sent into the values that a product stores.

    Takes text, numbers, booleans and ``None`` for the five fields, under ``fields`` an object of
    those for the own ones by key, and overlooks anything else. ``partial``: fields that are
    missing stay as they are; else a SKU, a name and the required own ones are asked for.
    ``typed``: by a person, who writes a price with a decimal comma. Raises ``Invalid``
    with every field that is wrong, an own one as ``fields.KEY``.
    """
    cleaned: dict[str, Any] = {}
    errors: dict[str, tuple[str, str]] = {}
    for field in FIELDS:
        if field not in data:
            if not partial and field in ("sku", "name"):
                errors[field] = ("required", "Every product needs one.")
            continue
        try:
            cleaned[field] = _clean_value(field, data[field], typed)
        except ValueError as error:
            errors[field] = ("invalid", str(error))
    errors |= _misplaced(data)
    if "fields" in data or not partial:
        own, wrong = _clean_own(data.get("fields", {}), partial=partial, typed=typed)
        errors |= wrong
        if own:
            cleaned["own_fields"] = own
    if errors:
        raise Invalid(errors)
    if cleaned.get("active", True) is None:
        del cleaned["active"]  # blank keeps what is stored, as in a file
    return cleaned


def _clean_own(
    data: Any, *, partial: bool, typed: bool
) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """The values of own fields by key (``None`` takes one away), and what is wrong with them."""
    known = definitions()
    if not isinstance(data, Mapping):
        return {}, {"fields": ("invalid", "Send an object: the fields' keys and their values.")}
    cleaned: dict[str, Any] = {}
    errors: dict[str, tuple[str, str]] = {}
    for key, value in data.items():
        if key not in known:
            there = ", ".join(known) or "none yet"
            sentence = f"There is no field “{str(key)[:40]}”. There are: {there}."
            errors[f"fields.{str(key)[:40]}"] = ("unknown", sentence)
            continue
        try:
            cleaned[key] = field_values.clean_value(known[key], value, typed=typed)
        except ValueError as error:
            errors[f"fields.{key}"] = ("invalid", str(error))
            continue
    if not partial:
        for key, definition in known.items():
            if definition.required and cleaned.get(key) is None:
                errors.setdefault(f"fields.{key}", _lacks(definition))
    return cleaned, errors


def _lacks(definition: Definition) -> tuple[str, str]:
    return "required", f"Every product needs its {definition.label}."


_BESIDE_FIELDS = {*FIELDS, "fields", "id", "version", "created_at", "updated_at"}


def _misplaced(data: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What is wrong with own fields that stand beside ``fields``: they would be lost in silence."""
    beside = {str(name).removeprefix("fields.") for name in data if name not in _BESIDE_FIELDS}
    if not beside:
        return {}
    return {
        f"fields.{key}": (
            "misplaced",
            f'{one.label} is a field of your own. Send it as {{"fields": {{"{key}": ...}}}}.',
        )
        for key, one in definitions().items()
        if key in beside
    }


_CLEANERS: dict[str, Any] = {
    "sku": values.clean_sku,
    "name": values.clean_name,
    "description": values.clean_description,
    "price": values.clean_price,
    "active": values.clean_active,
}

_CENT = Decimal("0.01")


def _clean_value(field: str, value: Any, typed: bool) -> Any:
    if isinstance(value, bool) and field == "active":
        return value
    if value is None:
        value = ""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("This has to be a text.")
    if field != "description" and len(value) > TEXT_MAX_LENGTH:  # whatever becomes of it trimmed
        raise ValueError(f"The text has {len(value):,} characters, far too many.")
    if "\0" in value:
        raise ValueError("The text contains a NUL byte. Type it again.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("The text contains half a character. Type it again.")
    by_hand = typed and field == "price"
    cleaned = values.clean_typed_price(value) if by_hand else _CLEANERS[field](value)
    if field == "price" and cleaned is not None:
        return Decimal(cleaned).quantize(_CENT)  # as it is read back
    return cleaned


@transaction.atomic
def create_product(*, actor: User | None, data: Mapping[str, Any], typed: bool = False) -> Product:
    """Create a product. Raises ``Invalid``, with code ``unique`` for an SKU that exists."""
    cleaned = clean_values(data, partial=False, typed=typed)
    change_set = _finished(ChangeSet.Kind.CREATE, actor, created=1, request={"sku": cleaned["sku"]})
    cleaned["own_fields"] = _merged(None, cleaned.pop("own_fields", {}))
    product = Product(**cleaned, created_in=change_set, changed_in=change_set)
    product.updated_at = product.created_at
    _save(product, force_insert=True)
    _tell(Event.Type.PRODUCT_CREATED, product, change_set)
    return product


@transaction.atomic
def update_product(
    *,
    product_id: int,
    actor: User | None,
    data: Mapping[str, Any],
    version: int | None = None,
    typed: bool = False,
) -> Product:
    """Change the fields that are given. One that already has the values is left alone.

    ``version`` is the one that the caller has seen; a product that has moved on raises
    ``Conflict``. Raises ``Invalid`` and ``Product.DoesNotExist``.
    """
    cleaned = clean_values(data, partial=True, typed=typed)
    product = _locked(product_id, version)
    own_before: dict[str, Any] | None = None
    if given := cleaned.pop("own_fields", None):
        own = product.own_fields or {}
        if typed:
            given |= {key: _as_stored(own.get(key), value) for key, value in given.items()}
        _check_required(own, given)
        own_before = {key: own.get(key) for key in given if own.get(key) != given[key]} or None
        cleaned["own_fields"] = _merged(product.own_fields, given)
    if data.get("sku") == product.sku:  # one that is stored may be older than today's cleaning
        cleaned["sku"] = product.sku
    if typed and "description" in cleaned:
        cleaned["description"] = _as_stored(product.description, cleaned["description"])
    changed = [name for name in cleaned if getattr(product, name) != cleaned[name]]
    if not changed:
        return product
    change_set = _finished(ChangeSet.Kind.EDIT, actor, updated=1)
    before = Change(
        change_set=change_set,
        product=product,
        fields=sum(Change.Field[name.upper()] for name in changed),
        old_version=product.version,
        old_changed_in=product.changed_in_id,
        old_updated_at=product.updated_at,
        **{f"old_{name}": getattr(product, name) for name in changed if name != "own_fields"},
        old_own_fields=own_before,
    )
    for name in changed:
        setattr(product, name, cleaned[name])
    product.version += 1
    product.updated_at = timezone.now()
    product.changed_in = change_set
    _save(product, update_fields=[*changed, "version", "updated_at", "changed_in"])
    before.save()
    told = [name for name in changed if name != "own_fields"]
    told += [f"fields.{key}" for key in own_before or ()]
    _tell(Event.Type.PRODUCT_UPDATED, product, change_set, changed=told)
    return product


def _as_stored(stored: Any, typed: Any) -> Any:
    """What was typed; where it has the stored text's lines, that: a form ends all lines alike."""
    if isinstance(stored, str) and isinstance(typed, str) and _line_fed(stored) == _line_fed(typed):
        return stored
    return typed


def _line_fed(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_required(stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ``Invalid`` for a required field that is taken away; one that was never there may stay
    away."""
    cleared = {key for key, value in given.items() if value is None and key in stored}
    if not cleared:
        return
    required = {key: one for key, one in definitions().items() if one.required and key in cleared}
    if required:
        raise Invalid({f"fields.{key}": _lacks(one) for key, one in required.items()})


def _merged(stored: dict[str, Any] | None, given: dict[str, Any]) -> dict[str, Any] | None:
    """Own fields with new values over the stored ones; ``None`` where there are none left."""
    merged = {**(stored or {}), **given}
    return {key: value for key, value in merged.items() if value is not None} or None


@transaction.atomic
def delete_product(*, product_id: int, actor: User | None, version: int | None = None) -> ChangeSet:
    """Delete a product. Raises ``Conflict`` and ``Product.DoesNotExist``."""
    product = _locked(product_id, version)
    change_set = _finished(ChangeSet.Kind.DELETE, actor, deleted=1)
    RemovedProduct.objects.create(
        change_set=change_set,
        id=product.pk,
        version=product.version,
        created_at=product.created_at,
        updated_at=product.updated_at,
        created_in=product.created_in_id,
        changed_in=product.changed_in_id,
        own_fields=product.own_fields,
        **{name: getattr(product, name) for name in FIELDS},
    )
    _tell(Event.Type.PRODUCT_DELETED, product, change_set)
    Product.objects.filter(pk=product_id)._raw_delete("default")
    return change_set


@transaction.atomic
def bring_back_product(*, product_id: int, actor: User | None) -> Product:
    """Put a deleted product back as it was, with its old number, whatever deleted it.

    Raises ``Product.DoesNotExist`` if it never was or is too old, ``Invalid`` if its SKU is taken.
    """
    # Whoever does it at the same time waits here, and finds the product.
    list(RemovedProduct.objects.select_for_update().filter(id=product_id).values_list("id"))
    removed = queries.removed_product(product_id)
    if removed is None or Product.objects.filter(pk=product_id).exists():
        raise Product.DoesNotExist
    brought = ChangeSet.objects.filter(pk=removed.created_in or 0)
    change_set = _finished(
        ChangeSet.Kind.CREATE,
        actor,
        created=1,
        request={"sku": removed.sku},
        supplier=brought.values_list(
            "supplier", flat=True
        ).first(),  # who brought it in the first time
    )
    product = Product(
        pk=product_id,
        version=removed.version + 1,
        created_at=removed.created_at,
        created_in=change_set,
        changed_in=change_set,
        own_fields=removed.own_fields,
        **{name: getattr(removed, name) for name in FIELDS},
    )
    _save(product, force_insert=True)
    BroughtBack.objects.create(first_id=product_id, last_id=product_id)
    _tell(Event.Type.PRODUCT_CREATED, product, change_set)
    return product


@transaction.atomic
def restore_product(
    *, product_id: int, actor: User | None, values: Mapping[str, Any], version: int | None
) -> Product:
    """Give a product the values of an earlier state (``queries.products.HistoryEntry``).

    Raises what ``update_product`` raises. Of own fields those in use are given back.
    """
    product = Product.objects.get(pk=product_id)
    then, now = values.get("own_fields") or {}, product.own_fields or {}
    own = {key: then.get(key) for key in definitions() if key in then or key in now}
    data = {name: values[name] for name in FIELDS if name in values}
    return update_product(
        product_id=product_id, actor=actor, data={**data, "fields": own}, version=version
    )


def _locked(product_id: int, version: int | None) -> Product:
    product = Product.objects.select_for_update(of=("self",)).order_by("pk").get(pk=product_id)
    if version is not None and product.version != version:
        raise Conflict(product)
    return product


def _save(product: Product, **options: Any) -> None:
    """Save, and say it beside the field if the SKU is taken: only the database can tell."""
    try:
        with transaction.atomic():
            product.save(**options)
    except IntegrityError as error:
        broken = violated(error)
        for field in Field.objects.filter(unique=True):
            if broken == unique_index(field.pk):
                other = f"Another product has this {field.label}, and no two may share one."
                raise Invalid({f"fields.{field.key}": ("unique", other)}) from error
        if broken != SKU_INDEX:
            raise
        taken = f"A product with the SKU “{product.sku}” exists already (upper and lower case "
        taken += "are the same). Change that one, or choose another SKU."
        raise Invalid({"sku": ("unique", taken)}) from error


def _finished(kind: ChangeSet.Kind, actor: User | None, **counts: Any) -> ChangeSet:
    """The change set of a single act, which needs no turn: the row's lock is enough."""
    return ChangeSet.objects.create(
        kind=kind,
        actor=actor,
        status=ChangeSet.Status.COMPLETED,
        finished_at=timezone.now(),
        **counts,
    )


def _tell(type: Event.Type, product: Product, change_set: ChangeSet, **more: Any) -> None:
    """The event of a single act; without the description, which may be too long for one."""
    record_event(
        type=type,
        data={
            "id": product.pk,
            "sku": product.sku,
            "name": product.name,
            "price": None if product.price is None else f"{product.price:.2f}",
            "active": product.active,
            **_told_fields(product),
            "version": product.version,
            "change_set": change_set.pk,
            **more,
        },
    )


def _told_fields(product: Product) -> dict[str, Any]:
    """The own fields that webhooks tell, but for long texts, which may be too long for an event."""
    told = Field.objects.filter(retired=False, in_events=True).exclude(type=Field.Type.LONG_TEXT)
    own = product.own_fields or {}
    values = {key: own.get(key) for key in told.values_list("key", flat=True)}
    return {"fields": values} if values else {}
