"""The pages of the feeds."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from imports.fetching.source import Limits
from imports.models import Feed, FeedRun, ImportJob, Supplier
from imports.operations.feeds import feeds
from imports.tests.servers import LOOPBACK, WebServer

pytestmark = pytest.mark.django_db

URL = "https://files.example.com/list.csv"


@pytest.fixture
def supplier(db: None) -> Supplier:
    return Supplier.objects.create(name="Müller GmbH")


@pytest.fixture
def feed(supplier: Supplier, user: User) -> Feed:
    return feeds.create_feed(
        supplier_id=supplier.pk,
        user=user,
        name="price list",
        url=URL,
        schedule="daily at 06:30",
        time_zone="UTC",
        password="very-secret",
    )


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


def typed(supplier: Supplier, **values: str) -> dict[str, str]:
    given = {"name": "list", "url": URL, "schedule": "every hour", "time_zone": "UTC"}
    return {"supplier": str(supplier.pk), **given, **values}


def test_the_empty_list_says_what_it_is_for_and_what_is_first(
    page: Client, make_user: Callable[..., User]
) -> None:
    shown = text(page.get("/feeds/"))
    assert "need not be dropped by hand" in shown
    assert "add a supplier" in shown
    assert 'href="/feeds/"' in shown  # in the navigation, too
    Supplier.objects.create(name="Acme")
    assert "Make the first feed" in text(page.get("/feeds/"))
    page.force_login(make_user("vera", "viewer"))
    assert "Make the first feed" not in text(page.get("/feeds/"))


def test_a_feed_is_made_by_its_form(page: Client, supplier: Supplier) -> None:
    assert f'<option value="{supplier.pk}" selected>' in text(
        page.get("/feeds/new/", {"supplier": supplier.pk})
    )
    answer = page.post("/feeds/new/", typed(supplier, headers="X-Key: abc\n", full_list="on"))
    made = Feed.objects.get()
    assert answer["Location"] == f"/feeds/{made.pk}/"
    assert (made.secrets_set, made.full_list, made.enabled) == (["headers"], True, True)


def test_what_was_typed_stays_and_secrets_do_not_come_back(
    page: Client, supplier: Supplier
) -> None:
    wrong = typed(supplier, schedule="now and then", password="very-secret", headers="no colon")
    answer = page.post("/feeds/new/", wrong)
    shown = text(answer)
    assert answer.status_code == 400
    assert f'value="{URL}"' in shown
    assert "very-secret" not in shown
    assert "Name: value" in shown
    shown = text(page.post("/feeds/new/", {**wrong, "headers": ""}))
    assert "no schedule that is known here" in shown
    assert not Feed.objects.exists()


def test_a_form_leaves_secrets_and_takes_them_away_when_told(page: Client, feed: Feed) -> None:
    path = f"/feeds/{feed.pk}/edit/"
    shown = text(page.get(path))
    assert "very-secret" not in shown
    assert "There is one; take it away" in shown
    assert page.post(path, typed(feed.supplier, name="other")).status_code == 302
    feed.refresh_from_db()
    assert (feed.name, feed.secrets_set, feed.schedule) == ("other", ["password"], "every hour")
    page.post(path, typed(feed.supplier, clear_password="on"))
    feed.refresh_from_db()
    assert feed.secrets_set == []


def test_the_next_times_of_a_schedule_are_shown_as_it_is_typed(page: Client) -> None:
    values = {"schedule": "daily at 6", "time_zone": "Asia/Tokyo"}
    shown = text(page.get("/feeds/times/", values))
    assert shown.count("06:00") == 3  # by the clock of its zone
    wrong = {"schedule": "* * * * *", "time_zone": "UTC"}
    assert "more often" in text(page.get("/feeds/times/", wrong))
    assert page.get("/feeds/times/").status_code == 200


def run_of(feed: Feed, outcome: str, **values: Any) -> FeedRun:
    job = None
    if outcome in ("applied", "waiting"):
        status = {"applied": "completed", "waiting": "awaiting_review"}[outcome]
        figures = {"created": 3, "total_records": 3} if outcome == "applied" else {}
        job = ImportJob.objects.create(
            file_name="list.csv", file_size=1, status=status, feed=feed, **figures
        )
    state = "fetched" if job else outcome
    return FeedRun.objects.create(feed=feed, state=state, job=job, due_at=timezone.now(), **values)


def test_the_list_has_the_last_run_the_next_one_and_the_strip(page: Client, feed: Feed) -> None:
    for outcome in ("applied", "unchanged", "waiting", "failed"):
        run_of(feed, outcome, message="The server asks for a password.")
    shown = text(page.get("/feeds/"))
    strip = re.findall(r'feed-mark feed-(\w+)"', shown)
    assert strip == ["applied", "unchanged", "waiting", "failed"]
    assert "The last 4 runs: 1 applied, 1 nothing new, 1 waits for a person, 1 failed" in shown
    assert "The server asks for a password." in shown
    assert "06:30" in shown  # in the calendar
    assert shown.count(">Fetch now<") == 1
    assert f'aria-label="Fetch now: {feed.name}, {feed.supplier}"' in shown


def test_a_strip_has_the_last_thirty_runs(page: Client, feed: Feed) -> None:
    for _ in range(31):
        run_of(feed, "unchanged")
    run_of(feed, "failed")
    strip = re.findall(r'feed-mark feed-(\w+)"', text(page.get("/feeds/")))
    assert strip == ["unchanged"] * 29 + ["failed"]


def test_a_list_of_feeds_costs_the_same_queries_whatever_their_number(
    page: Client, feed: Feed, django_assert_max_num_queries: Any
) -> None:
    for n in range(20):
        other = Feed.objects.get(pk=feed.pk)
        other.pk, other.name = None, f"list {n}"
        other.save()
        for outcome in ("applied", "waiting", "failed"):
            run_of(other, outcome)
    with django_assert_max_num_queries(25):
        assert page.get("/feeds/").status_code == 200


def test_a_feed_shows_its_runs_and_what_they_changed(page: Client, feed: Feed) -> None:
    applied = run_of(feed, "applied")
    waiting = run_of(feed, "waiting")
    shown = text(page.get(f"/feeds/{feed.pk}/"))
    assert f'<a href="/imports/{applied.job_id}/">3 created</a>' in shown
    assert f'<a href="/imports/{waiting.job_id}/">Look at it</a>' in shown
    assert "very-secret" not in shown
    assert "daily at 06:30" in shown
    assert f'href="/feeds/{feed.pk}/">price list</a>' in text(
        page.get(f"/imports/{applied.job_id}/")
    )


def test_a_run_shows_what_its_full_list_lacked(page: Client, feed: Feed) -> None:
    run = run_of(feed, "applied")
    ImportJob.objects.filter(pk=run.job_id or 0).update(missing=1_234, full_list=True)
    shown = text(page.get(f"/feeds/{feed.pk}/"))
    assert ">3 created, 1,234 missing ones deactivated</a>" in shown


def test_a_run_that_is_to_be_tried_again_says_when(page: Client, feed: Feed) -> None:
    soon = timezone.now() + timedelta(minutes=5)
    run_of(feed, "running", next_try_at=soon, message="The server does not answer.")
    shown = text(page.get(f"/feeds/{feed.pk}/"))
    assert "The server does not answer." in shown
    assert "It is tried again" in shown


def test_fetch_now_begins_a_run(page: Client, feed: Feed, user: User) -> None:
    assert page.post(f"/feeds/{feed.pk}/run/")["Location"] == f"/feeds/{feed.pk}/"
    run = feed.runs.get()
    assert (run.state, run.asked_by, run.due_at) == ("running", user, None)
    assert "Under way" in text(page.get(f"/feeds/{feed.pk}/"))


def test_a_test_shows_the_first_records_with_and_without_scripts(
    page: Client, feed: Feed, plain_web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Limits(allowed=LOOPBACK, tries=1)
    monkeypatch.setattr("imports.operations.feeds.trial.limits", lambda: quick)
    url = plain_web.put("/list.csv", b"sku,name,price\nA-1,Lamp,3\nA-2,Chair,x\n")
    feeds.update_feed(feed_id=feed.pk, url=url, password="")
    whole = text(page.post(f"/feeds/{feed.pk}/test/"))
    part = text(page.post(f"/feeds/{feed.pk}/test/", headers={"HX-Request": "true"}))
    for shown in (whole, part):
        assert "list.csv" in shown
        assert "1 of the first 2 records read well" in shown
        assert "1 is refused" in shown
        assert "Nothing was imported" in shown
    assert ("<html" in whole, "<html" in part) == (True, False)
    plain_web.put("/list.csv", b"")
    assert "pi-alert-error" in text(page.post(f"/feeds/{feed.pk}/test/"))


def test_a_feed_is_switched_off_and_on_and_deleted(page: Client, feed: Feed) -> None:
    page.post(f"/feeds/{feed.pk}/switch/", {"enabled": "false"})
    assert "Switched off by hand." in text(page.get(f"/feeds/{feed.pk}/"))
    page.post(f"/feeds/{feed.pk}/switch/", {"enabled": "true"})
    feed.refresh_from_db()
    assert feed.enabled
    assert "cannot be undone" in text(page.get(f"/feeds/{feed.pk}/delete/"))
    assert page.post(f"/feeds/{feed.pk}/delete/")["Location"] == "/feeds/"
    assert not Feed.objects.exists()


def test_a_viewer_sees_feeds_and_is_offered_nothing_that_he_may_not(
    client: Client, feed: Feed, make_user: Callable[..., User], static_files: None
) -> None:
    client.force_login(make_user("vera", "viewer"))
    for path in ("/feeds/", f"/feeds/{feed.pk}/"):
        shown = text(client.get(path))
        assert "price list" in shown
        for act in ("Fetch now", ">Test<", ">Edit<", "Switch off", "Delete …", "New feed"):
            assert act not in shown


def test_a_supplier_shows_its_feeds(page: Client, feed: Feed) -> None:
    shown = text(page.get(f"/suppliers/{feed.supplier_id}/"))
    assert f'href="/feeds/{feed.pk}/"' in shown
    assert f'href="/feeds/new/?supplier={feed.supplier_id}"' in shown
    assert "1 feed" in text(page.get(f"/suppliers/{feed.supplier_id}/delete/"))


def test_a_strip_of_a_single_run_is_told_as_one(page: Client, feed: Feed) -> None:
    run_of(feed, "unchanged")
    assert "The last run: 1 nothing new" in text(page.get("/feeds/"))
