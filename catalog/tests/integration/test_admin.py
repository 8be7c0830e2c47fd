"""The catalogue in the admin: every write is a change set with its events, as on the pages."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from catalog.models import ChangeSet, Field, Product, RemovedProduct
from catalog.operations import fields, personal, search_index
from catalog.operations import products as operations
from catalog.queries.filters import active_filters, filtered_products
from webhooks.models import Event

pytestmark = pytest.mark.django_db

LIST = "/admin/catalog/product/"


@pytest.fixture
def ops(client: Client, make_user: Callable[..., User], static_files: None) -> Client:
    user = make_user("olga")
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client.force_login(User.objects.get(pk=user.pk))
    return client


@pytest.fixture
def staff(client: Client, make_user: Callable[..., User], static_files: None) -> Client:
    """Somebody who may enter the admin and only look at products."""
    user = make_user("vera", role="viewer")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    return client


def product_of(**values: Any) -> Product:
    return operations.create_product(actor=None, data={"sku": "A-1", "name": "Lamp", **values})


def form(product: Product | None = None, **values: Any) -> dict[str, Any]:
    data = {"sku": "A-1", "name": "Lamp", "description": "", "price": "", "active": "on"}
    return {**data, **({"seen_version": product.version} if product else {}), **values}


def change_page(product: Product) -> str:
    return f"{LIST}{product.pk}/change/"


def test_a_product_is_created_in_a_change_set_with_its_event(ops: Client) -> None:
    answer = ops.post(f"{LIST}add/", form(price="12.50"))
    assert answer.status_code == 302
    product = Product.objects.get(sku="A-1")
    assert str(product.price) == "12.50"
    change_set = ChangeSet.objects.get(pk=product.created_in_id or 0)
    assert change_set.kind == ChangeSet.Kind.CREATE
    assert change_set.actor is not None
    assert change_set.actor.username == "olga"
    assert Event.objects.filter(type=Event.Type.PRODUCT_CREATED).count() == 1


def test_an_edit_is_a_change_set_and_a_new_version(ops: Client) -> None:
    product = product_of()
    assert ops.post(change_page(product), form(product, name="Desk lamp")).status_code == 302
    product.refresh_from_db()
    assert (product.name, product.version) == ("Desk lamp", 2)
    assert ChangeSet.objects.filter(kind=ChangeSet.Kind.EDIT, updated=1).count() == 1
    assert Event.objects.filter(type=Event.Type.PRODUCT_UPDATED).count() == 1


def test_a_delete_keeps_what_undo_needs(ops: Client) -> None:
    product = product_of()
    assert ops.get(f"{LIST}{product.pk}/delete/").status_code == 200
    assert ops.post(f"{LIST}{product.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Product.objects.exists()
    assert RemovedProduct.objects.get().sku == "A-1"
    assert Event.objects.filter(type=Event.Type.PRODUCT_DELETED).count() == 1


def test_a_taken_sku_is_told_beside_its_field(ops: Client) -> None:
    product_of()
    answer = ops.post(f"{LIST}add/", form(sku="a-1", name="Another"))
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert list(errors) == ["sku"]
    assert errors.as_data()["sku"][0].code == "unique"
    assert 'value="Another"' in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "value"), [("price", "1.234"), ("price", "-1"), ("name", " "), ("sku", "")]
)
def test_a_value_that_cannot_be_is_told_beside_its_field(
    ops: Client, field: str, value: str
) -> None:
    answer = ops.post(f"{LIST}add/", {**form(), field: value})
    assert list(answer.context["adminform"].form.errors) == [field]
    assert not ChangeSet.objects.exists()


def test_a_conflict_is_told_and_nothing_typed_is_lost(ops: Client) -> None:
    product = product_of()
    stale = form(product, name="Mine")
    operations.update_product(
        product_id=product.pk, actor=None, data={"name": "Theirs", "price": "5"}
    )
    answer = ops.post(change_page(product), stale)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "while you did" in text
    assert "“Theirs”" in text
    assert 'value="Mine"' in text
    assert 'value="5.00"' in text  # only the other person changed the price
    product.refresh_from_db()
    assert product.name == "Theirs"
    again = {**form(name="Mine", price="5.00"), "seen_version": 2}
    assert ops.post(change_page(product), again).status_code == 302
    product.refresh_from_db()
    assert (product.name, str(product.price), product.version) == ("Mine", "5.00", 3)


def test_who_may_only_look_cannot_write(staff: Client) -> None:
    product = product_of()
    assert staff.get(change_page(product)).status_code == 200
    assert staff.post(change_page(product), form(product, name="No")).status_code == 403
    assert staff.post(f"{LIST}add/", form(sku="B")).status_code == 403
    assert staff.post(f"{LIST}{product.pk}/delete/", {"post": "yes"}).status_code == 403
    product.refresh_from_db()
    assert product.name == "Lamp"


def test_a_delete_of_many_needs_its_own_permission(staff: Client) -> None:
    editor = User.objects.get(username="vera")
    editor.user_permissions.add(Permission.objects.get(codename="change_product"))
    product_of()
    actions = dict(staff.get(LIST).context["action_form"].fields["action"].choices)
    assert "activate" in actions
    assert not {"delete", "delete_selected", "export"} & set(actions)


def run_action(ops: Client, act: str, address: str = LIST, **more: Any) -> Any:
    return ops.post(address, {"action": act, "index": "0", **more})


def test_an_act_on_all_that_match_starts_one_bulk_act(ops: Client) -> None:
    first = product_of()
    product_of(sku="B-1", name="Chair")
    product_of(sku="A-2", name="Lamp", active=False)
    asked = run_action(
        ops,
        "deactivate",
        f"{LIST}?q=lamp&active__exact=1",
        select_across="1",
        _selected_action=str(first.pk),
    )
    assert asked.status_code == 200
    assert asked.context["count"] == 1
    assert 'name="everything"' in asked.content.decode()
    hidden = asked.context["hidden"]
    assert hidden == {"q": "lamp", "active": "1"}
    started = ops.post(
        reverse("product-bulk-start"), {"act": "deactivate", "everything": "1", **hidden}
    )
    act = ChangeSet.objects.get(kind=ChangeSet.Kind.BULK_EDIT)
    assert started["Location"] == reverse("change-detail", args=[act.pk])
    assert act.request["filters"] == hidden
    assert act.total == 1


def test_an_act_on_ticked_products_means_only_those(ops: Client) -> None:
    first = product_of()
    product_of(sku="B-1")
    asked = run_action(ops, "delete", select_across="0", _selected_action=str(first.pk))
    assert asked.context["count"] == 1
    assert asked.context["ids"] == str(first.pk)
    assert Product.objects.count() == 2


def test_a_filter_by_hand_is_refused_so_no_act_can_mean_more_than_is_shown(ops: Client) -> None:
    product = product_of()
    address = f"{LIST}?name__startswith=Z"
    answer = run_action(ops, "delete", address, select_across="1", _selected_action=str(product.pk))
    assert answer.status_code == 400


def test_the_export_has_the_filters_of_the_list(ops: Client) -> None:
    product = product_of()
    answer = run_action(
        ops, "export", f"{LIST}?q=la%25mp&active__exact=0", _selected_action=str(product.pk)
    )
    assert answer["Location"] == f"{reverse('product-export')}?q=la%25mp&active=0"


def test_the_search_is_literal(ops: Client) -> None:
    product_of(name="100 % wool")
    product_of(sku="B-1", name="Chair")
    found = ops.get(LIST, {"q": "%"}).context["cl"].result_list
    assert [product.sku for product in found] == ["A-1"]


def test_what_fits_one_page_is_found_by_the_search_index(
    ops: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "FROM_PRODUCTS", 0)
    product_of(name="Lamp")
    product_of(sku="B-1", name="Chair")
    assert search_index.keep_search_index(seconds=60)
    for text, number in (("lamp", 1), ("table", 0)):
        with CaptureQueriesContext(connection) as asked:
            found = ops.get(LIST, {"q": text}).context["cl"].result_list
            assert len(found) == number
        texts = [one["sql"] for one in asked if "UPPER('%" in one["sql"]]
        narrow = ("catalog_broughtback", " IN (", " LIMIT ")
        assert texts
        assert all(any(part in text for part in narrow) for text in texts), texts


def test_the_list_asks_the_same_number_of_questions_for_any_number_of_products(
    ops: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.admin.products.ProductAdmin.list_per_page", 10)
    for number in range(11):
        product_of(sku=f"F-{number}")
    ops.get(LIST)
    with CaptureQueriesContext(connection) as few:
        ops.get(LIST)
    for number in range(60):
        product_of(sku=f"N-{number}")
    ops.get(LIST)
    with CaptureQueriesContext(connection) as many:
        assert ops.get(LIST).status_code == 200
    assert len(many) == len(few), [query["sql"] for query in many]
    assert len(many) <= 8, [query["sql"] for query in many]
    assert not any("COUNT(" in query["sql"] for query in many)


@pytest.mark.parametrize("model", ["change", "removedproduct", "changeset"])
def test_what_happened_is_listed_with_links_to_its_change_set(ops: Client, model: str) -> None:
    product = product_of()
    operations.update_product(product_id=product.pk, actor=None, data={"name": "Desk lamp"})
    ended = operations.delete_product(product_id=product.pk, actor=None)
    wanted = ended.pk - 1 if model == "change" else ended.pk
    address = f"/admin/catalog/{model}/"
    answer = ops.get(address)
    assert reverse("change-detail", args=[wanted]) in answer.content.decode()
    assert ops.get(f"{address}add/").status_code == 403


def test_changes_and_removed_products_are_found_by_number(ops: Client) -> None:
    product = product_of()
    operations.update_product(product_id=product.pk, actor=None, data={"name": "Desk lamp"})
    operations.delete_product(product_id=product.pk, actor=None)
    for model in ("change", "removedproduct"):
        address = f"/admin/catalog/{model}/"
        assert len(ops.get(address, {"q": product.pk}).context["cl"].result_list) == 1
        assert len(ops.get(address, {"q": "Lamp"}).context["cl"].result_list) == 0


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("", lambda p: p.pk),
        ("&q=even", lambda p: p.pk),
        ("&o=2", lambda p: (p.name, p.pk)),
        ("&o=-2&q=even", lambda p: -p.pk),
        ("&o=1", lambda p: p.sku),
        ("&o=-1.2", lambda p: (-int(p.sku), p.pk)),
        ("&o=3", lambda p: (-1 if p.price is None else p.price, p.pk)),  # as on the pages
        ("&o=-3", lambda p: (1 if p.price is None else -p.price, -p.pk)),
    ],
)
@pytest.mark.parametrize("probe_rows", [1, 20_000])
@pytest.mark.parametrize("near_rows", [0, 20, 1_000])
def test_all_pages_together_are_the_list(
    ops: Client,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    order: Callable[[Product], Any],
    probe_rows: int,
    near_rows: int,
) -> None:
    monkeypatch.setattr("catalog.queries.pagination.PROBE_ROWS", probe_rows)
    monkeypatch.setattr("catalog.queries.pagination.FAR_ROWS", probe_rows)
    monkeypatch.setattr("catalog.queries.pagination.NEAR_ROWS", near_rows)
    monkeypatch.setattr("catalog.admin.products.ProductAdmin.list_per_page", 10)
    names = ["odd", "even"]
    products = Product.objects.bulk_create(
        Product(sku=str(100 + 7 * n % 64), name=names[n % 2], price=n % 5 or None)
        for n in range(64)
    )
    wanted = [p for p in products if "q=" not in query or p.name == "even"]
    found: list[Product] = []
    for number in range(1, -(-len(wanted) // 10) + 1):
        answer = ops.get(f"{LIST}?p={number}{query}")
        assert answer.status_code == 200
        found += answer.context["cl"].result_list
    assert found == sorted(wanted, key=order)
    assert ops.get(f"{LIST}?p=8{query}").status_code == 302  # beyond the end: to the first


# --- Fields of one's own --------------------------------------------------------------


@pytest.fixture
def own_fields(db: None) -> None:
    for label, type, options in (
        ("Brand", "text", {}),
        ("Stock", "integer", {}),
        ("Sizes", "choices", {"choices": ["S", "M", "L"]}),
        ("Fair", "boolean", {}),
        ("Listed", "date", {}),
    ):
        fields.create_field(data={"label": label, "type": type, "options": options})


def test_own_fields_are_edited_in_the_admin_with_the_input_of_their_type(
    ops: Client, own_fields: None
) -> None:
    values = {"brand": "Acme", "sizes": ["S", "L"], "fair": True, "listed": "2026-03-02"}
    product = product_of(fields=values)
    page = ops.get(change_page(product)).content.decode()
    assert 'value="Acme"' in page
    assert '<option value="L" selected>' in page
    assert '<option value="true" selected>' in page
    assert '<input type="date" name="field_listed" value="2026-03-02"' in page
    own = {"field_brand": "Bolt", "field_stock": "3", "field_sizes": ["M", "L"], "field_fair": ""}
    answer = ops.post(change_page(product), form(product, field_listed="2026-03-02", **own))
    assert answer.status_code == 302
    product.refresh_from_db()
    stored = {"brand": "Bolt", "stock": 3, "sizes": ["M", "L"], "listed": "2026-03-02"}
    assert product.own_fields == stored
    assert product.version == 2


def test_a_wrong_own_value_is_told_beside_its_field_in_the_admin(
    ops: Client, own_fields: None
) -> None:
    answer = ops.post(f"{LIST}add/", form(field_stock="many", field_listed="02/03/2026"))
    errors = answer.context["adminform"].form.errors
    assert list(errors) == ["field_stock", "field_listed"]
    assert 'value="many"' in answer.content.decode()
    assert not ChangeSet.objects.exists()


def test_a_conflict_of_own_fields_loses_nobodys_value_in_the_admin(
    ops: Client, own_fields: None
) -> None:
    product = product_of(fields={"brand": "Acme", "stock": 1, "sizes": ["S"]})
    stale = form(product, field_brand="Bolt", field_stock="1", field_sizes=["S", "M"])
    theirs = {"brand": "Core", "stock": 2}
    operations.update_product(product_id=product.pk, actor=None, data={"fields": theirs})
    answer = ops.post(change_page(product), stale)
    page = answer.content.decode()
    assert list(answer.context["adminform"].form.errors) == ["__all__", "field_brand"]
    assert "stock is “2” now" in page
    assert 'name="field_brand" value="Bolt"' in page
    assert 'name="field_stock" value="2"' in page
    assert '<option value="M" selected>' in page


def test_who_may_only_look_sees_own_values_in_the_admin(staff: Client, own_fields: None) -> None:
    product = product_of(fields={"brand": "<Acme>", "fair": False})
    assert "Brand: &lt;Acme&gt;<br>Fair: No" in staff.get(change_page(product)).content.decode()
    empty = product_of(sku="A-2")
    assert staff.get(change_page(empty)).status_code == 200


@pytest.fixture
def three(own_fields: None) -> None:
    """Products A-1 to A-3 with values of own fields; one has none."""
    product_of(sku="A-1", fields={"brand": "Acme & Sons", "stock": 10, "sizes": ["S", "L"]})
    product_of(sku="A-2", fields={"brand": "Bolt", "stock": 9, "fair": True})
    product_of(sku="A-3")


def skus(answer: Any) -> list[str]:
    return [product.sku for product in answer.context["cl"].result_list]


def test_own_fields_are_columns_of_the_admins_list_as_the_person_has_set_them(
    ops: Client, three: None
) -> None:
    page = ops.get(LIST).content.decode()
    assert all(word in page for word in ("Brand", "Stock", "Sizes", "Acme &amp; Sons", "S, L"))
    personal.keep_columns(
        user=User.objects.get(username="olga"), columns=["fields.stock"], page_size=50
    )
    answer = ops.get(LIST)
    assert [getattr(one, "__name__", one) for one in answer.context["cl"].list_display[5:-2]] == [
        "fields_stock"
    ]
    assert "Acme" not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"fields.brand__contains": "acme"}, ["A-1"]),
        ({"fields.brand__in": "Bolt|Acme & Sons", "q": "a-"}, ["A-1", "A-2"]),
        ({"fields.brand__isblank": "true"}, ["A-3"]),
        ({"fields.stock__gte": "10"}, ["A-1"]),
        ({"fields.stock__gte": "1", "fields.stock__lte": "9"}, ["A-2"]),
        ({"fields.sizes__in": "L"}, ["A-1"]),
        ({"fields.fair": "true", "active__exact": "1"}, ["A-2"]),
    ],
)
def test_own_fields_are_filters_of_the_admins_list_and_of_its_acts(
    ops: Client, three: None, query: dict[str, str], wanted: list[str]
) -> None:
    assert skus(ops.get(LIST, query)) == wanted
    act = {"action": "export", "_selected_action": "0", "select_across": "1", "index": "0"}
    answer = ops.post(f"{LIST}?{urlencode(query)}", act)
    path, _, filters = answer["Location"].partition("?")
    assert path == reverse("product-export")
    meant = filtered_products(active_filters(QueryDict(filters)))
    assert sorted(product.sku for product in meant) == wanted


def test_a_filter_of_own_fields_that_cannot_be_is_told_in_the_admin(
    ops: Client, three: None
) -> None:
    answer = ops.get(LIST, {"fields.stock__gte": "many"})
    assert skus(answer) == []
    assert "“many”" in answer.content.decode()
    # One of no field would be left out of an act: it is refused, as others by hand are.
    assert ops.get(LIST, {"fields.nothing": "x"}).status_code in (302, 400)


@pytest.mark.parametrize("near_rows", [0, 1_000])
@pytest.mark.parametrize(
    ("order", "wanted"),
    [("5", [1, 0, 2, 3]), ("-5", [3, 2, 0, 1]), ("6", [1, 2, 0, 3]), ("-6.2", [3, 0, 2, 1])],
)
def test_the_admins_list_is_in_the_order_of_an_own_field(
    ops: Client,
    own_fields: None,
    monkeypatch: pytest.MonkeyPatch,
    near_rows: int,
    order: str,
    wanted: list[int],
) -> None:
    monkeypatch.setattr("catalog.queries.pagination.NEAR_ROWS", near_rows)
    monkeypatch.setattr("catalog.admin.products.ProductAdmin.list_per_page", 3)
    values = [
        {"brand": "b", "stock": 9},
        {},
        {"brand": "b", "stock": -10},
        {"brand": "c", "stock": 10},
    ]
    for number, own in enumerate(values):
        product_of(sku=f"A-{number}", fields=own)
    pages = [skus(ops.get(LIST, {"o": order, "p": number})) for number in (1, 2)]
    assert [len(page) for page in pages] == [3, 1]
    assert [sku for page in pages for sku in page] == [f"A-{number}" for number in wanted]


def test_times_are_written_as_on_the_pages(ops: Client) -> None:
    product = product_of()
    shown = ops.get(reverse("admin:catalog_product_changelist")).content.decode()
    assert f"{timezone.localtime(product.updated_at):%d %b %Y, %H:%M}" in shown


FIELDS = "/admin/catalog/field/"
FIELD = {"label": "Size", "type": "choice", "choices": "S\nM\n", "in_list": "on", "help": "Of it"}


def test_fields_are_defined_changed_ordered_and_retired_in_the_admin(ops: Client) -> None:
    assert ops.get(f"{FIELDS}add/").status_code == 200
    assert ops.post(f"{FIELDS}add/", FIELD).status_code == 302
    size = Field.objects.get()
    assert (size.key, size.options, size.in_list, size.position) == (
        *("size", {"choices": ["S", "M"]}, True, 0),
    )
    assert ops.post(f"{FIELDS}add/", {"label": "Weight", "type": "decimal", "scale": "3"})
    weight = Field.objects.get(key="weight")
    assert (weight.options, weight.position) == ({"scale": 3}, 1)
    changed = {**FIELD, "label": "Sizes", "position": "5", "required": "on"}
    assert ops.post(f"{FIELDS}{size.pk}/change/", changed).status_code == 302
    size.refresh_from_db()
    assert (size.label, size.key, size.position, size.required) == ("Sizes", "size", 5, True)
    act = {"action": "retire", "_selected_action": [size.pk, weight.pk]}
    assert ops.post(FIELDS, act).status_code == 302
    assert Field.objects.filter(retired=True).count() == 2
    ops.post(FIELDS, {**act, "action": "use_again"})
    assert not Field.objects.filter(retired=True).exists()


def test_what_is_wrong_with_a_field_stands_in_the_admins_form(ops: Client) -> None:
    page = ops.post(f"{FIELDS}add/", {**FIELD, "key": "sku", "choices": ""}).content.decode()
    assert "is a name that every product has already" in page
    assert "A list needs at least one choice" in page
    ops.post(f"{FIELDS}add/", FIELD)
    product_of(fields={"size": "S"})
    size = Field.objects.get()
    page = ops.post(f"{FIELDS}{size.pk}/change/", {**FIELD, "choices": "M"}).content.decode()
    assert "1 product has a value that would not fit, “S” of A-1" in page
    assert Field.objects.get().options == {"choices": ["S", "M"]}


def test_who_may_only_look_changes_no_field_in_the_admin(staff: Client) -> None:
    fields.create_field(data={"label": "Size", "type": "text"})
    pk = Field.objects.get().pk
    assert staff.post(f"{FIELDS}{pk}/change/", FIELD).status_code == 403
    User.objects.get(username="vera").user_permissions.add(
        Permission.objects.get(codename="view_field")
    )
    page = staff.get(f"{FIELDS}{pk}/change/")
    assert (page.status_code, "Options" in page.content.decode()) == (200, True)
    assert staff.post(f"{FIELDS}{pk}/change/", FIELD).status_code == 403
    assert staff.get(f"{FIELDS}add/").status_code == 403


def test_line_breaks_of_a_text_stay_where_another_value_is_edited(ops: Client) -> None:
    fields.create_field(data={"label": "Care", "type": "text"})
    product = product_of(fields={"care": "one\ntwo"})
    here = f"{LIST}{product.pk}/change/"
    assert "one\ntwo</textarea>" in ops.get(here).content.decode()
    assert "one\ntwo</textarea>" in ops.get(f"/products/{product.pk}/").content.decode()
    typed = form(product, name="Desk", field_care="one\r\ntwo")
    assert ops.post(here, typed).status_code == 302
    product.refresh_from_db()
    assert (product.name, product.own_fields) == ("Desk", {"care": "one\ntwo"})
