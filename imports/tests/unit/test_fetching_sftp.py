"""Files by SFTP: keys, folders, breaks, files that change."""

import io
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from imports.fetching import sockets
from imports.fetching.clock import Clock
from imports.fetching.fetch import fetch, look
from imports.fetching.source import Fetched, FetchFailed, Known, Limits, Source
from imports.tests.servers import FAST, SftpServer, new_in, sftp_server

LIST = b"sku,name,price\n" + b"".join(b"A%06d,Lamp,9.90\n" % n for n in range(100_000))
Get = Callable[..., tuple[Fetched | None, bytes]]


@pytest.fixture
def put(sftp: SftpServer) -> Callable[..., str]:
    """Have the server serve a file, of a date in seconds since 1970; returns its address."""

    def run(name: str, data: bytes = LIST, modified: float = 1_700_000_000) -> str:
        path = sftp.folder / name
        path.write_bytes(data)
        os.utime(path, (modified, modified))
        return f"{sftp.url}/{name}"

    return run


@pytest.fixture
def source(sftp: SftpServer) -> Callable[..., Source]:
    def make(url: str, **values: Any) -> Source:
        return Source(url, **{"username": sftp.username, "password": sftp.password, **values})

    return make


def limits(**values: Any) -> Limits:
    return Limits(**{**FAST, "settle_seconds": 0.01, **values})


def get(
    source: Source,
    known: Known = Known(),  # noqa: B008
    into: io.BytesIO | None = None,
    **values: Any,
) -> tuple[Fetched | None, bytes]:
    into = into or io.BytesIO()
    found = fetch(source, known, into, limits=limits(**values))
    return new_in(found), into.getvalue()


def failure(source: Source, **values: Any) -> FetchFailed:
    with pytest.raises(FetchFailed) as raised:
        get(source, **values)
    return raised.value


