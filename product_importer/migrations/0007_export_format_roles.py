"""Export formats are made by managers; whoever exports uses them."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

MANAGER = (
    "catalog.view_exportformat",
    "catalog.add_exportformat",
    "catalog.change_exportformat",
    "catalog.delete_exportformat",
)


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0005_field_roles"),
        ("catalog", "0011_export_formats"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
