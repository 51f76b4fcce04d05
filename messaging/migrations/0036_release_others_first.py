"""Index of deferred messages that are not held by hours, which are released before those that are."""

import messaging.states
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0035_hours_rules'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('next_attempt_at__isnull', False), ('status__in', [messaging.states.Status['QUEUED'], messaging.states.Status['SCHEDULED']]), models.Q(('error_code', 'outside_hours'), _negated=True)), fields=['next_attempt_at'], name='message_deferred_not_held'),
        ),
    ]
