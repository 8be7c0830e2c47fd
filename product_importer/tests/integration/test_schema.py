"""The API does what its description says: a scan by schemathesis, against the running product.

``schemathesis.toml`` has what all scans share. What the scan has found once is a test of its own
beside the code it is about, or below.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken
from rest_framework.test import APIClient

from catalog.models import ChangeSet, Product, UndoConflict
from conftest import Browserless, wait_for
from imports.models import Feed, ImportJob
from imports.operations.feeds.feeds import create_feed
from imports.operations.notices.notices import create_chat
from imports.operations.suppliers import create_supplier
from product_importer.environment import BASE_DIR
from product_importer.local.processes import free_port
from product_importer.local.stack import Stack
from webhooks.models import SUBSCRIBABLE, Attempt, Delivery

pytestmark = pytest.mark.timeout(3000)  # a scan that hangs: a slow machine is no reason to fail

FILE = "sku,name,description,price,active\n" + "".join(
    f"S-{n},Name {n},text,{n}.50,{'no' if n % 3 else 'yes'}\n" for n in range(30)
)
FAULTY = "sku,name,price\nA-1,Lamp,12.50\na-1,Lamp 2,13\nB-1,x,1e5\n,y,1\n"


@pytest.fixture
def rows(
    api: Browserless, run_import: Callable[..., ImportJob], upload: Callable[..., ImportJob]
) -> Iterator[dict[str, Any]]:
    """Something of everything that the API shows, for ``scan_hooks``."""
    receiver = f"http://127.0.0.1:{free_port(0)}/"  # where nobody listens
    hooks = [subscribe(api, receiver) for _ in range(4)]
    undone = run_import(FILE)
    edited = Product.objects.latest("id")
    path = f"{api.base}/api/v1/products/{edited.pk}/"
    assert api.session.patch(path, json={"price": "7"}, timeout=300).ok
    assert api.post(f"/api/v1/imports/{undone.pk}/undo/").status_code == 202
    wait_for(UndoConflict.objects.exists)
    faulty, again = run_import(FAULTY), run_import(FILE)
    reviews = [upload(FILE.replace(".50", ".99"), review=True) for _ in range(6)]
    stopped = [run_import("no header"), run_import("no header")]
    awaits = ImportJob.objects.filter(status="awaiting_review")
    wait_for(lambda: awaits.count() == len(reviews))
    wait_for(Attempt.objects.exists)
    columns = [{"name": "id", "field": "sku"}]
    exports = [
        api.post("/api/v1/export-formats/", json={"name": name, "columns": columns}).json()["id"]
        for name in ("One", "Two", "Three", "Four")
    ]
    suppliers = [create_supplier(name=f"Supplier {n}", user=None).pk for n in range(4)]
    feeds = [make_feed(suppliers[0], f"Feed {n}", receiver).pk for n in range(4)]
    chats = [create_chat(name=f"Chat {n}", url=receiver).pk for n in range(4)]
    deliveries = list(Delivery.objects.order_by("id").values_list("pk", flat=True)[:3])
    undos = UndoConflict.objects.values_list("change_set_id", flat=True)
    review_ids = [job.pk for job in reviews]
    change_sets = list(ChangeSet.objects.order_by("-id").values_list("pk", flat=True))
    # The scan undoes imports; those that it looks for are there whatever is undone by then.
    products = [create(api, f"SCAN-{n}") for n in range(16)]
    kept = ChangeSet.objects.filter(pk__gt=change_sets[0]).values_list("pk", flat=True)
    yield {
        "numbers": {
            "products": [edited.pk, *products[:6]],
            "products/DELETE": products[6:],
            "imports": [faulty.pk, again.pk, review_ids[0]],
            "imports/diff": review_ids[:1],
            "imports/apply": review_ids[1:],
            "imports/cancel": review_ids[1:],
            "imports/retry": [job.pk for job in stopped],
            "imports/undo": [faulty.pk, again.pk, undone.pk],
            "change-sets": [undos[0], *change_sets],
            "change-sets/undo": change_sets,
            "change-sets/kept": list(kept),
            "webhooks": hooks[:2],
            "webhooks/DELETE": hooks[2:],
            "deliveries": deliveries,
            "feeds": feeds[:2],
            "feeds/DELETE": feeds[2:],
            "chats": chats[:2],
            "chats/DELETE": chats[2:],
            "export-formats": exports[:1],
            "export-formats/DELETE": exports[1:],
            "suppliers": suppliers[1:2],
            "suppliers/DELETE": suppliers[2:],
        },
        "supplier": suppliers[0],
        "finished": faulty.pk,
        "receiver": receiver,
    }
    wait_for(lambda: not ImportJob.objects.filter(status__in=ImportJob.ACTIVE).exists())
    unfinished = ChangeSet.objects.filter(status__in=ChangeSet.UNFINISHED)
    wait_for(lambda: not unfinished.exists())


def create(api: Browserless, sku: str) -> int:
    answer = api.post("/api/v1/products/", json={"sku": sku, "name": "Lamp"})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def make_feed(supplier: int, name: str, url: str) -> Feed:
    values = {"schedule": "daily at 02:00", "time_zone": "UTC", "enabled": False}
    return create_feed(supplier_id=supplier, user=None, name=name, url=url, **values)


def subscribe(api: Browserless, url: str) -> int:
    answer = api.post("/api/v1/webhooks/", json={"url": url, "events": list(SUBSCRIBABLE)})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


Scan = Callable[..., dict[str, set[int]]]


@pytest.fixture
def scan(site: Stack, rows: dict[str, Any], make_user: Callable[..., User], tmp_path: Path) -> Scan:
    """Scan the API with the rights of a role; returns the statuses that each operation gave."""

    def run(role: str, *arguments: str, minutes: float = 45) -> dict[str, set[int]]:
        token = AuthToken.objects.create(make_user(f"scan-{role}", role))[1] if role else ""
        report = tmp_path / f"{role}.ndjson"
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "st"), "run"),
                f"http://127.0.0.1:{site.port}/api/v1/schema/",
                *(("--header", f"Authorization: Token {token}") if token else ()),
                *("--no-color", "--report-ndjson-path", str(report), *arguments),
            ],
            cwd=BASE_DIR,
            env={**os.environ, "SCAN_ROWS": json.dumps(rows), "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            timeout=minutes * 60,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-30_000:] + done.stderr[-5_000:]
        return statuses(report)

    return run


def statuses(report: Path) -> dict[str, set[int]]:
    """The statuses that each operation of the description gave, as the report of a scan has them.

    Cases that the scan itself sends without its token, and methods that are not described, are
    left out.
    """
    found: dict[str, set[int]] = {}
    for line in report.read_text().splitlines():
        event = json.loads(line).get("ScenarioFinished")
        if event is None or event["recorder"]["label"] == "Stateful tests":
            continue
        recorder = event["recorder"]
        method = recorder["label"].split()[0]
        for exchange in recorder.get("interactions", {}).values():
            if exchange["response"] is not None and exchange["request"]["method"] == method:
                status = exchange["response"]["status_code"]
                found.setdefault(recorder["label"], set()).add(status)
    return found


FEW = ("--generation-deterministic", "--max-examples=2", "--request-timeout=300")
OPERATIONS = 53


def test_the_api_answers_as_it_is_described(scan: Scan) -> None:
    answered = scan("manager", *FEW)
    assert len(answered) >= OPERATIONS
    reached = {200, 201, 202, 204, 409}  # a row, though its state may be against it
    missed = [name for name, seen in answered.items() if not seen & reached]
    # Uploads under way are there only with a bucket, which the scanned site has not.
    assert [name for name in missed if "/uploads/{id}/" not in name] == []


OWN = ("PATCH /api/v1/notices/settings/",)  # what everybody is told of, and nobody else by it


def test_somebody_who_may_only_look_changes_nothing_but_the_own_settings(scan: Scan) -> None:
    answered = scan("viewer", *FEW, "--phases=examples,fuzzing")
    assert len(answered) >= OPERATIONS
    for name, seen in answered.items():
        may_look = name.startswith("GET") and "/webhooks/" not in name
        assert may_look or name in OWN or not seen & {200, 201, 202, 204}, name


def test_a_stranger_is_told_nothing_but_to_log_in(scan: Scan) -> None:
    answered = scan("", *FEW, "--phases=fuzzing", "--mode=positive")
    assert len(answered) >= OPERATIONS
    assert {name: seen for name, seen in answered.items() if seen != {401}} == {}


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_a_long_scan_finds_no_fault(role: str, scan: Scan) -> None:
    answered = scan(role, "--max-examples=200", minutes=55)
    assert len(answered) >= OPERATIONS


# --- What every operation shares --------------------------------------------------------


@pytest.fixture
def program(make_user: Callable[..., User], static_files: None) -> APIClient:
    client = APIClient()
    client.raise_request_exception = False
    client.force_authenticate(make_user())
    return client


@pytest.mark.django_db
def test_every_operation_tells_the_answers_that_all_share(program: APIClient) -> None:
    described = program.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    shapes = described["components"]
    shared = {"400", "401", "403", "404", "406", "429"}
    operations = [
        (method, operation)
        for path in described["paths"].values()
        for method, operation in path.items()
    ]
    assert len(operations) > 30
    for method, operation in operations:
        expected = shared | ({"413", "415"} if method in ("post", "put", "patch") else set())
        assert expected <= operation["responses"].keys(), operation["operationId"]
        assert any(status.startswith("2") for status in operation["responses"])
        assert operation["summary"], operation["operationId"]
    for answer in shapes["responses"].values():
        body = answer["content"]["application/json"]["schema"]
        assert body == {"$ref": "#/components/schemas/Error"}
    assert shapes["schemas"]["Error"]["required"] == ["code", "detail"]
    assert "Retry-After" in shapes["responses"]["TooManyRequests"]["headers"]


def test_no_operation_is_described_by_what_its_view_shares_with_others(program: APIClient) -> None:
    described = program.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    told = [
        operation["description"]
        for operations in described["paths"].values()
        for operation in operations.values()
        if operation.get("description")
    ]
    assert told
    assert [text for text, count in Counter(told).items() if count > 1] == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["nothing/", "products/x/", "imports/1/nothing/", "products/%00"])
def test_an_address_of_the_api_without_a_view_is_answered_as_json(
    path: str, program: APIClient
) -> None:
    for accept in ("application/json", "text/html", "*/*"):
        answer = program.get(f"/api/v1/{path}", headers={"accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "nothing at this address" in answer.json()["detail"]


@pytest.mark.django_db
def test_a_page_that_is_not_there_is_no_json(program: APIClient) -> None:
    answer = program.get("/nothing/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.django_db
def test_an_error_of_the_server_is_told_as_json(
    program: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("the catalogue burns")

    monkeypatch.setattr("catalog.api.products.products.create_product", fail)
    answer = program.post("/api/v1/products/", {"sku": "A-1", "name": "x"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert "burns" not in answer.content.decode()


@pytest.mark.django_db
def test_an_error_of_a_stream_is_json_whatever_was_asked_for(program: APIClient) -> None:
    for path, accept, status in (
        ("products/export.csv?colour=red", "text/csv", 400),
        ("imports/999/rejects.csv", "text/csv", 404),
        ("imports/999/events/", "text/event-stream", 404),
    ):
        answer = program.get(f"/api/v1/{path}", headers={"accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
        assert answer.json()["detail"]


LISTS = ["products/", "imports/", "change-sets/", "webhooks/"]
# Of no list; with a place that is no number; one that no number can be; damaged ones.
CURSORS = ["bogus", "cD1hYmM=", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "cD0lMDA=", "%", "é"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_that_is_none_is_refused_with_what_to_do(path: str, program: APIClient) -> None:
    for cursor in CURSORS:
        answer = program.get(f"/api/v1/{path}", {"cursor": cursor})
        assert answer.status_code == 400, cursor
        assert "next" in answer.json()["errors"]["cursor"][0]["message"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", LISTS)
def test_a_page_size_is_a_number_from_1_on(path: str, program: APIClient) -> None:
    for size in ("", "0", "-1", "many", "²", "1.0", "00"):
        answer = program.get(f"/api/v1/{path}", {"page_size": size})
        assert answer.status_code == 400, size
        assert "200" in answer.json()["errors"]["page_size"][0]["message"]
    for size in ("1", "007", "9" * 5000):
        assert program.get(f"/api/v1/{path}", {"page_size": size}).status_code == 200, size


@pytest.mark.django_db
def test_what_is_wrong_is_told_by_field_however_deep_it_is(program: APIClient) -> None:
    body = {"confirm": True, "ids": [1, "x", -1]}
    answer = program.post("/api/v1/products/bulk-delete/", body, format="json")
    errors = answer.json()["errors"]
    assert errors.keys() == {"ids.1", "ids.2"}
    assert [set(fault) for faults in errors.values() for fault in faults] == [
        {"message", "code"}
    ] * 2
    answer = program.post("/api/v1/products/", "text", format="json")
    assert answer.json()["errors"].keys() == {"non_field_errors"}


@pytest.mark.django_db
def test_json_that_nests_too_deep_is_refused(program: APIClient) -> None:
    for path in ("products/", "products/bulk-delete/", "webhooks/"):
        answer = program.post(f"/api/v1/{path}", "[" * 100_000, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.django_db
def test_a_bulk_act_takes_no_filter_that_cannot_be_kept(program: APIClient) -> None:
    body = {"confirm": True, "filters": {"q": "a\0b"}}
    answer = program.post("/api/v1/products/bulk-delete/", body, format="json")
    assert (answer.status_code, set(answer.json()["errors"])) == (400, {"q"})
    assert not ChangeSet.objects.exists()
