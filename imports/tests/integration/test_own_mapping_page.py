"""Own fields on the matching page: chosen, made of columns, their rules, and keys."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from catalog.models import Field, Product
from catalog.operations import fields
from catalog.operations import products as catalog
from catalog.sql import fields as sql_fields
from conftest import Messages
from imports.mapping.rules import parse_rules
from imports.models import Format, ImportJob
from imports.tests.integration.test_mapping_page import (
    Form,
    go_on,
    open_form,
    shown,
    text_of,
    waits,
)

__all__ = ["waits"]

pytestmark = pytest.mark.django_db(transaction=True)

Waits = Callable[..., ImportJob]


@pytest.fixture(autouse=True)
def without_indexes() -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        for field in Field.objects.all():
            sql_fields.drop_unique_index(cursor, field.pk)


def make(page: Client, job: ImportJob, form: Form, what: str, **choices: str) -> Form:
    """The page after a button that makes fields."""
    data = {**form.fields, **choices, "make": what}
    answer = page.post(f"/imports/{job.pk}/mapping/fields/", data)
    assert answer.status_code in (200, 400)
    return Form(answer.content.decode())


SHOP = (
    "sku,name,Vendor,EAN,Colour,Pack size,Launched,Depth\n"
    "A,Lamp,Acme,4006381333931,red,6,2026-03-02,1.25\n"
    "B,Mug,Bolt,73513537,blue,12,2026-04-02,2.5\n"
)


def test_a_field_made_of_a_shopify_column_is_filled_down_within_its_product(
    page: Client, waits: Waits, messages: Messages
) -> None:
    job = waits(
        "Handle,Title,Vendor,Type,Variant SKU,Variant Price,Status,Qty\n"
        'shirt,Shirt,Acme,Tops,S-1,"1,234",active,1\n'
        'shirt,,,,S-2,"2,345",,\n'
        'socks,Socks,Bolt,,K-1,"3,456",draft,2\n'
    )
    form = open_form(page, job)
    form = make(page, job, form, "3")
    form = make(page, job, form, "4")
    form = make(page, job, form, "8")
    assert text_of(form).count("filled down in the same Handle") == 2
    form = shown(page, job, form, **{"decimal-price": "."})
    assert go_on(page, job, form, supplier="Acme", format_name="shop").status_code == 302
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.error) == ("completed", "")
    stored = dict(Product.objects.values_list("sku", "own_fields"))
    assert stored["S-2"] == {"brand": "Acme", "category": "Tops"}
    assert stored["K-1"] == {"brand": "Bolt", "stock": 2}
    kept = Format.objects.get(supplier__name="Acme").rules["columns"]
    vendor = {"field": "fields.brand", "column": "Vendor", "fill_down": True, "within": "Handle"}
    assert vendor in kept
    assert {"field": "fields.stock", "column": "Qty"} in kept


def test_a_column_goes_into_an_own_field_that_is_chosen(
    page: Client, waits: Waits, messages: Messages
) -> None:
    fields.create_field(data={"label": "Stock", "type": "integer"})
    job = waits("sku;name;Vorrat\nA;Lamp;1.200\nB;Mug;3\n")
    form = open_form(page, job)
    form = shown(page, job, form, **{"field-3": "fields.stock"})
    assert "decimal mark open" in text_of(form)
    form = shown(page, job, form, **{"decimal-fields.stock": ","})
    assert "2 of 2 read well" in text_of(form)
    assert go_on(page, job, form, supplier="Acme", format_name="list").status_code == 302
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.error) == ("completed", "")
    assert Product.objects.get(sku="A").own_fields == {"stock": 1200}
    kept = Format.objects.get(supplier__name="Acme")
    assert kept.rules["columns"][2] == {
        "field": "fields.stock",
        "column": "Vorrat",
        "decimal": ",",
    }
    shown_format = page.get(f"/suppliers/formats/{kept.pk}/").content.decode()
    assert "Stock" in shown_format


def test_what_an_own_field_is_found_by_stays_when_other_choices_change(
    page: Client, waits: Waits
) -> None:
    fields.create_field(data={"label": "Brand", "type": "text"})
    job = waits("sku,name,Marke\nA,Lamp,Acme\n")
    form = shown(page, job, open_form(page, job), **{"field-2": ""})
    assert form.fields["field-3"] == "fields.brand"
    assert "Acme" in text_of(form)


def test_a_new_field_is_made_of_a_column_and_read_at_once(
    page: Client, waits: Waits, messages: Messages
) -> None:
    job = waits(SHOP)
    form = shown(page, job, open_form(page, job), **{"field-6": "new"})
    named = {name: form.fields[f"new-{name}-6"] for name in ("label", "key", "type")}
    assert named == {"label": "Pack size", "key": "pack_size", "type": "integer"}
    form = make(page, job, form, "6", **{"new-label-6": "Per pack", "new-key-6": "per_pack"})
    assert form.fields["field-6"] == "fields.per_pack"
    field = Field.objects.get()
    assert (field.key, field.label, field.type) == ("per_pack", "Per pack", "integer")
    assert "Per pack" in text_of(form)
    go_on(page, job, form)
    messages.run_all()
    assert Product.objects.get(sku="B").own_fields == {"per_pack": 12}


def test_every_column_is_kept_by_one_click_but_those_that_are_unticked(
    page: Client, waits: Waits, messages: Messages
) -> None:
    job = waits(SHOP)
    form = open_form(page, job)
    assert [form.fields[f"new-type-{n}"] for n in range(3, 9)] == [
        *("text", "gtin", "text", "integer", "date", "decimal")
    ]
    del form.fields["keep-8"]
    form = make(page, job, form, "ticked")
    assert sorted(Field.objects.values_list("key", "label")) == [
        ("brand", "Brand"),
        ("colour", "Colour"),
        ("gtin", "GTIN"),
        ("launched", "Launched"),
        ("pack_size", "Pack size"),
    ]
    assert form.fields["field-8"] == ""
    assert "keep-8" not in form.fields
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="A").own_fields == {
        "brand": "Acme",
        "gtin": "04006381333931",
        "colour": "red",
        "pack_size": 6,
        "launched": "2026-03-02",
    }


def test_a_key_that_is_taken_is_told_and_nothing_is_made(page: Client, waits: Waits) -> None:
    fields.create_field(data={"label": "Size", "key": "size", "type": "text"})
    job = waits(SHOP)
    form = shown(page, job, open_form(page, job), **{"field-6": "new"})
    form = make(page, job, form, "6", **{"new-key-6": "size"})
    assert "There is a field with the key “size” already." in text_of(form)
    assert form.fields["new-key-6"] == "size"
    form = make(page, job, form, "6", **{"new-key-6": "price"})
    assert "is a name that every product has already" in text_of(form)
    assert Field.objects.count() == 1


@pytest.mark.parametrize("role", ["editor"])
def test_who_may_not_add_fields_is_offered_none(
    client: Client, make_user: Callable[..., User], waits: Waits, role: str
) -> None:
    job = waits(SHOP)
    client.force_login(make_user("eva", role))
    form = open_form(client, job)
    assert "Keep every column" not in form.page
    assert "New field" not in form.page
    refused = client.post(f"/imports/{job.pk}/mapping/fields/", {**form.fields, "make": "3"})
    assert refused.status_code == 403
    assert not Field.objects.exists()


def test_words_that_a_new_list_lacks_become_its_choices(
    page: Client, waits: Waits, messages: Messages
) -> None:
    rows = [f"P{n},Name {n},{'red' if n % 2 else 'blue'}" for n in range(300)]
    job = waits("\n".join(["sku,name,Colour", *rows, "Q,Last,Green", "R,Later,green", ""]))
    form = open_form(page, job)
    assert form.fields["new-type-3"] == "choice"
    form = make(page, job, form, "ticked")
    assert Field.objects.get().options == {"choices": ["blue", "red"]}
    go_on(page, job, form)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.error, job.rejected) == ("completed", "", 0)
    assert Field.objects.get().options == {"choices": ["blue", "red", "Green"]}
    assert Product.objects.get(sku="R").own_fields == {"colour": "Green"}


def test_dates_that_may_mean_two_days_are_asked_about(
    page: Client, waits: Waits, messages: Messages
) -> None:
    fields.create_field(data={"label": "Since", "type": "date"})
    job = waits("sku,name,Since\nA,Lamp,02/03/2026\nB,Mug,04/05/2026\n")
    form = open_form(page, job)
    assert "may be 2026-03-02 or 2026-02-03" in text_of(form)
    assert go_on(page, job, form).status_code == 400
    form = shown(page, job, form, **{"date-fields.since": "mdy"})
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="A").own_fields == {"since": "2026-02-03"}


def test_products_are_found_by_what_the_page_says(
    page: Client, waits: Waits, messages: Messages
) -> None:
    fields.create_field(data={"label": "GTIN", "type": "gtin", "unique": True})
    values: dict[str, Any] = {"sku": "A-1", "name": "Old", "fields": {"gtin": "4006381333931"}}
    catalog.create_product(actor=None, data=values)
    job = waits("EAN,name,code\n4006381333931,Lamp,1\n73513537,Mug,2\n", checks="warn")
    form = shown(page, job, open_form(page, job), key="fields.gtin")
    assert "1 of 2 read well" in text_of(form)
    assert "A-1" in text_of(form)
    form = shown(page, job, form, no_match="create")
    assert "2 of 2 read well" in text_of(form)
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert dict(Product.objects.values_list("sku", "name")) == {"A-1": "Lamp", "73513537": "Mug"}


def test_a_file_whose_columns_match_own_fields_opens_is_imported_and_remembered(
    page: Client, waits: Waits, messages: Messages
) -> None:
    for data in ({"label": "Brand", "type": "text"}, {"label": "Weight", "type": "decimal"}):
        fields.create_field(data=data)
    job = waits("sku;name;Marke;Gewicht\nA;Lamp;Acme;1,5\nB;Mug;;2,75\n")
    form = open_form(page, job)
    assert (form.fields["field-3"], form.fields["field-4"]) == ("fields.brand", "fields.weight")
    assert go_on(page, job, form, supplier="Acme", format_name="list").status_code == 302
    messages.run_all()
    assert dict(Product.objects.values_list("sku", "own_fields")) == {
        "A": {"brand": "Acme", "weight": "1.50"},
        "B": {"weight": "2.75"},
    }
    kept = Format.objects.get(supplier__name="Acme")
    assert {"field": "fields.weight", "column": "Gewicht", "decimal": ","} in kept.rules["columns"]


def test_a_field_that_is_retired_while_the_page_is_open_is_told_and_left_out(
    page: Client, waits: Waits, messages: Messages
) -> None:
    brand = fields.create_field(data={"label": "Brand", "type": "text"})
    job = waits("sku,name,brand\nA,Lamp,Acme\n")
    form = open_form(page, job)
    fields.update_field(field_id=brand.pk, data={"retired": True})
    answer = go_on(page, job, form)
    assert answer.status_code == 400
    form = Form(answer.content.decode())
    assert "The field “brand” is retired or deleted meanwhile" in text_of(form)
    assert form.fields["field-3"] == ""
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="A").own_fields is None


def remembered(page: Client, waits: Waits, messages: Messages) -> str:
    """A file that is matched, remembered for Acme and read; its text."""
    text = "sku;name;Gewicht\nA;Lamp;1,5\n"
    job = waits(text)
    named = {"supplier": "Acme", "format_name": "list"}
    assert go_on(page, job, open_form(page, job), **named).status_code == 302
    messages.run_all()
    return text


@pytest.mark.parametrize("change", ["retired", "deleted"])
def test_a_format_whose_field_is_gone_reads_the_rest_and_says_so(
    page: Client,
    waits: Waits,
    upload: Callable[..., ImportJob],
    messages: Messages,
    change: str,
) -> None:
    weight = fields.create_field(data={"label": "Weight", "type": "decimal"})
    text = remembered(page, waits, messages)
    fields.update_field(field_id=weight.pk, data={"retired": True})
    if change == "deleted":
        fields.delete_field(field_id=weight.pk, actor=None)
        messages.run_all()
    job = waits(text.replace("Lamp", "Lampe"))
    form = open_form(page, job)
    assert "“fields.weight” is retired or deleted: it is not read any more" in text_of(form)
    assert form.fields["field-3"] == ""
    by_itself = upload(text.replace("Lamp", "Leuchte"), on_unclear="wait")
    messages.run_all()
    by_itself.refresh_from_db()
    assert (by_itself.status, by_itself.error) == ("completed", "")
    assert any("“fields.weight” is retired" in told for told in by_itself.warnings)
    assert Product.objects.get(sku="A").name == "Leuchte"
    assert go_on(page, job, form).status_code == 302
    assert "fields.weight" not in json.dumps(Format.objects.get(supplier__name="Acme").rules)


def test_a_format_whose_field_has_another_type_now_is_read_by_what_the_values_say(
    page: Client, waits: Waits, messages: Messages
) -> None:
    weight = fields.create_field(data={"label": "Weight", "type": "decimal"})
    text = remembered(page, waits, messages)
    fields.update_field(field_id=weight.pk, data={"type": "text"})
    job = waits(text)
    form = open_form(page, job)
    assert "Weight has changed since" in text_of(form)
    assert form.fields["field-3"] == "fields.weight"
    assert go_on(page, job, form).status_code == 302
    messages.run_all()
    assert Product.objects.get(sku="A").own_fields == {"weight": "1,5"}


def test_rules_that_came_with_a_job_lose_a_field_that_is_retired_while_it_waits(
    page: Client, waits: Waits, messages: Messages
) -> None:
    brand = fields.create_field(data={"label": "Brand", "type": "text"})
    columns = [{"column": n, "field": n} for n in ("sku", "name")]
    columns.append({"column": "x", "field": "fields.brand"})
    job = waits("sku,name,x\nA,Lamp,Acme\n", rules=parse_rules({"columns": columns}))
    assert open_form(page, job).fields["field-3"] == "fields.brand"
    fields.update_field(field_id=brand.pk, data={"retired": True})
    form = open_form(page, job)
    assert form.fields["field-3"] == ""
    assert go_on(page, job, form).status_code == 302


def test_a_field_that_is_deleted_after_matching_and_before_reading_gets_no_values(
    page: Client, waits: Waits, messages: Messages
) -> None:
    brand = fields.create_field(data={"label": "Brand", "type": "text"})
    job = waits("sku,name,brand\nA,Lamp,Acme\n")
    assert go_on(page, job, open_form(page, job)).status_code == 302
    fields.update_field(field_id=brand.pk, data={"retired": True})
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.error) == ("completed", "")
    assert Product.objects.get(sku="A").own_fields is None
    assert page.get(f"/api/v1/imports/{job.pk}/mapping/").status_code == 200


def test_a_remembered_format_finds_the_next_files_products_by_its_key(
    page: Client, waits: Waits, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    gtin = fields.create_field(data={"label": "GTIN", "type": "gtin", "unique": True})
    values: dict[str, Any] = {"sku": "A-1", "name": "Old", "fields": {"gtin": "4006381333931"}}
    catalog.create_product(actor=None, data=values)
    text = "EAN;Bezeichnung;Art\n4006381333931;Lamp;x\n"
    job = waits(text, checks="warn")
    form = shown(page, job, open_form(page, job), key="fields.gtin", no_match="create")
    assert go_on(page, job, form, supplier="Acme", format_name="list").status_code == 302
    kept = Format.objects.get(supplier__name="Acme")
    assert (kept.rules["key"], kept.rules["no_match"]) == ("fields.gtin", "create")
    told = page.get(f"/suppliers/formats/{kept.pk}/").content.decode()
    assert "Products are found by <b>GTIN</b>; a record whose value no product has becomes" in told
    by_itself = upload(text.replace("Lamp", "Desk") + "73513537;Mug;y\n", on_unclear="wait")
    messages.run_all()
    by_itself.refresh_from_db()
    assert (by_itself.status, by_itself.error) == ("completed", "")
    assert (by_itself.updated, by_itself.created) == (1, 1)
    assert Product.objects.get(sku="A-1").name == "Desk"
    assert any("as GTIN (products are found by it)" in one for one in by_itself.warnings)
    fields.update_field(field_id=gtin.pk, data={"retired": True})
    stops = upload(text.replace("Lamp", "Pan"), on_unclear="wait")
    messages.run_all()
    stops.refresh_from_db()
    assert stops.status == "awaiting_mapping"
    assert "Say what they are found by now" in text_of(open_form(page, stops))


def test_a_format_finds_products_among_those_of_its_supplier(page: Client, waits: Waits) -> None:
    fields.create_field(data={"label": "MPN", "type": "text"})
    job = waits("MPN;Bezeichnung;Art\nm-1;Lamp;x\n", checks="warn")
    form = shown(page, job, open_form(page, job), key="fields.mpn")
    form = shown(page, job, form, key_within="supplier")
    assert form.fields["key_within"] == "supplier"
    assert go_on(page, job, form, supplier="Acme", format_name="list").status_code == 302
    kept = Format.objects.get(supplier__name="Acme")
    assert (kept.rules["key"], kept.rules["key_within"]) == ("fields.mpn", "supplier")
    told = page.get(f"/suppliers/formats/{kept.pk}/").content.decode()
    assert "found by <b>MPN</b> among those that Acme brought in; a record" in told


def test_a_form_of_as_many_own_fields_as_there_may_be_is_taken(page: Client, waits: Waits) -> None:
    Field.objects.bulk_create(
        Field(key=f"own_{n}", label=f"Own {n}", type="decimal", position=n) for n in range(200)
    )
    names = [f"Own {n}" for n in range(200)]
    job = waits(",".join(["sku", "name", *names]) + "\n" + ",".join(["1"] * 202) + "\n")
    form = open_form(page, job)
    assert form.fields["field-202"] == "fields.own_199"
    form = shown(page, job, form, **{"field-202": ""})
    assert form.fields["field-201"] == "fields.own_198"
    assert "Keep every column" not in form.page  # there is no room for more
