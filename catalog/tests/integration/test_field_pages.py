"""The pages of the fields of one's own."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from catalog.models import Field
from catalog.operations import fields, products
from catalog.sql import fields as sql_fields

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(client: Client, make_user: Callable[..., User], static_files: None) -> Client:
    client.force_login(make_user("mara", role="manager"))
    return client


def test_an_empty_page_offers_the_ready_made_fields(manager: Client) -> None:
    page = manager.get("/fields/").content.decode()
    assert "Make the first field" in page
    assert "Brand, GTIN, MPN, Category" in page
    made = manager.post("/fields/ready-made/", follow=True).content.decode()
    assert "Made: Brand, GTIN" in made
    assert Field.objects.count() == len(fields.READY_MADE)
    with connection.cursor() as cursor:
        for field in Field.objects.all():
            sql_fields.drop_unique_index(cursor, field.pk)


def test_a_field_is_made_changed_moved_and_retired(manager: Client) -> None:
    form = {"label": "Size", "type": "choice", "choices": "S\nM\n", "in_list": "on"}
    assert "is there" in manager.post("/fields/new/", form, follow=True).content.decode()
    size = Field.objects.get()
    assert (size.options, size.in_list, size.in_events) == ({"choices": ["S", "M"]}, True, False)
    fields.create_field(data={"label": "Brand", "type": "text"})
    manager.post(f"/fields/{size.pk}/move/", {"up": "false"})
    assert list(Field.objects.values_list("key", flat=True)) == ["brand", "size"]
    manager.post(f"/fields/{size.pk}/", {**form, "label": "Sizes", "choices": "S\nM\nL"})
    size.refresh_from_db()
    assert (size.label, size.options["choices"]) == ("Sizes", ["S", "M", "L"])
    page = manager.post(f"/fields/{size.pk}/retire/", {"retired": "true"}, follow=True)
    assert "is retired. Its values are kept." in page.content.decode()


def test_what_is_wrong_with_a_field_stands_beside_it_with_what_was_typed(manager: Client) -> None:
    page = manager.post("/fields/new/", {"label": "Price", "type": "choice", "help": "How much"})
    text = page.content.decode()
    assert page.status_code == 422
    assert "is a name that every product has already" in text
    assert "Send the list of choices as texts" not in text
    assert "A list needs at least one choice" in text
    assert 'value="How much"' in text


def test_deleting_a_field_asks_with_how_many_values_go(manager: Client) -> None:
    brand = fields.create_field(data={"label": "Brand", "type": "text"})
    data = {"sku": "A", "name": "A", "fields": {"brand": "Acme"}}
    products.create_product(actor=None, data=data)
    fields.update_field(field_id=brand.pk, data={"retired": True})
    asked = manager.get(f"/fields/{brand.pk}/delete/").content.decode()
    assert "1 product loses its Brand" in asked
    answer = manager.post(f"/fields/{brand.pk}/delete/")
    assert answer["Location"].startswith("/changes/")
    assert "a change that can be undone" in manager.get("/fields/").content.decode()


def test_an_editor_does_not_define_fields(client: Client, make_user: Callable[..., User]) -> None:
    client.force_login(make_user("edda", role="editor"))
    assert client.get("/fields/").status_code == 403


def test_own_fields_stand_in_the_form_of_a_product_and_are_saved(manager: Client) -> None:
    fields.create_field(data={"label": "Brand", "type": "text", "help": "As on the pack"})
    sizes = {"choices": ["S", "M", "L"]}
    fields.create_field(data={"label": "Sizes", "type": "choices", "options": sizes})
    data = {"sku": "A", "name": "A", "fields": {"brand": "Acme", "sizes": ["S", "M"]}}
    product = products.create_product(actor=None, data=data)
    here = f"/products/{product.pk}/"
    page = manager.get(here).content.decode()
    assert 'name="field_brand" dir="auto" value="Acme"' in page
    assert '<option value="M" selected>' in page
    form = {"sku": "A", "name": "A", "price": "", "active": "true", "version": "1"}
    sent = {**form, "field_brand": "Bolt", "field_sizes": ["", "L"]}
    assert manager.post(here, sent).status_code == 302
    product.refresh_from_db()
    assert product.own_fields == {"brand": "Bolt", "sizes": ["L"]}
    wrong = manager.post(here, {**form, "version": "2", "field_sizes": "XL", "field_brand": "B"})
    text = wrong.content.decode()
    assert wrong.status_code == 422
    assert "“XL” is not in the list" in text
    assert 'value="B"' in text


def test_it_is_told_how_many_products_lack_a_field_that_becomes_required(manager: Client) -> None:
    brand = fields.create_field(data={"label": "Brand", "type": "text"})
    for sku, own in (("A-1", {"brand": "Acme"}), ("A-2", {})):
        products.create_product(actor=None, data={"sku": sku, "name": sku, "fields": own})
    sent = {"label": "Brand", "type": "text", "required": "on"}
    told = manager.post(f"/fields/{brand.pk}/", sent, follow=True).content.decode()
    assert "1 products have no Brand. They stay as they are" in told
    again = manager.post(f"/fields/{brand.pk}/", sent, follow=True).content.decode()
    assert "products have no Brand" not in again


def test_the_list_is_filtered_by_an_own_field_and_says_so(manager: Client) -> None:
    fields.create_field(data={"label": "Brand", "type": "text"})
    for sku, brand in (("A-1", "Acme"), ("B-1", "Bolt")):
        data = {"sku": sku, "name": sku, "fields": {"brand": brand}}
        products.create_product(actor=None, data=data)
    page = manager.get("/products/", {"fields.brand__contains": "bol"}).content.decode()
    assert "Brand contains: <b>bol</b>" in page
    assert "B-1" in page
    assert "A-1" not in page
