"""The raw SQL of the webhooks: fan-out, the pump's claim and record, recovery, clearing.

Needs PostgreSQL 15 or later. Moments come as parameters (the caller's clock), so that a test
can stop it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from psycopg.types.json import Jsonb

from product_importer.common import request_id as origin
from product_importer.common.locks import AdvisoryLock
from webhooks.models import MOST_CLAIMS

# --- Outbox ---------------------------------------------------------------------------

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


# --- Pump -----------------------------------------------------------------------------

# Statistics lag behind a queue that fills and drains in seconds; the plan for it is always the
# same: read the head of an index, in its order. And what a crash of the server takes back is
# sent again, with the same webhook-id, so no commit waits for the disk.
_PUMP_SETTINGS = (
    "enable_seqscan",
    "enable_bitmapscan",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_sort",
    "jit",
    "synchronous_commit",
)


def set_up_transaction(cursor: CursorWrapper) -> None:
    """What the pump's statements want, until the end of the transaction.

    Not of the session: a pooler may give every transaction another one.
    """
    cursor.execute(";".join(f"SET LOCAL {name} = off" for name in _PUMP_SETTINGS))


# Locks are made and seen at once, whatever the transactions around them.
_TAKEN_SLOTS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = %(class)s AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def taken_slots(cursor: CursorWrapper) -> int:
    """How many pumps claim just now."""
    cursor.execute(_TAKEN_SLOTS, {"class": AdvisoryLock.PUMP_SLOT})
    return int(cursor.fetchone()[0])


_FREE_LOST = """
UPDATE webhooks_delivery SET leased_by = NULL, next_attempt_at = %(now)s
WHERE leased_by IS NOT NULL AND leased_by NOT IN (
    SELECT objid::int FROM pg_locks
    WHERE locktype = 'advisory' AND classid = %(class)s AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""


def free_lost(cursor: CursorWrapper, *, now: datetime) -> int:
    """Make due again what pumps hold that are gone; returns how many deliveries."""
    cursor.execute(_FREE_LOST, {"now": now, "class": AdvisoryLock.PUMP})
    return int(cursor.rowcount)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours for a while, with what it sends."""

    id: int
    endpoint_id: int
    tries: int
    is_test: bool
    uid: UUID
    body: bytes
    event_id: int
    request_id: str


# An endpoint whose deliveries another pump holds is left alone, so that the limit of requests
# in flight is kept by one pump. NO KEY: adding a delivery locks the endpoint's key.
# Scalar subqueries with a limit, not EXISTS: that the planner may turn into a join or a hash
# which reads a queue of half a million deliveries. Adding an interval to a test's time keeps
# the planner from looking for it in the index of that queue; tests have one of their own.
# With statistics that say the tables are empty, as they were before a backlog came, all indexes
# seem to cost the same, and a join is a loop over all of the one for each row of the other. So
# what is looked for has the order of the index that is to be used, and there are no joins.
_NOT_TAKEN = """(
    SELECT taken.id FROM webhooks_delivery AS taken
    WHERE taken.endpoint_id = endpoint.id AND taken.leased_by IS NOT NULL
      AND taken.leased_by <> %(pump)s AND taken.next_attempt_at > %(now)s
    ORDER BY taken.leased_by LIMIT 1
) IS NULL"""
_HAS_DUE = """(
    (endpoint.enabled AND (
        SELECT due.id FROM webhooks_delivery AS due
        WHERE due.endpoint_id = endpoint.id AND due.state = 'pending'
          AND due.next_attempt_at <= %(now)s AND due.claims < %(most_claims)s
        ORDER BY due.next_attempt_at LIMIT 1
    ) IS NOT NULL)
    OR (
        SELECT due.id FROM webhooks_delivery AS due
        WHERE due.endpoint_id = endpoint.id AND due.state = 'pending' AND due.is_test
          AND due.next_attempt_at + interval '0' <= %(now)s AND due.claims < %(most_claims)s
        LIMIT 1
    ) IS NOT NULL
)"""

_CAN_CLAIM = f"""
SELECT EXISTS (
    SELECT FROM webhooks_endpoint AS endpoint
    WHERE endpoint.deleted_at IS NULL AND {_NOT_TAKEN} AND {_HAS_DUE}
)
"""


def can_claim(cursor: CursorWrapper, *, pump: int, now: datetime) -> bool:
    """Whether something is due that no other pump holds."""
    cursor.execute(_CAN_CLAIM, {"pump": pump, "now": now, "most_claims": MOST_CLAIMS})
    return bool(cursor.fetchone()[0])


_CLAIM = f"""
WITH mine AS (
    SELECT * FROM unnest(%(endpoints)s::bigint[], %(rooms)s::int[]) AS known (endpoint_id, room)
), ready AS MATERIALIZED (
    SELECT endpoint.id, endpoint.enabled,
           COALESCE(mine.room, CASE WHEN endpoint.failing_since IS NULL
                                    THEN %(first_room)s ELSE 1 END) AS room
    FROM webhooks_endpoint AS endpoint LEFT JOIN mine ON mine.endpoint_id = endpoint.id
    WHERE endpoint.deleted_at IS NULL
      AND (mine.room IS NULL OR mine.room > 0)
      AND (mine.room IS NOT NULL OR endpoint.failing_since IS NULL OR %(also_failing)s)
      AND {_NOT_TAKEN}
      AND {_HAS_DUE}
    ORDER BY endpoint.failing_since IS NOT NULL, random()
    LIMIT %(most_endpoints)s
    FOR NO KEY UPDATE OF endpoint SKIP LOCKED
), chosen AS MATERIALIZED (
    SELECT test.id FROM ready CROSS JOIN LATERAL (
        SELECT id FROM webhooks_delivery
        WHERE endpoint_id = ready.id AND state = 'pending' AND is_test
          AND next_attempt_at + interval '0' <= %(now)s AND claims < %(most_claims)s
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS test
    UNION ALL
    SELECT next.id FROM ready CROSS JOIN LATERAL (
        SELECT id FROM webhooks_delivery
        WHERE endpoint_id = ready.id AND state = 'pending' AND NOT is_test
          AND next_attempt_at <= %(now)s AND claims < %(most_claims)s
        ORDER BY next_attempt_at LIMIT ready.room FOR UPDATE SKIP LOCKED
    ) AS next
    WHERE ready.enabled
), leased AS (
    UPDATE webhooks_delivery
    SET leased_by = %(pump)s, next_attempt_at = %(until)s, claims = claims + 1
    WHERE id = ANY (ARRAY(SELECT id FROM chosen))
    RETURNING id, endpoint_id, event_id, tries, is_test
)
SELECT leased.id, leased.endpoint_id, leased.tries, leased.is_test,
       event.uid, event.body, event.id, event.request_id
FROM leased CROSS JOIN LATERAL (
    SELECT * FROM webhooks_event WHERE id = leased.event_id LIMIT 1
) AS event
"""


def claim(
    cursor: CursorWrapper,
    *,
    pump: int,
    rooms: dict[int, int],
    first_room: int,
    also_failing: bool,
    most_endpoints: int,
    now: datetime,
    until: datetime,
) -> list[Claimed]:
    """Lease the head of each endpoint's queue, at most its room, until ``until``.

    ``rooms`` is the room of the endpoints that this pump is busy with; others get
    ``first_room``, failing ones one, and none unless ``also_failing``. Run inside a
    transaction: pumps claim one after the other, so that each sees what the others hold.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.CLAIM])
    cursor.execute(
        _CLAIM,
        {
            "pump": pump,
            "endpoints": list(rooms),
            "rooms": list(rooms.values()),
            "first_room": first_room,
            "also_failing": also_failing,
            "most_endpoints": most_endpoints,
            "most_claims": MOST_CLAIMS,
            "now": now,
            "until": until,
        },
    )
    claimed = [Claimed(*row) for row in cursor.fetchall()]
    return sorted(claimed, key=lambda one: (not one.is_test, one.id))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt was and what it makes of its delivery."""

    delivery_id: int
    endpoint_id: int
    state: str
    next_attempt_at: datetime | None
    at: datetime
    address: str
    response_status: int | None
    error: str
    detail: str
    lookup_ms: float | None
    connect_ms: float | None
    first_byte_ms: float | None
    latency_ms: float
    response_headers: dict[str, str]
    response_body: str
    request_headers: dict[str, str] = field(default_factory=dict)


_RECORD = """
WITH outcome AS (
    SELECT * FROM unnest(
        %(delivery)s::bigint[], %(endpoint)s::bigint[], %(at)s::timestamptz[], %(address)s::text[],
        %(status)s::int[], %(error)s::text[], %(detail)s::text[], %(lookup)s::float8[],
        %(connect)s::float8[], %(first_byte)s::float8[], %(latency)s::float8[],
        %(headers)s::jsonb[], %(body)s::text[], %(sent)s::jsonb[]
    ) AS outcome (
        delivery_id, endpoint_id, at, address, status, error, detail, lookup_ms, connect_ms,
        first_byte_ms, latency_ms, headers, body, sent
    )
), moved AS (
    UPDATE webhooks_delivery
    SET state = (%(state)s::text[])[array_position(%(delivery)s::bigint[], id)],
        next_attempt_at =
            (%(next_attempt)s::timestamptz[])[array_position(%(delivery)s::bigint[], id)],
        tries = tries + 1, leased_by = NULL, claims = 0,
        finished_at = CASE
            WHEN (%(state)s::text[])[array_position(%(delivery)s::bigint[], id)] <> 'pending'
            THEN %(now)s
        END
    WHERE id = ANY (%(delivery)s::bigint[]) AND leased_by = %(pump)s
    RETURNING id
)
INSERT INTO webhooks_attempt (
    delivery_id, endpoint_id, at, address, response_status, error, detail, lookup_ms,
    connect_ms, first_byte_ms, latency_ms, response_headers, response_body,
    request_headers
)
SELECT outcome.delivery_id, outcome.endpoint_id, outcome.at, outcome.address, outcome.status,
       outcome.error, outcome.detail, outcome.lookup_ms, outcome.connect_ms,
       outcome.first_byte_ms, outcome.latency_ms, outcome.headers, outcome.body,
       outcome.sent
