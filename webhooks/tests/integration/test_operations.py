"""The outbox."""

import json

import pytest
from django.db import transaction

from webhooks.models import Event
from webhooks.operations.events import record_event


@pytest.mark.django_db
def test_an_event_keeps_the_exact_bytes_with_its_sequence_number() -> None:
    event = record_event(type=Event.Type.IMPORT_COMPLETED, data={"file_name": "Größe.csv"})
    stored = Event.objects.get(pk=event.pk)
    body = json.loads(bytes(stored.body))
    assert body["sequence"] == stored.pk
    assert body["type"] == "import.completed"
    assert body["data"] == {"file_name": "Größe.csv"}
    assert "Größe".encode() in bytes(stored.body)


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        record_event(type=Event.Type.IMPORT_FAILED, data={})


@pytest.mark.django_db(transaction=True)
def test_an_event_is_rolled_back_with_its_change() -> None:
    with transaction.atomic():
        record_event(type=Event.Type.IMPORT_FAILED, data={})
        transaction.set_rollback(True)
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_no_body_is_too_long() -> None:
    long = {"file_name": "Größe.csv", "error": "尺" * 9000, "warnings": ["尺" * 900] * 500}
    stored = record_event(type=Event.Type.IMPORT_FAILED, data=long)
    assert len(stored.body) < 20_000
    data = json.loads(bytes(stored.body))["data"]
    assert data["file_name"] == "Größe.csv"
    assert data["error"] == "尺" * 200 + "…"
    assert len(data["warnings"]) == 10
