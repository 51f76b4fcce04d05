"""The one function that changes a status."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from messaging.models import Message, MessageEvent
from messaging.services import transitions
from messaging.services.errors import IllegalTransition
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from tests.factories import AccountFactory, MessageFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_the_status_and_its_history_are_written(now) -> None:
    message = MessageFactory(sending=True)

    transitions.apply([Transition(message, Status.SENT, Source.DISPATCH, "acme", "why")], now=now)

    message.refresh_from_db()
    assert (message.status, message.updated_at) == ("sent", now)
    [event] = message.events.all()
    assert (event.from_status, event.to_status, event.source) == ("sending", "sent", "dispatch")
    assert (event.provider_slug, event.detail, event.at, event.actor) == ("acme", "why", now, None)


def test_leaving_sending_ends_the_claim(now) -> None:
    message = MessageFactory(sending=True)

    transitions.apply([Transition(message, Status.UNKNOWN, Source.SWEEP)], now=now)

    message.refresh_from_db()
    assert (message.claim_id, message.lease_until) == (None, None)


def test_the_named_fields_are_written_and_no_others(now) -> None:
    message = MessageFactory()
    message.error_code, message.reference = "expired", "changed in memory only"

    transitions.apply([Transition(message, Status.FAILED, Source.SWEEP)], now=now, fields=["error_code"])

    message.refresh_from_db()
    assert (message.error_code, message.reference) == ("expired", "")


def test_one_illegal_transition_stops_all_and_writes_nothing(now) -> None:
    good, final = MessageFactory(), MessageFactory(delivered=True)

    with pytest.raises(IllegalTransition):
        transitions.apply(
            [Transition(good, Status.CANCELED, Source.API), Transition(final, Status.FAILED, Source.RECEIPT)], now=now
        )

    assert list(Message.objects.order_by("pk").values_list("status", flat=True)) == ["queued", "delivered"]
    assert not MessageEvent.objects.exists()


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("corrects", [False, True])
def test_only_a_receipt_corrects_a_receipt(now, source: Source, corrects: bool) -> None:
    message = MessageFactory(status=Status.FAILED, delivered_at=now)
    move = Transition(message, Status.DELIVERED, source, corrects_receipt=corrects)

    if corrects and source is Source.RECEIPT:
        transitions.apply([move], now=now)
        assert message.status == "delivered"
    else:
        with pytest.raises(IllegalTransition):
            transitions.apply([move], now=now)


@pytest.mark.parametrize(("by_operator", "allowed"), [(False, False), (True, True)])
def test_only_an_operator_leaves_a_final_status(now, by_operator: bool, allowed: bool) -> None:
    message = MessageFactory(status=Status.FAILED)
    move = Transition(message, Status.QUEUED, Source.OPERATOR, actor=UserFactory(), by_operator=by_operator)

    if allowed:
        transitions.apply([move], now=now)
    else:
        with pytest.raises(IllegalTransition):
            transitions.apply([move], now=now)

    message.refresh_from_db()
    assert message.status == ("queued" if allowed else "failed")
    assert message.events.count() == int(allowed)


def test_a_failed_change_writes_no_history(now) -> None:
    message = MessageFactory()
    move = Transition(message, Status.SENDING, Source.DISPATCH)  # without a claim the database refuses it

    with pytest.raises(IntegrityError), transaction.atomic():
        transitions.apply([move], now=now)

    message.refresh_from_db()
    assert message.status == "queued"
    assert not MessageEvent.objects.exists()


def test_nothing_to_do_costs_nothing(now, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        transitions.apply([], now=now)


@pytest.mark.parametrize("size", [1, 5, 20])
def test_any_number_of_transitions_takes_as_many_queries_as_one(now, size: int, django_assert_num_queries) -> None:
    messages = MessageFactory.create_batch(size, sending=True)
    for place, message in enumerate(messages):
        message.error_code = f"code_{place}"
    moves = [
        Transition(message, (Status.SENT, Status.UNKNOWN)[place % 2], Source.DISPATCH)
        for place, message in enumerate(messages)
    ]

    with django_assert_num_queries(4):
        transitions.apply(moves, now=now, fields=["error_code"])

    rows = Message.objects.order_by("pk").values_list("status", "error_code")
    assert list(rows) == [(("sent", "unknown")[place % 2], f"code_{place}") for place in range(size)]


def test_different_values_of_every_kind_are_written_to_their_rows(now) -> None:
    accounts = AccountFactory.create_batch(2)
    first, second, third = MessageFactory.create_batch(3)
    first.provider, second.provider, third.provider = accounts[0], accounts[1], None
    first.sent_at, second.sent_at, third.sent_at = now, None, now.replace(year=2027)
    first.attempts, second.attempts, third.attempts = 1, 2, 3

    with CaptureQueriesContext(connection) as queries:
        transitions.save_together([first, second, third], ["provider", "sent_at", "attempts"])

    assert len(queries) == 1
    rows = list(Message.objects.order_by("pk").values_list("provider", "sent_at", "attempts"))
    assert rows == [(accounts[0].slug, now, 1), (accounts[1].slug, None, 2), (None, now.replace(year=2027), 3)]
