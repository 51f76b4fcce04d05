"""Categories of messages, and the order of a queue by priority. Unsent bulk messages keep their place behind the others."""

import messaging.categories
import messaging.states
from django.conf import settings
from django.db import migrations, models


BULK = 2


def keep_bulk_behind(apps, schema_editor):
    message = apps.get_model("messaging", "Message")
    message.objects.filter(is_bulk=True, status__in=["scheduled", "queued", "sending"]).update(priority=BULK)


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0033_attachment_errors'),
        ('providers', '0006_smpp_binds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='message',
            options={'ordering': ['-id'], 'permissions': [('retry_message', 'Can put an ended message back into its queue'), ('resolve_message', 'Can say what became of an unknown message'), ('view_text', 'Can read the texts of messages'), ('send_emergency', 'Can send emergency messages, at any hour')]},
        ),
        migrations.RemoveIndex(
            model_name='message',
            name='message_ready',
        ),
        migrations.AddField(
            model_name='message',
            name='category',
            field=models.CharField(choices=[(messaging.categories.Category['TRANSACTIONAL'], messaging.categories.Category['TRANSACTIONAL']), (messaging.categories.Category['OTP'], messaging.categories.Category['OTP']), (messaging.categories.Category['MARKETING'], messaging.categories.Category['MARKETING']), (messaging.categories.Category['EMERGENCY'], messaging.categories.Category['EMERGENCY'])], db_default='transactional', default=messaging.categories.Category['TRANSACTIONAL'], max_length=13),
        ),
        migrations.AddField(
            model_name='message',
            name='parameters',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='priority',
            field=models.PositiveSmallIntegerField(db_default=1, default=1),
        ),
        migrations.RunPython(keep_bulk_behind, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('next_attempt_at__isnull', True), ('status', messaging.states.Status['QUEUED'])), fields=['queue', 'priority', 'id'], name='message_ready'),
        ),
        migrations.AddConstraint(
            model_name='message',
            constraint=models.CheckConstraint(condition=models.Q(('category__in', ['transactional', 'otp', 'marketing', 'emergency'])), name='message_category_known'),
        ),
    ]
