"""Rubbish in addresses, forms and headers is no error of the server, on any page."""

from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from catalog.models import ChangeSet
from catalog.operations import products
from conftest import Browserless, Messages
from imports.models import ImportJob
from webhooks.operations.endpoints import create_endpoint

FEW = 4  # of the rubbish below, in the normal run: what is most likely to hit something
RUBBISH = [
    "²",  # a digit to Python, but no number
    "9" * 5000,
    "a\0b",
    "-1",
    "",
    "0",
    "😀",
    "١٢",
    "9" * 18,
    "1e9",
    "\0",
    "%",
    "\\",
    "'\"<script>",
    "{{ 7 }}",
    "x" * 5000,
    "last",
    "0001-01-01T00:00+14:00",
    "9999-12-31T23:59-14:00",
    "WyJmIiwxLDJd",  # a cursor of another list
]
BYTES = [b"%ED%A0%80", b"%FF%FE", b"%", b"%00"]  # half a character, no UTF-8, half an escape

LISTS = {
    "/products/": ["q", "sku", "active", "ordering", "page_size", "page", "cursor", "column"],
    "/products/export.csv": ["q", "active", "spreadsheet", "ordering"],
    "/products/{product}/": ["history"],
    "/products/{product}/row/": ["edit", "page_size", "ordering"],
    "/changes/": ["kind", "before"],
    "/changes/{change}/": ["action", "page"],
    "/imports/": ["page"],
    "/imports/running/": ["except", "except_change"],
    "/imports/{job}/rejected/": ["code", "page"],
    "/imports/{job}/superseded/": ["page"],
    "/imports/{job}/review/": ["action", "field", "flag", "page_size", "cursor"],
    "/webhooks/": ["page"],
    "/webhooks/{endpoint}/": ["state", "event", "page"],
    "/login/": ["next"],
    "/api/v1/products/": ["q", "active", "ordering", "page_size", "cursor", "format"],
    "/api/v1/imports/": ["page_size", "cursor", "format"],
    "/api/v1/imports/{job}/diff/": ["action", "field", "page_size", "cursor"],
    "/api/v1/change-sets/": ["page_size", "cursor"],
    "/api/v1/webhooks/{endpoint}/deliveries/": ["state", "event_type", "cursor"],
    "/api/v1/schema/": ["format", "lang", "version"],
    "/admin/catalog/product/": ["q", "active__exact", "p", "o", "all", "_changelist_filters"],
    "/admin/catalog/changeset/": ["q", "p", "kind__exact", "id__exact"],
    "/admin/imports/importjob/": ["q", "p", "state", "created_at__gte"],
}
FORMS: dict[str, dict[str, str]] = {
    "/products/new/": {"sku": "N-1", "name": "New", "price": "1", "description": ""},
    "/products/{product}/": {"name": "x", "price": "1", "version": "1", "active": "true"},
    "/products/{product}/row/": {"name": "x", "price": "1", "version": "1"},
    "/products/{product}/delete/": {"version": "99"},
    "/products/bulk/": {"act": "delete", "id": "1", "ids": "1,2", "everything": "", "active": ""},
    "/products/bulk/start/": {
        "act": "activate", "ids": "1,2", "typed": "7", "everything": "yes", "active": "", "q": "x",
    },
    "/imports/": {"mode": "upsert", "review": "on"},
    "/imports/{job}/apply/": {"next": "/"},
    "/changes/{change}/undo/": {"next": "/"},
    "/webhooks/new/": {"url": "http://127.0.0.1:9/", "events": "product.created"},
    "/webhooks/{endpoint}/edit/": {
        "url": "http://127.0.0.1:9/", "events": "product.created", "description": "",
    },
    "/webhooks/{endpoint}/switch/": {"enabled": "true"},
    "/webhooks/{endpoint}/recover/": {"since": "2026-01-01T00:00"},
    "/login/": {"username": "mara", "password": "x", "next": "/"},
}  # fmt: skip


