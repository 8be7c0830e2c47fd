"""Who manages users and is no superuser can neither make one nor give rights that he lacks."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from conftest import PASSWORD
from product_importer.tests.integration.test_audit import form_values

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

USERS, ROLES = "/admin/auth/user/", "/admin/auth/group/"
NEW = "another-password-for-tests-2"
LACKED = "add_logentry"


def permission(codename: str) -> Permission:
    return Permission.objects.get(codename=codename)


@pytest.fixture
def editor(make_user: Callable[..., User]) -> User:
    """Staff with the role editor, who may do everything to users and roles."""
    editor = make_user("eddi", "editor")
    editor.is_staff = True
    editor.save()
    acts = [
        f"{act}_{what}" for act in ("view", "add", "change", "delete") for what in ("user", "group")
    ]
    editor.user_permissions.set(Permission.objects.filter(codename__in=acts))
    return editor


@pytest.fixture
def client(editor: User) -> Client:
    client = Client()
    client.force_login(editor)
    return client


@pytest.fixture
def viewer(make_user: Callable[..., User]) -> User:
    return make_user("vera", "viewer")


def change(client: Client, user: User, **values: Any) -> Any:
    path = f"{USERS}{user.pk}/change/"
    return client.post(path, {**form_values(client, path), **values})


# --- What he may ------------------------------------------------------------------------


def test_he_gives_roles_and_rights_that_he_has(client: Client, viewer: User) -> None:
    role, right = Group.objects.get(name="editor"), permission("change_user")
    answer = change(client, viewer, groups=[role.pk], user_permissions=[right.pk], is_staff="on")
    assert answer.status_code == 302
    viewer.refresh_from_db()
    assert (viewer.groups.get(), viewer.user_permissions.get()) == (role, right)
    assert viewer.is_staff


def test_he_makes_users_sets_their_passwords_and_deletes_them(client: Client) -> None:
    values = {"username": "nora", "password1": NEW, "password2": NEW}
    assert client.post(f"{USERS}add/", values).status_code == 302
    nora = User.objects.get(username="nora")
    values |= {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert client.post(f"{USERS}{nora.pk}/password/", values).status_code == 302
    nora.refresh_from_db()
    assert nora.check_password(PASSWORD)
    assert client.post(f"{USERS}{nora.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(username="nora").exists()


def test_he_makes_and_changes_roles_within_his_rights(client: Client) -> None:
    values = {"name": "helper", "permissions": [permission("view_user").pk]}
    assert client.post(f"{ROLES}add/", values).status_code == 302
    helper = Group.objects.get(name="helper")
    values["permissions"] = [permission("change_user").pk]
    assert client.post(f"{ROLES}{helper.pk}/change/", values).status_code == 302
    assert helper.permissions.get().codename == "change_user"
    assert client.post(f"{ROLES}{helper.pk}/delete/", {"post": "yes"}).status_code == 302


# --- What he may not --------------------------------------------------------------------


def test_he_makes_no_superuser(client: Client, editor: User, viewer: User) -> None:
    for user in (viewer, editor):
        assert change(client, user, is_superuser="on").status_code == 302
    values = {"username": "nora", "password1": NEW, "password2": NEW, "is_superuser": "on"}
    client.post(f"{USERS}add/", {**values, "is_staff": "on"})
    assert User.objects.filter(username="nora").exists()
    assert not User.objects.filter(is_superuser=True).exists()


def test_he_makes_no_superuser_by_saving_somebody_as_new(client: Client, viewer: User) -> None:
    values = {"username": "nora", "password1": NEW, "password2": NEW, "is_superuser": "on"}
    path = f"{USERS}{viewer.pk}/change/"
    assert client.post(path, {**values, "_saveasnew": "1"}).status_code == 302
    nora = User.objects.get(username="nora")
    assert not nora.is_superuser
    assert not nora.has_usable_password()


def test_he_gives_no_role_that_holds_more_than_he_has(
    client: Client, editor: User, viewer: User
) -> None:
    manager = Group.objects.get(name="manager")
    for user in (viewer, editor):
        answer = change(client, user, groups=[manager.pk])
        assert "groups" in answer.context["adminform"].form.errors
        assert not manager.user_set.filter(pk=user.pk).exists()


def test_he_gives_no_right_that_he_lacks(client: Client, editor: User, viewer: User) -> None:
    for user in (viewer, editor):
        answer = change(client, user, user_permissions=[permission(LACKED).pk])
        assert "user_permissions" in answer.context["adminform"].form.errors
        assert not user.user_permissions.filter(codename=LACKED).exists()


def test_he_puts_no_right_that_he_lacks_into_a_role(client: Client) -> None:
    role = Group.objects.get(name="editor")
    values = {"name": "editor", "permissions": [permission(LACKED).pk]}
    for path in (f"{ROLES}{role.pk}/change/", f"{ROLES}add/"):
        assert "permissions" in client.post(path, values).context["adminform"].form.errors
    assert not Permission.objects.filter(codename=LACKED, group__isnull=False).exists()


def _superuser() -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


def _by_role() -> User:
    user = User.objects.create_user("mona", password=PASSWORD)
    user.groups.add(Group.objects.get(name="manager"))
    return user


def _by_right() -> User:
    user = User.objects.create_user("rita", password=PASSWORD)
    user.user_permissions.add(permission(LACKED))
    return user


def _left() -> User:
    """Whoever is not active has no rights, but would have them again."""
    user = _by_role()
    user.is_active = False
    user.save()
    return user


@pytest.mark.parametrize("make", [_superuser, _by_role, _by_right, _left])
def test_he_changes_nothing_of_somebody_who_has_more(
    client: Client, make: Callable[[], User]
) -> None:
    user = make()
    before = User.objects.filter(pk=user.pk).values().get()
    path = f"{USERS}{user.pk}/"
    password = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert client.get(f"{path}change/").status_code == 200  # to look at
    assert client.post(f"{path}change/", {"username": "mine", "email": "a@b.c"}).status_code == 403
    for method in (client.get, client.post):
        assert method(f"{path}password/", password).status_code == 403
        assert method(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=user.pk).values().get() == before


def test_he_deletes_nobody_who_has_more_among_others(client: Client, viewer: User) -> None:
    users = [viewer.pk, _superuser().pk]
    values = {"action": "delete_selected", "_selected_action": users, "post": "yes"}
    assert client.post(USERS, values).status_code == 403
    assert User.objects.filter(pk__in=users).count() == 2


def test_he_changes_and_deletes_no_role_that_holds_more(client: Client) -> None:
    manager = Group.objects.get(name="manager")
    path = f"{ROLES}{manager.pk}/"
    assert client.get(f"{path}change/").status_code == 200
    assert client.post(f"{path}change/", {"name": "mine", "permissions": []}).status_code == 403
    assert client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    values = {"action": "delete_selected", "_selected_action": [manager.pk], "post": "yes"}
    assert client.post(ROLES, values).status_code == 403
    assert manager.permissions.exists()


def test_who_looks_at_somebody_sees_no_hash(client: Client) -> None:
    user = _superuser()
    shown = client.get(f"{USERS}{user.pk}/change/").content.decode()
    salt, digest = user.password.split("$")[2:]
    assert salt not in shown
    assert digest not in shown


def test_a_superuser_may_do_all_of_it(admin_client: Client, viewer: User) -> None:
    manager = Group.objects.get(name="manager")
    right = permission(LACKED)
    answer = change(
        admin_client,
        viewer,
        is_superuser="on",
        groups=[manager.pk],
        user_permissions=[right.pk],
    )
    assert answer.status_code == 302
    viewer.refresh_from_db()
    assert viewer.is_superuser
    assert viewer.groups.get() == manager
    assert viewer.user_permissions.get() == right
    assert admin_client.post(f"{USERS}{viewer.pk}/delete/", {"post": "yes"}).status_code == 302
