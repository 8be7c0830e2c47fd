"""What a feed sets off beside its import: full lists, stop rules, notices, a second person."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from catalog.models import Product
from catalog.operations import undo
from conftest import Messages
from imports.models import Feed, FeedRun, ImportJob, Notice, Supplier
from imports.operations import jobs
from imports.operations.feeds import feeds
from imports.tests.integration.test_feeds import (
    HEADER,
    USUAL,
    Clock,
    _quick_tries,
    clock,
    make_feed,
    night,
    supplier,
)
from imports.tests.servers import WebServer
from imports.tests.supplier_files import make_format

__all__ = ["_quick_tries", "clock", "make_feed", "night", "supplier"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)

Night = Callable[[str], FeedRun]


def told() -> list[tuple[str, str]]:
    return list(Notice.objects.order_by("pk").values_list("kind", "sentence"))


def test_what_a_full_list_lacks_is_switched_off_and_comes_back_by_undo(
    make_feed: Callable[..., Feed],
    night: Night,
    plain_web: WebServer,
    messages: Messages,
    user: User,
) -> None:
    make_feed(plain_web.put("/list.csv", USUAL.encode()), user, full_list=True)
    Product.objects.create(sku="OTHER", name="Somebody else's")
    night("2026-03-03T02:00:02")
    plain_web.put("/list.csv", USUAL.replace("A-20,Lamp 20,20.00\n", "").encode())
    run = night("2026-03-04T02:00:02")
    assert run.job is not None
    assert (run.outcome, run.job.missing, run.job.unchanged) == ("applied", 1, 19)
    assert list(Product.objects.filter(active=False).values_list("sku", flat=True)) == ["A-20"]
    undo.start_undo(change_set_id=run.job.change_set_id or 0, actor=user)
    messages.run_all()
    assert not Product.objects.filter(active=False).exists()


def test_a_feeds_file_is_its_suppliers_whatever_its_columns_are_known_as(
    make_feed: Callable[..., Feed],
    night: Night,
    plain_web: WebServer,
    supplier: Supplier,
    upload: Callable[..., ImportJob],
    messages: Messages,
) -> None:
    other = make_format("Huber", columns=["sku", "name", "price"])
    upload(HEADER + "H,Hat,1.00\n", format=other)
    messages.run_all()
    make_feed(plain_web.put("/list.csv", USUAL.encode()), full_list=True)
    run = night("2026-03-03T02:00:02")
    assert run.job is not None
    assert (run.job.supplier, run.job.missing, run.job.status) == (supplier, 0, "completed")
    assert Product.objects.get(sku="H").active


def test_half_a_list_waits_and_people_are_told_why(
    make_feed: Callable[..., Feed], night: Night, plain_web: WebServer, user: User
) -> None:
    make_feed(plain_web.put("/list.csv", USUAL.encode()), user, full_list=True)
    night("2026-03-03T02:00:02")
    half = "".join(USUAL.splitlines(keepends=True)[:10])
    plain_web.put("/list.csv", half.encode())
    run = night("2026-03-04T02:00:02")
    assert run.outcome == "waiting"
    assert not Product.objects.filter(active=False).exists()
    [(kind, sentence)] = told()
    assert kind == "unusual"
    assert "fewer records" in sentence


def test_a_file_that_is_old_at_its_server_waits(
    make_feed: Callable[..., Feed], night: Night, plain_web: WebServer, user: User
) -> None:
    january = datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()
    make_feed(plain_web.put("/list.csv", USUAL.encode(), modified=january), user)
    run = night("2026-03-03T02:00:02")
    assert run.outcome == "waiting"
    assert "last changed on 2026-01-05" in run.reason


def test_a_feed_that_fails_is_told_once_until_it_fails_otherwise(
    make_feed: Callable[..., Feed], night: Night, plain_web: WebServer, user: User
) -> None:
    closed = {"login": ("somebody", "else")}
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode(), **closed), user)
    for day in (3, 4, 5):
        assert night(f"2026-03-0{day}T02:00:02").outcome == "failed"
    assert [kind for kind, _ in told()] == ["feed_failed"]
    notice = Notice.objects.get()
    assert (notice.supplier, notice.link) == (feed.supplier, f"/feeds/{feed.pk}/")
    assert notice.sentence == FeedRun.objects.latest("pk").message
    plain_web.put("/list.csv", USUAL.encode())
    night("2026-03-06T02:00:02")
    plain_web.put("/list.csv", USUAL.encode(), **closed)
    night("2026-03-07T02:00:02")
    assert [kind for kind, _ in told()] == ["feed_failed"] * 2


def test_a_file_that_cannot_be_imported_is_told_once_until_it_is_another(
    make_feed: Callable[..., Feed], night: Night, plain_web: WebServer, user: User
) -> None:
    feed = make_feed(plain_web.put("/list.csv", HEADER.encode() + b"A-1,,no price\n"), user)
    for day in (3, 4, 5):
        assert night(f"2026-03-0{day}T02:00:02").outcome == "failed"
    assert [kind for kind, _ in told()] == ["nothing_imported"]
    assert feed.runs.count() == 3
    plain_web.put("/list.csv", HEADER.encode() + b"A-2,,no price\n")
    night("2026-03-06T02:00:02")
    plain_web.put("/list.csv", b"PK\x03\x04 no archive")
    for day in (7, 8):
        night(f"2026-03-0{day}T02:00:02")
    assert [kind for kind, _ in told()] == ["nothing_imported"] * 2 + ["failed"]


def test_a_list_that_stays_the_same_for_too_long_is_overdue(
    make_feed: Callable[..., Feed], night: Night, plain_web: WebServer, user: User
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()), user)
    night("2026-03-03T02:00:02")
    for when in ("2026-04-02", "2026-04-04", "2026-04-05"):
        assert night(f"{when}T02:00:02").outcome == "unchanged"
    [(kind, sentence)] = told()
    assert (kind, sentence) == (
        "overdue",
        "No new file has come since 2026-03-03. Usual are at most 30 days.",
    )
    feed.refresh_from_db()
    assert feed.overdue_at is not None
    plain_web.put("/list.csv", USUAL.replace("7.00", "7.50").encode())
    night("2026-04-06T02:00:02")
    feed.refresh_from_db()
    assert feed.overdue_at is None


def test_a_feed_that_nothing_fetches_is_told_as_overdue(
    make_feed: Callable[..., Feed], clock: Clock, night: Night, plain_web: WebServer, user: User
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()), user)
    now = timezone.now()
    run = FeedRun.objects.create(feed=feed, due_at=now, at=now, next_try_at=now.replace(year=2027))
    night("2026-03-02T15:59:00")
    assert told() == []
    night("2026-03-02T16:00:01")
    night("2026-03-02T16:00:30")
    assert [kind for kind, _ in told()] == ["overdue"]
    assert "being fetched since 2026-03-02 12:00" in told()[0][1]
    assert FeedRun.objects.get(pk=run.pk).state == "running"


def test_whoever_made_a_feed_is_no_second_person_for_it(
    make_feed: Callable[..., Feed],
    night: Night,
    plain_web: WebServer,
    messages: Messages,
    supplier: Supplier,
    make_user: Callable[..., User],
) -> None:
    Supplier.objects.update(second_person=True)
    owner, asker, other = make_user("owner"), make_user("asker"), make_user("other")
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()), owner)
    night("2026-03-03T02:00:02")
    plain_web.put("/list.csv", USUAL.replace(",7.00", ",70.00").encode())
    feeds.ask_for_run(feed_id=feed.pk, user=asker)
    messages.run_all()
    job = FeedRun.objects.latest("pk").job
    assert job is not None
    for user in (owner, asker):
        with pytest.raises(jobs.SecondPerson):
            jobs.apply_import(job_id=job.pk, user=user)
    jobs.apply_import(job_id=job.pk, user=other)
    messages.run_all()
    assert Product.objects.get(sku="A-7").price == 70
