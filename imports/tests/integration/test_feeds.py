"""Feeds: what is due is fetched once, imported as far as it looks usual, and told in sentences."""

import io
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

import asyncssh
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DataError, connection
from django.utils import timezone

from catalog.models import Product
from catalog.operations import undo
from conftest import Messages
from imports.fetching.fetch import fetch as fetch_file
from imports.fetching.source import Limits
from imports.management.commands import run_feed
from imports.models import Feed, FeedRun, ImportJob, Supplier, uploads
from imports.operations import jobs, retention, suppliers
from imports.operations.feeds import feeds, outcomes, runs, schedule, trial
from imports.operations.feeds.trial import test_feed as look_at_feed
from imports.operations.suppliers import Invalid
from imports.queries.feeds import due_by_day, with_runs
from imports.tests.servers import LOOPBACK, NOW, Handler, SftpServer, WebServer
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,price\n"
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")
USUAL = HEADER + "".join(f"A-{n},Lamp {n},{n}.00\n" for n in range(1, 21))


class Clock:
    """The time, as Django tells it; it passes when a test says so."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def to(self, text: str) -> None:
        self.moment = datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture(autouse=True)
def _quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch may reach loopback, and does not wait between its own tries."""
    quick = Limits(allowed=LOOPBACK, tries=1, wait_seconds=0.01, bytes=1024**2)
    monkeypatch.setattr(runs, "limits", lambda: quick)


@pytest.fixture
def supplier(transactional_db: None) -> Supplier:
    return Supplier.objects.create(name="Müller GmbH")


@pytest.fixture
def make_feed(supplier: Supplier) -> Callable[..., Feed]:
    def make(url: str, user: User | None = None, **values: Any) -> Feed:
        values = {"name": "price list", "schedule": "daily at 02:00", "time_zone": "UTC", **values}
        owner = values.pop("supplier", supplier)
        return feeds.create_feed(supplier_id=owner.pk, user=user, url=url, **values)

    return make


@pytest.fixture
def night(clock: Clock, messages: Messages) -> Callable[[str], FeedRun]:
    """Let the time be this one, and everything happen that beat and the workers then do."""

    def pass_to(text: str) -> FeedRun:
        clock.to(text)
        schedule.sweep_feeds()
        messages.run_all()
        return FeedRun.objects.select_related("job").latest("pk")

    return pass_to


# --- Nights -----------------------------------------------------------------------------


def test_three_nights_usual_nothing_new_unusual(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    clock: Clock,
    messages: Messages,
    user: User,
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()), user)
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.due_at) == ("applied", datetime(2026, 3, 3, 2, tzinfo=UTC))
    assert run.job is not None
    assert (run.job.created, run.job.feed, run.job.supplier) == (20, feed, feed.supplier)
    assert (run.job.created_by, run.job.sha256 != "") == (user, True)

    run = night("2026-03-04T02:00:02")
    assert (run.outcome, run.job, run.bytes) == ("unchanged", None, 0)
    assert ImportJob.objects.count() == 1

    plain_web.put("/list.csv", USUAL.replace(",7.00", ",70.00").encode())
    run = night("2026-03-05T02:00:02")
    assert run.outcome == "waiting"
    assert "tenfold" in run.reason
    assert Product.objects.get(sku="A-7").price == 7

    job = run.job
    assert job is not None
    jobs.apply_import(job_id=job.pk, user=user)
    messages.run_all()
    assert FeedRun.objects.select_related("job").get(pk=run.pk).outcome == "applied"
    assert Product.objects.get(sku="A-7").price == 70
    job.refresh_from_db()
    undo.start_undo(change_set_id=job.change_set_id or 0, actor=user)
    messages.run_all()
    assert Product.objects.get(sku="A-7").price == 7
    [row] = with_runs([feed])
    assert [run.outcome_label for run in row.runs] == ["Applied", "Nothing new", "Applied, undone"]


