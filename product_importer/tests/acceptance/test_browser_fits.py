"""Nothing scrolls sideways but what says so: narrow, wide, and 1280 pixels at 200 %."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from catalog.operations.fields import create_ready_made
from catalog.operations.products import create_product, update_product
from imports.models import FeedRun, ImportJob, Supplier
from imports.operations.feeds.feeds import create_feed
from webhooks.models import Delivery
from webhooks.operations.endpoints import create_endpoint, send_test

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "a supplier's file with a really rather long name, spring 2026 final (2).csv"
RIGHT_TO_LEFT = "مصباح مكتب 🪔 (أسود)"

# Boxes that hold more than they show, and that no label says so of.
SILENT = """
() => [...document.querySelectorAll("#pi-main *")].filter((box) =>
    ["auto", "scroll"].includes(getComputedStyle(box).overflowX)
    && box.scrollWidth > box.clientWidth + 1
    && !box.closest("[role=region][tabindex='0']")?.getAttribute("aria-label")?.includes("scrolls"))
  .map((box) => `${box.tagName} ${box.className}: ${box.scrollWidth} in ${box.clientWidth}`)
"""


@pytest.fixture
def paths(user: User, run_import: Callable[..., ImportJob]) -> list[str]:
    """Pages with long names in them, and some that are read from the right."""
    create_ready_made()
    job = run_import("sku,name,price\nA-1,Lamp,1.00\nA-2,Chair,free\n", file_name=LONG)
    run_import("sku,name,price\nA-3,Chair,free\n", file_name="nothing.csv")
    product = create_product(actor=user, data={"sku": "RTL-1", "name": RIGHT_TO_LEFT, "price": "3"})
    update_product(product_id=product.pk, actor=user, data={"name": "כיסא 🪑"})
    supplier = Supplier.objects.create(name=RIGHT_TO_LEFT)
    feed = create_feed(
        supplier_id=supplier.pk,
        user=user,
        name="stock, the whole list of every hour",
        url="https://files.example.com/a/rather/long/address/prices.csv",
        schedule="every hour",
        time_zone="UTC",
    )
    FeedRun.objects.create(feed=feed, state="failed", message="The server asks for a password.")
    endpoint, _ = create_endpoint(
        actor=user,
        url="https://example.com/a/rather/long/address/of/a/hook?with=parameters&and=more",
        events=["product.updated", "import.completed"],
    )
    send_test(endpoint_id=endpoint.pk)
    assert Delivery.objects.exists()
    return [
        "/",
        "/products/",
        f"/products/{product.pk}/",
        "/changes/",
        "/imports/",
        f"/imports/{job.pk}/",
        f"/imports/{job.pk}/rejected/",
        "/suppliers/",
        f"/suppliers/{supplier.pk}/",
        "/feeds/",
        f"/feeds/{feed.pk}/",
        "/webhooks/",
        f"/webhooks/{endpoint.pk}/",
        "/fields/",
        "/tokens/",
        "/notices/settings/",
        "/export-formats/",
    ]


# What of the boxes that match lies outside of the table's own box.
HIDDEN = """
(table, selector) => { const box = table.getBoundingClientRect();
  return [...table.querySelectorAll(selector)].map((cell) => cell.getBoundingClientRect())
    .filter((cell) => cell.width)
    .filter((cell) => cell.left < box.left - 1 || cell.right > box.right + 1).length; }
"""


@pytest.mark.parametrize("width", [360, 1280])
def test_of_a_product_with_many_fields_what_matters_is_in_sight_however_it_is_scrolled(
    open_page: Callable[..., Page], paths: list[str], width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    page.goto("/products/")
    table = page.get_by_role("region", name="a table that scrolls")
    assert table.evaluate("(box) => box.scrollWidth > box.clientWidth")  # there is more to see
    assert table.evaluate(HIDDEN, "td[data-edit=sku] a, td[data-edit=price], .pi-status") == 0
    table.evaluate("(box) => box.scrollTo(box.scrollWidth, 0)")
    assert table.evaluate("(box) => box.scrollLeft") > 0
    assert table.evaluate(HIDDEN, "td[data-edit=sku] a, .pi-pick input") == 0


@pytest.mark.parametrize("width", [360, 640, 1280])
def test_nothing_scrolls_sideways_but_what_says_so(
    open_page: Callable[..., Page], paths: list[str], width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    found = {}
    for path in paths:
        page.goto(path)
        expect(page.locator("#pi-main")).to_be_visible()
        too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if (silent := page.evaluate(SILENT)) or too_wide > 0:
            found[path] = (too_wide, silent)
    assert found == {}
