"""Fields of one's own: defined, edited, imported, undone, like the five."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.test import Client
from rest_framework.test import APIClient

from catalog import field_values
from catalog.export import export_lines
from catalog.models import BroughtBack, Change, ChangeSet, Field, Product
from catalog.operations import bulk, change_sets, fields, products, undo
from catalog.operations.products import Invalid
from catalog.operations.retention import clear_changes
from catalog.queries.products import product_history
from catalog.sql import fields as sql_fields
from catalog.sql import upsert
from conftest import wait_for
from webhooks.models import Event
from webhooks.operations.endpoints import create_endpoint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def unsent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No worker is told: what a worker does, the tests do. Indexes go with their fields."""
    monkeypatch.setattr("product_importer.common.enqueue._send_now", lambda *args: None)
    yield
    with connection.cursor() as cursor:
        for field in Field.objects.all():
            sql_fields.drop_unique_index(cursor, field.pk)


def define(label: str, type: str = "text", **more: Any) -> Field:
    return fields.create_field(data={"label": label, "type": type, **more})


def make(sku: str, **own: Any) -> Product:
    return products.create_product(actor=None, data={"sku": sku, "name": sku, "fields": own})


def own(sku: str) -> Any:
    return Product.objects.values_list("own_fields", flat=True).get(sku=sku)


def work(change_set: ChangeSet) -> ChangeSet:
    for _ in range(20):
        bulk.run_bulk_act(change_set.pk)
    change_set.refresh_from_db()
    assert change_set.status == "completed"
    return change_set


def undone(change_set_id: int) -> ChangeSet:
    return work(undo.start_undo(change_set_id=change_set_id, actor=None))


SOURCE = """
SELECT lower(sku) AS key, line, NULL::bigint AS next_line, record, sku, name,
       NULL::text AS description, NULL::numeric AS price, NULL::boolean AS active, own_fields
FROM jsonb_to_recordset(%(rows)s) AS rows(
    sku text, line bigint, name text, record json, own_fields jsonb)
"""


def import_rows(
    *rows: tuple[str, dict[str, Any]],
    unique: tuple[str, ...] = (),
    change_set: ChangeSet | None = None,
) -> Any:
    """What a chunk of an import does with own fields; the change set, and what was upserted."""
    change_set = change_set or ChangeSet.objects.create(kind="import", status="applying")
    given = [
        {"sku": sku, "line": n, "name": sku.upper(), "record": [sku], "own_fields": values}
        for n, (sku, values) in enumerate(rows, start=2)
    ]
    keys = {f"fields.{key}" for _, values in rows for key in values}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(upsert.APPLY_SETTINGS)
        done = upsert.upsert(
            cursor,
            source=SOURCE,
            params={"rows": json.dumps(given)},
            fields=["sku", "name", *keys],
            change_set_id=change_set.pk,
            first_key="",
            end_key=None,
            unique=unique,
        )
        change_sets.count_changes(change_set.pk, created=done.created, updated=done.updated)
    change_sets.close_change_set(change_set.pk, status=ChangeSet.Status.COMPLETED)
    return change_set, done


