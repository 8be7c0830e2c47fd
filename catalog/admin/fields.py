"""The fields of one's own in the admin: defined, changed, ordered and retired by the operations."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog.field_values import CHOICE_MAX_LENGTH, CHOICES_AT_MOST
from catalog.models import Field
from catalog.operations import fields as operations
from catalog.operations.products import Invalid
from catalog.views.own_fields import fields
from product_importer.common.parsing import TEXT_MAX_LENGTH
from webhooks.admin import ListAdmin

FLAGS = (*fields.FLAGS, "retired")


class FieldForm(forms.ModelForm):  # type: ignore[type-arg]
    """Saves while it is validated, in the request's transaction: whether the stored values fit
    tells the database, and has to stand in the form with what was typed."""

    choices = forms.CharField(
        required=False,
        max_length=CHOICES_AT_MOST * (CHOICE_MAX_LENGTH + 2),
        widget=UnfoldAdminTextareaWidget(),
        help_text="Of a list, one a line.",
    )
    scale = forms.CharField(
        required=False,
        max_length=TEXT_MAX_LENGTH,
        widget=UnfoldAdminTextInputWidget(),
        label="Decimals",
        help_text="Of a decimal number.",
    )

    class Meta:
        model = Field
        fields = ["label", "key", "type", "help", "position", *FLAGS]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        options = self.instance.options or {}
        self.initial["choices"] = "\n".join(options.get("choices", ()))
        self.initial["scale"] = options.get("scale", 2)
        for name in {"key", "position"} & self.fields.keys():  # which not everybody may change
            self.fields[name].required = False
        if self.instance.pk is None:
            self.fields["key"].help_text = "As programs name it; blank: made of the label."
            self.initial["position"] = None
            self.fields["position"].help_text = "Its place among the fields; blank: the last."

    def clean(self) -> dict[str, Any]:
        if self.errors:
            return self.cleaned_data
        try:
            if self.instance.pk is None:
                self.instance = operations.create_field(data=self._data())
            else:
                self.instance = operations.update_field(
                    field_id=self.instance.pk, data=self._data()
                )
        except Invalid as error:
            for name, (code, text) in error.errors.items():
                self.add_error(self._input_of(name), forms.ValidationError(text, code=code))
        except operations.FieldInUse as error:
            self.add_error(None, str(error))
        return self.cleaned_data

    def _data(self) -> dict[str, Any]:
        """What was typed, as the operations take it."""
        given = self.cleaned_data
        data = {name: given[name] for name in ("label", "type", "help", *FLAGS)}
        for name in ("key", "position"):
            if given.get(name) not in (None, ""):
                data[name] = given[name]
        data["options"] = fields.typed_options(given["type"], given["choices"], given["scale"])
        return data

    def _input_of(self, name: str) -> str | None:
        if name == "options":
            return "scale" if self.cleaned_data.get("type") == "decimal" else "choices"
        return name if name in self.fields else None

    def _post_clean(self) -> None:
        """The operation has checked everything, and ``instance`` is the stored field."""


@admin.register(Field)
class FieldAdmin(ListAdmin):
    """A retired field is deleted on its page, which asks with how many values go."""

    form = FieldForm
    fields = ["label", "key", "type", "choices", "scale", "help", "position", *FLAGS]
    list_display = ["label", "key", "type", "position", "required", "unique", "in_list", "retired"]
    list_display += ["page"]
    list_filter = ["type", "retired"]
    not_listed = ("options",)
    search_fields = ["label", "key"]
    ordering = ["position", "id"]
    actions = ["retire", "use_again"]

    @display(description="Page")
    def page(self, field: Field) -> str:
        return format_html('<a href="{}">Open</a>', reverse("field-detail", args=[field.pk]))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """To look at, the options as they are kept: the form's inputs for them are no values."""
        names = list(self.fields)
        if obj is not None and not self.has_change_permission(request, obj):
            place = names.index("choices")
            names[place : place + 2] = ["options"]
        return names

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key"] if obj is not None else []  # programs and formats name it

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has saved it (``FieldForm``)."""

    @action(description="Retire: the values are kept, and shown nowhere", permissions=["change"])
    def retire(self, request: HttpRequest, found: QuerySet[Field]) -> None:
        self._set_retired(request, found, True)

    @action(description="Take into use again", permissions=["change"])
    def use_again(self, request: HttpRequest, found: QuerySet[Field]) -> None:
        self._set_retired(request, found, False)

    def _set_retired(self, request: HttpRequest, found: QuerySet[Field], retired: bool) -> None:
        for field in found:
            try:
                operations.update_field(field_id=field.pk, data={"retired": retired})
            except (operations.FieldInUse, Invalid) as error:
                self.message_user(request, f"{field.label}: {error}", messages.ERROR)
            else:
                self.message_user(request, fields.told_of_retiring(field, retired))
