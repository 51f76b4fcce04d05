from collections import defaultdict

from django.db import migrations, models
from django.db.models import Count
from django.db.models.functions import TruncHour

NOBODY = 0
CARRIED = ["sent", "delivered", "undelivered", "failed", "unknown"]


def count_history(apps, schema_editor):
    """What the histories and the attempts tell. How long things took is counted from now on."""
    counts = defaultdict(int)
    events = apps.get_model("messaging", "MessageEvent").objects.order_by()
    moves = events.values_list(TruncHour("at"), "from_status", "to_status", "message__owner_id", "provider_slug")
    for hour, before, after, owner_id, slug, count in moves.annotate(total=Count("pk")):
        owner_id = owner_id or NOBODY
        counts[hour, "entered", owner_id, slug if after in CARRIED else "", after] += count
        if before:
            counts[hour, "left", owner_id, "", before] += count
    attempts = apps.get_model("messaging", "DeliveryAttempt").objects.exclude(outcome="calling").order_by()
    outcomes = attempts.values_list(TruncHour("finished_at"), "provider_id", "outcome").annotate(total=Count("pk"))
    for hour, slug, outcome, count in outcomes:
        counts[hour, "attempt", NOBODY, slug, outcome] += count
    callbacks = apps.get_model("messaging", "ProviderCallback").objects.exclude(state="unmatched").order_by()
    states = callbacks.values_list(TruncHour("received_at"), "provider_id", "state").annotate(total=Count("pk"))
    for hour, slug, state, count in states:
        counts[hour, "callback", NOBODY, slug, state] += count
    Rollup = apps.get_model("messaging", "Rollup")
    Rollup.objects.bulk_create(
        [
            Rollup(hour=hour, measure=measure, owner_id=owner_id, provider_slug=slug, word=word, count=count)
            for (hour, measure, owner_id, slug, word), count in counts.items()
        ],
        batch_size=1_000,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0002_inbound_and_suppressions'),
    ]

    operations = [
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('hour', models.DateTimeField()),
                ('measure', models.CharField(max_length=12)),
                ('owner_id', models.BigIntegerField(default=0)),
                ('provider_slug', models.CharField(blank=True, max_length=40)),
                ('word', models.CharField(max_length=12)),
                ('count', models.BigIntegerField()),
                ('seconds', models.FloatField(default=0.0)),
                ('folded', models.BooleanField(default=False)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('folded', False)), fields=['id'], name='rollup_unfolded')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('folded', True)), fields=('hour', 'measure', 'owner_id', 'provider_slug', 'word'), name='rollup_one_total')],
            },
        ),
        migrations.RunPython(count_history, migrations.RunPython.noop),
    ]
