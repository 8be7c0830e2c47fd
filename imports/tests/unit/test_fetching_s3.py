"""Files in a bucket: signed requests, folders, refusals."""

import hashlib
import hmac
import io
import itertools
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from imports.fetching import clock
from imports.fetching.fetch import fetch, look
from imports.fetching.source import Fetched, FetchFailed, Known, Source
from imports.tests.servers import Authority, Handler, WebServer, new_in

LIST = b"sku,name,price\n" + b"".join(b"A%06d,Lamp,9.90\n" % n for n in range(1000))
KEYS = {"username": "AKIAEXAMPLE", "password": "s3cret/key+"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """A server of buckets; gives its endpoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def put(moto: str) -> Callable[[str, bytes], None]:
    """Put a file into the bucket of the tests, which is empty to begin with."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=moto, **keys)
    client.create_bucket(Bucket="lists")
    for found in client.list_objects_v2(Bucket="lists").get("Contents", []):
        client.delete_object(Bucket="lists", Key=found["Key"])
    return lambda key, data: client.put_object(Bucket="lists", Key=key, Body=data)


@pytest.fixture
def get(authority: Authority) -> Callable[..., tuple[Fetched | None, bytes]]:
    def run(
        url: str,
        known: Known = Known(),  # noqa: B008
        **values: Any,
    ) -> tuple[Fetched | None, bytes]:
        into = io.BytesIO()
        source = Source(url, **{**KEYS, **values})
        found = fetch(source, known, into, limits=authority.limits(tries=2))
        return new_in(found), into.getvalue()

    return run


Get = Callable[..., tuple[Fetched | None, bytes]]


def failure(get: Get, url: str, **values: Any) -> FetchFailed:
    with pytest.raises(FetchFailed) as raised:
        get(url, **values)
    return raised.value


def test_a_file_comes_whole_and_is_not_sent_again(
    moto: str, put: Callable[[str, bytes], None], get: Get
) -> None:
    put("in/prices ü+1.csv", LIST)
    url = f"s3://lists/in/prices%20%C3%BC+1.csv?endpoint={moto}"
    fetched, data = get(url)
    assert fetched is not None
    assert (fetched.name, data) == ("prices ü+1.csv", LIST)
    assert get(url, fetched.known) == (None, b"")


def test_of_a_folder_the_newest_file_that_fits_is_taken(
    moto: str, put: Callable[[str, bytes], None], get: Get
) -> None:
    put("in/", b"")
    put("in/prices-1.csv", b"sku\nold\n")
    put("in/deeper/prices-9.csv", b"sku\ndeeper\n")
    put("other/prices-9.csv", b"sku\nother\n")
    # Dates count seconds, and of one second the last name is taken.
    put("in/prices-2.csv", b"sku\nnew\n")
    fetched, data = get(f"s3://lists/in/?endpoint={moto}", pattern="prices-*.csv")
    assert fetched is not None
    assert (fetched.name, data) == ("prices-2.csv", b"sku\nnew\n")


def test_what_is_not_there_has_its_sentence(
    moto: str, put: Callable[[str, bytes], None], get: Get
) -> None:
    assert failure(get, f"s3://lists/none.csv?endpoint={moto}").code == "not_found"
    assert failure(get, f"s3://lists/none/?endpoint={moto}").code == "no_file"
    assert "no bucket" in failure(get, f"s3://nobody/list.csv?endpoint={moto}").message


def test_requests_are_signed_as_a_bucket_computes_it(web: WebServer, get: Get) -> None:
    url = web.put("/lists/in/a%20b%2B.csv", LIST)
    get(f"s3://lists/in/a%20b%2B.csv?region=eu-west-1&endpoint={web.url}")
    path, headers = web.seen[-1]
    empty = hashlib.sha256(b"").hexdigest()
    stamp = headers["x-amz-date"]
    scope = f"{stamp[:8]}/eu-west-1/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"GET\n{path}\n\nhost:{urlsplit(url).netloc}\nx-amz-content-sha256:{empty}\n"
        f"x-amz-date:{stamp}\n\n{names}\n{empty}"
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{KEYS['password']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256")
    assert headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEYS['username']}/{scope}, SignedHeaders={names}, "
        f"Signature={signature.hex()}"
    )