FROM outcome JOIN moved ON moved.id = outcome.delivery_id
"""


def record(cursor: CursorWrapper, *, pump: int, outcomes: Sequence[Outcome], now: datetime) -> int:
    """Write attempts, and what they make of their deliveries, where the lease is still ours."""
    cursor.execute(
        _RECORD,
        {
            "pump": pump,
            "now": now,
            "delivery": [one.delivery_id for one in outcomes],
            "endpoint": [one.endpoint_id for one in outcomes],
            "state": [one.state for one in outcomes],
            "next_attempt": [one.next_attempt_at for one in outcomes],
            "at": [one.at for one in outcomes],
            "address": [one.address for one in outcomes],
            "status": [one.response_status for one in outcomes],
            "error": [one.error for one in outcomes],
            "detail": [one.detail for one in outcomes],
            "lookup": [one.lookup_ms for one in outcomes],
            "connect": [one.connect_ms for one in outcomes],
            "first_byte": [one.first_byte_ms for one in outcomes],
            "latency": [one.latency_ms for one in outcomes],
            "headers": [Jsonb(one.response_headers) for one in outcomes],
            "body": [one.response_body for one in outcomes],
            "sent": [Jsonb(one.request_headers or None) for one in outcomes],
        },
    )
    return int(cursor.rowcount)


_GIVE_BACK = """
UPDATE webhooks_delivery
SET leased_by = NULL, next_attempt_at = %(now)s, claims = GREATEST(claims - 1, 0)
WHERE id = ANY (%(deliveries)s) AND leased_by = %(pump)s
"""


def give_back(
    cursor: CursorWrapper, *, pump: int, delivery_ids: Sequence[int], now: datetime
) -> None:
    """Make due again what was leased and not sent."""
    cursor.execute(_GIVE_BACK, {"pump": pump, "deliveries": list(delivery_ids), "now": now})


_GIVE_UP = """
WITH parked AS (
    UPDATE webhooks_delivery SET state = 'failed', leased_by = NULL, next_attempt_at = NULL,
        claims = 0, finished_at = %(now)s
    WHERE state = 'pending' AND claims >= %(most_claims)s AND next_attempt_at <= %(now)s
    RETURNING id, endpoint_id
)
INSERT INTO webhooks_attempt (
    delivery_id, endpoint_id, at, address, error, detail, latency_ms, response_headers,
    response_body
)
SELECT id, endpoint_id, %(now)s, '', 'worker_lost', %(detail)s, 0, '{}', '' FROM parked
"""


def give_up_lost(cursor: CursorWrapper, *, detail: str, now: datetime) -> int:
    """Fail what was leased ``MOST_CLAIMS`` times without ever coming to a result."""
    cursor.execute(_GIVE_UP, {"most_claims": MOST_CLAIMS, "detail": detail, "now": now})
    return int(cursor.rowcount)


# --- Recovery -------------------------------------------------------------------------

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


# --- Clearing -------------------------------------------------------------------------

_OLD = """
    SELECT event.id FROM webhooks_event AS event
    WHERE event.created_at < %(before)s AND NOT EXISTS (
        SELECT FROM webhooks_delivery AS delivery JOIN webhooks_endpoint AS endpoint
            ON endpoint.id = delivery.endpoint_id
        WHERE delivery.event_id = event.id AND delivery.state = 'pending' AND endpoint.enabled
    )