def test_a_field_is_defined_with_a_key_made_of_its_label() -> None:
    field = define("Pack size", "integer")
    assert (field.key, field.position, define("Brand").position) == ("pack_size", 0, 1)


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("Größe", "grosse"),
        ("Ünit", "unit"),
        ("Цвет", "field"),
        ("1st", "field_1st"),
        ("!", "field"),
    ],
)
def test_every_label_has_a_key_of_small_letters(label: str, key: str) -> None:
    assert define(label).key == key
    assert define(label + "?").key == f"{key}_2"


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"label": "Price", "type": "money"}, "key"),
        ({"label": "brand", "type": "text"}, "label"),
        ({"label": "Size", "type": "text", "key": "brand"}, "key"),
        ({"label": "Size", "type": "text", "key": None}, "key"),
        ({"label": "Size", "type": "text", "key": 0}, "key"),
        ({"label": "Size", "type": "text", "key": "Größe"}, "key"),
        ({"label": "Size", "type": "text", "key": "pack__size"}, "key"),
        ({"label": "Size", "type": "text", "key": "size_"}, "key"),
        ({"label": "Size", "type": "size"}, "type"),
        ({"label": "", "type": "text"}, "label"),
        ({"label": "Size", "type": "choice"}, "options"),
        ({"label": "Size", "type": "choice", "options": {"choices": ["S", "s"]}}, "options"),
        ({"label": "Size", "type": "choices", "options": {"choices": ["S|M"]}}, "options"),
        ({"label": "Size", "type": "decimal", "options": {"scale": 9}}, "options"),
        ({"label": "Size", "type": "text", "options": {"scale": 7}}, "options"),
        ({"label": "Size", "type": "text", "options": {"choices": [1]}}, "options"),
        ({"label": "Sizes", "type": "boolean", "unique": True}, "unique"),
        ({"label": "Size", "type": "text", "colour": 1}, "colour"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_by_name(data: dict[str, Any], wrong: str) -> None:
    define("Brand")
    with pytest.raises(Invalid) as refused:
        fields.create_field(data=data)
    assert list(refused.value.errors) == [wrong]
    assert Field.objects.count() == 1


def test_ready_made_fields_are_defined_once() -> None:
    define("Brand", "choice", options={"choices": ["Acme"]})
    assert len(fields.create_ready_made()) == 8
    assert fields.create_ready_made() == []


def test_an_edit_touches_the_keys_it_has_and_is_undone_key_by_key() -> None:
    define("Brand")
    define("Stock", "integer")
    product = make("A", brand="Acme", stock=3)
    changed = products.update_product(
        product_id=product.pk, actor=None, data={"fields": {"brand": None}}
    )
    assert (own("A"), changed.version) == ({"stock": 3}, 2)
    assert Change.objects.get().old_own_fields == {"brand": "Acme"}
    products.update_product(product_id=product.pk, actor=None, data={"fields": {"stock": "3"}})
    assert Change.objects.count() == 1  # it had that value
    assert undone(Change.objects.get().change_set_id).updated == 1
    assert own("A") == {"brand": "Acme", "stock": 3}


def test_a_history_tells_own_fields_by_key() -> None:
    define("Brand")
    product = make("A", brand="Acme")
    products.update_product(product_id=product.pk, actor=None, data={"fields": {"brand": "Bolt"}})
    product.refresh_from_db()
    change = product_history(product).entries[0].changes
    assert [(c.field, c.before, c.after) for c in change] == [("fields.brand", "Acme", "Bolt")]


def test_an_import_writes_the_keys_of_its_columns_and_leaves_the_others() -> None:
    define("Brand")
    define("Stock", "integer")
    make("A", brand="Acme", stock=3)
    make("B", brand="Acme")
    make("C", stock=1)
    change_set, done = import_rows(("a", {"stock": 4}), ("B", {"stock": None}), ("D", {"stock": 9}))
    assert (done.created, done.updated, done.unchanged) == (1, 1, 1)
    assert [own(sku) for sku in ("a", "B", "C", "D")] == [
        {"brand": "Acme", "stock": 4},
        {"brand": "Acme"},
        {"stock": 1},
        {"stock": 9},
    ]
    change = Change.objects.get()
    assert (change.fields, change.old_own_fields) == (33, {"stock": 3})
    taken_back = undone(change_set.pk)
    assert (taken_back.updated, taken_back.deleted) == (1, 1)
    assert own("A") == {"brand": "Acme", "stock": 3}
    again = undone(taken_back.pk)
    assert (again.updated, again.created) == (1, 1)
    assert [own("a"), own("D")] == [{"brand": "Acme", "stock": 4}, {"stock": 9}]


def test_an_import_without_own_columns_leaves_their_values() -> None:
    define("Brand")
    make("A", brand="Acme")
    _, done = import_rows(("A", {}), ("B", {}))
    assert (done.unchanged, own("A"), own("B")) == (1, {"brand": "Acme"}, None)


def test_a_value_of_a_unique_field_that_is_taken_is_refused_by_line() -> None:
    define("GTIN", "gtin", unique=True)
    make("A", gtin="4006381333931")
    rows = [("B", "04006381333931"), ("C", "00000073513537"), ("D", "00000073513537"), ("E", None)]
    _, done = import_rows(*((sku, {"gtin": v}) for sku, v in rows), unique=("gtin",))
    assert [(line, key, value) for line, _, key, value in done.taken] == [
        (2, "gtin", "04006381333931"),
        (4, "gtin", "00000073513537"),
    ]
    assert (done.created, done.rows) == (2, 4)
    assert set(Product.objects.values_list("sku", flat=True)) == {"A", "C", "E"}
    _, done = import_rows(("C", {"gtin": "00000073513537"}), unique=("gtin",))
    assert (done.unchanged, done.taken) == (1, [])
    with pytest.raises(Invalid) as refused:
        make("F", gtin="73513537")
    assert refused.value.errors["fields.gtin"][0] == "unique"


def test_an_undo_leaves_a_value_alone_that_another_product_has_now() -> None:
    define("GTIN", "gtin", unique=True)
    product = make("A", gtin="4006381333931")
    products.update_product(product_id=product.pk, actor=None, data={"fields": {"gtin": None}})
    edit = ChangeSet.objects.get(kind="edit")
    make("B", gtin="4006381333931")
    assert undo.forecast(edit).keep == 1
    left_alone = undone(edit.pk)
    assert (left_alone.updated, left_alone.conflicts) == (0, 1)
    assert left_alone.kept.get().reason == "taken"
    assert own("A") is None


def import_chunks(*chunks: tuple[str, dict[str, Any]], unique: str) -> ChangeSet:
    """An import of chunks of one row each."""
    change_set = ChangeSet.objects.create(kind="import", status="applying")
    for row in chunks:
        _, done = import_rows(row, unique=(unique,), change_set=change_set)
        assert not done.taken
    change_set.refresh_from_db()
    return change_set


@pytest.mark.parametrize("newest_first", [False, True])
def test_values_that_an_import_passed_on_come_back_with_its_undo(
    monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    define("MPN", unique=True)
    for sku, mpn in (("A", "1"), ("B", "2"), ("C", "3")):
        make(sku, mpn=mpn)
    if newest_first:  # as by a worker that comes to the later slice first
        monkeypatch.setattr("catalog.sql.undo.SLICE_ROWS", 1)
        ids = Product.objects.order_by("-id")
        for number, product in enumerate(ids, start=1):
            Product.objects.filter(pk=product.pk).update(id=product.pk * 10 + number)
    moved = import_chunks(
        ("C", {"mpn": "9"}),
        ("B", {"mpn": "3"}),
        ("A", {"mpn": "2"}),
        ("N", {"mpn": "1"}),
        unique="mpn",
    )
    assert undo.forecast(moved).keep == 0
    back = undone(moved.pk)
    assert (back.updated, back.deleted, back.conflicts, back.kept.count()) == (3, 1, 0, 0)
    assert [own(sku) for sku in "ABC"] == [{"mpn": "1"}, {"mpn": "2"}, {"mpn": "3"}]
    again = undone(back.pk)
    assert (again.updated, again.created, again.conflicts, again.kept.count()) == (3, 1, 0, 0)
    found = [own(sku) for sku in "ABCN"]
    assert found == [{"mpn": "2"}, {"mpn": "3"}, {"mpn": "9"}, {"mpn": "1"}]


def test_outsiders_hear_of_what_an_undo_restored_in_the_end() -> None:
    define("MPN", unique=True)
    make("A", mpn="1")
    moved = import_chunks(("A", {"mpn": "2"}), ("N", {"mpn": "1"}), unique="mpn")
    create_endpoint(actor=None, url="https://x.example/", events=["products.changed"])
    undone(moved.pk)
    told = Event.objects.filter(type="products.changed")
    bodies = [json.loads(bytes(event.body))["data"] for event in told.order_by("pk")]
    changed = [(one["action"], product["sku"]) for one in bodies for product in one["products"]]
    assert sorted(changed) == [("deleted", "N"), ("updated", "A")]


@pytest.mark.parametrize("key", [None, 0, False, [], {}])
def test_a_key_that_is_no_text_is_refused_where_a_field_is_changed(key: Any) -> None:
    field = define("MPN")
    with pytest.raises(Invalid) as caught:
        fields.update_field(field_id=field.pk, data={"key": key, "label": "Number"})
    assert set(caught.value.errors) == {"key"}


def made_unique(field: Field) -> bool:
    """Make a field unique, unless somebody may still read what does not fit: a vacuum, as well."""
    try:
        fields.update_field(field_id=field.pk, data={"unique": True})
    except fields.FieldInUse as error:
        if "Try again in a moment" not in str(error):
            raise
        return False
    return True


def test_a_long_value_that_somebody_still_reads_is_told_where_a_field_becomes_unique() -> None:
    field = define("MPN")
    long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1_000))
    product = make("A", mpn=long)
    somebody = connection.copy()
    try:
        with somebody.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM catalog_product")
            products.delete_product(product_id=product.pk, actor=None)
            assert not made_unique(field)
            assert not Field.objects.get().unique
    finally:
        somebody.close()
    wait_for(lambda: made_unique(field))
    assert Field.objects.get().unique


