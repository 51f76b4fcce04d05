"""Which messages the claim leaves to wait for older ones to the same number."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, OutboundQueue
from messaging.services.outbound.dispatch.claim import MANY
from messaging.states import Status
from tests.factories import MessageFactory, QueueFactory, UserFactory
from tests.messaging.services.outbound.dispatch.test_claim import claim_texts

pytestmark = pytest.mark.django_db
A, B = "+14155550101", "+14155550102"


@pytest.fixture
def ready(express, now):
    """Makes ready messages with these texts, in this order."""
    owner = UserFactory()

    def make(*texts: str, **values) -> list[Message]:
        return [MessageFactory(queue=express, owner=owner, text=text, **values) for text in texts]

    return make


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

    def test_it_waits_for_an_older_one_whose_hour_has_begun_and_not_for_one_whose_hour_comes(self, ready, now) -> None:
        ready("a1", to_number=A, next_attempt_at=now + timedelta(seconds=1), error_code="outside_hours")
        ready("b1", to_number=B, next_attempt_at=now, error_code="outside_hours")  # the next tick releases it
        ready("a2", to_number=A)
        ready("b2", to_number=B)

        assert claim_texts(now) == ["a2"]

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
