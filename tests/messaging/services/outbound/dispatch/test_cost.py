"""What a message costs in statements when the queue is full, and how first attempts share the transaction of their claim."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import DeliveryAttempt, Message, MessageEvent
from messaging.services.outbound import dispatch
from messaging.services.outbound.dispatch import attempts
from messaging.services.outbound.dispatch.attempts import FirstAttempts
from messaging.services.outbound.dispatch.claim import claim
from providers.state import circuit_breaker, shared_state
from tests.factories import NOW, AccountFactory, AttemptFactory, MessageFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher
from tests.messaging.services.outbound.dispatch.test_dispatcher import statuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
CONCURRENCY = 32
A = "+14155550101"


def claimed_with_attempts(limit: int = 16, now=NOW) -> tuple[list[attempts.Attempt], list[Message]]:
    first = FirstAttempts(now=now, lease=LEASE)
    return first.after(claim(queue_name="express", limit=limit, now=now, lease=LEASE, first=first))


def statements(queries: CaptureQueriesContext) -> list[str]:
    ignored = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    return [query["sql"] for query in queries if not query["sql"].startswith(ignored)]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has statements of its own")
def test_a_full_queue_costs_at_most_half_a_statement_for_each_message(account) -> None:
    owner = UserFactory()
    MessageFactory.create_batch(4 * CONCURRENCY, owner=owner)

    with CaptureQueriesContext(connection) as queries:
        assert dispatcher(Carrier(), concurrency=CONCURRENCY).run("express") == 4 * CONCURRENCY

    assert statuses() == {"sent": 4 * CONCURRENCY}
    assert len(statements(queries)) / (4 * CONCURRENCY) <= 0.5


def test_a_claim_writes_each_message_once_with_its_attempt(account) -> None:
    MessageFactory.create_batch(3)

    with CaptureQueriesContext(connection) as queries:
        started, others = claimed_with_attempts()

    assert (len(started), others) == (3, [])
    assert sum(sql.count('UPDATE "messaging_message"') for sql in statements(queries)) == 1
    for call in started:
        message, attempt = Message.objects.get(pk=call.message.pk), DeliveryAttempt.objects.get(pk=call.attempt_id)
        assert (message.status, message.attempts, message.provider, message.lease_until) == (
            "sending",
            1,
            account,
            NOW + LEASE,
        )
        assert (attempt.outcome, attempt.claim_id, attempt.number) == ("calling", message.claim_id, 1)
        assert (call.round.claim_id, call.round.tried) == (message.claim_id, {account.slug})
        assert call.message.queue is not None


def test_the_cost_of_a_claim_with_attempts_does_not_grow_with_the_batch(account) -> None:
    MessageFactory.create_batch(40)

    costs = []
    for limit in (5, 20):
        with CaptureQueriesContext(connection) as queries:
            assert len(claimed_with_attempts(limit=limit)[0]) == limit
        costs.append(len(queries))

    assert costs[0] == costs[1]


class TestWithoutAnAttempt:
    """Messages whose account is chosen with a word of Redis, which must not be asked within a transaction."""

    def test_a_rate_limited_account(self) -> None:
        AccountFactory(config={"url": "http://127.0.0.1:9/", "max_per_second": 5})
        self.is_left(MessageFactory())

    def test_a_rate_limited_account_beside_another(self, account) -> None:
        AccountFactory(config={"url": "http://127.0.0.1:9/", "max_per_second": 5})
        self.is_left(MessageFactory())

    def test_a_half_open_circuit(self, account) -> None:
        until = (NOW - timedelta(seconds=1)).timestamp()
        shared_state.ask(
            lambda client: client.hset(circuit_breaker.circuit_key(account.slug), "until", until), otherwise=None
        )
        self.is_left(MessageFactory())

    def test_no_account(self) -> None:
        self.is_left(MessageFactory())

    def is_left(self, message: Message) -> None:
        started, others = claimed_with_attempts()

        assert (started, others) == ([], [message])
        message.refresh_from_db()
        assert (message.status, message.attempts) == ("sending", 0)
        assert not DeliveryAttempt.objects.exists()


def test_a_limited_account_that_cannot_carry_the_message_does_not_matter(account) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "max_per_second": 5, "allowed_prefixes": ["+49"]})
    MessageFactory(to_number=A)

    [call], others = claimed_with_attempts()

    assert (call.account, others) == (account, [])


def test_an_account_that_refused_the_message_gets_no_further_attempt(account) -> None:
    other = AccountFactory(slug="other")
    message = MessageFactory(attempts=1)
    AttemptFactory(message=message, provider=account, outcome="rejected")

    [call], _ = claimed_with_attempts()

    assert (call.account, call.number) == (other, 2)


@pytest.fixture
def failing_second_claim(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first message of the claim is refused, so that it claims once more."""
    real, calls = FirstAttempts.write, []

    def write(first: FirstAttempts, claimed: list[Message]) -> None:
        calls.append(claimed)
        if len(calls) > 1:
            raise RuntimeError("no more")
        real(first, claimed)

    monkeypatch.setattr(FirstAttempts, "write", write)
    yield
    assert len(calls) > 1


@pytest.mark.usefixtures("failing_second_claim")
def test_attempts_that_are_written_are_made_though_the_claim_fails_then(account) -> None:
    MessageFactory(expires_at=NOW)
    MessageFactory.create_batch(2)
    first = FirstAttempts(now=NOW, lease=LEASE)

    claimed = claim(queue_name="express", limit=2, now=NOW, lease=LEASE, first=first)
    started, others = first.after(claimed)

    assert (len(started), others) == (1, [])
    assert DeliveryAttempt.objects.count() == 1
    assert sorted(Message.objects.values_list("status", flat=True)) == ["failed", "queued", "sending"]


def test_an_attempt_of_a_claim_that_was_rolled_back_is_not_made(account, monkeypatch) -> None:
    MessageFactory()

    def fails(*_: object, **_more: object) -> None:
        raise RuntimeError("the transaction fails after the attempt")

    first = FirstAttempts(now=NOW, lease=LEASE)
    with monkeypatch.context() as patched:
        patched.setattr("messaging.services.outbound.dispatch.claim.transitions.apply", fails)
        with pytest.raises(RuntimeError):
            claim(queue_name="express", limit=1, now=NOW, lease=LEASE, first=first)

    assert first.after([]) == ([], [])
    assert statuses() == {"queued": 1}
    assert not DeliveryAttempt.objects.exists()
    assert not MessageEvent.objects.exists()


def test_free_threads_get_calls_before_results_are_settled(account, monkeypatch) -> None:
    MessageFactory.create_batch(8)
    carrier, called = Carrier(), []
    real = dispatch.dispatcher.settle

    def settle(results, **options):
        called.append(len(carrier.calls))
        return real(results, **options)

    monkeypatch.setattr(dispatch.dispatcher, "settle", settle)
    dispatcher(carrier, concurrency=4).run("express")

    assert called == [8, 8]


def test_a_fault_of_one_part_of_a_claim_does_not_lose_the_other(account, monkeypatch) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "max_per_second": 5, "allowed_prefixes": ["+49"]})
    MessageFactory(to_number=A)
    MessageFactory(to_number="+4915112345678")

    def fails(*_: object, **_more: object) -> None:
        raise RuntimeError("no attempts")

    monkeypatch.setattr(dispatch.dispatcher, "start_attempts", fails)
    carrier = Carrier()

    dispatcher(carrier, clock=Clock(NOW)).run("express")

    assert [call.message.to_number for call in carrier.calls] == [A]
    assert statuses() == {"sent": 1, "sending": 1}
