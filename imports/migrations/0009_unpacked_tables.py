import imports.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('imports', '0008_suppliers_and_formats'),
    ]

    operations = [
        migrations.AddField(
            model_name='importjob',
            name='table',
            field=models.FileField(blank=True, db_default='', default='', help_text='the table that was unpacked; blank for a file that is read as it is', max_length=255, storage=imports.models.uploads, upload_to=imports.models.table_path),
        ),
        migrations.AddField(
            model_name='importjob',
            name='table_size',
            field=models.BigIntegerField(db_default=0, default=0, help_text='bytes'),
        ),
        migrations.AddField(
            model_name='importjob',
            name='unpacked',
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
    ]
