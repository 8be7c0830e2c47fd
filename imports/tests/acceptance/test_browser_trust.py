"""A person who looks before, stops in between, and takes back, in a real Chromium."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection, transaction
from playwright.sync_api import Page, expect

from benchmarks.supplier_file import write_supplier_file
from catalog.models import ChangeSet, Product
from conftest import finished
from imports.models import ImportJob

pytestmark = pytest.mark.django_db(transaction=True)


def upload(page: Page, path: Path, *, review: bool = False) -> None:
    page.goto("/")
    if review:
        page.get_by_label("Show me the changes").check()
    page.set_input_files("#pi-file", path)
    page.wait_for_url("**/imports/*/")


def has_status(page: Page, status: str) -> None:
    expect(page.locator("#job-panel .pi-status").first).to_have_text(status, timeout=300_000)


def test_an_import_is_reviewed_applied_and_undone_and_an_edit_in_between_is_kept(
    open_page: Callable[..., Page], run_import: Callable[..., ImportJob], tmp_path: Path
) -> None:
    run_import("sku,name,price\nA-1,Lamp,1.00\nA-2,Chair,2.00\nA-3,Table,3.00\n")
    file = tmp_path / "supplier.csv"
    file.write_text("sku,name,price\nA-1,Desk lamp,1.00\nA-2,Chair,25.00\nB-1,Sofa,9.00\n")
    page = open_page()
    upload(page, file, review=True)

    has_status(page, "Waiting for review")
    review = page.locator("#review")
    expect(review.get_by_role("row")).to_have_count(4)
    expect(review.locator("del")).to_have_text(["Lamp", "2.00"])
    expect(page.get_by_text("1 price moves tenfold or more")).to_be_visible()
    review.get_by_role("link", name=re.compile("^created")).click()
    expect(review.get_by_role("row")).to_have_count(2)
    assert Product.objects.count() == 3

    page.get_by_role("button", name="Apply 3 changes").click()
    has_status(page, "Completed")
    assert Product.objects.get(sku="A-1").name == "Desk lamp"

    edited = Product.objects.get(sku="A-2")
    page.goto(f"/products/{edited.pk}/")
    page.get_by_label("Name").fill("Armchair")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Armchair")).to_be_visible()

    job = ImportJob.objects.latest("id")
    page.goto(f"/imports/{job.pk}/")
    page.get_by_role("link", name="Undo the import").click()
    expect(page.get_by_text("1 product gets the values from before")).to_be_visible()
    expect(page.get_by_text("1 product that came in with it is deleted")).to_be_visible()
    expect(page.get_by_text("1 product was changed by somebody since")).to_be_visible()
    page.get_by_role("button", name="Undo 2 changes").click()
    page.wait_for_url("**/changes/*/")
    expect(page.get_by_text("Completed")).to_be_visible()  # until then the numbers are made anew
    page.locator(".pi-tile", has_text="kept").get_by_role("link").click()
    kept = page.get_by_role("row").filter(has_text="A-2")
    expect(kept).to_contain_text("Changed since")
    expect(kept).to_contain_text("mara")
    assert set(Product.objects.values_list("sku", "name")) == {
        ("A-1", "Lamp"),
        ("A-2", "Armchair"),
        ("A-3", "Table"),
    }
    assert ChangeSet.objects.get(kind="undo").conflicts == 1


def test_an_import_is_cancelled_while_it_runs_and_goes_on(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = write_supplier_file(tmp_path / "supplier.csv", 60_000)
    page = open_page()
    with transaction.atomic(), connection.cursor() as cursor:
        # However quick the worker is, and slow the browser: it cannot write before it is cancelled.
        cursor.execute("LOCK TABLE catalog_product IN SHARE MODE")
        upload(page, file.path)
        page.get_by_role("button", name="Cancel the import").click()
        has_status(page, "Cancelled")
    job = ImportJob.objects.get()
    assert job.status == "cancelled"
    page.get_by_role("button", name=re.compile("Go on where it stopped|Try again")).click()
    finished(job)
    has_status(page, "Completed")
    assert job.created + job.superseded + job.rejected == 60_000
    assert Product.objects.count() == job.created


@pytest.mark.parametrize("width", [360, 1400])
def test_the_review_and_the_undo_fit_the_window(
    open_page: Callable[..., Page], run_import: Callable[..., ImportJob], tmp_path: Path, width: int
) -> None:
    job = run_import("sku,name,description\nA-1,Lamp,text\n")
    file = tmp_path / "supplier.csv"
    file.write_text(f"sku,name,description\nA-1,Desk lamp,{'long ' * 100}\n{'B' * 100},New,x\n")
    page = open_page(viewport={"width": width, "height": 800})
    upload(page, file, review=True)
    has_status(page, "Waiting for review")
    latest = ImportJob.objects.latest("id")
    for path in (
        f"/imports/{latest.pk}/",
        f"/imports/{latest.pk}/review/",
        f"/changes/{job.change_set_id}/undo/",
        f"/changes/{job.change_set_id}/",
    ):
        page.goto(path)
        expect(page.locator("#pi-main")).to_be_visible()
        inner = page.evaluate("document.documentElement.scrollWidth")
        assert inner <= width, f"{path} is {inner} wide"
