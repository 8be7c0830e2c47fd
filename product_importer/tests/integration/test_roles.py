"""Who may do what: every address of the project, with every method, for every role."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver, reverse

from catalog.models import Product
from catalog.operations.products import create_product
from product_importer.common.parsing import ROW_NUMBER

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
ROLES = ("none", "viewer", "editor", "manager")
PUBLIC, LOGIN = "", "login"  # needs nothing; needs a login and no permission

SEE_JOBS, IMPORT = "imports.view_importjob", "imports.add_importjob"
SEE, ADD = "catalog.view_product", "catalog.add_product"
CHANGE, DELETE = "catalog.change_product", "catalog.delete_product"
CLEAR, EXPORT = "catalog.bulk_delete_product", "catalog.export_product"
SEE_CHANGES = "catalog.view_changeset"
CHATS = "imports.change_noticerecipient"
HOOKS = {
    "get": "webhooks.view_endpoint",
    "post": "webhooks.add_endpoint",
    "put": "webhooks.change_endpoint",
    "patch": "webhooks.change_endpoint",
    "delete": "webhooks.delete_endpoint",
}
SEE_FEEDS, RUN_FEEDS = "imports.view_feed", "imports.run_feed"
FEEDS = {
    "get": SEE_FEEDS,
    "post": "imports.add_feed",
    **dict.fromkeys(("put", "patch"), "imports.change_feed"),
    "delete": "imports.delete_feed",
}
WHO_IMPORTS = {
    "get": SEE_JOBS,
    **dict.fromkeys(("put", "patch", "delete"), IMPORT),
}

# What each address needs: for every method the same permission, or one by method. Of an address
# without an entry here the test fails: whoever adds one says who may use it.
NEEDED: dict[str, str | dict[str, str]] = {
    "home": SEE_JOBS,
    "sample": SEE_JOBS,
    "job-list": {"get": SEE_JOBS, "post": IMPORT},
    "job-running": SEE_JOBS,
    "job-detail": SEE_JOBS,
    "job-panel": SEE_JOBS,
    "job-rejected": SEE_JOBS,
    "job-rejects-csv": SEE_JOBS,
    "job-superseded": SEE_JOBS,
    "job-review": SEE_JOBS,
    "job-review-csv": SEE_JOBS,
    "job-drop": IMPORT,
    "job-leave-out": IMPORT,
    "job-mend": IMPORT,
    "job-import-mended": IMPORT,
    "job-apply": IMPORT,
    "job-cancel": IMPORT,
    "job-retry": IMPORT,
    "job-mapping": {"get": SEE_JOBS, "post": IMPORT},
    "job-mapping-preview": IMPORT,
    "job-mapping-fields": "catalog.add_field",
    "supplier-list": {"get": SEE_JOBS, "post": IMPORT},
    "supplier-detail": {"get": SEE_JOBS, "post": IMPORT},
    "supplier-delete": IMPORT,
    "supplier-settings": "imports.change_supplier",
    "format-upload": IMPORT,
    "format-detail": {"get": SEE_JOBS, "post": IMPORT},
    "format-json": SEE_JOBS,
    "format-delete": IMPORT,
    "notice-list": SEE_JOBS,
    "notice-settings": SEE_JOBS,
    "notice-test": SEE_JOBS,
    "notice-unsubscribe": PUBLIC,
    "chat-list": CHATS,
    "chat-new": CHATS,
    "chat-detail": CHATS,
    "chat-delete": CHATS,
    "chat-test": CHATS,
    "api-notice-list": SEE_JOBS,
    "api-notice-settings": SEE_JOBS,
    "api-notice-test": SEE_JOBS,
    "api-chat-list": CHATS,
    "api-chat-detail": CHATS,
    "api-chat-test": CHATS,
    "format-full-list": IMPORT,
    "feed-list": SEE_FEEDS,
    "feed-new": "imports.add_feed",
    "feed-times": SEE_FEEDS,
    "feed-detail": SEE_FEEDS,
    "feed-edit": "imports.change_feed",
    "feed-run": RUN_FEEDS,
    "feed-test": RUN_FEEDS,
    "feed-switch": "imports.change_feed",
    "feed-delete": "imports.delete_feed",
    "product-list": SEE,
    "product-new": ADD,
    "product-export": EXPORT,
    "product-export-ask": EXPORT,
    "product-export-xlsx": EXPORT,
    "export-format-list": EXPORT,
    "export-format-new": "catalog.add_exportformat",
    "export-format-detail": "catalog.change_exportformat",
    "export-format-delete": "catalog.delete_exportformat",
    "product-bulk-ask": SEE,
    "product-bulk-start": SEE,
    "product-detail": {"get": SEE, "post": CHANGE},
    "product-row": CHANGE,
    "product-delete": DELETE,
    "field-list": "catalog.view_field",
    "field-new": "catalog.add_field",
    "field-ready-made": "catalog.add_field",
    "field-detail": "catalog.change_field",
    "field-move": "catalog.change_field",
    "field-retire": "catalog.change_field",
    "field-delete": "catalog.delete_field",
    "product-clear": CLEAR,
    "product-display": SEE,
    "product-view-save": SEE,
    "product-view-delete": SEE,
    "product-bring-back": ADD,
    "product-restore": CHANGE,
    "change-list": SEE_CHANGES,
    "change-detail": SEE_CHANGES,
    "change-panel": SEE_CHANGES,
    "change-notice": SEE_CHANGES,
    "change-undo": SEE_CHANGES,
    "find": LOGIN,
    "keys-switch": LOGIN,
    "endpoint-list": "webhooks.view_endpoint",
    "endpoint-new": "webhooks.add_endpoint",
    "endpoint-detail": "webhooks.view_endpoint",
    "endpoint-edit": "webhooks.change_endpoint",
    "endpoint-switch": "webhooks.change_endpoint",
    "endpoint-rotate": "webhooks.change_endpoint",
    "endpoint-recover": "webhooks.change_endpoint",
    "endpoint-test": "webhooks.change_endpoint",
    "endpoint-resend": "webhooks.change_endpoint",
    "endpoint-delete": "webhooks.delete_endpoint",
    "delivery-detail": "webhooks.view_endpoint",
    "delivery-result": "webhooks.view_endpoint",
    "delivery-resend": "webhooks.change_endpoint",
    "token-list": LOGIN,
    "token-new": LOGIN,
    "token-revoke": LOGIN,
    "password-change": LOGIN,
    "login": PUBLIC,
    "logout": LOGIN,
    "admin/login": PUBLIC,
    "admin/logout": LOGIN,
    "admin/password_change": LOGIN,
    "healthz": PUBLIC,
    "readyz": PUBLIC,
    "metrics": "webhooks.view_tally",
    "api-root": LOGIN,
    "api-schema": PUBLIC,
    "api-docs": PUBLIC,
    "api-import-list": {"get": SEE_JOBS, "post": IMPORT},
    "api-import-detail": SEE_JOBS,
    "api-import-events": SEE_JOBS,
    "api-import-errors": SEE_JOBS,
    "api-import-rejects": SEE_JOBS,
    "api-import-diff": SEE_JOBS,
    "api-import-apply": IMPORT,
    "api-import-cancel": IMPORT,
    "api-import-retry": IMPORT,
    "api-import-undo": SEE_JOBS,
    "api-import-mapping": {"get": SEE_JOBS, "put": IMPORT},
    "api-import-mapping-preview": IMPORT,
    "api-supplier-list": {"get": SEE_JOBS, "post": IMPORT},
    "api-supplier-detail": WHO_IMPORTS,
    "api-format-list": {"get": SEE_JOBS, "post": IMPORT},
    "api-format-detail": WHO_IMPORTS,
    "api-format-versions": SEE_JOBS,
    "api-format-export": SEE_JOBS,
    "api-format-import": IMPORT,
    "api-feed-list": FEEDS,
    "api-feed-detail": FEEDS,
    "api-feed-run": RUN_FEEDS,
    "api-feed-test": RUN_FEEDS,
    "api-feed-runs": SEE_FEEDS,
    "api-feed-due": SEE_FEEDS,
    "api-upload-list": IMPORT,
    "api-upload-detail": IMPORT,
    "api-upload-parts": IMPORT,
    "api-upload-complete": IMPORT,
    "api-product-list": {"get": SEE, "post": ADD},
    "api-product-detail": {"get": SEE, "put": CHANGE, "patch": CHANGE, "delete": DELETE},
    "api-product-history": SEE,
    "api-product-export": EXPORT,
    "api-product-export-xlsx": EXPORT,
    "api-export-format-list": {"get": EXPORT, "post": "catalog.add_exportformat"},
    "api-export-format-detail": {
        "get": EXPORT,
        "patch": "catalog.change_exportformat",
        "delete": "catalog.delete_exportformat",
    },
    "api-export-format-ready-made": EXPORT,
    "api-product-bulk-delete": CLEAR,
    "api-product-bulk-update": CHANGE,
    "api-field-list": {"get": SEE, "post": "catalog.add_field"},
    "api-field-detail": {
        "get": SEE,
        "patch": "catalog.change_field",
        "delete": "catalog.delete_field",
    },
    "api-field-ready-made": "catalog.add_field",
    "api-change-set-list": SEE_CHANGES,
    "api-change-set-detail": SEE_CHANGES,
    "api-change-set-conflicts": SEE_CHANGES,
    "api-change-set-undo": SEE_CHANGES,
    "api-webhook-list": HOOKS,
    "api-webhook-detail": HOOKS,
    "api-webhook-deliveries": "webhooks.view_endpoint",
    "api-webhook-test": "webhooks.change_endpoint",
    "api-webhook-rotate-secret": "webhooks.change_endpoint",
    "api-webhook-recover": "webhooks.change_endpoint",
    "api-delivery-detail": "webhooks.view_endpoint",
    "api-delivery-resend": "webhooks.change_endpoint",
}
NOBODYS = 999_999_999_999_999  # no row has this number: who may is told that it is not there


def addresses(resolver: Any = None, before: str = "/") -> Iterator[tuple[str, str]]:
    """Every address of the project but the admin's, with its name."""
    for pattern in (resolver or get_resolver()).url_patterns:
        part = str(pattern.pattern)
        if part == "admin/":
            continue
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern, before + part)
            continue
        for parameter in ("<int:pk>", f"(?P<pk>{ROW_NUMBER})"):
            part = part.replace(parameter, str(NOBODYS))
        if "<format>" not in part:
            path = before + part.strip("^$").replace("\\", "")
            yield pattern.name or path.strip("/"), path


