"""In a real Chromium: a feed from its form to the catalogue."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from catalog.models import Product
from conftest import wait_for
from imports.models import Feed, FeedRun, ImportJob, Supplier
from imports.operations.feeds.feeds import create_feed
from imports.tests.servers import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

USUAL = "sku,name,price\n" + "".join(f"A-{n},Lamp {n},{n}.00\n" for n in range(1, 13))


def test_a_feed_is_made_tested_fetched_and_an_unusual_file_waits_until_it_is_applied(
    open_page: Callable[..., Page], plain_web: WebServer
) -> None:
    Supplier.objects.create(name="Müller GmbH")
    url = plain_web.put("/prices.csv", USUAL.encode(), login=("mara", "very-secret"))
    page = open_page()
    page.get_by_role("navigation").get_by_role("link", name="Feeds").click()
    page.get_by_role("link", name="Make the first feed").click()
    page.get_by_label("Supplier", exact=True).select_option(label="Müller GmbH")
    page.get_by_label("Name", exact=True).fill("nightly prices")
    page.get_by_label("Address").fill(url)
    page.get_by_label("User name").fill("mara")
    page.get_by_label("Password").fill("very-secret")
    page.get_by_label("Schedule").fill("now and then")
    expect(page.get_by_text("no schedule that is known here")).to_be_visible()
    # On a day that is none in any zone: the clock is to begin no run of its own.
    page.get_by_label("Schedule").fill(f"{date.today() + timedelta(days=3):%A}s at 06:30")
    expect(page.get_by_text("The next times:")).to_be_visible()
    page.get_by_role("button", name="Make the feed").click()
    expect(page.get_by_role("heading", name="nightly prices Müller GmbH")).to_be_visible()
    assert "very-secret" not in page.content()

    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("10 of the first 10 records read well")).to_be_visible()
    assert not ImportJob.objects.exists()

    page.get_by_role("button", name="Fetch now").click()
    runs = page.locator("#feed-runs")
    expect(runs.get_by_role("link", name="12 created")).to_be_visible()
    assert Product.objects.count() == 12

    plain_web.put("/prices.csv", USUAL.replace(",7.00", ",70.00").encode())
    plain_web.files["/prices.csv"].login = ("mara", "very-secret")
    page.get_by_role("button", name="Fetch now").click()
    expect(runs.get_by_text("tenfold")).to_be_visible()
    runs.get_by_role("link", name="Look at it").click()
    page.get_by_role("button", name="Apply").first.click()
    wait_for(lambda: Product.objects.filter(sku="A-7", price=70).exists())
    page.goto(f"/feeds/{Feed.objects.get().pk}/")
    expect(runs.get_by_text("Applied", exact=True)).to_have_count(2)
    assert FeedRun.objects.count() == 2


def test_a_feeds_pages_work_without_scripts(
    open_page: Callable[..., Page], plain_web: WebServer
) -> None:
    Supplier.objects.create(name="Müller GmbH")
    url = plain_web.put("/prices.csv", USUAL.encode())
    page = open_page(java_script_enabled=False)
    page.goto("/feeds/new/")
    page.get_by_label("Supplier", exact=True).select_option(label="Müller GmbH")
    page.get_by_label("Name", exact=True).fill("nightly prices")
    page.get_by_label("Address").fill(url)
    page.get_by_label("Schedule").fill("Mondays at 7:00")
    page.get_by_role("button", name="Make the feed").click()
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("10 of the first 10 records read well")).to_be_visible()
    page.get_by_role("link", name="← nightly prices").click()
    page.get_by_role("button", name="Fetch now").click()
    wait_for(lambda: Product.objects.count() == 12)


def test_on_a_phone_the_strip_the_next_run_and_the_acts_are_in_sight(
    open_page: Callable[..., Page], user: User
) -> None:
    owner = Supplier.objects.create(name="Müller Beleuchtung und Elektrotechnik GmbH")
    values = {"name": "stock of the warehouse in Rotterdam", "url": "https://a.example.com/a.csv"}
    feed = create_feed(supplier_id=owner.pk, user=user, schedule="every hour", **values)
    for _ in range(30):
        FeedRun.objects.create(feed=feed, state="failed", message="The server asks for a password.")
    page = open_page(viewport={"width": 360, "height": 800}, color_scheme="dark")
    page.goto("/feeds/")
    in_sight = (
        page.locator(".feed-strip"),
        page.locator("td[data-label='Next run']"),
        page.get_by_role("button", name="Fetch now"),
    )
    for shown in in_sight:
        expect(shown).to_be_visible()
        box = shown.bounding_box()
        assert box is not None
        assert 0 <= box["x"] < box["x"] + box["width"] <= 360
    page.goto(f"/feeds/{feed.pk}/")
    told = page.get_by_text("The server asks for a password.").first
    expect(told).to_be_visible()
    box = told.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 360
