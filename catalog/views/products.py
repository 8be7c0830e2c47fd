"""One product: a cell of the list, its own page, and its end. Parts work without htmx too."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST

from catalog.field_values import in_words
from catalog.models import ChangeSet, Product, RemovedProduct
from catalog.operations import products as operations
from catalog.queries import products as queries
from catalog.queries.acts import describe_act, name_history, supplier_name
from catalog.queries.own_fields.fields import definitions
from catalog.queries.own_fields.filters import OWN_PREFIX
from catalog.queries.personal import settings_of
from catalog.values import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH, SKU_MAX_LENGTH
from catalog.views.endings import list_place, list_url, tell_done
from catalog.views.own_fields.inputs import own_inputs, typed_own
from catalog.views.product_list import EDITABLE, may_see, shown_state, shows_images
from product_importer.common.actor import actor_of
from product_importer.common.parsing import whole_number

HISTORY_SHOWN = 20
FORM_ORDER = ("sku", "name", "price", "active", "description")

may_change = permission_required("catalog.change_product", raise_exception=True)


@require_http_methods(["GET", "POST"])
@may_change
def product_row(request: HttpRequest, pk: int) -> HttpResponse:
    """A row of the list: to look at, with ``?edit=FIELD`` one cell as a form; POST saves that.

    ``next`` names the cell that is opened after it.
    """
    product = get_object_or_404(Product, pk=pk)
    context = shown_state(request.GET, settings_of(request.user))
    editable = {*EDITABLE, *(column.name for column in context["columns"] if column.field)}
    if request.method == "GET":
        edit = request.GET.get("edit", "")
        edit = edit if edit in editable else ""
        context |= {**_form(product), "edit": edit, "focus": edit}
        return render(request, "catalog/_row.html", _with_cell(context))
    field = request.POST.get("field", "")
    if field not in editable:
        raise Http404
    saved, answer = _save(request, product, only=field)
    if saved is None:
        quiet = request.POST.get("quiet") == "1"  # the person types elsewhere by now
        context |= {**answer, "edit": field, "focus": "" if quiet else field}
        page = _with_cell(context)
        return render(request, "catalog/_row.html", page, status=answer["status"])
    following = request.POST.get("next", "")
    following = following if following in editable else ""
    flash = saved.version != product.version
    if flash:
        tell_done(request, f"{saved.sku} was saved.", saved.changed_in)
    context |= {**_form(saved), "edit": following, "focus": following, "flash": flash}
    context["here"] = list_url(list_place(request))
    return render(request, "catalog/_saved_row.html", _with_cell(context))


def _with_cell(context: dict[str, Any]) -> dict[str, Any]:
    """A row's context with what stands in the cell that is edited."""
    edit, values = context["edit"], context["values"]
    if not edit.startswith(OWN_PREFIX):
        return {**context, "value": values.get(edit)}
    key = edit.removeprefix(OWN_PREFIX)
    product, typed = context["product"], values.get("fields", {})
    inputs = own_inputs(product, typed, context["field_errors"], only=key)
    told = {"told": f"told-{product.pk}"}
    return {**context, "own_input": {**inputs[0], **told} if inputs else None}


@require_http_methods(["GET", "POST"])
@may_see
@shows_images
def product_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One product: its values as a form, and what happened to it; a deleted one too."""
    may_edit = request.user.has_perm("catalog.change_product")
    if request.method == "POST" and not may_edit:
        raise PermissionDenied
    place = list_place(request)
    product = Product.objects.filter(pk=pk).first()
    if product is None:
        return _deleted(request, pk, place)
    context = _form(product)
    status = 200
    if request.method == "POST":
        saved, answer = _save(request, product)
        if saved is not None:
            if saved.version != product.version:
                tell_done(request, f"{saved.sku} was saved.", saved.changed_in)
            else:
                messages.success(request, "Nothing had changed.")
            return redirect(_page(pk, place))
        context, status = answer, answer["status"]
    typed = context["values"].get("fields", {})
    own = own_inputs(context["product"], typed, context["field_errors"])
    return render(
        request,
        "catalog/product.html",
        {
            "own_inputs": own,
            "own_values": [] if may_edit else _own_values(product),
            "title": product.sku,
            "place": place,
            "back": list_url(place),
            **_supplier(product),
            **_history(request, product),
            **context,
        },
        status=status,
    )


def _page(pk: int, place: str) -> str:
    """The address of a product's page that knows the way back to the list."""
    query = f"?{urlencode({'back': place})}" if place else ""
    return reverse("product-detail", args=[pk]) + query


