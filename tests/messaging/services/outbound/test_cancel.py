"""Canceling a message."""

from functools import partial

import pytest

from messaging.models import Message, MessageEvent
from messaging.services.errors import NotCancelable
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.dispatch.claim import claim
from messaging.states import CANCELABLE, OUTBOUND, Status
from tests.factories import NOW, MessageFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE


@pytest.mark.parametrize("status", sorted(CANCELABLE))
def test_a_waiting_message_is_canceled(db, now, status: Status) -> None:
    message = MessageFactory(status=status, next_attempt_at=now)

    canceled = cancel(message_id=message.pk, actor=message.owner, now=now)

    message.refresh_from_db()
    assert (canceled.status, message.status, message.next_attempt_at) == ("canceled", "canceled", None)
    [event] = message.events.all()
    assert (event.from_status, event.to_status, event.source, event.actor) == (status, "canceled", "api", message.owner)


@pytest.mark.parametrize("status", sorted(OUTBOUND - CANCELABLE))
def test_a_message_in_flight_or_ended_is_not_canceled(db, now, status: Status) -> None:
    traits = {"sending": True} if status == Status.SENDING else {"status": status, "delivered_at": NOW}
    message = MessageFactory(**traits)

    with pytest.raises(NotCancelable):
        cancel(message_id=message.pk, actor=message.owner, now=now)

    message.refresh_from_db()
    assert message.status == status
    assert not MessageEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_a_concurrent_cancel_and_claim_one_wins(now, express) -> None:
    user = UserFactory()
    for _ in range(10):
        message = MessageFactory(owner=user)

        canceled, claimed = at_once(
            [
                partial(cancel, message_id=message.pk, actor=user, now=now),
                partial(claim, queue_name="express", limit=5, now=now, lease=LEASE),
            ]
        )

        message.refresh_from_db()
        steps = list(message.events.values_list("to_status", flat=True))
        assert steps == [message.status]
        if isinstance(canceled, Message):
            assert (message.status, claimed) == ("canceled", [])
        else:
            assert isinstance(canceled, NotCancelable)
            assert message.status == "sending"
            assert [row.pk for row in claimed] == [message.pk]
