"""Who is told when an import needs somebody, how often, and what becomes of a message."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from catalog.models import Product
from conftest import Messages, wait_for
from imports.models import ImportJob, Notice, NoticeDelivery, NoticeRecipient, Supplier
from imports.operations import retention
from imports.operations.notices import notices, sending
from imports.operations.notices.sending import DIGEST, LEASE, MAIL_REST, send_notices
from imports.pipeline.notices import tell_of_feed
from imports.tests.mail_server import MailServer, serve_mail
from product_importer.environment import BASE_DIR
from product_importer.local.pytest_plugin import with_database
from webhooks.models import Tally
from webhooks.tests.conftest import LOOPBACK
from webhooks.tests.receiver import Receiver, serve

pytestmark = pytest.mark.django_db(transaction=True)

TENFOLD = "sku,name,price\nA-1,Lamp,100.00\nA-2,New,1.00\n"


@pytest.fixture
def mara(make_user: Callable[..., User], settings: Any) -> User:
    settings.EMAIL_IS_SET_UP = True
    settings.SITE_URL = "https://shop.example.com"
    mara = make_user("mara", role="editor")
    mara.email = "mara@example.com"
    mara.save()
    return mara


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """A clock that stands still, and goes on when it is told to."""
    now = [timezone.now() + timedelta(seconds=1)]
    monkeypatch.setattr(timezone, "now", lambda: now[0])

    def go_on(by: timedelta) -> None:
        now[0] += by

    return go_on


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_CIDRS = LOOPBACK
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    mail, server = serve_mail()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail.port
    yield mail
    server.shutdown()
    server.server_close()


def tell(owner: User | None, title: str = "Something", kind: str = "failed", **values: Any) -> Any:
    with transaction.atomic():
        values = {"supplier": None, "sentence": "It is so.", "link": "/imports/1/", **values}
        return notices.tell(kind, title=title, owner=owner, **values)


def states() -> list[str]:
    return list(NoticeDelivery.objects.order_by("id").values_list("state", flat=True))


# --- What people are told of ----------------------------------------------------------


def test_who_uploaded_a_file_that_looks_unusual_is_told_with_link_counts_and_reason(
    mara: User,
    upload: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
    mailoutbox: list[EmailMessage],
) -> None:
    make_product("A-1", price="10.00")
    job = upload(TENFOLD, file_name="lamps.csv", user=mara)
    messages.run_all()
    assert send_notices() == 1
    (mail,) = mailoutbox
    assert mail.to == ["mara@example.com"]
    assert mail.subject == "“lamps.csv” looks unusual, and waits for somebody"
    assert f"\nhttps://shop.example.com/imports/{job.pk}/\n" in mail.body
    assert "1 price moves tenfold or more, for example A-1 from 10.00 to 100.00" in mail.body
    counts = "1 created, 1 updated, 0 unchanged, 0 superseded, 0 skipped, 0 refused"
    assert counts in mail.body
    assert mail.extra_headers["Auto-Submitted"] == "auto-generated"
    assert send_notices() == 0
    assert states() == ["sent"]


@pytest.mark.parametrize(
    ("kind", "content", "options"),
    [
        ("needs_review", "sku,name\nA-1,Lamp\n", {"review": True}),
        ("needs_matching", "article,price\nA-1,1.00\n", {"on_unclear": "wait"}),
        ("failed", "article,price\nA-1,1.00\n", {}),
        ("nothing_imported", "sku,name,price\nA-1,Lamp,dear\n", {}),
    ],
)
def test_an_import_that_needs_somebody_is_told(
    kind: str,
    content: str,
    options: dict[str, Any],
    mara: User,
    upload: Callable[..., ImportJob],
    messages: Messages,
) -> None:
    job = upload(content, user=mara, **options)
    messages.run_all()
    notice = Notice.objects.get()
    assert (notice.kind, notice.job_id, notice.link) == (kind, job.pk, f"/imports/{job.pk}/")
    assert notice.sentence
    assert NoticeDelivery.objects.get().recipient.user == mara


def test_nobody_is_told_of_an_import_that_went_well(
    mara: User, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    upload("sku,name\nA-1,Lamp\n", user=mara)
    messages.run_all()
    assert not Notice.objects.exists()


def test_only_who_wants_to_hear_of_it_and_may_see_imports_is_told(
    mara: User, make_user: Callable[..., User]
) -> None:
    acme, other = (Supplier.objects.create(name=name) for name in ("Acme", "Other"))
    wishes: dict[str, dict[str, Any]] = {
        "all": {},
        "of_acme": {"suppliers": [acme.pk]},
        "of_other": {"suppliers": [other.pk]},
        "overdue": {"kinds": ["overdue"]},
        "own": {"own_only": True},
    }
    for name, wish in wishes.items():
        user = make_user(name, role="viewer")
        notices.change_settings(user=user, **{"own_only": False, **wish})
    for name, values in (("gone", {"is_active": False}), ("no_role", {})):
        user = make_user(name, role="" if name == "no_role" else "viewer")
        notices.change_settings(user=user, own_only=False)
        User.objects.filter(pk=user.pk).update(**values or {"is_active": True})

    def told(notice: Notice) -> set[str]:
        rows = NoticeDelivery.objects.filter(notice=notice)
        return set(rows.values_list("recipient__user__username", flat=True))

    assert told(tell(mara, supplier=acme)) == {"mara", "all", "of_acme"}
    assert told(tell(mara, supplier=None)) == {"mara", "all"}
    assert told(tell(None, supplier=other, kind="overdue")) == {"all", "of_other", "overdue"}
    assert tell(User.objects.get(username="no_role"), supplier=None, kind="unusual") is not None
    assert not NoticeDelivery.objects.filter(recipient__user__username="no_role").exists()


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (Notice.Kind.FEED_FAILED, "The feed “nightly” could not be fetched"),
        (Notice.Kind.OVERDUE, "The feed “nightly” is overdue"),
    ],
)
def test_who_owns_a_feed_is_told_that_it_does_not_come(
    kind: Notice.Kind, title: str, mara: User, mailoutbox: list[EmailMessage]
) -> None:
    acme = Supplier.objects.create(name="Acme")
    with transaction.atomic():
        tell_of_feed(
            kind,
            supplier=acme,
            name="nightly",
            sentence="The server asks for a password.",
            link="/feeds/7/",
            owner=mara,
        )
    assert send_notices() == 1
    assert mailoutbox[0].subject == title
    said = "\nThe server asks for a password.\nhttps://shop.example.com/feeds/7/\n"
    assert said in mailoutbox[0].body
    assert Notice.objects.get().supplier == acme


def test_a_notice_is_part_of_the_transaction_of_what_it_tells_of(mara: User) -> None:
    with pytest.raises(RuntimeError):
        notices.tell("failed", supplier=None, title="x", sentence="y", link="/", owner=mara)
    with transaction.atomic():
        tell(mara)
        transaction.set_rollback(True)
    assert not Notice.objects.exists()


def test_a_name_of_a_file_neither_breaks_a_mail_nor_makes_a_link_in_a_chat(
    mara: User, receiver: Receiver, mailoutbox: list[EmailMessage]
) -> None:
    notices.create_chat(name="prices", url=receiver.url)
    title = "“a\r\nBcc: x@y.z\x0b <!channel>|<https://evil.example|here>.csv”"
    tell(mara, title=title, sentence="@all see [here](https://evil.example).")
    assert send_notices() == 2
    assert mailoutbox[0].message()["Bcc"] is None
    assert "\n" not in mailoutbox[0].subject
    text = json.loads(receiver.received[0].body)["text"]
    assert "<!channel>" not in text
    assert "@all" not in text  # Mattermost
    assert "](" not in text
    assert re.findall("<[^>]*>", text) == [
        next(found for found in re.findall("<[^>]*>", text) if "shop.example.com" in found)
    ]


# --- One message rather than a flood ----------------------------------------------------


def test_the_first_notice_goes_out_at_once_and_the_next_ones_together(
    mara: User, mailoutbox: list[EmailMessage], clock: Callable[[timedelta], None]
) -> None:
    tell(mara, "First")
    assert send_notices() == 1
    for number in range(30):
        clock(timedelta(seconds=5))
        tell(mara, f"Number {number}")
        assert send_notices() == 0
    clock(DIGEST)
    assert send_notices() == 1
    assert [mail.subject for mail in mailoutbox] == ["First", "Number 0, and 29 more"]
    assert "Number 19\n" in mailoutbox[1].body
    assert "Number 20\n" not in mailoutbox[1].body
    assert "And 10 more: https://shop.example.com/notices/" in mailoutbox[1].body
    assert set(states()) == {"sent"}
    clock(DIGEST * 2)
    tell(mara, "Later")
    assert send_notices() == 1


# --- Whatever happens meanwhile ----------------------------------------------------------


@pytest.mark.parametrize("point", ["_try", "_record"])
def test_a_worker_that_is_lost_while_it_sends_costs_no_notice(
    point: str,
    mara: User,
    mailoutbox: list[EmailMessage],
    clock: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*args: Any) -> None:
        raise SystemExit

    tell(mara, "First")
    with monkeypatch.context() as patch:
        patch.setattr(sending, point, lost)
        with pytest.raises(SystemExit):
            send_notices()
    assert send_notices() == 0  # another worker may be at it
    clock(LEASE)
    assert send_notices() == 1
    clock(DIGEST)
    assert send_notices() == 0
    assert len(mailoutbox) == (1 if point == "_try" else 2)
    assert len({mail.extra_headers["Message-ID"] for mail in mailoutbox}) == 1
    assert states() == ["sent"]


def test_a_worker_that_is_killed_while_a_server_takes_its_mail_sends_it_again_as_the_same_one(
    mara: User, mail_server: MailServer
) -> None:
    killed = threading.Event()
    mail_server.before_taken = killed.wait
    tell(mara)
    worker = _start_a_worker(mail_server)
    try:
        wait_for(lambda: mail_server.received)
    finally:
        worker.kill()
        worker.wait()
        killed.set()
    assert states() == ["pending"]
    assert send_notices() == 0
    NoticeRecipient.objects.update(leased_until=timezone.now())
    assert send_notices() == 1
    assert states() == ["sent"]
    assert len({mail["Message-ID"] for mail in mail_server.received}) == 1
    assert len(mail_server.received) == 2


def _start_a_worker(mail_server: MailServer) -> subprocess.Popen[bytes]:
    """A process of its own that sends what is due, as the task does."""
    program = "from imports.tasks import send_notices; send_notices()"
    database = with_database(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])
    environ = {
        "DATABASE_URL": database,
        "EMAIL_URL": f"smtp://127.0.0.1:{mail_server.port}",
        "EMAIL_FROM": "prices@example.com",
        "SITE_URL": "https://shop.example.com",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-c", program],
        cwd=BASE_DIR,
        env={**os.environ, **environ},
    )


def test_a_worker_that_comes_back_after_its_lease_records_nothing(
    mara: User,
    mailoutbox: list[EmailMessage],
    clock: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = sending._record
    late: list[Any] = []
    tell(mara)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_record", lambda *args: late.append(args))
        send_notices()
    clock(LEASE)
    assert send_notices() == 1
    before = NoticeRecipient.objects.values().get()
    record(*late[0])
    assert NoticeRecipient.objects.values().get() == before


def test_a_notice_that_comes_while_a_message_is_sent_is_sent_too(
    mara: User,
    mailoutbox: list[EmailMessage],
    clock: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = sending._try

    def and_meanwhile(batch: Any) -> Any:
        tell(mara, "Second")
        return real(batch)

    tell(mara, "First")
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_try", and_meanwhile)
        assert send_notices() == 1
    clock(DIGEST)
    assert send_notices() == 1
    assert [mail.subject for mail in mailoutbox] == ["First", "Second"]


def test_a_mail_arrives_over_the_wire(mara: User, mail_server: MailServer) -> None:
    tell(mara, "“Müller.csv” could not be imported")
    assert send_notices() == 1
    (mail,) = mail_server.received
    assert mail["Subject"] == "“Müller.csv” could not be imported"
    assert mail_server.recipients == ["<mara@example.com>"]
    assert "It is so." in mail.get_content()


def test_what_a_mail_server_does_not_take_is_tried_again_with_growing_waits(
    mara: User, mail_server: MailServer, clock: Callable[[timedelta], None]
) -> None:
    mail_server.refuse["RCPT"] = "451 later"
    tell(mara, "First")
    waits: list[timedelta] = []
    for _ in range(4):
        assert send_notices() == 0
        recipient = NoticeRecipient.objects.get()
        assert recipient.last_error == "The mail server refused the address mara@example.com."
        assert recipient.failing_since
        waits.append(recipient.not_before - timezone.now())
        clock(waits[-1] - timedelta(seconds=1))
        assert send_notices() == 0
        assert NoticeRecipient.objects.get().tries == len(waits)
        clock(timedelta(seconds=1))
    assert waits == sorted(waits)
    assert waits[0] < timedelta(minutes=1) < timedelta(hours=1) < waits[-1]
    mail_server.refuse.clear()
    tell(mara, "Second")
    assert send_notices() == 1
    assert mail_server.received[0]["Subject"] == "First, and 1 more"
    assert NoticeRecipient.objects.values("tries", "failing_since", "last_error").get() == {
        "tries": 0,
        "failing_since": None,
        "last_error": "",
    }
    tallies = dict(Tally.objects.values_list("key", "value"))
    assert (tallies["notices|mail_failed"], tallies["notices|mail_sent"]) == (4, 1)


def test_what_is_never_taken_ends_as_failed_and_stays_on_the_page(
    mara: User, mail_server: MailServer, clock: Callable[[timedelta], None]
) -> None:
    mail_server.refuse["MAIL"] = "550 no"
    tell(mara, "First")
    for _ in range(10):
        assert states() == ["pending"]
        send_notices()
        clock(timedelta(days=2))
    assert states() == ["failed"]
    assert [one.notice.title for one in notices.notices_of(mara)] == ["First"]


def test_a_dead_mail_server_is_asked_once_a_minute_and_holds_up_no_chat(
    mara: User,
    make_user: Callable[..., User],
    mail_server: MailServer,
    receiver: Receiver,
    clock: Callable[[timedelta], None],
    settings: Any,
) -> None:
    settings.EMAIL_PORT = 1
    for name in ("ann", "ben"):
        user = make_user(name)
        User.objects.filter(pk=user.pk).update(email=f"{name}@example.com")
        notices.change_settings(user=user, own_only=False)
    notices.create_chat(name="prices", url=receiver.url)
    tell(mara)
    assert send_notices() == 1
    assert len(receiver.received) == 1
    failing = NoticeRecipient.objects.get(tries=1)
    assert failing.last_error.startswith("No connection to the mail server")
    for tried in (1, 2):
        assert send_notices() == 0
        assert sum(NoticeRecipient.objects.values_list("tries", flat=True)) == tried
        clock(MAIL_REST - timedelta(seconds=1))
        assert send_notices() == 0
        assert sum(NoticeRecipient.objects.values_list("tries", flat=True)) == tried
        clock(timedelta(seconds=1))


def test_without_mail_set_up_a_person_sees_notices_on_the_page_only(
    mara: User, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.EMAIL_IS_SET_UP = False
    tell(mara, "First")
    assert send_notices() == 0
    assert (states(), mailoutbox) == (["shown"], [])
    assert [one.notice.title for one in notices.notices_of(mara)] == ["First"]


def test_who_lost_the_right_to_see_imports_gets_no_mail_that_waited(
    mara: User, mailoutbox: list[EmailMessage]
) -> None:
    tell(mara)
    mara.groups.clear()
    assert send_notices() == 0
    assert (states(), mailoutbox) == (["shown"], [])


# --- Chats ----------------------------------------------------------------------------


def test_a_chat_gets_what_slack_takes(mara: User, receiver: Receiver) -> None:
    chat = notices.create_chat(name="prices", url=receiver.url + "/secret")
    assert "secret" not in chat.token
    assert chat.shown == "http://127.0.0.1/…"
    tell(mara, "First & only")
    assert send_notices() == 2
    (got,) = receiver.received
    assert (got.path, got.headers["content-type"]) == ("/hook/secret", "application/json")
    body = json.loads(got.body)
    text = "*<https://shop.example.com/imports/1/|First &amp; only>*\nIt is so."
    assert body["text"] == text
    assert body["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]


def test_a_chat_that_fails_is_tried_again_and_gets_all_in_one_message(
    receiver: Receiver, clock: Callable[[timedelta], None]
) -> None:
    notices.create_chat(name="prices", url=receiver.url)
    receiver.answer = (500, {}, b"no_service")
    clock(timedelta(seconds=1))
    tell(None, "First")
    assert send_notices() == 0
    assert NoticeRecipient.objects.get().last_error == "The address answered 500: no_service."
    tell(None, "Second")
    receiver.answer = (200, {}, b"ok")
    assert send_notices() == 0
    clock(timedelta(minutes=1))
    assert send_notices() == 1
    assert len(json.loads(receiver.received[1].body)["blocks"]) == 2


def test_no_chat_makes_us_call_our_own_network(receiver: Receiver, settings: Any) -> None:
    notices.create_chat(name="prices", url=receiver.url)
    settings.WEBHOOK_ALLOWED_CIDRS = []
    with pytest.raises(notices.Invalid):
        notices.create_chat(name="inner", url=receiver.url)
    tell(None)
    assert send_notices() == 0
    assert receiver.received == []
    assert NoticeRecipient.objects.get().last_error == "The address may not be called."


def test_a_chat_whose_address_cannot_be_decrypted_says_so(
    receiver: Receiver, settings: Any
) -> None:
    notices.create_chat(name="prices", url=receiver.url)
    settings.WEBHOOK_SECRET_KEYS = ["another key"]
    tell(None)
    assert send_notices() == 0
    assert "another key" in NoticeRecipient.objects.get().last_error


def test_a_test_goes_out_at_once(
    mara: User, mailoutbox: list[EmailMessage], clock: Callable[[timedelta], None]
) -> None:
    tell(mara, "First")
    send_notices()
    assert notices.send_test(recipient=NoticeRecipient.objects.get())
    assert send_notices() == 1
    assert mailoutbox[1].subject == "This is a test"


# --- No more of it --------------------------------------------------------------------


def link_in(mail: EmailMessage) -> str:
    found = re.search(r"<https://shop.example.com(.*)>", mail.extra_headers["List-Unsubscribe"])
    assert found
    return found[1]


def test_a_link_in_each_mail_ends_them_after_a_question_and_without_a_log_in(
    mara: User, mailoutbox: list[EmailMessage], static_files: None
) -> None:
    tell(mara)
    send_notices()
    link = link_in(mailoutbox[0])
    assert f"https://shop.example.com{link}" in mailoutbox[0].body
    stranger = Client()
    assert "Send me no more" in stranger.get(link).content.decode()
    assert NoticeRecipient.objects.get().enabled
    assert "No more notices are sent to you" in stranger.post(link).content.decode()
    assert not NoticeRecipient.objects.get().enabled
    tell(mara, "Second")
    send_notices()
    assert len(mailoutbox) == 1
    assert states() == ["sent", "shown"]


def test_a_mail_program_unsubscribes_by_one_post(
    mara: User, mailoutbox: list[EmailMessage], static_files: None
) -> None:
    tell(mara)
    send_notices()
    assert mailoutbox[0].extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    program = Client(enforce_csrf_checks=True)
    answer = program.post(link_in(mailoutbox[0]), {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert not NoticeRecipient.objects.get().enabled


def test_a_link_that_nobody_signed_ends_nothing(mara: User, static_files: None) -> None:
    tell(mara)
    for token in ("1", f"{NoticeRecipient.objects.get().pk}:x:y", "é"):
        assert Client().post(f"/notices/unsubscribe/{token}/").status_code == 404
    assert NoticeRecipient.objects.get().enabled


# --- Pages and API ----------------------------------------------------------------------


def test_a_person_chooses_on_the_page_what_to_be_told_of(
    mara: User, client: Client, static_files: None, mailoutbox: list[EmailMessage]
) -> None:
    acme = Supplier.objects.create(name="Acme")
    client.force_login(mara)
    page = client.get("/notices/settings/").content.decode()
    assert "to mara@example.com" in page
    assert page.count('name="kinds" value="') == page.count("checked") - 3 == 7
    form = {"kinds": ["failed", "overdue"], "every_supplier": "no", "suppliers": [acme.pk]}
    form |= {"own_only": "no", "enabled": "on"}
    answer = client.post("/notices/settings/", form, follow=True)
    assert "You are told of what is ticked" in answer.content.decode()
    recipient = NoticeRecipient.objects.get(user=mara)
    assert (recipient.kinds, recipient.own_only) == (["failed", "overdue"], False)
    assert (recipient.every_supplier, list(recipient.suppliers.all())) == (False, [acme])
    client.post("/notices/test/")
    assert send_notices() == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"EMAIL_IS_SET_UP": False}, "EMAIL_URL"),
        ({"email": ""}, "your account has no e-mail address"),
    ],
)
def test_the_page_says_why_no_mail_is_sent(
    values: dict[str, Any],
    sentence: str,
    mara: User,
    client: Client,
    settings: Any,
    static_files: None,
) -> None:
    settings.EMAIL_IS_SET_UP = values.get("EMAIL_IS_SET_UP", True)
    mara.email = values.get("email", mara.email)
    mara.save()
    client.force_login(mara)
    assert sentence in client.get("/notices/settings/").content.decode()
    assert "No e-mails go to you" in client.post("/notices/test/", follow=True).content.decode()


def test_a_person_sees_the_own_notices_and_nobody_elses(
    mara: User, make_user: Callable[..., User], client: Client, static_files: None
) -> None:
    tell(mara, "First")
    for user, seen in ((mara, True), (make_user("ann"), False)):
        client.force_login(user)
        assert ("First" in client.get("/notices/").content.decode()) == seen
        found = client.get("/api/v1/notices/").json()["results"]
        assert [one["title"] for one in found] == (["First"] if seen else [])


def test_a_program_reads_and_changes_what_a_person_is_told_of(mara: User, client: Client) -> None:
    client.force_login(mara)
    path = "/api/v1/notices/settings/"
    before = client.get(path).json()
    assert before["kinds"][:2] == ["needs_review", "unusual"]
    assert (before["suppliers"], before["own_only"], before["by_mail"]) == (None, True, True)

    def change(**values: Any) -> Any:
        return client.patch(path, json.dumps(values), content_type="application/json")

    acme = Supplier.objects.create(name="Acme")
    after = change(suppliers=[acme.pk], by_mail=False).json()
    assert after == {**before, "suppliers": [acme.pk], "by_mail": False}
    assert client.get(path).json() == after
    assert change(suppliers=[acme.pk + 1]).json()["errors"]["suppliers"]
    assert change(kinds=["nonsense"]).status_code == 400
    assert change(suppliers=None).json()["suppliers"] is None


def test_a_manager_adds_changes_tests_and_deletes_a_chat(
    page: Client, receiver: Receiver, settings: Any
) -> None:
    form: dict[str, Any] = {"name": "prices", "url": "http://10.0.0.1/x", "every_supplier": "yes"}
    form |= {"kinds": ["failed"], "enabled": "on"}
    refused = page.post("/notices/chats/new/", form)
    assert refused.status_code == 422
    assert "Only public addresses" in refused.content.decode()
    page.post("/notices/chats/new/", {**form, "url": receiver.url})
    chat = NoticeRecipient.objects.get(name="prices")
    page.post(f"/notices/chats/{chat.pk}/", {**form, "url": "", "name": "all prices"})
    listed = page.get("/notices/chats/").content.decode()
    assert "all prices" in listed
    assert "/hook" not in listed
    page.post(f"/notices/chats/{chat.pk}/test/")
    assert send_notices() == 1
    assert "This is a test" in receiver.received[0].body.decode()
    page.post(f"/notices/chats/{chat.pk}/delete/")
    assert not NoticeRecipient.objects.filter(user=None).exists()


def test_a_program_adds_and_changes_a_chat_and_never_reads_its_address(
    page: Client, receiver: Receiver
) -> None:
    def ask(method: str, path: str, **values: Any) -> Any:
        send = getattr(page, method)
        return send(f"/api/v1/{path}", json.dumps(values), content_type="application/json")

    made = ask("post", "chats/", name="prices", url=receiver.url, kinds=["failed"])
    assert made.status_code == 201
    assert "/hook" not in made.content.decode()
    path = f"chats/{made.json()['id']}/"
    assert ask("patch", path, enabled=False).json() == {**made.json(), "enabled": False}
    assert ask("post", f"{path}test/").status_code == 409
    refused = ask("patch", path, url="http://10.0.0.1/").json()
    assert refused["errors"]["url"][0]["code"] == "address_not_public"
    assert ask("delete", path).status_code == 204


def test_ops_staff_see_that_mails_fail(
    mara: User, mail_server: MailServer, client: Client, static_files: None
) -> None:
    mail_server.refuse["MAIL"] = "550 no"
    tell(mara)
    send_notices()
    client.force_login(User.objects.create_superuser("ops"))
    listed = client.get("/notices/chats/").content.decode()
    assert "E-mails cannot be sent" in listed
    assert "550 no" in listed
    metrics = client.get("/metrics").content.decode()
    assert 'product_importer_notices_ended_total{outcome="mail_failed"} 1.0' in metrics
    assert "product_importer_notices_pending 1.0" in metrics
    assert 'product_importer_notice_recipients_failing{channel="mail"} 1.0' in metrics
    assert "550 no" in client.get("/admin/").content.decode()


def test_old_notices_are_cleared_away(mara: User, clock: Callable[[timedelta], None]) -> None:
    tell(mara, "Old")
    clock(retention.NOTICES_KEPT - timedelta(seconds=60))
    tell(mara, "New")
    Notice.objects.filter(title="New").update(created_at=timezone.now())
    assert retention.clear_notices() == 0
    clock(timedelta(seconds=61))
    assert retention.clear_notices() == 1
    assert list(Notice.objects.values_list("title", flat=True)) == ["New"]