def _supplier(product: Product) -> dict[str, Any]:
    """Who brought a product in, if it was a supplier; ``supplier_name`` is blank once deleted."""
    number = product.created_in.supplier if product.created_in else None
    return {"supplier": number, "supplier_name": supplier_name(number)}


def _history(request: HttpRequest, product: Product | RemovedProduct) -> dict[str, Any]:
    history = queries.product_history(product)
    everything = "history" in request.GET
    shown = history.entries if everything else history.entries[:HISTORY_SHOWN]
    return {
        "history": name_history(shown),
        "older": 0 if everything else max(0, len(history.entries) - HISTORY_SHOWN),
        "complete": history.complete,
    }


def _own_values(product: Product | RemovedProduct) -> list[tuple[str, str]]:
    """The fields of one's own that it has a value in, and what it is, for who cannot edit it."""
    stored = product.own_fields or {}
    return [
        (definition.label, in_words(definition, stored[key]))
        for key, definition in definitions().items()
        if stored.get(key) is not None
    ]


def _deleted(request: HttpRequest, pk: int, place: str) -> HttpResponse:
    """The page of a product that is gone: who deleted it, what it was, and the way back."""
    removed = queries.removed_product(pk)
    if removed is None:
        raise Http404
    deletion = ChangeSet.objects.filter(pk=removed.change_set_id).first()
    return render(
        request,
        "catalog/deleted.html",
        {
            "title": removed.sku,
            "product": removed,
            "deletion": deletion,
            "words": describe_act(deletion) if deletion else "",
            "own_values": _own_values(removed),
            "place": place,
            "back": list_url(place),
            **_history(request, removed),
        },
        status=200 if request.method == "GET" else 404,
    )


@require_POST
@permission_required("catalog.add_product", raise_exception=True)
def product_bring_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a deleted product back as it was."""
    try:
        product = operations.bring_back_product(product_id=pk, actor=actor_of(request))
    except operations.Invalid as error:
        messages.error(request, f"It was not brought back. {error.sentence}")
    except Product.DoesNotExist:
        raise Http404 from None
    else:
        tell_done(request, f"{product.sku} is in the catalogue again.", product.changed_in)
    return redirect(_page(pk, list_place(request)))


@require_POST
@may_change
def product_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a product the values of an earlier state of its history, as an edit."""
    product = get_object_or_404(Product, pk=pk)
    wanted = whole_number(request.POST.get("state", ""), digits=9)
    entries = queries.product_history(product).entries
    entry = next((one for one in entries if one.values and one.version == wanted), None)
    if entry is None:
        raise Http404
    try:
        saved = operations.restore_product(
            product_id=pk, actor=actor_of(request), values=entry.values, version=_version(request)
        )
    except operations.Conflict:
        messages.error(
            request, "Somebody changed the product since you looked. Nothing was restored: look."
        )
    except operations.Invalid as error:
        messages.error(request, f"Nothing was restored. {error.sentence}")
    except Product.DoesNotExist:
        raise Http404 from None
    else:
        tell_done(request, f"{saved.sku} is as it was before.", saved.changed_in)
    return redirect(_page(pk, list_place(request)))


@require_http_methods(["GET", "POST"])
@permission_required("catalog.add_product", raise_exception=True)
def product_new(request: HttpRequest) -> HttpResponse:
    place = list_place(request)
    context: dict[str, Any] = {"values": {"active": True}, "field_errors": {}, **LENGTHS}
    context |= {"focus": "sku", "place": place, "back": list_url(place)}
    status = 200
    if request.method == "POST":
        data = _typed(request)
        try:
            product = operations.create_product(actor=actor_of(request), data=data, typed=True)
        except operations.Invalid as error:
            context |= {"values": data, **_in_question(error.sentences)}
            status = 400
        else:
            tell_done(request, f"{product.sku} was created.", product.changed_in)
            return redirect(_page(product.pk, place))
    context["own_inputs"] = own_inputs(None, typed_own(request.POST), context["field_errors"])
    return render(request, "catalog/new.html", {"title": "New product", **context}, status=status)


