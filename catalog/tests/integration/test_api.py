"""The API of the catalogue: finding, editing and clearing products."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from catalog.api.product_openapi import PRODUCT_FILTERS
from catalog.models import BulkSlice, Change, ChangeSet, Product, RemovedProduct
from catalog.operations import bulk
from catalog.queries.pagination import ORDERINGS
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/products/"


@pytest.fixture
def program(user: User, static_files: None) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def some(transactional_db: None) -> list[Product]:
    """Products of which many are alike in what they can be sorted by."""
    return Product.objects.bulk_create(
        Product(
            sku=f"{'abC'[n % 3]}-{n:02d}",
            name=f"Name {n % 5}",
            description=f"Text {n % 4}",
            price=None if n % 7 == 0 else Decimal(n % 6),
            active=n % 2 == 0,
        )
        for n in range(60)
    )


def create(program: APIClient, **values: Any) -> Any:
    return program.post(URL, {"sku": "A-1", "name": "Lamp", **values}, format="json")


# --- One product ----------------------------------------------------------------------


def test_a_product_is_created_with_its_change_set_and_event(program: APIClient) -> None:
    answer = create(program, price="12.5", description="Steel")
    assert answer.status_code == 201
    product = Product.objects.get()
    assert answer.json() == {
        "id": product.pk, "sku": "A-1", "name": "Lamp", "description": "Steel", "price": "12.50",
        "active": True, "fields": {}, "version": 1, "created_at": answer.json()["created_at"],
        "updated_at": answer.json()["updated_at"],
    }  # fmt: skip
    change_set = ChangeSet.objects.get()
    assert (change_set.kind, change_set.created, change_set.actor) == (
        "create", 1, User.objects.get(),
    )  # fmt: skip
    assert product.created_in == change_set
    assert Event.objects.get().type == "product.created"


def test_a_sku_that_exists_in_other_case_is_refused_with_the_code_unique(
    program: APIClient,
) -> None:
    create(program)
    answer = create(program, sku=" a-1 ")
    assert answer.status_code == 400
    assert answer.json()["errors"]["sku"][0]["code"] == "unique"
    assert ChangeSet.objects.count() == Product.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "1.234"),
        ("price", -1),
        ("price", "1,299.00"),
        ("price", "NaN"),
        ("sku", ""),
        ("sku", None),
        ("sku", "x" * 101),
        ("sku", "a\nb"),
        ("sku", ["A"]),
        ("name", "  "),
        ("name", "x" * 256),
        ("name", "a\0b"),
        ("name", "\ud800"),
        ("description", "x" * 1_000_000),
        ("active", "perhaps"),
        ("active", 7),
    ],
)
def test_a_value_that_cannot_be_is_told_beside_its_field(
    program: APIClient, field: str, value: Any
) -> None:
    answer = program.post(
        URL, json.dumps({"sku": "A-1", "name": "Lamp", field: value}),
        content_type="application/json",
    )  # fmt: skip
    assert answer.status_code == 400, answer.content[:300]
    assert answer.json()["errors"].keys() == {field}
    assert not Product.objects.exists()


def test_a_description_of_10_mb_is_refused_with_a_sentence(program: APIClient) -> None:
    answer = create(program, description="x" * 10_000_000)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_large")
    assert "100,000" in answer.json()["detail"]


def test_an_update_keeps_what_is_not_sent_and_the_values_before(program: APIClient) -> None:
    product = create(program, price="5").json()
    answer = program.patch(f"{URL}{product['id']}/", {"price": None}, format="json")
    assert (answer.status_code, answer.json()["price"], answer.json()["name"]) == (
        200, None, "Lamp",
    )  # fmt: skip
    change = Change.objects.get()
    assert (change.old_price, change.old_name, change.fields) == (Decimal(5), None, 8)
    again = program.patch(f"{URL}{product['id']}/", {"price": ""}, format="json")
    assert again.json()["version"] == 2  # nothing changed: no change set of it
    assert ChangeSet.objects.count() == 2


def test_put_replaces_all_values(program: APIClient) -> None:
    product = create(program, description="Steel", price="5", active=False).json()
    url = f"{URL}{product['id']}/"
    answer = program.put(url, {"sku": "A-1", "name": "Chair"}, format="json").json()
    assert (answer["name"], answer["description"], answer["price"], answer["active"]) == (
        "Chair", "", None, True,
    )  # fmt: skip
    assert program.put(url, {"name": "Chair"}, format="json").status_code == 400


def test_a_stale_version_is_a_conflict_and_changes_nothing(program: APIClient) -> None:
    url = f"{URL}{create(program).json()['id']}/"
    etag = program.get(url).headers["ETag"]
    assert program.patch(url, {"name": "Theirs"}, headers={"If-Match": etag}).status_code == 200
    for stale in (
        program.patch(url, {"name": "Mine"}, headers={"If-Match": etag}),
        program.patch(url, {"name": "Mine", "version": 1}, format="json"),
        program.put(url, {"sku": "A-1", "name": "Mine", "version": 1}, format="json"),
        program.delete(url, headers={"If-Match": etag}),
    ):
        assert stale.status_code == 409
        assert stale.json()["code"] == "conflict"
    assert Product.objects.get().name == "Theirs"
    assert program.patch(url, {"name": "Mine", "version": 2}, format="json").status_code == 200
    assert program.patch(url, {"name": "x", "version": "new"}, format="json").status_code == 400


def test_a_deleted_product_is_kept_whole_and_gone_for_good(program: APIClient) -> None:
    url = f"{URL}{create(program, price='5').json()['id']}/"
    assert program.delete(url).status_code == 204
    kept = RemovedProduct.objects.get(change_set=ChangeSet.objects.latest("id"))
    assert (kept.sku, kept.price, kept.version) == ("A-1", Decimal(5), 1)
    for answer in (
        program.get(url),
        program.delete(url),
        program.patch(url, {"name": "x"}, format="json"),
    ):
        assert answer.status_code == 404
    assert ChangeSet.objects.filter(kind="delete").count() == 1


def test_the_history_tells_what_changed_by_whom_newest_first(program: APIClient) -> None:
    url = f"{URL}{create(program, price='5').json()['id']}/"
    program.patch(url, {"price": "6", "active": False}, format="json")
    program.patch(url, {"price": "7", "name": "Chair"}, format="json")
    history = program.get(f"{url}history/").json()["results"]
    assert [(e["action"], e["actor"], e["kind"], e["changes"]) for e in history] == [
        ("updated", "mara", "edit", {"name": ["Lamp", "Chair"], "price": ["6.00", "7.00"]}),
        ("updated", "mara", "edit", {"price": ["5.00", "6.00"], "active": [True, False]}),
        ("created", "mara", "create", {}),
    ]


# --- Lists ----------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", [*ORDERINGS, *(f"-{name}" for name in ORDERINGS)])
@pytest.mark.parametrize("query", [{}, {"name": "name 1"}])
def test_pages_follow_on_each_other_in_any_order(
    program: APIClient, some: list[Product], ordering: str, query: dict[str, str]
) -> None:
    """Forwards by “next”, then back by “previous”: each product once."""
    url = URL
    pages: list[list[int]] = []
    answer = program.get(url, {**query, "ordering": ordering, "page_size": "7"}).json()
    while True:
        pages.append([product["id"] for product in answer["results"]])
        if not answer["next"]:
            break
        answer = program.get(answer["next"]).json()
    wanted = [p.pk for p in some if not query or p.name == "Name 1"]
    forwards = [number for page in pages for number in page]
    assert sorted(forwards) == sorted(wanted)
    for page in reversed(pages[:-1]):
        answer = program.get(answer["previous"]).json()
        assert [product["id"] for product in answer["results"]] == page
        assert answer["count"] == len(wanted)
    last = program.get(url, {**query, "ordering": ordering, "page_size": "7", "cursor": "last"})
    assert [p["id"] for p in last.json()["results"]] == forwards[-7:]
    assert last.json()["next"] is None


@pytest.mark.parametrize("probe", [0, 3, 20_000])
def test_a_match_is_found_wherever_it_is(
    program: APIClient, some: list[Product], probe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.queries.pagination.PROBE_ROWS", probe)
    monkeypatch.setattr("catalog.queries.pagination.FIRST_PROBE_ROWS", probe)
    for ordering in ("id", "-id", "sku", "-sku", "name"):
        found = program.get(URL, {"sku": "-59", "ordering": ordering}).json()
        assert ([p["sku"] for p in found["results"]], found["count"]) == (["C-59"], 1)


@pytest.mark.parametrize("text", ["%", "_", "'", '"', "\\", "a%b_c\\d'e\"f", "é", "100%"])
def test_a_filter_is_literal(program: APIClient, text: str) -> None:
    Product.objects.create(sku="A-1", name=f"x{text}y")
    Product.objects.create(sku="A-2", name="xyz abc def 100")
    found = program.get(URL, {"name": text}).json()
    assert [product["sku"] for product in found["results"]] == ["A-1"]
    assert program.get(URL, {"q": text.upper()}).json()["count"] == 1


def test_a_nul_in_a_filter_finds_nothing(program: APIClient, some: list[Product]) -> None:
    for name in ("q", "sku", "name", "description"):
        assert program.get(URL, {name: "a\0"}).json()["count"] == 0


def test_filters_go_together(program: APIClient, some: list[Product]) -> None:
    query = {"q": "TEXT 1", "name": "name 1", "sku": "B-", "active": "false"}
    wanted = {
        p.sku
        for p in some
        if "Text 1" in p.description and p.name == "Name 1" and "b-" in p.sku and not p.active
    }
    assert {p["sku"] for p in program.get(URL, query).json()["results"]} == wanted


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"ordering": "colour"}, "updated_at"),
        ({"colour": "red"}, "description"),
        ({"page": "3"}, "cursor"),
        ({"active": "perhaps"}, "true or false"),
        ({"page_size": "many"}, "200"),
        ({"page_size": ""}, "200"),
        ({"cursor": "bogus"}, "next"),
        ({"cursor": "WyJmIiwxLDJd", "ordering": "name"}, "next"),
        ({"cursor": "W10"}, "next"),
    ],
)
def test_what_a_list_does_not_know_is_refused_with_what_there_is(
    program: APIClient, some: list[Product], query: dict[str, str], named: str
) -> None:
    answer = program.get(URL, query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_a_choice_that_a_form_left_empty_is_as_good_as_not_sent(
    program: APIClient, some: list[Product]
) -> None:
    count = program.get(URL).json()["count"]
    assert program.get(URL, {"ordering": "", "active": "", "q": ""}).json()["count"] == count
    paths = program.get("/api/v1/schema/", headers={"accept": "application/json"}).json()["paths"]
    asked = {one["name"]: one["schema"] for one in paths[URL]["get"]["parameters"]}
    assert "" in asked["ordering"]["enum"]


def test_a_page_has_at_most_200(program: APIClient) -> None:
    Product.objects.bulk_create(Product(sku=f"P-{n}", name="x") for n in range(210))
    assert len(program.get(URL, {"page_size": 1000}).json()["results"]) == 200


@pytest.mark.parametrize("count", [1, 60])
def test_a_page_asks_the_same_number_of_questions(program: APIClient, count: int) -> None:
    Product.objects.bulk_create(Product(sku=f"P-{n}", name="x") for n in range(count))
    for query in ({}, {"q": "x"}, {"ordering": "name"}, {"q": "p-", "ordering": "-sku"}):
        with CaptureQueriesContext(connection) as asked:
            assert program.get(URL, query).json()["count"] == count
        assert len(asked) <= 8


def test_a_count_is_kept_until_something_changes(program: APIClient, some: list[Product]) -> None:
    assert program.get(URL, {"page_size": 5}).json()["count"] == 60
    with CaptureQueriesContext(connection) as asked:
        assert program.get(URL, {"page_size": 5}).json()["count"] == 60
    assert not any("COUNT(*)" in query["sql"] for query in asked)
    create(program)
    assert program.get(URL, {"page_size": 5}).json()["count"] == 61
    program.delete(f"{URL}{some[0].pk}/")
    assert program.get(URL, {"page_size": 5}).json()["count"] == 60


def test_the_browsable_page_lists_no_catalogue_in_its_forms(
    program: APIClient, some: list[Product], static_files: None
) -> None:
    for path in (URL, f"{URL}{some[0].pk}/"):
        answer = program.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200
        assert answer.content.count(b"<option") < 10  # of content types
        assert len(answer.content) < 100_000


def test_the_browsable_list_has_a_form_of_its_filters(
    program: APIClient, some: list[Product], static_files: None
) -> None:
    page = program.get(URL, {"q": "a&b"}, headers={"accept": "text/html"}).content.decode()
    form = page[page.index("<summary>Filters</summary>") :]
    names = re.findall(r'<input id="filter-(\w+)"', form)
    assert names == [one.name for one in PRODUCT_FILTERS]
    assert 'name="q" value="a&amp;b"' in form
    blank = program.get(URL, dict.fromkeys(names, ""))  # as the form sends what is not filled in
    assert (blank.status_code, blank.json()["count"]) == (200, len(some))
    one = program.get(f"{URL}{some[0].pk}/", headers={"accept": "text/html"}).content.decode()
    assert "<summary>Filters</summary>" not in one


# --- Many products --------------------------------------------------------------------


def finish(change_set_id: int) -> ChangeSet:
    """Be the worker."""
    bulk.run_bulk_act(change_set_id)
    return ChangeSet.objects.get(pk=change_set_id)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"confirm": False},
        {"confirm": "perhaps"},
        {"confirm": True, "filter": {"sku": "a"}},
        {"confirm": True, "filters": {"colour": "red"}},
        {"confirm": True, "filters": ["sku"]},
        {"confirm": True, "ids": ["x"]},
        {"confirm": True, "filters": {"sku": {"a": 1}}},
        [],
    ],
)
def test_a_bulk_delete_that_is_not_clear_does_nothing(
    program: APIClient, some: list[Product], body: Any
) -> None:
    assert program.post(f"{URL}bulk-delete/", body, format="json").status_code == 400
    assert Product.objects.count() == 60
    assert not ChangeSet.objects.exists()


def test_a_bulk_delete_takes_what_matches_and_keeps_it(
    program: APIClient, some: list[Product]
) -> None:
    answer = program.post(
        f"{URL}bulk-delete/", {"confirm": True, "filters": {"sku": "B-"}}, format="json"
    )
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["total"]) == ("waiting", 20)
    later = create(program, sku="b-later").json()
    act = finish(answer.json()["id"])
    assert (act.status, act.deleted, act.actor) == ("completed", 20, User.objects.get())
    assert RemovedProduct.objects.filter(change_set=act).count() == 20
    assert (
        Product.objects.filter(sku__icontains="b-").values_list("id", flat=True)[0] == later["id"]
    )
    assert Product.objects.count() == 41
    assert Event.objects.filter(type="products.bulk_deleted").count() == 1
    shown = program.get(f"/api/v1/change-sets/{act.pk}/").json()
    assert (shown["kind"], shown["deleted"], shown["actor"]) == ("bulk_delete", 20, "mara")


def test_without_filters_all_are_meant(program: APIClient, some: list[Product]) -> None:
    answer = program.post(f"{URL}bulk-delete/", {"confirm": True}, format="json")
    assert finish(answer.json()["id"]).deleted == 60
    assert not Product.objects.exists()


def test_products_that_are_gone_are_no_error_in_a_bulk(
    program: APIClient, some: list[Product]
) -> None:
    body = {"confirm": True, "ids": [some[0].pk, some[1].pk, 999_999_999]}
    first = program.post(f"{URL}bulk-delete/", body, format="json").json()["id"]
    second = program.post(f"{URL}bulk-delete/", body, format="json").json()["id"]
    bulk.run_bulk_act(second)  # not its turn yet
    assert Product.objects.count() == 60
    assert (finish(first).deleted, finish(second).deleted) == (2, 0)
    assert ChangeSet.objects.get(pk=second).status == "completed"


def test_products_are_deactivated_with_their_values_before(
    program: APIClient, some: list[Product]
) -> None:
    answer = program.post(
        f"{URL}bulk-update/",
        {"confirm": True, "active": False, "filters": {"name": "name 2"}},
        format="json",
    )
    act = finish(answer.json()["id"])
    changed = [p.pk for p in some if p.name == "Name 2" and p.active]
    assert act.updated == len(changed)
    assert not Product.objects.filter(name="Name 2", active=True).exists()
    changes = Change.objects.filter(change_set=act)
    assert sorted(changes.values_list("product_id", flat=True)) == changed
    assert set(changes.values_list("fields", "old_active")) == {(16, True)}


def test_the_slices_of_an_act_give_all_workers_the_same_number_of_them(
    program: APIClient, some: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.operations.bulk.SLICE_ROWS", 12)  # five slices would do
    monkeypatch.setattr("catalog.operations.bulk.estimated_products", lambda: 60)
    act = program.post(f"{URL}bulk-delete/", {"confirm": True}, format="json").json()["id"]
    bulk.run_bulk_act(act, seconds=0)
    slices = BulkSlice.objects.filter(change_set=act)
    assert slices.count() == 2 * bulk.PARALLEL_RUNS
    assert all(one.last_id - one.first_id < 12 for one in slices)
    assert finish(act).deleted == 60


def test_a_slice_that_was_killed_is_done_once(
    program: APIClient, some: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.operations.bulk.SLICE_ROWS", 10)
    monkeypatch.setattr("catalog.operations.bulk.estimated_products", lambda: 60)
    act = program.post(f"{URL}bulk-delete/", {"confirm": True}, format="json").json()["id"]
    bulk.run_bulk_act(act, seconds=0)  # the first slice, then the time is up
    assert 0 < ChangeSet.objects.get(pk=act).deleted < 60
    assert finish(act).deleted == 60
    bulk.run_bulk_act(act)
    assert RemovedProduct.objects.filter(change_set=act).count() == 60
