"""Budgets, and what an attempt costs."""

import django.db.models.deletion
import messaging.event_types
import messaging.policy.budgets
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0039_message_templates'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('country', models.CharField(blank=True, max_length=2)),
                ('period', models.CharField(choices=[(messaging.policy.budgets.BudgetPeriod['DAY'], messaging.policy.budgets.BudgetPeriod['DAY']), (messaging.policy.budgets.BudgetPeriod['MONTH'], messaging.policy.budgets.BudgetPeriod['MONTH'])], max_length=5)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('limit_units', models.BigIntegerField()),
                ('warned_for', models.DateField(editable=False, null=True)),
                ('created_at', models.DateTimeField(editable=False)),
                ('updated_at', models.DateTimeField(editable=False)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='BudgetCharge',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('message_id', models.UUIDField()),
                ('budget_id', models.UUIDField()),
                ('period_start', models.DateField()),
                ('number', models.PositiveSmallIntegerField()),
                ('amount', models.BigIntegerField()),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('is_kept', models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name='BudgetSlot',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('period_start', models.DateField()),
                ('number', models.PositiveSmallIntegerField()),
                ('granted', models.BigIntegerField(default=0)),
                ('used', models.BigIntegerField(default=0)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='clientevent',
            name='clientevent_type_word',
        ),
        migrations.AddField(
            model_name='deliveryattempt',
            name='currency',
            field=models.CharField(blank=True, db_default='', default='', max_length=3),
        ),
        migrations.AddField(
            model_name='deliveryattempt',
            name='price',
            field=models.DecimalField(decimal_places=6, max_digits=16, null=True),
        ),
        migrations.AddField(
            model_name='deliveryattempt',
            name='price_source',
            field=models.CharField(blank=True, db_default='', default='', max_length=10),
        ),
        migrations.AlterField(
            model_name='clientevent',
            name='type',
            field=models.CharField(choices=[(messaging.event_types.EventType['MESSAGE_SENT'], messaging.event_types.EventType['MESSAGE_SENT']), (messaging.event_types.EventType['MESSAGE_DELIVERED'], messaging.event_types.EventType['MESSAGE_DELIVERED']), (messaging.event_types.EventType['MESSAGE_UNDELIVERED'], messaging.event_types.EventType['MESSAGE_UNDELIVERED']), (messaging.event_types.EventType['MESSAGE_FAILED'], messaging.event_types.EventType['MESSAGE_FAILED']), (messaging.event_types.EventType['MESSAGE_UNKNOWN'], messaging.event_types.EventType['MESSAGE_UNKNOWN']), (messaging.event_types.EventType['MESSAGE_CANCELED'], messaging.event_types.EventType['MESSAGE_CANCELED']), (messaging.event_types.EventType['MESSAGE_RECEIVED'], messaging.event_types.EventType['MESSAGE_RECEIVED']), (messaging.event_types.EventType['SCHEDULE_COMPLETED'], messaging.event_types.EventType['SCHEDULE_COMPLETED']), (messaging.event_types.EventType['BUDGET_WARNING'], messaging.event_types.EventType['BUDGET_WARNING'])], max_length=32),
        ),
        migrations.AddConstraint(
            model_name='clientevent',
            constraint=models.CheckConstraint(condition=models.Q(('type__in', [messaging.event_types.EventType['BUDGET_WARNING'], messaging.event_types.EventType['MESSAGE_CANCELED'], messaging.event_types.EventType['MESSAGE_DELIVERED'], messaging.event_types.EventType['MESSAGE_FAILED'], messaging.event_types.EventType['MESSAGE_RECEIVED'], messaging.event_types.EventType['MESSAGE_SENT'], messaging.event_types.EventType['MESSAGE_UNDELIVERED'], messaging.event_types.EventType['MESSAGE_UNKNOWN'], messaging.event_types.EventType['SCHEDULE_COMPLETED']])), name='clientevent_type_word'),
        ),
        migrations.AddField(
            model_name='budget',
            name='owner',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='budgets', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='budgetcharge',
            index=models.Index(fields=['message_id'], name='budget_charge_of_message'),
        ),
        migrations.AddField(
            model_name='budgetslot',
            name='budget',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='slots', to='messaging.budget'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.UniqueConstraint(fields=('owner', 'country', 'period', 'currency'), name='budget_once', violation_error_message='There is a budget of this owner, country, period and currency already.'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('limit_units__gte', 0)), name='budget_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('period__in', [messaging.policy.budgets.BudgetPeriod['DAY'], messaging.policy.budgets.BudgetPeriod['MONTH']])), name='budget_period_word'),
        ),
        migrations.AddConstraint(
            model_name='budgetslot',
            constraint=models.UniqueConstraint(fields=('budget', 'period_start', 'number'), name='budget_slot_once'),
        ),
        migrations.CreateModel(
            name='CostJournal',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('costs', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='CostTotal',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('owner_id', models.BigIntegerField()),
                ('account', models.CharField(blank=True, max_length=40)),
                ('country', models.CharField(blank=True, max_length=3)),
                ('category', models.CharField(max_length=13)),
                ('template', models.CharField(blank=True, max_length=36)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('attempts', models.BigIntegerField()),
                ('segments', models.BigIntegerField()),
                ('units', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('day', 'owner_id', 'account', 'country', 'category', 'template', 'currency'), name='cost_total_once')],
            },
        ),
    ]
