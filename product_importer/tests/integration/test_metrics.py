"""/metrics: who may read it, what it tells, what reading it costs; the dashboard beside it."""

import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import requests
import yaml
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from catalog.models import ChangeSet, Product
from catalog.operations.bulk import start_bulk_act
from catalog.operations.change_sets import open_change_set
from conftest import Browserless, Messages, wait_for
from imports.models import ImportJob
from product_importer.common import counters
from product_importer.environment import BASE_DIR
from product_importer.local.stack import Stack
from webhooks.delivery.dispatcher import dispatch_deliveries
from webhooks.models import Delivery, Endpoint, Event, Tally
from webhooks.tests.receiver import serve

pytestmark = pytest.mark.usefixtures("static_files")

TOKEN = "a-token-for-prometheus"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PARTS = ("database", "broker", "worker", "beat")


@pytest.fixture
def token(settings: Any) -> str:
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


def scrape(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples of an answer, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read() -> dict[str, float]:
    """Our samples as ``name{label=value,...}``."""
    answer = Client().get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    return {
        name.removeprefix("product_importer_")
        + ("{" + ",".join(f"{k}={v}" for k, v in labels) + "}" if labels else ""): value
        for (name, labels), value in scrape(answer.content.decode()).items()
    }


# --- Who may ----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}, {"X-Token": TOKEN}]
)
def test_strangers_and_wrong_tokens_are_refused(token: str, headers: dict[str, str]) -> None:
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert b"product_importer_" not in answer.content


@pytest.mark.django_db
@pytest.mark.parametrize("sent", ["Bearer ", "Bearer", " "])
def test_without_a_token_in_the_settings_none_fits(settings: Any, sent: str) -> None:
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics", headers={"Authorization": sent}).status_code == 401


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_a_person_needs_the_permission(user: User) -> None:
    client = Client()
    client.force_login(user)
    assert client.get("/metrics").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_tally"))
    assert client.get("/metrics").status_code == 200
    assert client.post("/metrics").status_code == 405


# --- What it tells -----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_imports_are_told_by_status_and_what_became_of_their_records(
    token: str, messages: Messages, upload: Callable[..., ImportJob]
) -> None:
    before = read()
    assert before["imports{status=completed}"] == 0
    waiting = upload("sku,name\nW-1,x\n", review=True)
    upload("sku,name\nA-1,Lamp\nA-1,Chair\n,no sku\n")
    upload("no,header\n1,2\n")
    messages.run_all()
    waiting.refresh_from_db()
    now = read()
    assert now["imports{status=completed}"] == 1
    assert now["imports{status=failed}"] == 1
    assert now["imports{status=awaiting_review}"] == 1
    assert now["imports{status=pending}"] == 0
    grown = {name: now[name] - before[name] for name in before if name.endswith("}")}
    assert grown["imports_ended_total{status=completed}"] == 1
    assert grown["imports_ended_total{status=failed}"] == 1
    assert grown["import_records_total{outcome=created}"] == 1
    assert grown["import_records_total{outcome=superseded}"] == 1
    assert grown["import_records_total{outcome=rejected}"] == 1
    assert now["chunk_seconds_count"] - before["chunk_seconds_count"] == 1
    assert now["chunk_seconds_bucket{le=+Inf}"] == now["chunk_seconds_count"]
    assert 0 < now["chunk_seconds_sum"] < 5
    assert now["change_sets_ended_total{status=completed}"] == 1


@pytest.mark.django_db(transaction=True)
def test_due_work_and_the_queue_for_the_catalogue_are_told(
    token: str, messages: Messages, make_product: Callable[..., Product]
) -> None:
    make_product()
    assert read()["oldest_due_seconds{kind=work}"] == 0
    for _ in range(2):
        start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None)
    ChangeSet.objects.update(progress_at="2026-01-01T00:00:00Z")
    now = read()
    assert now["change_sets{status=waiting}"] == 2
    assert now["oldest_due_seconds{kind=work}"] > 3600
    assert now["products"] == 1
    messages.run_all()
    assert read()["change_sets{status=waiting}"] == 0
    assert read()["oldest_due_seconds{kind=work}"] == 0
    # One that nobody is at, whatever it is, holds up all after it.
    open_change_set(kind=ChangeSet.Kind.IMPORT, actor=None)
    ChangeSet.objects.update(progress_at="2026-01-01T00:00:00Z")
    assert read()["oldest_due_seconds{kind=work}"] > 3600


