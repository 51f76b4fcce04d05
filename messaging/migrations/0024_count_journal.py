"""One row of counts for each transaction instead of one for each key. Waiting counts become rows of the journal."""

import json
from datetime import UTC, datetime

from django.db import migrations, models

KEY = ('hour', 'measure', 'owner_id', 'provider_slug', 'word')
CHUNK = 1_000


def to_journal(apps, schema_editor):
    """There are as many as came since the last sweep: a few thousand."""
    Rollup = apps.get_model('messaging', 'Rollup')
    CountJournal = apps.get_model('messaging', 'CountJournal')
    waiting = Rollup.objects.filter(folded=False).order_by('pk')
    while rows := list(waiting.values_list('pk', *KEY, 'count', 'seconds')[:CHUNK]):
        counts = [[int(hour.timestamp()), *rest] for _, hour, *rest in rows]
        CountJournal.objects.create(counts=json.dumps(counts, separators=(',', ':')))
        Rollup.objects.filter(pk__in=[pk for pk, *_ in rows]).delete()


def from_journal(apps, schema_editor):
    Rollup = apps.get_model('messaging', 'Rollup')
    CountJournal = apps.get_model('messaging', 'CountJournal')
    Rollup.objects.update(folded=True)
    names = (*KEY[1:], 'count', 'seconds')
    for row in CountJournal.objects.order_by('pk').iterator():
        Rollup.objects.bulk_create(
            Rollup(hour=datetime.fromtimestamp(epoch, UTC), **dict(zip(names, rest, strict=True)))
            for epoch, *rest in json.loads(row.counts)
        )
    CountJournal.objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0023_one_form_of_each_number'),
    ]

    operations = [
        migrations.CreateModel(
            name='CountJournal',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('counts', models.TextField()),
            ],
        ),
        migrations.RunPython(to_journal, from_journal),
        migrations.RemoveConstraint(model_name='rollup', name='rollup_one_total'),
        migrations.RemoveIndex(model_name='rollup', name='rollup_unfolded'),
        migrations.RemoveField(model_name='rollup', name='folded'),
        migrations.AddConstraint(
            model_name='rollup',
            constraint=models.UniqueConstraint(fields=('hour', 'measure', 'owner_id', 'provider_slug', 'word'), name='rollup_one_total'),
        ),
    ]
