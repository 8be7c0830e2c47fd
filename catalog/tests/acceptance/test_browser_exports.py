"""The form of an export format, in a real Chromium."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from catalog.models import ExportFormat
from catalog.operations import fields

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_column_is_described_by_the_keyboard(
    open_page: Callable[..., Page], transactional_db: None
) -> None:
    fields.create_field(data={"label": "Stock", "type": "integer"})
    page = open_page()
    page.goto("/export-formats/new/?columns=sku,stock")
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    page.keyboard.type("Market")
    page.get_by_label("Name of Stock in the file").focus()
    page.keyboard.press("Tab")  # to its rules, which open by a key
    page.keyboard.press("Enter")
    rules = page.get_by_role("group", name="How Stock is written")
    from_ = rules.get_by_label("yes from")
    expect(from_).to_be_visible()
    from_.focus()
    page.keyboard.type("1")
    page.keyboard.press("Tab")
    page.keyboard.type("there")
    page.keyboard.press("Enter")  # in an input it saves
    expect(page.get_by_text("“Market” was saved")).to_be_visible()
    stock = {"name": "stock", "field": "fields.stock", "at_least": "1", "values": {"true": "there"}}
    assert ExportFormat.objects.get().columns == [{"name": "sku", "field": "sku"}, stock]


def test_a_format_is_made_without_scripts(
    open_page: Callable[..., Page], transactional_db: None
) -> None:
    page = open_page(java_script_enabled=False)
    page.goto("/export-formats/new/?columns=sku")
    page.get_by_role("textbox", name="Name", exact=True).fill("Market")
    page.get_by_role("button", name="More columns").click()
    expect(page.locator("[name=place-7]")).to_be_focused()
    page.locator("[name=field-7]").select_option("Price")
    page.locator("details", has=page.locator("[name=decimal-7]")).locator("summary").click()
    page.locator("[name=decimal-7]").select_option(",")
    page.get_by_role("button", name="Make the format").click()
    expect(page.get_by_text("“Market” was saved")).to_be_visible()
    price = {"name": "price", "field": "price", "decimal": ","}
    assert ExportFormat.objects.get().columns == [{"name": "sku", "field": "sku"}, price]
