"""The pages of the products and changes, in process: filters, words, endings, settings."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from catalog.models import ChangeSet, Product
from catalog.operations.bulk import price_change, start_bulk_act
from catalog.operations.fields import create_ready_made
from catalog.operations.products import (
    bring_back_product,
    create_product,
    delete_product,
    update_product,
)
from catalog.operations.undo import start_undo
from catalog.queries.acts import describe_act
from catalog.queries.filters import BadFilter, filtered_products
from catalog.queries.products import product_history
from conftest import Messages

pytestmark = pytest.mark.django_db(transaction=True)


def text_of(page: Client, path: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.get(path).content.decode()).split())


def skus(**filters: str) -> list[str]:
    return list(filtered_products(filters).order_by("sku").values_list("sku", flat=True))


@pytest.fixture
def lamp(user: User) -> Product:
    return create_product(actor=user, data={"sku": "BO-1", "name": "Lamp", "price": "281.51"})


def test_a_history_names_changes_by_what_they_did(
    page: Client, messages: Messages, user: User, lamp: Product
) -> None:
    update_product(product_id=lamp.pk, actor=user, data={"name": "Desk lamp", "price": "9"})
    edit = ChangeSet.objects.get(kind=ChangeSet.Kind.EDIT)
    start_undo(change_set_id=edit.pk, actor=user)
    start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=user, active=False, filters={"q": "lamp"})
    messages.run_all()
    told = text_of(page, f"/products/{lamp.pk}/")
    assert "Deactivated 1 product matching “lamp”" in told
    assert "Undid “BO-1: name Lamp → Desk lamp, price 281.51 → 9.00”" in told
    assert "by mara · Edited name, price" in told
    assert "Created BO-1" in told
    assert not re.search(r"(?i)\b(edit|undo|create) [0-9]", told)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("49,90", "49.90"), ("1.299,00", "1299.00"), ("1,299.00", "1299.00"), ("1 299,5", "1299.50")],
)
def test_a_form_takes_a_price_as_people_write_it(
    page: Client, lamp: Product, typed: str, stored: str
) -> None:
    page.post(f"/products/{lamp.pk}/", {"sku": "BO-1", "name": "Lamp", "price": typed})
    lamp.refresh_from_db()
    assert str(lamp.price) == stored


def test_the_api_takes_no_decimal_comma(page: Client, lamp: Product) -> None:
    answer = page.patch(
        f"/api/v1/products/{lamp.pk}/", {"price": "49,90"}, content_type="application/json"
    )
    assert answer.status_code == 400


def test_filters_for_price_day_and_change_set_find_what_they_say(
    user: User, make_product: Callable[..., Product], lamp: Product
) -> None:
    make_product("N-1", price=None)
    old = make_product("O-1", price=Decimal("5"))
    Product.objects.filter(pk=old.pk).update(updated_at=timezone.now() - timedelta(days=40))
    edit = update_product(product_id=lamp.pk, actor=user, data={"price": "10"})
    assert skus(price="none") == ["N-1"]
    assert skus(price_min="5", price_max="9,99") == ["O-1"]
    month_ago = (timezone.localdate() - timedelta(days=30)).isoformat()
    assert skus(changed_to=month_ago) == ["O-1"]
    assert skus(changed_from=month_ago) == ["BO-1", "N-1"]
    assert skus(change_set=str(edit.changed_in_id)) == ["BO-1"]
    assert skus(change_set=str(lamp.created_in_id)) == ["BO-1"]


@pytest.mark.parametrize(
    "filters",
    [
        {"price": "free"},
        {"price_min": "x"},
        {"price_max": "1,234"},
        {"changed_from": "2026-02-30"},
        {"changed_to": "9999-12-31"},
        {"change_set": "٣"},
    ],
)
def test_a_filter_that_cannot_be_is_refused(page: Client, filters: dict[str, str]) -> None:
    with pytest.raises(BadFilter):
        filtered_products(filters)
    assert page.get("/products/", filters).status_code == 400


def test_prices_are_changed_in_bulk_and_taken_back(
    messages: Messages, user: User, make_product: Callable[..., Product]
) -> None:
    for number, price in enumerate(("10", "20", "9999999999", None)):
        make_product(f"P-{number}", price=price and Decimal(price))
    act = start_bulk_act(
        kind=ChangeSet.Kind.BULK_EDIT,
        actor=user,
        filters={},
        without=[Product.objects.get(sku="P-1").pk],
        price=price_change(by="percent", value="-7,5 %", round_to="0.05"),
    )
    messages.run_all()
    act.refresh_from_db()
    prices = dict(Product.objects.values_list("sku", "price"))
    assert prices["P-0"] == Decimal("9.25")
    assert (prices["P-1"], prices["P-3"]) == (Decimal("20"), None)
    assert (act.total, act.updated) == (3, 2)
    assert describe_act(act) == "Changed the price of 2 products: -7.5 %, rounded to 0.05"
    start_undo(change_set_id=act.pk, actor=user)
    messages.run_all()
    assert Product.objects.get(sku="P-0").price == Decimal("10")


@pytest.mark.parametrize(
    ("by", "value"), [("percent", "0"), ("percent", "-100"), ("percent", "x"), ("set", "1,234")]
)
def test_a_change_of_prices_that_makes_no_sense_is_refused(by: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"\."):
        price_change(by=by, value=value, round_to="0.01")


def test_what_changed_nothing_is_not_shown_as_what_went_well(page: Client, user: User) -> None:
    values = {"kind": ChangeSet.Kind.IMPORT, "status": ChangeSet.Status.COMPLETED, "actor": user}
    empty = ChangeSet.objects.create(**values)
    for path in ("/changes/", f"/changes/{empty.pk}/"):
        shown = page.get(path).content.decode()
        assert "Nothing changed" in shown
        assert "pi-status-completed" not in shown
    ChangeSet.objects.create(**values, created=1)
    assert "pi-status-completed" in page.get("/changes/").content.decode()


def test_the_changes_say_in_words_what_was_done(
    page: Client, messages: Messages, user: User, lamp: Product, make_user: Callable[..., User]
) -> None:
    theo = make_user("theo", "editor")
    update_product(product_id=lamp.pk, actor=theo, data={"price": "49.90", "active": False})
    other = create_product(actor=user, data={"sku": "X-1", "name": "Chair"})
    start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=user, filters={"q": "chair"}, active=False)
    messages.run_all()
    delete_product(product_id=other.pk, actor=theo)
    told = text_of(page, "/changes/")
    assert "BO-1: price 281.51 → 49.90, active Active → Inactive" in told
    assert "Deactivated 1 product matching “chair”" in told
    assert "Deleted X-1" in told
    assert "Created X-1" in told
    for query, shown, hidden in (
        ("sku=bo-1", "BO-1: price", "X-1"),
        ("sku=x-1", "Deleted X-1", "BO-1"),
        ("person=the", "Deleted X-1", "Created X-1"),
        ("kind=bulk_edit", "Deactivated 1 product", "Deleted X-1"),
        ("to=2020-01-31", "None is like this", "BO-1"),
    ):
        told = text_of(page, f"/changes/?{query}").replace(f'value="{query}"', "")
        assert shown in told, query
        assert hidden not in told, query
    assert page.get("/changes/?from=yesterday").status_code == 400


def test_names_that_are_read_from_the_right_keep_the_order_of_the_sentence(
    page: Client, user: User, lamp: Product
) -> None:
    """Else the arrow between two of them points from the new one to the old one."""
    update_product(product_id=lamp.pk, actor=user, data={"name": "مصباح 🪔"})
    update_product(product_id=lamp.pk, actor=user, data={"name": "כיסא 🪑"})
    told = text_of(page, "/changes/")
    assert "BO-1: name \u2068مصباح 🪔\u2069 → \u2068כיסא 🪑\u2069" in told
    assert "name Lamp → \u2068مصباح 🪔\u2069" in told


def test_who_cannot_edit_a_product_sees_its_own_fields_also_once_it_is_deleted(
    client: Client, user: User, make_user: Callable[..., User], static_files: None
) -> None:
    create_ready_made()
    product = create_product(
        actor=user, data={"sku": "A", "name": "Lamp", "fields": {"brand": "Acme", "stock": 1200}}
    )
    client.force_login(make_user("vera", "viewer"))
    told = [text_of(client, f"/products/{product.pk}/")]
    delete_product(product_id=product.pk, actor=user)
    told.append(text_of(client, f"/products/{product.pk}/"))
    for text in told:
        assert "Brand Acme" in text
        assert "Stock 1,200" in text


def test_a_product_deleted_with_others_comes_back_alone(
    page: Client, messages: Messages, user: User, lamp: Product
) -> None:
    create_product(actor=user, data={"sku": "X-1", "name": "Chair"})
    start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=user, filters={})
    messages.run_all()
    told = text_of(page, f"/products/{lamp.pk}/")
    assert "mara deleted this product" in told
    assert "Deleted 2 products" in told
    page.post(f"/products/{lamp.pk}/bring-back/")
    assert list(Product.objects.values_list("pk", "sku", "price")) == [
        (lamp.pk, "BO-1", Decimal("281.51"))
    ]
    back = Product.objects.get()
    actions = [entry.action for entry in product_history(back).entries]
    assert actions == ["brought back", "deleted", "created"]
    with pytest.raises(Product.DoesNotExist):
        bring_back_product(product_id=lamp.pk, actor=user)
    # And that is taken back like everything else.
    assert back.created_in
    start_undo(change_set_id=back.created_in.pk, actor=user)
    messages.run_all()
    assert not Product.objects.exists()


def test_a_message_offers_undo_only_to_who_may(
    client: Client, static_files: None, make_user: Callable[..., User], lamp: Product
) -> None:
    editor = make_user("theo", "editor")
    client.force_login(editor)
    form = {"sku": "BO-1", "name": "Lamp", "price": "5", "active": "true"}
    saved = client.post(f"/products/{lamp.pk}/", form, follow=True).content.decode()
    assert "BO-1 was saved." in saved
    assert ">Undo<" in saved
    editor.groups.clear()
    viewer = make_user("vera", "viewer")
    client.force_login(viewer)
    assert client.post("/changes/1/undo/").status_code in (403, 404)


def test_an_undo_in_a_message_leads_nowhere_but_on_the_site(
    page: Client, messages: Messages, user: User, lamp: Product
) -> None:
    for there, leads in (
        ("/products/?q=x", "/products/?q=x"),
        ("//evil.example/", "/changes/"),
        ("https://evil.example/", "/changes/"),
        ("/\\evil.example", "/changes/"),
    ):
        edit = update_product(
            product_id=lamp.pk, actor=user, data={"name": f"Lamp {there}"}
        ).changed_in
        assert edit
        answer = page.post(f"/changes/{edit.pk}/undo/", {"there": there})
        assert answer["Location"].startswith(leads), there
        messages.run_all()


def test_what_a_person_has_set_for_the_list_is_kept(page: Client, lamp: Product) -> None:
    page.post("/products/display/", {"column": ["name", "price"], "page_size": "100", "back": ""})
    shown = page.get("/products/").content.decode()
    assert "Description</" not in shown.partition("<tbody>")[0].partition('id="products"')[2]
    page.post("/products/views/", {"name": "Dear", "back": "price_min=100&cursor=x&page=3"})
    assert (
        'href="?price_min=100&amp;column=name&amp;column=price"'
        in page.get("/products/").content.decode()
    )
    page.post("/products/views/delete/", {"name": "Dear"})
    assert (
        'href="?price_min=100&amp;column=name&amp;column=price"'
        not in page.get("/products/").content.decode()
    )


def test_the_way_back_is_the_list_as_it_was(page: Client, lamp: Product) -> None:
    came: dict[str, Any] = {"HTTP_REFERER": "http://testserver/products/?q=bo&page=2"}
    shown = page.get(f"/products/{lamp.pk}/", **came).content.decode()
    assert 'href="/products/?q=bo&amp;page=2"' in shown
    other: dict[str, Any] = {"HTTP_REFERER": "http://evil.example/products/?q=bo"}
    assert 'href="/products/"' in page.get(f"/products/{lamp.pk}/", **other).content.decode()


def test_the_catalogue_is_cleared_at_a_place_of_its_own(page: Client, lamp: Product) -> None:
    told = text_of(page, "/products/clear/")
    assert "Delete 1 product?" in told
    assert "The whole catalogue" in told
