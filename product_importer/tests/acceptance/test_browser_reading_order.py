"""In which order a screen reader comes by what is on a page: landmarks, headings, controls.

A snapshot names what must be there in this order; what is between is not looked at.
"""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from catalog.operations.products import create_product, update_product
from conftest import wait_for
from imports.models import Feed, FeedRun, ImportJob, Supplier
from imports.operations.feeds.feeds import create_feed
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

SHELL = """
- link "Skip to the content"
- navigation "Main navigation":
  - link "Product Importer"
  - button "Find Ctrl K"
  - list:
    - listitem:
      - link "Home"
    - listitem:
      - link "Products"
    - listitem:
      - link "Imports"
    - listitem:
      - link "Suppliers"
    - listitem:
      - link "Feeds"
    - listitem:
      - link "Changes"
    - listitem:
      - link "Webhooks"
  - list:
    - listitem:
      - link "Notices"
  - 'button "Your account: mara"'
- banner:
  - button "Navigation"
  - heading "Home" [level=1]
- main:
  - paragraph:
    - checkbox "Show me the changes before they are applied"
    - combobox "Records may"
    - combobox "If something looks unusual"
  - paragraph:
    - button "Drop a file here, paste it, or choose one"
"""

PAGES = {
    "home": """
- main:
  - paragraph:
    - button "Drop a file here, paste it, or choose one"
  - heading "Running, or waiting for you" [level=2]
  - list:
    - listitem:
      - paragraph:
        - link "unclear.csv"
        - text: Waiting for columns
      - progressbar "Progress of unclear.csv"
    - listitem:
      - paragraph:
        - link "review.csv"
        - text: Waiting for review
  - heading "The catalogue" [level=2]
  - figure:
    - 'img "Changes of the last 30 days: 3 products"'
  - heading "Last imports" [level=2]
  - list:
    - listitem:
      - paragraph:
        - link "refused.csv"
        - text: Completed
""",
    "products": """
- main:
  - search:
    - searchbox "Search in SKU, name and description"
    - button "Search"
    - link "New product"
    - group: Filters
  - group: Columns and rows
  - link "Clear the catalogue …"
  - status: 2 products
  - paragraph:
    - link "CSV"
  - region "Products, a table that scrolls":
    - table:
      - rowgroup:
        - row:
          - columnheader:
            - checkbox "Select all on this page"
          - columnheader "SKU":
            - link "SKU"
      - rowgroup:
        - row:
          - cell:
            - checkbox "Select A-1"
          - cell "A-1":
            - link "A-1"
          - cell "Lamp"
          - cell:
            - link "Edit A-1"
  - navigation "Pages"
""",
    "product": """
- main:
  - paragraph:
    - link "← Products"
  - heading "Lamp" [level=2]
  - form "The product's values":
    - textbox "SKU"
    - textbox "Name"
    - textbox "Price"
    - checkbox "Active"
    - textbox "Description"
    - paragraph:
      - button "Save"
      - link "Delete …"
  - region "History":
    - heading "History" [level=2]
    - list:
      - listitem:
        - definition:
          - deletion: "3.00"
          - insertion: "4.00"
      - listitem:
        - button "Restore the state of version 1"
""",
    "imports": """
- main:
  - paragraph:
    - button "Drop a file here, paste it, or choose one"
  - table:
    - rowgroup:
      - row:
        - columnheader "File"
        - columnheader "Status"
        - columnheader "What became of its records"
    - rowgroup:
      - row:
        - cell:
          - link "unclear.csv"
        - cell "Waiting for columns"
      - row:
        - cell:
          - link "review.csv"
        - cell "Waiting for review"
""",
    "import": """
- main:
  - heading "refused.csv" [level=2]
  - link "Look at the products"
  - link "Undo the import …"
  - link "What it changed"
  - region "Progress":
    - text: Completed
    - progressbar "Progress of the import"
  - list "What became of the records":
    - listitem:
      - link "1 created new in the catalogue"
    - listitem:
      - link "1 refused not imported, see below"
    - listitem: = 2 records in the file
  - heading "Refused records" [level=2]
  - link "Mend them here"
  - link "Download rejects.csv"
  - list:
    - listitem:
      - link "1 × The price is not a price"
""",
    "mending": """
- main:
  - paragraph:
    - link "← refused.csv"
  - heading "1 refused" [level=2]
  - link "Download rejects.csv"
  - navigation "What is wrong":
    - link "All 1"
    - link "Still to mend 1"
    - link "The price is not a price 1"
  - region "Refused records, a table that scrolls":
    - table:
      - rowgroup:
        - row:
          - cell "3"
          - cell /“free” is not a price/
          - cell:
            - textbox "sku, line 3"
          - cell:
            - textbox "name, line 3"
          - cell:
            - textbox "price, line 3" [invalid]
  - group "Import":
    - button "Import the mended records (0)" [disabled]
    - status
""",
    "review": """
- main:
  - paragraph:
    - link "← review.csv"
  - region "What would change":
    - heading "What would change" [level=2]
    - link "Download this list"
    - navigation "Filter the changes":
      - link "All 1"
    - searchbox "SKU or name"
    - combobox "Left out"
    - button "Find"
    - textbox "Price changes by more than %"
    - button "Show these"
    - button "Leave out all 1"
    - table:
      - rowgroup:
        - row:
          - cell:
            - checkbox "Apply A-1" [checked]
          - cell "A-1"
          - cell:
            - link "Lamp"
          - cell:
            - definition:
              - deletion: "4.00"
              - insertion: "5.00"
          - cell "+25.0 %"
    - group "Decide":
      - button "Apply 1 change"
      - button "Discard"
      - status: Nothing is left out
""",
    "matching": """
- main:
  - heading "Match the columns of unclear.csv" [level=2]
  - group "How the file is read":
    - combobox "Column names"
    - combobox "Delimiter"
    - combobox "Encoding"
    - combobox "Decimal mark"
    - region "Columns":
      - combobox "Field of the column sku"
      - group: ▸ Rules
      - combobox "Field of the column name"
    - region "The first records":
      - heading "The first 1 record, as they would be stored" [level=2]
    - status: 1 of 1 read well.
    - combobox "Remember this for"
    - button "Continue"
    - button "Cancel the import"
""",
    "changes": r"""
- main:
  - search "Search the changes":
    - textbox "SKU"
    - textbox "Person"
    - combobox "Kind"
    - button "Search"
  - region "Changes, a table that scrolls":
    - table:
      - rowgroup:
        - row:
          - cell:
            - link "Imported refused.csv"
          - cell:
            - link /Undo change \d+/
        - row:
          - cell:
            - 'link "A-1: price 3.00 → 4.00"'
""",
    "suppliers": """
- main:
  - textbox "Name of a new supplier"
  - button "Add"
  - table:
    - rowgroup:
      - row:
        - cell:
          - link "Acme"
  - heading "Formats that come with the product" [level=2]
""",
    "feeds": """
- main:
  - link "New feed"
  - table:
    - rowgroup:
      - row:
        - cell:
          - link "prices"
        - cell /Failed/
        - cell:
          - 'img "The last run: 1 failed"'
        - cell:
          - button /Fetch now/
  - region "What is due in the next 7 days":
    - heading "What is due in the next 7 days" [level=2]
""",
    "webhooks": """
- main:
  - link "New endpoint"
  - table:
    - rowgroup:
      - row:
        - cell:
          - link "https://hooks.example.com/shop"
        - cell:
          - button /Test/
""",
}


