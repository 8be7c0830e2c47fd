"""Webhooks are the manager's: whoever sees an endpoint sees where the catalogue's events go."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

MANAGER = (
    "webhooks.view_endpoint",
    "webhooks.add_endpoint",
    "webhooks.change_endpoint",
    "webhooks.delete_endpoint",
)


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0001_roles"),
        ("webhooks", "0003_endpoints_and_deliveries"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