def test_the_same_bytes_under_another_version_are_brought_once_and_not_imported(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()))
    night("2026-03-03T02:00:02")
    sent: list[int] = []

    def answer(handler: Handler) -> None:
        same = handler.headers.get("If-None-Match") == '"new"'
        sent.append(304 if same else 200)
        handler.answer(sent[-1], b"" if same else USUAL.encode(), etag='"new"')

    plain_web.on("/list.csv", answer)
    for day in (4, 5):
        run = night(f"2026-03-0{day}T02:00:02")
        assert (run.outcome, run.reason) == ("unchanged", outcomes.UNCHANGED)
    assert sent == [200, 304]
    assert ImportJob.objects.filter(feed=feed).count() == 1


def test_times_that_were_missed_are_made_up_once(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()), schedule="every hour")
    night("2026-03-09T09:30:00")
    feed.refresh_from_db()
    assert feed.runs.count() == 1
    assert feed.next_run_at == datetime(2026, 3, 9, 10, tzinfo=UTC)


def test_the_clocks_of_the_feeds_zone_count(
    clock: Clock, make_feed: Callable[..., Feed], night: Callable[[str], FeedRun]
) -> None:
    clock.to("2026-03-28T12:00:00")
    values = {"schedule": "daily at 02:30", "time_zone": "Europe/Berlin"}
    feed = make_feed("http://127.0.0.1:9/list.csv", **values)
    # On the 29th there is no 02:30: it is when the clocks go forward, at 01:00 UTC.
    assert feed.next_run_at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    night("2026-03-29T01:00:01")
    feed.refresh_from_db()
    assert feed.next_run_at == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def test_a_time_that_comes_twice_is_one_run(
    clock: Clock, make_feed: Callable[..., Feed], night: Callable[[str], FeedRun]
) -> None:
    clock.to("2026-10-24T12:00:00")
    values = {"schedule": "daily at 02:30", "time_zone": "Europe/Berlin"}
    feed = make_feed("http://127.0.0.1:9/list.csv", **values)
    assert feed.next_run_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    night("2026-10-25T00:30:01")
    feed.refresh_from_db()
    assert feed.next_run_at == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_file_with_an_open_question_waits_for_its_columns(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    make_feed(plain_web.put("/list.csv", b"Nr,EAN\n1,4006381333931\n2,4006381333948\n"))
    run = night("2026-03-03T02:00:02")
    assert run.outcome == "waiting"
    assert run.job is not None
    assert (run.job.status, run.reason != "") == ("awaiting_mapping", True)


# --- One fetch at a time ----------------------------------------------------------------


def in_threads(*acts: Callable[[], Any]) -> None:
    """Do these at once, each by a connection of its own."""
    failures = []
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> None:
        try:
            together.wait(60)
            act()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_two_beats_and_two_workers_at_once_fetch_each_feed_once(
    make_feed: Callable[..., Feed], plain_web: WebServer, clock: Clock, messages: Messages
) -> None:
    for n in range(30):
        make_feed(plain_web.put(f"/{n}.csv", USUAL.encode()), name=f"list {n}")
    clock.to("2026-03-03T02:00:02")
    in_threads(schedule.begin_due_runs, schedule.begin_due_runs)
    assert FeedRun.objects.count() == 30
    in_threads(runs.fetch_feeds, runs.fetch_feeds)
    runs.fetch_feeds()  # both may have found the other one at it, and left what came last
    assert sorted(path for path, _ in plain_web.seen) == sorted(f"/{n}.csv" for n in range(30))
    assert (ImportJob.objects.count(), FeedRun.objects.filter(state="fetched").count()) == (30, 30)


def test_who_asks_for_a_run_gets_the_one_that_is_under_way(
    make_feed: Callable[..., Feed], user: User, messages: Messages
) -> None:
    feed = make_feed("http://127.0.0.1:9/list.csv")
    first = feeds.ask_for_run(feed_id=feed.pk, user=user)
    assert feeds.ask_for_run(feed_id=feed.pk, user=None).pk == first.pk
    assert messages.waiting == [("imports.fetch_feeds",)]


def test_what_is_due_while_a_run_is_under_way_has_its_turn_after_it(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    clock: Clock,
    messages: Messages,
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()))
    asked = feeds.ask_for_run(feed_id=feed.pk, user=None)
    clock.to("2026-03-03T02:00:02")
    assert schedule.begin_due_runs() == 0
    messages.run_all()
    asked.refresh_from_db()
    assert asked.state == "fetched"
    assert night("2026-03-03T02:00:05").state == "unchanged"