def test_an_undo_lists_values_that_no_longer_fit_into_a_unique_field() -> None:
    # As little as can be compressed.
    long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1_000))
    field = define("MPN")
    make("D", mpn="kept")
    make("A", mpn=long)
    make("B", mpn="short")
    make("C", mpn=long)
    for sku in ("A", "B"):
        import_rows((sku, {"mpn": f"new {sku}"}))
    one, two = ChangeSet.objects.filter(kind="import").order_by("pk")
    gone = Product.objects.get(sku="C")
    products.delete_product(product_id=gone.pk, actor=None)
    wait_for(lambda: made_unique(field))
    for change_set, conflicts in (
        (one, 1),
        (two, 0),
        (ChangeSet.objects.filter(kind="delete").get(), 1),
    ):
        left = undone(change_set.pk)
        assert [kept.reason for kept in left.kept.all()] == ["too_long"] * conflicts
    assert (own("A"), own("B")) == ({"mpn": "new A"}, {"mpn": "short"})


def test_an_undo_gives_a_value_that_two_had_to_one_of_them_once_it_is_unique() -> None:
    field = define("MPN")
    for sku in ("A", "B"):
        make(sku, mpn="same")
    change_set, _ = import_rows(("A", {"mpn": "1"}), ("B", {"mpn": "2"}))
    fields.update_field(field_id=field.pk, data={"unique": True})
    left = undone(change_set.pk)
    assert (left.updated, left.conflicts, left.kept.get().reason) == (1, 1, "taken")
    assert sorted([own("A")["mpn"], own("B")["mpn"]]) == ["2", "same"]


