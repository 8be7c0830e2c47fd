"""How far somebody who may manage users may go: no further than their own rights.

Else "may change users" would be as much as "is a superuser": of whom one can set the password, or
whom one can give a right, one can be.
"""

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet


def permissions_within(user: User) -> QuerySet[Permission]:
    """What a user has and so may give, by himself or by a group; a superuser: everything."""
    if user.is_superuser:
        return Permission.objects.all()
    held = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return Permission.objects.filter(pk__in=held.values("pk"))


def groups_within(user: User) -> QuerySet[Group]:
    """The groups that hold nothing beyond what a user has."""
    return Group.objects.exclude(permissions__in=_beyond(user))


def may_manage(editor: User, user: User) -> bool:
    """Whether a user, active or not, has nothing beyond what the editor has."""
    if editor.is_superuser:
        return True
    held = permissions_within(user).values("pk")
    return not user.is_superuser and not _beyond(editor).filter(pk__in=held).exists()


def _beyond(user: User) -> QuerySet[Permission]:
    return Permission.objects.exclude(pk__in=permissions_within(user).values("pk"))


SHOWN_GIVERS = 5  # names on a page


def role_givers() -> list[str]:
    """The names of some who can give roles: they enter the admin and may change users."""
    change = {"codename": "change_user", "content_type__app_label": "auth"}
    may = Q(is_superuser=True)
    for path in ("user_permissions", "groups__permissions"):
        may |= Q(**{f"{path}__{name}": value for name, value in change.items()})
    staff = User.objects.filter(may, is_active=True, is_staff=True).distinct().order_by("username")
    return [str(one) for one in staff[:SHOWN_GIVERS]]
