"""The search index: whatever it covers, a search finds what looking at all products finds."""

import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import DecimalField, F
from django.db.models.functions import Coalesce
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import ChangeSet, Product, SearchEntry, SearchIndex
from catalog.operations import bulk, change_sets, products, search_index, undo
from catalog.operations.retention import clear_changes
from catalog.queries import pagination
from catalog.queries import products as queries
from catalog.queries.filters import filtered_products
from catalog.queries.pagination import get_page
from catalog.queries.products import count_products
from catalog.queries.search import narrowed
from catalog.sql import search
from catalog.sql.upsert import APPLY_SETTINGS, upsert
from conftest import Messages, wait_for


def keep(*, seconds: float = 60) -> bool:
    """In one run whatever there is to do, also on a slow machine."""
    return search_index.keep_search_index(seconds=seconds)


# What a trigram may stumble over: signs of LIKE, accents, case that is not one to one, no letters.
PIECES = (
    *("lamp", "LAMP", "Lam", "oak", "100% wool", "a_b", "\\", "%", "_", "ab", "a", "-", "  "),
    *("é", "É", "Müller", "MÜLLER", "ß", "SS", "İ", "ı", "I", "i", "İstanbul", "ΟΔΟΣ", "οδος"),
    *("σ", "Σ", "лампа", "ЛАМПА", "灯", "e\u0301", "I\u0307", "\u212a", "k", "ǆ", "\U0001f4a1"),
    *("'", '"', "\n", "\t", "12", "007", "x" * 40, "AB-20417-7", "20417", "ab/20417 oak lamps"),
)


@pytest.fixture
def _from_the_first_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "FROM_PRODUCTS", 0)


@pytest.fixture
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLICE_ROWS", 3)


pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("_from_the_first_product", "_small_slices"),
]


def by_index(given: dict[str, str]) -> list[int] | None:
    """What the search index answers; ``None`` where it is no help."""
    with transaction.atomic(), connection.cursor() as cursor:
        found = narrowed(cursor, filtered_products(given))
        return None if found is None else sorted(found.values_list("pk", flat=True))


def by_looking(given: dict[str, str]) -> list[int]:
    """The same by looking at every product."""
    return sorted(filtered_products(given).values_list("pk", flat=True))


def found(text: str) -> list[str]:
    page = get_page(filtered_products({"q": text}), ordering="name", size=100)
    return [product.sku for product in page.rows]


