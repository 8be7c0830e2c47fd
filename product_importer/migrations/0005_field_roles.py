"""The catalogue's own fields are defined by managers; whoever sees products sees them."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

MANAGER = ("catalog.view_field", "catalog.add_field", "catalog.change_field", "catalog.delete_field")


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0003_api_tokens"),
        ("catalog", "0009_own_fields"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