ADDRESSES = sorted(set(addresses()))


def permission(name: str, method: str) -> str | None:
    """What a method of an address needs; ``None`` if it is not among those that are listed."""
    needed = NEEDED[name]
    if isinstance(needed, str):
        return needed
    return needed.get({"head": "get"}.get(method, method))


def test_every_address_says_who_may_use_it() -> None:
    assert {name for name, _ in ADDRESSES} == NEEDED.keys()
    assert len(ADDRESSES) > 70


def ask(client: Client, method: str, path: str) -> int:
    return int(getattr(client, method)(path, headers={"accept": "*/*"}).status_code)


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_strangers_reach_nothing_but_the_log_in() -> None:
    stranger = Client()
    wrong = []
    for name, path in ADDRESSES:
        for method in METHODS:
            status = ask(stranger, method, path)
            if permission(name, method) != PUBLIC and status not in (302, 401, 405):
                wrong.append((name, method, status))
            if status == 302 and name != "logout":
                assert stranger.get(path).headers["Location"].startswith("/login/"), name
    assert wrong == []


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
@pytest.mark.parametrize("role", ROLES)
def test_an_address_is_for_those_who_may(role: str, make_user: Callable[..., User]) -> None:
    user = make_user(role, "" if role == "none" else role)
    wrong = []
    for name, path in ADDRESSES:
        client = Client()
        client.force_login(user)
        for method in METHODS:
            needed = permission(name, method)
            if name == "logout" and method == "post":
                continue
            status = ask(client, method, path)
            told = (name, method, status)
            if status == 401 or (status >= 500 and name != "readyz"):
                wrong.append(told)
            if needed is None or status == 405 or method == "options":
                continue  # what an address does not offer, it offers to nobody
            may = needed in (PUBLIC, LOGIN) or user.has_perm(needed)
            if (status != 403) != may:
                wrong.append(told)
    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
