"""From a shop's export and back, as a person does it and as a program does."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from catalog.models import Product
from conftest import Browserless, finished
from imports.models import ImportJob

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = ("Handle", "Vendor", "Tags")
SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Tags,Option1 Name,Option1 Value,"
    "Variant SKU,Variant Price,Status\n"
    'desk-lamp,Desk lamp,<p>Oak</p>,Acme,"new, oak",Title,Default Title,00017,19.90,active\n'
    "stool,Stool,,Bolt,,Title,Default Title,00018,59.00,draft\n"
)
EDITED = SHOPIFY.replace("Bolt", "Zen")


def test_a_program_edits_what_a_shop_exported_and_sends_it_back(api: Browserless) -> None:
    def imported(text: str) -> dict[str, Any]:
        answer = api.post("/api/v1/imports/", files={"file": ("shop.csv", io.StringIO(text))})
        job = finished(ImportJob.objects.get(pk=answer.json()["id"]))
        assert job.status == "completed", job.error
        return {name: getattr(job, name) for name in ("created", "updated", "unchanged")}

    for label in FIELDS:
        field = {"label": label, "type": "text"}
        assert api.post("/api/v1/fields/", json=field).status_code == 201
    assert imported(SHOPIFY) == {"created": 2, "updated": 0, "unchanged": 0}
    (stool,) = api.get("/api/v1/products/?fields.vendor=Bolt").json()["results"]
    here = f"{api.base}/api/v1/products/{stool['id']}/"
    sent = {"fields": {"vendor": "Zen"}}
    assert api.session.patch(here, json=sent, timeout=300).status_code == 200
    found = api.get("/api/v1/products/export.csv?export_format=Shopify").text
    assert found == EDITED
    assert imported(found) == {"created": 0, "updated": 0, "unchanged": 2}
    one = api.get("/api/v1/products/export.csv?export_format=Shopify&fields.vendor=Zen").text
    assert one.splitlines() == [EDITED.splitlines()[0], EDITED.splitlines()[2]]


def test_a_person_edits_what_a_shop_exported_and_imports_it_again(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page()

    def imported(path: Path) -> ImportJob:
        page.goto("/")
        page.set_input_files("#pi-file", path)
        page.wait_for_url(re.compile(r"/imports/\d+/$"))
        expect(page.locator("#job-panel")).to_have_attribute("data-final", "true")
        job = ImportJob.objects.get(pk=int(page.url.rstrip("/").rsplit("/", 1)[1]))
        assert job.status == "completed", job.error
        return job

    for label in FIELDS:
        page.goto("/fields/new/")
        page.get_by_role("textbox", name="Label", exact=True).fill(label)
        page.get_by_role("button", name="Make the field").click()
        page.wait_for_url("**/fields/")
    first = tmp_path / "products_export.csv"
    first.write_text(SHOPIFY)
    assert imported(first).created == 2
    stool = Product.objects.get(sku="00018")
    page.goto(f"/products/{stool.pk}/")
    page.locator('[name="field_vendor"]').fill("Zen")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was saved").first).to_be_visible()
    page.goto("/products/?fields.vendor=Zen")
    page.get_by_role("link", name="Columns and formats").click()
    page.locator('[name="export_format"]').select_option("Shopify")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").first.click()
    assert download.value.suggested_filename == "shopify.csv"
    header, line = download.value.path().read_text().splitlines()
    assert [header, line] == [EDITED.splitlines()[0], EDITED.splitlines()[2]]
    page.goto("/products/export/?export_format=Shopify")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").first.click()
    back = tmp_path / "back.csv"
    download.value.save_as(back)
    assert back.read_text() == EDITED
    job = imported(back)
    assert (job.unchanged, job.updated, job.created) == (2, 0, 0)
