"""Renames the permission `view_body`, which groups and users keep, and the task in the beat's rows of paced queues."""

from django.db import migrations

PERMISSION = ('view_body', 'view_text')
TASK = ('messaging.drain_tick', 'messaging.paced_tick')


def _rename(apps, permission, task):
    Permission = apps.get_model('auth', 'Permission')
    Permission.objects.filter(content_type__app_label='messaging', codename=permission[0]).update(codename=permission[1])
    PeriodicTask = apps.get_model('django_celery_beat', 'PeriodicTask')
    PeriodicTask.objects.filter(task=task[0]).update(task=task[1])


def forwards(apps, schema_editor):
    _rename(apps, PERMISSION, TASK)


def backwards(apps, schema_editor):
    _rename(apps, PERMISSION[::-1], TASK[::-1])


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        ('messaging', '0018_pending_reply'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='message',
            options={'ordering': ['-id'], 'permissions': [('retry_message', 'Can put an ended message back into its queue'), ('resolve_message', 'Can say what became of an unknown message'), ('view_text', 'Can read the texts of messages')]},
        ),
        migrations.RunPython(forwards, backwards),
    ]
