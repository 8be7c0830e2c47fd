"""The indexes that fields of one's own ask for: built and dropped by workers, while others write.

A field that is ``indexed`` has one by what it is compared and sorted by, and texts one of their
trigrams, for what contains something (where PostgreSQL has pg_trgm). Filters and orders are right
without them, and only slower. Each build may be cut short at any point: what is left is dropped
and built anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, DatabaseError, Error, connection, connections
from structlog import get_logger

from catalog.models import Field
from catalog.operations.search_index import why_no_trigrams
from catalog.queries.own_fields.values import key_sql, text_sql
from catalog.sql import fields as sql
from product_importer.common.locks import AdvisoryLock

logger = get_logger(__name__)

KEEP = "catalog.keep_field_indexes"  # the name of the task (catalog/tasks.py)

# Texts that are asked for what they contain, and are long enough for it to be slow.
_CONTAINING = ("text", "long_text", "link", "image", "gtin")


def keep_field_indexes() -> None:
    """Have exactly the indexes that the fields in use ask for, unless another is at it."""
    if _are_right():
        return
    with _alone() as alone:
        # Another one may have built them since.
        if not alone or _are_right():
            return
        with connection.cursor() as cursor:
            there = sql.field_indexes(cursor)
            wanted = _wanted()
            if sql.is_building(cursor):
                return  # the release before, or a person
            for name in there:
                if name not in wanted or not there[name]:
                    sql.drop_index_concurrently(cursor, name)
        for name, columns in wanted.items():
            if not there.get(name):
                _build(name, columns)


def _are_right() -> bool:
    with connection.cursor() as cursor:
        there = sql.field_indexes(cursor)
    return all(there.values()) and set(there) == set(_wanted())


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether this worker is the only one at the indexes; it is then until the end.

    By a lock of a transaction (which a pooler leaves to us) on a connection that does nothing
    else: an index is built concurrently outside any. A transaction that has only taken a lock has
    no snapshot, for whose end the build would wait.
    """
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [AdvisoryLock.FIELD_INDEXES])
            alone = bool(cursor.fetchone()[0])
        yield alone
    finally:
        with suppress(Error):  # the connection is lost, and its lock with it
            own.rollback()
        own.close()


def _wanted() -> dict[str, str]:
    """The indexes by name, each with what it is of."""
    wanted: dict[str, str] = {}
    for field in Field.objects.filter(indexed=True, retired=False):
        definition = field.definition
        if definition.type != "long_text":
            wanted[sql.order_index(field.pk)] = f"(({key_sql(definition)}), id)"
        if definition.type in _CONTAINING and not why_no_trigrams():
            text = text_sql(definition)
            wanted[sql.part_index(field.pk)] = f"USING gin (upper({text}) gin_trgm_ops)"
    return wanted


def _build(name: str, columns: str) -> None:
    with connection.cursor() as cursor:
        try:
            sql.create_index_concurrently(cursor, name, columns)
        except DatabaseError as error:  # cut short, or another worker was faster
            logger.warning("field_index_failed", index=name, error=str(error))
            return
        sql.analyze_products(cursor)
    logger.info("field_index_built", index=name)
