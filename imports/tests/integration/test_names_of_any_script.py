"""Names from right to left, and emoji: each stands by itself, and turns nothing beside it."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client

from catalog.models import Product
from conftest import Messages
from imports.models import ImportJob, Supplier
from imports.operations.feeds.feeds import create_feed

pytestmark = pytest.mark.django_db(transaction=True)

LAMP = "مصباح 🪔"
FILE = "قائمة 2026.csv"


@pytest.fixture
def reviewed(
    upload: Callable[..., ImportJob], messages: Messages, make_product: Callable[..., Product]
) -> ImportJob:
    make_product("A-1", LAMP, price=Decimal(3))
    job = upload(f"sku,name,price\nA-1,{LAMP},4\nA-2,x,free\n", file_name=FILE, review=True)
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "awaiting_review", job.error
    return job


def test_the_name_of_a_file_stands_by_itself(page: Client, reviewed: ImportJob) -> None:
    for path in ("/", "/imports/", f"/imports/{reviewed.pk}/review/"):
        shown = page.get(path).content.decode()
        assert f"<bdi>{FILE}</bdi>" in shown.replace("<b>", "").replace("</b>", ""), path


def test_the_name_of_a_product_stands_by_itself(page: Client, reviewed: ImportJob) -> None:
    review = page.get(f"/imports/{reviewed.pk}/review/").content.decode()
    assert f"<bdi>{LAMP}</bdi></a>" in review
    products = page.get("/products/").content.decode()
    assert f'dir="auto">{LAMP}<' in products


def test_the_name_of_a_supplier_and_a_feed_stand_by_themselves(page: Client, user: User) -> None:
    supplier = Supplier.objects.create(name=LAMP)
    where = {"url": "https://files.example.com/prices.csv", "time_zone": "UTC"}
    feed = create_feed(
        supplier_id=supplier.pk, user=user, name=FILE, schedule="every hour", **where
    )
    for path in ("/feeds/", f"/feeds/{feed.pk}/"):
        shown = page.get(path).content.decode()
        assert f"<bdi>{LAMP}</bdi>" in shown, path
        assert f"<bdi>{FILE}</bdi>" in shown, path
    assert f"<bdi>{LAMP}</bdi>" in page.get("/suppliers/").content.decode()
