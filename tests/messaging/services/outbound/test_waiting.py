"""Why a message is not sent yet, and until when it waits."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import Message
from messaging.services.outbound import waiting
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.waiting import GRACE, Waiting
from messaging.services.reporting import heartbeats
from providers.state import redis_client
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, dispatcher

A, B = "+14155550101", "+14155550102"
SOON, LATER = NOW + timedelta(seconds=5), NOW + timedelta(minutes=30)
VALID_UNTIL = ("The message is valid until", NOW + timedelta(seconds=14_400))
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def running() -> None:
    """Worker and beat are running."""
    heartbeats.record_worker("host:1")
    heartbeats.tick()


@pytest.fixture
def owner():
    return UserFactory()


@pytest.fixture
def queued(owner):
    def queued(to_number: str = A, **values) -> Message:
        return MessageFactory(**{"owner": owner, "to_number": to_number, **values})

    return queued


def found(message: Message, *, now=NOW, sees_all: bool = False) -> Waiting | None:
    return waiting.find([Message.objects.get(pk=message.pk)], now=now, sees_all=sees_all).get(message.pk)


def shown(message: Message, **options) -> tuple[str, str, tuple] | None:
    reason = found(message, **options)
    return reason and (reason.code, reason.reason, (reason.until_label, reason.until))


# --- Behind an older one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("older", "label", "until"),
    [
        ({}, "That one is ready to be sent, and valid until", NOW + timedelta(seconds=14_400)),
        ({"sending": True}, "That one is being sent, at the latest until", NOW + timedelta(seconds=30)),
        ({"next_attempt_at": SOON}, "That one is tried again at", SOON),
    ],
    ids=["ready", "in flight", "deferred"],
)
def test_a_message_behind_an_older_one_names_it(queued, older: dict, label: str, until) -> None:
    first, message = queued(**older), queued()

    reason = found(message)

    assert (reason.code, reason.message_id) == ("waiting_for_message", first.pk)
    assert reason.reason == f"Waits for the older message {first.pk} to the same number."
    assert (reason.until_label, reason.until) == (label, until)
    assert reason.detail.endswith(f" {label} {until:%Y-%m-%dT%H:%M:%S}Z.")


def test_the_oldest_of_many_is_named(queued) -> None:
    first, *others = [queued() for _ in range(4)]

    reasons = waiting.find(Message.objects.all(), now=NOW, sees_all=False)

    assert first.pk not in reasons
    assert {reasons[other.pk].message_id for other in others} == {first.pk}


@pytest.mark.parametrize(
    "older",
    [
        {"to_number": B},
        {"sent": True},
        {"status": "scheduled", "next_attempt_at": LATER, "send_at": LATER, "expires_at": LATER + GRACE},
        {"expires_at": NOW},
        {"is_bulk": True},
        {"queue": "another"},
        {"next_attempt_at": LATER},
        {"next_attempt_at": SOON, "error_code": "waiting_for_provider"},
    ],
    ids=repr,
)
def test_reasons_agree_with_the_claim(queued, older: dict) -> None:
    """A message without a reason is claimed."""
    if older.get("queue"):
        older = {"queue": QueueFactory(name="another")}
    queued(**older)
    message = queued()

    assert found(message) is None
    assert message in claim(queue_name="express", limit=10, now=NOW, lease=LEASE)


def test_a_bulk_message_waits_for_a_bulk_and_for_a_single_one(queued) -> None:
    bulk, single = queued(is_bulk=True), queued()
    message = queued(is_bulk=True)

    assert found(single) is None
    assert found(message).message_id == bulk.pk
    Message.objects.filter(pk=bulk.pk).update(status="canceled")
    assert found(message).message_id == single.pk


def test_no_message_is_waited_for_when_the_order_is_not_preserved(queued) -> None:
    queue = QueueFactory(preserve_order=False)
    queued(queue=queue, next_attempt_at=LATER)

    assert found(queued(queue=queue)) is None


def test_another_owners_message_is_named_only_to_readers_who_see_all(queued) -> None:
    theirs = queued(owner=UserFactory(), next_attempt_at=SOON)
    message = queued()

    reason = "Waits for its turn in the queue express: older messages, and those of a higher priority, go first."
    assert shown(message) == ("waiting_for_turn", reason, VALID_UNTIL)
    assert found(message, sees_all=True).message_id == theirs.pk


# --- For an account, a round, a time ----------------------------------------------------------------------------------


def test_a_wait_for_an_account_has_its_end(queued) -> None:
    AccountFactory(slug="acme", is_enabled=False)
    message = queued()
    dispatcher(Carrier()).run("express")

    assert shown(message) == (
        "waiting_for_provider",
        "Waits until a provider account that carries it is enabled.",
        ("Next attempt at", NOW + timedelta(seconds=30)),
    )


def test_a_failed_round_keeps_its_code_and_has_the_time_of_the_next(queued) -> None:
    message = queued(error_code="provider_unavailable", error_detail="the provider answered 500", next_attempt_at=SOON)

    reason = found(message)

    assert reason.code == "provider_unavailable"
    assert reason.detail == "the provider answered 500. Next attempt at 2026-11-22T09:00:05Z."


def test_a_time_without_a_reason_is_reported_as_a_retry(queued) -> None:
    message = queued(next_attempt_at=SOON)

    assert shown(message) == ("waiting_for_retry", "No provider has accepted it yet.", ("Next attempt at", SOON))


def test_a_scheduled_message_needs_no_reason(queued) -> None:
    message = queued(status="scheduled", send_at=LATER, next_attempt_at=LATER, expires_at=LATER + GRACE)

    assert found(message) is None


@pytest.mark.parametrize("status", ["sending", "sent", "delivered"])
def test_a_message_that_left_its_queue_waits_for_nothing(queued, status: str) -> None:
    assert found(queued(**{status: True})) is None


def test_an_expired_message_waits_for_nothing(queued) -> None:
    assert found(queued(expires_at=NOW, next_attempt_at=NOW)) is None


# --- For its queue ----------------------------------------------------------------------------------------------------


def test_a_paused_queue_is_the_first_reason(queued) -> None:
    queue = QueueFactory(is_paused=True)
    queued(queue=queue)
    message = queued(queue=queue, error_code="provider_unavailable", next_attempt_at=SOON)

    assert shown(message) == ("queue_paused", "The queue express is paused.", VALID_UNTIL)
    assert found(message).queue == "express"


def test_a_paced_queue_has_the_time_of_its_next_batch(queued) -> None:
    queue = QueueFactory(paced=True, last_tick_at=NOW - timedelta(seconds=20))
    first, second = queued(queue=queue), queued(queue=queue)

    pace = "The queue paced sends 2 messages every 120 seconds."
    expected = ("waiting_for_pace", pace, ("Next batch at", NOW + timedelta(seconds=100)))
    assert (shown(first), shown(second)) == (expected, expected)
    Message.objects.filter(pk=first.pk).update(next_attempt_at=SOON)
    assert found(second).message_id == first.pk


def test_a_paced_queue_without_a_first_tick_has_no_time(queued) -> None:
    reason = found(queued(queue=QueueFactory(paced=True)))

    assert reason.detail == "The queue paced sends 2 messages every 120 seconds."


def test_a_ready_message_waits_for_its_turn_after_the_grace_period(queued) -> None:
    message = queued()

    assert found(message, now=NOW + GRACE) is None
    reason = "Waits for its turn in the queue express: older messages, and those of a higher priority, go first."
    assert shown(message, now=NOW + GRACE + timedelta(seconds=1)) == ("waiting_for_turn", reason, VALID_UNTIL)


def test_a_ready_message_with_an_error_keeps_it(queued) -> None:
    message = queued(error_code="provider_unavailable", error_detail="the provider answered 500")

    assert found(message, now=LATER) is None


# --- Processes that are not running -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [{}, {"next_attempt_at": SOON}, {"status": "scheduled", "next_attempt_at": SOON, "send_at": SOON}],
    ids=repr,
)
def test_without_a_worker_the_reason_is_the_worker(queued, values: dict) -> None:
    heartbeats.remove_worker("host:1")

    assert shown(queued(**values), now=LATER) == ("waiting_for_worker", "No worker process is running.", VALID_UNTIL)


def test_without_beat_the_reason_of_a_due_message_is_beat(queued) -> None:
    redis_client.client().delete(heartbeats.TICK_KEY)

    deferred, ready = queued(next_attempt_at=SOON), queued(B)

    assert found(deferred, now=LATER).code == "waiting_for_beat"
    assert found(ready, now=LATER).code == "waiting_for_turn"
    paced = queued(queue=QueueFactory(paced=True))
    assert found(paced, now=LATER).code == "waiting_for_beat"


def test_a_due_message_waits_for_the_tick(queued) -> None:
    assert found(queued(next_attempt_at=SOON), now=LATER).reason == "It is due and will be released with the next tick."


# --- Number of queries ------------------------------------------------------------------------------------------------


def test_the_cost_does_not_grow_with_the_messages(queued, django_assert_num_queries) -> None:
    queued()
    for count in (1, 5):
        rows = [queued() for _ in range(count)]
        with django_assert_num_queries(2):
            assert len(waiting.find(rows, now=NOW, sees_all=False)) == count


def test_no_waiting_message_means_no_query(queued, django_assert_num_queries) -> None:
    rows = [queued(sent=True), queued(delivered=True), MessageFactory(inbound=True)]

    with django_assert_num_queries(0):
        assert waiting.find(rows, now=NOW, sees_all=False) == {}


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL has these indexes in a part of the table"
)
def test_the_look_up_uses_the_claims_index(queued) -> None:
    rows = [queued() for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        waiting.find(rows, now=NOW, sees_all=False)
    [sql] = [query["sql"] for query in queries if "to_number" in query["sql"]]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for [line] in cursor.fetchall())

    assert "message_active_by_number" in plan
    assert "Seq Scan" not in plan
