"""The page on which everybody changes their own password."""

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from product_importer.accounts.forms import PasswordForm
from product_importer.accounts.hashing import in_turn
from product_importer.accounts.tokens import revoke_all_tokens


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
@in_turn
def password_change(request: HttpRequest) -> HttpResponse:
    """Ask for the old password and a new one; the user's other sessions end with the old one."""
    form = PasswordForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.save(commit=False)  # hashes: not in the transaction
        revoked = _save(user, end_tokens=form.cleaned_data["end_tokens"])
        update_session_auth_hash(request, user)
        told = "Your password is changed, and you are logged out everywhere else."
        if revoked:
            told += f" {revoked:,} API token{'s are' if revoked > 1 else ' is'} revoked."
        messages.success(request, told)
        return redirect("password-change")
    return render(
        request,
        "product_importer/password.html",
        {"title": "Change password", "form": form},
        status=400 if form.errors else 200,
    )


@transaction.atomic
def _save(user: User, *, end_tokens: bool) -> int:
    """Save the new hash, with a line in the admin's log; return how many tokens were revoked."""
    user.save(update_fields=["password"])
    LogEntry.objects.log_actions(
        user.pk, [user], CHANGE, change_message="Changed their own password.", single_object=True
    )
    return revoke_all_tokens(user=user, actor=user) if end_tokens else 0
