"""``/metrics`` for Prometheus.

What requests do is counted by the web processes (``product_importer.web.request_middleware``). All
else is read from PostgreSQL and the broker when it is asked for, because it happens in other
processes, on other machines: rows, and counters of what rows cannot tell
(``product_importer.common.counters``).
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from catalog.models import ChangeSet
from catalog.queries.products import estimated_products
from imports.models import ImportJob, NoticeDelivery, NoticeRecipient
from imports.queries.progress import progress_of
from product_importer.common import counters
from product_importer.ops.health import Signs, ask, due_work, signs_of_life
from webhooks.models import Tally
from webhooks.queries import endpoint_states, pending_deliveries

PERMISSION = "webhooks.view_tally"
PENDING_MOST = 100_000  # deliveries that are counted; beyond, the number says “at least”
RUNNING_MOST = 100  # jobs whose rate is computed


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For whoever sends ``METRICS_TOKEN``, or may see tallies; 401 or 403 otherwise."""
    sent = request.headers.get("Authorization", "")
    if sent or not request.user.is_authenticated:
        wanted = settings.METRICS_TOKEN
        if not wanted or not constant_time_compare(sent, f"Bearer {wanted}"):
            return HttpResponse(
                "Send METRICS_TOKEN as bearer token.\n",
                content_type="text/plain",
                status=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
    elif not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)  # one process is all there is
    registry.register(Product())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Product(Collector):
    """What PostgreSQL and the broker know. A part that does not answer is told, and left out."""

    def collect(self) -> Iterator[Metric]:
        figures, signs = ask(_read, signs_of_life)
        yield _gauge(
            "up",
            "Whether a part answers (database, broker) or reports (worker, beat)",
            ["part"],
            [
                (["database"], figures is not None),
                (["broker"], signs is not None),
                (["worker"], bool(signs and signs.workers)),
                (["beat"], bool(signs and signs.beat)),
            ],
        )
        if signs is not None:
            yield from _of_broker(signs)
        if figures is not None:
            yield from figures


def _of_broker(signs: Signs) -> Iterator[Metric]:
    yield _gauge("workers", "Workers that report", [], [([], signs.workers)])
    yield _gauge(
        "queue_messages",
        "Messages that wait in the broker for a worker",
        ["queue"],
        [([name], length) for name, length in signs.messages.items()],
    )


def _read() -> list[Metric]:
    """Every figure in PostgreSQL, each by an index or a table of a few rows."""
    counts = dict(Tally.objects.values_list("key", "value"))
    return [
        *_of_imports(counts),
        *_of_catalogue(counts),
        *_of_webhooks(counts),
        *_of_notices(counts),
        *_of_server(),
    ]


def _of_imports(counts: dict[str, float]) -> Iterator[Metric]:
    jobs = ImportJob.objects.order_by().values_list("status").annotate(number=Count("status"))
    found = dict(jobs)
    yield _gauge(
        "imports",
        "Imports by status",
        ["status"],
        [([status], found.get(status, 0)) for status in ImportJob.Status.values],
    )
    yield _counter(
        "imports_ended",
        "Imports that ended, by how; one that is retried may end again",
        "status",
        "imports",
        ImportJob.FINAL,
        counts,
    )
    yield _counter(
        "import_records",
        "Records that imports dealt with, by what became of them",
        "outcome",
        "records",
        ("created", "updated", "unchanged", "superseded", "skipped", "rejected"),
        counts,
    )
    now = timezone.now()
    running = ImportJob.unfinished().order_by("id")[:RUNNING_MOST]
    rates = dict.fromkeys(("staging", "comparing", "applying"), 0.0)
    for job in running:
        if job.stage in rates:
            rates[job.stage] += progress_of(job, now).rate or 0.0
    yield _gauge(
        "import_records_per_second",
        "How fast running imports get on, by stage",
        ["stage"],
        [([stage], rate) for stage, rate in rates.items()],
    )
    yield _histogram(
        "chunk_seconds",
        "Seconds that applying a chunk took",
        [([], counters.CHUNK_SECONDS)],
        counts,
    )


