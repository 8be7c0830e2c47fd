"""The verbs of what a person sets for the pages: columns, rows, saved views, keys."""

from typing import Any

from django.db import transaction

from catalog.models import PersonSettings

MAX_VIEWS = 30
VIEW_NAME_MAX_LENGTH = 60


class TooManyViews(Exception):
    """The person has as many saved views as can be kept."""


def keep_columns(*, user: Any, columns: list[str], page_size: int) -> None:
    """Show these columns (none: all) and so many rows wherever an address does not say."""
    _keep(user, columns=columns, page_size=page_size)


def switch_keys(*, user: Any, on: bool) -> None:
    """Whether single keys do something on the pages."""
    _keep(user, keys=on)


@transaction.atomic
def save_view(*, user: Any, name: str, query: str) -> None:
    """Keep a state of the product list under a name; one of the same name is replaced.

    Raises ``TooManyViews``.
    """
    views = [view for view in _locked(user).views if view["name"] != name]
    if len(views) >= MAX_VIEWS:
        raise TooManyViews
    _keep(user, views=[*views, {"name": name, "query": query}])


@transaction.atomic
def drop_view(*, user: Any, name: str) -> None:
    """Forget a saved view."""
    _keep(user, views=[view for view in _locked(user).views if view["name"] != name])


def _locked(user: Any) -> PersonSettings:
    PersonSettings.objects.get_or_create(pk=user.pk)
    return PersonSettings.objects.select_for_update().order_by("pk").get(pk=user.pk)


def _keep(user: Any, **values: Any) -> None:
    PersonSettings.objects.update_or_create(pk=user.pk, defaults=values)
