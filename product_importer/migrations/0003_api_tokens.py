"""A name, a scope and the last use for each API token; tokens that exist keep what they may do."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def name_tokens(apps: Any, schema_editor: Any) -> None:
    tokens = apps.get_model("knox", "AuthToken").objects.all()
    made = apps.get_model("product_importer", "ApiToken")
    made.objects.bulk_create(made(token=token, name="Without a name") for token in tokens)


class Migration(migrations.Migration):
    dependencies = [
        ("product_importer", "0002_webhook_roles"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "scope",
                    models.CharField(
                        choices=[("read", "Read only"), ("write", "Read and write")],
                        default="write",
                        max_length=10,
                    ),
                ),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "token",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_token",
                        to="knox.authtoken",
                    ),
                ),
            ],
            options={"verbose_name": "API token"},
        ),
        migrations.RunPython(name_tokens, migrations.RunPython.noop),
    ]