@pytest.fixture
def numbers(messages: Messages, upload: Callable[..., ImportJob]) -> dict[str, int]:
    """The rows that the addresses above name."""
    product = products.create_product(actor=None, data={"sku": "A-1", "name": "Lamp"})
    job = upload("sku,name,price\nA-1,Lamp 2,1\nB-1,x,1e5\n", review=True)
    messages.run_all()
    endpoint, _ = create_endpoint(actor=None, url="http://127.0.0.1:9/", events=["product.created"])
    return {
        "product": product.pk,
        "job": job.pk,
        "change": ChangeSet.objects.latest("id").pk,
        "endpoint": endpoint.pk,
    }


@pytest.fixture
def pages(make_user: Callable[..., User], static_files: None) -> Client:
    """The pages, admin and API for somebody who may everything; an error is a 500, as it was."""
    user = make_user()
    user.is_staff = user.is_superuser = True
    user.save()
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def queries(values: list[str], raw: list[bytes]) -> Iterator[tuple[str, str, str]]:
    """Every address with one parameter that is rubbish, once and twice."""
    for path, names in LISTS.items():
        for name in names:
            for value in values:
                yield path, name, urlencode({name: value})
            for escaped in raw:
                yield path, name, f"{name}={escaped.decode()}"
            yield path, name, f"{name}=1&{name}=x&{name}=&{name}"


def faults_in_lists(pages: Client, numbers: dict[str, int], *rubbish: Any) -> list[Any]:
    faults = []
    for path, name, query in queries(*rubbish):
        status = pages.get(path.format(**numbers) + "?" + query).status_code
        if status >= 500:
            faults.append((path, name, query[:80], status))
    return faults


def faults_in_forms(pages: Client, numbers: dict[str, int], values: list[str]) -> list[Any]:
    faults = []
    for path, form in FORMS.items():
        for name in form:
            for value in values:
                status = pages.post(path.format(**numbers), {**form, name: value}).status_code
                if status >= 500:
                    faults.append((path, name, value[:80], status))
    return faults


def test_rubbish_in_an_address_is_no_error_of_the_server(
    pages: Client, numbers: dict[str, int]
) -> None:
    assert faults_in_lists(pages, numbers, RUBBISH[:FEW], BYTES[:1]) == []


def test_rubbish_in_a_form_is_no_error_of_the_server(
    pages: Client, numbers: dict[str, int]
) -> None:
    assert faults_in_forms(pages, numbers, RUBBISH[:FEW]) == []


@pytest.mark.heavy
def test_all_rubbish_everywhere_is_no_error_of_the_server(
    pages: Client, numbers: dict[str, int]
) -> None:
    assert faults_in_lists(pages, numbers, RUBBISH, BYTES) == []
    assert faults_in_forms(pages, numbers, RUBBISH) == []


# --- Over HTTP, as a web server lets it through -----------------------------------------

