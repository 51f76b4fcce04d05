"""Receipts at the address of their attempt, at the same moment as each other, results and sweeps."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction

from messaging.models import Message, MessageEvent, ProviderCallback
from messaging.services.outbound import receipts, recovery
from providers.contract.callbacks import ReportedStatus, StatusReport
from tests.factories import MessageFactory, QueueFactory, UserFactory
from tests.messaging.parallel import TIMEOUT, at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of
from tests.messaging.services.outbound.dispatch.test_settle import settle, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("express")]
ROUNDS = 15
R = ReportedStatus


def receive(call, now, reported: ReportedStatus = R.DELIVERED, pmid: str = "p1") -> list[str]:
    report = StatusReport(pmid, status=reported, raw_status=reported)
    body = f"{pmid} {reported}".encode()
    return receipts.ingest([report], account=call.account, body=body, attempt_id=call.attempt_id, now=now)


def steps(message) -> list[str]:
    return list(
        MessageEvent.objects.filter(message=message, to_status__in=["delivered", "failed"]).values_list(
            "to_status", flat=True
        )
    )


def test_identical_receipts_are_stored_and_applied_once(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    for _ in range(ROUNDS):
        message = MessageFactory(owner=owner, queue=queue)
        [call] = start(now)
        settle([result_of(call, "p1")], now)

        results = at_once([partial(receive, call, now)] * 4)

        assert results == [["applied"]] * 4
        assert (steps(message), ProviderCallback.objects.filter(message=message).count()) == (["delivered"], 1)


def test_different_receipts_have_the_same_end_in_every_order(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    for _ in range(ROUNDS):
        message = MessageFactory(owner=owner, queue=queue)
        [call] = start(now)
        settle([result_of(call, "p1")], now)

        results = at_once([partial(receive, call, now, reported) for reported in (R.SENT, R.FAILED, R.DELIVERED)])

        message.refresh_from_db()
        assert (message.status, message.error_code) == ("delivered", "")
        states = {callback.reported: callback.state for callback in ProviderCallback.objects.filter(message=message)}
        assert results == [[states[reported]] for reported in (R.SENT, R.FAILED, R.DELIVERED)]
        assert (states[R.SENT], states[R.DELIVERED]) == ("ignored", "applied")


def test_a_receipt_and_its_result_both_hold(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    for _ in range(ROUNDS):
        message = MessageFactory(owner=owner, queue=queue)
        [call] = start(now)

        results = at_once([partial(settle, [result_of(call, "p1")], now), partial(receive, call, now)])

        message.refresh_from_db()
        assert results == [[], ["applied"]]
        assert (message.status, message.provider_message_id, message.claim_id) == ("delivered", "p1", None)
        assert steps(message) == ["delivered"]


def test_the_receipts_of_a_batch_and_its_results_do_not_block_each_other(account, now) -> None:
    """Settling locks many messages, in the order of their keys; each receipt locks one."""
    owner, queue = UserFactory(), QueueFactory()
    for _ in range(5):
        messages = MessageFactory.create_batch(8, owner=owner, queue=queue)
        calls = start(now)

        def receive_all(calls=calls[::-1]) -> list[list[str]]:
            return [receive(call, now, pmid=str(call.attempt_id)) for call in calls]

        results = at_once(
            [partial(settle, [result_of(call, str(call.attempt_id)) for call in calls], now), receive_all, receive_all]
        )

        assert results == [[], [["applied"]] * 8, [["applied"]] * 8]
        rows = Message.objects.filter(pk__in=[message.pk for message in messages])
        assert set(rows.values_list("status", flat=True)) == {"delivered"}
        assert MessageEvent.objects.filter(message__in=rows, to_status="delivered").count() == 8


def test_a_receipt_and_the_sweep_of_its_claim_both_hold(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    later = now + LEASE + timedelta(seconds=1)
    for _ in range(ROUNDS):
        message = MessageFactory(owner=owner, queue=queue)
        [call] = start(now)

        _, state = at_once([partial(recovery.return_expired_claims, now=later), partial(receive, call, later)])

        message.refresh_from_db()
        assert (state, message.status, steps(message)) == (["applied"], "delivered", ["delivered"])


def test_a_receipt_and_the_sweep_of_parked_ones_apply_it_once(account, now) -> None:
    owner, queue = UserFactory(), QueueFactory()
    for _ in range(ROUNDS):
        message = MessageFactory(owner=owner, queue=queue)
        [call] = start(now)
        settle([result_of(call, "p1")], now)
        report = StatusReport("p1", status=R.DELIVERED, raw_status=R.DELIVERED)
        body = f"p1 {R.DELIVERED}".encode()
        receipts.record(account=account, body=body, report=report, attempt_id=call.attempt_id, now=now)

        _, state = at_once([partial(receipts.sweep_parked, now=now), partial(receive, call, now)])

        assert (state, steps(message)) == (["applied"], ["delivered"])
        assert ProviderCallback.objects.filter(message=message).count() == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks of rows")
def test_a_receipt_is_stored_while_another_transaction_has_its_message(account, now) -> None:
    message = MessageFactory()
    [call] = start(now)
    settle([result_of(call, "p1")], now)
    stored, states = threading.Event(), []

    def hold() -> None:
        with transaction.atomic():
            Message.objects.select_for_update().get(pk=message.pk)
            waiting.set()
            stored.wait(TIMEOUT)

    def wait_for_it() -> None:
        waiting.wait(TIMEOUT)
        receiver = threading.Thread(target=receive_in_thread)
        receiver.start()
        while not ProviderCallback.objects.exists():
            threading.Event().wait(0.01)
        states.append(ProviderCallback.objects.values_list("state", flat=True).get())
        stored.set()
        receiver.join(TIMEOUT)

    def receive_in_thread() -> None:
        try:
            states.extend(receive(call, now))
        finally:
            connection.close()

    waiting = threading.Event()
    at_once([hold, wait_for_it])

    message.refresh_from_db()
    assert (states, message.status) == (["unmatched", "applied"], "delivered")