class Histories:
    """Random acts on a small catalogue, with the index brought on now and then."""

    def __init__(self, seed: int) -> None:
        self.chosen = random.Random(seed)
        self.number = 0
        self.acts: list[Callable[[], None]] = [
            *[self.create] * 4,
            *[self.edit] * 4,
            *[self.import_some] * 3,
            self.delete,
            self.delete_many,
            self.switch_many,
            *[self.undo] * 3,
            *[self.index] * 6,
        ]

    def step(self) -> None:
        self.chosen.choice(self.acts)()

    def text(self, pieces: int = 3) -> str:
        return "".join(self.chosen.choices(PIECES, k=self.chosen.randint(1, pieces)))

    def values(self) -> dict[str, str]:
        self.number += 1
        return {
            "sku": f"S{self.number} {self.text(1)}",
            "name": f"n {self.text()}",
            "description": self.text(6) if self.chosen.random() < 0.5 else "",
            "price": self.chosen.choice(["", "0", "1", "2.50", "3", "7"]),
        }

    def any_product(self) -> Product | None:
        there = [*Product.objects.order_by("id")]
        return self.chosen.choice(there) if there else None

    def some(self, rows: Iterable[Any], count: int) -> list[Any]:
        there = list(rows)
        return self.chosen.sample(there, k=min(count, len(there)))

    def create(self) -> None:
        products.create_product(actor=None, data=self.values())

    def edit(self) -> None:
        product = self.any_product()
        values = self.values()
        some = self.chosen.sample(sorted(values), k=self.chosen.randint(1, 3))
        if product:
            products.update_product(
                product_id=product.pk, actor=None, data={name: values[name] for name in some}
            )

    def import_some(self) -> None:
        """A chunk, with new products and others that are there already."""
        change_set = ChangeSet.objects.create(kind="import", status="completed")
        there = [product.sku for product in self.some(Product.objects.order_by("id"), 3)]
        for sku in [*there, *(self.values()["sku"] for _ in range(2))]:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(APPLY_SETTINGS)
                done = upsert(
                    cursor,
                    source="""
                        SELECT lower(sku) AS key, 1::bigint AS line, NULL::bigint AS next_line,
                            NULL::json AS record, sku, name, description,
                            NULL::numeric AS price, true AS active
                        FROM (VALUES (%(sku)s::text, %(name)s::text, %(description)s::text))
                            AS given (sku, name, description)""",
                    params={**self.values(), "sku": sku.strip()},
                    fields=("name", "description"),
                    change_set_id=change_set.pk,
                    first_key="",
                    end_key=None,
                )
            change_sets.count_changes(change_set.pk, created=done.created, updated=done.updated)

    def delete(self) -> None:
        if product := self.any_product():
            products.delete_product(product_id=product.pk, actor=None)

    def delete_many(self) -> None:
        filters = {"q": self.text(1)} if self.chosen.random() < 0.8 else {}
        act = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None, filters=filters)
        bulk.run_bulk_act(act.pk)

    def switch_many(self) -> None:
        active = self.chosen.random() < 0.5
        act = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=None, active=active)
        bulk.run_bulk_act(act.pk)

    def undo(self) -> None:
        for change_set in self.some(ChangeSet.objects.order_by("id"), 5):
            if not undo.why_not(change_set):
                bulk.run_bulk_act(undo.start_undo(change_set_id=change_set.pk, actor=None).pk)
                return

    def index(self) -> None:
        """A slice, some slices, all, or all anew."""
        kind = self.chosen.random()
        if kind < 0.1:
            SearchIndex.objects.all().delete()
        keep(seconds=0 if kind < 0.6 else 60)


RANGES = [
    {"price_min": "2.50"},
    {"price_max": "1"},
    {"price_min": "1", "price_max": "3", "active": "true"},
    {"price_min": "8"},
    {"price": "none"},
    {"price": "none", "price_min": "1"},
    {"changed_from": "2020-01-01", "price_max": "2.50"},
    {"changed_from": "2999-01-01"},
    {"changed_to": "2020-01-01"},
]


@pytest.mark.parametrize("seed", range(6))
def test_the_index_finds_what_looking_at_all_products_finds(seed: int) -> None:
    histories = Histories(seed)
    answered = answered_by_values = 0
    for _ in range(30):
        histories.step()
        terms = [histories.text(2) for _ in range(4)]
        if product := histories.any_product():
            start = histories.chosen.randint(0, max(0, len(product.name) - 4))
            terms.append(product.name[start : start + 6])
        for term in terms:
            for name in ("q", "sku", "name", "description"):
                given = {name: term, "q": terms[0]} if name != "q" else {"q": term}
                answer = by_index(given)
                answered += answer is not None
                assert answer in (None, by_looking(given)), given
        assert_sorted_pages(histories.chosen, terms[0])
        for given in RANGES:
            answer = by_index(given)
            answered_by_values += answer is not None
            assert answer in (None, by_looking(given)), given
    assert answered > 50
    assert answered_by_values > 50


def assert_sorted_pages(chosen: random.Random, term: str) -> None:
    """Follow the pages of some order, and compare with the same products sorted here."""
    name = chosen.choice([*search.SORT_KEYS])
    sign = chosen.choice(["", "-"])
    given = chosen.choice([{}, {}, {"active": "true"}, {"q": term}, *RANGES])
    rows = filtered_products(given)
    key = Coalesce(F(name), -1, output_field=DecimalField()) if name == "price" else F(name)
    wanted = list(
        rows.annotate(key=key).order_by(f"{sign}key", f"{sign}id").values_list("pk", flat=True)
    )
    seen: list[int] = []
    cursor = ""
    while True:
        page = get_page(rows, ordering=sign + name, size=3, cursor=cursor)
        seen += [product.pk for product in page.rows]
        if not (cursor := page.next):
            break
    assert seen == wanted, (sign, name, given)


