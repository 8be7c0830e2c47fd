from django.db import migrations, models


class Migration(migrations.Migration):
    """A further reason; the table stays as it is."""

    dependencies = [("catalog", "0012_who_brought_it_in")]

    operations = [
        migrations.AlterField(
            model_name="undoconflict",
            name="reason",
            field=models.CharField(
                choices=[
                    ("changed", "Changed since"),
                    ("deleted", "Deleted since"),
                    ("sku_taken", "Its SKU is in the catalogue again"),
                    ("taken", "Another product has its value of a unique field"),
                    ("too_long", "Its value is too long for a field that is unique now"),
                ],
                max_length=10,
            ),
        ),
    ]
