"""How few clicks and keys the daily tasks take, counted while they are done in a real Chromium."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Dialog, Locator, Page, expect

from catalog.models import ChangeSet, Product
from catalog.operations.products import create_product, update_product
from catalog.operations.undo import start_undo
from conftest import clicks_in_docs

pytestmark = pytest.mark.django_db(transaction=True)


class Person:
    """Acts on a page, and counts; what is typed into a field that has the focus is free."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = self.keys = 0

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def press(self, key: str) -> None:
        self.keys += 1
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)


@pytest.fixture
def lamps(user: User) -> list[Product]:
    return [
        create_product(
            actor=user, data={"sku": f"BO-{n:05d}", "name": f"Lamp {n}", "price": f"{n}.50"}
        )
        for n in range(1, 31)
    ]


@pytest.mark.usefixtures("lamps")
def test_a_price_is_found_and_changed_with_two_clicks(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/")
    person = Person(page)
    person.click(page.get_by_role("searchbox", name="Search in"))
    person.type("BO-00021")
    expect(page.locator("#products tbody tr")).to_have_count(1)
    person.click(page.get_by_role("cell", name="21.50"))
    expect(page.get_by_role("textbox", name="Price")).to_be_focused()
    person.type("49,90")
    person.press("Enter")
    expect(page.get_by_role("cell", name="49.90")).to_be_visible()
    assert person.clicks == clicks_in_docs("a price of one product found and changed") == 2
    assert str(Product.objects.get(sku="BO-00021").price) == "49.90"
    message = page.get_by_role("status").filter(has_text="BO-00021 was saved")
    message.get_by_role("button", name="Undo").click()  # the list is as it was
    page.wait_for_url("**/products/?q=BO-00021")
    expect(page.get_by_role("cell", name="21.50")).to_be_visible()


@pytest.mark.usefixtures("lamps")
def test_from_a_ticked_row_an_act_is_three_keys_away(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/")
    for key in ("j", "x"):
        page.keyboard.press(key)
    expect(page.get_by_label("Select BO-00001")).to_be_checked()
    person = Person(page)
    person.press("b")
    expect(page.get_by_role("button", name="Activate", exact=True)).to_be_focused()
    person.press("Tab")
    person.press("Enter")
    expect(page.get_by_role("heading", name="Deactivate 1 product?")).to_be_visible()
    assert person.keys <= 3


@pytest.mark.usefixtures("lamps")
def test_who_changed_a_product_is_two_clicks_away_deleted_ones_too(
    open_page: Callable[..., Page], user: User, make_user: Callable[..., User]
) -> None:
    theo = make_user("theo", "editor")
    product = Product.objects.get(sku="BO-00007")
    update_product(product_id=product.pk, actor=theo, data={"price": "9.00"})
    page = open_page()
    page.goto("/products/")
    person = Person(page)
    person.click(page.get_by_role("searchbox", name="Search in"))
    person.type("bo-00007")
    expect(page.locator("#products tbody tr")).to_have_count(1)
    person.click(page.get_by_role("link", name="BO-00007", exact=True))
    history = page.get_by_role("region", name="History")
    expect(history.get_by_role("listitem").first).to_contain_text("by theo")
    expect(history.get_by_role("listitem").first).to_contain_text("9.00")
    assert person.clicks == clicks_in_docs("who changed a product, a deleted one too") == 2
    # An earlier state comes back; then the product goes, and comes back too.
    history.get_by_role("button", name="Restore the state of version 1").click()
    expect(page.get_by_label("Price")).to_have_value("7.50")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete the product").click()
    page.wait_for_url("**/products/?q=bo-00007")  # the list as it was
    person.clicks = 1  # the search is made already
    person.click(page.get_by_role("link", name="BO-00007", exact=True))
    expect(page.get_by_text("mara deleted this product")).to_be_visible()
    assert person.clicks == 2
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_label("Price")).to_have_value("7.50")
    assert Product.objects.get(sku="BO-00007").pk == product.pk


@pytest.mark.usefixtures("lamps")
def test_keys_go_where_they_say_and_are_off_in_fields(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/feeds/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Suppliers, Feeds, Changes")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/products/")
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Search in")
    expect(search).to_be_focused()
    page.keyboard.type("lamp gc?x")
    expect(search).to_have_value("lamp gc?x")
    expect(page).to_have_url(re.compile("/products/"))
    page.get_by_role("heading", name="Products").click()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    with page.expect_navigation():  # whose scripts take the next keys
        dialog.get_by_role("button", name="Switch them off").click()
    expect(dialog).to_be_hidden()
    page.keyboard.press("?")
    page.keyboard.press("Control+k")  # which always works, and tells that the page has seen "?"
    finder = page.get_by_role("dialog", name="Find")
    expect(finder).to_be_visible()
    expect(dialog).to_be_hidden()
    page.keyboard.type("bo-00012")
    expect(finder.get_by_role("option", name=re.compile("BO-00012"))).to_have_attribute(
        "aria-selected", "true"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Lamp 12", exact=True)).to_be_visible()
    page.get_by_role("button", name="Your account").click()
    page.locator("#pi-user-menu").get_by_role("button", name="Keys").click()
    with page.expect_navigation():
        dialog.get_by_role("button", name="Switch them on").click()
    expect(dialog).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/changes/")


@pytest.mark.parametrize("width", [1400, 360])
def test_the_log_out_is_reached_by_keyboard(open_page: Callable[..., Page], width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    if width < 1000:
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Navigation")).to_be_focused()
        page.keyboard.press("Enter")
    reached: list[str] = []
    while not (reached and "Your account" in reached[-1]) and len(reached) < 20:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText"))
    names = ["Home", "Products", "Imports", "Changes", "Webhooks", "Your account"]
    places = [next((n for n, text in enumerate(reached) if name in text), -1) for name in names]
    assert places == sorted(places), reached
    assert places[0] >= 0, reached
    page.keyboard.press("Enter")
    expect(page.locator("#pi-user-menu")).to_be_visible()
    for name in ("Light", "Dark", "System", "Change password", "Keys", "Log out"):
        page.keyboard.press("Tab")
        expect(page.locator("#pi-user-menu").get_by_text(name, exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/login/")


@pytest.mark.usefixtures("lamps")
def test_leaving_a_changed_form_asks(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/?q=BO-00003")
    page.get_by_role("link", name="BO-00003", exact=True).click()
    page.get_by_label("Name").fill("Changed")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with page.expect_event("dialog"):  # the click is done before the question is asked
        page.get_by_role("link", name="← Products").click()
    expect(page.get_by_label("Name")).to_have_value("Changed")
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="was saved")).to_be_visible()
    page.get_by_role("link", name="← Products").click()
    page.wait_for_url("**/products/?q=BO-00003")
    assert asked == ["beforeunload"]


@pytest.mark.usefixtures("lamps")
def test_the_field_in_question_has_the_focus_in_forms(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/?q=BO-00005")
    page.get_by_role("link", name="BO-00005", exact=True).click()
    page.get_by_label("Price").fill("1,234")
    page.keyboard.press("Enter")
    expect(page.locator("#error-price")).to_contain_text("can be read in two ways")
    expect(page.get_by_label("Price")).to_be_focused()
    page.keyboard.type("49,90")
    expect(page.get_by_label("Price")).to_have_value("49,90")
    other = Product.objects.get(sku="BO-00005")
    update_product(product_id=other.pk, actor=None, data={"price": "8"})
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("they saved 8.00")
    expect(page.get_by_label("Price")).to_be_focused()
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="was saved")).to_be_visible()
    other.refresh_from_db()
    assert (other.name, str(other.price)) == ("Lamp 5", "7.00")


@pytest.mark.usefixtures("lamps")
def test_columns_rows_and_views_are_kept_for_the_person(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/products/?price_min=20")
    expect(page.locator("#products tbody tr")).to_have_count(11)
    page.get_by_text("Columns and rows").click()
    page.get_by_role("checkbox", name="Description").uncheck()
    page.get_by_label("Rows", exact=True).select_option("25")
    page.get_by_role("button", name="Show, and remember").click()
    page.wait_for_url("**/products/?price_min=20")
    expect(page.get_by_role("columnheader", name="Description")).to_have_count(0)
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Save this view as").fill("Dear ones")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="is saved")).to_be_visible()
    page.goto("/products/")
    expect(page.locator("#products tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Dear ones").click()
    expect(page.locator("#products tbody tr")).to_have_count(11)


def test_the_changes_follow_what_somebody_else_does(
    open_page: Callable[..., Page], user: User
) -> None:
    product = create_product(actor=user, data={"sku": "A-1", "name": "Lamp", "price": "3"})
    listed = open_page()
    listed.goto("/changes/")
    expect(listed.get_by_role("table")).to_contain_text("A-1")
    update_product(product_id=product.pk, actor=user, data={"price": "4"})
    expect(listed.get_by_role("table")).to_contain_text("A-1: price 3.00 → 4.00")
    edit = ChangeSet.objects.get(kind=ChangeSet.Kind.EDIT, updated=1)
    one = open_page()
    one.goto(f"/changes/{edit.pk}/")
    expect(one.get_by_role("link", name="Undo …")).to_be_visible()
    start_undo(change_set_id=edit.pk, actor=user)
    expect(one.locator("#change-panel")).to_contain_text("This was undone")
    # Not that of the undo, which begins with “Undid”.
    row = listed.get_by_role("row", name=re.compile("^A-1: price 3.00 → 4.00"))
    expect(row).to_contain_text("undone")
