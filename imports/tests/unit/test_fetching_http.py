"""Files by https and http, from servers that behave and from those that do not."""

import errno
import gzip
import io
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from imports.fetching import clock
from imports.fetching.fetch import fetch, look
from imports.fetching.schemes import sheets
from imports.fetching.source import Fetched, FetchFailed, Known, Limits, Source
from imports.tests.servers import FAST, Authority, Handler, WebServer, new_in, web_server
from product_importer.common import address_guard

LIST = b"sku,name,price\n" + b"".join(b"A%06d,Lamp,9.90\n" % n for n in range(100_000))
Get = Callable[..., tuple[Fetched | None, bytes]]


@pytest.fixture
def get(authority: Authority) -> Get:
    """Fetch an address or a source; returns what was told, and the bytes."""

    def run(
        source: str | Source,
        known: Known = Known(),  # noqa: B008
        **values: Any,
    ) -> tuple[Fetched | None, bytes]:
        into = io.BytesIO()
        source = Source(source) if isinstance(source, str) else source
        found = fetch(source, known, into, limits=authority.limits(**values))
        return new_in(found), into.getvalue()

    return run


@pytest.fixture
def failure(get: Get) -> Callable[..., FetchFailed]:
    def run(*args: Any, **values: Any) -> FetchFailed:
        with pytest.raises(FetchFailed) as raised:
            get(*args, **values)
        return raised.value

    return run


def test_a_file_comes_whole_and_is_not_sent_again(web: WebServer, get: Get) -> None:
    url = web.put("/lists/prices.csv", LIST)
    fetched, data = get(url)
    assert fetched is not None
    assert data == LIST
    assert (fetched.name, fetched.size) == ("prices.csv", len(LIST))
    assert get(url, fetched.known)[0] is None
    assert web.seen[-1][1]["if-none-match"] == web.files["/lists/prices.csv"].etag


def test_the_same_bytes_without_any_version_are_nothing_new(web: WebServer, get: Get) -> None:
    url = web.put("/list.csv", LIST, validators=False)
    fetched, _ = get(url)
    assert fetched is not None
    assert get(url, fetched.known)[0] is None
    web.put("/list.csv", LIST + b"B,Lamp,1.00\n", validators=False)
    assert get(url, fetched.known)[0] is not None


def test_a_server_that_ignores_conditions_is_not_read_to_the_end(web: WebServer, get: Get) -> None:
    url = web.put("/list.csv", LIST)
    fetched, _ = get(url)
    assert fetched is not None
    etag = web.files["/list.csv"].etag
    web.on("/list.csv", lambda h: h.answer(200, LIST, etag=etag))
    assert get(url, fetched.known) == (None, b"")


def test_a_file_that_was_changed_within_the_second_of_the_last_one_is_new(
    web: WebServer, get: Get
) -> None:
    url = web.put("/list.csv", LIST)
    fetched, _ = get(url)
    assert fetched is not None
    web.put("/list.csv", b"sku,name\nB,Late\n")

    def by_date_alone(handler: Handler) -> None:
        if "If-Modified-Since" in handler.headers:
            handler.answer(304)
        else:
            handler._serve(web.files["/list.csv"])

    web.on("/list.csv", by_date_alone)
    assert get(url, fetched.known)[1] == b"sku,name\nB,Late\n"


def test_a_fetch_goes_on_where_the_connection_broke(web: WebServer, get: Get) -> None:
    url = web.put("/list.csv", LIST, breaks=[500_000, 300_000, 0])
    fetched, data = get(url)
    assert fetched is not None
    assert data == LIST
    ranges = [headers.get("range", "bytes=0-") for _, headers in web.seen]
    starts = [int(span.removeprefix("bytes=").rstrip("-")) for span in ranges]
    # A reset throws away what was on its way.
    assert len(starts) == 4
    assert 0 == starts[0] < starts[1] < starts[2] <= starts[3] <= 800_000


