import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('catalog', '0007_search_index'),
    ]

    operations = [
        migrations.CreateModel(
            name='PersonSettings',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('columns', models.JSONField(blank=True, default=list)),
                ('page_size', models.PositiveSmallIntegerField(default=50)),
                ('views', models.JSONField(blank=True, default=list)),
                ('keys', models.BooleanField(default=True, help_text='single keys do something on the pages')),
            ],
            options={
                'default_permissions': (),
            },
        ),
    ]
