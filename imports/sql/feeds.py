"""The lock of the feeds."""

from django.db.backends.utils import CursorWrapper

from product_importer.common.locks import AdvisoryLock


def lock_feeds(cursor: CursorWrapper) -> None:
    """Let no other worker take runs before the end of the transaction."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.FEEDS])