@pytest.fixture
def addresses(
    user: User, run_import: Callable[..., ImportJob], upload: Callable[..., ImportJob]
) -> dict[str, str]:
    """The addresses of the pages, by name, with something on each."""
    lamp = create_product(actor=user, data={"sku": "A-1", "name": "Lamp", "price": "3"})
    update_product(product_id=lamp.pk, actor=user, data={"price": "4"})
    refused = run_import("sku,name,price\nB-1,Rug,5\nB-2,Rug,free\n", file_name="refused.csv")
    review = upload("sku,name,price\nA-1,Lamp,5\n", file_name="review.csv", review=True)
    unclear = upload("sku;name;price\nA-1;Lamp;5\n", file_name="unclear.csv", on_unclear="always")
    statuses = {review.pk: "awaiting_review", unclear.pk: "awaiting_mapping"}
    wait_for(
        lambda: (
            dict(ImportJob.objects.filter(pk__in=statuses).values_list("pk", "status")) == statuses
        )
    )
    supplier = Supplier.objects.create(name="Acme")
    where = {"url": "https://files.example.com/prices.csv", "time_zone": "UTC"}
    feed = create_feed(
        supplier_id=supplier.pk, user=user, name="prices", schedule="every hour", **where
    )
    # At whatever hour the tests run, it is not due while they do.
    Feed.objects.update(next_run_at=timezone.now() + timedelta(days=3))
    FeedRun.objects.create(feed=feed, state="failed", message="The server asks for a password.")
    Endpoint.objects.create(url="https://hooks.example.com/shop", events=["product.updated"])
    lists = ("products", "imports", "changes", "suppliers", "feeds", "webhooks")
    return {
        "home": "/",
        **{name: f"/{name}/" for name in lists},
        "product": f"/products/{lamp.pk}/",
        "import": f"/imports/{refused.pk}/",
        "mending": f"/imports/{refused.pk}/rejected/",
        "review": f"/imports/{review.pk}/review/",
        "matching": f"/imports/{unclear.pk}/mapping/",
    }


@pytest.mark.usefixtures("user")
def test_the_shell_is_read_before_the_page(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 1400, "height": 900})
    expect(page.locator("body")).to_match_aria_snapshot(SHELL)


def test_what_is_on_a_page_is_read_in_the_order_of_its_use(
    open_page: Callable[..., Page], addresses: dict[str, str]
) -> None:
    page = open_page(viewport={"width": 1400, "height": 900})
    assert addresses.keys() == PAGES.keys()
    for name, snapshot in PAGES.items():
        page.goto(addresses[name])
        expect(page.locator("#pi-main"), name).to_match_aria_snapshot(snapshot)
        read = page.locator("#pi-main").aria_snapshot()
        assert "expand_more" not in read, name  # an icon's word
        assert not re.findall(r'- navigation "[^"]*"$', read, re.M), name  # with nothing in it