def test_what_came_of_an_older_version_is_thrown_away(web: WebServer, get: Get) -> None:
    newer = LIST.replace(b"9.90", b"8.80")
    url = web.put("/list.csv", LIST)

    def breaks(handler: Handler) -> None:
        etag = web.files["/list.csv"].etag
        handler.answer(200, LIST[:500_000], etag=etag, content_length=str(len(LIST)))
        del web.answers["/list.csv"]
        web.put("/list.csv", newer)
        handler.reset()

    web.on("/list.csv", breaks)
    assert get(url)[1] == newer


def test_without_ranges_a_broken_fetch_begins_anew(web: WebServer, get: Get) -> None:
    url = web.put("/list.csv", LIST, breaks=[500_000], ranges=False)
    assert get(url)[1] == LIST


def test_a_server_that_always_breaks_ends_in_a_sentence(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    url = web.on("/a", lambda h: h.answer(200, LIST[:10], content_length=str(len(LIST))))
    failed = failure(url)
    assert (failed.code, failed.temporary) == ("connection_lost", True)
    assert f"10 of {len(LIST):,} bytes arrived" in failed.message
    assert len(web.seen) == 5


def test_a_password_is_asked_for_refused_and_taken(
    web: WebServer, get: Get, failure: Callable[..., FetchFailed]
) -> None:
    url = web.put("/list.csv", LIST, login=("shop", "s3crèt"))
    assert failure(url).message == "The server asks for a password."
    assert failure(Source(url, username="shop", password="guess")).code == "wrong_password"
    assert get(Source(url, username="shop", password="s3crèt"))[1] == LIST


def test_headers_go_to_the_own_host_only(web: WebServer, plain_web: WebServer, get: Get) -> None:
    source = Source(web.on("/list", lambda h: h.answer(302, location="/moved.csv")))
    web.put("/moved.csv", LIST)
    source = Source(source.url, username="u", password="p", headers=(("X-Key", "k3y"),))
    assert get(source)[1] == LIST
    assert web.seen[-1][1]["x-key"] == "k3y"
    other = f"https://127.0.0.1:{web.port}/moved.csv"
    web.on("/list", lambda h: h.answer(302, location=other))
    assert get(source)[1] == LIST
    assert not {"x-key", "authorization"} & web.seen[-1][1].keys()


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/x", "http://[::ffff:127.0.0.1]/x", "http://169.254.169.254/"]
)
def test_a_redirect_to_an_inner_address_is_not_followed(
    plain_web: WebServer, failure: Callable[..., FetchFailed], target: str
) -> None:
    url = plain_web.on("/list", lambda h: h.answer(302, location=target))
    assert failure(url).code == "address_not_public"


@pytest.mark.parametrize(
    ("target", "code"),
    [("file:///etc/passwd", "scheme_not_allowed"), ("http://127.0.0.1/", "redirect_insecure")],
)
def test_a_redirect_leads_to_the_web_and_from_https_to_https(
    web: WebServer, failure: Callable[..., FetchFailed], target: str, code: str
) -> None:
    url = web.on("/list", lambda h: h.answer(302, location=target))
    assert failure(url).code == code


def test_redirects_in_a_circle_end(web: WebServer, failure: Callable[..., FetchFailed]) -> None:
    url = web.on("/list", lambda h: h.answer(307, location="/list"))
    assert failure(url).code == "too_many_redirects"


