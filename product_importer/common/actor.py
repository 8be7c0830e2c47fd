"""Who acts: what every change set, import and endpoint is signed with."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.request import Request


def actor_of(request: HttpRequest | Request) -> User | None:
    """The user of a request, of a page or of the API; ``None`` for a stranger."""
    return request.user if isinstance(request.user, User) else None
