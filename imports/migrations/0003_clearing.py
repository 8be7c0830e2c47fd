from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('imports', '0002_review'),
    ]

    operations = [
        migrations.AddField(
            model_name='importjob',
            name='details_cleared_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='importjob',
            name='details_expired_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
