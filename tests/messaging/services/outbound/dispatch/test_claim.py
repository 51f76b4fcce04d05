"""Claiming ready messages: which ones, in which order, and concurrently."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, MessageEvent, OutboundQueue
from messaging.services.outbound.dispatch.claim import claim
from messaging.states import Status
from tests.factories import MessageFactory, PhoneNumberFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE

pytestmark = pytest.mark.django_db
A = "+14155550101"


def claim_texts(now, limit: int = 16, **options) -> list[str]:
    claimed = claim(queue_name="express", limit=limit, now=now, lease=LEASE, **options)
    return [message.text for message in claimed]


@pytest.fixture
def ready(express, now):
    """Makes ready messages with these texts, in this order."""
    owner = UserFactory()

    def make(*texts: str, **values) -> list[Message]:
        return [MessageFactory(queue=express, owner=owner, text=text, **values) for text in texts]

    return make


def test_a_claimed_message_is_sending_under_a_lease(ready, now) -> None:
    [message] = ready("one")

    claim_texts(now)

    message.refresh_from_db()
    assert (message.status, message.lease_until, message.attempts) == ("sending", now + LEASE, 0)
    assert message.claim_id is not None
    [event] = message.events.all()
    assert (event.from_status, event.to_status, event.source, event.at) == ("queued", "sending", "dispatch", now)


def test_the_oldest_come_first_up_to_the_limit(ready, now) -> None:
    ready("one", "two", "three", "four")

    assert claim_texts(now, limit=2) == ["one", "two"]
    assert claim_texts(now, limit=2) == ["three", "four"]
    assert claim_texts(now) == []


def test_single_messages_go_before_bulk(ready, now) -> None:
    ready("bulk one", "bulk two", is_bulk=True)
    ready("single")

    assert claim_texts(now) == ["single", "bulk one", "bulk two"]


def test_one_time_passwords_and_emergencies_go_before_all_others(ready, now) -> None:
    ready("bulk", is_bulk=True)
    ready("single", "offer", category="marketing")
    ready("code", category="otp")
    ready("alarm", category="emergency")
    ready("bulk alarm", category="emergency", is_bulk=True)

    assert claim_texts(now) == ["code", "alarm", "single", "offer", "bulk alarm", "bulk"]


def test_a_code_does_not_wait_for_older_messages_to_the_same_number(ready, now) -> None:
    ready("in flight", to_number=A, sending=True)
    ready("older", to_number=A)
    ready("code", "second code", to_number=A, category="otp")

    assert claim_texts(now) == ["code"]


def test_an_ordinary_message_waits_for_an_older_code_to_the_same_number(ready, now) -> None:
    ready("code in flight", to_number=A, category="otp", sending=True)
    ready("later", to_number=A)

    assert claim_texts(now) == []


def test_every_claim_has_its_own_id(ready, now) -> None:
    ready("one", "two", "three")
    claim_texts(now, limit=2)
    claim_texts(now)

    first, second, third = Message.objects.order_by("pk").values_list("claim_id", flat=True)
    assert first == second != third


@pytest.mark.parametrize(
    "values",
    [
        {"status": Status.SCHEDULED},
        {"next_attempt_at": "later"},
        {"sending": True},
        {"sent": True},
        {"status": Status.UNKNOWN},
        {"status": Status.CANCELED},
        {"status": Status.FAILED},
    ],
    ids=str,
)
def test_messages_that_are_not_ready_are_left_alone(ready, now, values) -> None:
    if values.get("next_attempt_at"):
        values = {"next_attempt_at": now - timedelta(seconds=1)}  # deferred until the tick has cleared it
    [message] = ready("one", **values)
    before = Message.objects.values().get()

    assert claim_texts(now) == []

    assert Message.objects.values().get() == before
    assert not message.events.exists()


def test_other_queues_are_left_alone(ready, now) -> None:
    MessageFactory(queue=QueueFactory(name="bulk"))

    assert claim_texts(now) == []


def test_nothing_is_claimed_while_the_queue_is_paused(ready, now) -> None:
    ready("one")
    OutboundQueue.objects.update(is_paused=True)

    assert claim_texts(now) == []
    assert Message.objects.get().status == "queued"

    OutboundQueue.objects.update(is_paused=False)
    assert claim_texts(now) == ["one"]


def test_younger_messages_are_left_for_the_next_tick(ready, now) -> None:
    ready("old")
    ready("young", created_at=now + timedelta(microseconds=1))

    assert claim_texts(now, created_until=now) == ["old"]


class TestRefusals:
    def test_an_expired_message_fails_and_is_not_returned(self, ready, now) -> None:
        [message] = ready("late", expires_at=now)

        assert claim_texts(now) == []

        message.refresh_from_db()
        assert (message.status, message.error_code, message.claim_id) == ("failed", "expired", None)
        [event] = message.events.all()
        assert (event.from_status, event.to_status, event.detail) == ("queued", "failed", "expired")

    def test_a_message_to_an_inactive_recipient_fails(self, ready, now) -> None:
        [message] = ready("one", to_number=A)
        PhoneNumberFactory(number=A, inactive=True)

        assert claim_texts(now) == []

        message.refresh_from_db()
        assert (message.status, message.error_code) == ("failed", "recipient_inactive")

    def test_refused_messages_do_not_count_towards_the_limit(self, ready, now) -> None:
        ready("late one", "late two", "late three", expires_at=now)
        ready("one", "two")

        assert claim_texts(now, limit=2) == ["one", "two"]

        assert Message.objects.filter(status="failed", error_code="expired").count() == 3


def test_the_cost_does_not_grow_with_the_batch(ready, now) -> None:
    ready(*"x" * 40)

    costs = []
    for limit in (5, 20):
        with CaptureQueriesContext(connection) as queries:
            assert len(claim_texts(now, limit=limit)) == limit
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_nothing_ready_costs_two_queries(express, now) -> None:
    with CaptureQueriesContext(connection) as queries:
        claim_texts(now)

    assert sum("SELECT" in query["sql"] for query in queries) == 2


@pytest.mark.django_db(transaction=True)
def test_concurrent_workers_claim_different_messages_and_leave_none(now) -> None:
    queue, owner = QueueFactory(), UserFactory()
    MessageFactory.create_batch(60, queue=queue, owner=owner)

    def claim_all() -> list:
        mine = []
        while batch := claim(queue_name="express", limit=4, now=now, lease=LEASE):
            mine += [message.pk for message in batch]
        return mine

    claimed = at_once([partial(claim_all)] * 4)

    everything = [pk for mine in claimed for pk in mine]
    assert len(everything) == len(set(everything)) == 60
    assert MessageEvent.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_concurrent_workers_keep_a_recipients_order(now) -> None:
    queue, owner = QueueFactory(), UserFactory()
    MessageFactory.create_batch(12, queue=queue, owner=owner, to_number=A)

    claimed = at_once([partial(claim, queue_name="express", limit=4, now=now, lease=LEASE)] * 6)

    oldest = Message.objects.order_by("pk").first()
    assert [message.pk for batch in claimed for message in batch] == [oldest.pk]
