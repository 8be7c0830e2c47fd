"""What imports and bulk acts tell outsiders, product by product."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from catalog.models import ChangeSet, Product
from catalog.operations import bulk
from conftest import Messages
from imports.models import ImportJob
from webhooks.models import SUBSCRIBABLE, Endpoint, Event
from webhooks.operations.events import record_event

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


def told_of(type: str) -> list[dict[str, Any]]:
    bodies = [json.loads(bytes(event.body)) for event in Event.objects.filter(type=type)]
    return [body["data"] for body in bodies]


def test_an_import_that_waits_for_review_is_told_with_its_counts_and_reasons(
    upload: Callable[..., ImportJob], messages: Messages, make_product: Callable[..., Product]
) -> None:
    make_product("A-1", price="10.00")
    job = upload("sku,name,price\nA-1,Lamp,100.00\nA-2,New,1.00\n")
    messages.run_all()
    (data,) = told_of("import.awaiting_review")
    job.refresh_from_db()
    assert (data["id"], data["status"]) == (job.pk, "awaiting_review")
    assert data["counts"] == job.shown["counts"]
    assert (data["counts"]["created"], data["counts"]["updated"]) == (1, 1)
    assert data["reasons"] == job.shown["warnings"]
    assert "tenfold" in data["reasons"][0]


def test_an_import_that_waits_for_its_mapping_is_told_with_the_questions(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("article,price\nA-1,1.00\n", on_unclear="wait")
    messages.run_all()
    (data,) = told_of("import.awaiting_mapping")
    job.refresh_from_db()
    assert (data["id"], data["status"]) == (job.pk, "awaiting_mapping")
    assert data["questions"] == job.found["questions"] != []


def test_nobody_hears_that_an_import_waits_if_it_then_does_not(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**values: Any) -> None:
        record_event(**values)
        raise ZeroDivisionError("a defect")

    job = upload("article,price\nA-1,1.00\n", on_unclear="wait")
    monkeypatch.setattr("imports.pipeline.match.record_event", fail)
    with pytest.raises(ZeroDivisionError):
        messages.run_all()
    job.refresh_from_db()
    assert job.status == "processing"
    assert told_of("import.awaiting_mapping") == []


def test_a_bulk_edit_and_a_bulk_delete_tell_what_they_changed(
    listening: None, make_product: Callable[..., Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SLICE_ROWS", 3)
    monkeypatch.setattr(bulk, "send_after_commit", lambda *args: None)
    products = [make_product(f"A-{n}", active=n % 2 == 0) for n in range(8)]

    def act(kind: ChangeSet.Kind, **options: Any) -> list[tuple[str, str, int]]:
        change_set = bulk.start_bulk_act(kind=kind, actor=None, **options)
        bulk.run_bulk_act(change_set.pk)
        return told(change_set.pk)

    assert act(ChangeSet.Kind.BULK_EDIT, active=True) == [
        ("updated", one.sku, one.pk) for one in products if not one.active
    ]
    assert act(ChangeSet.Kind.BULK_DELETE) == [("deleted", one.sku, one.pk) for one in products]
