"""``products.changed``: what a bulk act tells, in batches, in its own transaction."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from webhooks.models import Delivery, Endpoint, Event
from webhooks.operations.endpoints import update_endpoint
from webhooks.operations.events import record_changed_products
from webhooks.sql.outbox import BODY_BYTES

pytestmark = pytest.mark.django_db(transaction=True)

NUMBERED = """
SELECT n AS id, %(prefix)s || n AS sku, CASE WHEN n %% 5 = 0 THEN 'created' ELSE 'updated' END
    AS action
FROM generate_series(1, %(number)s) AS n
"""


def change(number: int, prefix: str = "SKU-", **options: Any) -> list[dict[str, Any]]:
    """Tell of products with these SKUs; returns the bodies that were written."""
    with transaction.atomic(), connection.cursor() as cursor:
        record_changed_products(
            cursor,
            change_set_id=7,
            source_sql=options.get("source", NUMBERED),
            params={"number": number, "prefix": prefix},
        )
    events = Event.objects.filter(type="products.changed").order_by("id")
    for event in events:
        assert json.loads(bytes(event.body))["sequence"] == event.pk
        assert len(event.body) < BODY_BYTES
    return [json.loads(bytes(event.body)) for event in events]


def test_each_product_is_told_once_in_batches_of_one_action(
    make_endpoint: Callable[..., Endpoint],
) -> None:
    make_endpoint(events=["products.changed"])
    bodies = change(1234)
    assert {body["type"] for body in bodies} == {"products.changed"}
    assert {body["data"]["change_set"] for body in bodies} == {7}
    told = Counter(
        (body["data"]["action"], one["id"], one["sku"])
        for body in bodies
        for one in body["data"]["products"]
    )
    assert told == Counter(
        ("created" if n % 5 == 0 else "updated", n, f"SKU-{n}") for n in range(1, 1235)
    )
    assert [len(body["data"]["products"]) for body in bodies] == [246, 500, 488]
    assert Delivery.objects.count() == 3


@pytest.mark.parametrize(
    "prefix", ["尺" * 95, '"' * 95, "\\" * 95, "\x01" * 95, "é", "</script>&'", "%s {} {{"]
)
def test_no_sku_makes_a_body_too_long_or_unreadable(
    make_endpoint: Callable[..., Endpoint], prefix: str
) -> None:
    make_endpoint(events=["products.changed"])
    bodies = change(700, prefix)
    told = [one["sku"] for body in bodies for one in body["data"]["products"]]
    assert sorted(told) == sorted(f"{prefix}{n}" for n in range(1, 701))
    assert all(len(body["data"]["products"]) <= 500 for body in bodies)


def test_nothing_is_read_nor_written_where_nobody_listens(
    make_endpoint: Callable[..., Endpoint],
) -> None:
    make_endpoint(events=["product.created"])
    assert change(10, source="SELECT this fails") == []


def test_a_disabled_endpoint_can_recover_what_it_missed(
    make_endpoint: Callable[..., Endpoint],
) -> None:
    endpoint = make_endpoint(events=["products.changed"])
    update_endpoint(endpoint_id=endpoint.pk, enabled=False)
    assert len(change(10)) == 2
    assert not Delivery.objects.exists()


def test_a_change_that_is_rolled_back_tells_nothing(
    make_endpoint: Callable[..., Endpoint],
) -> None:
    make_endpoint(events=["products.changed"])
    with transaction.atomic():
        with connection.cursor() as cursor:
            record_changed_products(
                cursor,
                change_set_id=7,
                source_sql=NUMBERED,
                params={"number": 10, "prefix": ""},
            )
        assert Delivery.objects.exists()
        transaction.set_rollback(True)
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()