def test_a_deleted_field_is_cleared_by_a_change_set_and_comes_back_with_its_undo() -> None:
    brand = define("Brand")
    define("Stock", "integer")
    make("A", brand="Acme", stock=3)
    make("B", stock=1)
    with pytest.raises(fields.FieldInUse):
        fields.delete_field(field_id=brand.pk, actor=None)
    fields.update_field(field_id=brand.pk, data={"retired": True})
    change_set = fields.delete_field(field_id=brand.pk, actor=None)
    assert change_set is not None
    assert (work(change_set).updated, own("A"), own("B")) == (1, {"stock": 3}, {"stock": 1})
    with pytest.raises(fields.FieldInUse):
        fields.update_field(field_id=brand.pk, data={"retired": False})
    undone(change_set.pk)
    assert own("A") == {"stock": 3, "brand": "Acme"}
    fields.update_field(field_id=brand.pk, data={"retired": False})


def test_a_deleted_field_is_gone_once_its_clearing_cannot_be_undone(settings: Any) -> None:
    brand = define("Brand", unique=True)
    make("A", brand="Acme")
    fields.update_field(field_id=brand.pk, data={"retired": True})
    change_set = fields.delete_field(field_id=brand.pk, actor=None)
    assert change_set is not None
    work(change_set)
    settings.KEEP_CHANGES = timedelta(0)
    clear_changes()
    assert not Field.objects.exists()
    define("Brand")


