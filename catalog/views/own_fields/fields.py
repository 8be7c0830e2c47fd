"""The pages of the fields of one's own: the list, one field's form, retiring and deleting."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.models import Field
from catalog.operations import fields
from catalog.operations.products import Invalid
from catalog.queries.own_fields.fields import counted_values, lacking_values
from product_importer.common.actor import actor_of
from product_importer.common.parsing import TEXT_MAX_LENGTH, whole_number

may_change = permission_required("catalog.change_field", raise_exception=True)
FLAGS = ("required", "unique", "in_list", "in_events", "indexed")


@require_GET
@permission_required("catalog.view_field", raise_exception=True)
def field_list(request: HttpRequest) -> HttpResponse:
    """The fields in their order, the retired ones below."""
    every = list(Field.objects.select_related("cleared_in"))
    in_use = [field for field in every if not field.retired]
    return render(
        request,
        "catalog/fields.html",
        {
            "title": "Fields",
            "in_use": in_use,
            "retired": [field for field in every if field.retired],
            "ready_made": fields.READY_MADE,
            "missing": fields.missing_ready_made(),
        },
    )


@require_http_methods(["GET", "POST"])
@permission_required("catalog.add_field", raise_exception=True)
def field_new(request: HttpRequest) -> HttpResponse:
    """Define a field."""
    context: dict[str, Any] = {"values": {"type": "text", "in_list": True, "in_events": True}}
    if request.method == "POST":
        data = _typed(request)
        try:
            field = fields.create_field(data=data)
        except (Invalid, fields.FieldInUse) as error:
            return _form(request, None, {"values": _shown(request), **_errors(error)}, status=422)
        messages.success(request, f"The field “{field.label}” is there.")
        return redirect("field-list")
    return _form(request, None, context)


@require_http_methods(["GET", "POST"])
@may_change
def field_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a field's definition."""
    field = get_object_or_404(Field, pk=pk)
    if request.method == "POST":
        try:
            saved = fields.update_field(field_id=pk, data=_typed(request))
        except (Invalid, fields.FieldInUse) as error:
            return _form(request, field, {"values": _shown(request), **_errors(error)}, status=422)
        messages.success(request, f"The field “{saved.label}” was saved.")
        if saved.required and not field.required and (lacking := lacking_values(saved.key)):
            messages.info(
                request,
                f"{lacking:,} products have no {saved.label}. They stay as they are; it is asked "
                "for when one of them is given a blank one, and of every new product.",
            )
        return redirect("field-list")
    values = {name: getattr(field, name) for name in (*FLAGS, "label", "key", "type", "help")}
    values["choices"] = "\n".join(field.options.get("choices", ()))
    values["scale"] = field.options.get("scale", 2)
    return _form(request, field, {"values": values, "used": counted_values(field.key)})


@require_POST
@permission_required("catalog.add_field", raise_exception=True)
def field_ready_made(request: HttpRequest) -> HttpResponse:
    """Define the ready-made fields that are not there yet."""
    try:
        made = fields.create_ready_made()
    except (Invalid, fields.FieldInUse) as error:
        told = error.sentence if isinstance(error, Invalid) else str(error)
        messages.error(request, told)
        return redirect("field-list")
    names = ", ".join(field.label for field in made)
    messages.success(request, f"Made: {names}." if made else "All of them were there already.")
    return redirect("field-list")


@require_POST
@may_change
def field_move(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a field one place up or down."""
    get_object_or_404(Field, pk=pk)
    fields.move_field(field_id=pk, up=request.POST.get("up") == "true")
    return redirect("field-list")


@require_POST
@may_change
def field_retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Retire a field, or take it into use again."""
    field = get_object_or_404(Field, pk=pk)
    retired = request.POST.get("retired") == "true"
    try:
        fields.update_field(field_id=pk, data={"retired": retired})
    except fields.FieldInUse as error:
        messages.error(request, str(error))
    else:
        messages.success(request, told_of_retiring(field, retired))
    return redirect("field-list")


def told_of_retiring(field: Field, retired: bool) -> str:
    """What has become of a field that was retired or is in use again."""
    told = "is retired. Its values are kept." if retired else "is in use again."
    return f"The field “{field.label}” {told}"


@require_http_methods(["GET", "POST"])
@permission_required("catalog.delete_field", raise_exception=True)
def field_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, with how many values go; then clear them as a change set."""
    field = get_object_or_404(Field, pk=pk)
    if request.method == "POST":
        try:
            change_set = fields.delete_field(field_id=pk, actor=actor_of(request))
        except fields.FieldInUse as error:
            messages.error(request, str(error))
            return redirect("field-list")
        if change_set is None:
            messages.success(request, f"The field “{field.label}” was deleted.")
            return redirect("field-list")
        return redirect("change-detail", change_set.pk)
    context = {"title": f"Delete {field.label}?", "field": field, "used": counted_values(field.key)}
    return render(request, "catalog/field_delete.html", context)


def _form(
    request: HttpRequest, field: Field | None, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    title = field.label if field else "New field"
    types = [(choice.value, choice.label) for choice in Field.Type]
    shown = {"title": title, "field": field, "types": types, "flags": FLAGS, **context}
    return render(request, "catalog/field.html", shown, status=status)


def _errors(error: Exception) -> dict[str, Any]:
    if isinstance(error, Invalid):
        return {"errors": error.sentences}
    return {"errors": {}, "refused": str(error)}


def _shown(request: HttpRequest) -> dict[str, Any]:
    """What was typed, to be shown again."""
    texts = {name: request.POST.get(name, "") for name in _TEXTS}
    return {**texts, **{name: name in request.POST for name in FLAGS}}


_TEXTS = ("label", "key", "type", "help", "choices", "scale")


def _typed(request: HttpRequest) -> dict[str, Any]:
    """The form's values as the operations take them."""
    given = _shown(request)
    data: dict[str, Any] = {name: given[name] for name in ("label", "type", "help", *FLAGS)}
    if key := given["key"].strip():
        data["key"] = key
    data["options"] = typed_options(given["type"], given["choices"], given["scale"])
    return data


def typed_options(type: str, choices: str, scale: str) -> dict[str, Any]:
    """The options of a field: of a list its choices, one a line; of a decimal its places."""
    if type in ("choice", "choices"):
        lines = choices[: TEXT_MAX_LENGTH * 100].splitlines()
        return {"choices": [line.strip() for line in lines if line.strip()]}
    return {"scale": whole_number(scale.strip())} if type == "decimal" else {}
