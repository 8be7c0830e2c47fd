from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('imports', '0006_who_cancelled_and_retried'),
    ]

    operations = [
        migrations.AddField(
            model_name='importchunk',
            name='refused_lines',
            field=models.JSONField(help_text='of the records it refused that are not kept as row errors', null=True),
        ),
    ]
