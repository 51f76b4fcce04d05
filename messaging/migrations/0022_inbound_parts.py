import django.db.models.deletion
import messaging.models.encrypted
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0021_order_indexes'),
        ('providers', '0003_violations_in_words'),
    ]

    operations = [
        migrations.AlterField(
            model_name='message',
            name='to_number',
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.CreateModel(
            name='InboundPart',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('from_number', models.CharField(max_length=16)),
                ('to_number', models.CharField(blank=True, max_length=16)),
                ('reference', models.CharField(max_length=64)),
                ('count', models.PositiveSmallIntegerField()),
                ('number', models.PositiveSmallIntegerField()),
                ('group', models.UUIDField()),
                ('text', messaging.models.encrypted.EncryptedTextField(blank=True)),
                ('unabridged', messaging.models.encrypted.EncryptedJSONField(default=dict)),
                ('media_urls', models.JSONField(default=list)),
                ('media_left_out', models.PositiveIntegerField(default=0)),
                ('provider_message_id', models.CharField(blank=True, max_length=128)),
                ('provider_keyword', models.CharField(blank=True, max_length=8)),
                ('digest', models.CharField(max_length=64)),
                ('received_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('message', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='messaging.message')),
                ('provider', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='providers.provideraccount')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['from_number', 'reference'], name='inbound_part_sender'), models.Index(condition=models.Q(('message__isnull', True)), fields=['due_at'], name='inbound_part_due'), models.Index(condition=models.Q(('message__isnull', False)), fields=['message'], name='inbound_part_message')],
                'constraints': [models.UniqueConstraint(fields=('group', 'number'), name='inbound_part_once'), models.CheckConstraint(condition=models.Q(('number__gte', 1), ('number__lte', models.F('count'))), name='inbound_part_number_range')],
            },
        ),
    ]
