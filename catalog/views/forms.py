"""The product's form in the admin: it saves through the operations, and so as pages and API do."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict
from unfold.widgets import (
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from catalog.field_values import SEPARATOR, as_text
from catalog.models import Field, Product
from catalog.operations import products
from catalog.queries import products as queries
from catalog.values import DESCRIPTION_MAX_LENGTH
from catalog.views.own_fields.inputs import PREFIX, has_lines, option_values
from product_importer.common.parsing import TEXT_MAX_LENGTH


def _text(**options: Any) -> forms.CharField:
    """A field that takes text as it was typed: the operation cleans it, and says what is wrong."""
    options.setdefault("widget", UnfoldAdminTextInputWidget())
    options.setdefault("max_length", TEXT_MAX_LENGTH)
    return forms.CharField(required=False, strip=False, **options)


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    """Saves while it is validated, in the request's transaction.

    Only the database can tell whether an SKU is taken and whether somebody else was faster, and
    both have to stand in the form, with everything that was typed.
    """

    actor: User
    own: list[Field] = []  # the fields of one's own that it has (``product_form``)

    sku = _text(label="SKU", help_text="Upper and lower case are the same.")
    name = _text()
    description = _text(
        widget=UnfoldAdminTextareaWidget(), max_length=2 * DESCRIPTION_MAX_LENGTH
    )  # with line breaks as a browser sends them
    price = _text(help_text="Like 1299.90 or 1.299,90; blank for none.")
    active = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget(), initial=True)
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput())

    class Meta:
        model = Product
        fields = ["sku", "name", "description", "price", "active"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["seen_version"] = self.instance.version
        stored = self.instance.own_fields or {}
        for field in self.own:
            text = as_text(field.definition, stored.get(field.key))
            several = field.type == Field.Type.CHOICES
            self.initial[PREFIX + field.key] = text.split(SEPARATOR) if several else text
            if has_lines(text):
                self.fields[PREFIX + field.key].widget = UnfoldAdminTextareaWidget()

    def clean(self) -> dict[str, Any]:
        # Browsers send a line break in a text area as CR LF; what was stored had LF.
        data: dict[str, Any] = {
            name: value.replace("\r\n", "\n") if isinstance(value, str) else value
            for name, value in self.cleaned_data.items()
        }
        version = data.pop("seen_version", None)
        if self.errors:
            return self.cleaned_data
        data["fields"] = {
            field.key: _joined(data.pop(PREFIX + field.key, "")) for field in self.own
        }
        try:
            if self.instance.pk is None:
                self.instance = products.create_product(actor=self.actor, data=data, typed=True)
            elif version is None:
                self.add_error(None, "The form came without its version. Load the page again.")
            else:
                self.instance = products.update_product(
                    product_id=self.instance.pk,
                    actor=self.actor,
                    data=data,
                    version=version,
                    typed=True,
                )
        except products.Invalid as error:
            for name, (code, text) in error.errors.items():
                self.add_error(_input_of(name), forms.ValidationError(text, code=code))
        except products.Conflict as conflict:
            self._tell_conflict(conflict.product, data, version or 0)
        except Product.DoesNotExist:
            self.add_error(None, "Somebody deleted this product meanwhile. Nothing was saved.")
        self._focus_first_error()
        return self.cleaned_data

    def _focus_first_error(self) -> None:
        """Let the field in question have the focus, with its value selected."""
        wrong = next((name for name in self.fields if name in self.errors), None)
        if wrong:
            self.fields[wrong].widget.attrs |= {"autofocus": True, "data-select": True}

    def _tell_conflict(self, product: Product, typed: dict[str, Any], version: int) -> None:
        """Lay what was typed over what the product is now; saving again means that."""
        merged = queries.merge_edit(product, typed=typed, seen_version=version)
        again = QueryDict(mutable=True)
        again.update(self.data)
        again["seen_version"] = str(product.version)
        own = merged.values.pop("fields", {})
        for field in self.own:
            several = field.type == Field.Type.CHOICES
            text = own.get(field.key, "")
            again.setlist(PREFIX + field.key, text.split(SEPARATOR) if several else [text])
        for name, value in merged.values.items():
            if isinstance(value, bool) and not value:
                again.pop(name, None)  # a box without its tick is not sent
            else:
                again[name] = "on" if value is True else value
        self.data = again
        by = merged.changed_by.actor if merged.changed_by else None
        told = f"{by or 'Somebody else'} changed this product while you did. "
        told += "Nothing was saved, and what you typed is still here."
        for change in merged.taken:
            told += f" Taken over: {change.label} is “{_shown(change.after)}” now."
        self.add_error(None, forms.ValidationError(f"{told} Look, and save again.", code="stale"))
        for both in merged.conflicts:
            self.add_error(
                _input_of(both.field),
                f"It is “{_shown(both.now)}” now, and you typed another value. "
                "Save again to replace it.",
            )

    def _post_clean(self) -> None:
        """The operation has checked everything, and ``instance`` is the stored product."""


def product_form() -> type[ProductForm]:
    """The form with an input for each of the catalogue's own fields, as they are now."""
    own = list(Field.objects.filter(retired=False))
    inputs = {PREFIX + field.key: _own_input(field) for field in own}
    return type("ProductForm", (ProductForm,), {"own": own, **inputs})


def _own_input(field: Field) -> forms.Field:
    shown: dict[str, Any] = {"label": field.label, "help_text": field.help, "required": False}
    if field.type == Field.Type.CHOICES:
        options = option_values(field)
        return forms.MultipleChoiceField(
            choices=options, widget=UnfoldAdminSelectMultipleWidget(), **shown
        )
    if field.type in (Field.Type.CHOICE, Field.Type.BOOLEAN):
        return forms.ChoiceField(
            choices=option_values(field), widget=UnfoldAdminSelectWidget(), **shown
        )
    del shown["required"]
    if field.type == Field.Type.LONG_TEXT:
        most = 2 * DESCRIPTION_MAX_LENGTH
        return _text(widget=UnfoldAdminTextareaWidget(), max_length=most, **shown)
    widget = UnfoldAdminTextInputWidget()
    if field.type == Field.Type.DATE:
        widget.input_type = "date"
    return _text(widget=widget, **shown)


def _joined(value: Any) -> str:
    return SEPARATOR.join(value) if isinstance(value, list) else str(value)


def _input_of(name: str) -> str:
    """The form's name of a field as the operations call it."""
    return PREFIX + name.removeprefix("fields.") if name.startswith("fields.") else name


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)[:200]
