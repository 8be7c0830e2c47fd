"""What is read of the catalogue, on tables that are large."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog.models import ChangeSet, Product
from catalog.operations.products import update_product
from catalog.queries.filters import filtered_products
from catalog.queries.products import CHANGES_PAGE, change_set_entries, count_products

pytestmark = pytest.mark.django_db

OTHER_CHANGES = """
INSERT INTO catalog_change (
    change_set_id, product_id, fields, old_name, old_version, old_updated_at
)
SELECT %s, n, 1, 'Before', 1, now() FROM generate_series(1, 20000) AS n
"""


def test_the_updates_of_a_change_set_are_not_looked_for_among_all_changes() -> None:
    """In the order of their numbers that would be quick for the first change set only."""
    sets = [ChangeSet.objects.create(kind=ChangeSet.Kind.BULK_EDIT) for _ in range(3)]
    with connection.cursor() as cursor:
        for change_set in sets:
            cursor.execute(OTHER_CHANGES, [change_set.pk])
        cursor.execute("ANALYZE catalog_change")
        with CaptureQueriesContext(connection) as seen:
            found = change_set_entries(sets[-1], action="updated", page=2)
        numbers = [entry.product_id for entry in found.entries]
        assert numbers == list(range(CHANGES_PAGE + 1, 2 * CHANGES_PAGE + 1))
        [statement] = [
            query["sql"] for query in seen if '"catalog_change"."change_set_id" =' in query["sql"]
        ]
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "catalog_change_pkey" not in plan


@pytest.mark.django_db(transaction=True)
def test_a_count_is_as_of_the_last_commit_though_its_number_is_lower(
    make_product: Callable[..., Product],
) -> None:
    first, second = make_product("A-1", "Lamp"), make_product("A-2", "Lamp")
    wrote, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        try:
            with transaction.atomic():
                update_product(product_id=first.pk, actor=None, data={"name": "Chair"})
                wrote.set()
                may_commit.wait(120)
        finally:
            connection.close()

    thread = threading.Thread(target=late)
    thread.start()
    assert wrote.wait(120)
    update_product(product_id=second.pk, actor=None, data={"name": "Chair"})
    lamps = filtered_products({"q": "lamp"})
    assert count_products(lamps) == 1
    may_commit.set()
    thread.join()
    assert count_products(lamps) == 0