"""
_CLEAR_OLD = f"""
WITH old AS (
    {_OLD}
    ORDER BY event.created_at LIMIT %(most)s
), attempts AS (
    DELETE FROM webhooks_attempt USING webhooks_delivery AS delivery
    WHERE delivery.id = webhooks_attempt.delivery_id AND delivery.event_id IN (SELECT id FROM old)
), deliveries AS (
    DELETE FROM webhooks_delivery WHERE event_id IN (SELECT id FROM old)
)
DELETE FROM webhooks_event WHERE id IN (SELECT id FROM old)
"""


def clear_old(cursor: CursorWrapper, *, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` events that are older, with their log; returns how many."""
    cursor.execute(_CLEAR_OLD, {"before": before, "most": limit})
    return int(cursor.rowcount)


def count_old(cursor: CursorWrapper, *, before: datetime) -> int:
    """How many events ``clear_old`` would delete."""
    cursor.execute(f"SELECT count(*) FROM ({_OLD}) AS old", {"before": before})
    return int(cursor.fetchone()[0])


_CLEAR_DELETED = """
WITH gone AS (
    SELECT delivery.id FROM webhooks_delivery AS delivery
    WHERE delivery.endpoint_id = %(endpoint)s LIMIT %(most)s
), attempts AS (
    DELETE FROM webhooks_attempt WHERE delivery_id IN (SELECT id FROM gone)
)
DELETE FROM webhooks_delivery WHERE id IN (SELECT id FROM gone)
"""


