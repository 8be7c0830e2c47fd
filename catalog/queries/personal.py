"""What a person has set for the pages."""

from typing import Any

from catalog.models import PersonSettings


def settings_of(user: Any) -> PersonSettings:
    """The settings of a user, as they begin if nothing was ever set. Asked for once a request."""
    found: PersonSettings | None = getattr(user, "_person_settings", None)
    if found is None:
        found = PersonSettings.objects.filter(pk=user.pk).first() or PersonSettings(pk=user.pk)
        user._person_settings = found
    return found
