"""The verbs of API tokens: make, revoke; and how a request is known by one.

A token may what its user may; one with the scope ``read`` only by the methods that change nothing.
"""

from datetime import timedelta
from typing import Any

from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from product_importer.models import ApiToken

NAMELESS = "Without a name"
USE_KEPT = timedelta(minutes=1)  # between two notes of a token's use


@transaction.atomic
def make_token(
    *,
    user: User,
    name: str = NAMELESS,
    scope: str = ApiToken.Scope.WRITE,
    expires_in: timedelta | None = None,
) -> tuple[ApiToken, str]:
    """Make a token for a user, with a line in the admin's log; the text of it is kept nowhere."""
    token, text = AuthToken.objects.create(user, expiry=expires_in)
    made = ApiToken.objects.create(token=token, name=name, scope=scope)
    until = f"until {token.expiry:%Y-%m-%d}" if token.expiry else "without an end"
    _note(user, made, ADDITION, f"Made for {user}: {made.get_scope_display()}, {until}.")
    return made, text


@transaction.atomic
def revoke_token(*, token: ApiToken, actor: User) -> None:
    """Delete a token, with a line in the admin's log; it is refused from now on."""
    _note(actor, token, DELETION, f"Revoked; it was made for {token.token.user}.")
    token.token.delete()


@transaction.atomic
def revoke_all_tokens(*, user: User, actor: User) -> int:
    """Revoke all tokens of a user, each with a line in the admin's log; return how many."""
    tokens = AuthToken.objects.filter(user=user)
    for token in tokens:  # a token that was never used may have no row of ours
        known, _ = ApiToken.objects.get_or_create(token=token, defaults={"name": NAMELESS})
        revoke_token(token=known, actor=actor)
    return len(tokens)


def _note(actor: User, token: ApiToken, action: int, message: str) -> None:
    LogEntry.objects.log_actions(
        actor.pk,
        [token],
        action,
        change_message=message,
        single_object=True,
    )


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]
    """knox's, with scopes and last use, for every view of the API."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        found: tuple[User, Any] | None = super().authenticate(request)
        if found is not None:
            _check_and_note(found[1], request.method or "")
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[User, Any]:
        if not token.isalnum():  # knox takes any bytes for UTF-8
            raise AuthenticationFailed("Invalid token.")
        found: tuple[User, Any] = super().authenticate_credentials(token)
        return found

    def validate_user(self, auth_token: Any) -> tuple[User, Any]:
        if auth_token.expiry is not None and auth_token.expiry <= timezone.now():
            raise AuthenticationFailed(
                f"This token expired on {auth_token.expiry:%Y-%m-%d}. Make another one on the page "
                "“API tokens”."
            )
        found: tuple[User, Any] = super().validate_user(auth_token)
        return found

    def _cleanup_token(self, auth_token: Any) -> bool:
        """Delete nothing: knox would let expired tokens vanish from their owner's page."""
        return False


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """How the schema of the API describes it: as it does knox's."""

    target_class = "product_importer.accounts.tokens.TokenAuthentication"


def _check_and_note(token: Any, method: str) -> None:
    """Refuse what the token's scope does not hold, and note the use, not more than once a minute.

    A token that was made past ``make_token`` is nameless, and may what its user may.
    """
    known, _ = ApiToken.objects.get_or_create(token=token, defaults={"name": NAMELESS})
    now = timezone.now()
    if known.last_used_at is None or known.last_used_at < now - USE_KEPT:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_KEPT)
        ApiToken.objects.filter(stale, pk=known.pk).update(last_used_at=now)
    if known.scope == ApiToken.Scope.READ and method not in SAFE_METHODS:
        raise PermissionDenied(
            "This token may only read. Make one that may write on the page “API tokens”."
        )