HEADERS = [
    {"Cookie": "sessionid=x; csrftoken=x; messages=x"},
    {"Cookie": "sessionid=" + "x" * 3000},
    {"Cookie": "=;;;=\xff"},
    {"Accept": "nonsense"},
    {"Accept": "text/html;q=abc, */*;q=-1"},
    {"Accept": "application/json; indent=99999999999999999999"},
    {"Accept": "\xff/\xfe"},
    {"Accept-Language": "en-" * 500},
    {"Accept-Encoding": "gzip;q=nonsense, br;q=9"},
    {"Range": "bytes=99999999999999999999-"},
    {"Range": "bytes=-"},
    {"If-Modified-Since": "Thu, 99 Nonsense 99999 99:99:99 GMT"},
    {"If-None-Match": "\xff"},
    {"If-Match": "\xb2"},
    {"HX-Request": "true", "HX-Target": "\xff", "HX-Current-URL": "http://[/"},
    {"X-Forwarded-For": "nonsense, 1.2.3.4.5"},
    {"Referer": "http://[/", "Origin": "nonsense"},
    {"Authorization": "Token"},
    {"Authorization": "Token a b c"},
    {"Authorization": "Basic nonsense"},
    {"X-CSRFToken": "\xff"},
]
ADDRESSES = [
    "/",
    "/products/",
    "/api/v1/products/",
    "/api/v1/nothing",
    "/login/",
    "/static/product_importer/app.css",
]
BODIES: list[tuple[str, bytes]] = [
    ("multipart/form-data", b"x"),
    ("multipart/form-data; boundary=\xff", b"--\xff\r\n"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=sku\r\n"),
    ("multipart/form-data; boundary=x; charset=hex", b'--x\r\nContent-Disposition: form-data; name="sku"\r\n\r\na\r\n--x--\r\n'),  # noqa: E501
    ("application/x-www-form-urlencoded; charset=utf-7", b"sku=%FF"),
    ("application/x-www-form-urlencoded", b"a=1&" * 2000),
    ("application/x-www-form-urlencoded", b"%" * 1000),
    ("application/json; charset=nonsense", b"{}"),
    ("application/json; charset=hex", b"{}"),
    ("application/json; charset=rot13", b"{}"),
    ("application/json; charset=utf-16", b"{}"),
    ("application/json", b"\xff\xfe"),
    ("application/json", b"[" * 100_000),
    ("application/json", b'{"sku":' + b"9" * 5000 + b"}"),
    ("application/json", b'{"sku": "A-9", "name": "x", "price": 1e999}'),
    ("application/json", b'"text"'),
    ("nonsense", b"x"),
    ("", b"x"),
]  # fmt: skip


@pytest.fixture
def raw(api: Browserless) -> Callable[..., int]:
    """Send a request as it stands, logged in; returns its status."""
    client = Client()
    client.force_login(User.objects.get())
    cookie = f"sessionid={client.cookies['sessionid'].value}; csrftoken={'a' * 32}"
    authorised = {"Cookie": cookie, "X-CSRFToken": "a" * 32}

    def send(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
        connection = HTTPConnection(urlsplit(api.base).netloc, timeout=300)
        connection.request(method, path, body, {**authorised, **headers})
        status = connection.getresponse().status
        connection.close()
        return status

    return send


def test_rubbish_in_a_header_is_no_error_of_the_server(raw: Callable[..., int]) -> None:
    assert raw("GET", "/products/", {}) == raw("GET", "/api/v1/products/", {}) == 200
    faults = [
        (path, headers, status)
        for path in ADDRESSES
        for headers in HEADERS
        if (status := raw("GET", path, headers)) >= 500
    ]
    assert faults == []


def test_a_body_that_is_rubbish_is_no_error_of_the_server(raw: Callable[..., int]) -> None:
    good = b"sku=R-1&name=Lamp"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert raw("POST", "/products/new/", kind, good) == 302
    addresses = ["/products/new/", "/imports/", "/api/v1/products/", "/api/v1/imports/"]
    faults = [
        (path, content_type, body[:40], status)
        for path in [*addresses, "/api/v1/products/bulk-delete/", "/login/", "/nothing/"]
        for content_type, body in BODIES
        if (status := raw("POST", path, {"Content-Type": content_type}, body)) >= 500
    ]
    assert faults == []


@pytest.mark.parametrize(
    "path",
    [
        "/products/" + "9" * 5000 + "/",
        "/imports/" + "9" * 30 + "/",
        "/api/v1/imports/" + "9" * 30 + "/rejects.csv",
        "/api/v1/products/" + "9" * 18 + "/",
        "/api/v1/products/%D9%A1/",
        "/api/v1/products/?" + "a=1&" * 3000,
        "/products/?q=" + "x" * 60_000,
        "/%00/%FF",
        "//evil.example.com/..",
        "/static/../../etc/passwd",
        "/static/%00",
        "/static/" + "x" * 5000,
        "/" + "x" * 100_000,
    ],
)
def test_an_address_that_is_rubbish_is_not_there(path: str, raw: Callable[..., int]) -> None:
    assert raw("GET", path, {}) in (200, 301, 302, 400, 403, 404, 414, 431)


@pytest.mark.parametrize("host", ["nonsense", "a" * 300, "[::1", "127.0.0.1:x", "\xff", ""])
def test_a_host_that_is_rubbish_is_refused(host: str, raw: Callable[..., int]) -> None:
    for path in ("/", "/api/v1/products/", "/healthz"):
        assert raw("GET", path, {"Host": host}) in (200, 400)
