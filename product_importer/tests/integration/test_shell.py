"""The shell around every page: its words, its ways, its error pages."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from unfold.sites import UnfoldAdminSite

from catalog.models import Product
from conftest import PASSWORD
from imports.models import Supplier
from product_importer import __version__
from product_importer.environment import BASE_DIR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


def test_the_logo_leads_home_on_pages_and_admin(client: Client, user: User) -> None:
    user.is_staff = user.is_superuser = True
    user.save()
    client.force_login(user)
    for path in ("/products/", "/admin/"):
        shell = client.get(path).content.decode()
        assert '<a href="/" class="pi-logo"' in shell
        assert "View site" not in shell


def test_the_bar_has_the_only_heading_of_the_first_level() -> None:
    pages = [
        file
        for file in (BASE_DIR / "templates").rglob("*.html")
        if '{% extends "product_importer/page.html" %}' in file.read_text()
    ]
    assert len(pages) > 40
    assert [file.name for file in pages if "<h1" in file.read_text()] == []


def test_the_admin_calls_what_others_made_by_our_words(client: Client, user: User) -> None:
    user.is_staff = user.is_superuser = True
    user.save()
    client.force_login(user)
    page = client.get("/admin/").content.decode()
    for words in ("Log-ins", "Users and roles", "Failed log-ins", "Roles"):
        assert words in page
    for words in (
        "Site administration",
        "Axes",
        "Celery Results",
        "Access attempts",
        "Authentication and Authorization",
    ):
        assert words not in page


def test_what_people_named_stands_in_the_top_bar_as_they_wrote_it(
    client: Client, user: User, make_product: Callable[..., Product]
) -> None:
    user.is_staff = user.is_superuser = True
    user.save()
    client.force_login(user)
    product = make_product("bo-7")
    supplier = Supplier.objects.create(name="acme nightly")
    for path, name in (
        (f"/products/{product.pk}/", "bo-7"),
        (f"/suppliers/{supplier.pk}/", "acme nightly"),
        (f"/admin/imports/supplier/{supplier.pk}/change/", "acme nightly"),
    ):
        bar, *_ = re.findall(r"<h1.*?</h1>", client.get(path).content.decode(), re.S)
        assert name in bar
    assert "Suppliers" in bar  # what the program names begins large


@pytest.mark.parametrize(
    "path",
    [
        "/products/",
        "/products/?q=nothing",
        "/imports/",
        "/changes/",
        "/suppliers/",
        "/feeds/",
        "/webhooks/",
        "/fields/",
        "/notices/",
        "/notices/chats/",
        "/tokens/",
    ],
)
def test_an_empty_page_has_a_picture_that_is_not_read_out(page: Client, path: str) -> None:
    shown = page.get(path).content.decode()
    pictures = re.findall(r"<svg class=\"pi-picture\"[^>]*>", shown)
    assert len(pictures) == 1
    assert 'aria-hidden="true"' in pictures[0]


def test_who_has_no_role_reads_who_can_give_one(
    client: Client, make_user: Callable[..., User]
) -> None:
    User.objects.create_superuser("olga")
    client.force_login(make_user("nina", role=""))
    answer = client.get("/")
    assert answer.status_code == 403
    assert "You have no role yet" in answer.content.decode()
    assert "<b>olga</b> can give you a role" in answer.content.decode()


def test_what_is_not_there_is_told_with_the_navigation(client: Client, user: User) -> None:
    client.force_login(user)
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()
    assert "Welcome" not in answer.content.decode()  # the theme's title, where there is none
    assert 'href="/products/"' in answer.content.decode()
    assert 'aria-label="Main navigation"' in answer.content.decode()


def test_a_log_in_that_fails_says_one_sentence(client: Client, user: User) -> None:
    typed = {"username": user.username, "password": f"not {PASSWORD}"}
    for path in ("/login/", "/admin/login/"):
        page = client.post(path, typed).content.decode()
        assert page.count('role="alert"') == 1
        assert "correct the error below" not in page


def test_who_is_logged_in_is_told_why_the_admin_asks_again(client: Client, user: User) -> None:
    client.force_login(user)
    for path, told in (("/login/", False), ("/admin/login/", True)):
        text = client.get(path).content.decode()
        assert "You are logged in as mara" in text
        assert ("may not enter the admin" in text) is told


def test_what_cannot_be_taken_back_has_the_same_button_everywhere() -> None:
    found = set()
    for template in (BASE_DIR / "templates").rglob("*.html"):
        found |= set(re.findall(r"\b[\w-]*-danger\b", template.read_text()))
    assert found == {"pi-button-danger"}
    assert ".pi-button-danger {" in (BASE_DIR / "static/product_importer/app.css").read_text()


def test_the_box_finds_only_what_one_may_see(
    client: Client, make_user: Callable[..., User], make_product: Callable[..., object]
) -> None:
    make_product("A-77", name="Lamp")
    client.force_login(make_user("vera", "viewer"))
    found = client.get("/find/?q=a-77").content.decode()
    assert "A-77" in found
    assert "Changes" in client.get("/find/?q=chan").content.decode()
    client.force_login(make_user("nina", role=""))
    assert "A-77" not in client.get("/find/?q=a-77").content.decode()


def test_single_keys_are_switched_off_for_a_person(client: Client, user: User) -> None:
    client.force_login(user)
    assert 'data-on="true"' in client.get("/products/").content.decode()
    answer = client.post("/keys/", {"on": "0", "there": "/products/?q=x"})
    assert answer["Location"] == "/products/?q=x"
    assert 'data-on="false"' in client.get("/products/").content.decode()
    assert client.post("/keys/", {"on": "1", "there": "//evil.example"})["Location"] == "/"


def test_the_version_stands_in_the_shell_and_in_what_a_probe_gets(page: Client) -> None:
    assert __version__ in page.get("/").content.decode()
    alive = Client().get("/healthz")
    assert (alive.content, alive["X-Version"]) == (b"ok", __version__)


def test_a_page_makes_the_shell_once(
    client: Client, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(user)
    made: list[str] = []
    of = admin.site.each_context

    def each_context(request: HttpRequest) -> dict[str, Any]:
        made.append(request.path)
        return dict(of(request))

    monkeypatch.setattr(admin.site, "each_context", each_context)
    assert client.get("/products/").status_code == 200
    assert made == ["/products/"]


def test_a_page_asks_unfold_for_what_is_alike_on_all_of_them_once(
    client: Client, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    of = UnfoldAdminSite.each_context

    def each_context(site: UnfoldAdminSite, request: HttpRequest) -> Any:
        asked.append(request.path)
        return of(site, request)

    monkeypatch.setattr(UnfoldAdminSite, "each_context", each_context)
    monkeypatch.setattr(admin.site, "_alike", None)
    shown = {}
    for role in ("manager", "viewer"):
        client.force_login(make_user(role, role))
        shown[role] = client.get("/products/").content.decode()
    assert asked == ["/products/"]
    assert 'href="/webhooks/"' in shown["manager"]
    assert 'href="/webhooks/"' not in shown["viewer"]


def test_a_page_looks_for_the_models_of_the_admin_only_where_they_are_shown(
    client: Client, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client.force_login(user)
    looked: list[str] = []
    of = AdminSite.get_app_list

    def get_app_list(site: AdminSite, request: HttpRequest, *args: Any) -> Any:
        looked.append(request.path)
        return of(site, request, *args)

    monkeypatch.setattr(AdminSite, "get_app_list", get_app_list)
    assert client.get("/products/").status_code == 200
    assert looked == []
    assert "Users and roles" in client.get("/admin/").content.decode()
    assert set(looked) == {"/admin/"}
