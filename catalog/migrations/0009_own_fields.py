"""Fields of one's own, and their values. The columns are empty and cost no rewrite."""

import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("catalog", "0008_person_settings"),
    ]

    operations = [
        migrations.CreateModel(
            name="Field",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=40, unique=True)),
                ("label", models.CharField(max_length=100)),
                ("type", models.CharField(choices=[("text", "Text"), ("long_text", "Long text"), ("integer", "Whole number"), ("decimal", "Decimal number"), ("money", "Money"), ("boolean", "Yes or no"), ("date", "Date"), ("choice", "One of a list"), ("choices", "Several of a list"), ("link", "Link"), ("image", "Link to an image"), ("gtin", "GTIN (EAN, UPC)")], max_length=10)),
                ("options", models.JSONField(blank=True, default=dict)),
                ("required", models.BooleanField(default=False)),
                ("unique", models.BooleanField(default=False)),
                ("help", models.CharField(blank=True, default="", max_length=255)),
                ("position", models.PositiveIntegerField(default=0)),
                ("in_list", models.BooleanField(default=True, help_text="shown in the list of products")),
                ("in_events", models.BooleanField(default=True, help_text="told by webhooks")),
                ("retired", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("cleared_in", models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="catalog.changeset")),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [models.UniqueConstraint(django.db.models.functions.text.Lower("label"), name="catalog_field_label_key")],
            },
        ),
        migrations.AddField(
            model_name="product",
            name="own_fields",
            field=models.JSONField(blank=True, default=None, null=True),
        ),
        migrations.AddField(
            model_name="change",
            name="old_own_fields",
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name="undoconflict",
            name="reason",
            field=models.CharField(choices=[("changed", "Changed since"), ("deleted", "Deleted since"), ("sku_taken", "Its SKU is in the catalogue again"), ("taken", "Another product has its value of a unique field")], max_length=10),
        ),
        migrations.RunSQL(
            "ALTER TABLE catalog_removedproduct ADD COLUMN own_fields jsonb",
            "ALTER TABLE catalog_removedproduct DROP COLUMN own_fields",
            state_operations=[
                migrations.AddField(
                    model_name="removedproduct",
                    name="own_fields",
                    field=models.JSONField(null=True),
                ),
            ],
        ),
    ]
