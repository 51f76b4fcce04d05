"""What an installation begins with, as rows."""

from django.contrib.auth.models import Group
from django.db import models
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from messaging.models import OutboundQueue
from messaging.services import installation

MODELS: tuple[type[models.Model], ...] = (
    Group,
    Group.permissions.through,
    OutboundQueue,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
)
_rows: list[list[models.Model]] = []


def install() -> None:
    """The rows of `installation.install()`, which takes longer than most of the tests that need them.

    Called for the first time, or where there are rows already, it is the program's own function.
    """
    if any(model._default_manager.exists() for model in (Group, OutboundQueue, IntervalSchedule)):
        installation.install()
    elif _rows:
        for rows in _rows:
            type(rows[0])._default_manager.bulk_create(rows)
    else:
        installation.install()
        _rows.extend(rows for model in MODELS if (rows := list(model._default_manager.all())))
