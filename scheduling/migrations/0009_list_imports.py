"""Lists that staff check before they save them."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('scheduling', '0008_left_out_and_added_dates'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ListImport',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField()),
                ('decided_at', models.DateTimeField(null=True)),
                ('file_name', models.CharField(blank=True, max_length=100)),
                ('mapping', models.JSONField()),
                ('row_offset', models.PositiveSmallIntegerField(default=0)),
                ('taken', models.PositiveIntegerField(default=0)),
                ('duplicates', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
                ('refusals', models.JSONField(default=list)),
                ('problem', models.CharField(blank=True, max_length=300)),
                ('status', models.CharField(choices=[('checked', 'waiting to be saved'), ('saved', 'saved'), ('discarded', 'discarded')], default='checked', max_length=10)),
                ('activates', models.BooleanField(default=False)),
                ('saving_until', models.DateTimeField(null=True)),
                ('actor', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('schedule', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='imports', to='scheduling.schedule')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['schedule', 'id'], name='list_import_of_schedule'), models.Index(condition=models.Q(('status', 'checked')), fields=['created_at'], name='list_import_waiting'), models.Index(condition=models.Q(('file_name', ''), _negated=True), fields=['created_at'], name='list_import_named')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['checked', 'saved', 'discarded'])), name='list_import_status_word'), models.CheckConstraint(condition=models.Q(('saving_until__isnull', True), ('status', 'checked'), _connector='OR'), name='list_import_saving_is_checked')],
            },
        ),
    ]