def test_a_worker_that_lost_its_lease_changes_nothing_any_more(
    make_feed: Callable[..., Feed],
    plain_web: WebServer,
    clock: Clock,
    messages: Messages,
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()))
    feeds.ask_for_run(feed_id=feed.pk, user=None)
    [taken] = runs._take(1, 5)
    lost = runs._begin(taken)
    assert lost is not None
    result = lost.run_in_thread()
    assert isinstance(result, tuple)
    clock.moment += runs.LEASE + timedelta(seconds=1)
    assert runs.fetch_feeds() == 1
    outcomes.end_fetched(taken, *result)
    assert ImportJob.objects.count() == 1
    assert not uploads().exists(result[1])
    run = feed.runs.get()
    assert (run.state, run.tries) == ("fetched", 2)


def test_a_run_whose_workers_are_lost_again_and_again_ends(
    make_feed: Callable[..., Feed], clock: Clock, messages: Messages
) -> None:
    feed = make_feed("http://127.0.0.1:9/list.csv")
    feeds.ask_for_run(feed_id=feed.pk, user=None)
    for worker in range(outcomes.MAX_TRIES):
        assert len(runs._take(worker, 5)) == 1
        clock.moment += runs.LEASE + timedelta(seconds=1)
    runs.fetch_feeds()
    run = feed.runs.get()
    assert (run.outcome, run.code) == ("failed", "worker_lost")


# --- What goes on while a file is fetched -----------------------------------------------


def answering(act: Callable[[], Any]) -> Callable[[Handler], None]:
    """Do something, in the server's own thread, before the file is sent."""

    def answer(handler: Handler) -> None:
        try:
            act()
        finally:
            connection.close()
        handler.answer(200, USUAL.encode())

    return answer


WHILE_FETCHING: dict[str, Callable[[Feed], Any]] = {
    "switched off": lambda feed: feeds.update_feed(feed_id=feed.pk, enabled=False),
    "another address": lambda feed: feeds.update_feed(feed_id=feed.pk, url="http://127.0.0.1:9/"),
    "deleted": lambda feed: feeds.delete_feed(feed_id=feed.pk),
    "supplier deleted": lambda feed: suppliers.delete_supplier(supplier_id=feed.supplier_id),
}


@pytest.mark.parametrize("what", WHILE_FETCHING)
def test_nothing_is_imported_of_a_feed_that_was_taken_away_while_it_was_fetched(
    what: str,
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    clock: Clock,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = make_feed(plain_web.url + "/list.csv")
    plain_web.on("/list.csv", answering(lambda: WHILE_FETCHING[what](feed)))
    saved: list[str] = []
    storage = type(uploads())
    save = storage.save

    def save_and_tell(*args: Any, **more: Any) -> str:
        saved.append(save(*args, **more))
        return saved[-1]

    monkeypatch.setattr(storage, "save", save_and_tell)
    clock.to("2026-03-03T02:00:02")
    schedule.sweep_feeds()
    messages.run_all()
    assert not ImportJob.objects.exists()
    assert [name for name in saved if uploads().exists(name)] == []
    for run in FeedRun.objects.all():
        assert (run.outcome, "nothing was imported" in run.reason) == ("stopped", True)
    assert FeedRun.objects.exists() == ("deleted" not in what)


def test_who_asks_has_a_run_tried_at_once_that_waits_for_its_next_try(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    messages: Messages,
) -> None:
    feed = make_feed(plain_web.on("/list.csv", lambda handler: handler.answer(503, b"later")))
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.tries) == ("running", 1)
    del plain_web.answers["/list.csv"]
    plain_web.put("/list.csv", USUAL.encode())
    assert feeds.ask_for_run(feed_id=feed.pk, user=None) == run
    messages.run_all()
    run.refresh_from_db()
    assert (run.outcome, run.tries) == ("applied", 2)