def test_a_name_that_answers_otherwise_the_next_time_is_vetted_again(
    web: WebServer, failure: Callable[..., FetchFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    turns = [0]

    def rebound(host: Any, port: Any, *args: Any, **values: Any) -> Any:
        if host != "localhost":
            return real(host, port, *args, **values)
        turns[0] += 1
        return real("127.0.0.1" if turns[0] == 1 else "10.0.0.1", port, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    assert failure(web.put("/list.csv", LIST, breaks=[1000])).code == "address_not_public"
    assert len(web.seen) == 1


def test_nothing_inner_is_called_unless_it_is_let(web: WebServer) -> None:
    with pytest.raises(FetchFailed) as raised:
        fetch(Source(web.put("/list.csv", LIST)), Known(), io.BytesIO(), limits=Limits())
    assert raised.value.code == "address_not_public"
    assert not web.seen


def test_a_certificate_of_nobody_is_refused(web: WebServer) -> None:
    with pytest.raises(FetchFailed) as raised:
        fetch(Source(web.put("/a", LIST)), Known(), io.BytesIO(), limits=Limits(**FAST))
    assert raised.value.code == "tls_failed"
    assert "certificate is not valid" in raised.value.message


def test_a_certificate_that_has_expired_is_refused(tmp_path: Path) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    ended = long_ago + timedelta(days=90)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired = authority.issue_cert("localhost", not_before=long_ago, not_after=ended)
    expired.configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    limits = Limits(**FAST, ca_file=str(tmp_path / "ca.pem"))
    with web_server(context) as web, pytest.raises(FetchFailed) as raised:
        fetch(Source(web.put("/a", LIST)), Known(), io.BytesIO(), limits=limits)
    assert (raised.value.code, raised.value.temporary) == ("tls_failed", False)
    assert "expired" in raised.value.message


PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body>%s</body></html>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (PAGE % (b"Sign in", b"<form><input type='password'></form>"), "login_page"),
        (PAGE % (b"Page not found", b"Sorry"), "not_found"),
        (PAGE % (b"Welcome", b"<p>To our shop</p>"), "web_page"),
        (b'{"error": "not found"}', "error_page"),
        (b"", "empty"),
    ],
)
def test_what_comes_in_place_of_a_file_has_its_sentence(
    web: WebServer, failure: Callable[..., FetchFailed], body: bytes, code: str
) -> None:
    assert failure(web.put("/list.csv", body)).code == code


@pytest.mark.parametrize(
    ("status", "code", "temporary"),
    [
        (403, "forbidden", False),
        (404, "not_found", True),
        (410, "not_found", True),
        (429, "too_often", True),
        (503, "server_error", True),
        (400, "bad_response", False),
    ],
)
def test_each_refusal_has_its_sentence(
    web: WebServer, failure: Callable[..., FetchFailed], status: int, code: str, temporary: bool
) -> None:
    failed = failure(web.on("/list.csv", lambda h: h.answer(status, b"no")), tries=2)
    assert (failed.code, failed.temporary) == (code, temporary)


def test_a_server_that_fails_for_a_while_is_asked_again(web: WebServer, get: Get) -> None:
    url = web.put("/list.csv", LIST)
    left = [3]

    def fails(handler: Handler) -> None:
        left[0] -= 1
        if not left[0]:
            del web.answers["/list.csv"]
        handler.answer(503, retry_after="0")

    web.on("/list.csv", fails)
    assert get(url)[1] == LIST
    assert len(web.seen) == 4


def test_a_wait_longer_than_ours_is_left_to_who_called(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    failed = failure(web.on("/list.csv", lambda h: h.answer(503, retry_after="600")))
    assert failed.retry_after == 600
    assert len(web.seen) == 1


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("9" * 400, 86_400), ("-5", 0), ("soon", 0), ("Fri, 31 Dec 9999 23:59:59 -2300", 86_400)],
)
def test_a_wait_that_is_asked_for_is_taken_up_to_a_day(
    web: WebServer, failure: Callable[..., FetchFailed], asked: str, seconds: float
) -> None:
    url = web.on("/list.csv", lambda h: h.answer(503, retry_after=asked))
    assert failure(url, tries=1).retry_after == seconds


def test_a_wait_may_be_told_as_a_date(web: WebServer, failure: Callable[..., FetchFailed]) -> None:
    at = formatdate(time.time() + 600, usegmt=True)
    failed = failure(web.on("/list.csv", lambda h: h.answer(429, retry_after=at)))
    assert 300 < failed.retry_after <= 600


