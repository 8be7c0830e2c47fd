"""API tokens: made, listed, used within their scope and time, and revoked."""

import importlib
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken

from product_importer.accounts.tokens import make_token
from product_importer.models import ApiToken
from product_importer.tests.integration.test_roles import ADDRESSES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

PRODUCTS = "/api/v1/products/"


def program(text: str) -> Client:
    return Client(headers={"authorization": f"Token {text}"})


# --- Use ------------------------------------------------------------------------------


def test_a_token_that_may_write_does_what_its_user_may(user: User) -> None:
    _, text = make_token(user=user)
    answer = program(text).post(PRODUCTS, {"sku": "A-1", "name": "Lamp"})
    assert answer.status_code == 201


def test_a_token_that_may_read_reads(user: User) -> None:
    _, text = make_token(user=user, scope=ApiToken.Scope.READ)
    client = program(text)
    for method in ("get", "head", "options"):
        assert getattr(client, method)(PRODUCTS).status_code == 200


def test_a_token_that_may_read_changes_nothing_anywhere(admin_user: User) -> None:
    _, text = make_token(user=admin_user, scope=ApiToken.Scope.READ)
    client = program(text)
    asked = 0
    for name, path in ADDRESSES:
        if not name.startswith("api-") or name in ("api-schema", "api-docs"):
            continue
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(client, method)(path, headers={"accept": "*/*"})
            assert answer.status_code == 403, (name, method)
            assert b"This token may only read." in answer.content, (name, method)
            asked += 1
    assert asked > 100


def test_an_expired_token_is_refused_and_stays_in_sight(user: User, page: Client) -> None:
    token, text = make_token(user=user, name="shop", expires_in=timedelta(days=1))
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    answer = program(text).get(PRODUCTS)
    assert answer.status_code == 401
    assert "This token expired on" in answer.json()["detail"]
    assert ApiToken.objects.filter(pk=token.pk).exists()
    assert "<b>expired</b>" in page.get("/tokens/").content.decode()


@pytest.mark.parametrize(
    "header", ["Token", "Token a b", "Token é", "Token a-b", "Token " + "0" * 64]
)
def test_what_is_no_token_is_refused(header: str) -> None:
    client = Client()
    client.defaults["HTTP_AUTHORIZATION"] = header
    assert client.get(PRODUCTS).status_code == 401


def test_the_token_of_somebody_who_left_is_refused(user: User) -> None:
    _, text = make_token(user=user)
    User.objects.update(is_active=False)
    assert program(text).get(PRODUCTS).status_code == 401


def test_the_last_use_is_written_once_a_minute_at_most(user: User) -> None:
    token, text = make_token(user=user)
    program(text).get(PRODUCTS)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    with CaptureQueriesContext(connection) as asked:
        program(text).get(PRODUCTS)
    assert not [q for q in asked if q["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    program(text).get(PRODUCTS)
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at >= first


# --- Tokens that exist already --------------------------------------------------------


def test_tokens_from_before_get_a_row_and_keep_what_they_may_do(user: User) -> None:
    _, text = AuthToken.objects.create(user)
    migration = importlib.import_module("product_importer.migrations.0003_api_tokens")
    migration.name_tokens(apps, None)
    assert program(text).post(PRODUCTS, {"sku": "A-1", "name": "Lamp"}).status_code == 201
    assert ApiToken.objects.get().name == "Without a name"


def test_a_token_that_old_code_makes_meanwhile_gets_its_row_on_first_use(user: User) -> None:
    _, text = AuthToken.objects.create(user)
    assert program(text).post(PRODUCTS, {"sku": "A-1", "name": "Lamp"}).status_code == 201
    assert ApiToken.objects.get().scope == ApiToken.Scope.WRITE


# --- The pages ------------------------------------------------------------------------


def test_a_token_is_shown_once_and_works(page: Client, user: User) -> None:
    values = {"name": "the shop", "scope": "read", "expires_in": "30"}
    answer = page.post("/tokens/new/", values)
    found = re.search(r'<code id="pi-token" tabindex="0">(\w+)</code>', answer.content.decode())
    assert found
    assert program(found[1]).get(PRODUCTS).status_code == 200
    token = ApiToken.objects.get()
    assert token.token.expiry - timezone.now() > timedelta(days=29, hours=23)
    listed = page.get("/tokens/").content.decode()
    assert "the shop" in listed
    assert "Read only" in listed
    assert found[1] not in listed
    assert token.token.digest not in listed


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "x" * 101}, {"scope": "admin"}, {"expires_in": "soon"}]
)
def test_a_wrong_form_makes_no_token(page: Client, wrong: dict[str, str]) -> None:
    values = {"name": "shop", "scope": "read", "expires_in": "never", **wrong}
    assert page.post("/tokens/new/", values).status_code == 400
    assert not ApiToken.objects.exists()


