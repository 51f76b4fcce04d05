"""Deletes the beat's rows of three tasks that `messaging.tick` now requests when there is something to do."""

from django.db import migrations

ROWS = [
    ('callbacks', 'messaging.deliver'),
    ('inbound_media', 'messaging.fetch_inbound_media'),
    ('schedules', 'scheduling.tick'),
]


def forwards(apps, schema_editor):
    PeriodicTask = apps.get_model('django_celery_beat', 'PeriodicTask')
    for name, task in ROWS:
        PeriodicTask.objects.filter(name=name, task=task).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        ('messaging', '0024_count_journal'),
    ]

    operations = [
        # A running beat reads the rows again only when a row is changed in the console. The beat of an older version creates
        # them again when it starts.
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
