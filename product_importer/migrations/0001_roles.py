"""The three roles: viewer, editor, manager."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

VIEWER = ("catalog.view_product", "catalog.view_changeset", "imports.view_importjob")
EDITOR = (
    *VIEWER,
    "imports.add_importjob",
    "catalog.add_product",
    "catalog.change_product",
    "catalog.delete_product",
    "catalog.export_product",
    "catalog.undo_changeset",
)
MANAGER = (*EDITOR, "catalog.bulk_delete_product", "catalog.undo_others_changeset")


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "viewer", VIEWER)
    grant(apps, "editor", EDITOR)
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("catalog", "0002_products_are_edited"),
        ("imports", "0001_initial"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
