"""What is usual for a supplier, and whether a second person has to look, managers decide."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

MANAGER = ("imports.change_supplier",)


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0008_feed_roles"),
        ("imports", "0012_full_lists"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