# --- Failures ---------------------------------------------------------------------------


def test_what_may_pass_is_tried_again_after_growing_waits_and_then_told(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    clock: Clock,
    messages: Messages,
) -> None:
    url = plain_web.on("/list.csv", lambda handler: handler.answer(503, b"later"))
    feed = make_feed(url)
    run = night("2026-03-03T02:00:02")
    waits = []
    while run.outcome == "running":
        assert run.next_try_at is not None
        assert not Event.objects.exists()
        waits.append(run.next_try_at - clock.moment)
        clock.moment = run.next_try_at
        schedule.sweep_feeds()
        messages.run_all()
        run.refresh_from_db()
    assert waits == list(outcomes.WAITS)
    assert (run.outcome, run.tries, run.reason != "") == ("failed", outcomes.MAX_TRIES, True)
    event = Event.objects.get()
    assert event.type == "feed.failed"
    assert str(feed.pk) in bytes(event.body).decode()
    feed.refresh_from_db()
    assert feed.enabled  # the next night may well work


def test_what_no_other_try_mends_fails_at_once(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    url = plain_web.put("/list.csv", USUAL.encode(), login=("mara", "secret"))
    make_feed(url)
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.tries) == ("failed", 1)
    assert "password" in run.reason
    assert Event.objects.filter(type="feed.failed").count() == 1


def test_a_file_that_failed_as_an_import_is_fetched_again(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    make_feed(plain_web.put("/list.csv", HEADER.encode() + b"A-1,,no price\n"))
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.job is not None) == ("failed", True)
    assert "refused" in run.reason
    run = night("2026-03-04T02:00:02")
    assert run.outcome == "failed"


def test_another_host_key_stops_the_feed_until_somebody_takes_the_new_one(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    sftp: SftpServer,
    messages: Messages,
) -> None:
    (sftp.folder / "prices-1.csv").write_text(USUAL)
    (sftp.folder / "readme.txt").write_text("no list")
    login = {"username": sftp.username, "password": sftp.password}
    feed = make_feed(f"{sftp.url}/", pattern="prices-*.csv", **login)
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.file_name) == ("applied", "prices-1.csv")
    feed.refresh_from_db()
    own = feed.host_key
    assert own.startswith("ssh-ed25519 ")

    Feed.objects.update(host_key=" ".join(OTHER_KEY.export_public_key().decode().split()[:2]))
    run = night("2026-03-04T02:00:02")
    feed.refresh_from_db()
    assert (run.outcome, run.code) == ("failed", "host_key_changed")
    assert (feed.enabled, feed.next_run_at) == (False, None)
    assert feed.disabled_reason == run.reason

    feeds.update_feed(feed_id=feed.pk, enabled=True, host_key="")
    feeds.ask_for_run(feed_id=feed.pk, user=None)
    messages.run_all()
    feed.refresh_from_db()
    assert (feed.disabled_reason, feed.runs.latest("pk").state) == ("", "unchanged")


def test_a_host_key_is_kept_from_the_first_log_in_on_whatever_comes_of_the_fetch(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], sftp: SftpServer
) -> None:
    """Else whoever answers the next time would be sent the password."""
    (sftp.folder / "list.csv").write_text(USUAL)
    login = {"username": sftp.username, "password": sftp.password}
    feed = make_feed(f"{sftp.url}/list.csv", **login)
    night("2026-03-03T02:00:02")
    feed.refresh_from_db()
    own = feed.host_key
    assert own

    feeds.update_feed(feed_id=feed.pk, host_key="")
    assert night("2026-03-04T02:00:02").outcome == "unchanged"
    feed.refresh_from_db()
    assert feed.host_key == own

    feeds.update_feed(feed_id=feed.pk, host_key="")
    (sftp.folder / "list.csv").unlink()
    assert night("2026-03-05T02:00:02").code == "not_found"
    feed.refresh_from_db()
    assert feed.host_key == own


# --- Servers that mean harm ---------------------------------------------------------------


def test_a_server_may_ask_for_any_wait(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    clock: Clock,
) -> None:
    url = plain_web.on("/list.csv", lambda h: h.answer(503, retry_after="9" * 400))
    make_feed(url)
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.next_try_at) == ("running", clock.moment + outcomes.LONGEST_WAIT)


