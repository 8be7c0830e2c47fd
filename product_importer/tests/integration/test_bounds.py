"""Every text from outside has a bound, and no list loads the long values that it does not show."""

import inspect
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import django_filters
import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.forms import SetPasswordMixin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import BinaryField, JSONField, Model, TextField
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

import catalog.queries.filters
import catalog.views.forms
import product_importer.accounts.forms
import product_importer.urls  # has the admin find its models
import webhooks.api
import webhooks.forms
from catalog.models import ChangeSet, Product
from catalog.operations import bulk
from catalog.operations.bulk import start_bulk_act
from catalog.queries.filters import BadFilter
from catalog.queries.own_fields.filters import FILTER_MAX_LENGTH
from conftest import Messages
from imports.models import INNER, ImportJob
from product_importer.accounts.forms import PasswordForm
from product_importer.tests.acceptance.test_rubbish import FORMS
from webhooks.models import Attempt, Delivery, Event
from webhooks.operations.endpoints import create_endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def program(everybody: User) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(everybody)
    return client


# --- What is described of each text -----------------------------------------------------


def unbounded(schema: dict[str, Any], components: dict[str, Any], place: str) -> Iterator[str]:
    """The texts and lists of a schema of OpenAPI that may be as long as they like."""
    if "$ref" in schema:
        schema = components[schema["$ref"].split("/")[-1]]
    if schema.get("readOnly"):
        return
    for one in (part for word in ("oneOf", "allOf", "anyOf") for part in schema.get(word, [])):
        yield from unbounded(one, components, place)
    kind = schema.get("type")
    chosen = "enum" in schema or schema.get("format") in ("date-time", "binary")
    if kind == "string" and not chosen and "maxLength" not in schema:
        yield place
    if kind == "array":
        if "maxItems" not in schema:
            yield place
        yield from unbounded(schema["items"], components, f"{place}[]")
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, components, f"{place}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from unbounded(schema["additionalProperties"], components, f"{place}.*")


def test_every_text_that_the_api_takes_has_a_bound(program: APIClient) -> None:
    described = program.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    components = described["components"]["schemas"]
    found: list[str] = []
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            taken = [(one["name"], one["schema"]) for one in operation.get("parameters", [])]
            body = operation.get("requestBody", {}).get("content", {})
            taken += [(kind, one["schema"]) for kind, one in body.items()]
            for name, schema in taken:
                found += unbounded(schema, components, f"{method} {path} {name}")
    assert found == []


MODULES = (
    catalog.queries.filters,
    catalog.views.forms,
    product_importer.accounts.forms,
    webhooks.api,
    webhooks.forms,
)


def classes_of(kind: type) -> list[Any]:
    return [
        one
        for module in MODULES
        for _, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, kind) and one.__module__ == module.__name__
    ]


def made(form: Any) -> Any:
    """A form as a page has it; those of passwords are about a user."""
    if issubclass(form, PasswordForm):
        return form(SimpleNamespace(user=User()))
    return form(User()) if issubclass(form, SetPasswordMixin) else form()


def test_every_text_of_a_form_has_a_bound() -> None:
    found = classes_of(forms.BaseForm)
    assert len(found) >= 4
    for form in found:
        for name, field in made(form).fields.items():
            if isinstance(field, forms.CharField):
                # Of a password a hash is kept.
                assert field.max_length or "password" in name, (form, name)


def test_every_text_of_a_filter_has_a_bound() -> None:
    found = classes_of(django_filters.FilterSet)
    assert len(found) >= 2
    for filters in found:
        for name, one in filters.base_filters.items():
            if isinstance(one.field, forms.CharField):
                assert one.field.max_length, (filters, name)


# --- What becomes of long ones ----------------------------------------------------------

LONG = "x" * 100_001  # no text of the catalogue may be as long