def test_pages_in_any_order_are_read_in_the_order_of_the_index(
    make_product: Callable[..., Product],
) -> None:
    """Whatever is not in the index, and whatever is no longer so, comes in its place."""
    made = [make_product(f"A-{n}", f"Name {n % 7}", price=n % 3 or None) for n in range(20)]
    assert keep()
    products.update_product(product_id=made[0].pk, actor=None, data={"name": "Aaa"})
    products.update_product(product_id=made[1].pk, actor=None, data={"name": "Zzz", "price": "1"})
    products.delete_product(product_id=made[2].pk, actor=None)
    make_product("B-1", "Name 3", price=2)
    for seed in range(20):
        assert_sorted_pages(random.Random(seed), "name")
    with CaptureQueriesContext(connection) as asked:
        get_page(filtered_products({}), ordering="-price", size=3)
    assert any("catalog_sortentry" in one["sql"] for one in asked)
    assert not any(
        "enable_indexscan = off" in one["sql"] for one in asked
    )  # all were not looked at


def test_any_text_is_searched_for_exactly(make_product: Callable[..., Product]) -> None:
    for number, piece in enumerate(PIECES):
        name = f"{piece}.{PIECES[number - 1]}"
        make_product(f"S-{number}", name, description=piece.swapcase())
    make_product("long", "lamp", description="Lamp" * 2500)
    assert keep()
    for term in (*PIECES, "lamp" * 250, "oak " * 250, "%" * 1000, "lam_", "LaMp", "p.oak"):
        for name in ("q", "name", "description", "sku"):
            assert by_index({name: term}) in (None, by_looking({name: term})), (name, term)
        assert len(found(term)) == len(by_looking({"q": term}))
    assert by_index({"q": "LaMp"}) is not None


def test_what_the_index_does_not_cover_is_looked_at(make_product: Callable[..., Product]) -> None:
    old = make_product("A-1", "Lamp")
    assert keep()
    products.update_product(product_id=old.pk, actor=None, data={"name": "Table"})
    products.create_product(actor=None, data={"sku": "B-1", "name": "A lamp"})
    assert by_index({"q": "lamp"}) == by_looking({"q": "lamp"}) != [old.pk]
    assert by_index({"q": "table"}) == [old.pk]


def test_a_hit_in_the_index_alone_is_none(make_product: Callable[..., Product]) -> None:
    product = make_product("A-1", "Lamp")
    assert keep()
    SearchEntry.objects.create(product_id=product.pk + 1, text="A LAMP THAT IS GONE")
    SearchEntry.objects.filter(product_id=product.pk).update(text="LAMP TABLE")
    assert by_index({"q": "lamp"}) == [product.pk]
    assert by_index({"q": "table"}) == []


def test_an_index_far_behind_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Lamp")
    assert keep()
    monkeypatch.setattr(search, "MOST_BEYOND", 2)
    for number in range(4):
        make_product(f"B-{number}", "Lamp")
    assert by_index({"q": "lamp"}) is None
    assert len(found("lamp")) == 5
    assert keep()
    assert len(by_index({"q": "lamp"}) or []) == 5


def test_too_many_hits_are_not_looked_up_one_by_one(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(4):
        make_product(f"A-{number}", "Lamp")
    assert keep()
    monkeypatch.setattr(search, "MOST_HITS", 3)
    assert by_index({"q": "lamp"}) is None
    assert len(found("lamp")) == 4


def looked_up(given: dict[str, str], context: CaptureQueriesContext) -> list[str]:
    """The patterns that the index is asked for, one lookup after another."""
    with context:
        by_index(given)
    asked = [query["sql"] for query in context if "ARRAY(SELECT product_id" in query["sql"]]
    return [re.findall(r"text LIKE upper\('(.*?)'\)", one)[0] for one in asked]


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        ("SKU-00004711-01", "%00004711%"),
        ("oak-12", "%oak-12%"),  # no word that would tell it from others
        ("50% wool_x", "%wool%"),
        ("oak lamp", "%lamp%"),
        ("Größe 4711", "%4711%"),
    ],
)
def test_a_text_is_looked_up_by_the_word_that_tells_most(
    make_product: Callable[..., Product], asked: str, pattern: str
) -> None:
    make_product("A-1", f"A {asked}")
    make_product("A-2", f"Another {pattern.strip('%')}")
    assert keep()
    assert looked_up({"q": asked}, CaptureQueriesContext(connection)) == [pattern]
    assert by_index({"q": asked}) == by_looking({"q": asked}) != []


