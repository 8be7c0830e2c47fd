"""Raw SQL of what is done to many products at once, but for the upsert."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db.backends.utils import CursorWrapper

from catalog.sql.upsert import ConcurrentEdit

PRODUCT_COLUMNS = (
    "id, sku, name, description, price, active, own_fields, version, created_at, updated_at, "
    "created_in_id, changed_in_id"
)
_KEEP = f"""
INSERT INTO catalog_removedproduct (change_set_id, {PRODUCT_COLUMNS})
SELECT %s, {PRODUCT_COLUMNS} FROM catalog_product WHERE {{where}}
"""
_DELETE = "DELETE FROM catalog_product WHERE {where}"
# Every edit commits a change set, so one that came in between shows here.
_EDITS = "SELECT count(*) FROM catalog_changeset WHERE id > %s - 10000"


def delete_products(
    cursor: CursorWrapper,
    *,
    where: str,
    params: tuple[Any, ...],
    change_set_id: int,
    tell: Callable[[], None] = lambda: None,
) -> int:
    """Delete what ``where`` (a condition on ``catalog_product``) holds for, and keep it whole.

    Returns how many products are gone. Run inside a transaction. Two statements, because
    passing the rows from one to the other takes longer than to read them twice; raises
    ``ConcurrentEdit`` when somebody edited a product meanwhile: the caller rolls back and
    runs it again. ``tell`` is called while the products can still be found.
    """
    cursor.execute(_EDITS, [change_set_id])
    edits = cursor.fetchone()
    tell()
    cursor.execute(_KEEP.format(where=where), [change_set_id, *params])
    kept = cursor.rowcount
    cursor.execute(_DELETE.format(where=where), params)
    gone = int(cursor.rowcount)
    cursor.execute(_EDITS, [change_set_id])
    if gone != kept or cursor.fetchone() != edits:
        raise ConcurrentEdit
    return gone


_SET_ACTIVE = """
WITH chosen AS MATERIALIZED (
    SELECT id, version, changed_in_id, updated_at FROM catalog_product
    WHERE {where} AND active <> %s FOR UPDATE
), written AS (
    UPDATE catalog_product AS product
    SET active = %s, version = product.version + 1, updated_at = now(), changed_in_id = %s
    -- As an array, which leaves one plan: a join went through all that are chosen for every
    -- product where the catalogue was cleared and analyzed before it came back.
    WHERE product.id = ANY (ARRAY(SELECT id FROM chosen))
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields, old_active,
        old_version, old_changed_in, old_updated_at
    )
    SELECT %s, id, 16, NOT %s, version, changed_in_id, updated_at FROM chosen
)
SELECT count(*) FROM chosen
"""


def set_active(
    cursor: CursorWrapper,
    *,
    where: str,
    params: tuple[Any, ...],
    active: bool,
    change_set_id: int,
) -> int:
    """Activate or deactivate what ``where`` holds for and is not so yet, with the values before.

    Returns how many products changed. Run inside a transaction.
    """
    cursor.execute(
        _SET_ACTIVE.format(where=where),
        [*params, active, active, change_set_id, change_set_id, active],
    )
    return int(cursor.fetchone()[0])


# The new price, from the old one: a fixed one, or a percentage more; rounded to a step, half up.
# Both take the value and twice the step.
_NEW_PRICE = {
    "set": "round(%s::numeric / %s) * %s",
    "percent": "round(price * (100 + %s::numeric) / 100 / %s) * %s",
}
# Prices that would not fit are left as they are. By an array, as in _SET_ACTIVE.
_SET_PRICE = """
WITH chosen AS MATERIALIZED (
    SELECT id, price, version, changed_in_id, updated_at, {new_price} AS new_price
    FROM catalog_product WHERE {where} FOR UPDATE
), differing AS MATERIALIZED (
    SELECT * FROM chosen
    WHERE new_price IS DISTINCT FROM price AND new_price >= 0 AND new_price < 10000000000
), written AS (
    UPDATE catalog_product AS product
    SET price = {new_price}, version = product.version + 1, updated_at = now(), changed_in_id = %s
    WHERE product.id = ANY (ARRAY(SELECT id FROM differing))
), recorded AS (
    INSERT INTO catalog_change (
        change_set_id, product_id, fields, old_price,
        old_version, old_changed_in, old_updated_at
    )
    SELECT %s, id, 8, price, version, changed_in_id, updated_at FROM differing
)
SELECT count(*) FROM differing
"""


def set_price(
    cursor: CursorWrapper,
    *,
    where: str,
    params: tuple[Any, ...],
    change: dict[str, str],
    change_set_id: int,
) -> int:
    """Change the prices of what ``where`` holds for, with the values before.

    ``change`` has ``by`` (``set`` or ``percent``), ``value`` and ``round``, the step. A product
    without a price has none after a percentage. Returns how many products changed. Run inside a
    transaction.
    """
    step = Decimal(change["round"])
    figures = [Decimal(change["value"]), step, step]
    cursor.execute(
        _SET_PRICE.format(new_price=_NEW_PRICE[change["by"]], where=where),
        [*figures, *params, *figures, change_set_id, change_set_id],
    )
    return int(cursor.fetchone()[0])


# What a change set did in a range, for outsiders: id, sku and action of each product.
CHANGED_IN_KEYS = """
SELECT id, sku, CASE WHEN created_in_id = %(change_set)s
                     THEN 'created' ELSE 'updated' END AS action
FROM catalog_product
WHERE lower(sku) >= %(first_key)s AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
  AND changed_in_id = %(change_set)s
"""
CHANGED_IN_IDS = """
SELECT id, sku, 'updated' AS action FROM catalog_product
WHERE id BETWEEN %(first_id)s AND %(last_id)s AND changed_in_id = %(change_set)s
"""
CHOSEN = "SELECT id, sku, 'deleted' AS action FROM catalog_product WHERE {where}"


def catalogue_state(cursor: CursorWrapper) -> str:
    """A text that is another one after every write to products: all of them are change sets.

    How many there are of the last numbers, as one may be given before another and come after it.
    """
    cursor.execute(
        "SELECT (SELECT max(id) FROM catalog_changeset),"
        " (SELECT count(*) FROM catalog_changeset"
        "  WHERE id > (SELECT max(id) FROM catalog_changeset) - 1000),"
        " (SELECT max(finished_at) FROM catalog_changeset),"
        " (SELECT (id, created, updated, deleted)::text FROM catalog_changeset"
        "  WHERE status = 'applying')"
    )
    return str(cursor.fetchone())
