"""No page has a fault that axe-core knows of: ours, the admin's, the API's; light and dark."""

from collections.abc import Callable, Collection
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import Page, expect

from catalog.models import ChangeSet
from catalog.operations.products import create_product, delete_product, update_product
from imports.models import Feed, FeedRun, Supplier
from imports.operations.feeds.feeds import create_feed

pytestmark = pytest.mark.django_db(transaction=True)

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# A colour on its way to another one may be too faint for a moment. What pulses for ever is no text.
AT_REST = """
Promise.all(document.getAnimations()
    .filter((one) => one.playState === "running")
    .filter((one) => one.effect.getComputedTiming().endTime < Infinity)
    .map((one) => one.finished.catch(() => null)))
    .then(() => null)
"""
IMPACTS = ("minor", "moderate", "serious", "critical")
OWN = (
    "/",
    "/products/?q=lamp&active=true",
    "/products/?q=nothing",
    "/products/new/",
    "/products/clear/",
    "/products/export/",
    "/export-formats/",
    "/export-formats/new/?from=Shopify",
    "/changes/",
    "/imports/",
    "/webhooks/",
    "/notices/",
    "/notices/settings/",
    "/notices/chats/",
    "/notices/chats/new/",
    "/feeds/",
    "/feeds/new/",
    "/tokens/",
    "/password/",
    "/no/such/page/",
)


def faults(page: Page, *, only: Collection[str] = IMPACTS) -> list[tuple[str, str]]:
    """The rule and the element of each violation (of these impacts) on the page as it is."""
    page.evaluate(AT_REST)
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], node["html"][:200])
        for rule in found["violations"]
        if rule["impact"] in only
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
def test_no_page_has_a_fault_that_axe_knows_of(
    open_page: Callable[..., Page], user: User, width: int, colours: str
) -> None:
    product = create_product(actor=user, data={"sku": "A-1", "name": "Lamp", "price": "3"})
    update_product(product_id=product.pk, actor=user, data={"price": "1299"})
    gone = create_product(actor=user, data={"sku": "A-2", "name": "Old lamp"})
    deletion = delete_product(product_id=gone.pk, actor=user)
    supplier = Supplier.objects.create(name="Müller GmbH")
    values = {"name": "prices", "url": "https://files.example.com/prices.csv"}
    feed = create_feed(
        supplier_id=supplier.pk, user=user, schedule="weekdays at 6", time_zone="UTC", **values
    )
    # At whatever hour the tests run, it is not due while they do.
    Feed.objects.update(next_run_at=timezone.now() + timedelta(days=3))
    FeedRun.objects.create(feed=feed, state="failed", message="The server asks for a password.")
    edit = ChangeSet.objects.get(kind=ChangeSet.Kind.EDIT)
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    found = {}
    paths = [
        *OWN,
        f"/products/{product.pk}/",
        f"/products/{gone.pk}/",
        f"/feeds/{feed.pk}/",
        f"/feeds/{feed.pk}/edit/",
        f"/changes/{edit.pk}/",
        f"/changes/{deletion.pk}/undo/",
    ]
    for path in paths:
        page.goto(path)
        expect(page.locator("#pi-main")).to_be_visible()
        if seen := faults(page):
            found[path] = seen
        # Nothing scrolls sideways but tables, which say so.
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, path
    page.goto("/products/")
    page.keyboard.press("?")
    found["keys"] = faults(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option", name="Products")).to_be_visible()
    found["find"] = faults(page)
    page.keyboard.press("Escape")
    if width > 1000:
        page.get_by_role("cell", name="1,299.00").click()
        expect(page.get_by_role("textbox", name="Price")).to_be_focused()
        found["cell"] = faults(page)
    assert not {path: seen for path, seen in found.items() if seen}


# --- The admin, and the API's own pages ------------------------------------------------


def of_the_admin(product: int) -> list[str]:
    """Each list of the admin, and the forms of what a role or a product is changed by."""
    models = [model._meta for model in admin.site._registry]
    lists = [f"/admin/{model.app_label}/{model.model_name}/" for model in models]
    user, role = User.objects.get().pk, Group.objects.get(name="editor").pk
    forms = [
        f"/admin/auth/user/{user}/change/",
        "/admin/auth/user/add/",
        f"/admin/auth/user/{user}/password/",
        f"/admin/auth/group/{role}/change/",
        f"/admin/catalog/product/{product}/change/",
        f"/admin/catalog/product/{product}/history/",
        f"/admin/catalog/product/{product}/delete/",
    ]
    return ["/admin/", "/admin/catalog/", *lists, *forms]


@pytest.mark.parametrize(("width", "colours"), [(1400, "light"), (360, "dark")])
def test_no_page_of_the_admin_has_a_fault(
    open_page: Callable[..., Page], user: User, width: int, colours: str
) -> None:
    product = create_product(actor=user, data={"sku": "A-1", "name": "Lamp", "price": "3"})
    Supplier.objects.create(name="Müller GmbH")
    user.is_staff = user.is_superuser = True
    user.save()
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    found = {}
    for path in of_the_admin(product.pk):
        page.goto(path)
        expect(page.get_by_role("main")).to_be_visible()
        if seen := faults(page):
            found[path] = seen
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, path
    page.context.clear_cookies()
    page.goto("/admin/login/")
    found["log-in"] = faults(page)
    assert not {path: seen for path, seen in found.items() if seen}


@pytest.mark.parametrize(("width", "colours"), [(1400, "light"), (360, "dark")])
def test_no_page_of_the_api_has_a_fault(
    open_page: Callable[..., Page], user: User, width: int, colours: str
) -> None:
    product = create_product(actor=user, data={"sku": "A-1", "name": "Lamp", "price": "3"})
    supplier = Supplier.objects.create(name="Müller GmbH")
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    lists = ("products", "imports", "feeds", "suppliers", "webhooks", "change-sets")
    paths = ["", *(f"{name}/" for name in lists), f"products/{product.pk}/", "products/0/"]
    found = {}
    for path in [*paths, f"suppliers/{supplier.pk}/"]:
        page.goto(f"/api/v1/{path}")
        expect(page.get_by_role("main")).to_be_visible()
        if seen := faults(page):
            found[path] = seen
        # Nothing scrolls sideways but what a program would be sent.
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, path
    assert not found


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_docs_of_the_api_have_no_serious_fault(
    open_page: Callable[..., Page], colours: str
) -> None:
    page = open_page(viewport={"width": 1400, "height": 900}, color_scheme=colours)
    page.goto("/api/v1/docs/")
    page.locator("#operations-products-products_list .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tr.response")).to_be_visible()
    assert faults(page, only=("serious", "critical")) == []
