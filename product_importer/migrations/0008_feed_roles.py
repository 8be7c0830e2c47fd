"""Feeds: viewers see them, editors may run them, managers say where they fetch from."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

VIEWER = ("imports.view_feed",)
EDITOR = (*VIEWER, "imports.run_feed")
MANAGER = (*EDITOR, "imports.add_feed", "imports.change_feed", "imports.delete_feed")


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "viewer", VIEWER)
    grant(apps, "editor", EDITOR)
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0007_export_format_roles"),
        ("imports", "0011_feeds"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
