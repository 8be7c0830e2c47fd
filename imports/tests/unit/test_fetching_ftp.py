"""Files by FTP and FTPS: log-ins, TLS, folders, breaks, passive addresses."""

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imports.fetching.fetch import fetch, look
from imports.fetching.source import Fetched, FetchFailed, Known, Limits, Source
from imports.tests.ftp_servers import PASSWORD, USERNAME, FtpServer, ftp_server, pyftpd_server
from imports.tests.servers import FAST, Authority, new_in

LIST = b"sku,name,price\n" + b"".join(b"A%06d,Lamp,9.90\n" % n for n in range(100_000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ftp"
    folder.mkdir()
    return folder


@pytest.fixture
def ftp(folder: Path) -> Iterator[FtpServer]:
    with ftp_server(folder) as server:
        yield server


@pytest.fixture
def ftps(folder: Path, authority: Authority) -> Iterator[FtpServer]:
    with ftp_server(folder, authority) as server:
        yield server


@pytest.fixture
def limits(authority: Authority) -> Callable[..., Limits]:
    def make(**values: Any) -> Limits:
        return authority.limits(**{"settle_seconds": 0.01, **values})

    return make


Get = Callable[..., tuple[Fetched | None, bytes]]


@pytest.fixture
def get(limits: Callable[..., Limits]) -> Get:
    def run(
        url: str,
        known: Known = Known(),  # noqa: B008
        *,
        password: str = PASSWORD,
        pattern: str = "",
        **values: Any,
    ) -> tuple[Fetched | None, bytes]:
        into = io.BytesIO()
        source = Source(url, username=USERNAME, password=password, pattern=pattern)
        found = fetch(source, known, into, limits=limits(**values))
        return new_in(found), into.getvalue()

    return run


@pytest.fixture
def failure(get: Get) -> Callable[..., FetchFailed]:
    def run(*args: Any, **values: Any) -> FetchFailed:
        with pytest.raises(FetchFailed) as raised:
            get(*args, **values)
        return raised.value

    return run


def put(folder: Path, name: str, data: bytes = LIST, modified: float = 1_700_000_000) -> str:
    """Write a file of a date in seconds since 1970; returns its path at the server."""
    (folder / name).write_bytes(data)
    os.utime(folder / name, (modified, modified))
    return f"/{name}"


def test_a_file_comes_from_a_usual_server_and_is_known_the_next_time(
    folder: Path, get: Get
) -> None:
    path = put(folder, "list.csv")
    with pyftpd_server(folder) as url:
        fetched, data = get(url + path)
        assert fetched is not None
        assert data == LIST
        assert fetched.known.size == len(LIST)
        assert fetched.known.modified == "2023-11-14T22:13:20+00:00"
        assert get(url + path, fetched.known) == (None, b"")


def test_the_newest_file_of_a_folder_comes_from_a_usual_server(folder: Path, get: Get) -> None:
    (folder / "lists").mkdir()
    put(folder / "lists", "prices-1.csv", b"sku\nold\n", modified=1_700_000_000)
    put(folder / "lists", "prices-2.csv", b"sku\nnew\n", modified=1_700_000_500)
    put(folder / "lists", "stock.csv", b"sku\nother\n", modified=1_700_000_900)
    with pyftpd_server(folder) as url:
        for path in ("/lists/", "/~/lists/"):
            fetched, data = get(f"{url}{path}", pattern="prices-*.csv")
            assert fetched is not None
            assert (fetched.name, data) == ("prices-2.csv", b"sku\nnew\n")
            assert get(f"{url}{path}", fetched.known, pattern="prices-*.csv")[0] is None


def test_each_refusal_of_a_usual_server_has_its_sentence(
    folder: Path, failure: Callable[..., FetchFailed]
) -> None:
    (folder / "lists").mkdir()
    path = put(folder, "list.csv")
    with pyftpd_server(folder) as url:
        told = [
            failure(f"{url}/none.csv").code,
            failure(f"{url}/none/").code,
            failure(f"{url}/lists").code,
            failure(f"{url}/lists/").code,
            failure(url + path, password="guess").code,
            failure(url + path, password="").message,
            failure(url + path, password="a\r\nDELE list.csv").code,
            failure(f"{url}/list.csv%0D%0ADELE%20list.csv").code,
            failure(url + path, bytes=1000).code,
        ]
    assert told == [
        *("not_found", "not_found", "is_folder", "no_file"),
        *("wrong_password", "The server asks for a password.", "login_invalid", "url_invalid"),
        "too_large",
    ]


def test_by_ftps_all_goes_over_tls_of_one_session(ftps: FtpServer, folder: Path, get: Get) -> None:
    fetched, data = get(ftps.url + put(folder, "list.csv"))
    assert fetched is not None
    assert data == LIST
    assert ftps.commands[:5] == ["AUTH TLS", "PBSZ 0", "PROT P", f"USER {USERNAME}", "PASS s3cret"]
    assert ftps.resumed == [True]


def test_a_server_that_ends_without_goodbye_is_believed_by_size(
    ftps: FtpServer, folder: Path, get: Get
) -> None:
    ftps.goodbye = False
    assert get(ftps.url + put(folder, "list.csv"))[1] == LIST


def test_a_certificate_of_nobody_is_refused_before_the_log_in(
    ftps: FtpServer, folder: Path
) -> None:
    source = Source(ftps.url + put(folder, "list.csv"), username=USERNAME, password=PASSWORD)
    with pytest.raises(FetchFailed) as raised:
        fetch(source, Known(), io.BytesIO(), limits=Limits(**FAST))
    assert raised.value.code == "tls_failed"
    assert ftps.commands == ["AUTH TLS"]


def test_without_tls_no_password_is_sent_by_ftps(
    ftp: FtpServer, folder: Path, failure: Callable[..., FetchFailed]
) -> None:
    assert failure(ftp.url.replace("ftp:", "ftps:") + put(folder, "list.csv")).code == "tls_failed"
    assert ftp.commands == ["AUTH TLS"]


def test_a_server_that_wants_tls_says_so(
    ftps: FtpServer, folder: Path, failure: Callable[..., FetchFailed]
) -> None:
    failed = failure(ftps.url.replace("ftps:", "ftp:") + put(folder, "list.csv"))
    assert failed.code == "tls_needed"


@pytest.mark.parametrize("secure", [False, True])
def test_a_fetch_goes_on_where_the_connection_broke(
    folder: Path, get: Get, request: pytest.FixtureRequest, secure: bool
) -> None:
    server: FtpServer = request.getfixturevalue("ftps" if secure else "ftp")
    server.breaks = [600_000, 400_000]
    fetched, data = get(server.url + put(folder, "list.csv"))
    assert fetched is not None
    assert data == LIST
    rests = [int(line[5:]) for line in server.commands if line.startswith("REST")]
    # A reset throws away what was on its way.
    assert 0 < rests[-1] <= 1_000_000


def test_a_server_without_rest_sends_all_again(ftp: FtpServer, folder: Path, get: Get) -> None:
    ftp.breaks = [600_000]
    ftp.replies = {"REST": "502 Not here"}
    assert get(ftp.url + put(folder, "list.csv"))[1] == LIST


def test_without_a_date_what_came_before_a_break_is_not_gone_on_with(
    ftp: FtpServer, folder: Path, get: Get
) -> None:
    ftp.breaks = [600_000]
    ftp.replies = {"MDTM": "502 Not here"}
    newer = LIST.replace(b"9.90", b"8.80")
    path = put(folder, "list.csv")
    turns = iter([lambda: None])
    ftp.on_retrieve = lambda: next(turns, lambda: put(folder, "list.csv", newer))()
    assert get(ftp.url + path)[1] == newer


def test_what_came_of_an_older_version_is_thrown_away(
    ftp: FtpServer, folder: Path, get: Get
) -> None:
    path = put(folder, "list.csv")
    newer = LIST.replace(b"9.90", b"8.80")

    def change() -> None:
        put(folder, "list.csv", newer, modified=1_700_100_000)

    ftp.on_retrieve = change
    fetched, data = get(ftp.url + path)
    assert fetched is not None
    assert data == newer
    assert fetched.known.modified == "2023-11-16T02:00:00+00:00"


def test_a_server_that_tells_neither_size_nor_date_is_compared_by_its_bytes(
    ftp: FtpServer, folder: Path, get: Get
) -> None:
    ftp.replies = {"MDTM": "502 Not here", "SIZE": "502 Not here"}
    url = ftp.url + put(folder, "list.csv")
    fetched, data = get(url)
    assert fetched is not None
    assert data == LIST
    assert get(url, fetched.known)[0] is None


def test_a_passive_address_elsewhere_is_not_called(ftp: FtpServer, folder: Path, get: Get) -> None:
    path = put(folder, "list.csv")
    real = ftp.server.RequestHandlerClass._pasv  # type: ignore[attr-defined]

    def elsewhere(session: Any, argument: str) -> None:
        say = session._say
        session._say = lambda text: say(text.replace("(127,0,0,1,", "(10,0,0,1,"))
        real(session, argument)
        session._say = say

    ftp.server.RequestHandlerClass._pasv = elsewhere  # type: ignore[attr-defined]
    # What lies there is not asked: the data comes from the server itself.
    assert get(ftp.url + path, connect_seconds=5)[1] == LIST


def test_addresses_that_are_not_public_are_not_called(ftp: FtpServer) -> None:
    with pytest.raises(FetchFailed) as raised:
        fetch(Source(f"{ftp.url}/list.csv"), Known(), io.BytesIO(), limits=Limits())
    assert raised.value.code == "address_not_public"
    assert not ftp.commands


def test_an_old_server_is_asked_for_the_dates_of_the_names_that_fit(
    ftp: FtpServer, folder: Path, get: Get
) -> None:
    ftp.replies = {"MLSD": "500 What?"}
    put(folder, "prices-2.csv", b"sku\nold\n", modified=1_700_000_000)
    put(folder, "prices-1.csv", b"sku\nnew\n", modified=1_700_000_500)
    put(folder, "stock.csv", b"sku\nother\n", modified=1_700_000_900)
    fetched, data = get(f"{ftp.url}/", pattern="prices-*")
    assert fetched is not None
    assert (fetched.name, data) == ("prices-1.csv", b"sku\nnew\n")
    assert "MDTM stock.csv" not in ftp.commands


def test_names_with_line_breaks_are_left_out_and_counted(
    ftp: FtpServer, folder: Path, limits: Callable[..., Limits]
) -> None:
    put(folder, "good.csv", b"sku\nA\n")
    put(folder, "two\nlines.csv", b"x", modified=1_700_000_900)
    put(folder, "bell\x07.csv", b"x")
    source = Source(f"{ftp.url}/", username=USERNAME, password=PASSWORD)
    found = look(source, limits=limits())
    assert (found.name, found.head) == ("good.csv", b"sku\nA\n")
    assert [entry.name for entry in found.entries] == ["good.csv"]
    assert found.left_out == 2


def test_a_folder_of_a_hundred_thousand_names_is_read_and_one_more_is_refused(
    ftp: FtpServer, folder: Path, get: Get, failure: Callable[..., FetchFailed]
) -> None:
    put(folder, "n99999.csv", b"sku\nA\n")
    line = b"type=file;size=6;modify=20231114221320; n%05d.csv\r\n"
    ftp.listing = b"".join(line % n for n in range(100_000))
    fetched, data = get(f"{ftp.url}/")
    assert fetched is not None
    assert (fetched.name, data) == ("n99999.csv", b"sku\nA\n")
    ftp.listing += line % 100_000
    assert failure(f"{ftp.url}/").code == "too_many_names"


def test_a_listing_without_end_is_left_with_a_sentence(
    ftp: FtpServer, folder: Path, failure: Callable[..., FetchFailed]
) -> None:
    put(folder, "list.csv")
    failed = failure(f"{ftp.url}/", listing_seconds=0)
    assert (failed.code, failed.temporary) == ("listing_too_long", True)
    assert "names did not end" in failed.message
    ftp.listing = b"what is no name\r\n" * 100_001
    assert failure(f"{ftp.url}/").code == "too_many_names"


@pytest.mark.parametrize(
    ("replies", "code", "temporary"),
    [
        ({"USER": "421 Too many users"}, "too_often", True),
        ({"RETR": "451 Disk trouble"}, "server_error", True),
        ({"RETR": "550 Permission denied"}, "forbidden", False),
        ({"PASV": "227 Somewhere"}, "bad_response", True),
        ({"PASV": "227 Here (127,0,0,1,300,999)"}, "bad_response", True),
        ({"PASV": "227 Here (127,0,0,1,0,0)"}, "bad_response", True),
        ({"SIZE": "213 100"}, "changed", True),
        ({"SIZE": "213 99999999"}, "connection_lost", True),
        ({"SIZE": "213 99999999999"}, "too_large", False),
        ({"TYPE": "HTTP/1.1 400 Bad Request"}, "bad_response", True),
        ({"RETR": "426 Gone"}, "connection_lost", True),
    ],
)
def test_each_answer_that_is_none_has_its_sentence(
    ftp: FtpServer,
    folder: Path,
    failure: Callable[..., FetchFailed],
    replies: dict[str, str],
    code: str,
    temporary: bool,
) -> None:
    ftp.replies = replies
    url = ftp.url + put(folder, "list.csv")
    failed = failure(url, tries=2)
    assert (failed.code, failed.temporary) == (code, temporary)


def test_an_answer_without_end_is_left(
    ftp: FtpServer, folder: Path, failure: Callable[..., FetchFailed]
) -> None:
    ftp.replies = {"USER": "331-Welcome\r\n" * 2000}
    assert failure(ftp.url + put(folder, "list.csv"), tries=1).code == "bad_response"


def replace_data(ftp: FtpServer, send: Callable[[Any], object]) -> None:
    """Have ``send`` write to the data's connection, until the client has had enough."""

    def retrieve(session: Any, _: bytes, **options: Any) -> None:
        session._say("150 Here it comes")
        with contextlib.suppress(OSError), closing(session.listener.accept()[0]) as plain:
            data = plain
            if session.secure:
                data = ftp.context.wrap_socket(plain, server_side=True)  # type: ignore[union-attr]
            with closing(data):
                send(data)

    ftp.server.RequestHandlerClass._send = retrieve  # type: ignore[attr-defined]


@pytest.mark.parametrize("secure", [False, True])
def test_data_that_hangs_drips_or_never_ends_is_left(
    folder: Path,
    failure: Callable[..., FetchFailed],
    request: pytest.FixtureRequest,
    secure: bool,
) -> None:
    server: FtpServer = request.getfixturevalue("ftps" if secure else "ftp")
    url = server.url + put(folder, "list.csv")

    def endless(data: Any) -> None:
        while True:
            data.sendall(LIST)

    def drips(data: Any) -> None:
        while True:
            data.sendall(b"x")
            time.sleep(0.05)

    stretch = {"slow_seconds": 0.6, "slow_bytes": 50_000, "tries": 1}
    replace_data(server, lambda data: data.recv(1))
    assert failure(url, **stretch).code in ("silent", "too_slow")
    replace_data(server, drips)
    assert failure(url, **stretch).code == "too_slow"
    assert failure(f"{server.url}/", **stretch).code == "too_slow"
    replace_data(server, endless)
    server.replies = {"SIZE": "502 Not here"}
    assert failure(url, bytes=3_000_000).code == "too_large"


def test_a_log_in_page_by_ftp_is_no_file(
    ftp: FtpServer, folder: Path, failure: Callable[..., FetchFailed]
) -> None:
    page = b"<html><form><input type='password'></form></html>"
    assert failure(ftp.url + put(folder, "list.csv", page)).code == "login_page"


def test_a_look_reads_the_beginning_only(
    ftp: FtpServer, folder: Path, limits: Callable[..., Limits]
) -> None:
    source = Source(ftp.url + put(folder, "list.csv"), username=USERNAME, password=PASSWORD)
    found = look(source, limits=limits(head=1000))
    assert (found.name, found.head, found.size) == ("list.csv", LIST[:1000], len(LIST))