def test_gzip_as_content_encoding_is_unpacked(web: WebServer, get: Get) -> None:
    headers = {"content_encoding": "gzip"}
    fetched, data = get(web.put("/list.csv", gzip.compress(LIST), headers=headers))
    assert fetched is not None
    assert (data, fetched.size) == (LIST, len(LIST))


def test_what_unpacks_to_far_more_is_left(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    packed = gzip.compress(b"\0" * 100_000_000)
    url = web.put("/list.csv", packed, headers={"content_encoding": "gzip"})
    assert failure(url).code == "unpacked_too_large"


def test_gzip_that_is_none_and_gzip_that_is_cut_are_told(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    headers = {"content_encoding": "gzip"}
    assert failure(web.put("/a", LIST, headers=headers)).code == "encoding"
    cut = gzip.compress(LIST)[:-9]
    assert failure(web.put("/b", cut, headers=headers)).code == "connection_lost"


def test_a_length_that_is_a_lie_is_found_out(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    longer = web.on("/a", lambda h: h.answer(200, LIST, content_length="1000"))
    shorter = web.on("/b", lambda h: h.answer(200, LIST, content_length=str(len(LIST) + 1)))
    assert failure(longer).code == "length_wrong"
    assert failure(shorter).code == "connection_lost"


def test_an_endless_body_ends_at_the_limit(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    def endless(handler: Handler) -> None:
        handler.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            handler.say(b"A,Lamp\n" * 10_000)

    assert failure(web.on("/a", endless), bytes=1_000_000).code == "too_large"


def test_a_file_that_says_it_is_too_large_is_not_begun(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    url = web.on("/a", lambda h: h.answer(200, b"sku", content_length="99999999999"))
    assert failure(url).code == "too_large"


def test_a_server_that_hangs_is_left(web: WebServer, failure: Callable[..., FetchFailed]) -> None:
    def hangs(handler: Handler) -> None:
        handler.say(b"HTTP/1.1 200 OK\r\n\r\n" + LIST)
        handler.rfile.read(1)

    # Of one byte: a stretch may end anywhere in what was sent before.
    stretch = {"slow_seconds": 0.6, "slow_bytes": 1, "tries": 1}
    assert failure(web.on("/hangs", hangs), **stretch).code == "silent"


def test_a_server_that_drips_is_left(
    web: WebServer, failure: Callable[..., FetchFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on with each byte alone, however slow the machine is."""

    def drips(handler: Handler) -> None:
        handler.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            handler.say(b"x")

    now = [0.0]
    count = clock.Clock.count

    def counted(own: clock.Clock, size: int) -> None:
        count(own, size)
        now[0] += size

    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(clock.Clock, "count", counted)
    url = web.on("/drips", drips)
    drip = {"slow_seconds": 600, "slow_bytes": 5_000, "tries": 1}
    assert failure(url, **drip, seconds=10**6).code == "too_slow"
    assert failure(url, slow_bytes=1, seconds=600).code == "time_limit"


def test_what_is_no_http_at_all_is_told(
    plain_web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    url = plain_web.on("/a", lambda h: h.say(b"220 Welcome to our FTP server\r\n"))
    assert failure(url).code == "bad_response"


def test_a_dead_server_and_a_name_of_nobody_are_told(
    failure: Callable[..., FetchFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}/").code == "connect_failed"

    def nobody(*args: Any, **values: Any) -> Any:
        raise address_guard.NotFound("The host name has no address.")

    monkeypatch.setattr(address_guard, "look_up", nobody)
    assert failure("https://nobody.example/list.csv").code == "name_not_found"


def test_a_look_reads_the_beginning_only(web: WebServer, authority: Authority) -> None:
    found = look(Source(web.put("/list.csv", LIST)), limits=authority.limits(head=1000))
    assert (found.name, found.head, found.size) == ("list.csv", LIST[:1000], len(LIST))


def test_who_called_is_told_how_far_it_is_and_can_end_it(
    web: WebServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imports.fetching.clock.BEAT_SECONDS", 0.0)

    class Enough(Exception):
        pass

    def alive(size: int, total: int | None) -> None:
        if total == len(LIST):
            raise Enough

    url = web.put("/list.csv", LIST)
    with pytest.raises(Enough):
        fetch(Source(url), Known(), io.BytesIO(), limits=authority.limits(), alive=alive)


def test_headers_that_the_exchange_is_made_of_are_refused(
    web: WebServer, failure: Callable[..., FetchFailed]
) -> None:
    for header in (("Host", "inner"), ("X-Key", "a\r\nHost: inner")):
        source = Source(web.put("/list.csv", LIST), headers=(header,))
        assert failure(source).code == "header_invalid"


def test_a_disk_that_is_full_is_not_taken_for_a_broken_connection(
    web: WebServer, authority: Authority
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    url = web.put("/list.csv", LIST)
    with pytest.raises(OSError, match="No space") as raised:
        fetch(Source(url), Known(), Full(), limits=authority.limits())
    assert raised.value.errno == errno.ENOSPC
    assert len(web.seen) == 1


@pytest.mark.parametrize(
    ("link", "export"),
    [
        ("/d/1aB-_c/edit#gid=7", "/1aB-_c/export?format=csv&gid=7"),
        ("/d/1aB-_c/edit?usp=sharing", "/1aB-_c/export?format=csv"),
        ("/d/1aB-_c", "/1aB-_c/export?format=csv"),
        ("/u/0/d/1aB-_c/edit?gid=7#gid=7", "/1aB-_c/export?format=csv&gid=7"),
        ("/d/1aB-_c/edit#gid=7%26x", "/1aB-_c/export?format=csv"),
        ("/d/e/2PACX-9/pubhtml", "/e/2PACX-9/pub?output=csv"),
        ("/d/e/2PACX-9/pubhtml?gid=3&single=true", "/e/2PACX-9/pub?output=csv&gid=3&single=true"),
        ("/d/1aB-_c/export?format=xlsx#gid=0", "/1aB-_c/export?format=xlsx"),
        ("/d/e/2PACX-9/pub?output=tsv", "/e/2PACX-9/pub?output=tsv"),
    ],
)
def test_a_link_to_a_sheet_becomes_the_address_of_its_csv(link: str, export: str) -> None:
    url = f"https://docs.google.com/spreadsheets{link}"
    assert sheets.is_sheet(url)
    assert sheets.export_url(url) == f"https://docs.google.com/spreadsheets/d{export}"


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.google.com/document/d/1aB-_c/edit",
        "https://docs.google.com.example.com/spreadsheets/d/1aB-_c/edit",
        "https://example.com/?x=https://docs.google.com/spreadsheets/d/1aB-_c/edit",
    ],
)
def test_what_only_resembles_a_sheet_is_fetched_as_it_is(url: str) -> None:
    assert not sheets.is_sheet(url)


def test_a_sheet_is_fetched_as_csv_and_a_private_one_is_told(
    web: WebServer, get: Get, failure: Callable[..., FetchFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "GOOGLE", f"{web.url}/d")
    name = {"content_disposition": 'attachment; filename="Prices - Summer.csv"'}
    web.put("/d/1aB/export", LIST, headers=name, validators=False)
    link = "https://docs.google.com/spreadsheets/d/1aB/edit#gid=7"
    fetched, data = get(link)
    assert fetched is not None
    assert (fetched.name, data) == ("Prices - Summer.csv", LIST)
    assert web.seen[-1][0] == "/d/1aB/export?format=csv&gid=7"
    web.on("/d/1aB/export", lambda h: h.answer(307, location="/ServiceLogin"))
    web.put("/ServiceLogin", PAGE % (b"Sign-in", b"<input type='email'>"))
    assert failure(link).code == "sheet_not_shared"
