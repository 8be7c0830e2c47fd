"""Managers say which chats are told of imports; everybody the own e-mails."""

from typing import Any

from django.db import migrations

from product_importer.accounts.roles import grant

MANAGER = ("imports.change_noticerecipient",)


def make_roles(apps: Any, schema_editor: Any) -> None:
    grant(apps, "manager", MANAGER)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0009_supplier_roles"),
        ("imports", "0013_notices"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