def test_a_deleted_product_comes_back_with_its_own_fields() -> None:
    define("Brand")
    product = make("A", brand="Acme")
    change_set = products.delete_product(product_id=product.pk, actor=None)
    undone(change_set.pk)
    assert own("A") == {"brand": "Acme"}


def test_another_type_is_refused_where_values_would_not_fit() -> None:
    size = define("Size")
    make("A", size="12")
    with pytest.raises(fields.FieldInUse, match=r"1 product has .* “12” of A"):
        fields.update_field(field_id=size.pk, data={"type": "integer"})
    assert Field.objects.get().type == "text"
    fields.update_field(field_id=size.pk, data={"type": "long_text"})


def test_a_field_becomes_unique_only_where_no_two_products_share_a_value() -> None:
    mpn = define("MPN")
    make("A", mpn="1")
    second = make("B", mpn="1")
    with pytest.raises(fields.FieldInUse, match="2 products share the MPN “1”"):
        fields.update_field(field_id=mpn.pk, data={"unique": True})
    products.update_product(product_id=second.pk, actor=None, data={"fields": {"mpn": "2"}})
    fields.update_field(field_id=mpn.pk, data={"unique": True})
    with pytest.raises(Invalid):
        make("C", mpn="2")
    fields.update_field(field_id=mpn.pk, data={"unique": False})
    make("C", mpn="2")


def test_a_required_field_is_asked_of_new_products_and_not_enforced_backwards() -> None:
    old = make("A")
    define("Brand", required=True)
    with pytest.raises(Invalid) as refused:
        make("B")
    assert refused.value.errors["fields.brand"][0] == "required"
    # A form sends all of its fields.
    edit = {"name": "Another", "fields": {"brand": ""}}
    assert products.update_product(product_id=old.pk, actor=None, data=edit).name == "Another"
    products.update_product(product_id=old.pk, actor=None, data={"fields": {"brand": "Acme"}})
    with pytest.raises(Invalid) as refused:
        products.update_product(product_id=old.pk, actor=None, data={"fields": {"brand": ""}})
    assert refused.value.errors["fields.brand"][0] == "required"


# --- API ------------------------------------------------------------------------------


@pytest.fixture
def client(static_files: None) -> Callable[[str], APIClient]:
    return client_of


def client_of(role: str) -> APIClient:
    user = User.objects.create_user(role)
    user.groups.add(Group.objects.get(name=role))
    api = APIClient()
    api.force_authenticate(user)
    return api


def test_the_api_defines_fields_and_products_carry_them(client: Callable[[str], APIClient]) -> None:
    manager = client("manager")
    made = manager.post("/api/v1/fields/", {"label": "Brand", "type": "text"}, format="json")
    assert (made.status_code, made.data["key"]) == (201, "brand")
    sent = {"sku": "A", "name": "A", "fields": {"brand": "Acme"}}
    product = manager.post("/api/v1/products/", sent, format="json")
    assert (product.status_code, product.data["fields"]) == (201, {"brand": "Acme"})
    here = f"/api/v1/products/{product.data['id']}/"
    bad = manager.patch(here, {"fields": {"colour": "red"}}, format="json")
    assert (bad.status_code, bad.data["errors"]["fields.colour"][0]["code"]) == (400, "unknown")
    assert manager.patch(here, {"fields": "red"}, format="json").status_code == 400
    for lost in ({"brand": "Bolt"}, {"fields.brand": "Bolt"}):
        told = manager.patch(here, lost, format="json")
        assert (told.status_code, list(told.data["errors"])) == (400, ["fields.brand"])
    replaced = manager.put(here, {"sku": "A", "name": "A"}, format="json")
    assert replaced.data["fields"] == {"brand": None}
    history = manager.get(f"{here}history/").data["results"]
    assert history[0]["changes"] == {"fields.brand": ["Acme", None]}


