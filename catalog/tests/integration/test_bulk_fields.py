"""A field of one's own, set or cleared for many products at once: pages, API, undo, words."""

import re
from typing import Any

import pytest
from django.test import Client

from catalog.models import ChangeSet, Field, Product
from catalog.operations import fields, products
from catalog.operations.bulk import field_change, start_bulk_act
from catalog.operations.undo import start_undo
from catalog.queries.acts import describe_act
from conftest import Messages

pytestmark = pytest.mark.django_db(transaction=True)

ASK, START = "/products/bulk/", "/products/bulk/start/"
API = "/api/v1/products/bulk-update/"


def define(label: str, type: str = "text", **more: Any) -> Field:
    return fields.create_field(data={"label": label, "type": type, **more})


def make(sku: str, **own: Any) -> Product:
    return products.create_product(actor=None, data={"sku": sku, "name": sku, "fields": own})


def own() -> dict[str, Any]:
    return dict(Product.objects.values_list("sku", "own_fields"))


def text_of(answer: Any) -> str:
    return " ".join(re.sub("<[^>]+>", " ", answer.content.decode()).split())


@pytest.fixture
def stocked(messages: Messages) -> None:
    define("Brand")
    define("Stock", "integer")
    define("Size", "choice", options={"choices": ["S", "M"]})
    make("A-1", brand="Acme", stock=3)
    make("A-2", brand="Bolt")
    make("A-3")


def test_a_field_is_set_on_a_selection_and_taken_back(
    page: Client, messages: Messages, stocked: None
) -> None:
    before = own()
    chosen = {"everything": "1", "act": "field", "fields.brand__isblank": "false", "back": ""}
    asked = text_of(page.post(ASK, chosen))
    assert "Set a field of 2 products?" in asked
    assert "All products with Brand any" in asked
    form = page.post(ASK, {**chosen, "own_key": "size"}).content.decode()
    assert "Set Size of 2 products?" in " ".join(form.split())
    assert '<option value="M">M</option>' in form
    page.post(START, {**chosen, "own_key": "size", "field_size": "M"})
    act = ChangeSet.objects.latest("id")
    assert describe_act(act) == "Setting Size to “M” on 2 products with Brand any"
    messages.run_all()
    assert own() == {
        "A-1": {"brand": "Acme", "stock": 3, "size": "M"},
        "A-2": {"brand": "Bolt", "size": "M"},
        "A-3": None,
    }
    act.refresh_from_db()
    assert describe_act(act) == "Set Size to “M” on 2 products with Brand any"
    assert "Set Size to “M” on 2 products" in text_of(page.get("/changes/"))
    start_undo(change_set_id=act.pk, actor=None)
    messages.run_all()
    assert own() == before


def test_a_field_is_cleared_only_where_that_is_ticked(
    page: Client, messages: Messages, stocked: None
) -> None:
    ids = ",".join(str(pk) for pk in Product.objects.values_list("pk", flat=True))
    form = {"ids": ids, "act": "field", "own_key": "brand", "field_brand": "", "back": ""}
    refused = page.post(START, form)
    assert refused.status_code == 400
    assert "Give the new value, or tick that the field is cleared." in text_of(refused)
    page.post(START, {**form, "clear": "on"})
    messages.run_all()
    assert own() == {"A-1": {"stock": 3}, "A-2": None, "A-3": None}
    act = ChangeSet.objects.latest("id")
    assert describe_act(act) == "Cleared Brand on 2 selected products"


def test_a_wrong_value_is_shown_again_beside_what_is_wrong(page: Client, stocked: None) -> None:
    form = {"everything": "1", "act": "field", "own_key": "stock", "field_stock": "many"}
    answer = page.post(START, form)
    assert answer.status_code == 400
    assert 'value="many"' in answer.content.decode()
    assert "“many” is not a whole number" in text_of(answer)
    assert ChangeSet.objects.filter(kind="bulk_edit").count() == 0


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("colour", "red", "There is no field “colour”"),
        ("old", "x", "There is no field “old”"),
        ("gtin", "4006381333931", "No two products may share a GTIN"),
        ("maker", None, "Every product needs its Maker"),
        ("stock", "1e400", "is not a whole number"),
    ],
)
def test_what_a_field_cannot_become_in_bulk_is_refused(key: str, value: Any, told: str) -> None:
    define("Stock", "integer")
    define("Old", retired=True)
    define("GTIN", "gtin", unique=True)
    define("Maker", required=True)
    with pytest.raises(ValueError, match=told):
        field_change(key=key, value=value)
    assert field_change(key="gtin", value=None) == ("gtin", None)
    for field in Field.objects.filter(unique=True):
        fields.update_field(field_id=field.pk, data={"unique": False})


def test_the_api_sets_and_clears_a_field(page: Client, messages: Messages, stocked: None) -> None:
    def ask(**body: Any) -> Any:
        return page.post(API, {"confirm": True, **body}, content_type="application/json")

    answer = ask(fields={"stock": 7}, filters={"fields.stock__isblank": "true"})
    assert answer.status_code == 202
    assert answer.json()["kind"] == "bulk_edit"
    messages.run_all()
    assert own()["A-3"] == {"stock": 7}
    assert own()["A-1"] == {"brand": "Acme", "stock": 3}
    assert ask(fields={"stock": None}).status_code == 202
    messages.run_all()
    assert own() == {"A-1": {"brand": "Acme"}, "A-2": {"brand": "Bolt"}, "A-3": None}
    wrong: list[dict[str, Any]] = [
        {},
        {"fields": {}},
        {"fields": {"stock": 1, "brand": "x"}},
        {"fields": 7},
    ]
    wrong += [{"fields": {"colour": "red"}}, {"fields": {"stock": 1}, "active": True}]
    for body in wrong:
        assert ask(**body).status_code == 400, body


def test_signs_between_no_words_clear_no_list(page: Client, stocked: None) -> None:
    define("Colours", "choices", options={"choices": ["Red", "Blue"]})
    sent = {"everything": "1", "act": "field", "own_key": "colours", "field_colours": "|"}
    assert "Give the new value, or tick" in text_of(page.post(START, sent))
    assert not ChangeSet.objects.filter(kind="bulk_edit").exists()


def test_an_amount_is_typed_with_a_decimal_comma(
    page: Client, messages: Messages, stocked: None
) -> None:
    define("Cost", "money")
    sent = {"everything": "1", "act": "field", "own_key": "cost", "field_cost": "1.299,90"}
    page.post(START, sent)
    messages.run_all()
    assert own()["A-3"] == {"cost": "1299.90"}


def test_an_act_that_waits_gives_no_value_that_its_field_no_longer_takes(
    messages: Messages, stocked: None
) -> None:
    asked = start_bulk_act(
        kind=ChangeSet.Kind.BULK_EDIT,
        actor=None,
        filters={"fields.brand__isblank": "true"},
        own_field=field_change(key="brand", value="Acme"),
    )
    brand = Field.objects.get(key="brand")
    for product in Product.objects.exclude(own_fields=None):
        products.update_product(product_id=product.pk, actor=None, data={"fields": {"brand": None}})
    fields.update_field(field_id=brand.pk, data={"type": "integer"})
    messages.run_all()
    asked.refresh_from_db()
    assert (asked.status, asked.updated) == ("failed", 0)
    assert "The field was changed after this was asked for. “Acme” is not a whole" in asked.error
    assert own()["A-3"] is None
