"""The pages of the API tokens: everybody's own."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from product_importer.accounts.forms import TokenForm
from product_importer.accounts.tokens import make_token, revoke_token
from product_importer.models import ApiToken


@require_GET
def token_list(request: HttpRequest) -> HttpResponse:
    """The user's tokens, the newest first."""
    tokens = ApiToken.objects.filter(token__user=_user(request)).select_related("token")
    return render(
        request,
        "product_importer/tokens.html",
        {"title": "API tokens", "tokens": tokens.order_by("-id")},
    )


@require_http_methods(["GET", "POST"])
@never_cache
def token_new(request: HttpRequest) -> HttpResponse:
    """The form of a new token; the token is in the answer, and nowhere afterwards."""
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        token, text = make_token(
            user=_user(request),
            name=form.cleaned_data["name"],
            scope=form.cleaned_data["scope"],
            expires_in=form.cleaned_data["expires_in"],
        )
        context = {"title": "Your new token", "token": token, "text": text}
        return render(request, "product_importer/token_made.html", context)
    return render(
        request,
        "product_importer/token_new.html",
        {"title": "New API token", "form": form},
        status=400 if form.errors else 200,
    )


@require_http_methods(["GET", "POST"])
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, and revoke."""
    tokens = ApiToken.objects.filter(token__user=_user(request)).select_related("token__user")
    token = get_object_or_404(tokens, pk=pk)
    if request.method == "POST":
        revoke_token(token=token, actor=_user(request))
        messages.success(request, f"The token “{token.name}” is revoked.")
        return redirect("token-list")
    return render(
        request, "product_importer/token_revoke.html", {"title": "Revoke", "token": token}
    )


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # every page needs a login
