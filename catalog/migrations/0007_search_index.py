import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0006_shared_change_sets'),
    ]

    operations = [
        migrations.CreateModel(
            name='BroughtBack',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first_id', models.BigIntegerField()),
                ('last_id', models.BigIntegerField()),
                ('made_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='SearchEntry',
            fields=[
                ('product_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('text', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='SearchIndex',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('product', models.BigIntegerField()),
                ('change', models.BigIntegerField()),
                ('brought_back', models.BigIntegerField()),
                ('every_letter', models.BooleanField(help_text='false: only ASCII letters have trigrams')),
                ('begun_at', models.DateTimeField()),
                ('moved_at', models.DateTimeField(null=True)),
                ('caught_up_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name_plural': 'search index',
            },
        ),
        # Both at once, or neither: what is covered is only true of the entries that are there.
        migrations.RunSQL(
            """
            ALTER TABLE catalog_searchentry SET UNLOGGED;
            ALTER TABLE catalog_searchindex SET UNLOGGED;
            """,
            migrations.RunSQL.noop,
        ),
        # What `manage.py search_indexes` built, which every import has paid for.
        migrations.RunSQL(
            """
            DROP INDEX IF EXISTS catalog_product_sku_trigrams;
            DROP INDEX IF EXISTS catalog_product_name_trigrams;
            DROP INDEX IF EXISTS catalog_product_description_trigrams;
            DROP INDEX IF EXISTS catalog_product_by_name;
            """,
            migrations.RunSQL.noop,
        ),
    ]
