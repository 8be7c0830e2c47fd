"""What imports and bulk acts tell outsiders, product by product."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from catalog.models import ChangeSet, Product
from catalog.operations import bulk
from imports.models import ImportJob
from webhooks.models import SUBSCRIBABLE, Endpoint, Event

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listening(transactional_db: None) -> None:
    """An endpoint that is disabled: events are kept for it, and nothing is sent."""
    from django.utils import timezone

    Endpoint.objects.create(
        url="http://127.0.0.1:9/",
        events=list(SUBSCRIBABLE),
        enabled=False,
        disabled_at=timezone.now(),
    )


def told(change_set: int | None) -> list[tuple[str, str, int]]:
    """Action, SKU and id of every product that was told of a change set."""
    bodies = [
        json.loads(bytes(event.body))["data"]
        for event in Event.objects.filter(type="products.changed")
    ]
    return sorted(
        (body["action"], one["sku"], one["id"])
        for body in bodies
        if body["change_set"] == change_set
        for one in body["products"]
    )


def test_an_import_tells_what_it_created_and_updated(
    listening: None, run_import: Callable[..., ImportJob], make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Old")
    make_product("A-2", "Same")
    job = run_import("sku,name\na-1,New\nA-2,Same\nA-3,Fresh\n")
    ids = dict(Product.objects.values_list("sku", "id"))
    assert told(job.change_set_id) == [
        ("created", "A-3", ids["A-3"]),
        ("updated", "a-1", ids["a-1"]),
    ]


def test_a_bulk_edit_and_a_bulk_delete_tell_what_they_changed(
    listening: None, make_product: Callable[..., Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SLICE_ROWS", 3)
    monkeypatch.setattr(bulk, "kick_after_commit", lambda *args: None)
    products = [make_product(f"A-{n}", active=n % 2 == 0) for n in range(8)]

    def act(kind: ChangeSet.Kind, **options: Any) -> list[tuple[str, str, int]]:
        change_set = bulk.start_bulk_act(kind=kind, actor=None, **options)
        bulk.run_bulk_act(change_set.pk)
        return told(change_set.pk)

    assert act(ChangeSet.Kind.BULK_EDIT, active=True) == [
        ("updated", one.sku, one.pk) for one in products if not one.active
    ]
    assert act(ChangeSet.Kind.BULK_DELETE) == [("deleted", one.sku, one.pk) for one in products]