def test_a_file_comes_whole_and_is_known_the_next_time(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv")
    fetched, data = get(source(url))
    assert fetched is not None
    assert data == LIST
    assert (fetched.name, fetched.size, fetched.known.size) == ("list.csv", len(LIST), len(LIST))
    reads = sftp.reads
    assert get(source(url, host_key=fetched.host_key), fetched.known) == (None, b"")
    assert sftp.reads == reads


def test_the_same_bytes_under_a_new_date_are_nothing_new(
    put: Callable[..., str], source: Callable[..., Source]
) -> None:
    fetched, _ = get(source(put("list.csv")))
    assert fetched is not None
    assert get(source(put("list.csv", modified=1_700_100_000)), fetched.known)[0] is None


def test_a_file_of_another_date_and_other_bytes_is_new(
    put: Callable[..., str], source: Callable[..., Source]
) -> None:
    fetched, _ = get(source(put("list.csv")))
    assert fetched is not None
    url = put("list.csv", LIST.replace(b"9.90", b"8.80"), modified=1_700_100_000)
    again, data = get(source(url), fetched.known)
    assert again is not None
    assert b"8.80" in data


def test_a_host_key_is_told_at_first_use_and_another_one_stops(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer, tmp_path: Path
) -> None:
    fetched, _ = get(source(put("list.csv")))
    assert fetched is not None
    own = sftp.host_keys[0].export_public_key().decode().split()
    assert fetched.host_key == " ".join(own[:2])
    with sftp_server(sftp.folder) as other:
        failed = failure(source(f"{other.url}/list.csv", host_key=fetched.host_key))
        assert other.logins == 0  # the password was not sent to it
    assert (failed.code, failed.temporary) == ("host_key_changed", False)
    assert "another host key than before" in failed.message


def test_a_host_key_of_another_kind_stops_too(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("list.csv")
    pin = " ".join(sftp.host_keys[0].export_public_key().decode().split()[:2])
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    with sftp_server(sftp.folder, host_key=key) as other:
        assert failure(source(f"{other.url}/list.csv", host_key=pin)).code == "host_key_changed"


def test_of_a_server_with_several_host_keys_the_pinned_one_is_asked_for(
    put: Callable[..., str], source: Callable[..., Source], tmp_path: Path, sftp: SftpServer
) -> None:
    put("list.csv")
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    with sftp_server(sftp.folder, host_key=key) as server:
        server.host_keys.append(asyncssh.generate_private_key("ssh-ed25519"))
        pin = " ".join(key.export_public_key().decode().split()[:2])
        fetched, _ = get(source(f"{server.url}/list.csv", host_key=pin))
    assert fetched is not None
    assert fetched.host_key == pin


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_a_private_key_logs_in(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer, passphrase: str
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    sftp.authorized.append(key.convert_to_public())
    text = key.export_private_key(passphrase=passphrase or None, rounds=50).decode()
    fetched, data = get(source(put("list.csv"), private_key=text, password=passphrase))
    assert fetched is not None
    assert data == LIST


def test_each_refused_login_has_its_sentence(
    put: Callable[..., str], source: Callable[..., Source]
) -> None:
    url = put("list.csv")
    key = asyncssh.generate_private_key("ssh-ed25519")
    stranger = key.export_private_key().decode()
    locked = key.export_private_key(passphrase="open sesame", rounds=50).decode()
    told = {
        "nothing": failure(source(url, password="")),
        "password": failure(source(url, password="guess")),
        "key": failure(source(url, private_key=stranger, password="")),
        "locked": failure(source(url, private_key=locked, password="")),
        "no key": failure(source(url, private_key="ssh-ed25519 AAAA", password="")),
    }
    assert {what: (one.code, one.message.split(":")[0]) for what, one in told.items()} == {
        "nothing": ("password_needed", "The server asks for a password or a key."),
        "password": ("wrong_password", "The server refuses the user name or password."),
        "key": ("wrong_password", "The server refuses the user name or private key."),
        "locked": (
            "private_key_invalid",
            "The private key needs its passphrase, in place of a password.",
        ),
        "no key": ("private_key_invalid", "The private key cannot be read"),
    }


def test_a_fetch_goes_on_where_the_connection_broke(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv", LIST * 4)
    sftp.breaks = [3_000_000, 5_000_000]
    offsets: list[int] = []
    sftp.before_read = offsets.append
    into = io.BytesIO()
    sftp.arrived = lambda: into.tell() > 0
    fetched, data = get(source(url), into=into)
    assert fetched is not None
    assert data == LIST * 4
    assert sftp.connections == 3
    assert offsets.count(0) == 1  # what had come did not come again


def test_what_came_of_an_older_version_is_thrown_away(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv", LIST * 4)
    sftp.breaks = [3_000_000]
    newer = LIST.replace(b"9.90", b"8.80") * 4
    sftp.on_break = lambda: put("list.csv", newer, modified=1_700_100_000)
    fetched, data = get(source(url))
    assert fetched is not None
    assert data == newer


def test_a_file_that_grows_while_it_is_read_is_not_taken_as_it_was(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv")
    grown = [False]

    def grow(offset: int) -> None:
        if not grown[0]:
            grown[0] = True
            put("list.csv", LIST + b"B,Late,1.00\n", modified=1_700_000_009)

    sftp.before_read = grow
    fetched, data = get(source(url))
    assert fetched is not None
    assert data.endswith(b"Late,1.00\n")
    assert fetched.known.modified == "2023-11-14T22:13:29+00:00"


def test_a_file_that_never_stops_growing_ends_in_a_sentence(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv", b"sku\n")

    def grow(offset: int) -> None:
        with (sftp.folder / "list.csv").open("ab") as file:
            file.write(b"A\n")

    sftp.before_read = grow
    failed = failure(source(url))
    assert (failed.code, failed.temporary) == ("changed", True)


def test_of_a_folder_the_newest_file_that_fits_is_taken(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("prices-1.csv", b"sku\nold\n", modified=1_700_000_000)
    put("prices-2.csv", b"sku\nnew\n", modified=1_700_000_500)
    put("stock.csv", b"sku\nother\n", modified=1_700_000_900)
    (sftp.folder / "prices-3.csv").mkdir()
    fetched, data = get(source(f"{sftp.url}/", pattern="prices-*.csv"))
    assert fetched is not None
    assert (fetched.name, data) == ("prices-2.csv", b"sku\nnew\n")
    assert get(source(f"{sftp.url}/", pattern="prices-*.csv"), fetched.known)[0] is None


def test_names_with_line_breaks_are_left_out_and_counted(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("good.csv", b"sku\nA\n")
    for name in (b"two\nlines.csv", b"\xff\xfe.csv", b"bell\x07.csv"):
        (Path(os.fsdecode(os.fsencode(sftp.folder) + b"/" + name))).write_bytes(b"x")
    found = look(source(f"{sftp.url}/"), limits=limits())
    assert (found.name, found.head) == ("good.csv", b"sku\nA\n")
    assert [entry.name for entry in found.entries] == ["good.csv"]
    assert found.left_out == 3


def test_a_folder_of_a_hundred_thousand_names_is_read_and_one_more_is_refused(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("n099999.csv", b"sku\nA\n")
    sftp.names = [b"n%06d.csv" % n for n in range(100_000)]
    fetched, data = get(source(f"{sftp.url}/", pattern="n09999*"))
    assert fetched is not None
    assert (fetched.name, data) == ("n099999.csv", b"sku\nA\n")
    sftp.names.append(b"more.csv")
    assert failure(source(f"{sftp.url}/")).code == "too_many_names"


def test_a_listing_that_takes_too_long_is_left_with_a_sentence(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("list.csv")
    failed = failure(source(f"{sftp.url}/"), listing_seconds=0)
    assert (failed.code, failed.temporary) == ("listing_too_long", True)


def test_a_server_that_hangs_in_its_listing_is_left(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("list.csv")
    sftp.lists_until = time.monotonic() + 120
    begun = time.monotonic()
    failed = failure(source(f"{sftp.url}/"), slow_seconds=0.5, tries=1)
    assert (failed.code, failed.temporary) == ("too_slow", True)
    assert time.monotonic() - begun < 60


def test_a_server_that_lies_about_a_files_size_is_found_out(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv")
    for told, bound, code in ((10**9, 2**31, "changed"), (2**62, 2**30, "too_large")):
        sftp.size = told
        assert failure(source(url), tries=1, bytes=bound).code == code


def test_a_look_at_a_folder_where_no_name_fits_tells_its_names(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("stock.csv", b"sku\nA\n")
    wanted = source(f"{sftp.url}/", pattern="prices-*")
    found = look(wanted, limits=limits())
    assert (found.name, [entry.name for entry in found.entries]) == ("", ["stock.csv"])
    failed = failure(wanted)
    assert failed.code == "no_file"
    assert "prices-*" in failed.message


def test_a_look_reads_the_beginning_only(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv", LIST * 10)
    found = look(source(url), limits=limits())
    assert found.head == LIST[: 256 * 1024]
    assert found.size == len(LIST) * 10
    assert found.host_key
    assert sftp.reads < 5


def test_what_is_not_there_or_is_a_folder_has_its_sentence(
    source: Callable[..., Source], sftp: SftpServer
) -> None:
    assert failure(source(f"{sftp.url}/none.csv")).code == "not_found"
    assert failure(source(f"{sftp.url}/none/")).code == "not_found"
    (sftp.folder / "lists").mkdir()
    assert failure(source(f"{sftp.url}/lists")).code == "is_folder"
    assert failure(source(f"{sftp.url}/a%0Ab.csv")).code == "url_invalid"


def test_a_file_larger_than_the_limit_is_not_begun(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    assert failure(source(put("list.csv")), bytes=1000).code == "too_large"
    assert sftp.reads == 0


def test_a_server_that_hangs_in_the_middle_is_left(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    url = put("list.csv", LIST * 4)
    sftp.hangs = True
    # Of one byte: a stretch may end anywhere in the log-in, or in what was sent before.
    failed = failure(source(url), slow_seconds=0.5, slow_bytes=1, tries=1)
    assert (failed.code, failed.temporary) == ("silent", True)


def test_a_server_that_says_nothing_is_left(source: Callable[..., Source]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sftp://127.0.0.1:{silent.getsockname()[1]}/list.csv"
        assert failure(source(url), connect_seconds=0.5, tries=1).code == "connect_timeout"


def test_a_connection_whose_time_is_up_before_the_log_in_is_closed(
    put: Callable[..., str], source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[socket.socket] = []

    def connect_late(host: str, port: int, clock: Clock, kind: type[Any]) -> socket.socket:
        opened.append(connect(host, port, clock, kind))
        monkeypatch.setattr(clock, "_connect_by", 0.0)
        return opened[-1]

    connect = sockets.connect
    monkeypatch.setattr(sockets, "connect", connect_late)
    assert failure(source(put("list.csv")), tries=1).code == "connect_timeout"
    assert [one.fileno() for one in opened] == [-1]


def test_addresses_that_are_not_public_are_not_called(
    put: Callable[..., str], source: Callable[..., Source], sftp: SftpServer
) -> None:
    put("list.csv")
    port = sftp.port
    for host in ("127.0.0.1", "localhost", "[::1]"):
        with pytest.raises(FetchFailed) as raised:
            fetch(source(f"sftp://{host}:{port}/list.csv"), Known(), io.BytesIO(), limits=Limits())
        assert raised.value.code == "address_not_public"
    assert sftp.connections == 0