def test_fields_are_the_managers_to_define_and_everybodys_to_see(
    client: Callable[[str], APIClient],
) -> None:
    define("Brand")
    editor = client("editor")
    assert len(editor.get("/api/v1/fields/").data) == 1
    field = Field.objects.get()
    asked = [
        editor.post("/api/v1/fields/", {"label": "Size", "type": "text"}, format="json"),
        editor.patch(f"/api/v1/fields/{field.pk}/", {"label": "Size"}, format="json"),
        editor.delete(f"/api/v1/fields/{field.pk}/"),
        editor.post("/api/v1/fields/ready-made/"),
    ]
    assert {answer.status_code for answer in asked} == {403}


def test_a_field_is_retired_and_deleted_by_the_api(
    client: Callable[[str], APIClient],
) -> None:
    manager = client("manager")
    brand = define("Brand")
    product = make("A", brand="Acme")
    here = f"/api/v1/fields/{brand.pk}/"
    assert manager.delete(here).status_code == 409
    assert manager.patch(here, {"retired": True}, format="json").status_code == 200
    assert manager.get(f"/api/v1/products/{product.pk}/").data["fields"] == {}
    answer = manager.delete(here)
    assert (answer.status_code, answer.data["kind"]) == (202, "bulk_edit")
    assert manager.delete("/api/v1/fields/999999/").status_code == 404


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"fields.brand": "Acme"}, "AB"),
        ({"fields.brand": "acme"}, ""),
        ({"fields.brand__contains": "OL"}, "C"),
        ({"fields.brand__in": "Bolt|Acme"}, "ABC"),
        ({"fields.brand__isblank": "true"}, "D"),
        ({"fields.stock__gte": "9"}, "AB"),
        ({"fields.stock__gte": "9", "fields.stock__lte": "9.0"}, "A"),
        ({"fields.cost": "1.5"}, "A"),
        ({"fields.made__gte": "2026-02-01"}, "B"),
        ({"fields.new": "yes"}, "A"),
        ({"fields.size": "S"}, "AB"),
        ({"fields.size": "S|M"}, "A"),
        ({"fields.gtin": "4006381333931"}, "A"),
        ({"fields.stock": "", "sku": "a"}, "A"),
    ],
)
def test_products_are_filtered_by_own_fields(
    client: Callable[[str], APIClient], filters: dict[str, str], found: str
) -> None:
    for label, type in (("Brand", "text"), ("Stock", "integer"), ("Cost", "money")):
        define(label, type)
    define("Made", "date"), define("New", "boolean"), define("GTIN", "gtin")
    define("Size", "choices", options={"choices": ["S", "M"]})
    make("A", brand="Acme", stock=9, cost="1.50", made="2026-01-31", new=True, size=["M", "S"],
         gtin="4006381333931")  # fmt: skip
    make("B", brand="Acme", stock=10, made="2026-02-01", new=False, size="s")
    make("C", brand="Bolt", stock=-2)
    make("D")
    answer = client("viewer").get("/api/v1/products/", filters)
    assert "".join(product["sku"] for product in answer.data["results"]) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fields.colour", "red"),
        ("fields.stock", "many"),
        ("fields.stock__near", "1"),
        ("fields.brand__gte", "a"),
        ("fields.stock__contains", "1"),
        ("fields.brand", "a\0b"),
        ("fields.brand__isblank", "perhaps"),
        ("fields.stock__in", "|".join("1" * 101)),
    ],
)
def test_a_filter_by_an_own_field_that_cannot_be_is_a_sentence(
    client: Callable[[str], APIClient], name: str, text: str
) -> None:
    define("Brand"), define("Stock", "integer")
    answer = client("viewer").get("/api/v1/products/", {name: text})
    assert (answer.status_code, list(answer.data["errors"])) == (400, [name])