@pytest.mark.django_db(transaction=True)
def test_deliveries_and_attempts_are_told(token: str, messages: Messages) -> None:
    from django.db import transaction

    from webhooks.operations.endpoints import create_endpoint
    from webhooks.operations.events import record_event

    receiver, server = serve()
    kind = Event.Type.PRODUCT_CREATED
    before = read()
    for path in ("/good", "/bad"):
        create_endpoint(actor=None, url=receiver.url + path, events=[kind])
    with transaction.atomic():
        record_event(type=kind, data={"id": 1})
    Delivery.objects.filter(endpoint__url__endswith="bad").update(
        next_attempt_at="2026-01-01T00:00:00Z"
    )
    now = read()
    assert now["deliveries_pending"] == 2
    assert now["oldest_due_seconds{kind=delivery}"] > 3600
    assert now["endpoints{state=working}"] == 2

    receiver.answer = (500, {}, b"")
    dispatch_deliveries()
    receiver.answer = (200, {}, b"")
    Delivery.objects.filter(endpoint__url__endswith="good").update(
        next_attempt_at="2026-01-01T00:00:00Z"
    )
    dispatch_deliveries()
    server.shutdown()
    server.server_close()
    now = read()
    assert now["deliveries_pending"] == 1
    assert now["endpoints{state=failing}"] == 1
    grown = {name: now[name] - before[name] for name in before}
    assert grown["deliveries_ended_total{state=succeeded}"] == 1
    assert grown["deliveries_ended_total{state=failed}"] == 0
    assert grown["attempt_seconds_count{outcome=failed}"] == 2
    assert grown["attempt_seconds_count{outcome=succeeded}"] == 1


@pytest.mark.django_db
def test_a_tally_puts_seconds_where_they_belong() -> None:
    histogram = counters.Histogram("t", (0.1, 1))
    counters.add(histogram.counts([0.05, 0.1, 0.5, 7]))
    counters.add({**histogram.counts([0.5]), "other|x": 0})
    kept = dict(Tally.objects.filter(key__startswith="t|").values_list("key", "value"))
    assert kept == {"t|0.1": 2, "t|1": 2, "t|+Inf": 1, "t|sum": pytest.approx(8.15)}
    assert not Tally.objects.filter(key="other|x").exists()


# --- The running product ---------------------------------------------------------------


def test_the_running_product_tells_its_parts_and_sums_its_web_processes(
    site: Stack, api: Browserless, user: User
) -> None:
    user.user_permissions.add(Permission.objects.get(codename="view_tally"))
    person = requests.Session()
    login = f"{api.base}/login/"
    person.get(login, timeout=300)
    from conftest import PASSWORD

    person.post(
        login,
        data={
            "username": user.username,
            "password": PASSWORD,
            "csrfmiddlewaretoken": person.cookies["csrftoken"],
        },
        timeout=300,
    )

    def samples() -> dict[Any, float]:
        answer = person.get(f"{api.base}/metrics", timeout=300)
        assert answer.status_code == 200
        return scrape(answer.text)

    view = (("method", "GET"), ("status", "200"), ("view", "api-product-list"))
    name = "django_http_responses_total_by_status_view_method_total"
    parts = [("product_importer_up", (("part", part),)) for part in PARTS]
    # Others that share the product may have ended a process, whose next one is on its way.
    wait_for(lambda: all(told.get(part) == 1 for told in [samples()] for part in parts))
    wait_for(lambda: samples()[("product_importer_workers", ())] == 1)
    before = samples()
    assert before[("product_importer_database_connections_limit", ())] >= 20
    assert ("product_importer_queue_messages", (("queue", "webhooks"),)) in before
    for _ in range(20):  # each on a connection of its own, so that both processes get some
        requests.get(
            f"{api.base}/api/v1/products/", headers=dict(api.session.headers), timeout=300
        ).raise_for_status()
    counted = samples()
    assert counted[(name, view)] - before.get((name, view), 0) == 20

    web = psutil.Process(site.processes["web"].pid)
    gone = web.children()[0]
    gone.send_signal(signal.SIGTERM)
    wait_for(lambda: not gone.is_running() and len(web.children()) == 2)
    wait_for(lambda: requests.get(f"{api.base}/healthz", timeout=300).ok)
    assert samples()[(name, view)] == counted[(name, view)]


