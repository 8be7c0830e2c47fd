"""Fields of one's own in the list of products, in a real Chromium."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from catalog.models import Product
from catalog.operations import fields, products
from conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

PICTURE = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect fill='red'/></svg>"


@pytest.fixture
def catalogue(transactional_db: None) -> list[Product]:
    for label, type, options in (
        ("Brand", "text", {}),
        ("Stock", "integer", {}),
        ("Size", "choice", {"choices": ["S", "M", "L"]}),
        ("Listed", "date", {}),
        ("Image", "image", {}),
    ):
        fields.create_field(data={"label": label, "type": type, "options": options})
    own = {"brand": "Acme", "size": "S", "image": "https://img.example/1.svg"}
    return [
        products.create_product(
            actor=None,
            data={"sku": f"P-{n}", "name": f"Lamp {n}", "fields": {**own, "stock": n * 900}},
        )
        for n in range(1, 4)
    ]


def test_own_fields_are_edited_in_their_cells_by_the_keyboard(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/")
    row = page.locator("#products tbody tr").first
    row.locator('td[data-edit="fields.brand"]').click()
    brand = row.get_by_role("textbox", name="Brand")
    expect(brand).to_be_focused()
    brand.fill("Bolt")
    brand.press("Tab")
    stock = row.get_by_role("textbox", name="Stock")
    expect(stock).to_be_focused()
    stock.fill("many")
    stock.press("Enter")
    expect(row.get_by_role("alert")).to_contain_text("is not a whole number")
    stock.fill("1200")
    stock.press("Tab")
    size = row.get_by_role("combobox", name="Size")
    expect(size).to_be_focused()
    size.select_option("M")
    size.press("Tab")
    listed = row.locator("input[name=field_listed]")
    expect(listed).to_be_focused()
    listed.fill("2026-03-02")
    listed.press("Enter")
    expect(row.locator('td[data-edit="fields.listed"]')).to_have_text("2026-03-02")
    expect(row.locator('td[data-edit="fields.stock"]')).to_have_text("1,200")
    expect(row.locator("input[name=id]")).to_be_focused()
    row.locator('td[data-edit="fields.brand"]').click()
    brand.fill("Nothing of this")
    page.keyboard.press("Escape")
    expect(row.locator('td[data-edit="fields.brand"]')).to_have_text("Bolt")
    saved = Product.objects.get(sku="P-1").own_fields or {}
    assert (saved["brand"], saved["stock"], saved["size"]) == ("Bolt", 1200, "M")
    assert saved["listed"] == "2026-03-02"


def test_columns_are_chosen_and_put_in_order(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/")
    page.get_by_text("Columns and rows").click()
    form = page.get_by_role("form", name="Columns and rows")
    form.get_by_role("checkbox", name="Description").uncheck()
    up = form.get_by_role("button", name="Move Stock before the one above")
    for _ in range(5):
        up.click()
        expect(up).to_be_focused()
    form.get_by_role("button", name="Show, and remember").click()
    expect(page.locator("#products thead")).to_contain_text(re.compile(r"SKU\s+Stock\s+Name"))
    expect(page.locator("#products thead")).not_to_contain_text("Description")


def test_the_list_is_filtered_by_an_own_field_and_the_chip_takes_it_back(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/")
    page.get_by_text("Filters by your fields").click()
    page.get_by_role("group", name="Stock").get_by_label("from").fill("1000")
    expect(page.locator("#products tbody tr")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"fields\.stock__gte=1000"))
    page.get_by_role("group", name="Size").get_by_label("is one of").select_option(["M", "L"])
    expect(page.get_by_text("No product matches.")).to_be_visible()
    page.get_by_role("link", name="Remove the filter Size is one of: M or L").click()
    expect(page.locator("#products tbody tr")).to_have_count(2)


def test_the_browser_alone_loads_the_images_of_rows(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    asked: list[dict[str, str]] = []

    def answer(route: Route) -> None:
        asked.append(route.request.headers)
        route.fulfill(body=PICTURE, content_type="image/svg+xml")

    page.route("https://img.example/**", answer)
    page.goto("/products/")
    wait_for(lambda: page.evaluate("document.querySelector('.pi-thumb').naturalWidth") or None)
    assert asked
    assert not any("referer" in headers for headers in asked)
