"""The API of feeds: CRUD, run, test, runs; secrets are written and never read."""

from typing import Any

import pytest
from django.test import Client

from imports.fetching.source import Limits
from imports.models import Feed, FeedRun, ImportJob, Supplier
from imports.tests.servers import LOOPBACK, WebServer

pytestmark = pytest.mark.django_db

FEEDS = "/api/v1/feeds/"
URL = "https://files.example.com/list.csv"


@pytest.fixture
def api(page: Client) -> Client:
    return page


@pytest.fixture
def supplier(db: None) -> Supplier:
    return Supplier.objects.create(name="Müller GmbH")


def sent(api: Client, method: str, path: str, **values: Any) -> Any:
    return getattr(api, method)(path, values, content_type="application/json")


def make(api: Client, owner: Supplier, **values: Any) -> Any:
    given = {"name": "list", "url": URL, "schedule": "daily at 06:30", "time_zone": "UTC"}
    return sent(api, "post", FEEDS, **{"supplier": owner.pk, **given, **values})


def test_a_feed_is_made_read_changed_and_deleted(api: Client, supplier: Supplier) -> None:
    answer = make(api, supplier)
    made = answer.json()
    assert answer.status_code == 201
    assert (made["supplier"], made["format"], made["enabled"]) == (supplier.pk, None, True)
    assert (made["last_run"], made["full_list"]) == (None, False)
    assert made["next_run_at"].endswith("06:30:00Z")
    path = f"{FEEDS}{made['id']}/"
    assert api.get(path).json() == made
    assert api.get(FEEDS, {"supplier": supplier.pk}).json()["results"] == [made]
    assert api.get(FEEDS, {"supplier": supplier.pk + 1}).json()["results"] == []
    changed = sent(api, "patch", path, enabled=False, full_list=True).json()
    assert (changed["enabled"], changed["next_run_at"]) == (False, None)
    assert changed["full_list"]
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_secrets_are_written_and_never_read(api: Client, supplier: Supplier) -> None:
    headers = {"X-Api-Key": "also-secret"}
    answer = make(api, supplier, username="mara", password="very-secret", headers=headers)
    assert answer.json()["secrets"] == ["password", "headers"]
    path = f"{FEEDS}{answer.json()['id']}/"
    for shown in (answer, api.get(path), api.get(FEEDS)):
        assert b"secret" not in shown.content.replace(b'"secrets"', b"")
    assert sent(api, "patch", path, password=None).json()["secrets"] == ["password", "headers"]
    assert sent(api, "patch", path, password="", headers={}).json()["secrets"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("supplier", 10**12),
        ("format", 10**12),
        ("url", "ftp://127.0.0.1:99999/"),
        ("schedule", "now and then"),
        ("time_zone", "Mars/Olympus"),
        ("name", ""),
        ("headers", {"Host": "x"}),
        ("enabled", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(
    api: Client, supplier: Supplier, field: str, value: Any
) -> None:
    answer = make(api, supplier, **{field: value})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_what_is_needed_is_told(api: Client) -> None:
    answer = sent(api, "post", FEEDS)
    assert set(answer.json()["errors"]) == {"name", "supplier", "url", "schedule"}


def test_a_run_is_asked_for_and_listed(api: Client, supplier: Supplier) -> None:
    path = f"{FEEDS}{make(api, supplier).json()['id']}/"
    answer = api.post(f"{path}run/")
    run = answer.json()
    assert (answer.status_code, run["outcome"], run["import"]) == (202, "running", None)
    assert api.post(f"{path}run/").json()["id"] == run["id"]
    assert api.get(f"{path}runs/").json()["results"] == [run]
    assert api.get(path).json()["last_run"] == run


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("processing", "running"),
        ("awaiting_review", "waiting"),
        ("awaiting_mapping", "waiting"),
        ("completed", "applied"),
        ("failed", "failed"),
        ("cancelled", "stopped"),
    ],
)
def test_the_outcome_of_a_run_is_that_of_its_import(
    api: Client, supplier: Supplier, status: str, outcome: str
) -> None:
    feed = Feed.objects.get(pk=make(api, supplier).json()["id"])
    job = ImportJob.objects.create(file_name="a.csv", file_size=1, status=status, feed=feed)
    FeedRun.objects.create(feed=feed, state="fetched", job=job)
    [run] = api.get(f"{FEEDS}{feed.pk}/runs/").json()["results"]
    assert (run["outcome"], run["import"]) == (outcome, job.pk)
    assert api.get(f"/api/v1/imports/{job.pk}/").json()["feed"] == feed.pk


def test_a_test_answers_with_what_is_there(
    api: Client, supplier: Supplier, plain_web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Limits(allowed=LOOPBACK, tries=1)
    monkeypatch.setattr("imports.operations.feeds.trial.limits", lambda: quick)
    url = plain_web.put("/list.csv", b"sku,name\nA-1,Lamp\n")
    feed = make(api, supplier, url=url).json()["id"]
    found = api.post(f"{FEEDS}{feed}/test/").json()
    assert (found["error"], found["name"], found["size"]) == ("", "list.csv", 18)
    assert found["read"]["preview"][0]["values"] == {"sku": "A-1", "name": "Lamp"}
    assert not ImportJob.objects.exists()
    plain_web.files.clear()
    gone = api.post(f"{FEEDS}{feed}/test/").json()
    assert (gone["code"], gone["read"], gone["error"] != "") == ("not_found", {}, True)
    assert not FeedRun.objects.exists()


def test_what_is_due_is_told_feed_by_feed(api: Client, supplier: Supplier) -> None:
    daily = make(api, supplier).json()
    off = make(api, supplier, name="off", enabled=False).json()
    often = make(api, supplier, name="often", schedule="every 5 minutes").json()
    told = {one["feed"]: one for one in api.get(f"{FEEDS}due/").json()["results"]}
    assert list(told) == [often["id"], off["id"], daily["id"]]
    one = told[daily["id"]]
    assert (one["name"], one["supplier"], one["more"]) == ("list", supplier.pk, 0)
    assert len(one["times"]) == 7
    assert one["times"][0] == daily["next_run_at"]
    assert told[off["id"]]["times"] == []
    assert len(told[often["id"]]["times"]) == 50
    assert told[often["id"]]["more"] > 1900


def test_an_overdue_feed_says_since_when(api: Client, supplier: Supplier) -> None:
    made = make(api, supplier).json()
    assert made["overdue_at"] is None
    Feed.objects.update(overdue_at="2026-03-01T05:00:00Z")
    assert api.get(f"{FEEDS}{made['id']}/").json()["overdue_at"] == "2026-03-01T05:00:00Z"