# --- What it costs -------------------------------------------------------------------------


@pytest.fixture
def many_deliveries(db: None) -> int:
    """A long log of deliveries that are done, and some that wait."""
    endpoint = Endpoint.objects.create(url="https://example.com/", events=["product.created"])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO webhooks_event (id, type, body, created_at) SELECT number,"
            " 'product.created', '', now() FROM generate_series(1, 30000) AS number"
        )
        cursor.execute(
            "INSERT INTO webhooks_delivery (event_id, endpoint_id, state, is_test, tries,"
            " next_attempt_at, claims, created_at) SELECT id, %s,"
            " CASE WHEN id %% 100 = 0 THEN 'pending' ELSE 'succeeded' END, false, 0, now(), 0,"
            " now() FROM webhooks_event",
            [endpoint.pk],
        )
    return 300


@pytest.mark.parametrize("analyzed", [True, False])
def test_deliveries_that_wait_are_counted_without_reading_those_that_are_done(
    many_deliveries: int, analyzed: bool
) -> None:
    from webhooks.sql import figures

    with connection.cursor() as cursor:
        if analyzed:
            cursor.execute("ANALYZE webhooks_delivery")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        assert figures.count_pending(cursor, limit=1000) == many_deliveries
        assert figures.count_pending(cursor, limit=10) == 10
        cursor.execute(f"EXPLAIN ANALYZE {figures._COUNT_PENDING}", {"most": 1000})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "webhooks_delivery_due" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan


# --- What is written about it ---------------------------------------------------------------

METRIC = re.compile(r"\b((?:product_importer|django_http)_[a-z_]+)\b")


def names_of(text: str) -> set[str]:
    """The samples that an answer can have."""
    found = set()
    for family in text_string_to_metric_families(text):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        found |= {family.name + end for end in ends.get(family.type, [""])}
    return found


@pytest.fixture
def names(token: str, transactional_db: None) -> set[str]:
    """All that there are, those of requests too: a page was asked for before."""
    Client().get("/healthz")
    return names_of(Client().get("/metrics", headers=BEARER).content.decode())


def expressions() -> dict[str, list[str]]:
    board = json.loads((BASE_DIR / "docs" / "grafana.json").read_text())
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return {"docs/grafana.json": panels, "docs/alerts.yaml": [rule["expr"] for rule in alerts()]}


def alerts() -> list[dict[str, Any]]:
    rules = yaml.safe_load((BASE_DIR / "docs" / "alerts.yaml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def test_dashboard_and_alerts_ask_for_metrics_that_exist(names: set[str]) -> None:
    for file, asked in expressions().items():
        assert len(asked) >= 8, file
        for expression in asked:
            wanted = set(METRIC.findall(expression))
            assert wanted, (file, expression)
            assert wanted <= names, (file, expression, wanted - names)


def test_every_metric_is_described_and_every_described_one_exists(names: set[str]) -> None:
    text = (BASE_DIR / "docs" / "observability.md").read_text()
    described = set(re.findall(r"^\| `((?:product_importer|django_http)_\w+)", text, re.M))
    # When a counter began is told by one process alone, not by several that are summed.
    ends = ("_bucket", "_sum", "_count", "_created")
    families = {name for name in names if METRIC.fullmatch(name) and not name.endswith(ends)}
    families |= {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    ours = {name for name in families if name.startswith(("product_importer", "django_http"))}
    assert described == ours


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    found = [alert["alert"] for alert in alerts()]
    assert len(found) == len(set(found)) >= 8
    for alert in alerts():
        assert alert["annotations"]["summary"], alert
        assert alert["annotations"]["description"].endswith("."), alert
        assert alert["labels"]["severity"] in ("page", "ticket"), alert


def test_every_alert_is_in_the_docs() -> None:
    text = (BASE_DIR / "docs" / "observability.md").read_text()
    assert [alert["alert"] for alert in alerts() if f"`{alert['alert']}`" not in text] == []


def test_metrics_are_loaded_by_the_web_alone() -> None:
    """A worker's memory is dear: nothing of Prometheus or Sentry is in it."""
    import subprocess
    import sys

    program = (
        "import sys, product_importer.celery_worker as w\n"
        "from product_importer.celery import app\n"
        "app.loader.import_default_modules()\n"
        "print([n for n in ('prometheus_client', 'django_prometheus', 'sentry_sdk')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BASE_DIR,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.strip() == "[]"
