"""A supplier's full list, in a real Chromium: set up, waits, applied by a second person."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from catalog.models import Product
from imports.models import ImportJob
from imports.tests.supplier_files import HEADER, make_format, records

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_full_list_that_is_half_as_long_waits_for_a_second_person(
    open_page: Callable[..., Page],
    run_import: Callable[..., ImportJob],
    make_user: Callable[..., User],
    tmp_path: Path,
) -> None:
    a_format = make_format("Müller GmbH", full_list=False)
    run_import(HEADER + records(10), format=a_format)
    make_user("ben", "manager")
    page = open_page()

    page.goto(f"/suppliers/formats/{a_format.pk}/")
    page.get_by_label("Such a file is the supplier's whole list").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".pi-alert", has_text="Saved.")).to_be_visible()
    page.goto(f"/suppliers/{a_format.supplier_id}/")
    page.get_by_label("a full list lacks more than").fill("20")
    page.get_by_label("A second person applies what waits").check()
    page.get_by_role("button", name="Save what is usual").click()
    expect(page.locator(".pi-alert", has_text="What is usual was saved.")).to_be_visible()

    file = tmp_path / "list.csv"
    file.write_text(HEADER + records(5))
    page.goto("/?formats")
    page.get_by_label("Read as").select_option(str(a_format.pk))
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    expect(page.locator("#job-panel .pi-status").first).to_have_text("Waiting for review")
    reason = "5 of the 10 products that Müller GmbH brought in are not in the full list (50 %)"
    expect(page.locator(".pi-alert-warning", has_text=reason).first).to_be_visible()
    expect(page.locator("#decide")).to_contain_text("applied by a second person")
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)

    second = open_page("ben")
    second.goto(page.url)
    second.locator(".pi-tile-missing").get_by_role("link").click()
    expect(second.get_by_role("row").filter(has_text="not in the file")).to_have_count(5)
    second.get_by_label("Apply P-009").uncheck()
    second.get_by_role("button", name="Apply 4 changes").click()
    expect(second.locator("#job-panel .pi-status").first).to_have_text("Completed")
    inactive = Product.objects.filter(active=False).order_by("sku").values_list("sku", flat=True)
    assert list(inactive) == ["P-005", "P-006", "P-007", "P-008"]


def test_a_file_is_told_beside_the_drop_zone_to_be_a_suppliers_whole_list(
    open_page: Callable[..., Page], run_import: Callable[..., ImportJob], tmp_path: Path
) -> None:
    supplier = make_format("Müller GmbH", full_list=False).supplier
    make_format("Großhandel für alles Mögliche und manches Unmögliche, Inhaber Söhne & Töchter")
    run_import(HEADER + records(4), supplier=supplier)
    file = tmp_path / "list.csv"
    file.write_text(HEADER + records(3))
    page = open_page()
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto("/")
    page.get_by_role("link", name="Choose whose it is").click()
    expect(page.get_by_label("A file of")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_label("A file of").select_option("Müller GmbH")
    page.get_by_label("It is its supplier’s whole list").check()
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    expect(page.locator("#job-panel .pi-status").first).to_have_text("Completed")
    expect(page.locator(".pi-job-head")).to_contain_text("a full list of Müller GmbH")
    assert list(Product.objects.filter(active=False).values_list("sku", flat=True)) == ["P-003"]
