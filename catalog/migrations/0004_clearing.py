from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0003_undo'),
    ]

    operations = [
        migrations.AddField(
            model_name='changeset',
            name='cleared_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='changeset',
            name='expired_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='changeset',
            index=models.Index(condition=models.Q(('cleared_at', None)), fields=['finished_at'], name='catalog_changeset_uncleared'),
        ),
    ]
