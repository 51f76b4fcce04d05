"""Results and receipts at the same time, in separate transactions."""

from functools import partial

import pytest

from messaging.models import DeliveryAttempt, Message, MessageEvent
from messaging.services.outbound import receipts, recovery
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import Unavailable
from tests.factories import AccountFactory, MessageFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of, results_of
from tests.messaging.services.outbound.dispatch.test_settle import settle, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("express")]
ROUNDS = 15


def receive(call, pmid: str, now) -> None:
    report = StatusReport(pmid, status=ReportedStatus.DELIVERED, raw_status="delivered")
    kept = receipts.record(account=call.account, body=pmid.encode(), report=report, attempt_id=None, now=now)
    receipts.apply(kept.pk, now=now)


def test_a_receipt_and_its_result_always_find_each_other(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    for round_number in range(ROUNDS):
        message, pmid = MessageFactory(owner=owner, queue=queue), f"p{round_number}"
        [call] = start(now)

        results = at_once([partial(settle, [result_of(call, pmid)], now), partial(receive, call, pmid, now)])

        message.refresh_from_db()
        assert (results, message.status) == ([[], None], "delivered")
        assert list(message.events.values_list("to_status", flat=True)) == ["sending", "sent", "delivered"]


def test_two_workers_that_get_the_same_id_lose_no_message(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    for round_number in range(ROUNDS):
        messages = MessageFactory.create_batch(2, owner=owner, queue=queue)
        pmid = f"p{round_number}"

        results = at_once([partial(settle, [result_of(call, pmid)], now) for call in start(now)])

        rows = Message.objects.filter(pk__in=[message.pk for message in messages])
        assert results == [[], []]
        assert list(rows.values_list("status", "provider_message_id")) == [("sent", pmid)] * 2


def test_the_sweep_and_a_late_result_settle_a_message_once(account, now) -> None:
    AccountFactory()
    owner, queue = UserFactory(), QueueFactory()
    later = now + LEASE
    for outcome in (None, Unavailable("down")) * (ROUNDS // 2):
        message = MessageFactory(owner=owner, queue=queue)
        calls = start(now)

        _, following = at_once(
            [partial(recovery.return_expired_claims, now=later), partial(settle, results_of(calls, outcome), later)]
        )

        message.refresh_from_db()
        open_attempts = DeliveryAttempt.objects.filter(message=message, outcome="calling").count()
        if outcome is None:
            assert (message.status, open_attempts, following) == ("sent", 0, [])
        elif following:
            assert (message.status, open_attempts, message.attempts) == ("sending", 1, 2)
        else:
            assert (message.status, open_attempts, message.attempts) == ("unknown", 0, 1)


def test_parallel_receipts_of_one_message_make_one_step(account, now) -> None:
    MessageFactory()
    [call] = start(now)
    settle([result_of(call, "p1")], now)

    def receive_as(word: str) -> None:
        report = StatusReport("p1", status=ReportedStatus.DELIVERED, raw_status=word)
        kept = receipts.record(account=account, body=word.encode(), report=report, attempt_id=None, now=now)
        receipts.apply(kept.pk, now=now)

    results = at_once([partial(receive_as, word) for word in ("a", "a", "b", "b", "c", "c")])

    assert results == [None] * 6
    assert MessageEvent.objects.filter(to_status="delivered").count() == 1
