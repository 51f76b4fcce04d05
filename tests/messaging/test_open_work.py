"""An idle second costs one task with one statement; each kind of waiting work requests its own task."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings

from messaging import tasks
from messaging.models import AlertChannel, Attachment
from scheduling.models import Schedule
from scheduling.tasks import tick as schedules_tick
from tests.factories import (
    NOW,
    AlertReceiverFactory,
    ClientEventFactory,
    InboundPartFactory,
    MessageFactory,
    OwnerPolicyFactory,
    QueueFactory,
    UserFactory,
    WebhookDeliveryFactory,
)
from tests.scheduling import making

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def inbound_file() -> None:
    message = MessageFactory(inbound=True, media_count=1, keyword_read_at=NOW)
    url = "https://example.com/1.png"
    Attachment.objects.create(message=message, position=0, source_url=url, next_attempt_at=NOW)


def schedule() -> Schedule:
    QueueFactory()
    return making.create(UserFactory(), run_at=NOW + SECOND)


def due_schedule() -> None:
    Schedule.objects.filter(pk=schedule().pk).update(next_run_at=NOW)


def older_zone_data() -> None:
    Schedule.objects.filter(pk=schedule().pk).update(zone_release="2000a")


def interrupted_cancel() -> None:
    Schedule.objects.filter(pk=schedule().pk).update(
        status="canceled", next_run_at=None, next_wall="", cancel_lease_until=NOW
    )


def unexpanded_run() -> None:
    started = schedule()
    making.tick(NOW + SECOND)
    started.runs.update(lease_until=NOW)


def due_digest() -> None:
    receiver = AlertReceiverFactory()
    AlertChannel.objects.create(receiver=receiver, owner=receiver.owner, used_at=NOW, digest_due_at=NOW)


@pytest.mark.parametrize(
    ("make", "expected", "before"),
    [
        (MessageFactory, "messaging.dispatch", True),
        (lambda: MessageFactory(next_attempt_at=NOW), "messaging.tick", False),
        (lambda: MessageFactory(status="scheduled", next_attempt_at=NOW), "messaging.tick", False),
        (lambda: MessageFactory(inbound=True), "messaging.process_inbound", True),
        (lambda: MessageFactory(inbound=True, next_attempt_at=NOW), "messaging.process_inbound", False),
        (lambda: InboundPartFactory(due_at=NOW), "messaging.process_inbound", False),
        (inbound_file, "messaging.fetch_inbound_media", False),
        (lambda: ClientEventFactory(message=MessageFactory(delivered=True)), "messaging.deliver", True),
        (lambda: WebhookDeliveryFactory(event=None), "messaging.deliver", False),
        (lambda: WebhookDeliveryFactory(event=None, sending=True, lease_until=NOW), "messaging.deliver", False),
        (lambda: OwnerPolicyFactory(effective_at=NOW), "messaging.judge_anew", False),
        (due_digest, "messaging.send_alert_digests", False),
        (due_schedule, "scheduling.tick", False),
        (older_zone_data, "scheduling.tick", True),
        (unexpanded_run, "scheduling.tick", False),
        (interrupted_cancel, "scheduling.tick", False),
    ],
)
def test_work_is_waiting_from_the_second_in_which_it_is_due(make: Callable[[], object], expected, before) -> None:
    make()

    assert tasks.open_work.waiting(now=NOW - SECOND) == ({expected} if before else set())
    assert tasks.open_work.waiting(now=NOW) == {expected}


@pytest.mark.parametrize("queue", [{"is_paused": True}, {"paced": True}])
def test_a_paused_or_paced_queue_waits_for_no_tick(queue) -> None:
    MessageFactory(queue=QueueFactory(name="other", **queue))

    assert tasks.open_work.waiting(now=NOW) == set()


def test_an_idle_second_publishes_one_task_which_makes_one_statement(broker, django_assert_num_queries) -> None:
    assert [task for task, each in settings.CELERY_BEAT_SCHEDULE.items() if each["schedule"] <= 1] == ["tick"]
    tasks.tick()  # the first one writes the statement, and opens a connection

    with django_assert_num_queries(1):
        tasks.tick()

    assert (broker.notified, broker.inbound_notifications, broker.webhook_notifications) == ([], [], 0)


def test_a_tick_requests_each_task_that_has_work(monkeypatch) -> None:
    requested = []
    monkeypatch.setattr(tasks.notifier, "publish", lambda task, **options: requested.append((task, options)))
    ClientEventFactory(message=MessageFactory(delivered=True))
    MessageFactory(inbound=True)
    inbound_file()
    due_schedule()

    tasks.tick()

    names = ["messaging.deliver", "messaging.fetch_inbound_media", "messaging.process_inbound", schedules_tick.name]
    assert requested == [(name, {"expires": 5}) for name in names]


def test_a_fault_of_one_kind_of_work_keeps_no_other_from_its_task(monkeypatch, broker) -> None:
    def fail(**_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(tasks.recovery, "release_due", fail)
    MessageFactory(next_attempt_at=NOW)
    MessageFactory(inbound=True)

    with pytest.raises(ValueError, match="a bug"):
        tasks.tick()

    assert broker.inbound_notifications == ["messaging.process_inbound"]
