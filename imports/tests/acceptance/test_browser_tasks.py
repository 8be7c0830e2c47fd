"""Daily tasks in a real browser, with the clicks that they take counted."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from catalog.models import Product
from conftest import PASSWORD, clicks_in_docs, wait_for
from imports.models import ImportJob

pytestmark = pytest.mark.django_db(transaction=True)


class Clicks:
    """Counts what a person clicks on."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def on(self, role: str, name: str) -> None:
        self.count += 1
        self.page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]


def refused_job(run_import: Callable[..., ImportJob], rows: int) -> ImportJob:
    lines = "".join(f"A-{n:03d},Lamp {n},free\n" for n in range(rows))
    return run_import("sku,name,price\n" + lines)


def test_fifty_bad_rows_are_mended_and_in(
    open_page: Callable[..., Page], run_import: Callable[..., ImportJob]
) -> None:
    job = refused_job(run_import, 50)
    page = open_page()
    page.goto(f"/imports/{job.pk}/")
    clicks = Clicks(page)
    clicks.on("link", "Mend them here")
    clicks.on("textbox", "price, line 2")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("49.90")
    expect(page.locator("tr").nth(1)).to_have_attribute("data-state", "mended")
    clicks.on("button", "Replace all 49 like this")
    expect(page.locator("#mend-ready")).to_have_text("50")
    clicks.on("button", "Import the mended records")
    expect(page.locator("#job-panel .pi-status")).to_have_text("Completed")
    assert Product.objects.filter(price=Decimal("49.90")).count() == 50
    assert clicks.count == clicks_in_docs("fifty bad records of one kind mended and in") <= 8
    page.goto(f"/imports/{job.pk}/")
    expect(page.get_by_text("50 of 50 refused records are in by now.")).to_be_visible()


def test_changes_over_ten_per_cent_are_reviewed_and_applied(
    open_page: Callable[..., Page],
    upload: Callable[..., ImportJob],
    make_product: Callable[..., Product],
) -> None:
    for number in range(1, 21):
        make_product(f"S-{number:02d}", f"Lamp {number}", price=Decimal(100))
    lines = "".join(f"S-{n:02d},Lamp {n},{100 + n}\n" for n in range(1, 21))
    job = upload("sku,name,price\n" + lines, review=True)
    wait_for(lambda: ImportJob.objects.get(pk=job.pk).status == "awaiting_review")
    page = open_page()
    page.goto(f"/imports/{job.pk}/")
    clicks = Clicks(page)
    clicks.on("button", "Show these")
    rows = page.locator("#review tbody tr")
    expect(rows).to_have_count(10)
    page.wait_for_url(lambda url: "more_than=10" in url)
    clicks.on("checkbox", "Apply S-20")
    expect(page.locator("#decide")).to_contain_text("1 left out")
    expect(page.get_by_role("button", name="Apply 19 changes")).to_be_in_viewport()
    clicks.on("button", "Apply 19 changes")
    expect(page.locator("#job-panel .pi-status")).to_have_text("Completed")
    told = clicks_in_docs("price changes over 10 % reviewed, one left out, applied")
    assert clicks.count == told == 3
    assert Product.objects.get(sku="S-20").price == 100
    assert Product.objects.get(sku="S-19").price == 119


def test_home_and_the_list_follow_and_the_bar_tells_the_end(
    open_page: Callable[..., Page], upload: Callable[..., ImportJob]
) -> None:
    pages = {path: open_page() for path in ("/", "/imports/", "/products/")}
    first = upload("sku,name\nA-0,Lamp\n")
    wait_for(lambda: ImportJob.objects.get(pk=first.pk).is_final)
    for path, page in pages.items():
        page.goto(path)
    job = upload("sku,name\nA-1,Lamp\n", file_name="spring.csv", review=True)
    wait_for(lambda: ImportJob.objects.get(pk=job.pk).status == "awaiting_review")
    expect(pages["/"].locator("#home-jobs")).to_contain_text("spring.csv")
    expect(pages["/imports/"].locator("#job-list")).to_contain_text("Waiting for review")
    expect(pages["/products/"].locator("a[href='/imports/'] .pi-badge").first).to_have_text("1")


def test_a_drop_on_another_page_offers_to_import(
    open_page: Callable[..., Page], tmp_path: Path, run_import: Callable[..., ImportJob]
) -> None:
    run_import("sku,name\nA-0,Lamp\n")
    page = open_page()
    page.goto("/products/")
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["sku,name\\nA-1,Lamp\\n"], "dropped.csv", {type: "text/csv"}));
            const how = {dataTransfer: data, bubbles: true, cancelable: true};
            const drop = new DragEvent("drop", how);
            window.prevented = !document.body.dispatchEvent(drop);
        }"""
    )
    assert page.evaluate("window.prevented")
    dialog = page.get_by_role("dialog", name="Import dropped.csv?")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Import").click()
    expect(page.locator("#job-panel .pi-status")).to_have_text("Completed")
    assert Product.objects.filter(sku="A-1").exists()


SMALL: FilePayload = {"name": "kept.csv", "mimeType": "text/csv", "buffer": b"sku,name\nK-1,Lamp\n"}


def log_in_again(page: Page) -> None:
    """In another tab of the same browser: another session, with another token."""
    other = page.context.new_page()
    other.goto("/login/")
    other.get_by_label("Username").fill("mara")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Log in").click()
    expect(other.locator("#pi-main")).to_be_visible()
    other.close()


def test_a_file_is_kept_where_the_session_ended_before_its_drop(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    page.context.clear_cookies()
    page.set_input_files("#pi-file", SMALL)
    told = page.get_by_role("alert").filter(has_text="kept.csv: you were logged out meanwhile")
    expect(told.get_by_role("link", name="Log in in another tab")).to_have_attribute(
        "target", "_blank"
    )
    page.get_by_role("button", name="Go on with the upload").click()  # too early: told again
    expect(told).to_be_visible()
    log_in_again(page)
    page.get_by_role("button", name="Go on with the upload").click()
    expect(page.locator("#job-panel .pi-status")).to_have_text("Completed")
    assert Product.objects.get().sku == "K-1"


def test_who_has_logged_in_again_elsewhere_is_not_asked(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.context.clear_cookies()
    log_in_again(page)
    page.set_input_files("#pi-file", SMALL)
    expect(page.locator("#job-panel .pi-status")).to_have_text("Completed")
    assert Product.objects.get().sku == "K-1"
