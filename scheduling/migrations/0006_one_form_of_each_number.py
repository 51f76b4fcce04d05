"""Gives recipients and senders the one form that numbers are read in now, as `messaging` does for opt-outs."""

from django.db import migrations
from django.db.models import Exists, F, OuterRef, Value
from django.db.models.functions import Concat, Right

FORMS = [(r'^\+54[123][0-9]{9}$', '+549'), (r'^\+521[0-9]{10}$', '+52')]
LOCAL_DIGITS = 10


def forwards(apps, schema_editor):
    Schedule = apps.get_model('scheduling', 'Schedule')
    ScheduleRecipient = apps.get_model('scheduling', 'ScheduleRecipient')
    for pattern, prefix in FORMS:
        canonical = Concat(Value(prefix), Right('number', LOCAL_DIGITS))
        rows = ScheduleRecipient.objects.order_by().filter(number__regex=pattern)
        listed = ScheduleRecipient.objects.filter(schedule=OuterRef('schedule'), number=OuterRef('canonical'))
        repeated = rows.annotate(canonical=canonical).filter(Exists(listed)).values_list('pk', 'schedule')
        for pk, schedule in list(repeated):
            ScheduleRecipient.objects.filter(pk=pk).delete()
            Schedule.objects.filter(pk=schedule).update(recipient_count=F('recipient_count') - 1)
        rows.update(number=canonical)
        senders = Schedule.objects.order_by().filter(from_number__regex=pattern)
        senders.update(from_number=Concat(Value(prefix), Right('from_number', LOCAL_DIGITS)))


class Migration(migrations.Migration):

    dependencies = [
        ('scheduling', '0005_zone_release'),
    ]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
