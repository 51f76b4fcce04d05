"""Senders are numbers, short codes or names: the column becomes text. Numbers that have another canonical form now get it."""

from django.db import migrations, models

import providers.models
from providers import numbers


def forwards(apps, schema_editor):
    SenderNumber = apps.get_model('providers', 'SenderNumber')
    for row in SenderNumber.objects.all():
        number = numbers.canonical(row.number)
        # With a row of the canonical form already, the other one stays for staff to decide: keyword rules may name both.
        if number not in (None, row.number) and not SenderNumber.objects.filter(number=number).exists():
            SenderNumber.objects.filter(pk=row.pk).update(number=number)


class Migration(migrations.Migration):

    dependencies = [
        ('providers', '0004_many_refused'),
    ]

    operations = [
        migrations.AlterField(
            model_name='sendernumber',
            name='number',
            field=models.CharField(max_length=16, unique=True, validators=[providers.models.validate_sender]),
        ),
        migrations.RunPython(forwards, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name='sendernumber',
            constraint=models.CheckConstraint(condition=models.Q(('number__regex', '^(\\+[0-9]{7,15}|[^+].{0,10})$')), name='sender_form'),
        ),
    ]
