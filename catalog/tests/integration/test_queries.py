"""What is read of the catalogue, on tables that are large."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import ChangeSet
from catalog.queries.products import CHANGES_PAGE, change_set_entries

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
