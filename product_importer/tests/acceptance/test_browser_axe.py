"""No page of ours has a fault that axe-core knows of: wide and narrow, light and dark."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from catalog.models import ChangeSet
from catalog.operations.products import create_product, delete_product, update_product
from imports.models import FeedRun, Supplier
from imports.operations.feeds import create_feed

pytestmark = pytest.mark.django_db(transaction=True)

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
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


def faults(page: Page) -> list[tuple[str, str]]:
    """The rule and the element of each violation on the page as it is."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], node["html"][:200]) for rule in found["violations"] for node in rule["nodes"]
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
