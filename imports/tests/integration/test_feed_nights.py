"""Three nights of a feed at a real server of each kind: usual, nothing new, unusual."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from moto.server import ThreadedMotoServer

from catalog.models import Product
from catalog.operations import undo
from conftest import Messages
from imports.fetching.schemes import sheets
from imports.fetching.source import Limits
from imports.models import Feed, FeedRun, ImportJob, NoticeRecipient
from imports.operations import jobs
from imports.operations.feeds import runs
from imports.operations.notices.sending import send_notices
from imports.queries.feeds import with_runs
from imports.tests import ftp_servers, servers
from imports.tests.integration.test_feeds import USUAL, Clock, clock, make_feed, night, supplier

__all__ = ["clock", "make_feed", "night", "supplier"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)

SHEET = "https://docs.google.com/spreadsheets/d/abc/edit#gid=0"


@dataclass
class Shop:
    """A supplier's server: where its list is, who may read it, and how another one is put there."""

    url: str
    put: Callable[[bytes], object]
    login: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def shop(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    authority: servers.Authority,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    """The server of the kind that the test asks for; certificates are of a private authority."""
    trusting = Limits(allowed=servers.LOOPBACK, ca_file=authority.ca_file, settle_seconds=0.01)
    monkeypatch.setattr(runs, "limits", lambda: trusting)
    with ExitStack() as stack:
        yield _KINDS[request.param](stack, tmp_path, authority, clock)


def _dated(clock: Clock) -> float:
    """When a file was changed, by the clock of its server, which nobody has stopped."""
    return servers.NOW - 10 * 86_400 + clock.moment.day * 86_400


def _https(stack: ExitStack, _: Path, authority: servers.Authority, clock: Clock) -> Shop:
    web = stack.enter_context(servers.web_server(authority.context))

    def put(data: bytes) -> None:
        web.put("/list.csv", data, login=("mara", "s3cret"), modified=_dated(clock))

    return Shop(f"{web.url}/list.csv", put, {"username": "mara", "password": "s3cret"})


def _sheet(stack: ExitStack, _: Path, authority: servers.Authority, clock: Clock) -> Shop:
    web = stack.enter_context(servers.web_server(authority.context))
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setattr(sheets, "GOOGLE", f"{web.url}/d")
    return Shop(SHEET, lambda data: web.put("/d/abc/export", data, validators=False))


def _folder(folder: Path, clock: Clock) -> Callable[[bytes], None]:
    """Puts each list there under another name, as suppliers do."""

    def put(data: bytes) -> None:
        path = folder / f"prices-{clock.moment:%Y%m%d}.csv"
        path.write_bytes(data)
        os.utime(path, (_dated(clock), _dated(clock)))

    (folder / "readme.txt").write_text("no list")
    return put


def _sftp(stack: ExitStack, folder: Path, _: servers.Authority, clock: Clock) -> Shop:
    server = stack.enter_context(servers.sftp_server(folder))
    login = {"username": server.username, "password": server.password}
    return Shop(f"{server.url}/", _folder(folder, clock), {**login, "pattern": "prices-*"})


_FTP_LOGIN = {"username": ftp_servers.USERNAME, "password": ftp_servers.PASSWORD}


def _ftp(stack: ExitStack, folder: Path, _: servers.Authority, clock: Clock) -> Shop:
    url = stack.enter_context(ftp_servers.pyftpd_server(folder))
    return Shop(f"{url}/", _folder(folder, clock), {**_FTP_LOGIN, "pattern": "prices-*"})


def _ftps(stack: ExitStack, folder: Path, authority: servers.Authority, clock: Clock) -> Shop:
    server = stack.enter_context(ftp_servers.ftp_server(folder, authority))
    return Shop(f"{server.url}/", _folder(folder, clock), {**_FTP_LOGIN, "pattern": "prices-*"})


def _s3(stack: ExitStack, _: Path, authority: servers.Authority, clock: Clock) -> Shop:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    stack.callback(moto.stop)
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **keys)
    client.create_bucket(Bucket="lists")
    return Shop(
        f"s3://lists/out/?endpoint={endpoint}",
        lambda data: client.put_object(Bucket="lists", Key="out/prices.csv", Body=data),
        {"username": "AKIAEXAMPLE", "password": "s3cret"},
    )


_KINDS: dict[str, Callable[[ExitStack, Path, servers.Authority, Clock], Shop]] = {
    **{"https": _https, "sheet": _sheet, "sftp": _sftp, "ftp": _ftp, "ftps": _ftps, "s3": _s3},
}


@pytest.mark.parametrize("shop", _KINDS, indirect=True)
def test_three_nights_usual_nothing_new_unusual(
    shop: Shop,
    make_feed: Callable[..., Feed],
    night: Callable[[str], FeedRun],
    clock: Clock,
    messages: Messages,
    user: User,
    settings: Any,
    mailoutbox: list[EmailMessage],
) -> None:
    settings.EMAIL_IS_SET_UP, settings.SITE_URL = True, "https://shop.example.com"
    User.objects.filter(pk=user.pk).update(email="mara@example.com")
    NoticeRecipient.objects.create(user=user, not_before=clock.moment)
    shop.put(USUAL.encode())
    feed = make_feed(shop.url, user, **shop.login)

    run = night("2026-03-03T02:00:02")
    assert (run.outcome, run.due_at) == ("applied", datetime(2026, 3, 3, 2, tzinfo=UTC)), run.reason
    assert (run.job and run.job.created, Product.objects.count()) == (20, 20)

    run = night("2026-03-04T02:00:02")
    assert (run.outcome, run.job) == ("unchanged", None), run.reason
    assert (ImportJob.objects.count(), send_notices()) == (1, 0)

    shop.put(USUAL.replace(",7.00", ",70.00").encode())
    run = night("2026-03-05T02:00:02")
    assert run.outcome == "waiting", run.reason
    assert run.job is not None
    assert Product.objects.get(sku="A-7").price == 7
    assert send_notices() == 1
    (mail,) = mailoutbox
    assert mail.to == ["mara@example.com"]
    for said in ("tenfold", f"https://shop.example.com/imports/{run.job_id}/", "1 updated"):
        assert said in mail.body

    jobs.apply_import(job_id=run.job.pk, user=user)
    messages.run_all()
    run.job.refresh_from_db()
    assert run.job.status == "completed"
    assert Product.objects.get(sku="A-7").price == 70
    undo.start_undo(change_set_id=run.job.change_set_id or 0, actor=user)
    messages.run_all()
    assert Product.objects.get(sku="A-7").price == 7
    [row] = with_runs([feed])
    assert [run.outcome_label for run in row.runs] == ["Applied", "Nothing new", "Applied, undone"]
