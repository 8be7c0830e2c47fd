"""What a test of one type of event carries: data as a real one has, of things there are not."""

from typing import Any

from webhooks.models import Event

_PRODUCT = {
    "id": 0,
    "sku": "SAMPLE-1",
    "name": "Sample, not a product",
    "description": "",
    "price": "49.90",
    "active": True,
    "change_set": 0,
}
_JOB = {
    "id": 0,
    "status": "completed",
    "file_name": "sample.csv",
    "total_records": 3,
    "created": 1,
    "updated": 1,
    "unchanged": 1,
    "superseded": 0,
    "skipped": 0,
    "rejected": 0,
    "warnings": [],
    "error": "",
    "change_set": 0,
}

_SAMPLES: dict[str, dict[str, Any]] = {
    Event.Type.PRODUCT_CREATED: _PRODUCT,
    Event.Type.PRODUCT_UPDATED: _PRODUCT,
    Event.Type.PRODUCT_DELETED: {"id": 0, "sku": "SAMPLE-1", "change_set": 0},
    Event.Type.PRODUCTS_CHANGED: {
        "change_set": 0,
        "products": [{"id": 0, "sku": "SAMPLE-1", "action": "updated"}],
    },
    Event.Type.PRODUCTS_BULK_DELETED: {"change_set": 0, "deleted": 1},
    Event.Type.IMPORT_AWAITING_REVIEW: {
        **_JOB,
        "status": "awaiting_review",
        "counts": {name: _JOB[name] for name in ("created", "updated", "unchanged")},
        "reasons": ["A sample of a reason."],
    },
    Event.Type.IMPORT_AWAITING_MAPPING: {
        **_JOB,
        "status": "awaiting_mapping",
        "questions": [{"code": "sample", "column": "", "message": "A sample of a question."}],
    },
    Event.Type.IMPORT_COMPLETED: _JOB,
    Event.Type.IMPORT_FAILED: {**_JOB, "status": "failed", "error": "A sample of a reason."},
    Event.Type.IMPORT_CANCELLED: {**_JOB, "status": "cancelled"},
    Event.Type.IMPORT_UNDONE: {"change_set": 0, "undo": 0},
    Event.Type.FEED_FAILED: {
        "feed": 0,
        "name": "Sample, not a feed",
        "supplier": 0,
        "run": 0,
        "due_at": None,
        "tries": 1,
        "code": "not_found",
        "message": "A sample of a reason.",
    },
}


def sample_of(type: str) -> dict[str, Any]:
    """The data of a test that looks like an event of this type; ``is_test`` tells it from one."""
    return {**_SAMPLES.get(type, {}), "is_test": True}