def clear_deleted(cursor: CursorWrapper, *, endpoint_id: int, limit: int) -> int:
    """Delete up to ``limit`` deliveries of an endpoint that is deleted; returns how many."""
    cursor.execute(_CLEAR_DELETED, {"endpoint": endpoint_id, "most": limit})
    return int(cursor.rowcount)


_OLDEST_DUE = """
SELECT min(due.next_attempt_at) FROM webhooks_endpoint AS endpoint CROSS JOIN LATERAL (
    SELECT next_attempt_at FROM webhooks_delivery
    WHERE endpoint_id = endpoint.id AND state = 'pending' AND next_attempt_at <= %(now)s
    ORDER BY next_attempt_at LIMIT 1
) AS due
WHERE endpoint.enabled AND endpoint.deleted_at IS NULL
"""


def oldest_due(cursor: CursorWrapper, *, now: datetime) -> datetime | None:
    """Since when the longest waiting delivery of an enabled endpoint has been due."""
    cursor.execute(_OLDEST_DUE, {"now": now})
    found: datetime | None = cursor.fetchone()[0]
    return found


# By the index of what is due, whose order it asks for: the queue is read, not the table.
_COUNT_PENDING = """
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery WHERE state = 'pending'
    ORDER BY endpoint_id, next_attempt_at LIMIT %(most)s
) AS pending
"""


def count_pending(cursor: CursorWrapper, *, limit: int) -> int:
    """How many deliveries wait, counted up to ``limit``."""
    cursor.execute(_COUNT_PENDING, {"most": limit})
    return int(cursor.fetchone()[0])


# --- Figures --------------------------------------------------------------------------

_DAY = """
SELECT endpoint_id, floor(extract(epoch FROM %(now)s - at) / 3600)::int AS hours_ago,
       count(*) FILTER (WHERE response_status BETWEEN 200 AND 299) AS succeeded,
       count(*) AS attempts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms)
           FILTER (WHERE response_status IS NOT NULL) AS median
FROM webhooks_attempt
WHERE endpoint_id = ANY (%(endpoints)s) AND at > %(now)s - interval '24 hours'
GROUP BY GROUPING SETS ((1, 2), (1))
"""


def day_figures(
    cursor: CursorWrapper, *, endpoint_ids: list[int], now: datetime
) -> list[tuple[int, int | None, int, int, float | None]]:
    """Of the last 24 hours: endpoint, hours ago, succeeded, attempts, median latency in ms.

    One row for each hour with attempts, and one with ``None`` for the whole day.
    """
    cursor.execute(_DAY, {"endpoints": endpoint_ids, "now": now})
    return list(cursor.fetchall())