@pytest.mark.parametrize("name", ["home", "product-list", "change-list", "job-list"])
def test_a_page_takes_no_other_methods(
    name: str, method: str, make_user: Callable[..., User]
) -> None:
    client = Client()
    client.force_login(make_user())
    assert ask(client, method, dict(ADDRESSES)[name]) in (200, 405)


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_what_many_products_need_depends_on_the_act(
    make_user: Callable[..., User], make_product: Callable[..., Product]
) -> None:
    product = make_product()
    allowed: dict[str, list[str]] = {"viewer": [], "editor": ["activate", "deactivate"]}
    allowed["manager"] = [*allowed["editor"], "delete"]
    for role, acts in allowed.items():
        client = Client()
        client.force_login(make_user(role, role))
        for act in ("activate", "deactivate", "delete"):
            for name in ("product-bulk-ask", "product-bulk-start"):
                answer = client.post(reverse(name), {"act": act, "id": product.pk, "typed": "no"})
                assert (answer.status_code != 403) == (act in acts), (role, act)


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_only_a_manager_undoes_what_others_did(make_user: Callable[..., User]) -> None:
    roles = ("viewer", "editor", "manager")
    users = {role: make_user(role, role) for role in roles}
    may = {("editor", "editor"), ("manager", "manager"), ("manager", "editor")}
    for role in roles:
        client = Client()
        client.force_login(users[role])
        for owner in ("editor", "manager"):
            product = create_product(
                actor=users[owner], data={"sku": f"{role} {owner}", "name": "Lamp"}
            )
            number = product.created_in_id
            for path in (f"/changes/{number}/undo/", f"/api/v1/change-sets/{number}/undo/"):
                allowed = ask(client, "post", path) != 403
                assert allowed == ((role, owner) in may), (role, owner, path)


@pytest.mark.django_db
def test_the_roles_hold_one_another(make_user: Callable[..., User]) -> None:
    held = [make_user(role, role).get_all_permissions() for role in ROLES[1:]]
    assert held[0] < held[1] < held[2]
    assert not any("add" in name or "change_" in name or "delete" in name for name in held[0])


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_somebody_without_a_role_is_told_what_to_do(make_user: Callable[..., User]) -> None:
    client = Client()
    client.force_login(make_user("nora", ""))
    answer = client.get("/")
    assert answer.status_code == 403
    assert "can give you a role" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_the_admin_is_for_staff(make_user: Callable[..., User]) -> None:
    manager = make_user()
    pages = ("/admin/", "/admin/catalog/product/", "/admin/imports/importjob/", "/admin/auth/user/")
    client = Client()
    client.force_login(manager)
    for page in pages:
        assert client.get(page).status_code == 302  # to the admin's login
    manager.is_staff = True
    manager.save()
    assert [client.get(page).status_code for page in pages] == [200, 200, 200, 403]
