"""The loop: every ready message is sent once, and no result is lost."""

import time
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from messaging.models import DeliveryAttempt, Message, OutboundQueue
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.sending import Deferred, SendResult
from providers.errors import OutcomeUnknown, RecipientInvalid, Unavailable
from tests.factories import AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import Carrier, Clock, dispatcher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
A = "+14155550101"


def statuses() -> dict[str, int]:
    return dict(Counter(Message.objects.values_list("status", flat=True)))


def test_all_ready_messages_are_sent_oldest_first(account) -> None:
    for n in range(40):
        MessageFactory(text=str(n))
    carrier = Carrier()

    assert dispatcher(carrier, concurrency=4).run("express") == 40

    assert carrier.texts == [str(n) for n in range(40)]
    assert statuses() == {"sent": 40}
    assert DeliveryAttempt.objects.filter(outcome="accepted").count() == 40


def test_the_messages_of_one_recipient_are_sent_in_order(account) -> None:
    for text in "abcdef":
        MessageFactory(text=text, to_number=A)
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert carrier.texts == list("abcdef")
    assert statuses() == {"sent": 6}


def test_a_message_that_waits_for_its_next_round_holds_back_only_its_recipient(account, now) -> None:
    MessageFactory(text="a1", to_number=A)
    MessageFactory(text="a2", to_number=A)
    MessageFactory(text="b1")
    clock = Clock(now)

    dispatcher(Carrier(Unavailable("down")), clock=clock).run("express")
    clock.advance(5)
    recovery.release_due(now=clock.now)
    carrier = Carrier()
    dispatcher(carrier, clock=clock).run("express")

    assert carrier.texts == ["a1", "b1", "a2"]


def test_a_deferred_call_is_made_later_by_the_same_attempt(account) -> None:
    MessageFactory(text="early")
    carrier, waits = Carrier(), [0.05, 0.02]
    times: list[float] = []

    def call(call: Attempt) -> SendResult | Deferred:
        times.append(time.monotonic())
        return Deferred(call, waits.pop(0)) if waits else carrier(call)

    assert dispatcher(call).run("express") == 1

    assert carrier.texts == ["early"]
    assert statuses() == {"sent": 1}
    assert DeliveryAttempt.objects.count() == 1
    assert [later - earlier >= wait for (earlier, later), wait in zip(pairwise(times), (0.05, 0.02), strict=True)] == [
        True
    ] * 2


def test_every_account_is_tried_once_in_a_round(now) -> None:
    for slug in ("one", "two", "three"):
        AccountFactory(slug=slug)
    MessageFactory()
    carrier = Carrier(Unavailable("down"))

    dispatcher(carrier).run("express")

    assert sorted(carrier.slugs) == ["one", "three", "two"]
    message = Message.objects.get()
    assert (message.status, message.attempts, message.rounds_failed) == ("queued", 3, 1)
    assert message.next_attempt_at == now + timedelta(seconds=5)


def test_a_failing_account_costs_no_message(now) -> None:
    AccountFactory(slug="broken")
    AccountFactory(slug="fine")
    MessageFactory.create_batch(30)
    carrier = Carrier(broken=Unavailable("500"))

    dispatcher(carrier).run("express")

    assert statuses() == {"sent": 30}
    assert set(Message.objects.values_list("provider", flat=True)) == {"fine"}


def test_six_rounds_end_in_a_failure_with_the_reason(account, now) -> None:
    MessageFactory(valid_for=86_400)
    clock, carrier = Clock(now), Carrier(Unavailable("answered 500", code="http_500"))

    for seconds in (0, 5, 30, 120, 600, 1800):
        clock.advance(seconds)
        assert recovery.release_due(now=clock.now) == (1 if seconds else 0)
        assert dispatcher(carrier, clock=clock).run("express") == 1

    message = Message.objects.get()
    assert (message.status, message.attempts) == ("failed", 6)
    assert (message.error_code, message.error_detail) == ("http_500", "answered 500")
    assert recovery.release_due(now=clock.now + timedelta(days=1)) == 0


