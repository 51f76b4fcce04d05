"""The counts match the rows, after any sequence of changes and compactions."""

import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Count, QuerySet

from messaging import states
from messaging.models import CountJournal, DeliveryAttempt, Message, PhoneNumber, ProviderCallback, Rollup
from messaging.models.rollup import EVER
from messaging.services import transitions
from messaging.services.outbound import bulk_insert, receipts, recovery
from messaging.services.outbound.bulk_insert import Variant
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle
from messaging.services.outbound.retry import retry
from messaging.services.outbound.submit import MessageInput, submit_many
from messaging.services.reporting import rollups, statistics
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition
from messaging.states import Source, Status, can_transition
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import RecipientInvalid, Unavailable
from tests.factories import AccountFactory, AttemptFactory, MessageFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, result_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
Metric = Rollup.Metric


def counted(metric: Metric, **where) -> dict[str, int]:
    """All-time counts by word."""
    found = Counter()
    for total in statistics.totals(metrics=(metric,), **where):
        found[total.word] += total.count
    return dict(found)


def words(rows, name: str) -> dict[str, int]:
    return dict(rows.order_by().values_list(name).annotate(total=Count("pk")))


def assert_counts_are_true() -> None:
    """Compare with the rows of three tables, for all owners and for each."""
    for owner_id in (None, *Message.objects.order_by().values_list("owner_id", flat=True).distinct()):
        messages = Message.objects.all() if owner_id is None else Message.objects.filter(owner=owner_id)
        existing = {status: count for status, count in statistics.current(owner_id=owner_id).items() if count}
        assert existing == words(messages, "status")
    histories = [transitions.history(message) for message in Message.objects.all()]
    assert counted(Metric.ENTERED) == Counter(event.to_status for history in histories for event in history)
    # An attempt that was swept and then got a result has two outcomes: counters never decrease.
    outcomes = counted(Metric.ATTEMPT)
    assert outcomes.pop("unknown", 0) >= DeliveryAttempt.objects.filter(outcome="unknown").count()
    assert outcomes == words(DeliveryAttempt.objects.exclude(outcome__in=["calling", "unknown"]), "outcome")
    assert counted(Metric.CALLBACK) == words(ProviderCallback.objects.exclude(state="unmatched"), "state")


def submit(owner, count: int, now: datetime) -> list[Message]:
    drafts = [MessageInput(to=f"+1415555{index:04d}", text="hello", valid_for=14_400) for index in range(count)]
    return submit_many(owner=owner, drafts=drafts, default_queue="express", now=now)


def interrupt(function: Callable[[], Any]) -> None:
    """Run the function and roll its transaction back."""
    with transaction.atomic():
        function()
        transaction.set_rollback(True)


