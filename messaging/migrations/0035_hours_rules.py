"""Rules of the hours in which texts may be sent, and the indexes of messages that wait for them."""

import messaging.states
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0034_categories'),
        ('providers', '0006_smpp_binds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HoursRevision',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('changed_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='HoursRule',
            fields=[
                ('id', models.SlugField(max_length=40, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('countries', models.JSONField(blank=True, default=list)),
                ('prefixes', models.JSONField(blank=True, default=list)),
                ('categories', models.JSONField()),
                ('hours', models.JSONField()),
                ('holidays', models.CharField(blank=True, max_length=13)),
                ('effective_from', models.DateField(blank=True, null=True)),
                ('effective_until', models.DateField(blank=True, null=True)),
                ('source', models.CharField(blank=True, max_length=200)),
                ('is_shipped', models.BooleanField(default=False, editable=False)),
                ('is_enabled', models.BooleanField(default=True)),
                ('changed_at', models.DateTimeField(editable=False)),
            ],
            options={
                'verbose_name': 'rule of hours',
                'verbose_name_plural': 'rules of hours',
                'ordering': ['id'],
            },
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('error_code', 'outside_hours'), ('next_attempt_at__isnull', False), ('status', messaging.states.Status['QUEUED'])), fields=['updated_at'], name='message_held_judged'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('error_code', 'outside_hours'), ('next_attempt_at__isnull', False), ('status', messaging.states.Status['QUEUED'])), fields=['next_attempt_at', 'error_detail'], name='message_held_until'),
        ),
        migrations.AddConstraint(
            model_name='hoursrevision',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='hours_revision_only_one'),
        ),
        migrations.AddConstraint(
            model_name='hoursrule',
            constraint=models.CheckConstraint(condition=models.Q(('effective_from__isnull', True), ('effective_until__isnull', True), ('effective_until__gte', models.F('effective_from')), _connector='OR'), name='hours_rule_dates_in_order', violation_error_message='The last day comes before the first.'),
        ),
    ]