def test_a_message_with_an_unknown_outcome_is_never_claimed_again(account, now) -> None:
    AccountFactory()
    MessageFactory()
    clock, carrier = Clock(now), Carrier(OutcomeUnknown("no answer"))

    dispatcher(carrier, clock=clock).run("express")
    for _ in range(3):
        clock.advance(3600)
        recovery.release_due(now=clock.now)
        recovery.return_expired_claims(now=clock.now)
        recovery.expire(now=clock.now)
        dispatcher(carrier, clock=clock).run("express")

    assert len(carrier.calls) == 1
    assert statuses() == {"unknown": 1}


def test_an_invalid_recipient_gets_no_further_message(account) -> None:
    MessageFactory(text="a1", to_number=A)
    MessageFactory(text="a2", to_number=A)
    carrier = Carrier(RecipientInvalid("no such number"))

    dispatcher(carrier).run("express")

    assert carrier.texts == ["a1"]
    assert list(Message.objects.order_by("pk").values_list("error_code", flat=True)) == [
        "recipient_invalid",
        "recipient_inactive",
    ]


def test_a_queue_that_is_paused_during_a_run_stops_after_the_claimed_messages(account) -> None:
    MessageFactory.create_batch(8)
    carrier = Carrier()
    carrier.before_response = lambda _call: OutboundQueue.objects.update(is_paused=True)

    assert dispatcher(carrier, concurrency=4).run("express") == 4

    assert statuses() == {"sent": 4, "queued": 4}


def test_after_a_stop_nothing_is_claimed_and_calls_in_flight_are_settled(account) -> None:
    MessageFactory.create_batch(8)
    carrier = Carrier()
    stopped = dispatcher(carrier, concurrency=4)
    carrier.before_response = lambda _call: stopped.stop()

    assert stopped.run("express") == 4
    assert stopped.run("express") == 0
    assert stopped.send_batch("express", size=2, created_until=Clock()()) == 0

    assert statuses() == {"sent": 4, "queued": 4}


def test_a_message_that_comes_during_a_run_is_sent_too(account) -> None:
    MessageFactory()
    carrier = Carrier()

    def one_more(_call) -> None:
        if len(carrier.calls) < 3:
            MessageFactory()

    carrier.before_response = one_more
    dispatcher(carrier).run("express")

    assert statuses() == {"sent": 3}


class TestBatch:
    def test_a_tick_sends_the_oldest_and_no_more(self, account, now) -> None:
        for text in "abc":
            MessageFactory(text=text)
        MessageFactory(text="young", created_at=now + timedelta(seconds=1))
        carrier = Carrier()

        assert dispatcher(carrier).send_batch("express", size=2, created_until=now) == 2
        assert carrier.texts == ["a", "b"]
        assert dispatcher(carrier).send_batch("express", size=2, created_until=now) == 1
        assert dispatcher(carrier).send_batch("express", size=2, created_until=now) == 0
        assert carrier.texts == ["a", "b", "c"]

    def test_a_large_batch_has_no_more_in_flight_than_the_concurrency(self, account, now) -> None:
        MessageFactory.create_batch(10)
        in_flight = []
        carrier = Carrier()
        carrier.before_response = lambda _call: in_flight.append(Message.objects.filter(status="sending").count())

        assert dispatcher(carrier, concurrency=3).send_batch("express", size=8, created_until=now) == 8

        assert max(in_flight) == 3
        assert statuses() == {"sent": 8, "queued": 2}

    def test_a_deferred_message_is_not_tried_twice_in_a_tick(self, account, now) -> None:
        MessageFactory.create_batch(4)
        carrier = Carrier(Unavailable("down"))

        dispatcher(carrier, concurrency=2).send_batch("express", size=4, created_until=now)

        assert len(carrier.calls) == 4
        assert Message.objects.filter(rounds_failed=1).count() == 4
