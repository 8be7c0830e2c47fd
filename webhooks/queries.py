"""What pages, API and probes read of the webhooks."""

from django.db import connection
from django.utils import timezone

from webhooks import sql


def oldest_due_seconds() -> float:
    """Seconds for which the longest waiting delivery has been due; 0 where none is."""
    now = timezone.now()
    with connection.cursor() as cursor:
        since = sql.oldest_due(cursor, now=now)
    return round((now - since).total_seconds(), 1) if since else 0.0
