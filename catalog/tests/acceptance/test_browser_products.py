"""A person with the catalogue, in a real Chromium."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect

from catalog.models import ChangeSet, Product, SearchIndex
from conftest import finished, wait_for
from imports.models import ImportJob

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def catalogue(transactional_db: None) -> list[Product]:
    """130 products: three pages of 50.

    With a change set, as all products have: counts are kept until there is a newer one.
    """
    ended = {"status": ChangeSet.Status.COMPLETED, "finished_at": timezone.now()}
    ChangeSet.objects.create(kind=ChangeSet.Kind.IMPORT, created=130, **ended)
    return Product.objects.bulk_create(
        Product(sku=f"P-{n:03d}", name=f"Lamp {n}", description=f"text {n % 7}", price=n)
        for n in range(130)
    )


def shown_skus(page: Page) -> list[str]:
    return page.locator("#products tbody code").all_text_contents()


def test_a_product_is_created_found_and_deleted(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/")
    page.get_by_role("link", name="New product").click()
    page.get_by_label("SKU").fill("NEW-1")
    page.get_by_label("Name").fill("Desk lamp")
    page.get_by_label("Price").fill("12.345")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#error-price")).to_contain_text("at most two decimals")
    expect(page.get_by_label("Name")).to_have_value("Desk lamp")
    page.get_by_label("Price").fill("12.34")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Desk lamp")).to_be_visible()
    page.goto("/products/?q=desk")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="NEW-1", exact=True).click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete the product").click()
    page.wait_for_url("**/products/?q=desk")  # the list as it was
    assert not Product.objects.exists()


def test_a_taken_sku_is_told_beside_its_field(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/new/")
    page.get_by_label("SKU").fill("p-001")
    page.get_by_label("Name").fill("Again")
    page.keyboard.press("Enter")
    expect(page.locator("#error-sku")).to_contain_text("exists already")
    assert Product.objects.count() == 130


def test_a_cell_is_edited_in_place(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    """Escape leaves, Tab goes on, Enter saves; after an error what is typed next is the price."""
    page = open_page()
    page.goto("/products/?q=P-00")
    page.get_by_role("cell", name="Lamp 1", exact=True).click()
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type("Left alone")  # in place of the value, which is selected
    page.keyboard.press("Escape")
    expect(page.get_by_role("cell", name="Lamp 1", exact=True)).to_be_visible()
    expect(page.get_by_label("Select P-001")).to_be_focused()
    page.get_by_role("cell", name="1.00", exact=True).click()
    expect(page.get_by_role("textbox", name="Price")).to_be_focused()
    page.keyboard.type("free")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("“free” is not a price")
    expect(page.get_by_role("textbox", name="Price")).to_be_focused()
    page.keyboard.type("1.007,50")
    page.keyboard.press("Shift+Tab")  # back to the description
    expect(page.get_by_role("textbox", name="Description")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type("Reading lamp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="Reading lamp")).to_be_visible()
    expect(page.get_by_role("cell", name="1,007.50")).to_be_visible()
    expect(page.get_by_label("Select P-001")).to_be_focused()
    product = Product.objects.get(sku="P-001")
    assert (product.name, str(product.price), product.version) == ("Reading lamp", "1007.50", 3)
    # Beyond the last cell of a row comes the next row.
    page.get_by_role("row", name=re.compile("P-002")).get_by_text("Active").click()
    expect(page.get_by_role("combobox", name="Active")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="SKU")).to_have_value("P-003")


def test_the_second_of_two_editors_loses_nothing(
    open_page: Callable[..., Page], make_user: Callable[..., User], catalogue: list[Product]
) -> None:
    make_user("theo", "editor")
    mine, theirs = open_page(), open_page("theo")
    for page in (mine, theirs):
        page.goto("/products/?q=P-002")
        page.get_by_role("cell", name="Lamp 2", exact=True).click()
        expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    theirs.keyboard.type("Their lamp")
    theirs.keyboard.press("Enter")
    expect(theirs.get_by_role("cell", name="Their lamp")).to_be_visible()
    theirs.get_by_role("cell", name="2.00", exact=True).click()
    expect(theirs.get_by_role("textbox", name="Price")).to_be_focused()
    theirs.keyboard.type("99")
    theirs.keyboard.press("Enter")
    expect(theirs.get_by_role("cell", name="99.00")).to_be_visible()
    mine.keyboard.type("My lamp")
    mine.keyboard.press("Enter")
    note = mine.get_by_role("alert")
    expect(note).to_contain_text("theo changed this product meanwhile")
    expect(note).to_contain_text("they saved Their lamp, you typed My lamp")
    expect(mine.get_by_role("textbox", name="Name")).to_have_value("My lamp")
    expect(mine.get_by_role("textbox", name="Name")).to_be_focused()
    expect(mine.get_by_role("cell", name="99.00")).to_be_visible()
    mine.keyboard.press("Enter")
    expect(mine.get_by_role("cell", name="My lamp")).to_be_visible()
    product = Product.objects.get(sku="P-002")
    assert (product.name, str(product.price)) == ("My lamp", "99.00")


def test_search_filter_sort_and_paging_stay_in_the_address(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/")
    page.get_by_role("searchbox").press_sequentially("lamp 1")
    expect(page.get_by_role("status")).to_have_text("41 products match")
    expect(page).to_have_url(re.compile(r"\?q=lamp(\+|%20)1$"))
    page.get_by_role("link", name="Price").click()
    expect(page).to_have_url(re.compile("ordering=price"))
    page.get_by_role("link", name="Price").click()
    expect(page.locator("#products tbody code").first).to_have_text("P-129")
    page.reload()
    expect(page.locator("#products tbody code").first).to_have_text("P-129")
    expect(page.get_by_role("searchbox")).to_have_value("lamp 1")
    page.go_back()
    expect(page.locator("#products tbody code").first).to_have_text("P-001")
    page.get_by_role("link", name=re.compile("Remove the filter Search")).click()
    expect(page.get_by_role("status")).to_have_text("130 products")
    seen = shown_skus(page)
    for number in (2, 3):
        page.get_by_role("link", name="Next").click()
        expect(page.get_by_text(f"Page {number} of 3")).to_be_visible()
        seen += shown_skus(page)
    assert seen == [f"P-{n:03d}" for n in range(130)]
    page.get_by_text("Filters", exact=True).click()
    page.locator("select[name=active]").select_option("false")
    expect(page.get_by_text("No product matches")).to_be_visible()


def test_products_selected_over_two_pages_are_deactivated(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    """It ends in the list where it began, with a message that offers to take it back."""
    page = open_page()
    page.goto("/products/?ordering=sku")
    page.get_by_label("Select P-003").check()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of 3")).to_be_visible()
    page.get_by_label("Select P-060").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    place = page.url
    page.get_by_role("button", name="Deactivate").click()
    page.get_by_role("button", name="Deactivate 2 products").click()
    page.wait_for_url(place)
    message = page.get_by_role("status").filter(has_text="Deactivated 2 selected products")
    expect(message).to_be_visible()
    expect(page.locator("#bulk-form")).to_be_hidden()
    expect(page.get_by_role("row", name=re.compile("P-060"))).to_contain_text("Inactive")
    off = Product.objects.filter(active=False).order_by("id").values_list("sku", flat=True)
    assert list(off) == ["P-003", "P-060"]
    message.get_by_role("button", name="Undo").click()
    page.wait_for_url(place)
    expect(page.get_by_role("status").filter(has_text="Undid")).to_be_visible()
    assert not Product.objects.filter(active=False).exists()


def test_a_selection_is_what_is_ticked(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    """One that is unticked of all that match stays as it is, and the question knows it."""
    page = open_page()
    page.goto("/products/?name=lamp 1")
    page.get_by_label("Select all on this page").check()
    page.get_by_label("all 41 that match").check()
    expect(page.get_by_text("41 selected")).to_be_visible()
    page.get_by_label("Select P-010").uncheck()
    page.get_by_label("Select P-015").uncheck()
    expect(page.get_by_text("39 of 41 selected")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Select P-010")).not_to_be_checked()
    expect(page.get_by_label("Select P-011")).to_be_checked()
    page.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_role("heading", name="Deactivate 39 products?")).to_be_visible()
    page.get_by_role("button", name="Deactivate 39 products").click()
    expect(page.get_by_role("status").filter(has_text="Deactivated 39 products")).to_be_visible()
    on = Product.objects.filter(name__startswith="Lamp 1", active=True)
    assert set(on.values_list("sku", flat=True)) == {"P-010", "P-015"}
    # A range, with Shift.
    page.get_by_label("Select P-012").click()
    page.get_by_label("Select P-016").click(modifiers=["Shift"])
    expect(page.get_by_text("5 selected")).to_be_visible()


def test_two_tabs_have_a_selection_each_and_what_somebody_deleted_is_in_none(
    open_page: Callable[..., Page], make_user: Callable[..., User], catalogue: list[Product]
) -> None:
    make_user("theo", "manager")
    mine, theirs = open_page(), open_page("theo")
    other = mine.context.new_page()
    for page in (mine, other, theirs):
        page.goto("/products/?ordering=sku")
    for sku in ("P-001", "P-002", "P-003"):
        mine.get_by_label(f"Select {sku}").check()
    other.get_by_label("Select P-009").check()
    other.reload()
    expect(other.get_by_text("1 selected")).to_be_visible()
    theirs.get_by_label("Select P-002").check()
    theirs.get_by_role("button", name="Delete").click()
    theirs.get_by_label("Type the number").fill("1")
    theirs.get_by_role("button", name="Delete 1 product").click()
    expect(theirs.get_by_role("status").filter(has_text="Deleted 1 selected")).to_be_visible()
    mine.get_by_role("button", name="Deactivate").click()
    mine.get_by_role("button", name="Deactivate 2 products").click()
    message = mine.get_by_role("status").filter(has_text="Deactivated 2 selected products")
    expect(message).to_be_visible()
    off = Product.objects.filter(active=False).order_by("id").values_list("sku", flat=True)
    assert list(off) == ["P-001", "P-003"]


def test_a_name_that_is_read_from_the_right_is_found_and_edited_in_its_cell(
    open_page: Callable[..., Page], make_product: Callable[..., Product]
) -> None:
    product = make_product("RTL-1", name="مصباح مكتب 🪔 (أسود)", price="1299.5")
    page = open_page()
    page.goto("/products/?q=مصباح")
    page.get_by_role("cell", name="مصباح مكتب").click()
    field = page.get_by_role("textbox", name="Name")
    expect(field).to_be_focused()
    assert field.evaluate("field => getComputedStyle(field).direction") == "rtl"
    page.keyboard.type("כיסא 👩‍👩‍👧‍👦 “A-1”")
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="כיסא 👩‍👩‍👧‍👦 “A-1”")).to_be_visible()
    assert Product.objects.get(pk=product.pk).name == "כיסא 👩‍👩‍👧‍👦 “A-1”"
    page.goto(f"/products/{product.pk}/")
    expect(page.get_by_role("heading", name="כיסא 👩‍👩‍👧‍👦 “A-1”")).to_be_visible()


def test_prices_are_raised_by_a_percentage(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/?q=P-00")
    page.get_by_label("Select P-003").check()
    page.get_by_label("Select P-004").check()
    page.get_by_role("button", name="Change price").click()
    page.get_by_label("By or to").fill("a lot")
    page.get_by_role("button", name="Change the price of 2 products").click()
    expect(page.get_by_role("alert")).to_contain_text("“a lot” is not a percentage")
    expect(page.get_by_label("By or to")).to_be_focused()
    page.keyboard.type("12,5")
    page.get_by_label("Rounded to").select_option("0.10")
    page.get_by_role("button", name="Change the price of 2 products").click()
    message = page.get_by_role("status").filter(has_text="+12.5 %, rounded to 0.10")
    expect(message.get_by_role("button", name="Undo")).to_be_visible()
    prices = Product.objects.filter(sku__in=["P-003", "P-004"]).order_by("sku")
    assert [str(p.price) for p in prices] == ["3.40", "4.50"]
    message.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undid")).to_be_visible()
    assert str(Product.objects.get(sku="P-003").price) == "3.00"


def test_a_bulk_delete_wants_the_number_typed(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/?name=lamp 1")
    page.get_by_label("Select all on this page").check()
    page.get_by_label("all 41 that match").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete 41 products?")).to_be_visible()
    page.get_by_label("Type the number").fill("40")
    page.get_by_role("button", name="Delete 41 products").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was deleted")
    assert Product.objects.count() == 130
    page.get_by_label("Type the number").fill("41")
    page.get_by_role("button", name="Delete 41 products").click()
    page.wait_for_url("**/products/?name=lamp*")
    message = page.get_by_role("status").filter(has_text="Deleted 41 products with Name “lamp 1”")
    expect(message).to_be_visible()
    expect(page.get_by_text("No product matches")).to_be_visible()
    assert Product.objects.count() == 89
    acts = ChangeSet.objects.exclude(actor=None)
    assert acts.values_list("actor__username", flat=True).get() == "mara"


def test_an_export_imports_back_without_a_change(
    open_page: Callable[..., Page], catalogue: list[Product], tmp_path: Path
) -> None:
    page = open_page()
    page.goto("/products/")
    for link in ("CSV", "CSV for spreadsheets"):
        with page.expect_download() as download:
            page.get_by_role("link", name=link, exact=True).click()
        file = tmp_path / "products.csv"
        download.value.save_as(file)
        page.goto("/")
        page.set_input_files("#pi-file", file)
        page.wait_for_url("**/imports/*/")
        job = finished(wait_for(lambda: ImportJob.objects.order_by("-id").first()))
        assert (job.status, job.unchanged, job.total_records) == ("completed", 130, 130)
        page.goto("/products/")


def test_products_are_managed_without_scripts(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page(java_script_enabled=False)
    page.goto("/products/")
    page.get_by_role("searchbox").fill("P-005")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="P-005", exact=True).click()
    page.get_by_label("Name").fill("Without scripts")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("P-005 was saved")).to_be_visible()
    page.goto("/products/?q=without")
    page.get_by_label("Select P-005").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_label("Type the number").fill("1")
    page.get_by_role("button", name="Delete 1 product").click()
    page.wait_for_url("**/products/?q=without")
    page.get_by_role("link", name="See how far it is").click()
    expect(page.locator(".pi-tile-deleted b")).to_have_text("1")
    assert not Product.objects.filter(sku="P-005").exists()


def test_enter_right_after_an_error_stays_in_the_list(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    """The form that an answer brought must be htmx's at once, not a moment later."""
    page = open_page()
    page.goto("/products/?q=P-006")
    page.get_by_role("cell", name="6.00", exact=True).click()
    page.get_by_role("textbox", name="Price").fill("free")
    page.evaluate(
        """() => new MutationObserver((_, observer) => {
            const form = document.querySelector("tr.pi-editing form");
            if (!form?.querySelector(".pi-field-error")) return;
            observer.disconnect();
            form.elements.price.value = "8.00";
            queueMicrotask(() => form.requestSubmit());
        }).observe(document.getElementById("results"), {childList: true, subtree: true})"""
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="8.00")).to_be_visible()
    expect(page).to_have_url(re.compile("q=P-006"))