def _of_catalogue(counts: dict[str, float]) -> Iterator[Metric]:
    unfinished = ChangeSet.objects.filter(status__in=ChangeSet.UNFINISHED).order_by()
    found = dict(unfinished.values_list("status").annotate(number=Count("id")))
    yield _gauge(
        "change_sets",
        "Large acts that wait for their turn to write to the catalogue, or write",
        ["status"],
        [([status], found.get(status, 0)) for status in ChangeSet.UNFINISHED],
    )
    yield _counter(
        "change_sets_ended",
        "Large acts (imports, bulk acts, undos) that ended, by how",
        "status",
        "change_sets",
        (status for status in ChangeSet.Status if status not in ChangeSet.UNFINISHED),
        counts,
    )
    yield _gauge("products", "Products, as the planner estimates", [], [([], estimated_products())])


def _of_webhooks(counts: dict[str, float]) -> Iterator[Metric]:
    due = due_work()
    yield _gauge(
        "oldest_due_seconds",
        "Age of the oldest due work (imports and bulk acts) and delivery; 0 where none is due",
        ["kind"],
        [([kind], seconds) for kind, seconds in due.items()],
    )
    yield _gauge(
        "deliveries_pending",
        f"Deliveries that wait, for their first or a later attempt; counted up to {PENDING_MOST}",
        [],
        [([], pending_deliveries(limit=PENDING_MOST))],
    )
    yield _counter(
        "deliveries_ended",
        "Deliveries that succeeded, or failed for good",
        "state",
        "deliveries",
        ("succeeded", "failed"),
        counts,
    )
    yield _histogram(
        "attempt_seconds",
        "Seconds that an attempt of a delivery took, from the look-up to the end of the answer",
        [([outcome], histogram) for outcome, histogram in counters.ATTEMPT_SECONDS.items()],
        counts,
        labels=["outcome"],
    )
    yield _gauge(
        "endpoints",
        "Endpoints by state",
        ["state"],
        [([state], number) for state, number in endpoint_states().items()],
    )


def _of_notices(counts: dict[str, float]) -> Iterator[Metric]:
    pending = NoticeDelivery.objects.filter(state=NoticeDelivery.State.PENDING)
    yield _gauge(
        "notices_pending",
        "Notices that wait to be sent by e-mail or to a chat",
        [],
        [([], pending.count())],
    )
    yield _counter(
        "notices_ended",
        "Messages with notices, by channel and how the attempt to send them ended",
        "outcome",
        "notices",
        ("mail_sent", "mail_failed", "chat_sent", "chat_failed"),
        counts,
    )
    failing = NoticeRecipient.objects.exclude(failing_since=None)
    yield _gauge(
        "notice_recipients_failing",
        "Persons and chats whose last message was not taken",
        ["channel"],
        [
            (["mail"], failing.exclude(user=None).count()),
            (["chat"], failing.filter(user=None).count()),
        ],
    )


def _of_server() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(state, 'unknown'), count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() GROUP BY 1"
        )
        states = cursor.fetchall()
        cursor.execute("SELECT current_setting('max_connections')::int")
        (most,) = cursor.fetchone()
    yield _gauge(
        "database_connections",
        "Connections to the database by state",
        ["state"],
        [([state], number) for state, number in states],
    )
    yield _gauge(
        "database_connections_limit", "Connections that the server takes", [], [([], most)]
    )


# --- The forms that Prometheus knows ------------------------------------------------------


def _gauge(
    name: str, meaning: str, labels: list[str], samples: Iterable[tuple[list[str], Any]]
) -> Metric:
    family = GaugeMetricFamily(f"product_importer_{name}", meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _counter(
    name: str,
    meaning: str,
    label: str,
    figure: str,
    values: Iterable[str],
    counts: dict[str, float],
) -> Metric:
    family = CounterMetricFamily(f"product_importer_{name}", meaning, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(f"{figure}|{value}", 0.0))
    return family


def _histogram(
    name: str,
    meaning: str,
    samples: Iterable[tuple[list[str], counters.Histogram]],
    counts: dict[str, float],
    *,
    labels: list[str] | None = None,
) -> Metric:
    family = HistogramMetricFamily(f"product_importer_{name}", meaning, labels=labels or [])
    for values, histogram in samples:
        count = 0.0
        buckets = []
        for bound in (*(f"{bound:g}" for bound in histogram.bounds), "+Inf"):
            count += counts.get(f"{histogram.name}|{bound}", 0.0)
            buckets.append((bound, count))
        family.add_metric(values, buckets, counts.get(f"{histogram.name}|{counters.SUM}", 0.0))
    return family
