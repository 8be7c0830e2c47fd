import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import imports.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('imports', '0012_full_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('needs_review', 'An import waits for review'), ('unusual', 'An import looks unusual, and waits'), ('needs_matching', 'An import waits for its columns to be matched'), ('failed', 'An import failed'), ('nothing_imported', 'An import ended, and all was refused'), ('overdue', 'A feed is overdue'), ('feed_failed', 'A feed could not be fetched'), ('test', 'A test')], max_length=20)),
                ('title', models.CharField(help_text='one line', max_length=200)),
                ('sentence', models.TextField(blank=True, default='', help_text='why')),
                ('link', models.CharField(help_text='a path of the site', max_length=300)),
                ('counts', models.JSONField(default=dict, help_text='of records, by what becomes of them')),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('job', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='imports.importjob')),
                ('supplier', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='imports.supplier')),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='NoticeRecipient',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, default='', max_length=100)),
                ('token', models.TextField(blank=True, default='')),
                ('shown', models.CharField(blank=True, default='', max_length=300)),
                ('kinds', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=imports.models.every_kind, size=None)),
                ('every_supplier', models.BooleanField(default=True, help_text='or those that are chosen')),
                ('own_only', models.BooleanField(default=True, help_text='of the own imports alone')),
                ('enabled', models.BooleanField(default=True, help_text='messages are sent')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('not_before', models.DateTimeField(default=django.utils.timezone.now)),
                ('leased_until', models.DateTimeField(blank=True, help_text='a worker sends, till then', null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0, help_text='that failed, one after the other')),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, default='', max_length=300)),
                ('suppliers', models.ManyToManyField(blank=True, related_name='+', to='imports.supplier')),
                ('user', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['id'],
                'default_permissions': ('change',),
            },
        ),
        migrations.CreateModel(
            name='NoticeDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('pending', 'Waits to be sent'), ('sent', 'Sent'), ('failed', 'Could not be sent'), ('shown', 'On the page only')], default='pending', max_length=10)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('notice', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='imports.notice')),
                ('recipient', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='imports.noticerecipient')),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': (),
            },
        ),
        migrations.AddConstraint(
            model_name='noticerecipient',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('name__gt', ''), ('user', None)), models.Q(('name', ''), ('user__isnull', False)), _connector='OR'), name='imports_notice_for_person_or_chat'),
        ),
        migrations.AddIndex(
            model_name='noticedelivery',
            index=models.Index(fields=['recipient', 'id'], name='imports_notice_of_recipient'),
        ),
        migrations.AddIndex(
            model_name='noticedelivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['recipient'], name='imports_notice_pending'),
        ),
        migrations.AddConstraint(
            model_name='noticedelivery',
            constraint=models.UniqueConstraint(fields=('notice', 'recipient'), name='imports_notice_once'),
        ),
    ]
