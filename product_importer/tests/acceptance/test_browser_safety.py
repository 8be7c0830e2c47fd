"""In a browser: no page wants what its policy forbids, and the pages of the API tokens."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect

from catalog.models import Product
from catalog.operations.products import create_product
from conftest import PASSWORD, violations

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(user: User) -> User:
    user.is_staff = user.is_superuser = True
    user.save()
    return user


@pytest.mark.usefixtures("staff")
def test_no_page_wants_what_the_policy_forbids(
    open_page: Callable[..., Page], make_product: Callable[..., Product]
) -> None:
    product = make_product()
    role = Group.objects.get(name="editor").pk
    page = open_page()  # which fails the test on any violation
    for path in (
        "/products/",
        f"/products/{product.pk}/",
        "/imports/",
        "/suppliers/",
        "/changes/",
        "/webhooks/",
        "/webhooks/new/",
        "/tokens/",
        "/tokens/new/",
        "/admin/",
        "/admin/catalog/product/",
        f"/admin/catalog/product/{product.pk}/change/",
        "/admin/catalog/product/?active__exact=1",
        "/admin/auth/user/add/",
        f"/admin/auth/group/{role}/change/",
        "/admin/axes/accesslog/",
        "/admin/product_importer/apitoken/",
        "/admin/password_change/",
    ):
        answer = page.goto(path)
        assert answer
        assert answer.status == 200, path
    page.wait_for_load_state("networkidle")


@pytest.mark.usefixtures("staff")
def test_the_menus_of_the_admin_work_under_the_policy(
    open_page: Callable[..., Page], make_product: Callable[..., Product]
) -> None:
    make_product()
    page = open_page()
    page.goto("/admin/catalog/product/")
    panel = page.locator("#changelist-filter")
    expect(panel).to_be_hidden()
    page.locator("a", has_text="Filters").click()  # an Alpine attribute opens it
    expect(panel).to_be_visible()


def test_the_docs_of_the_api_show_themselves(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/api/v1/docs/")
    page.locator("#operations-products-products_list").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answered = page.locator(".live-responses-table tr.response .response-col_status")
    expect(answered).to_contain_text("200")


def test_the_browsable_api_shows_itself(open_page: Callable[..., Page]) -> None:
    page = open_page()
    for path in ("/api/v1/", "/api/v1/products/", "/api/v1/imports/", "/api/v1/webhooks/"):
        page.goto(path)
        expect(page.locator(".response-info")).to_contain_text("HTTP 200 OK")
    page.wait_for_load_state("networkidle")


def test_the_browsable_api_sends_what_was_typed(
    open_page: Callable[..., Page], make_product: Callable[..., Product]
) -> None:
    product = make_product(price="3")
    page = open_page()
    page.goto(f"/api/v1/products/{product.pk}/")
    page.get_by_role("textbox", name="JSON").fill('{"price": "49,90"}')
    page.get_by_role("button", name="PATCH").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("HTTP 400 Bad Request")
    page.get_by_role("textbox", name="JSON").fill('{"price": "49.90"}')
    page.get_by_role("button", name="PATCH").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text('"price": "49.90"')
    page.locator("summary", has_text="DELETE").click()
    page.get_by_role("button", name="DELETE").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("HTTP 204 No Content")
    assert not Product.objects.exists()


def test_the_browsable_api_takes_a_file(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/api/v1/imports/")
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": b"sku,name\nA-1,Lamp\n"}
    page.get_by_label("File").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="POST").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("HTTP 202 Accepted")


@pytest.mark.parametrize(
    "forbidden",
    [
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x.png\">')",
        "fetch('http://127.0.0.1:9/').catch(() => null)",
    ],
)
def test_a_violation_would_be_noticed(open_page: Callable[..., Page], forbidden: str) -> None:
    page = open_page()
    page.goto("/login/")
    other = page.context.browser
    assert other
    alone = other.new_page()  # not one of those whose violations fail the test
    alone.goto(page.url)
    with alone.expect_console_message(lambda message: bool(violations(message))):
        alone.evaluate(forbidden)
    alone.close()


def test_a_token_is_made_copied_and_revoked(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_role("link", name="API tokens").click()
    page.get_by_role("link", name="Make the first token").click()
    page.get_by_label("Name").fill("the shop")
    page.get_by_label("Read only").check()
    page.get_by_label("It expires").select_option("in 30 days")
    page.get_by_role("button", name="Make the token").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-copied]")).not_to_be_empty()
    page.get_by_role("link", name="I have copied it").click()
    row = page.get_by_role("row").filter(has_text="the shop")
    expect(row).to_contain_text("Read only")
    expect(row).to_contain_text("never")  # used
    row.get_by_role("link", name="Revoke the shop").click()
    page.get_by_role("button", name="Revoke the token").click()
    expect(page.get_by_role("status").filter(has_text="is revoked")).to_be_visible()
    expect(page.get_by_role("link", name="Make the first token")).to_be_visible()


def test_too_many_failed_log_ins_are_told_in_the_browser(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    page.context.clear_cookies()
    for _ in range(5):
        page.goto("/login/")
        page.get_by_label("Username").fill("nobody")
        page.get_by_label("Password").fill("wrong")
        # One that is left before its answer may not count.
        with page.expect_response(lambda answer: answer.request.method == "POST") as told:
            page.get_by_role("button", name="Log in").click()
        assert told.value.status in (200, 429)
    expect(page.get_by_text("Wait 15 minutes, then try again.")).to_be_visible()
    page.get_by_role("link", name="Back to the log-in").click()
    expect(page.get_by_label("Username")).to_be_visible()


def _stored(page: Page) -> str:
    """What the scripts of the pages have left in the browser."""
    kept: str = page.evaluate(
        "JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])"
    )
    return kept


@pytest.mark.parametrize("staff_too", [True, False])
def test_after_a_log_out_back_shows_nothing_and_nothing_stays_stored(
    open_page: Callable[..., Page], user: User, staff_too: bool
) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=staff_too)
    create_product(actor=user, data={"sku": "SECRET-1", "name": "Secret lamp"})
    page = open_page()
    page.goto("/products/")
    page.get_by_label("Search").first.fill("secret")
    expect(page).to_have_url(re.compile("secret"))
    page.get_by_label("Select SECRET-1").check()
    page.evaluate("localStorage.setItem('pi-upload:secret.csv:1:1', 'an id')")
    assert "secret" in _stored(page)
    page.get_by_role("button", name="Your account: mara").click()  # the user's menu
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert "secret" not in _stored(page).lower()
    page.go_back()
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page.get_by_text("Secret lamp")).to_have_count(0)


def test_a_password_is_changed_by_the_menu(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/")
    page.get_by_role("button", name="Your account: mara").click()
    page.get_by_role("link", name="Change password").click()
    expect(page.get_by_label("Old password")).to_be_focused()
    page.keyboard.type("wrong")
    page.get_by_label("New password", exact=True).fill("another-password-for-tests-2")
    page.get_by_label("New password confirmation").fill("another-password-for-tests-2")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert")).to_contain_text("old password was entered incorrectly")
    expect(page.get_by_label("Old password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.get_by_label("New password", exact=True).fill("another-password-for-tests-2")
    page.get_by_label("New password confirmation").fill("another-password-for-tests-2")
    page.get_by_label("Also revoke all API tokens").check()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


def test_without_scripts_there_is_a_way_to_the_password_and_out(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(java_script_enabled=False)
    page.get_by_role("link", name="Password").click()
    expect(page.get_by_label("Old password")).to_be_visible()
    page.get_by_role("navigation", name="Pages").get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Username")).to_be_visible()