def export(**options: Any) -> str:
    return "".join(export_lines(Product.objects.all(), **options))


def test_an_export_has_own_fields_as_an_import_takes_them() -> None:
    define("Brand"), define("GTIN", "gtin"), define("New", "boolean"), define("Cost", "money")
    define("Size", "choices", options={"choices": ["S", "M"]})
    make("A", brand='7" "Acme", Ltd', gtin="73513537", new=False, cost="2", size=["S", "M"])
    make("B", gtin="036000291452")
    assert export().splitlines() == [
        "sku,name,description,price,active,brand,gtin,new,cost,size",
        'A,A,,,true,"7"" ""Acme"", Ltd",73513537,false,2.00,S|M',
        "B,B,,,true,,036000291452,,,",
    ]
    assert export(columns=["brand", "sku"], spreadsheet=True).splitlines()[2] == ",B"


def test_an_export_runs_no_formula_of_an_own_field() -> None:
    define("Brand")
    make("A", brand="=1+1")
    assert export(spreadsheet=True, columns=["brand"]).splitlines()[1] == "'=1+1"


def test_the_columns_of_an_export_are_chosen_by_the_address(
    client: Callable[[str], APIClient],
) -> None:
    define("Brand")
    make("A", brand="Acme")
    editor = client("editor")
    here = "/api/v1/products/export.csv"
    answer = editor.get(here, {"columns": "brand,sku"})

    async def body() -> bytes:
        return b"".join([bytes(piece) async for piece in cast(StreamingHttpResponse, answer)])

    assert async_to_sync(body)() == b"brand,sku\nAcme,A\n"
    for columns in ("brand,colour", "sku,sku"):
        assert editor.get(here, {"columns": columns}).data["errors"]["columns"]


def test_a_product_that_is_brought_back_or_restored_has_its_own_fields() -> None:
    define("Brand"), define("Stock", "integer")
    product = make("A", brand="Acme")
    products.update_product(
        product_id=product.pk, actor=None, data={"fields": {"brand": "Bolt", "stock": 2}}
    )
    product.refresh_from_db()
    first = product_history(product).entries[-1]
    products.restore_product(product_id=product.pk, actor=None, values=first.values, version=None)
    assert own("A") == {"brand": "Acme"}
    products.delete_product(product_id=product.pk, actor=None)
    products.bring_back_product(product_id=product.pk, actor=None)
    assert own("A") == {"brand": "Acme"}
    assert BroughtBack.objects.filter(first_id=product.pk).exists()


def test_a_deleted_field_is_not_deleted_again_while_that_can_be_undone() -> None:
    brand = define("Brand")
    make("A", brand="Acme")
    fields.update_field(field_id=brand.pk, data={"retired": True})
    change_set = fields.delete_field(field_id=brand.pk, actor=None)
    assert change_set is not None
    work(change_set)
    with pytest.raises(fields.FieldInUse, match="deleted already"):
        fields.delete_field(field_id=brand.pk, actor=None)
    undone(change_set.pk)
    assert own("A") == {"brand": "Acme"}
    assert fields.delete_field(field_id=brand.pk, actor=None) is not None


def test_a_key_is_not_given_another_meaning_than_values_have_that_came_back() -> None:
    brand = define("Brand")
    make("A", brand="Acme")
    gone = work(bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None))
    fields.update_field(field_id=brand.pk, data={"retired": True})
    assert fields.delete_field(field_id=brand.pk, actor=None) is None
    undone(gone.pk)
    with pytest.raises(fields.FieldInUse, match="Choose another key"):
        define("Brand", "integer")
    define("Brand")


def test_a_unique_value_is_no_longer_than_an_index_takes() -> None:
    # As little as can be compressed.
    long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1_000))
    define("MPN", unique=True)
    with pytest.raises(Invalid, match="at most 2,600 bytes"):
        make("A", mpn=long)
    make("A", mpn=long[:860])
    brand = define("Brand")
    make("B", brand=long)
    with pytest.raises(fields.FieldInUse, match="would not fit"):
        fields.update_field(field_id=brand.pk, data={"unique": True})