def test_revoking_asks_first(page: Client, user: User) -> None:
    token, text = make_token(user=user, name="shop")
    assert "Revoke “shop”?" in page.get(f"/tokens/{token.pk}/revoke/").content.decode()
    assert program(text).get(PRODUCTS).status_code == 200
    assert page.post(f"/tokens/{token.pk}/revoke/").status_code == 302
    assert program(text).get(PRODUCTS).status_code == 401
    assert not AuthToken.objects.exists()


def test_nobody_sees_or_revokes_the_tokens_of_others(
    page: Client, make_user: Callable[..., User]
) -> None:
    token, _ = make_token(user=make_user("nora"), name="not yours")
    assert "not yours" not in page.get("/tokens/").content.decode()
    for method in ("get", "post"):
        assert getattr(page, method)(f"/tokens/{token.pk}/revoke/").status_code == 404
    assert ApiToken.objects.exists()


def test_somebody_without_a_role_sees_no_running_imports_there(
    make_user: Callable[..., User],
) -> None:
    from imports.models import ImportJob

    ImportJob.objects.create(file_name="secret-supplier.csv", file_size=1, status="processing")
    client = Client()
    for role, seen in (("", False), ("viewer", True)):
        client.force_login(make_user(f"with {role}", role))
        text = client.get("/tokens/").content.decode()
        assert ("secret-supplier.csv" in text) is seen


# --- The admin and the command --------------------------------------------------------


def test_the_admin_shows_tokens_without_secrets_and_revokes(
    admin_client: Client, user: User
) -> None:
    token, text = make_token(user=user, name="shop")
    address = "/admin/product_importer/apitoken/"
    for path in (address, f"{address}{token.pk}/change/"):
        shown = admin_client.get(path).content.decode()
        assert "shop" in shown
        assert text not in shown
        assert token.token.digest not in shown
    assert admin_client.post(f"{address}{token.pk}/delete/", {"post": "yes"}).status_code == 302
    assert program(text).get(PRODUCTS).status_code == 401
    last = LogEntry.objects.latest("id")
    assert (str(last.user), last.change_message) == ("admin", "Revoked; it was made for mara.")


def test_the_admin_revokes_several_at_once(admin_client: Client, user: User) -> None:
    tokens = [make_token(user=user)[0].pk for _ in range(3)]
    values = {"action": "delete_selected", "_selected_action": tokens, "post": "yes"}
    admin_client.post("/admin/product_importer/apitoken/", values)
    assert not AuthToken.objects.exists()


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("api_token", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_command_prints_a_token_that_works(user: User) -> None:
    assert program(command("mara")).post(PRODUCTS, {"sku": "A", "name": "B"}).status_code == 201
    assert ApiToken.objects.get().expires_at is None


def test_the_command_takes_a_name_a_scope_and_an_end(user: User) -> None:
    text = command("mara", "--name", "the shop", "--read-only", "--expires-in-days", "2")
    assert program(text).post(PRODUCTS, {"sku": "A", "name": "B"}).status_code == 403
    token = ApiToken.objects.get()
    assert (token.name, token.scope) == ("the shop", "read")
    assert token.expires_at is not None
    assert timedelta(days=1) < token.expires_at - timezone.now() <= timedelta(days=2)


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["mara", "--expires-in-days", "0"], ["mara", "--name", " "]]
)
def test_the_command_says_what_is_wrong(user: User, arguments: list[Any]) -> None:
    with pytest.raises(CommandError):
        command(*arguments)
    assert not AuthToken.objects.exists()
