"""In a real Chromium: any supplier's file, from the drop to the catalogue."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from catalog.models import Field, Product
from catalog.operations import fields
from conftest import clicks_in_docs, wait_for
from imports.models import Format, ImportJob
from product_importer.tests.acceptance.test_browser_axe import faults

pytestmark = pytest.mark.django_db(transaction=True)

GERMAN_COLUMNS = (
    "Artikelnummer;Bezeichnung;Langtext;EAN;Warengruppe;Gewicht;VK brutto;Menge;Einheit;aktiv"
)


def german_file(week: int) -> str:
    """Ten columns below two title lines, as a spreadsheet in German saves them."""
    rows = [
        f"M-{n};Lampe {n};Eiche, geölt;4006381333{n:03};Leuchten;{n},5 kg;"
        f"{n % 3}.{n + 100:03},{week:02};{n};Stück;{'nein' if n % 5 == 0 else 'ja'}"
        for n in range(1, 41)
    ]
    rows = [row.replace(";0.", ";") for row in rows]
    return "\n".join(
        ["Müller GmbH;;;;;;;;;", f"Preisliste, Woche {week};;;;;;;;;", GERMAN_COLUMNS, *rows, ""]
    )


def shopify_file(price: str) -> str:
    return (
        "Handle,Title,Body (HTML),Vendor,Variant SKU,Variant Price,Image Src,Status\n"
        f"lamp,Lamp,<p>Oak &amp; steel</p>,Acme,L-1,{price},https://example.com/1.jpg,active\n"
        f"lamp,,,,L-2,{price},,\n"
        "lamp,,,,,,https://example.com/2.jpg,\n"
        "chair,Chair,,Acme,C-1,59.00,,draft\n"
    )


def write_workbook(path: Path, price: float) -> Path:
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("Deckblatt")
    sheet = book.add_worksheet("Preise")
    for row, cells in enumerate(
        [
            ["Code", "Titel", "Preis", "Bestand"],
            ["X-1", "Schreibtisch", price, 4],
            ["X-2", "Regal", 59.5, 0],
        ]
    ):
        sheet.write_row(row, 0, cells)
    book.close()
    return path


class Hand:
    """A person at a page, whose clicks are counted; what is typed is none."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def drop(self, path: Path) -> None:
        self.clicks += 1
        self.page.goto("/")
        self.page.set_input_files("#pi-file", path)

    def click(self, what: Any) -> None:
        self.clicks += 1
        what.click()

    def write(self, selector: str, text: str) -> None:
        self.clicks += 1
        self.page.fill(selector, text)

    def the_page_asks(self) -> None:
        self.page.wait_for_url("**/imports/*/mapping/")
        expect(self.page.locator("#map-preview")).to_be_visible()

    def it_completes(self) -> ImportJob:
        self.page.wait_for_url(re.compile(r"/imports/\d+/$"))
        panel = self.page.locator("#job-panel")
        expect(panel).to_have_attribute("data-final", "true")
        expect(panel.locator(".pi-status").first).to_have_text("Completed")
        return ImportJob.objects.get(pk=int(self.page.url.rstrip("/").rsplit("/", 1)[1]))