def test_ready_made_fields_that_do_not_fit_in_are_refused_with_a_reason(
    client: Callable[[str], APIClient],
) -> None:
    Field.objects.bulk_create(Field(key=f"k{n}", label=f"L{n}", type="text") for n in range(195))
    manager = client("manager")
    assert manager.post("/api/v1/fields/ready-made/").status_code == 400
    assert Field.objects.count() == 195
    page = Client()
    page.force_login(User.objects.get())
    answer = page.post("/fields/ready-made/", follow=True)
    assert "at most 200 fields" in answer.content.decode()


def test_two_people_make_the_ready_made_fields_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fields.create_field

    def slower(*, data: dict[str, Any]) -> Field:
        if data["key"] == "gtin":
            real(data=data)  # the other one
        return real(data=data)

    monkeypatch.setattr(fields, "create_field", slower)
    fields.create_ready_made()
    assert Field.objects.count() == len(fields.READY_MADE)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"label": "Pack-Size"}, "label"),
        ({"label": "Packs", "key": "packsize"}, "key"),
        ({"label": "Price", "key": "my_price"}, "label"),
    ],
)
def test_no_two_fields_have_names_that_a_column_cannot_tell_apart(
    data: dict[str, Any], wrong: str
) -> None:
    define("Pack size", "integer")
    with pytest.raises(Invalid) as refused:
        fields.create_field(data={"type": "text", **data})
    assert list(refused.value.errors) == [wrong]


def test_deleted_fields_that_may_come_back_take_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_values, "FIELDS_AT_MOST", 1)
    size = define("Size")
    make("A", size="L")
    fields.update_field(field_id=size.pk, data={"retired": True})
    with pytest.raises(Invalid):
        define("Brand")
    fields.delete_field(field_id=size.pk, actor=None)
    assert define("Brand").pk


def test_a_form_keeps_the_line_ends_of_what_it_does_not_change() -> None:
    for type in ("text", "long_text"):
        define(type, type)
    product = make("A", text="a\r\nb\rc", long_text="x\r\ny")
    typed = {"fields": {"text": "a\nb\nc", "long_text": "x\ny"}}
    same = products.update_product(product_id=product.pk, actor=None, data=typed, typed=True)
    assert same.version == 1
    typed = {"fields": {"text": "a\nb"}}
    saved = products.update_product(product_id=product.pk, actor=None, data=typed, typed=True)
    assert saved.own_fields == {"text": "a\nb", "long_text": "x\r\ny"}


def test_values_that_would_be_kept_in_another_form_are_told_as_such() -> None:
    weight = define("Weight", "decimal", options={"scale": 3})
    make("A", weight="1.5")
    with pytest.raises(fields.FieldInUse, match=r"kept in another form, “1\.500” of A .* clear it"):
        fields.update_field(field_id=weight.pk, data={"options": {"scale": 5}})
    with pytest.raises(fields.FieldInUse, match=r"would not fit, “1\.500” of A"):
        fields.update_field(field_id=weight.pk, data={"type": "integer", "options": {}})


def test_numbers_are_not_taken_for_yes_and_no() -> None:
    stock = define("Stock", "integer")
    make("A", stock=1)
    with pytest.raises(fields.FieldInUse):
        fields.update_field(field_id=stock.pk, data={"type": "boolean"})


def test_a_field_is_not_renamed_to_what_every_product_has() -> None:
    size = define("Size")
    with pytest.raises(Invalid):
        fields.update_field(field_id=size.pk, data={"label": "Price"})


def test_a_form_can_take_the_last_line_break_away() -> None:
    define("Care", "long_text")
    product = products.create_product(
        actor=None, data={"sku": "A", "name": "A", "description": "one\n"}
    )
    typed = {"description": "one"}
    saved = products.update_product(product_id=product.pk, actor=None, data=typed, typed=True)
    assert saved.description == "one"