HOSTILE = {
    "a version with a NUL": {"etag": '"a\0b"'},
    "a date with a NUL": {"last_modified": formatdate(NOW, usegmt=True).replace(" GMT", "\0 GMT")},
    "a date that is past all dates": {"last_modified": "Fri, 31 Dec 9999 23:59:59 -2300"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_a_server_says_of_its_file_is_stored_as_far_as_it_can_be(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer, what: str
) -> None:
    headers = HOSTILE[what]
    make_feed(plain_web.on("/list.csv", lambda h: h.answer(200, USUAL.encode(), **headers)))
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, Product.objects.count()) == ("applied", 20)
    dated = ImportJob.objects.exclude(file_modified_at=None).exists()
    assert dated == (what == "a date with a NUL")


def test_a_sentence_with_a_servers_words_has_no_control_characters(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    make_feed(plain_web.on("/list.csv", lambda h: h.answer(200, b"x", content_encoding="b\0r")))
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.code) == ("failed", "encoding")
    assert "“br”" in run.reason


def test_what_breaks_when_a_run_is_written_is_that_runs_own(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = outcomes._start_import

    def breaks(run: FeedRun, *args: Any) -> None:
        if run.feed.name == "poisoned":
            raise DataError("a value that the database does not take")
        start(run, *args)

    monkeypatch.setattr(outcomes, "_start_import", breaks)
    url = plain_web.put("/list.csv", USUAL.encode())
    poisoned, other = make_feed(url, name="poisoned"), make_feed(url, name="other")
    night("2026-03-03T02:00:02")
    assert other.runs.get().outcome == "applied"
    run = poisoned.runs.get()
    assert (run.outcome, run.code, run.tries) == ("running", "error", 1)


# --- Asked again ------------------------------------------------------------------------


def test_what_was_discarded_comes_again_when_somebody_asks_and_not_by_itself(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    messages: Messages,
    user: User,
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode() + b"4e+12,Tea,1\n"))
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.job is not None) == ("waiting", True)
    jobs.cancel_import(job_id=run.job_id or 0, user=user)
    messages.run_all()
    run = FeedRun.objects.select_related("job__cancelled_by").get(pk=run.pk)
    assert (run.outcome, run.outcome_label) == ("stopped", "Discarded")
    assert run.reason == "mara discarded the import."
    assert night("2026-03-04T02:00:02").outcome == "unchanged"
    feeds.ask_for_run(feed_id=feed.pk, user=user)
    messages.run_all()
    assert FeedRun.objects.select_related("job").latest("pk").outcome == "waiting"


def test_a_feed_that_is_off_is_fetched_when_somebody_asks(
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    plain_web: WebServer,
    messages: Messages,
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()), enabled=False)
    clock_run = FeedRun.objects.filter(feed=feed)
    schedule.sweep_feeds()
    assert (feed.next_run_at, clock_run.exists()) == (None, False)
    feeds.ask_for_run(feed_id=feed.pk, user=None)
    messages.run_all()
    assert clock_run.get().state == "fetched"


# --- Secrets ----------------------------------------------------------------------------


def test_secrets_are_encrypted_and_go_to_the_server(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], plain_web: WebServer
) -> None:
    url = plain_web.put("/list.csv", USUAL.encode(), login=("mara", "très secret"))
    feed = make_feed(
        url, username="mara", password="très secret", headers={"X-Api-Key": "abc-123-def"}
    )
    feed.refresh_from_db()
    assert feed.secrets_set == ["password", "headers"]
    kept = f"{feed.password_token} {feed.headers_token}"
    assert "secret" not in kept
    assert "abc-123" not in kept
    assert night("2026-03-03T02:00:02").outcome == "applied"
    assert plain_web.seen[-1][1]["x-api-key"] == "abc-123-def"


