"""A value from outside that the database would refuse is refused with a sentence: never a 500."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError, connection
from django.test import Client
from django.urls import get_resolver
from structlog.testing import capture_logs

from catalog.models import ChangeSet, Product
from catalog.queries import products
from catalog.queries.pagination import ORDERINGS
from imports.models import ImportJob
from product_importer.common.parsing import CURSOR_MAX_LENGTH, whole_number
from webhooks.operations.endpoints import create_endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> dict[str, int]:
    """A row of everything that an address names, number 3 among them."""
    product = Product.objects.create(pk=3, sku="A-1", name="Lamp")
    job = ImportJob.objects.create(pk=3, file_name="p.csv", file_size=1, status="failed")
    change_set = ChangeSet.objects.create(pk=3, kind="edit", status="completed")
    endpoint, _ = create_endpoint(actor=None, url="http://127.0.0.1:9/", events=["product.created"])
    return {
        "product": product.pk,
        "job": job.pk,
        "change": change_set.pk,
        "endpoint": endpoint.pk,
    }


# --- Cursors ----------------------------------------------------------------------------


def cursor(*parts: Any) -> str:
    raw = json.dumps(parts).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


KEYS = [
    "1e-999999",
    "1e999999",
    "1e11",
    "99999999999.99",
    "0.001",
    "NaN",
    "Infinity",
    "-Infinity",
    "sNaN",
    "-2",
    "٣",
    10**30,
    -(10**30),
    1e300,
    "2026-01-01T00:00:00+23:59",
    "2026-01-01T00:00:00-23:59",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "10000-01-01T00:00:00+00:00",
    "2026-01-01T00:00:00",
    "a\0b",
    "\ud800",
    None,
    True,
    [],
    {},
    "x" * 4000,
]
NUMBERS = [1, 2**63, -(2**63), 10**30, 1.5, "1", None]


def crafted() -> Iterator[str]:
    for key in KEYS:
        yield cursor("f", key, 1)
        yield cursor("b", key, 1)
    for number in NUMBERS:
        yield cursor("f", "A-1", number)
    yield base64.urlsafe_b64encode(b"[" * 3000).decode()
    yield base64.urlsafe_b64encode(b'["f",' + b"9" * 3000 + b",1]").decode()
    yield "x" * (CURSOR_MAX_LENGTH + 1)


@pytest.mark.parametrize("order", [*ORDERINGS, "-price", "-updated_at"])
def test_a_crafted_cursor_of_the_products_is_no_error_of_the_server(
    order: str, pages: Client, rows: dict[str, int]
) -> None:
    for path in ("/products/", "/api/v1/products/"):
        for text in crafted():
            with capture_logs() as logs:
                answer = pages.get(path, {"ordering": order, "cursor": text})
            assert answer.status_code in (200, 400), (path, text[:80])
            refused = [log for log in logs if log["event"] == "value_refused_by_database"]
            assert refused == [], (path, text[:80])  # it does not come as far


def drf(**parts: Any) -> str:
    return base64.b64encode(urlencode(parts, errors="replace").encode()).decode()


PLACES = [
    *(drf(p=key) for key in KEYS),
    *(drf(o=key) for key in KEYS),
    *(drf(r=1, p=key) for key in KEYS),
    drf(p=10**18),
    drf(o=10**18),
    "x" * (CURSOR_MAX_LENGTH + 1),
    "%00",
]


@pytest.mark.parametrize(
    "path",
    [
        "imports/",
        "imports/{job}/errors/",
        "change-sets/",
        "change-sets/{change}/conflicts/",
        "webhooks/",
        "webhooks/{endpoint}/deliveries/",
    ],
)
def test_a_crafted_cursor_of_another_list_is_refused(
    path: str, pages: Client, rows: dict[str, int]
) -> None:
    for text in PLACES:
        answer = pages.get(f"/api/v1/{path.format(**rows)}", {"cursor": text})
        assert answer.status_code in (200, 400), text[:80]


# --- Whatever else the database refuses -------------------------------------------------

VALUES = [
    *(str(key) for key in KEYS if isinstance(key, str | int) and "\ud800" not in str(key)),
    "2026-01-01T00:00+23:59",
    "99999-01-01",
    "9" * 19,
    "9" * 400,
    "1_000",
    "3",
]
PARAMETERS = {
    "/products/": ["q", "active", "page_size", "page"],
    "/products/{product}/": ["history"],
    "/changes/": ["kind", "before"],
    "/changes/{change}/": ["action", "page"],
    "/imports/": ["page"],
    "/imports/running/": ["except", "except_change"],
    "/imports/{job}/rejected/": ["code", "page"],
    "/imports/{job}/superseded/": ["page"],
    "/imports/{job}/review/": ["action", "page_size", "cursor"],
    "/webhooks/": ["page"],
    "/webhooks/{endpoint}/": ["state", "page"],
    "/api/v1/products/": ["q", "page_size"],
    "/api/v1/imports/": ["page_size"],
    "/api/v1/imports/{job}/diff/": ["page_size", "cursor"],
    "/admin/catalog/product/": ["q", "p", "active__exact", "id__exact"],
    "/admin/catalog/changeset/": ["q", "id__exact", "actor__id__exact"],
    "/admin/imports/importjob/": ["q", "created_at__gte", "created_at__lt", "p"],
    "/admin/webhooks/attempt/": ["q", "at__gte", "at__lt"],
    "/admin/webhooks/delivery/": ["q", "is_test__exact"],
}


@pytest.mark.filterwarnings("ignore:DateTimeField")  # of a time without a zone, for the admin
@pytest.mark.django_db(transaction=True)  # as in a request: what failed holds up nothing else
def test_a_value_out_of_range_in_an_address_is_no_error_of_the_server(
    pages: Client, rows: dict[str, int]
) -> None:
    faults = [
        (path, name, value[:60])
        for path, names in PARAMETERS.items()
        for name in names
        for value in VALUES
        if pages.get(path.format(**rows), {name: value}).status_code >= 500
    ]
    assert faults == []


@pytest.mark.parametrize("since", [value for value in VALUES if value[:1].isdigit()])
def test_a_time_out_of_range_is_refused(since: str, pages: Client, rows: dict[str, int]) -> None:
    endpoint = rows["endpoint"]
    answer = pages.post(f"/webhooks/{endpoint}/recover/", {"since": since})
    assert answer.status_code == 302
    answer = pages.post(
        f"/api/v1/webhooks/{endpoint}/recover/", {"since": since}, content_type="application/json"
    )
    assert answer.status_code in (202, 400, 409)


def refused(*args: Any, **options: Any) -> None:
    with connection.cursor() as at:
        at.execute("SELECT '1e-999999'::numeric(12, 2) + '2026-01-01T00:00+23:59'::timestamptz")


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_is_a_400_with_a_sentence_and_a_trace(
    pages: Client, rows: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "product_history", refused)
    with capture_logs() as logs:
        answer = pages.get("/products/3/")
        told = pages.get("/api/v1/products/3/history/")
    assert answer.status_code == told.status_code == 400
    assert "out of range" in answer.content.decode()
    assert "out of range" in told.json()["detail"]
    assert told.json()["code"] == "invalid"
    notes = [log for log in logs if log["event"] == "value_refused_by_database"]
    assert [note["log_level"] for note in notes] == ["warning", "warning"]
    assert all(isinstance(note["exc_info"], DataError) for note in notes)


# --- Numbers ----------------------------------------------------------------------------

SCRIPTS = ["٣", "３", "३", "۳"]


@pytest.mark.parametrize("digit", SCRIPTS)
@pytest.mark.parametrize(
    "path",
    [
        "/products/{}/",
        "/imports/{}/",
        "/imports/{}/panel/",
        "/changes/{}/",
        "/webhooks/{}/",
        "/api/v1/products/{}/",
        "/api/v1/products/{}/history/",
        "/api/v1/imports/{}/",
        "/api/v1/imports/{}/events/",
        "/api/v1/imports/{}/rejects.csv",
        "/api/v1/change-sets/{}/",
        "/api/v1/webhooks/{}/deliveries/",
        "/api/v1/uploads/{}/",
        "/admin/catalog/product/{}/change/",
        "/admin/imports/importjob/{}/change/",
    ],
)
def test_a_digit_of_another_script_is_no_number_of_a_row(
    path: str, digit: str, pages: Client, rows: dict[str, int]
) -> None:
    assert pages.get(path.format(digit)).status_code == 404


@pytest.mark.parametrize("digit", [*SCRIPTS, "²", "1_0", " 3", "3.0", "+3"])
def test_a_number_in_a_body_or_a_query_has_ascii_digits(
    digit: str, pages: Client, rows: dict[str, int]
) -> None:
    assert whole_number(digit) is None
    answer = pages.get("/api/v1/products/", {"page_size": digit})
    assert answer.status_code == 400
    body = {"confirm": True, "active": False, "ids": [digit]}
    answer = pages.post("/api/v1/products/bulk-update/", body, content_type="application/json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["ids.0"])
    answer = pages.post("/products/bulk/", {"act": "activate", "ids": digit})
    assert answer.status_code == 302  # nothing was chosen


# --- Formats ----------------------------------------------------------------------------


def routes() -> list[str]:
    """Every address of the API, with the number 3 where a row's is wanted."""
    found = []
    for prefix in ("imports", "uploads", "products", "change-sets", "webhooks", "deliveries"):
        found += [prefix, f"{prefix}/3"]
    patterns = get_resolver().reverse_dict
    for name in patterns:
        if isinstance(name, str) and name.startswith("api-"):
            for possibility, _, _, _ in patterns.getlist(name):
                for address, _ in possibility:
                    found.append(
                        address.removeprefix("api/v1/").strip("/") % {"pk": 3, "format": "x"}
                    )
    return sorted(set(found))