class Walk:
    """A simulated system: each step is one possible change, in random order."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.random = random.Random(seed)
        self.now = now
        self.owners = UserFactory.create_batch(2)
        self.accounts = [AccountFactory(slug=slug) for slug in ("acme", "zeta")]
        self.calls: list = []

    def step(self) -> None:
        steps = (self.submit, self.claim, self.settle, self.receive, self.retry, self.recover, self.purge, self.compact)
        self.now += timedelta(minutes=self.random.randint(0, 20))
        self.random.choice(steps)()

    def some(self, rows: QuerySet, limit: int) -> list:
        found = list(rows.order_by("pk"))
        return self.random.sample(found, min(limit, len(found)))

    def submit(self) -> None:
        submit(self.random.choice(self.owners), self.random.randint(1, 5), self.now)

    def claim(self) -> None:
        claimed = claim(queue_name="express", limit=self.random.randint(1, 4), now=self.now, lease=LEASE)
        self.calls += start_attempts(claimed, now=self.now, lease=LEASE)

    def settle(self) -> None:
        """Settle some calls, expired or not, and some of them twice."""
        chosen = self.random.sample(self.calls, self.random.randint(0, len(self.calls)))
        outcomes = (None, None, Unavailable("busy"), RecipientInvalid("no such number"))
        results = [result_of(call, self.random.choice(outcomes)) for call in chosen]
        for _ in range(self.random.randint(1, 2)):
            self.calls += settle(results, now=self.now, lease=LEASE, position=lambda: MIDDLE)
        self.calls = [call for call in self.calls if call not in chosen]

    def receive(self) -> None:
        for attempt in self.some(DeliveryAttempt.objects.exclude(provider_message_id=""), 3):
            word = self.random.choice([ReportedStatus.DELIVERED, ReportedStatus.SENT, ReportedStatus.FAILED])
            report = StatusReport(provider_message_id=attempt.provider_message_id, status=word, raw_status=word)
            body = f"{attempt.pk} {word}".encode()
            kept = receipts.record(account=attempt.provider, body=body, report=report, attempt_id=None, now=self.now)
            receipts.apply(kept.pk, now=self.now)
        receipts.record(account=self.accounts[0], body=b"nonsense", report=None, attempt_id=None, now=self.now)

    def retry(self) -> None:
        for message in self.some(Message.objects.filter(status__in=states.RETRYABLE), 1):
            PhoneNumber.objects.filter(number=message.to_number).update(status=PhoneNumber.Status.ACTIVE)
            retry(message_id=message.pk, reason="again", actor=self.owners[0], now=self.now)

    def recover(self) -> None:
        recovery.release_due(now=self.now)
        recovery.return_expired_claims(now=self.now)
        recovery.expire(now=self.now)

    def purge(self) -> None:
        recovery.purge(now=self.now)

    def compact(self) -> None:
        if self.random.random() < 0.5:
            interrupt(rollups.compact)
        rollups.compact()


@pytest.mark.parametrize("seed", range(12))
def test_after_any_steps_the_sums_match_the_rows(seed: int, now) -> None:
    QueueFactory()
    walk = Walk(seed, now)

    for _ in range(60):
        walk.step()

    assert Message.objects.count() > 5
    assert_counts_are_true()


@pytest.mark.parametrize("seed", range(6))
def test_after_any_legal_transitions_and_deletions_the_sums_match_the_rows(seed: int, now) -> None:
    chance = random.Random(seed)
    QueueFactory()
    messages = submit(UserFactory(), 12, now)
    for _ in range(12):
        message = chance.choice(messages)
        before = Status(message.status)
        by_operator = before in states.RETRYABLE and chance.random() < 0.5
        targets = [status for status in Status if can_transition(before, status, by_operator=by_operator)]
        if targets:
            message.claim_id, message.lease_until = message.pk, now + HOUR
            message.delivered_at = now
            transition = Transition(message, chance.choice(targets), Source.DISPATCH, by_operator=by_operator)
            transitions.apply([transition], now=now, fields=["delivered_at"])
        elif len(messages) > 2:
            messages.remove(message)
            counters = CounterBatch()
            counters.removed(message.owner_id, message.status, count=1, now=now)
            counters.write()
            message.delete()
        if chance.random() < 0.2:
            rollups.compact()

    current = {status: count for status, count in statistics.current().items() if count}
    assert current == words(Message.objects, "status")


def test_a_bulk_insert_is_one_row(now) -> None:
    owner = UserFactory()
    prototype = MessageFactory.build(owner=owner, queue=QueueFactory(), run_id=None)
    variants = [Variant(f"+1415555{index:04d}", "hello", "gsm7", 1) for index in range(50)]

    bulk_insert.store(prototype, variants, source=Source.SCHEDULE)

    [row] = CountJournal.objects.all()
    assert json.loads(row.counts) == [
        [int(rollups.hour_of(prototype.created_at).timestamp()), "entered", owner.pk, "", "queued", 50, 0.0]
    ]
    assert_counts_are_true()


def test_an_empty_bulk_insert_is_no_row() -> None:
    bulk_insert.store(MessageFactory.build(owner=UserFactory(), queue=QueueFactory()), [], source=Source.SCHEDULE)

    assert not CountJournal.objects.exists()


def test_a_transaction_of_any_number_of_keys_is_one_row_and_one_statement(now, django_assert_num_queries) -> None:
    message, counters = MessageFactory(sending=True), CounterBatch()
    counters.removed(message.owner_id, "sent", count=1, now=now)
    counters.moved(message, Status.QUEUED, now=now)
    counters.attempted("acme", "accepted", now=now, latency_ms=100)

    with django_assert_num_queries(1):
        counters.write()

    assert [row.counts for row in CountJournal.objects.all()] == [counters.dumps()]
    assert len(json.loads(counters.dumps())) == 5


def test_no_counts_are_no_text_and_no_statement(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        CounterBatch().write()

    assert CounterBatch().dumps() == ""


def test_a_rolled_back_change_is_not_counted(now) -> None:
    QueueFactory()

    interrupt(lambda: submit(UserFactory(), 3, now))

    assert statistics.current()[Status.QUEUED] == 0


def test_compacting_leaves_one_row_for_each_hour_and_one_for_all_time(now) -> None:
    QueueFactory()
    owner = UserFactory()
    for minutes in (0, 10, 70):
        submit(owner, 2, now + timedelta(minutes=minutes))

    assert rollups.compact() == 3

    rows = Rollup.objects.order_by("hour").values_list("hour", "count")
    assert list(rows) == [(EVER, 6), (now, 4), (now + HOUR, 2)]
    assert not CountJournal.objects.exists()
    assert rollups.compact() == 0


def test_compacting_adds_to_earlier_totals(now) -> None:
    QueueFactory()
    owner = UserFactory()

    for _ in range(3):
        submit(owner, 2, now)
        rollups.compact()

    assert list(Rollup.objects.order_by("hour").values_list("hour", "count")) == [(EVER, 6), (now, 6)]


def test_compacting_continues_until_nothing_is_left(now, monkeypatch) -> None:
    monkeypatch.setattr(rollups, "CHUNK", 3)
    QueueFactory()
    owner = UserFactory()
    for _ in range(8):
        submit(owner, 1, now)

    assert rollups.compact() == 8

    assert counted(Metric.ENTERED) == {"queued": 8}
    assert not CountJournal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_concurrent_compactions_and_writers_lose_nothing(now) -> None:
    QueueFactory()
    owner = UserFactory()
    for _ in range(30):
        submit(owner, 1, now)

    def write() -> None:
        for _ in range(10):
            submit(owner, 1, now)

    results = at_once([rollups.compact, rollups.compact, rollups.compact, write, write])

    assert [result for result in results if isinstance(result, Exception)] == []
    rollups.compact()
    assert counted(Metric.ENTERED) == {"queued": 50}
    assert Rollup.objects.count() == 2


def test_old_hours_are_purged_and_all_time_totals_stay(now) -> None:
    QueueFactory()
    owner = UserFactory()
    submit(owner, 2, now - timedelta(days=401))
    submit(owner, 3, now)
    rollups.compact()

    rollups.purge(now=now)

    assert list(Rollup.objects.order_by("hour").values_list("hour", "count")) == [(EVER, 5), (now, 3)]


def test_calls_and_results_are_counted_by_provider_and_duration(account, now) -> None:
    QueueFactory()
    submit(UserFactory(), 2, now)
    calls = start_attempts(claim(queue_name="express", limit=9, now=now, lease=LEASE), now=now, lease=LEASE)

    settle(
        [result_of(calls[0]), result_of(calls[1], RecipientInvalid("no"))],
        now=now + HOUR / 60,
        lease=LEASE,
        position=float,
    )

    found = {(total.metric, total.provider_slug, total.word): total.count for total in statistics.totals()}
    assert found == {
        ("attempt", "acme", "accepted"): 1,
        ("attempt", "acme", "rejected"): 1,
        ("call", "acme", "0.05"): 2,
        ("entered", "", "queued"): 2,
        ("entered", "", "sending"): 2,
        ("entered", "acme", "sent"): 1,
        ("entered", "acme", "failed"): 1,
        ("left", "", "queued"): 2,
        ("left", "", "sending"): 2,
        ("to_sent", "acme", "60"): 1,
    }


def test_the_waiting_time_of_a_scheduled_message_begins_when_it_is_due(now) -> None:
    message = MessageFactory(sending=True, send_at=now + HOUR, expires_at=now + 2 * HOUR)

    transitions.apply([Transition(message, Status.SENT, Source.DISPATCH)], now=now + HOUR + timedelta(seconds=3))

    [total] = statistics.totals(metrics=(Metric.TO_SENT,))
    assert (total.word, total.seconds) == ("5", 3.0)


def test_different_clocks_give_no_negative_duration(now) -> None:
    message = MessageFactory(sending=True, created_at=now + HOUR)

    transitions.apply([Transition(message, Status.SENT, Source.DISPATCH)], now=now)

    [total] = statistics.totals(metrics=(Metric.TO_SENT,))
    assert (total.word, total.seconds) == ("0.05", 0.0)


def test_a_result_after_the_sweep_is_counted_too(account, now) -> None:
    QueueFactory()
    submit(UserFactory(), 1, now)
    calls = start_attempts(claim(queue_name="express", limit=9, now=now, lease=LEASE), now=now, lease=LEASE)
    recovery.return_expired_claims(now=now + HOUR)

    for _ in range(2):
        settle([result_of(calls[0])], now=now + HOUR, lease=LEASE, position=float)

    assert counted(Metric.ATTEMPT) == {"unknown": 1, "accepted": 1}


def test_an_unsettled_attempt_is_counted_when_it_is_closed(now) -> None:
    AttemptFactory(open=True, message=MessageFactory(delivered=True), claim_id=MessageFactory().pk)

    assert recovery.close_orphaned_attempts(now=now + HOUR) == 1

    assert counted(Metric.ATTEMPT) == {"unknown": 1}


def test_the_same_malformed_callback_twice_is_counted_once(account, now) -> None:
    for _ in range(2):
        receipts.record(account=account, body=b"?", report=None, attempt_id=None, now=now)

    assert counted(Metric.CALLBACK) == {"malformed": 1}