@require_http_methods(["GET", "POST"])
@permission_required("catalog.delete_product", raise_exception=True)
def product_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks before it deletes; a product that somebody changed meanwhile is shown again."""
    product = get_object_or_404(Product, pk=pk)
    place = list_place(request)
    changed = False
    if request.method == "POST":
        try:
            deletion = operations.delete_product(
                product_id=pk, actor=actor_of(request), version=_version(request)
            )
        except operations.Conflict as conflict:
            product, changed = conflict.product, True
        except Product.DoesNotExist:
            raise Http404 from None
        else:
            tell_done(request, f"{product.sku} was deleted.", deletion)
            return redirect(list_url(place))
    return render(
        request,
        "catalog/delete.html",
        {
            "title": f"Delete {product.sku}?",
            "product": product,
            "changed": changed,
            "place": place,
            "back": _page(product.pk, place),
        },
        status=409 if changed else 200,
    )


LENGTHS = {
    "sku_max": SKU_MAX_LENGTH,
    "name_max": NAME_MAX_LENGTH,
    "description_max": DESCRIPTION_MAX_LENGTH,
}


def _form(product: Product) -> dict[str, Any]:
    """A form's content: the values as text, as nobody has touched them yet."""
    return {
        "product": product,
        "version": product.version,
        "values": {
            "sku": product.sku,
            "name": product.name,
            "description": product.description,
            "price": "" if product.price is None else f"{product.price:.2f}",
            "active": product.active,
        },
        "field_errors": {},
        **LENGTHS,
    }


def _save(
    request: HttpRequest, product: Product, only: str = ""
) -> tuple[Product | None, dict[str, Any]]:
    """Save the form; else what to show again: everything typed, and what is in its way.

    ``only``: the one field that was edited, in a cell. What others did to the other fields since
    is then no conflict.
    """
    data = _typed(request)
    if only.startswith(OWN_PREFIX):
        key = only.removeprefix(OWN_PREFIX)
        data = {
            "fields": {name: text for name, text in typed_own(request.POST).items() if name == key}
        }
    elif only:
        data = {only: data[only]} if only in data else {}
    seen = _version(request)
    try:
        saved = _update(request, product.pk, data, seen, only)
    except operations.Invalid as error:
        again = {**_form(product), "version": seen}
        again["values"] |= data
        return None, {**again, **_in_question(error.sentences), "status": 422}
    except operations.Conflict as conflict:
        merged = queries.merge_edit(conflict.product, typed=data, seen_version=seen or 0)
        form = _form(conflict.product)
        return None, {
            **form,
            "values": form["values"] | merged.values,
            "conflict": merged,
            "focus": merged.conflicts[0].field if merged.conflicts else "",
            "status": 409,
        }
    except Product.DoesNotExist:
        raise Http404 from None
    return saved, {}


def _update(
    request: HttpRequest, pk: int, data: dict[str, Any], seen: int | None, only: str
) -> Product:
    edit: dict[str, Any] = {"product_id": pk, "actor": actor_of(request), "data": data}
    try:
        return operations.update_product(**edit, version=seen, typed=True)
    except operations.Conflict as conflict:
        merged = queries.merge_edit(conflict.product, typed=data, seen_version=seen or 0)
        if not only or merged.conflicts:
            raise
        return operations.update_product(**edit, version=conflict.product.version, typed=True)


def _in_question(errors: dict[str, str]) -> dict[str, Any]:
    """The errors, and the first field of the form that has one: it gets the focus."""
    return {
        "field_errors": errors,
        "focus": next((name for name in FORM_ORDER if name in errors), ""),
    }


def _typed(request: HttpRequest) -> dict[str, Any]:
    # Browsers send a line break in a text area as CR LF; what was stored had LF.
    data: dict[str, Any] = {
        name: request.POST[name].replace("\r\n", "\n")
        for name in ("sku", "name", "description", "price")
        if name in request.POST
    }
    data["active"] = request.POST.get("active") == "true"
    if own := typed_own(request.POST):
        data["fields"] = own
    return data


def _version(request: HttpRequest) -> int | None:
    return whole_number(request.POST.get("version", ""), digits=9)