def test_a_german_price_list_is_matched_once_and_then_goes_by_itself(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    first, second = tmp_path / "Preisliste KW 21.csv", tmp_path / "Preisliste KW 22.csv"
    first.write_text(german_file(21), encoding="cp1252")
    second.write_text(german_file(22), encoding="cp1252")
    hand = Hand(open_page())
    page = hand.page
    hand.click(page.get_by_label("Check the columns first"))
    hand.clicks += 1
    page.set_input_files("#pi-file", first)
    hand.the_page_asks()
    expect(page.locator("#map-delimiter")).to_have_value(";")
    expect(page.locator("#map-header_line")).to_have_value("3")
    expect(page.locator("#decimal-price")).to_have_value(",")
    expect(page.locator("#map-summary")).to_contain_text("40 of 40 read well")
    hand.write("#map-supplier", "Müller GmbH")
    hand.click(page.get_by_role("button", name="Continue"))
    hand.it_completes()
    assert hand.clicks <= 12
    assert Product.objects.get(sku="M-1").price == Decimal("1101.21")
    assert Product.objects.filter(active=False).count() == 8
    assert Format.objects.get(supplier__name="Müller GmbH").name == "Preisliste KW"

    hand = Hand(page)
    hand.drop(second)
    job = hand.it_completes()
    told = clicks_in_docs("the weekly file of a supplier whose columns were matched once")
    assert hand.clicks == told == 1
    assert (job.updated, job.rejected) == (40, 0)
    assert Product.objects.get(sku="M-1").price == Decimal("1101.22")
    panel = page.locator("#job-panel")  # a page that was slow to load has it above too
    expect(panel.get_by_text("Read as Müller GmbH, Preisliste KW, version 1")).to_be_visible()


def test_a_workbook_is_matched_once_and_then_goes_by_itself(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    hand = Hand(open_page())
    page = hand.page
    hand.drop(write_workbook(tmp_path / "may.xlsx", 1299))
    hand.the_page_asks()
    expect(page.locator("#map-sheet")).to_be_visible()
    hand.click(page.locator("#where-sku-1"))
    expect(page.locator("#map-summary")).to_contain_text("2 of 2 read well")
    hand.write("#map-supplier", "Tischler")
    hand.click(page.get_by_role("button", name="Continue"))
    hand.it_completes()
    assert hand.clicks <= 12
    assert Product.objects.get(sku="X-1").price == Decimal("1299.00")

    hand = Hand(page)
    hand.drop(write_workbook(tmp_path / "june.xlsx", 1199.9))
    hand.it_completes()
    assert hand.clicks == 1
    assert Product.objects.get(sku="X-1").price == Decimal("1199.90")


def test_a_shops_export_goes_by_a_single_drop(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    hand = Hand(open_page())
    for week, price in enumerate(("129.00", "119.00"), start=1):
        file = tmp_path / f"products_export_{week}.csv"
        file.write_text(shopify_file(price))
        hand.clicks = 0
        hand.drop(file)
        job = hand.it_completes()
        assert (hand.clicks, job.rejected) == (1, 0)
        assert Product.objects.get(sku="L-2").price == Decimal(price)
    assert Product.objects.get(sku="L-2").name == "Lamp"
    assert not Product.objects.get(sku="C-1").active


def test_every_column_of_a_shops_export_becomes_a_field_of_ones_own(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    fields.create_field(data={"label": "Launched", "type": "date"})
    page = open_page()
    page.get_by_label("Check the columns first").click()
    rows = shopify_file("129.00").splitlines()
    more = ("Launched", "02/03/2026", "", "", "04/05/2026")
    file = tmp_path / "products_export.csv"
    file.write_text("\n".join(f"{row},{cell}" for row, cell in zip(rows, more, strict=True)))
    page.set_input_files("#pi-file", file)
    expect(page.locator("#map-summary")).to_contain_text("1 question to answer")
    page.check("#date-mdy-fields\\.launched")
    expect(page.locator("#map-summary")).not_to_contain_text("question")
    page.get_by_role("button", name="Keep every column").click()
    expect(page.locator("#make-ticked")).to_have_count(0)
    expect(page.locator("#field-7")).to_have_value("fields.image")
    page.fill("#map-supplier", "Shop")
    page.keyboard.press("Enter")
    Hand(page).it_completes()
    assert set(Field.objects.values_list("key", "type")) == {
        ("launched", "date"),
        ("handle", "text"),
        ("brand", "text"),
        ("image", "image"),
    }
    assert Product.objects.get(sku="L-1").own_fields == {
        "launched": "2026-02-03",
        "handle": "lamp",
        "brand": "Acme",
        "image": "https://example.com/1.jpg",
    }
    hand = Hand(page)
    file.write_text(file.read_text().replace("Acme", "Bolt"))
    hand.drop(file)
    assert (hand.it_completes().rejected, hand.clicks) == (0, 1)
    assert (Product.objects.get(sku="L-1").own_fields or {})["brand"] == "Bolt"


UNCLEAR = "code,title,Unit price,Cost price,Status\n" + "".join(
    f"A-{n},Lamp {n},{n}.50,{n}.10,{'sold' if n % 2 else 'there'}\n" for n in range(1, 30)
)


@pytest.fixture
def waiting(upload: Callable[..., ImportJob], user: User) -> ImportJob:
    job = upload(UNCLEAR, on_unclear="wait", user=user)

    def waits() -> bool:
        job.refresh_from_db()
        return job.status == "awaiting_mapping"

    wait_for(waits)
    return job


@pytest.fixture
def at_mapping(open_page: Callable[..., Page], waiting: ImportJob) -> Callable[..., Page]:
    def start(**options: Any) -> Page:
        page = open_page(**options)
        page.goto(f"/imports/{waiting.pk}/mapping/")
        return page

    return start


def test_what_follows_from_a_choice_is_shown_at_once(at_mapping: Callable[..., Page]) -> None:
    page = at_mapping()
    expect(page.locator("#map-summary")).to_contain_text("3 questions to answer")
    page.check("#where-sku-1")
    expect(page.locator("#map-summary")).to_contain_text("29 of 29 read well")
    page.check("#where-price-4")
    expect(page.locator("#map-summary")).to_contain_text("1 question to answer")
    assert page.evaluate("document.activeElement.id") == "where-price-4"
    page.check("#where-active-5")
    page.get_by_role("link", name="Go to its rules").click()
    for number, meaning in enumerate(("false", "true")):
        page.locator(f"#means-active-{number}").focus()
        page.select_option(f"#means-active-{number}", meaning)
        expect(page.locator(f"#means-active-{number}")).to_be_focused()
    expect(page.locator("#map-summary")).not_to_contain_text("question")
    page.locator("#rules-price summary").click()
    page.locator("#factor-price").press_sequentially("2x")
    expect(page.get_by_role("alert")).to_contain_text("Price, factor")
    expect(page.locator("#factor-price")).to_be_focused()
    page.keyboard.press("Backspace")
    expect(page.locator("#map-preview")).to_contain_text("2.20")
    page.locator("#map-supplier").focus()
    expect(page.locator("#rules-price summary")).to_contain_text("× 2")


def test_leaving_unsaved_choices_asks(at_mapping: Callable[..., Page]) -> None:
    page = at_mapping()
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.goto("/imports/")
    assert asked == []
    page.go_back()
    page.locator("#where-sku-1").click()
    page.goto("/imports/")
    assert asked == ["beforeunload"]


def test_the_page_works_by_keyboard(at_mapping: Callable[..., Page]) -> None:
    page = at_mapping()
    page.locator("#where-sku-1").focus()
    page.keyboard.press("Space")
    expect(page.locator("#map-summary")).to_contain_text("29 of 29 read well")
    page.locator("#where-price-3").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#field-4")).to_have_value("price")
    page.locator("#where-active-5").focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#where-active-none")).to_be_checked()
    expect(page.locator("#map-summary")).not_to_contain_text("question")
    page.locator("#map-supplier").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/imports/\d+/$"))


def test_a_form_is_enough_without_scripts(at_mapping: Callable[..., Page]) -> None:
    page = at_mapping(java_script_enabled=False)
    for choice in ("#where-sku-1", "#where-price-3", "#where-active-none"):
        page.check(choice)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#map-summary")).to_contain_text("29 of 29 read well")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(re.compile(r"/imports/\d+/$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_the_pages_fit_the_window(
    at_mapping: Callable[..., Page], waiting: ImportJob, width: int, scheme: str
) -> None:
    page = at_mapping(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for path in (f"/imports/{waiting.pk}/mapping/", "/suppliers/", "/"):
        page.goto(path)
        expect(page.locator("#pi-main")).to_be_visible()
        inner = page.evaluate("document.documentElement.scrollWidth")
        assert inner <= width, f"{path} is {inner} wide"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_new_fields_are_offered_without_a_fault_that_axe_knows_of(
    at_mapping: Callable[..., Page], scheme: str
) -> None:
    page = at_mapping(viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page.locator("#map-keep-list > summary").click()
    page.select_option("#field-5", "new")
    expect(page.locator("#new-label-5")).to_have_value("Status")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
