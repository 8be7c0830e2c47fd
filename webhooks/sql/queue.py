"""What the dispatchers do with deliveries: take a slot, claim, record, give back, give up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from psycopg.types.json import Jsonb

from product_importer.common.locks import AdvisoryLock
from webhooks.models import MOST_CLAIMS

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
    """What the dispatcher's statements want, until the end of the transaction.

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
    """How many dispatchers claim just now."""
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
    """Make due again what dispatchers hold that are gone; returns how many deliveries."""
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


# An endpoint whose deliveries another dispatcher holds is left alone, so that the limit of requests
# in flight is kept by one dispatcher. NO KEY: adding a delivery locks the endpoint's key.
# Scalar subqueries with a limit, not EXISTS: that the planner may turn into a join or a hash
# which reads a queue of half a million deliveries. Adding an interval to a test's time keeps
# the planner from looking for it in the index of that queue; tests have one of their own.
# With statistics that say the tables are empty, as they were before a backlog came, all indexes
# seem to cost the same, and a join is a loop over all of the one for each row of the other. So
# what is looked for has the order of the index that is to be used, and there are no joins.
_NOT_TAKEN = """(
    SELECT taken.id FROM webhooks_delivery AS taken
    WHERE taken.endpoint_id = endpoint.id AND taken.leased_by IS NOT NULL
      AND taken.leased_by <> %(dispatcher)s AND taken.next_attempt_at > %(now)s
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


def can_claim(cursor: CursorWrapper, *, dispatcher: int, now: datetime) -> bool:
    """Whether something is due that no other dispatcher holds."""
    cursor.execute(_CAN_CLAIM, {"dispatcher": dispatcher, "now": now, "most_claims": MOST_CLAIMS})
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
    SET leased_by = %(dispatcher)s, next_attempt_at = %(until)s, claims = claims + 1
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
    dispatcher: int,
    rooms: dict[int, int],
    first_room: int,
    also_failing: bool,
    most_endpoints: int,
    now: datetime,
    until: datetime,
) -> list[Claimed]:
    """Lease the head of each endpoint's queue, at most its room, until ``until``.

    ``rooms`` is the room of the endpoints that this dispatcher is busy with; others get
    ``first_room``, failing ones one, and none unless ``also_failing``. Run inside a
    transaction: dispatchers claim one after the other, so that each sees what the others hold.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.CLAIM])
    cursor.execute(
        _CLAIM,
        {
            "dispatcher": dispatcher,
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
    WHERE id = ANY (%(delivery)s::bigint[]) AND leased_by = %(dispatcher)s
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


def record(
    cursor: CursorWrapper, *, dispatcher: int, outcomes: Sequence[Outcome], now: datetime
) -> int:
    """Write attempts, and what they make of their deliveries, where the lease is still ours."""
    cursor.execute(
        _RECORD,
        {
            "dispatcher": dispatcher,
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
WHERE id = ANY (%(deliveries)s) AND leased_by = %(dispatcher)s
"""


def give_back(
    cursor: CursorWrapper, *, dispatcher: int, delivery_ids: Sequence[int], now: datetime
) -> None:
    """Make due again what was leased and not sent."""
    cursor.execute(
        _GIVE_BACK, {"dispatcher": dispatcher, "deliveries": list(delivery_ids), "now": now}
    )


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