@pytest.fixture
def numbers(messages: Messages, upload: Callable[..., ImportJob]) -> dict[str, int]:
    """The rows that the addresses of the forms name."""
    product = Product.objects.create(sku="A-1", name="Lamp", description="text")
    job = upload("sku,name,price\nA-1,Lamp 2,1\nB-1,x,1e5\n", review=True)
    messages.run_all()
    endpoint, _ = create_endpoint(actor=None, url="http://127.0.0.1:9/", events=["product.created"])
    change_set = start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=None, active=False)
    messages.run_all()
    return {
        "product": product.pk,
        "job": job.pk,
        "change": change_set.pk,
        "endpoint": endpoint.pk,
    }


def longest_kept() -> list[tuple[str, str, int]]:
    """Every column with a value that is longer than any may be, and its length in bytes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public'"
            " AND data_type IN ('text', 'character varying', 'jsonb', 'ARRAY', 'bytea')"
        )
        columns = cursor.fetchall()
        found = []
        for table, column in columns:
            cursor.execute(f'SELECT max(octet_length("{column}"::text)) FROM "{table}"')
            length = cursor.fetchone()[0] or 0
            if length > 100_000:
                found.append((table, column, length))
    return found


def test_a_form_keeps_no_text_that_is_too_long(pages: Client, numbers: dict[str, int]) -> None:
    for path, form in FORMS.items():
        for name in form:
            answer = pages.post(path.format(**numbers), {**form, name: LONG})
            assert answer.status_code < 500, (path, name)
    assert longest_kept() == []


BODIES: dict[str, dict[str, Any]] = {
    "products/": {"sku": "N-1", "name": "x", "price": "1", "description": "", "active": "true"},
    "products/bulk-update/": {"confirm": True, "active": True, "filters": {}},
    "products/bulk-delete/": {"confirm": True, "filters": {}},
    "webhooks/": {"url": "http://127.0.0.1:9/", "description": "", "events": []},
    "webhooks/{endpoint}/recover/": {"since": "2026-01-01T00:00Z"},
    "uploads/": {"file_name": "x", "file_size": 1},
}


def long_bodies(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in body.items():
        yield {**body, name: LONG}
        yield {**body, name: [LONG]}
        yield {**body, name: ["x"] * 100_000}
        if isinstance(value, dict):
            for inner in ("q", "sku", "active", LONG):
                yield {**body, name: {inner: LONG}}
    yield {**body, LONG: "x"}


def test_the_api_refuses_every_text_that_is_too_long(
    program: APIClient, numbers: dict[str, int]
) -> None:
    for path, body in BODIES.items():
        for long in long_bodies(body):
            answer = program.post(f"/api/v1/{path.format(**numbers)}", long, format="json")
            names = [name[:40] for name, value in long.items() if len(str(value)) > 1000]
            refused = answer.status_code in (400, 409)  # 409: no bucket takes uploads here
            unknown = LONG in long and answer.status_code in (201, 202)
            assert refused or unknown, (path, names, answer.content[:300])
            assert len(answer.content) < 20_000 or refused, (path, names)
    assert longest_kept() == []


def test_a_filter_that_is_too_long_is_refused_with_a_sentence(
    pages: Client, program: APIClient
) -> None:
    most, over = "x" * FILTER_MAX_LENGTH, "x" * (FILTER_MAX_LENGTH + 1)
    for path in ("/products/", "/products/export.csv", "/api/v1/products/"):
        assert pages.get(path, {"q": most}).status_code == 200
        answer = pages.get(path, {"q": over})
        assert answer.status_code == 400, path
        content = b"".join(answer) if answer.streaming else answer.content
        assert b"at most 1,000 are allowed" in content
    answer = pages.get("/admin/catalog/product/", {"q": over})
    assert b"at most 1,000 are allowed" in answer.content
    answer = pages.post("/products/bulk/start/", {"act": "activate", "everything": "1", "q": over})
    assert (answer.status_code, ChangeSet.objects.count()) == (400, 0)
    assert b"at most 1,000 are allowed" in answer.content


def test_a_bulk_act_names_no_more_products_than_it_keeps(
    pages: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_IDS", 3)
    with pytest.raises(BadFilter, match="at most 3 can be named"):
        start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None, ids=[1, 2, 3, 4])
    form = {"act": "activate", "ids": "1,2,3,4"}
    for path in ("/products/bulk/", "/products/bulk/start/"):
        answer = pages.post(path, form)
        assert answer.status_code == 400
        assert b"at most 3 can be named" in answer.content
    assert not ChangeSet.objects.exists()


# --- Lists ------------------------------------------------------------------------------


def column(model: type[Model], name: str) -> str:
    return f'"{model._meta.db_table}"."{model._meta.get_field(name).column}"'  # type: ignore[union-attr]


def statements(client: Any, address: str) -> str:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200, address
    loaded = "\n".join(query["sql"] for query in captured.captured_queries)
    return re.sub(r'"\w+"\."\w+" -> ', "", loaded)  # a small part of an object, by its key


REQUEST: list[tuple[type[Model], str]] = [(ChangeSet, "request")]
JOB: list[tuple[type[Model], str]] = [(ImportJob, name) for name in INNER]
LISTS: dict[str, list[tuple[type[Model], str]]] = {
    "/": [*REQUEST, *JOB, (ImportJob, "warnings")],
    "/imports/": [*REQUEST, *JOB, (ImportJob, "warnings")],
    "/imports/running/": [*REQUEST, *JOB],
    "/products/": [*REQUEST, *JOB],  # the bar on top of every page
    "/products/{product}/": REQUEST,
    "/changes/": [*REQUEST, *JOB],
    "/webhooks/": [(Event, "body"), (Attempt, "response_body"), (Attempt, "response_headers")],
    "/webhooks/{endpoint}/": [(Event, "body"), (Attempt, "response_body")],
    "/admin/": [*REQUEST, *JOB],
    "/api/v1/imports/": JOB,
    "/api/v1/change-sets/": REQUEST,
    "/api/v1/change-sets/{change}/": REQUEST,
    "/api/v1/change-sets/{change}/conflicts/": REQUEST,
    "/api/v1/products/{product}/history/": REQUEST,
    "/api/v1/webhooks/{endpoint}/deliveries/": [(Event, "body")],
}


@pytest.fixture
def rows(numbers: dict[str, int], upload: Callable[..., ImportJob]) -> dict[str, int]:
    """Of everything that is listed one that runs, one that has ended, and one that failed."""
    upload("sku,name\nC-1,x\n")
    ended = upload("sku,name\nC-1,x\n")
    ImportJob.objects.filter(pk=ended.pk).update(status="failed", error="for a test")
    start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=None, active=False)
    failed = start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=None, active=False)
    ChangeSet.objects.filter(pk=failed.pk).update(status="failed")
    endpoint = numbers["endpoint"]
    event = Event.objects.create(type=Event.Type.PRODUCT_CREATED, body=b"{}")
    delivery = Delivery.objects.create(
        endpoint_id=endpoint, event=event, next_attempt_at=event.created_at
    )
    Attempt.objects.create(delivery=delivery, endpoint_id=endpoint, response_status=500)
    return numbers


@pytest.mark.parametrize("address", LISTS)
def test_a_list_does_not_load_what_it_does_not_show(
    address: str, pages: Client, rows: dict[str, int]
) -> None:
    seen = statements(pages, address.format(**rows))
    for model, name in LISTS[address]:
        assert column(model, name) not in seen, name


OURS = [
    model
    for model in admin.site._registry
    if model.__module__.split(".")[0] in ("catalog", "imports", "product_importer", "webhooks")
]
# Shown in part, by a column that is no field.
SHOWN = {
    ("Change", "old_description"),
    ("Change", "old_own_fields"),
    ("Field", "options"),  # of products: the words of lists, to filter by
    ("PersonSettings", "columns"),
}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_list_of_the_admin_loads_no_long_value_that_it_does_not_show(
    model: type[Model], pages: Client, rows: dict[str, int]
) -> None:
    seen = statements(
        pages, reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    )
    for other in OURS:
        listed = admin.site._registry[model].list_display if other is model else ()
        for field in other._meta.concrete_fields:
            shown = field.name in listed or (other.__name__, field.name) in SHOWN
            if isinstance(field, BinaryField | JSONField | TextField) and not shown:
                assert column(other, field.name) not in seen, (other, field.name)
