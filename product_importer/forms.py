"""The project's own forms: log-in, in Unfold's dress but for everybody, and API tokens."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from product_importer.models import ApiToken


class LoginForm(AuthenticationForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget = UnfoldAdminTextInputWidget(
            attrs={"autofocus": True, "autocomplete": "username"}
        )
        self.fields["password"].widget = UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "current-password"}
        )


class TokenForm(forms.Form):
    """A new API token."""

    EXPIRES = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "never": "never"}

    name = forms.CharField(
        max_length=100, help_text="What it is for, such as “price updates of the shop”."
    )
    scope = forms.ChoiceField(
        choices=ApiToken.Scope.choices,
        initial=ApiToken.Scope.READ,
        widget=forms.RadioSelect,
        label="It may",
    )
    expires_in = forms.ChoiceField(choices=EXPIRES.items(), initial="90", label="It expires")

    def clean_expires_in(self) -> timedelta | None:
        days = self.cleaned_data["expires_in"]
        return None if days == "never" else timedelta(days=int(days))
