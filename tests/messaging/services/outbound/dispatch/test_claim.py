"""Claiming ready messages: which ones, in which order, and concurrently."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, MessageEvent, OutboundQueue
from messaging.services.outbound.dispatch.claim import MANY, claim
from messaging.states import Status
from tests.factories import MessageFactory, PhoneNumberFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE

pytestmark = pytest.mark.django_db
A, B = "+14155550101", "+14155550102"


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


class TestOrder:
    def test_a_recipient_has_one_message_in_flight(self, ready, now) -> None:
        ready("a1", "a2", to_number=A)
        ready("b1", to_number=B)

        assert claim_texts(now) == ["a1", "b1"]
        assert claim_texts(now) == []

    def test_the_next_message_is_claimed_when_the_older_is_sent(self, ready, now) -> None:
        first, _ = ready("a1", "a2", to_number=A)
        Message.objects.filter(pk=first.pk).update(status="sent")

        assert claim_texts(now) == ["a2"]

    def test_a_deferred_older_one_holds_the_younger_back(self, ready, now) -> None:
        ready("a1", to_number=A, next_attempt_at=now + timedelta(seconds=5))
        ready("a2", to_number=A)

        assert claim_texts(now) == []

    @pytest.mark.parametrize("error_code", ["", "provider_unavailable", "waiting_for_rate"])
    def test_it_waits_for_a_retry_that_is_due_soon(self, ready, now, settings, error_code: str) -> None:
        soon = now + timedelta(seconds=settings.ORDER_WAIT_SECONDS)
        ready("a1", to_number=A, next_attempt_at=soon, error_code=error_code)
        ready("b1", to_number=B, next_attempt_at=soon + timedelta(milliseconds=1), error_code=error_code)
        ready("a2", to_number=A)
        ready("b2", to_number=B)

        assert claim_texts(now) == ["b2"]

    def test_it_never_waits_for_an_older_one_that_waits_for_an_account(self, ready, now) -> None:
        ready("a1", to_number=A, next_attempt_at=now + timedelta(seconds=1), error_code="waiting_for_provider")
        ready("a2", to_number=A)

        assert claim_texts(now) == ["a2"]

    def test_the_time_that_it_waits_can_be_set(self, ready, now, settings) -> None:
        settings.ORDER_WAIT_SECONDS = 0
        ready("a1", to_number=A, next_attempt_at=now + timedelta(seconds=1))
        ready("a2", to_number=A)

        assert claim_texts(now) == ["a2"]

    def test_a_deferred_older_one_holds_nothing_back_after_its_validity(self, ready, now) -> None:
        ready("a1", to_number=A, next_attempt_at=now + timedelta(seconds=5), expires_at=now)
        ready("a2", to_number=A)

        assert claim_texts(now) == ["a2"]

    @pytest.mark.parametrize("status", [Status.UNKNOWN, Status.FAILED, Status.CANCELED, Status.SCHEDULED])
    def test_an_older_one_that_does_not_wait_to_be_sent_holds_nothing_back(self, ready, now, status) -> None:
        ready("a1", to_number=A, status=status)
        ready("a2", to_number=A)

        assert claim_texts(now) == ["a2"]

    def test_the_order_is_kept_within_a_queue_only(self, ready, now) -> None:
        MessageFactory(queue=QueueFactory(name="bulk"), to_number=A)
        ready("a1", to_number=A)

        assert claim_texts(now) == ["a1"]

    def test_a_single_message_does_not_wait_for_bulk(self, ready, now) -> None:
        ready("bulk", to_number=A, is_bulk=True)
        ready("single", to_number=A)

        assert claim_texts(now) == ["single", "bulk"]

    def test_without_preserve_order_all_are_claimed_at_once(self, ready, now) -> None:
        OutboundQueue.objects.update(preserve_order=False)
        ready("a1", "a2", "a3", to_number=A)

        assert claim_texts(now) == ["a1", "a2", "a3"]


class TestManyToOneNumber:
    """More than `MANY` ready messages to one number are skipped together."""

    def test_only_the_oldest_is_claimed(self, ready, now) -> None:
        ready(*(f"a{number}" for number in range(MANY + 5)), to_number=A)
        ready("b", to_number=B)

        assert claim_texts(now) == ["a0", "b"]
        assert claim_texts(now) == []
        Message.objects.filter(text="a0").update(status="sent", claim_id=None, lease_until=None)
        assert claim_texts(now) == ["a1"]

    def test_single_and_bulk_messages_are_apart(self, ready, now) -> None:
        ready(*(f"bulk{number}" for number in range(MANY + 5)), to_number=A, is_bulk=True)
        ready(*(f"a{number}" for number in range(MANY + 5)), to_number=A)

        assert claim_texts(now) == ["a0", "bulk0"]

    def test_an_expired_one_holds_nothing_back(self, ready, now) -> None:
        ready("expired", to_number=A, expires_at=now)
        ready(*(f"a{number}" for number in range(MANY + 5)), to_number=A)

        assert claim_texts(now, limit=1) == ["a0"]

    def test_those_behind_are_not_searched_one_by_one(self, ready, now) -> None:
        ready(*"x" * (MANY + 5), to_number=A)

        with CaptureQueriesContext(connection) as queries:
            claim_texts(now)

        [sql] = [query["sql"] for query in queries if "EXISTS" in query["sql"]]
        assert sql.index(A) < sql.index("EXISTS")

    def test_without_preserve_order_all_are_claimed(self, ready, now) -> None:
        OutboundQueue.objects.update(preserve_order=False)
        ready(*"x" * (MANY + 5), to_number=A)

        assert len(claim_texts(now, limit=100)) == MANY + 5


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL has these indexes in a part of the table"
)
def test_the_order_is_checked_by_its_indexes(ready, now) -> None:
    ready("a1", "a2", to_number=A)
    with CaptureQueriesContext(connection) as queries:
        claim_texts(now)
    [sql] = [query["sql"] for query in queries if "EXISTS" in query["sql"]]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for [line] in cursor.fetchall())

    assert "message_active_by_number" in plan
    assert plan.count("SubPlan") >= 2
    assert "Seq Scan" not in plan


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
