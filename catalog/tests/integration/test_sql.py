"""The bulk upsert on a real PostgreSQL, one behaviour a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction

from catalog.models import Change, ChangeSet, Product
from catalog.sql.upsert import APPLY_SETTINGS, ConcurrentEdit, Upserted, upsert

pytestmark = pytest.mark.django_db

ALL = ("name", "description", "price", "active")
SOURCE = """
SELECT lower(sku) AS key, line, NULL::bigint AS next_line, NULL::json AS record,
       sku, name, description, price, active
FROM (VALUES (1::bigint, %(sku)s::text, %(name)s::text, %(description)s::text,
              %(price)s::numeric(12, 2), %(active)s::boolean))
    AS given (line, sku, name, description, price, active)
"""


def put(sku: str, name: str | None = "Lamp", **options: Any) -> Upserted:
    """Upsert one row."""
    values = {"description": None, "price": None, "active": None}
    values.update({key: options.pop(key) for key in list(options) if key in values})
    change_set = options.pop("change_set", None) or ChangeSet.objects.create(kind="import")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(APPLY_SETTINGS)
        return upsert(
            cursor,
            source=SOURCE,
            params={"sku": sku, "name": name, **values},
            fields=options.pop("fields", ALL),
            change_set_id=change_set.pk,
            first_key="",
            end_key=None,
            **options,
        )


def test_a_new_product_gets_its_defaults() -> None:
    assert put("A-1").created == 1
    product = Product.objects.get()
    assert (product.description, product.price, product.active) == ("", None, True)
    assert product.version == 1
    assert product.created_in_id == product.changed_in_id is not None


def test_an_existing_product_is_overwritten_and_its_values_before_are_kept(
    make_product: Callable[..., Product],
) -> None:
    old = make_product("a-1", "Old", description="text", price=Decimal("1.00"), active=False)
    result = put("A-1", "New", description="text", price=Decimal("2.00"), active=True)
    assert (result.created, result.updated, result.unchanged) == (0, 1, 0)
    change = Change.objects.get()
    assert change.product_id == old.pk
    assert change.fields == 1 + 2 + 8 + 16
    assert (change.old_sku, change.old_name, change.old_description) == ("a-1", "Old", None)
    assert (change.old_price, change.old_active, change.old_version) == (Decimal("1.00"), False, 1)
    assert change.old_updated_at == old.updated_at


def test_equal_values_write_nothing(make_product: Callable[..., Product]) -> None:
    before = make_product("A-1", "Lamp")
    assert put("A-1").unchanged == 1
    before.refresh_from_db()
    assert before.version == 1
    assert not Change.objects.exists()


def test_fields_that_are_not_given_stay(make_product: Callable[..., Product]) -> None:
    make_product("A-1", "Lamp", description="text", price=Decimal("1.00"), active=False)
    put("A-1", None, fields=("price",), price=Decimal("2.00"))
    product = Product.objects.get()
    assert (product.name, product.description, product.active) == ("Lamp", "text", False)
    assert product.price == Decimal("2.00")


def test_a_new_product_without_a_name_comes_back() -> None:
    result = put("A-1", None, fields=("price",))
    assert [line for line, _ in result.nameless] == [1]
    assert result.created == 0
    assert not Product.objects.exists()


@pytest.mark.parametrize(("create", "update"), [(True, False), (False, True)])
def test_what_a_mode_leaves_out_is_skipped(
    make_product: Callable[..., Product], create: bool, update: bool
) -> None:
    make_product("OLD", "Before")
    old = put("OLD", "After", may_create=create, may_update=update)
    new = put("NEW", "After", may_create=create, may_update=update)
    assert (old.updated, old.skipped) == ((0, 1) if create else (1, 0))
    assert (new.created, new.skipped) == ((1, 0) if create else (0, 1))


@contextmanager
def put_beside(change_set: ChangeSet) -> Iterator[list[BaseException]]:
    """Do something in a transaction that an upsert of A-1 waits for; what the upsert raised."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            put("A-1", "From the file", change_set=change_set)
        except ConcurrentEdit as error:
            caught.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        yield caught
        thread.start()
        _wait_until_somebody_waits()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_an_edit_between_comparing_and_writing_is_noticed(
    make_product: Callable[..., Product],
) -> None:
    """The upsert waits for the edit's row lock, and then must not overwrite what it never saw."""
    product = make_product("A-1", "Before")
    change_set = ChangeSet.objects.create(kind="import")
    with put_beside(change_set) as caught:
        Product.objects.filter(pk=product.pk).update(name="Edited", version=2)
    assert len(caught) == 1
    product.refresh_from_db()
    assert product.name == "Edited"
    assert not Change.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_product_that_somebody_makes_where_nothing_was_stored_is_noticed() -> None:
    """The upsert of an empty range waits for whoever makes one of its SKUs; then it compares."""
    change_set = ChangeSet.objects.create(kind="import")
    with put_beside(change_set) as caught:
        made = Product.objects.create(sku="a-1", name="By hand")
    assert len(caught) == 1
    assert put("A-1", "From the file", change_set=change_set).updated == 1
    product = Product.objects.get()
    assert (product.pk, product.sku, product.name) == (made.pk, "A-1", "From the file")
    assert Change.objects.get().old_name == "By hand"


@pytest.mark.parametrize("values", [{"name": ""}, {"price": Decimal("-0.01")}])
def test_what_the_database_refuses_for_another_reason_is_no_edit(values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        put("A-1", **values)


# In this database; other processes of the test run have their own on the same server.
_WAITING = """
SELECT count(*) FROM pg_locks AS waiting WHERE NOT granted AND EXISTS (
    SELECT FROM pg_locks AS held JOIN pg_database AS own ON own.oid = held.database
    WHERE held.pid = waiting.pid AND own.datname = current_database()
)
"""


def _wait_until_somebody_waits() -> None:
    from conftest import wait_for

    def waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            return bool(cursor.fetchone()[0])

    wait_for(waiting)


@pytest.mark.parametrize(
    "values",
    [
        {"sku": ""},
        {"name": ""},
        {"price": Decimal("-0.01")},
        {"description": "d" * 100_001},
    ],
)
def test_the_database_holds_the_rules_for_values(values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Product.objects.create(**{"sku": "A-1", "name": "Lamp", **values})


def test_an_sku_is_unique_without_regard_to_case(make_product: Callable[..., Product]) -> None:
    make_product("a-é")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_product("A-É")
