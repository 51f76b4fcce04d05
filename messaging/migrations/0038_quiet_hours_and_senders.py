"""Quiet hours of owners and queues, the index of held messages by owner, and senders by country."""

import django.db.models.deletion
import messaging.states
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('messaging', '0037_templates_and_verifications'),
        ('providers', '0006_smpp_binds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CountrySenders',
            fields=[
                ('country', models.CharField(max_length=2, primary_key=True, serialize=False)),
                ('takes_numbers', models.BooleanField(default=True)),
                ('takes_short_codes', models.BooleanField(default=True)),
                ('takes_names', models.BooleanField(default=True)),
                ('source', models.CharField(blank=True, max_length=200)),
                ('is_enabled', models.BooleanField(default=True)),
            ],
            options={
                'verbose_name': 'country rule for senders',
                'verbose_name_plural': 'senders by country',
                'ordering': ['country'],
            },
        ),
        migrations.CreateModel(
            name='OwnerPolicy',
            fields=[
                ('quiet_from', models.TimeField(blank=True, null=True)),
                ('quiet_until', models.TimeField(blank=True, null=True)),
                ('owner', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='policy', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('default_time_zone', models.CharField(blank=True, max_length=64)),
                ('effective_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'verbose_name': 'owner policy',
                'verbose_name_plural': 'owner policies',
                'ordering': ['owner'],
            },
        ),
        migrations.AddField(
            model_name='outboundqueue',
            name='quiet_from',
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='outboundqueue',
            name='quiet_until',
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('error_code', 'outside_hours'), ('next_attempt_at__isnull', False), ('status', messaging.states.Status['QUEUED'])), fields=['owner', 'updated_at'], name='message_held_owner'),
        ),
        migrations.AddConstraint(
            model_name='outboundqueue',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('quiet_from__isnull', True), ('quiet_until__isnull', True)), models.Q(('quiet_from__isnull', False), ('quiet_until__isnull', False), models.Q(('quiet_from', models.F('quiet_until')), _negated=True)), _connector='OR'), name='queue_quiet_both_or_neither', violation_error_message='Set the beginning and the end of quiet hours, at different times, or neither.'),
        ),
        migrations.AddConstraint(
            model_name='countrysenders',
            constraint=models.CheckConstraint(condition=models.Q(('takes_numbers', True), ('takes_short_codes', True), ('takes_names', True), _connector='OR'), name='country_takes_a_sender', violation_error_message='A country takes at least one kind of sender.'),
        ),
        migrations.AddField(
            model_name='ownerpolicy',
            name='fallback_sender',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='providers.sendernumber'),
        ),
        migrations.AddIndex(
            model_name='ownerpolicy',
            index=models.Index(condition=models.Q(('effective_at__isnull', False)), fields=['effective_at'], name='owner_policy_changed'),
        ),
        migrations.AddConstraint(
            model_name='ownerpolicy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('quiet_from__isnull', True), ('quiet_until__isnull', True)), models.Q(('quiet_from__isnull', False), ('quiet_until__isnull', False), models.Q(('quiet_from', models.F('quiet_until')), _negated=True)), _connector='OR'), name='owner_quiet_both_or_neither', violation_error_message='Set the beginning and the end of quiet hours, at different times, or neither.'),
        ),
    ]
