"""Data migrations that rename what groups hold, and change beat's rows."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from messaging.models import Message

pytestmark = pytest.mark.django_db
RENAMES = import_module("messaging.migrations.0019_words_of_the_field")
ONE_TASK = import_module("messaging.migrations.0025_one_periodic_task_per_second")


@pytest.fixture
def group() -> Group:
    """A group as it was before: it holds `view_body`."""
    Permission.objects.filter(codename="view_text").delete()
    kind = ContentType.objects.get_for_model(Message)
    permission = Permission.objects.create(codename="view_body", content_type=kind, name="Can read the texts of messages")
    group = Group.objects.create(name="Support")
    group.permissions.add(permission)
    return group


def held(group: Group) -> list[str]:
    return list(group.permissions.values_list("codename", flat=True))


def test_a_group_keeps_its_permission_under_the_new_name(group: Group) -> None:
    RENAMES.forwards(apps, None)
    assert held(group) == ["view_text"]

    RENAMES.backwards(apps, None)
    assert held(group) == ["view_body"]


def test_the_row_of_a_paced_queue_names_the_new_task() -> None:
    interval = IntervalSchedule.objects.create(every=60, period=IntervalSchedule.SECONDS)
    row = PeriodicTask.objects.create(name="queue paced", task="messaging.drain_tick", interval=interval)
    other = PeriodicTask.objects.create(name="other", task="messaging.tick", interval=interval)

    RENAMES.forwards(apps, None)
    assert [PeriodicTask.objects.get(pk=each.pk).task for each in (row, other)] == ["messaging.paced_tick", "messaging.tick"]

    RENAMES.backwards(apps, None)
    assert PeriodicTask.objects.get(pk=row.pk).task == "messaging.drain_tick"


def test_the_rows_of_tasks_that_the_tick_requests_are_deleted_and_no_other() -> None:
    interval = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    for name, task in (
        ("callbacks", "messaging.deliver"),
        ("schedules", "scheduling.tick"),
        ("inbound_media", "messaging.fetch_inbound_media"),
        ("tick", "messaging.tick"),
        ("of an operator", "messaging.deliver"),
    ):
        PeriodicTask.objects.create(name=name, task=task, interval=interval)

    ONE_TASK.forwards(apps, None)

    assert set(PeriodicTask.objects.filter(interval=interval).values_list("name", flat=True)) == {"tick", "of an operator"}