def test_a_public_bucket_is_asked_without_a_signature(web: WebServer, get: Get) -> None:
    web.put("/lists/a.csv", LIST)
    assert get(f"s3://lists/a.csv?endpoint={web.url}", username="", password="")[1] == LIST
    assert "authorization" not in web.seen[-1][1]


def test_a_folder_is_listed_page_by_page_and_odd_names_are_left_out(
    web: WebServer, get: Get, authority: Authority
) -> None:
    def listing(handler: Handler) -> None:
        last = "continuation-token=t%2F2" in handler.path
        day = 2 if last else 1
        more = "" if last else "<NextContinuationToken>t/2</NextContinuationToken>"
        handler.answer(
            200,
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents>'
            f"<Key>in/day%20{day}.csv</Key><LastModified>2026-01-0{day}T00:00:00.000Z"
            f"</LastModified><Size>5</Size></Contents><Contents><Key>in/two%0Alines.csv</Key>"
            f"<LastModified>2026-01-03T00:00:00.000Z</LastModified></Contents>{more}"
            f"</ListBucketResult>".encode(),
        )

    web.on("/lists/", listing)
    web.put("/lists/in/day%202.csv", LIST)
    fetched, data = get(f"s3://lists/in/?endpoint={web.url}")
    assert fetched is not None
    assert (fetched.name, data) == ("day 2.csv", LIST)
    source = Source(f"s3://lists/in/?endpoint={web.url}", "key", "secret")
    found = look(source, limits=authority.limits())
    assert [entry.name for entry in found.entries] == ["day 2.csv", "day 1.csv"]
    assert found.left_out == 2


def test_a_listing_without_end_is_left_with_a_sentence(
    web: WebServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = itertools.count()
    began = time.monotonic()
    passed = [0.0]
    clocks = SimpleNamespace(monotonic=lambda: began + passed[0])
    monkeypatch.setattr(clock, "time", clocks)  # stands still until the third page is asked for

    def listing(handler: Handler) -> None:
        number = next(pages)
        if number == 2:
            passed[0] = 100.0
        token = f"<NextContinuationToken>{number}</NextContinuationToken>"
        handler.answer(200, f"<ListBucketResult>{token}</ListBucketResult>".encode())

    web.on("/lists/", listing)
    source = Source(f"s3://lists/in/?endpoint={web.url}", "key", "secret")
    with pytest.raises(FetchFailed) as raised:
        fetch(source, Known(), io.BytesIO(), limits=authority.limits(listing_seconds=99))
    assert (raised.value.code, raised.value.temporary) == ("listing_too_long", True)
    assert next(pages) == 3


@pytest.mark.parametrize(
    ("status", "code", "region", "told"),
    [
        (403, "InvalidAccessKeyId", "", "wrong_password"),
        (403, "SignatureDoesNotMatch", "", "wrong_password"),
        (403, "AccessDenied", "", "forbidden"),
        (301, "PermanentRedirect", "eu-west-1", "region_wrong"),
        (400, "AuthorizationHeaderMalformed", "eu-west-1", "region_wrong"),
        (403, "RequestTimeTooSkewed", "", "clock_wrong"),
        (400, "ExpiredToken", "", "wrong_password"),
    ],
)
def test_each_refusal_has_its_sentence(
    web: WebServer, get: Get, status: int, code: str, region: str, told: str
) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
    web.on("/lists/a.csv", lambda h: h.answer(status, body, x_amz_bucket_region=region))
    assert failure(get, f"s3://lists/a.csv?endpoint={web.url}").code == told


def test_a_list_that_is_none_is_told(web: WebServer, get: Get) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>'
    bodies = [b"<html>", bomb, b""]
    web.on("/lists/", lambda h: h.answer(200, bodies[-1]))
    while bodies:
        assert failure(get, f"s3://lists/in/?endpoint={web.url}").code == "bad_response"
        bodies.pop()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://lists/a.csv?endpoint=http://10.0.0.1", "address_not_public"),
        ("s3://lists/a.csv?endpoint=file:///etc", "scheme_not_allowed"),
        ("s3://lists/a.csv?region=a/../b", "url_invalid"),
        ("s3:///a.csv", "url_invalid"),
        ("s3://169.254.169.254/latest?endpoint=http://169.254.169.254", "address_not_public"),
    ],
)
def test_an_endpoint_is_held_against_the_guard(get: Get, url: str, code: str) -> None:
    assert failure(get, url).code == code