def test_another_server_wants_the_secrets_again(make_feed: Callable[..., Feed]) -> None:
    feed = make_feed("https://a.example.com/list.csv", username="mara", password="secret")
    feeds.update_feed(feed_id=feed.pk, url="https://a.example.com/other.csv")
    for url in ("https://b.example.com/list.csv", "http://a.example.com/list.csv"):
        with pytest.raises(Invalid) as refused:
            feeds.update_feed(feed_id=feed.pk, url=url)
        assert list(refused.value.errors) == ["password"]
    feed = feeds.update_feed(feed_id=feed.pk, url="https://b.example.com/x.csv", password="")
    assert feed.secrets_set == []


def test_another_endpoint_of_a_bucket_wants_the_secret_again(
    make_feed: Callable[..., Feed],
) -> None:
    feed = make_feed("s3://lists/a.csv", username="key", password="secret")
    feeds.update_feed(feed_id=feed.pk, url="s3://lists/b.csv")
    with pytest.raises(Invalid, match="password"):
        feeds.update_feed(feed_id=feed.pk, url="s3://lists/b.csv?endpoint=https://b.example.com")


def test_secrets_of_a_key_that_is_gone_are_told(
    make_feed: Callable[..., Feed], night: Callable[[str], FeedRun], settings: Any
) -> None:
    make_feed("http://127.0.0.1:9/list.csv", password="secret")
    settings.SECRET_KEY = "exchanged"
    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.code) == ("failed", "secret_unreadable")
    assert "write them again" in run.reason.lower()


# --- Bad values -------------------------------------------------------------------------

WRONG: dict[str, dict[str, Any]] = {
    "a private address": {"url": "https://10.0.0.1/list.csv"},
    "another scheme": {"url": "file:///etc/passwd"},
    "a line break in the address": {"url": "https://a.example.com/\nlist"},
    "a log-in in the address": {"url": "https://mara:secret@a.example.com/"},
    "no cron line": {"schedule": "99 * * * *"},
    "a cron line of every second": {"schedule": "* * * * * *"},
    "a cron line of every minute": {"schedule": "* * * * *"},
    "a day that never comes": {"schedule": "0 0 30 2 *"},
    "no time zone": {"time_zone": "Mars/Olympus"},
    "a folder in the pattern": {"pattern": "../*.csv"},
    "a line break in the name": {"username": "a\nb"},
    "a public key": {"private_key": "ssh-ed25519 AAAA"},
    "a header of ours": {"headers": {"Host": "b"}},
    "a header that splits": {"headers": {"X-A": "b\r\nX-B: c"}},
    "a format of nobody": {"format_id": 10**12},
    "no name": {"name": " "},
    "a host key": {"host_key": "ssh-ed25519 AAAA"},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_with_its_field(
    what: str, make_feed: Callable[..., Feed], supplier: Supplier
) -> None:
    with pytest.raises(Invalid) as refused:
        make_feed(**{"url": "https://a.example.com/", **WRONG[what]})
    [field] = refused.value.errors
    assert field == next(iter(WRONG[what])).removesuffix("_id")
    assert not Feed.objects.exists()


def test_a_supplier_has_one_feed_of_a_name(make_feed: Callable[..., Feed]) -> None:
    make_feed("https://a.example.com/")
    with pytest.raises(Invalid, match="name"):
        make_feed("https://b.example.com/", name="Price  List")


# --- Test -------------------------------------------------------------------------------


def test_a_test_shows_how_the_file_would_be_read_and_imports_nothing(
    make_feed: Callable[..., Feed], plain_web: WebServer
) -> None:
    feed = make_feed(plain_web.put("/list.csv", USUAL.encode()))
    tested = look_at_feed(feed)
    assert (tested.error, tested.name) == ("", "list.csv")
    assert len(tested.read["preview"]) == 10
    assert tested.read["preview"][0]["values"]["price"] == "1.00"
    assert (ImportJob.objects.count(), FeedRun.objects.count()) == (0, 0)
    feed.refresh_from_db()
    assert feed.known == {}


def test_a_test_tells_why_there_is_nothing(
    make_feed: Callable[..., Feed], plain_web: WebServer
) -> None:
    feed = make_feed(plain_web.url + "/none.csv")
    tested = look_at_feed(feed)
    assert (tested.code, tested.read) == ("not_found", {})
    assert tested.error != ""


# --- What is due ------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_test_of_a_packed_file_keeps_to_its_time_and_brings_a_small_one_once(
    make_feed: Callable[..., Feed],
    plain_web: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("list.csv", HEADER + "".join(f"A-{n},Lamp,1.00\n" for n in range(rows)))
    feed = make_feed(plain_web.put("/list.zip", packed.getvalue()))
    given: list[float] = []

    def fetch(*args: Any, limits: Limits) -> Any:
        given.append(limits.seconds)
        return fetch_file(*args, limits=limits)

    monkeypatch.setattr(trial, "fetch", fetch)
    tested = look_at_feed(feed)
    assert (tested.error, tested.read["preview"][0]["values"]["sku"]) == ("", "A-0")
    assert len(plain_web.seen) == (1 if rows == 1 else 2)
    assert all(seconds < trial.SECONDS for seconds in given)


def test_the_calendar_has_what_is_due_day_by_day(
    make_feed: Callable[..., Feed], clock: Clock
) -> None:
    hourly = make_feed("https://a.example.com/", name="hourly", schedule="every hour")
    weekly = make_feed("https://b.example.com/", name="weekly", schedule="Wednesdays at 05:00")
    make_feed("https://c.example.com/", name="off", enabled=False)
    days = due_by_day([hourly, weekly])
    assert len(days) == 8  # from noon to noon
    wednesday = [(due.feed.name, len(due.times), due.more) for due in days[2][1]]
    assert wednesday == [("hourly", 4, 20), ("weekly", 1, 0)]


# --- The command ------------------------------------------------------------------------


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch, messages: Messages) -> None:
    """The workers do what is to be done while the command waits."""
    monkeypatch.setattr(run_feed, "sleep", lambda seconds: messages.run_all())


