"""Events and who is to hear of them: fan-out, and recovery of what was missed."""

from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from product_importer.common import request_id as origin

_ADD_DELIVERIES = """
INSERT INTO webhooks_delivery (
    event_id, endpoint_id, state, is_test, tries, next_attempt_at, claims, created_at
)
SELECT event.id, endpoint.id, 'pending', false, 0, event.created_at, 0, event.created_at
FROM webhooks_event AS event
JOIN webhooks_endpoint AS endpoint
    ON endpoint.enabled AND endpoint.deleted_at IS NULL AND event.type = ANY (endpoint.events)
WHERE event.id = %(event)s
"""


def add_deliveries(cursor: CursorWrapper, *, event_id: int) -> int:
    """One delivery of an event for every enabled endpoint that subscribes to it."""
    cursor.execute(_ADD_DELIVERIES, {"event": event_id})
    return int(cursor.rowcount)


_SOMEBODY_LISTENS = """
SELECT EXISTS (
    SELECT FROM webhooks_endpoint
    WHERE deleted_at IS NULL AND %(type)s = ANY (events)
      AND (enabled OR disabled_at > %(recoverable)s)
)
"""


def somebody_listens(cursor: CursorWrapper, *, type: str, recoverable: datetime) -> bool:
    """Whether an endpoint subscribes that is enabled, or was at some time since."""
    cursor.execute(_SOMEBODY_LISTENS, {"type": type, "recoverable": recoverable})
    return bool(cursor.fetchone()[0])


# A batch is full at 500 products, or when their JSON would pass the bytes that a body may have.
# Each product weighs its own bytes, but at least a 500th of a batch, so that one running sum
# keeps both limits. A batch may pass the sum by less than one product (a SKU of 100 characters
# has at most 600 bytes in JSON), which the limit leaves room for.
BATCH_PRODUCTS = 500
BODY_BYTES = 20_000
_BATCH_WEIGHT = 19_000

_ADD_CHANGED_PRODUCTS = """
WITH changed AS (
    {source}
), written AS (
    SELECT id, action,
           '{{"id":' || id || ',"sku":' || to_json(sku::text)::text || '}}' AS product
    FROM changed
), summed AS (
    SELECT *, sum(GREATEST(octet_length(product) + 1, %(least)s))
              OVER (PARTITION BY action ORDER BY id) AS weight
    FROM written
), batch AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('webhooks_event', 'id')) AS sequence,
           action, products
    FROM (
        SELECT action, string_agg(product, ',' ORDER BY id) AS products
        FROM summed GROUP BY action, (weight - 1) / %(most)s ORDER BY action, min(id)
    ) AS batches
), event AS (
    INSERT INTO webhooks_event (id, uid, type, body, created_at, request_id)
    SELECT sequence, gen_random_uuid(), 'products.changed',
           convert_to(
               '{{"type":"products.changed","timestamp":' || to_json(%(timestamp)s::text)::text
               || ',"sequence":' || sequence || ',"data":{{"change_set":' || %(change_set)s
               || ',"action":"' || action || '","products":[' || products || ']}}}}',
               'UTF8'
           ),
           %(now)s, %(request_id)s
    FROM batch RETURNING id
)
INSERT INTO webhooks_delivery (
    event_id, endpoint_id, state, is_test, tries, next_attempt_at, claims, created_at
)
SELECT event.id, endpoint.id, 'pending', false, 0, %(now)s, 0, %(now)s
FROM event CROSS JOIN webhooks_endpoint AS endpoint
WHERE endpoint.enabled AND endpoint.deleted_at IS NULL
  AND 'products.changed' = ANY (endpoint.events)
"""


def add_changed_products(
    cursor: CursorWrapper,
    *,
    change_set_id: int,
    source: str,
    params: Any,
    now: datetime,
) -> int:
    """Events and deliveries for the products of ``source`` (id, sku, action); returns deliveries.

    ``action`` is created, updated or deleted.
    """
    bound = cursor.mogrify(source, params).replace("%", "%%")  # it may be of either style
    cursor.execute(
        _ADD_CHANGED_PRODUCTS.format(source=bound),
        {
            "change_set": change_set_id,
            "least": _BATCH_WEIGHT // BATCH_PRODUCTS,
            "most": _BATCH_WEIGHT,
            "now": now,
            "timestamp": now.isoformat(),
            "request_id": origin.request_id(),
        },
    )
    return int(cursor.rowcount)


_RECOVER = """
WITH again AS (
    UPDATE webhooks_delivery AS delivery
    SET state = 'pending', tries = 0, claims = 0, next_attempt_at = %(now)s, finished_at = NULL
    FROM webhooks_event AS event
    WHERE delivery.endpoint_id = %(endpoint)s AND delivery.state = 'failed'
      AND NOT delivery.is_test
      AND event.id = delivery.event_id AND event.created_at >= %(since)s
    RETURNING 1
), missed AS (
    INSERT INTO webhooks_delivery (
        event_id, endpoint_id, state, is_test, tries, next_attempt_at, claims, created_at
    )
    SELECT event.id, %(endpoint)s, 'pending', false, 0, %(now)s, 0, %(now)s
    FROM webhooks_event AS event
    WHERE event.created_at >= %(since)s AND event.type = ANY (%(types)s)
    ORDER BY event.id
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM again) + (SELECT count(*) FROM missed)
"""


def recover(
    cursor: CursorWrapper, *, endpoint_id: int, types: list[str], since: datetime, now: datetime
) -> int:
    """Queue again what failed since, and what was never queued; returns how many."""
    cursor.execute(_RECOVER, {"endpoint": endpoint_id, "types": types, "since": since, "now": now})
    return int(cursor.fetchone()[0])