@pytest.mark.parametrize("suffix", [".json", ".api", ".csv", ".events"])
def test_no_address_of_the_api_ends_in_a_format(
    suffix: str, pages: Client, rows: dict[str, int]
) -> None:
    found = routes()
    assert len(found) > 30
    for path in found:
        for end in ("", "/"):
            for method in (pages.get, pages.post):
                answer = method(f"/api/v1/{path}{suffix}{end}")
                assert answer.status_code == 404, (path, suffix, end)


@pytest.mark.parametrize("ask", [{"format": "json"}, {"headers": {"accept": "application/json"}}])
def test_the_format_is_told_beside_the_address(
    ask: dict[str, Any], pages: Client, rows: dict[str, int]
) -> None:
    headers = ask.get("headers", {"accept": "text/html, */*"})
    query = {"format": ask["format"]} if "format" in ask else {}
    answer = pages.get("/api/v1/products/3/history/", query, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("fields/", {"label": "a\ud800b", "key": "brand", "type": "text"}),
        ("fields/", {"label": "Brand", "type": "text", "help": "\ud800"}),
        ("fields/", {"label": "Brand", "type": "text", "key": "\ud800"}),
        ("fields/", {"label": "Brand", "type": "text", "\ud800": 1}),
        ("products/", {"sku": "B", "name": "B", "fields": {"\ud800": 1}}),
        ("products/bulk-delete/", {"confirm": True, "filters": {"fields.\ud800": "x"}}),
        ("products/bulk-delete/", {"confirm": True, "filters": {"\ud800": "x"}}),
    ],
)
def test_half_a_character_is_no_error_of_the_server(
    pages: Client, path: str, body: dict[str, Any]
) -> None:
    answer = pages.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_rules_in_a_form_that_nest_too_deep_are_refused(pages: Client) -> None:
    file = SimpleUploadedFile("p.csv", b"sku,name\nA,Lamp\n")
    answer = pages.post("/api/v1/imports/", {"file": file, "rules": "[" * 100_000})
    assert answer.status_code == 400
    assert "nests too deep" in answer.json()["errors"]["rules"][0]["message"]
    assert not ImportJob.objects.exists()