@pytest.mark.usefixtures("worked")
def test_the_command_fetches_a_feed_and_tells_what_came_of_it(
    make_feed: Callable[..., Feed], plain_web: WebServer
) -> None:
    make_feed(plain_web.put("/list.csv", USUAL.encode()))
    said = io.StringIO()
    call_command("run_feed", "müller gmbh/Price list", stdout=said)
    assert "20 created" in said.getvalue()
    call_command("run_feed", "price list", stdout=said)
    assert "Nothing new" in said.getvalue()


@pytest.mark.usefixtures("worked")
def test_the_command_fails_where_the_fetch_does(
    make_feed: Callable[..., Feed], plain_web: WebServer
) -> None:
    make_feed(plain_web.put("/list.csv", b"", login=("a", "b")))
    with pytest.raises(CommandError, match="password"):
        call_command("run_feed", "price list", stdout=io.StringIO())
    for name in ("other", "1/2", ""):
        with pytest.raises(CommandError, match="There is no feed"):
            call_command("run_feed", name, stdout=io.StringIO())


def test_a_name_that_several_suppliers_have_is_asked_about(
    make_feed: Callable[..., Feed], supplier: Supplier
) -> None:
    other = Supplier.objects.create(name="Acme")
    make_feed("https://a.example.com/")
    feed = make_feed("https://b.example.com/", supplier=other)
    with pytest.raises(feeds.NotNow, match="Several suppliers"):
        feeds.find_feed("price list")
    assert feeds.find_feed("acme/PRICE LIST") == feed
    assert feeds.find_feed(str(feed.pk)) == feed


# --- Retention --------------------------------------------------------------------------


def test_runs_that_ended_long_ago_are_deleted(make_feed: Callable[..., Feed], clock: Clock) -> None:
    feed = make_feed("https://a.example.com/")
    values = {"feed": feed, "at": clock.moment}
    FeedRun.objects.create(state="failed", **values)
    under_way = FeedRun.objects.create(state="running", **values)
    clock.moment += retention.KEEP_FEED_RUNS
    recent = FeedRun.objects.create(feed=feed, at=clock.moment, state="unchanged")
    clock.moment += timedelta(minutes=1)
    assert retention.clear_feed_runs() == 1
    assert set(FeedRun.objects.all()) == {under_way, recent}
