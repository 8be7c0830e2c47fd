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
        migrations.CreateModel(
            name='SortEntry',
            fields=[
                ('product_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('price', models.DecimalField(decimal_places=2, max_digits=12)),
                ('active', models.BooleanField()),
                ('created_at', models.DateTimeField()),
                ('updated_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['name', 'product_id'], name='catalog_sortentry_name'), models.Index(fields=['price', 'product_id'], name='catalog_sortentry_price'), models.Index(fields=['active', 'product_id'], name='catalog_sortentry_active'), models.Index(fields=['created_at', 'product_id'], name='catalog_sortentry_created_at'), models.Index(fields=['updated_at', 'product_id'], name='catalog_sortentry_updated_at')],
            },
        ),
        # All at once, or none: what is covered is only true of the entries that are there.
        migrations.RunSQL(
            """
            ALTER TABLE catalog_searchentry SET UNLOGGED;
            ALTER TABLE catalog_sortentry SET UNLOGGED;
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
