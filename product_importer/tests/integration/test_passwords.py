"""A new password ends the user's other sessions and, asked, the API tokens; everybody may."""

from collections.abc import Callable

import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from conftest import PASSWORD
from product_importer.accounts.tokens import make_token

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

NEW = "another-password-for-tests-2"
VALUES = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}


@pytest.fixture
def elsewhere(user: User) -> Client:
    """Another session of the user that the fixture ``page`` is logged in as."""
    client = Client()
    client.force_login(user)
    assert client.get("/tokens/").status_code == 200
    return client


def works(token: str) -> bool:
    client = Client(headers={"authorization": f"Token {token}"})
    return client.get("/api/v1/products/").status_code == 200


def test_somebody_without_the_admin_changes_their_password(page: Client, user: User) -> None:
    assert not user.is_staff
    assert page.get("/password/").status_code == 200
    assert page.post("/password/", VALUES).status_code == 302
    user.refresh_from_db()
    assert user.check_password(NEW)


def test_a_new_password_ends_the_other_sessions_and_not_this_one(
    page: Client, elsewhere: Client
) -> None:
    page.post("/password/", VALUES)
    assert page.get("/tokens/").status_code == 200
    assert elsewhere.get("/tokens/").headers["Location"].startswith("/login/")
    assert elsewhere.get("/api/v1/products/").status_code == 401


@pytest.mark.parametrize(("asked", "left"), [({}, True), ({"end_tokens": "on"}, False)])
def test_api_tokens_end_only_when_asked(
    page: Client, user: User, asked: dict[str, str], left: bool
) -> None:
    texts = [make_token(user=user)[1] for _ in range(2)]
    page.post("/password/", {**VALUES, **asked})
    assert [works(text) for text in texts] == [left, left]


def test_tokens_of_others_do_not_end(page: Client, make_user: Callable[..., User]) -> None:
    _, text = make_token(user=make_user("nora"))
    page.post("/password/", {**VALUES, "end_tokens": "on"})
    assert works(text)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"old_password": "wrong"}, "old_password"),
        ({"old_password": ""}, "old_password"),
        ({"new_password2": "otherwise-typed-3"}, "new_password2"),
        ({"new_password1": "short", "new_password2": "short"}, "new_password1"),
        ({"new_password1": "8675309867", "new_password2": "8675309867"}, "new_password1"),
    ],
)
def test_what_is_wrong_stands_at_its_field_which_has_the_focus(
    page: Client, user: User, changed: dict[str, str], field: str
) -> None:
    answer = page.post("/password/", {**VALUES, "end_tokens": "on", **changed})
    assert answer.status_code == 400
    form = answer.context["form"]
    assert list(form.errors) == [field]
    text = answer.content.decode()
    assert f'id="id_{field}_error"' in text
    assert text.count(" autofocus") == 1
    assert " autofocus" in str(form[field])
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_guessing_the_old_password_is_counted_as_log_ins_are(page: Client) -> None:
    wrong = {**VALUES, "old_password": "wrong"}
    assert [page.post("/password/", wrong).status_code for _ in range(4)] == [400] * 4
    assert page.post("/password/", wrong).status_code == 429
    assert AccessAttempt.objects.get().username == "mara"
    assert page.post("/password/", VALUES).status_code == 429  # the right one, too
    assert Client().post("/login/", {"username": "mara", "password": PASSWORD}).status_code == 429


def test_a_change_of_the_own_password_is_told_in_the_log(page: Client, user: User) -> None:
    page.post("/password/", VALUES)
    entry = LogEntry.objects.latest("id")
    assert (entry.user, entry.get_edited_object()) == (user, user)
    assert entry.get_change_message() == "Changed their own password."


@pytest.mark.parametrize(("asked", "left"), [({}, True), ({"end_tokens": "on"}, False)])
def test_a_password_by_ops_staff_ends_the_sessions_and_if_asked_the_tokens(
    admin_client: Client,
    admin_user: User,
    user: User,
    elsewhere: Client,
    asked: dict[str, str],
    left: bool,
) -> None:
    _, text = make_token(user=user)
    path = f"/admin/auth/user/{user.pk}/password/"
    assert "Also revoke all API tokens" in admin_client.get(path).content.decode()
    values = {"password1": NEW, "password2": NEW, "usable_password": "true", **asked}
    assert admin_client.post(path, values).status_code == 302
    assert elsewhere.get("/tokens/").headers["Location"].startswith("/login/")
    assert works(text) is left
    assert admin_client.get("/admin/").status_code == 200
    told = [(entry.user, entry.get_change_message()) for entry in LogEntry.objects.all()]
    assert (admin_user, "Changed password.") in told
    revoked = [message for who, message in told if who == admin_user and "Revoked" in message]
    assert len(revoked) == (not left)


def test_the_admin_and_everybodys_menu_lead_to_the_one_page(page: Client) -> None:
    assert page.get("/admin/password_change/").headers["Location"] == "/password/"
    assert 'href="/password/"' in page.get("/tokens/").content.decode()


def test_somebody_without_the_admin_can_log_out_by_the_menu(page: Client) -> None:
    """Unfold's menu asks the admin for it, which is for staff."""
    assert f'action="{reverse("logout")}"' in page.get("/tokens/").content.decode()
    assert page.post("/admin/logout/").headers["Location"] == "/login/"
    assert page.get("/tokens/").headers["Location"].startswith("/login/")
