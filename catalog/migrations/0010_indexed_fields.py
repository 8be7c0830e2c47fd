from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("catalog", "0009_own_fields"),
    ]

    operations = [
        migrations.AddField(
            model_name="field",
            name="indexed",
            field=models.BooleanField(db_default=False, default=False, help_text="found and sorted by an index of its own"),
        ),
    ]