def test_a_row_is_edited_by_keyboard(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()
    page.goto("/products/?q=P-004")
    page.get_by_role("link", name="Edit P-004").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="By keyboard")).to_be_visible()


def test_everybody_finds_the_way_by_the_navigation(
    open_page: Callable[..., Page], catalogue: list[Product]
) -> None:
    page = open_page()  # of somebody who may not enter the admin
    for name, heading in (("Products", "P-000"), ("Changes", "Who"), ("Imports", "Drop")):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page.locator("#pi-main").get_by_text(heading).first).to_be_visible()
    expect(page.get_by_role("link", name="Admin")).to_have_count(0)


def test_a_viewer_sees_and_cannot_change(
    open_page: Callable[..., Page], make_user: Callable[..., User], catalogue: list[Product]
) -> None:
    make_user("vera", "viewer")
    page = open_page("vera")
    page.goto("/products/")
    expect(page.get_by_role("status")).to_have_text("130 products")
    for name in ("New product", "Edit P-000", "CSV"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    page.get_by_role("link", name="P-000", exact=True).click()
    expect(page.get_by_role("heading", name="Lamp 0")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


MANY = """
INSERT INTO catalog_product (sku, name, description, price, active, version, created_at, updated_at)
SELECT 'M-' || n, 'Lamp', '', n, true, 1, now(), now() FROM generate_series(1, 100000) AS n
"""


def test_in_a_large_catalogue_the_count_follows_the_page_and_the_search_index_is_built(
    open_page: Callable[..., Page],
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MANY)
        cursor.execute("ANALYZE catalog_product")
    page = open_page()
    page.goto("/products/?q=lamp")
    expect(page.get_by_role("status")).to_have_text("100,000 products match")
    expect(page.locator("#place")).to_have_text("Page 1 of 2,000")
    wait_for(lambda: SearchIndex.objects.filter(caught_up_at__isnull=False).exists())
    page.goto("/products/?q=m-77777")
    assert shown_skus(page) == ["M-77777"]