def test_where_the_word_has_too_many_hits_the_whole_text_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(4):
        make_product(f"2024-{number}", "Lamp")
    assert keep()
    monkeypatch.setattr(search, "MOST_HITS", 3)
    monkeypatch.setattr(search, "_expected", lambda cursor, pattern: 0.0)
    patterns = looked_up({"sku": "2024-1"}, CaptureQueriesContext(connection))
    assert patterns == ["%2024%", "%2024-1%"]
    assert by_index({"sku": "2024-1"}) == by_looking({"sku": "2024-1"})


def test_what_most_products_have_is_not_looked_up(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(100):
        make_product(f"A-{number}", "Lamp")
    make_product("A-lone", "Lamp 4711")
    assert keep()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_searchentry")
    monkeypatch.setattr(search, "MOST_HITS", 10)
    assert looked_up({"q": "lamp"}, CaptureQueriesContext(connection)) == []
    assert found("lamp 4711") == ["A-lone"]


def test_what_a_change_set_edited_is_named_by_its_changes(
    make_product: Callable[..., Product],
) -> None:
    product = make_product("A-1")
    other = products.create_product(actor=None, data={"sku": "A-2", "name": "Lamp"})
    assert keep()
    products.update_product(product_id=product.pk, actor=None, data={"name": "Table"})
    edit, creation = ChangeSet.objects.get(kind="edit"), other.created_in_id
    assert by_index({"change_set": str(edit.pk)}) == [product.pk]
    assert by_index({"change_set": str(creation)}) is None
    assert by_looking({"change_set": str(creation)}) == [other.pk]


def test_a_range_of_prices_is_walked_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(12):
        make_product(f"A-{number}", price=number)
    assert keep()
    monkeypatch.setattr(pagination, "FIRST_PROBE_ROWS", 3)
    monkeypatch.setattr(search, "MOST_HITS", 2)
    with CaptureQueriesContext(connection) as asked:
        page = get_page(filtered_products({"price_min": "8"}), ordering="price", size=2)
    assert [product.sku for product in page.rows] == ["A-8", "A-9"]
    assert not any("enable_indexscan = off" in one["sql"] for one in asked)


def test_the_count_of_a_search_is_the_same_by_the_index(
    make_product: Callable[..., Product],
) -> None:
    for number in range(4):
        make_product(f"A-{number}", "Lamp" if number else "Table")
    assert keep()
    assert count_products(filtered_products({"q": "lamp"})) == 3


def test_it_is_built_from_a_size_on(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    monkeypatch.setattr(search_index, "FROM_PRODUCTS", 3)
    make_product("A-1")
    assert not keep()
    assert not SearchIndex.objects.exists()
    for number in range(3):
        make_product(f"B-{number}")
    assert keep()
    assert SearchEntry.objects.count() == 4


def test_it_is_dropped_where_the_setting_is_off(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Lamp")
    assert keep()
    monkeypatch.setattr(settings, "SEARCH_INDEX", False)
    assert not keep()
    assert not SearchEntry.objects.exists()
    assert by_index({"q": "lamp"}) is None
    assert found("lamp") == ["A-1"]


def test_without_the_extension_all_is_found_as_before(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Lamp")
    monkeypatch.setattr(search, "enable_trigrams", lambda cursor: "There is no pg_trgm.")
    assert not keep()
    assert found("lamp") == ["A-1"]
    assert "There is no pg_trgm." in search_index.describe_search_index()


def test_it_waits_while_a_large_act_is_under_way(make_product: Callable[..., Product]) -> None:
    make_product("A-1", "Lamp")
    act = ChangeSet.objects.create(kind="bulk_delete", status="applying")
    assert not keep()
    ChangeSet.objects.filter(pk=act.pk).update(status="completed")
    assert keep()


def begin_after_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let large work be under way as soon as the index has come further."""
    monkeypatch.setattr(search_index, "UNDER_WAY", [SearchEntry.objects.exists])


def test_it_gives_way_to_large_work_that_begins_meanwhile(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(7):
        make_product(f"A-{number}", "Lamp")
    begin_after_a_slice(monkeypatch)
    assert not keep()
    assert SearchEntry.objects.count() == search.SLICE_ROWS
    monkeypatch.setattr(search_index, "UNDER_WAY", [])
    assert keep()
    assert SearchEntry.objects.count() == 7


def test_after_a_long_wait_a_run_is_its_own(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(7):
        make_product(f"A-{number}", "Lamp")
    begin_after_a_slice(monkeypatch)
    assert not keep()
    assert not keep()
    assert SearchEntry.objects.count() == search.SLICE_ROWS
    long_ago = timezone.now() - search_index.MAX_WAIT - timedelta(seconds=1)
    SearchIndex.objects.update(moved_at=long_ago)
    assert keep()
    assert SearchEntry.objects.count() == 7


def test_entries_of_deleted_products_go_when_they_are_most(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    for number in range(4):
        make_product(f"A-{number}", "Lamp")
    assert keep()
    Product.objects.exclude(sku="A-3").delete()
    monkeypatch.setattr(search, "_MOSTLY_GONE", "SELECT true")  # the statistics come later
    assert keep()
    assert SearchEntry.objects.count() == 1
    assert found("lamp") == ["A-3"]


def test_changes_that_are_cleared_away_unseen_end_the_index(
    monkeypatch: pytest.MonkeyPatch, make_product: Callable[..., Product]
) -> None:
    product = make_product("A-1", "Lamp")
    assert keep()
    products.update_product(product_id=product.pk, actor=None, data={"name": "Table"})
    ChangeSet.objects.update(finished_at=ChangeSet.objects.get().created_at - timedelta(days=9))
    monkeypatch.setattr(settings, "KEEP_CHANGES", timedelta(days=1))
    assert clear_changes() == 1
    assert by_index({"q": "table"}) is None
    assert found("table") == ["A-1"]
    assert keep()
    assert by_index({"q": "table"}) == [product.pk]


def test_the_admin_is_told_how_it_stands(make_product: Callable[..., Product]) -> None:
    assert "no search index" in search_index.describe_search_index()
    for number in range(4):
        make_product(f"A-{number}")
    keep(seconds=0)
    assert "being built: " in search_index.describe_search_index()
    assert keep()
    assert "up to date" in search_index.describe_search_index()
    make_product("B-1")
    assert "about 1 to go" in search_index.describe_search_index()


# --- Several at once, and crashes -----------------------------------------------------


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[Callable[[Callable[[], Any]], threading.Event]]:
    """Do something in a transaction of another session, which stays open until it is told."""
    ends: list[threading.Event] = []
    threads: list[threading.Thread] = []

    def start(do: Callable[[], Any]) -> threading.Event:
        begun, end = threading.Event(), threading.Event()

        def run() -> None:
            try:
                with transaction.atomic():
                    do()
                    begun.set()
                    end.wait(300)
            finally:
                begun.set()
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        ends.append(end)
        assert begun.wait(300)
        return end

    yield start
    for end in ends:
        end.set()
    for thread in threads:
        thread.join(300)


def test_a_product_that_is_committed_late_is_not_passed_over(
    elsewhere: Callable[..., threading.Event], make_product: Callable[..., Product]
) -> None:
    make_product("A-1", "Lamp")
    assert keep()
    commit = elsewhere(lambda: make_product("B-1", "Lamp"))
    make_product("C-1", "Lamp")  # with a higher number, and there before
    assert not keep(seconds=0.2)
    assert found("lamp") == ["A-1", "C-1"]
    commit.set()
    wait_for(lambda: len(by_index({"q": "lamp"}) or []) == 3)
    assert keep(seconds=60)
    assert len(by_index({"q": "lamp"}) or []) == 3


def test_an_edit_that_is_committed_late_is_not_passed_over(
    elsewhere: Callable[..., threading.Event], make_product: Callable[..., Product]
) -> None:
    first, second = make_product("A-1", "Lamp"), make_product("B-1", "Lamp")
    assert keep()

    def rename(product: Product) -> None:
        products.update_product(product_id=product.pk, actor=None, data={"name": "Table"})

    commit = elsewhere(lambda: rename(first))
    rename(second)
    assert not keep(seconds=0.2)
    assert by_index({"q": "table"}) == [second.pk]
    commit.set()
    assert keep(seconds=60)
    assert by_index({"q": "table"}) == [first.pk, second.pk]
    assert by_index({"q": "lamp"}) == []


def test_two_at_once_do_no_harm(
    elsewhere: Callable[..., threading.Event], make_product: Callable[..., Product]
) -> None:
    for number in range(10):
        make_product(f"A-{number}", "Lamp")
    assert not keep(seconds=0)
    end = elsewhere(lambda: keep(seconds=0))  # its slice is not committed
    assert not keep(seconds=0.2)
    assert by_index({"q": "lamp"}) is None or len(by_index({"q": "lamp"}) or []) == 10
    end.set()
    wait_for(lambda: keep(seconds=60))
    assert len(by_index({"q": "lamp"}) or []) == 10


def test_a_crash_of_the_server_takes_the_marks_with_the_entries() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relpersistence FROM pg_class"
            " WHERE relname IN ('catalog_searchindex', 'catalog_searchentry')"
        )
        assert {kind for _, kind in cursor.fetchall()} == {"u"}


def test_what_an_undo_brings_back_is_found_at_once(
    messages: Messages, make_product: Callable[..., Product]
) -> None:
    for number in range(5):
        make_product(f"A-{number}", "Lamp")
    assert keep()
    act = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None)
    messages.run_all()
    SearchIndex.objects.all().delete()
    assert keep()  # built while they are away
    assert by_index({"q": "lamp"}) == []
    undo.start_undo(change_set_id=act.pk, actor=None)
    messages.run_all()
    assert len(by_index({"q": "lamp"}) or []) == 5
    assert keep()
    assert len(by_index({"q": "lamp"}) or []) == 5


# --- Told on pages --------------------------------------------------------------------


def test_a_count_that_takes_long_follows_the_page(
    monkeypatch: pytest.MonkeyPatch, page: Client, make_product: Callable[..., Product]
) -> None:
    for number in range(26):
        make_product(f"A-{number}", "Lamp")
    monkeypatch.setattr(queries, "QUICK_BELOW", 0)
    address = "/products/?q=lamp&page_size=25"
    at_once = page.get(address).content.decode()
    assert "26 products" not in at_once
    assert "count=1" in at_once
    assert "Last page" in page.get(f"{address}&cursor=last").content.decode()
    counted = page.get(f"{address}&count=1").content.decode()
    assert "26 products match" in counted
    assert "Page 1 of 2" in counted
    assert "26 products match" in page.get(address).content.decode()  # it is kept


def test_a_count_that_the_index_gives_comes_with_the_page(
    monkeypatch: pytest.MonkeyPatch, page: Client, make_product: Callable[..., Product]
) -> None:
    for number in range(26):
        make_product(f"A-{number}", "Lamp")
    assert keep()
    monkeypatch.setattr(queries, "QUICK_BELOW", 0)
    assert "26 products match" in page.get("/products/?q=lamp&page_size=25").content.decode()


def test_the_admin_has_a_page_of_the_index(
    static_files: None, admin_client: Client, make_product: Callable[..., Product]
) -> None:
    make_product("A-1")
    address = "/admin/catalog/searchindex/"
    assert "There is no search index" in admin_client.get(address).content.decode()
    assert keep()
    assert "The search index is up to date" in admin_client.get(address).content.decode()
