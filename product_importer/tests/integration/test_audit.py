"""Who logged in, and who gave whom which rights, is to be read in the admin, and only read."""

from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

LOGS = ("admin/logentry", "axes/accesslog", "axes/accessfailurelog")


def form_values(client: Client, path: str) -> dict[str, Any]:
    """What a browser would send back of a form of the admin that nobody touched."""
    form = client.get(path).context["adminform"].form
    values: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        if isinstance(value, list):
            values[bound.html_name] = [getattr(one, "pk", one) for one in value]
        elif parts := _parts(bound, bound.html_name):
            values |= {**parts, **_parts(bound, bound.html_initial_name)}  # it is hidden beside
        elif value not in (None, False):
            values[bound.html_name] = value
    return values


def _parts(bound: Any, name: str) -> dict[str, Any]:
    widget = bound.field.widget.get_context(name, bound.value(), {})["widget"]
    return {part["name"]: part["value"] or "" for part in widget.get("subwidgets", ())}


def change(client: Client, path: str, **changed: Any) -> str:
    """Send a form of the admin, and return what its log tells of it."""
    answer = client.post(path, {**form_values(client, path), **changed})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    return LogEntry.objects.latest("id").get_change_message()


def test_a_role_that_is_given_or_taken_is_named(
    admin_client: Client, make_user: Callable[..., User]
) -> None:
    user = make_user(role="viewer")
    path = f"/admin/auth/user/{user.pk}/change/"
    editor = Group.objects.get(name="editor").pk
    told = change(admin_client, path, groups=[editor])
    assert told == "Changed Groups (added editor; removed viewer)."


def test_the_great_rights_are_told_as_they_are_now(
    admin_client: Client, make_user: Callable[..., User]
) -> None:
    path = f"/admin/auth/user/{make_user().pk}/change/"
    told = change(admin_client, path, is_staff="on", is_superuser="on")
    assert told == "Changed Staff status (now yes) and Superuser status (now yes)."


def test_what_a_role_may_do_is_named_when_it_changes(
    admin_client: Client, make_user: Callable[..., User]
) -> None:
    make_user(role="editor")
    role = Group.objects.get(name="editor")
    path = f"/admin/auth/group/{role.pk}/change/"
    kept = role.permissions.exclude(codename="undo_changeset").values_list("pk", flat=True)
    told = change(admin_client, path, permissions=list(kept))
    assert told == "Changed Permissions (removed catalog.undo_changeset)."


def test_a_new_role_is_told_with_what_it_may_do(
    admin_client: Client, make_user: Callable[..., User]
) -> None:
    make_user(role="viewer")
    permission = Group.objects.get(name="viewer").permissions.get(codename="view_product")
    values = {"name": "reader", "permissions": [permission.pk]}
    assert admin_client.post("/admin/auth/group/add/", values).status_code == 302
    told = LogEntry.objects.latest("id").get_change_message()
    assert told == "Added. Changed Permissions (added catalog.view_product)."


def test_log_ins_are_told_those_that_failed_as_well(
    admin_client: Client, make_user: Callable[..., User]
) -> None:
    make_user()
    client = Client(REMOTE_ADDR="198.51.100.30")
    for password in ("wrong", "a-password-for-tests-1"):
        client.post("/login/", {"username": "mara", "password": password})
    for log in ("axes/accesslog", "axes/accessfailurelog"):
        shown = admin_client.get(f"/admin/{log}/?q=mara").content.decode().split("<tbody")[1]
        assert "198.51.100.30" in shown
        assert "wrong" not in shown
    assert AccessLog.objects.filter(username="mara").count() == 1
    assert AccessFailureLog.objects.filter(username="mara").count() == 1


@pytest.mark.parametrize("log", LOGS)
def test_the_logs_are_for_reading_only(
    log: str, admin_client: Client, admin_user: User, make_user: Callable[..., User]
) -> None:
    change(admin_client, f"/admin/auth/user/{make_user().pk}/change/", first_name="Mara")
    Client().post("/login/", {"username": "mara", "password": "wrong"})
    rows = {
        "admin/logentry": LogEntry,
        "axes/accesslog": AccessLog,
        "axes/accessfailurelog": AccessFailureLog,
    }[log].objects
    pk = rows.latest("pk").pk
    assert admin_client.get(f"/admin/{log}/").status_code == 200
    assert admin_client.get(f"/admin/{log}/{pk}/change/").status_code == 200
    for path in ("add/", f"{pk}/change/", f"{pk}/delete/"):
        assert admin_client.post(f"/admin/{log}/{path}", {"post": "yes"}).status_code == 403
    values = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
    admin_client.post(f"/admin/{log}/", values)
    assert rows.filter(pk=pk).exists()


def test_who_has_no_right_to_it_sees_no_log(make_user: Callable[..., User]) -> None:
    user = make_user()
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    for log in (*LOGS, "axes/accessattempt", "product_importer/apitoken"):
        assert client.get(f"/admin/{log}/").status_code == 403
