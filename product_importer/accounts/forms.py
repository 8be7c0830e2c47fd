"""The project's own forms: log-in, in Unfold's dress but for everybody, passwords, API tokens."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
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


class EndTokens(forms.Form):
    """Whether a new password ends the user's API tokens too; of the sessions, it does."""

    end_tokens = forms.BooleanField(required=False, label="Also revoke all API tokens")


class PasswordForm(PasswordChangeForm, EndTokens):
    """A user's own new password."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.request = request
        super().__init__(cast(User, request.user), *args, **kwargs)
        self.fields["new_password2"].help_text = ""  # its label says it

    @sensitive_variables()
    def clean_old_password(self) -> str:
        """As a log-in does, so that a failure counts as one: a session is no place to guess in."""
        typed: str = self.cleaned_data["old_password"]
        if not authenticate(self.request, username=self.user.get_username(), password=typed):
            raise forms.ValidationError(self.error_messages["password_incorrect"])
        return typed

    def clean(self) -> dict[str, Any]:
        """Django's, but what is wrong with the password stands at the password."""
        self.validate_passwords("new_password1", "new_password2")
        self.validate_password_for_user(self.user, "new_password1")
        return self.cleaned_data

    def full_clean(self) -> None:
        """Also put the focus on the first field that is wrong."""
        super().full_clean()
        if wrong := [name for name in self.fields if name in self.errors]:
            self.fields["old_password"].widget.attrs["autofocus"] = False
            self.fields[wrong[0]].widget.attrs["autofocus"] = True


class AdminPasswordForm(AdminPasswordChangeForm, EndTokens):  # type: ignore[misc]
    """Somebody's new password, by ops staff."""


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    """A user without a password yet: this is saved in a transaction, where nothing is hashed."""

    def set_password_and_save(self, user: User, *args: Any, **kwargs: Any) -> User:
        return user


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
