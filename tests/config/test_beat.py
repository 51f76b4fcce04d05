"""Beat goes on when the row of one task makes no sense."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.celery import app

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("every", "period"), [(2**31 - 1, "days"), (99_999_999, "days")])
def test_an_interval_that_no_clock_can_express_keeps_no_other_task_back(every: int, period: str) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    wrong, right = (
        IntervalSchedule.objects.create(every=every, period=period),
        IntervalSchedule.objects.create(every=7, period="seconds"),
    )
    PeriodicTask.objects.create(name="wrong", task="messaging.tick", interval=wrong, last_run_at=long_ago)
    PeriodicTask.objects.create(name="right", task="messaging.tick", interval=right, last_run_at=long_ago)

    scheduler = import_string(settings.CELERY_BEAT_SCHEDULER.replace(":", "."))(app=app, lazy=True)
    due = {name: entry.is_due() for name, entry in scheduler.all_as_schedule().items()}

    assert due["right"].is_due
    assert "wrong" not in due or not due["wrong"].is_due
