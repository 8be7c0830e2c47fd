"""Fields of one's own in the list of products: columns, cells, filters, saved views."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import ChangeSet, Field, PersonSettings, Product
from catalog.operations import bulk, fields, products, undo
from catalog.queries import pagination
from catalog.queries.filters import filtered_products
from catalog.queries.pagination import get_page
from catalog.queries.personal import settings_of

pytestmark = pytest.mark.django_db


def define(label: str, type: str = "text", **more: Any) -> Field:
    return fields.create_field(data={"label": label, "type": type, **more})


def make(sku: str, **own: Any) -> Product:
    return products.create_product(actor=None, data={"sku": sku, "name": sku, "fields": own})


def html(page: Client, path: str) -> str:
    return page.get(path).content.decode()


def headers(page: Client, path: str = "/products/") -> list[str]:
    head = html(page, path).partition('id="products"')[2].partition("</thead>")[0]
    texts = re.sub("<[^>]+>", " ", head.replace("</th>", "|")).split("|")
    return [words for text in texts if (words := " ".join(text.split()))]


def shown(page: Client, path: str = "/products/") -> list[str]:
    return re.findall(r"<code>(.*?)</code></a>", html(page, path))


def test_fields_of_lists_are_columns_before_when_it_changed(page: Client) -> None:
    define("Brand")
    define("Cost", "money", in_list=False)
    define("Old", retired=True)
    make("A-1", brand="Acme")
    assert headers(page)[1:-1] == [
        *("SKU", "Name", "Description", "Price", "Active", "Brand", "Changed")
    ]


def test_a_table_begins_with_few_fields_and_offers_all(page: Client) -> None:
    for number in range(9):
        define(f"Field {number}")
    make("A-1")
    assert [name for name in headers(page) if name.startswith("Field")] == [
        f"Field {number}" for number in range(6)
    ]
    assert 'value="fields.field_8"> Field 8' in html(page, "/products/")


def test_a_person_chooses_and_orders_columns_and_they_are_kept(page: Client, user: User) -> None:
    define("Brand")
    define("Stock", "integer")
    make("A-1", brand="Acme", stock=3)
    order = ["fields.stock", "price", "fields.brand", "name"]
    form = {"order": order, "column": ["name", "fields.stock", "fields.brand"], "back": ""}
    page.post("/products/display/", form)
    assert headers(page)[1:-1] == ["SKU", "Stock", "Brand", "Name"]
    page.post("/products/display/", {**form, "move": "down:fields.stock"})
    page.post("/products/display/", {**form, "move": "up:fields.brand"})
    kept = PersonSettings.objects.get(pk=user.pk).columns
    assert kept == ["fields.stock", "fields.brand", "name"]


def test_the_first_columns_are_kept_as_none_so_that_new_fields_come_in(
    page: Client, user: User
) -> None:
    make("A-1")
    every = ["name", "description", "price", "active", "updated_at"]
    page.post("/products/display/", {"order": every, "column": every, "back": ""})
    assert PersonSettings.objects.get(pk=user.pk).columns == []
    define("Brand")
    assert "Brand" in headers(page)


def test_a_column_of_a_field_that_is_gone_is_overlooked(page: Client, user: User) -> None:
    field = define("Brand")
    make("A-1", brand="Acme")
    PersonSettings.objects.create(user=user, columns=["fields.brand", "price"])
    fields.update_field(field_id=field.pk, data={"retired": True})
    assert headers(page)[1:-1] == ["SKU", "Price"]
    PersonSettings.objects.update(columns=["fields.brand"])
    assert "Name" in headers(page)


@pytest.mark.parametrize(
    ("type", "options", "stored", "cell"),
    [
        ("integer", {}, 12345, "12,345"),
        ("decimal", {"scale": 3}, "1234.5", "1,234.500"),
        ("money", {}, "-0", None),
        ("boolean", {}, False, "No"),
        ("date", {}, "2026-03-02", "2026-03-02"),
        ("choices", {"choices": ["S", "M", "L"]}, ["L", "S"], "S, L"),
        ("gtin", {}, "4006381333931", "4006381333931"),
    ],
)
def test_a_value_stands_in_its_cell_as_people_read_it(
    page: Client, type: str, options: dict[str, Any], stored: Any, cell: str | None
) -> None:
    define("Value", type, options=options)
    make("A-1", value=stored if cell else None)
    row = html(page, "/products/").partition('data-edit="fields.value"')[2].partition("</td>")[0]
    assert row.partition(">")[2].strip() == (cell or "—")


def test_links_open_beside_the_list_and_tell_nothing_of_it(page: Client) -> None:
    define("Sheet", "link")
    make("A-1", sheet='https://acme.example/a/"x"?q=<1>')
    text = html(page, "/products/")
    assert 'href="https://acme.example/a/&quot;x&quot;?q=&lt;1&gt;" target="_blank"' in text
    assert 'rel="noopener noreferrer"' in text


def test_images_are_loaded_lazily_by_the_browser_and_only_over_tls(page: Client) -> None:
    define("Image", "image")
    make("A-1", image="https://img.example/1.jpg")
    make("A-2", image="http://img.example/2.jpg")
    answer = page.get("/products/")
    text = answer.content.decode()
    assert re.findall(r'<img class="pi-thumb" src="([^"]*)"', text) == ["https://img.example/1.jpg"]
    assert 'loading="lazy"' in text
    assert 'referrerpolicy="no-referrer"' in text
    assert 'href="http://img.example/2.jpg"' in text
    assert "https:" in policy(answer, "img-src")


def test_a_product_s_page_shows_its_image_beside_the_link(page: Client) -> None:
    define("Image", "image")
    product = make("A-1", image="https://img.example/1.jpg")
    answer = page.get(f"/products/{product.pk}/")
    assert '<img class="pi-thumb" src="https://img.example/1.jpg"' in answer.content.decode()
    assert "https:" in policy(answer, "img-src")


def test_pages_without_products_load_no_image_from_elsewhere(page: Client) -> None:
    assert "https:" not in policy(page.get("/changes/"), "img-src")


def policy(answer: Any, directive: str) -> list[str]:
    rules = answer.headers["Content-Security-Policy"].split(";")
    return next(rule.split() for rule in rules if rule.split()[0] == directive)


# --- Cells ----------------------------------------------------------------------------


def edit(page: Client, product: Product, name: str, value: Any, version: int = 1) -> Any:
    typed = {f"field_{name}": value, "field": f"fields.{name}", "version": version}
    return page.post(f"/products/{product.pk}/row/", typed)


def test_a_cell_is_edited_with_the_widget_of_its_type(page: Client) -> None:
    define("Size", "choice", options={"choices": ["S", "M"]})
    define("Sizes", "choices", options={"choices": ["S", "M"]})
    define("Listed", "date")
    define("Fair", "boolean")
    product = make("A-1", size="M", sizes=["S"], listed="2026-03-02", fair=True)
    row = f"/products/{product.pk}/row/?edit=fields."
    assert '<option value="M" selected>' in html(page, f"{row}size")
    assert 'name="field_sizes" multiple' in html(page, f"{row}sizes")
    assert 'name="field_listed" type="date" value="2026-03-02"' in html(page, f"{row}listed")
    assert '<option value="true" selected>yes' in html(page, f"{row}fair")


def test_a_cell_saves_its_field_alone_and_opens_the_next(page: Client) -> None:
    define("Brand")
    define("Stock", "integer")
    product = make("A-1", brand="Acme", stock=3)
    answer = page.post(
        f"/products/{product.pk}/row/",
        {"field_brand": "Bolt", "field": "fields.brand", "version": 1, "next": "fields.stock"},
    )
    product.refresh_from_db()
    assert product.own_fields == {"brand": "Bolt", "stock": 3}
    assert 'name="field_stock"' in answer.content.decode()


def test_a_wrong_value_stays_in_its_cell_with_what_is_wrong(page: Client) -> None:
    define("Stock", "integer")
    product = make("A-1", stock=3)
    answer = edit(page, product, "stock", "many")
    text = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="many"' in text
    assert "is not a whole number" in text
    assert f'aria-describedby="told-{product.pk}"' in text


def test_a_long_text_that_nobody_touched_is_saved_as_it_was(page: Client) -> None:
    define("Story", "long_text")
    product = make("A-1", story="one\ntwo")
    form = {"sku": "A-1", "name": "A-1", "active": "true", "version": 1}
    page.post(f"/products/{product.pk}/", {**form, "field_story": "one\r\ntwo"})
    product.refresh_from_db()
    assert product.version == 1


def test_who_changes_another_field_meanwhile_is_no_conflict_of_a_cell(page: Client) -> None:
    define("Brand")
    define("Stock", "integer")
    product = make("A-1", brand="Acme", stock=3)
    products.update_product(product_id=product.pk, actor=None, data={"fields": {"stock": 4}})
    assert edit(page, product, "brand", "Bolt").status_code == 200
    product.refresh_from_db()
    assert product.own_fields == {"brand": "Bolt", "stock": 4}


def test_a_cell_that_two_people_changed_shows_both_and_takes_the_second_save(
    page: Client,
) -> None:
    define("Brand")
    product = make("A-1", brand="Acme")
    products.update_product(product_id=product.pk, actor=None, data={"fields": {"brand": "Core"}})
    answer = edit(page, product, "brand", "Bolt")
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "they saved <ins>Core</ins>, you typed <b>Bolt</b>" in text
    assert 'value="Bolt"' in text
    assert edit(page, product, "brand", "Bolt", version=2).status_code == 200


def test_a_form_that_is_saved_late_loses_nobodys_field(page: Client) -> None:
    define("Brand")
    define("Stock", "integer")
    product = make("A-1", brand="Acme", stock=3)
    products.update_product(product_id=product.pk, actor=None, data={"fields": {"stock": 4}})
    form = {"sku": "A-1", "name": "A-1", "active": "true", "version": 1}
    typed = {**form, "field_brand": "Bolt", "field_stock": "3"}
    answer = page.post(f"/products/{product.pk}/", typed)
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "Stock is <b>4</b> now" in text
    assert 'value="4"' in text
    assert 'value="Bolt"' in text


# --- Filters and views ----------------------------------------------------------------


@pytest.fixture
def stocked(page: Client) -> Client:
    define("Brand")
    define("Stock", "integer")
    define("Size", "choice", options={"choices": ["S", "M", "L"]})
    define("Listed", "date")
    make("A-1", brand="Acme", stock=3, size="S", listed="2026-03-02")
    make("A-2", brand="Bolt Acme", stock=20, size="M")
    make("A-3", stock=100, size="L", listed="2026-01-31")
    return page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("fields.brand__contains=acme", ["A-1", "A-2"]),
        ("fields.brand__in=Acme|Bolt", ["A-1"]),
        ("fields.brand__isblank=true", ["A-3"]),
        ("fields.stock__gte=4&fields.stock__lte=20", ["A-2"]),
        ("fields.size__in=S&fields.size__in=L", ["A-1", "A-3"]),
        ("fields.listed__gte=2026-02-01", ["A-1"]),
        ("fields.listed__isblank=false&fields.stock__gte=", ["A-1", "A-3"]),
    ],
)
def test_the_list_is_filtered_by_every_type(stocked: Client, query: str, found: list[str]) -> None:
    assert shown(stocked, f"/products/?{query}") == found


def test_the_form_has_a_filter_for_each_field_with_what_is_filtered_now(stocked: Client) -> None:
    text = html(stocked, "/products/?fields.size__in=S&fields.size__in=L&fields.stock__gte=4")
    assert 'name="fields.brand__contains"' in text
    assert 'name="fields.stock__gte" value="4"' in text
    assert 'type="date" name="fields.listed__lte"' in text
    chosen = text.partition('name="fields.size__in"')[2].partition("</select>")[0]
    assert re.findall(r'value="(\w)" selected', chosen) == ["S", "L"]


def test_a_filter_without_an_input_is_kept_by_the_form(stocked: Client) -> None:
    text = html(stocked, "/products/?fields.brand=Acme")
    assert '<input type="hidden" name="fields.brand" value="Acme">' in text


@pytest.mark.parametrize(
    ("query", "chip"),
    [
        ("fields.size__in=S&fields.size__in=L", "Size is one of: S or L"),
        ("fields.brand__isblank=true", "Brand: none"),
        ("fields.stock__gte=1000", "Stock from: 1,000"),
    ],
)
def test_a_chip_says_a_filter_in_words_and_takes_it_away(
    stocked: Client, query: str, chip: str
) -> None:
    assert f'aria-label="Remove the filter {chip}"' in html(stocked, f"/products/?{query}")


def test_a_saved_view_keeps_filters_columns_and_their_order(stocked: Client, user: User) -> None:
    columns = ["fields.stock", "name"]
    stocked.post("/products/display/", {"order": columns, "column": columns, "back": ""})
    place = "fields.brand__isblank=false&ordering=-sku"
    stocked.post("/products/views/", {"name": "Branded", "back": place})
    stocked.post("/products/display/", {"order": ["price"], "column": ["price"], "back": ""})
    (view,) = settings_of(User.objects.get(pk=user.pk)).views
    assert headers(stocked, f"/products/?{view['query']}")[1:-1] == ["SKU ↓", "Stock", "Name"]
    assert shown(stocked, f"/products/?{view['query']}") == ["A-2", "A-1"]
    text = html(stocked, f"/products/?{view['query']}")
    assert re.search(r'aria-current="true"[^>]*><bdi>Branded<', text)
    assert not re.search(
        r'aria-current="true"[^>]*><bdi>Branded<', html(stocked, f"/products/?{place}")
    )


def test_who_may_only_look_sees_own_columns_and_edits_none(
    client: Client, make_user: Callable[..., User], static_files: None
) -> None:
    define("Brand")
    product = make("A-1", brand="Acme")
    client.force_login(make_user("vera", role="viewer"))
    assert "Acme" in html(client, "/products/")
    assert edit(client, product, "brand", "Bolt").status_code == 403


# --- Orders ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "options", "values", "order"),
    [
        ("text", {}, ["b", None, "a", "b"], [1, 2, 0, 3]),
        ("integer", {}, [10, -2, None, 9], [2, 1, 3, 0]),
        ("decimal", {"scale": 3}, ["0", "0.001", "-0.5", "10"], [2, 0, 1, 3]),
        ("money", {}, ["9.90", "0", "10", None], [3, 1, 0, 2]),
        ("date", {}, ["2026-03-02", "2025-12-31", None, "2026-01-31"], [2, 1, 3, 0]),
        ("boolean", {}, [True, False, None, True], [2, 1, 0, 3]),
        ("text", {}, ["x" * 300, "x" * 299, "x" * 201, "w"], [3, 0, 1, 2]),
    ],
)
def test_the_list_is_in_the_order_of_a_field_through_all_its_pages(
    page: Client, type: str, options: dict[str, Any], values: list[Any], order: list[int]
) -> None:
    define("Value", type, options=options)
    for number, value in enumerate(values):
        make(f"A-{number}", value=value)
    skus = [f"A-{number}" for number in order]
    assert _walked(page, "fields.value") == skus
    assert _walked(page, "-fields.value") == skus[::-1]
    last = page.get("/api/v1/products/?ordering=fields.value&page_size=2&cursor=last").json()
    assert [row["sku"] for row in last["results"]] == skus[2:]
    assert [row["sku"] for row in page.get(last["previous"]).json()["results"]] == skus[:2]


def _walked(page: Client, ordering: str) -> list[str]:
    found: list[str] = []
    following = f"/api/v1/products/?ordering={ordering}&page_size=1"
    while following:
        answer = page.get(following).json()
        found += [row["sku"] for row in answer["results"]]
        following = answer["next"]
    return found


def test_a_head_of_an_own_column_sorts_by_it(stocked: Client) -> None:
    text = html(stocked, "/products/")
    assert '<a href="?ordering=fields.stock">Stock</a>' in text
    assert shown(stocked, "/products/?ordering=-fields.stock") == ["A-3", "A-2", "A-1"]
    assert "Stock ↓" in headers(stocked, "/products/?ordering=-fields.stock")


@pytest.mark.parametrize("ordering", ["fields.colour", "fields.story", "fields.", "-fields.old"])
def test_there_is_no_order_by_what_is_no_field_or_too_long(page: Client, ordering: str) -> None:
    define("Story", "long_text")
    define("Old", retired=True)
    answer = page.get(f"/api/v1/products/?ordering={ordering}")
    assert answer.status_code == 400
    assert "There is no ordering" in answer.content.decode()


@pytest.mark.parametrize(
    "cursor",
    [
        ["f", "x", 1],
        ["f", "1e9", 1],
        ["f", 7, 1],
        ["f", None, 1],
        ["b", "NaN", 1],
    ],
)
def test_a_place_that_is_none_of_a_field_is_refused(page: Client, cursor: list[Any]) -> None:
    define("Stock", "integer")
    text = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()
    answer = page.get(f"/api/v1/products/?ordering=fields.stock&cursor={text}")
    assert answer.status_code == 400


def test_long_texts_are_told_apart_by_what_is_behind_their_beginning(page: Client) -> None:
    define("Value")
    same = "x" * 250
    make("A-1", value=same)
    make("A-2", value=same + "y")
    assert shown(page, f"/products/?fields.value={same}") == ["A-1"]
    assert shown(page, f"/products/?fields.value__in={same}y|z") == ["A-2"]


def test_products_without_a_value_are_in_no_range(page: Client) -> None:
    define("Stock", "integer")
    define("Listed", "date")
    make("A-1")
    make("A-2", stock=-5, listed="2026-01-31")
    assert shown(page, "/products/?fields.stock__lte=7") == ["A-2"]
    assert shown(page, "/products/?fields.listed__lte=2026-12-31") == ["A-2"]
    assert shown(page, "/products/?fields.stock__isblank=true") == ["A-1"]
    assert shown(page, "/products/?fields.listed__isblank=false") == ["A-2"]


def test_a_text_that_an_undo_brings_back_into_numbers_stops_no_list(page: Client) -> None:
    field = define("Cost")
    product = make("A-1", cost="on request")
    five = {"fields": {"cost": "5.00"}}
    products.update_product(product_id=product.pk, actor=None, data=five)
    edit = ChangeSet.objects.latest("pk")
    fields.update_field(field_id=field.pk, data={"type": "money"})
    make("A-2", cost="7.00")
    act = undo.start_undo(change_set_id=edit.pk, actor=None)
    bulk.run_bulk_act(act.pk)
    assert Product.objects.get(sku="A-1").own_fields == {"cost": "on request"}
    assert shown(page, "/products/?fields.cost__gte=1") == ["A-2"]
    assert shown(page, "/products/?ordering=-fields.cost") == ["A-2", "A-1"]


# --- What a list costs --------------------------------------------------------------------


def test_a_page_by_a_field_and_its_count_take_one_look_at_the_products(page: Client) -> None:
    define("Brand")
    define("Stock", "integer")
    for number in range(3):
        make(f"A-{number}", brand="Acme", stock=number)
    make("B-1", brand="Bolt", stock=9)
    address = "/products/?fields.brand=Acme&ordering=-fields.stock&page_size=25"
    assert shown(page, address) == ["A-2", "A-1", "A-0"]
    wanted = filtered_products({"fields.brand": "Acme"})
    assert get_page(wanted, ordering="sku", size=2).total is None  # filled before it was counted
    products.create_product(actor=None, data={"sku": "B-2", "name": "B-2"})  # counts are others
    with CaptureQueriesContext(connection) as queries:
        found = get_page(wanted, ordering="-fields.stock", size=2)
    assert ([one.sku for one in found.rows], found.total) == (["A-2", "A-1"], 3)
    assert found.next
    looks = [one["sql"] for one in queries if "->> 'brand'" in one["sql"]]
    assert len(looks) == 2  # one that finds and counts, and one for the rows of these ids
    assert "count(*) OVER ()" in looks[0]
    assert '"catalog_product"."id" IN (' in looks[1]


def test_the_order_of_all_products_is_found_by_their_ids_alone() -> None:
    define("Stock", "integer")
    made = [make(f"A-{number}", stock=number) for number in range(3)]
    with CaptureQueriesContext(connection) as queries:
        page = get_page(Product.objects.all(), ordering="-fields.stock", size=2)
    assert page.rows == made[:0:-1]
    sorts = [one["sql"] for one in queries if "->> 'stock'" in one["sql"]]
    assert '"catalog_product"."description"' not in sorts[0]
    assert ["IN (" in one for one in sorts] == [False, True]


def test_from_and_to_ask_each_product_for_two_bounds() -> None:
    define("Stock", "integer")
    for number in range(3):
        make(f"A-{number}", stock=number)
    make("B")
    both = filtered_products({"fields.stock__gte": "1", "fields.stock__lte": "1"})
    assert [product.sku for product in both] == ["A-1"]
    bounds = str(both.query).partition("WHERE")[2].partition("ORDER BY")[0]
    assert bounds.count("COALESCE") == 2


def test_a_first_page_by_a_field_is_looked_for_once_until_something_changes(page: Client) -> None:
    define("Brand")
    define("Stock", "integer")
    made = [make(f"A-{number}", brand="Acme", stock=number) for number in range(3)]
    for filters in ({"fields.brand": "Acme"}, {}):
        wanted = filtered_products(filters)
        first = get_page(wanted, ordering="fields.stock", size=2)
        assert (first.rows, first.previous) == (made[:2], "")
        with CaptureQueriesContext(connection) as queries:
            again = get_page(wanted, ordering="fields.stock", size=2)
        assert (again.rows, again.previous, again.next) == (first.rows, "", first.next)
        looks = [
            one["sql"] for one in queries if "own_fields" in one["sql"] and "WHERE" in one["sql"]
        ]
        assert looks
        assert all('"catalog_product"."id" IN (' in one for one in looks)
    for product in made[:2]:
        data = {"fields": {"brand": "Bolt", "stock": 9}}
        products.update_product(product_id=product.pk, actor=None, data=data)
    for filters in ({"fields.brand": "Acme"}, {}):
        assert (
            get_page(filtered_products(filters), ordering="fields.stock", size=1).rows == made[2:]
        )


@pytest.mark.parametrize("count_limit", [1, 20_000])
@pytest.mark.parametrize("ordering", ["fields.stock", "-fields.stock", "name"])
def test_pages_are_the_same_whether_few_or_many_match(
    monkeypatch: pytest.MonkeyPatch, count_limit: int, ordering: str
) -> None:
    monkeypatch.setattr(pagination, "MOST_COUNTED", count_limit)
    define("Brand")
    define("Stock", "integer")
    made = [make(f"A-{number}", brand="Acme", stock=number // 2) for number in range(5)]
    make("B-1", brand="Bolt", stock=1)
    wanted = filtered_products({"fields.brand": "Acme"})
    first = get_page(wanted, ordering=ordering, size=3)
    second = get_page(wanted, ordering=ordering, size=3, cursor=first.next)
    last = get_page(wanted, ordering=ordering, size=3, cursor="last")
    turned = made[::-1] if ordering.startswith("-") else made
    assert first.rows + second.rows == turned
    assert (last.rows, last.next) == (turned[2:], "")
    assert get_page(filtered_products({"fields.brand": "None"}), ordering=ordering, size=3) == (
        pagination.Page([], "", "", 0)
    )


def test_what_a_field_takes_is_made_out_once_for_all_rows_of_a_page(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    define("Brand")
    for number in range(20):
        make(f"A-{number}", brand="Acme")
    asked: list[str] = []
    of: Any = Field.definition

    def definition(field: Field) -> Any:
        asked.append(field.key)
        return of.fget(field)

    monkeypatch.setattr(Field, "definition", property(definition))
    assert len(shown(page)) == 20
    assert len(asked) < 10


def test_a_row_shows_the_same_while_another_cell_of_it_is_edited(page: Client) -> None:
    define("Site", "link")
    one = products.create_product(
        actor=None,
        data={
            "sku": "A-1",
            "name": "Oak <lamp>",
            "description": 'Of "oak" ' * 30,
            "price": "1234.50",
            "fields": {"site": "https://example.com/a?b=1&c=2"},
        },
    )
    cells = re.findall("<td.*?</td>", html(page, "/products/"), re.DOTALL)
    editing = html(page, f"/products/{one.pk}/row/?edit=sku")
    assert len(cells) == 9
    assert [cell for cell in cells if cell not in editing] == [cells[1]]
    assert "Oak &lt;lamp&gt;" in cells[2]
    assert 'title="Of &quot;oak&quot; ' in cells[3]
    assert "1,234.50" in cells[4]
