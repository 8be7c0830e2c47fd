"""A person at the pages, in a real Chromium."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks.supplier_file import write_supplier_file
from catalog.models import Product
from imports.models import ImportJob

pytestmark = pytest.mark.django_db(transaction=True)


def the_job_completes(page: Page) -> None:
    expect(page.locator("#job-panel")).to_have_attribute("data-final", "true", timeout=300_000)
    expect(page.locator("#job-panel .pi-status").first).to_have_text("Completed")


def tile(page: Page, name: str) -> Any:
    return page.locator(f".pi-tile-{name} b")


def test_a_file_is_dropped_and_watched_until_its_products_are_there(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = write_supplier_file(tmp_path / "supplier.csv", 20_000)
    page = open_page()
    page.set_input_files("#pi-file", file.path)
    page.wait_for_url("**/imports/*/")
    expect(page.get_by_role("heading", name="supplier.csv", exact=True)).to_be_visible()
    the_job_completes(page)
    job = ImportJob.objects.get()
    expect(tile(page, "created")).to_have_text(f"{job.created:,}")
    expect(tile(page, "rejected")).to_have_text(f"{file.bad:,}")
    expect(tile(page, "total")).to_have_text("= 20,000")
    page.get_by_role("link", name="Look at the products").click()
    expect(page.get_by_role("row")).to_have_count(51)
    assert Product.objects.count() == job.created


def test_a_dropped_file_is_uploaded(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["sku,name\\nD-1,Dropped\\n"], "dropped.csv"));
            window.dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
        }"""
    )
    page.wait_for_url("**/imports/*/")
    the_job_completes(page)
    assert Product.objects.get().name == "Dropped"


def test_refused_records_are_shown_and_downloaded(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("sku,name,price\nA-1,Lamp,1.00\nA-2,Chair,free\n")
    page = open_page()
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    the_job_completes(page)
    expect(page.get_by_role("cell", name=re.compile("“free” is not a price"))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download rejects.csv").click()
    assert "A-2,Chair,free,3," in download.value.path().read_text()
    tile(page, "rejected").click()
    expect(page.get_by_role("heading", name="1 refused")).to_be_visible()


def test_a_file_that_is_no_csv_says_what_to_do(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = tmp_path / "book.csv"
    file.write_bytes(b"PK\x03\x04 an Excel workbook")
    page = open_page()
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    expect(page.get_by_role("alert")).to_contain_text("save it as CSV")
    expect(page.get_by_role("alert")).to_contain_text("Nothing in the catalogue was changed")


def test_progress_goes_on_by_polling_where_event_streams_are_blocked(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = write_supplier_file(tmp_path / "supplier.csv", 30_000)
    page = open_page()
    page.route("**/events/", lambda route: route.abort())
    page.set_input_files("#pi-file", file.path)
    page.wait_for_url("**/imports/*/")
    the_job_completes(page)
    expect(tile(page, "total")).to_have_text("= 30,000")


def test_everything_works_by_keyboard(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    seen = []
    for _ in range(25):
        seen.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
        if seen[-1] == "pi-file":
            break
        page.keyboard.press("Tab")
    assert "pi-file" in seen
    assert any("Skip to the content" in name for name in seen)


def test_a_form_is_enough_without_scripts(open_page: Callable[..., Page], tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    file.write_text("sku,name\nA-1,Lamp\n")
    page = open_page(java_script_enabled=False)
    page.set_input_files("#pi-file", file)
    page.get_by_role("button", name="Import").click()
    page.wait_for_url("**/imports/*/")
    # The page of a running job renews itself.
    expect(page.locator("#job-panel .pi-status").first).to_have_text("Completed")
    page.get_by_role("link", name="Look at the products").click()
    expect(page.get_by_role("cell", name="Lamp")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_pages_fit_the_window(
    open_page: Callable[..., Page], run_import: Callable[..., ImportJob], width: int, scheme: str
) -> None:
    job = run_import("sku,name,price\nA-1,Lamp,1.00\nA-2,Chair,free\n")
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for path in ("/", "/products/", "/imports/", f"/imports/{job.pk}/"):
        page.goto(path)
        expect(page.locator("#pi-main")).to_be_visible()
        inner = page.evaluate("document.documentElement.scrollWidth")
        assert inner <= width, f"{path} is {inner} wide"


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_half_a_million_rows_through_the_page(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = write_supplier_file(tmp_path / "supplier.csv", 500_000)
    page = open_page()
    page.set_input_files("#pi-file", file.path)
    page.wait_for_url("**/imports/*/", timeout=300_000)
    the_job_completes(page)
    expect(tile(page, "total")).to_have_text("= 500,000")
    expect(tile(page, "rejected")).to_have_text(f"{file.bad:,}")
    job = ImportJob.objects.get()
    assert job.superseded + job.created + job.rejected == 500_000
    assert Product.objects.count() == job.created
