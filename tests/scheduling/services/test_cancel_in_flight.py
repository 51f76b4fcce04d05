"""A message in flight when its schedule is canceled is not retried."""

import pytest
from uuid_utils.compat import uuid7

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.retry import retry
from messaging.states import Source
from providers.errors import Unavailable
from scheduling.models import Schedule
from scheduling.services import schedules
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(
        owner=UserFactory(),
        name="Reminder",
        text="Hi",
        queue=QueueFactory(),
        valid_for=3600,
        time_zone="UTC",
        start_wall="2026-11-22T09:00:00",
        last_wall="2026-11-22T09:00:00",
        occurrences=1,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.fixture
def message(schedule) -> Message:
    return MessageFactory(
        owner=schedule.owner, queue=schedule.queue, schedule_id=schedule.pk, run_id=uuid7(), is_bulk=True
    )


def cancel(schedule: Schedule) -> int:
    _, canceled = schedules.cancel(schedule_id=schedule.pk, actor=schedule.owner, now=NOW, source=Source.API)
    return canceled


def test_one_that_the_provider_refuses_is_canceled_and_not_sent_elsewhere(schedule, message) -> None:
    AccountFactory()
    AccountFactory()
    carrier = Carrier(Unavailable("away"))
    canceled = []
    carrier.before_response = lambda call: canceled.append(cancel(schedule))

    dispatcher(carrier, clock=Clock(NOW)).run("express")

    message.refresh_from_db()
    assert canceled == [0]
    assert len(carrier.calls) == 1
    assert (message.status, message.next_attempt_at, message.attempts) == ("canceled", None, 1)
    assert message.events.last().detail == "The message was canceled before a provider accepted it."


def test_one_that_the_provider_accepts_is_sent(schedule, message) -> None:
    AccountFactory()
    carrier = Carrier()
    carrier.before_response = lambda call: cancel(schedule) and None

    dispatcher(carrier, clock=Clock(NOW)).run("express")

    message.refresh_from_db()
    assert message.status == "sent"


def test_one_that_was_claimed_and_not_begun_is_not_called(schedule, message) -> None:
    AccountFactory()
    claimed = claim(queue_name="express", limit=1, now=NOW, lease=LEASE)
    cancel(schedule)

    calls = start_attempts(claimed, now=NOW, lease=LEASE)

    message.refresh_from_db()
    assert calls == []
    assert message.status == "canceled"
    assert not DeliveryAttempt.objects.exists()


def test_one_whose_worker_died_before_the_call_is_canceled_by_the_sweep(schedule, message) -> None:
    claim(queue_name="express", limit=1, now=NOW, lease=LEASE)
    cancel(schedule)

    recovery.return_expired_claims(now=NOW + LEASE)

    message.refresh_from_db()
    assert message.status == "canceled"


def test_an_operator_may_send_one_that_ended_unknown_after_all(schedule, message) -> None:
    AccountFactory()
    start_attempts(claim(queue_name="express", limit=1, now=NOW, lease=LEASE), now=NOW, lease=LEASE)
    cancel(schedule)
    recovery.return_expired_claims(now=NOW + LEASE)

    retry(message_id=message.pk, reason="asked for", actor=schedule.owner, now=NOW)

    message.refresh_from_db()
    assert (message.status, message.cancel_requested) == ("queued", False)
