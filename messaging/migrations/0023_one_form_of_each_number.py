"""Gives stored numbers the one form that they are read in now, so that opt-outs go on matching: Argentina's get their 9, Mexico's
lose the 1. History keeps what it says; opt-outs, recipients, and messages that are not sent yet are changed.
"""

from django.db import migrations
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Concat, Right

# One after another: two of these forms can be of the same number.
FORMS = [
    (r'^\+54[123][0-9]{9}$', '+549'),
    (r'^\+521[0-9]{10}$', '+52'),
    (r'^521[0-9]{10}$', '+52'),  # a reply whose provider wrote no plus
]
LOCAL_DIGITS = 10
NOT_SENT = ['scheduled', 'queued', 'sending']


def rows_with_canonical(queryset, field, pattern, prefix):
    rows = queryset.order_by().filter(**{f'{field}__regex': pattern})
    return rows.annotate(canonical=canonical(field, prefix))


def canonical(field, prefix):
    return Concat(Value(prefix), Right(field, LOCAL_DIGITS))


def forwards(apps, schema_editor):
    Suppression = apps.get_model('messaging', 'Suppression')
    PhoneNumber = apps.get_model('messaging', 'PhoneNumber')
    Message = apps.get_model('messaging', 'Message')
    for pattern, prefix in FORMS:
        for field, other in (('number', 'sender'), ('sender', 'number')):
            change_suppressions(Suppression, field, other, pattern, prefix)
        change_phone_numbers(PhoneNumber, pattern, prefix)
        change_unsent(Message, pattern, prefix)


def change_suppressions(Suppression, field, other, pattern, prefix):
    rows = rows_with_canonical(Suppression.objects, field, pattern, prefix)
    same = Suppression.objects.filter(
        ~Q(source='api') | Q(created_by=OuterRef('created_by')),
        **{field: OuterRef('canonical'), other: OuterRef(other), 'source': OuterRef('source')},
    )
    rows.filter(Exists(same)).delete()
    rows.update(**{field: canonical(field, prefix)})


def change_phone_numbers(PhoneNumber, pattern, prefix):
    rows = rows_with_canonical(PhoneNumber.objects, 'number', pattern, prefix)
    for old in rows.filter(Exists(PhoneNumber.objects.filter(pk=OuterRef('canonical')))).iterator():
        if old.status == 'inactive':
            PhoneNumber.objects.filter(pk=old.canonical, status='active').update(
                status='inactive', reason=old.reason, changed_at=old.changed_at
            )
        PhoneNumber.objects.filter(pk=old.pk).delete()
    rows.update(number=canonical('number', prefix))


def change_unsent(Message, pattern, prefix):
    """Of two texts of one run to one person, the one to the other form is canceled before its call."""
    unsent = Message.objects.filter(direction='outbound', status__in=NOT_SENT)
    same = Message.objects.filter(run_id=OuterRef('run_id'), to_number=OuterRef('canonical'))
    rows = rows_with_canonical(unsent, 'to_number', pattern, prefix)
    rows.filter(Exists(same)).update(cancel_requested=True)
    rows.exclude(Exists(same)).update(to_number=canonical('to_number', prefix))
    unsent.filter(from_number__regex=pattern).update(from_number=canonical('from_number', prefix))


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0022_inbound_parts'),
    ]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
