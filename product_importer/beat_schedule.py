"""What the beat asks for, and how often in seconds; a message that comes late is of no use.

All in intervals, not at an hour: the beat counts anew with each start.
"""

from typing import Any

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sweep-imports": {
        "task": "imports.sweep",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "send-notices": {
        "task": "imports.send_notices",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "clear-uploads": {
        "task": "imports.clear_uploads",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "sweep-bulk-acts": {
        "task": "catalog.sweep",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "keep-search-index": {
        "task": "catalog.keep_search_index",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "keep-field-indexes": {
        "task": "catalog.keep_field_indexes",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "dispatch-deliveries": {
        "task": "webhooks.pump",
        "schedule": 3.0,
        "options": {"expires": 3.0},
    },
    "clear-deliveries": {
        "task": "webhooks.clear",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "clear-changes": {
        "task": "catalog.clear",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "clear-imports": {
        "task": "imports.clear",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "clear-logins-and-results": {
        "task": "product_importer.clear",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
}
