"""Checks of the deployment, run by ``manage.py check --deploy``."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections


@register(Tags.files, deploy=True)
def uploads_are_shared(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A worker must be able to read what the web process stored."""
    if settings.UPLOADS_BUCKET or settings.SHARED_DISK:
        return []
    return [
        Error(
            "Uploads go to a local folder, but the processes of this platform share no disk.",
            hint="Set UPLOADS_BUCKET (and the AWS_* variables), so that uploads go to S3. If the "
            "processes do share a disk, set SHARED_DISK=true.",
            id="product_importer.E001",
        )
    ]


@register(Tags.database)
def database_fits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """PostgreSQL 15 or later, and one that folds more than ASCII."""
    if DEFAULT_DB_ALIAS not in (kwargs.get("databases") or []):
        return []
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, lower('É')")
        version, folded = cursor.fetchone()
    found: list[CheckMessage] = []
    if version < 150_000:
        found.append(
            Error(
                f"PostgreSQL {version // 10_000} is too old.",
                hint="Use PostgreSQL 15 or later.",
                id="product_importer.E002",
            )
        )
    if folded != "é":
        found.append(
            Warning(
                "This database's locale folds ASCII only: “É-1” and “é-1” are two SKUs in it.",
                hint="Create the database with a UTF-8 locale, such as C.UTF-8.",
                id="product_importer.W001",
            )
        )
    return found
