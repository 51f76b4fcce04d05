"""A worker dies after the provider's response and before saving it: the result is found in Redis."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import DataError, IntegrityError, ProgrammingError, connection

from messaging.models import DeliveryAttempt, Message, MessageEvent
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch import Dispatcher, dispatcher, lost_results, result_cache
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.lost_results import GracePeriod
from messaging.services.outbound.dispatch.record_results import extend_cache
from messaging.services.outbound.dispatch.result_cache import CachedResult, CacheLookup
from messaging.services.outbound.dispatch.rounds import Round
from providers.errors import OutcomeUnknown, Unavailable
from providers.state import shared_state
from tests.database_faults import passing_faults
from tests.factories import AttemptFactory, MessageFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, InlineExecutor, result_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND = timedelta(seconds=1)


class WorkerDied(BaseException):
    pass


@pytest.fixture
def dies(monkeypatch, now) -> Callable[[Carrier], None]:
    """A worker that dies as soon as the carriers have responded."""

    def settle(*_args: object, **_more: object) -> None:
        raise WorkerDied

    def run(carrier: Carrier) -> None:
        monkeypatch.setattr(dispatcher, "settle", settle)
        worker = Dispatcher(
            concurrency=4, lease=LEASE, send=carrier, clock=lambda: now, executor_factory=InlineExecutor
        )
        with pytest.raises(WorkerDied):
            worker.run("express")

    return run


def sweep(now) -> int:
    return recovery.return_expired_claims(now=now)


def test_an_accepted_message_is_sent_with_the_id_and_the_time_of_the_response(account, now, dies) -> None:
    message = MessageFactory()
    dies(Carrier("p1"))

    assert sweep(now + LEASE) == 1

    message.refresh_from_db()
    attempt = message.delivery_attempts.get()
    assert (message.status, message.provider_message_id, message.sent_at) == ("sent", "p1", now)
    assert (message.claim_id, message.error_code) == (None, "")
    assert (attempt.outcome, attempt.provider_message_id, attempt.latency_ms) == ("accepted", "p1", 7)
    assert list(message.events.values_list("to_status", flat=True)) == ["sending", "sent"]


def test_a_result_without_an_id_and_one_with_spaces_are_kept_too(account, now, dies) -> None:
    unnamed = MessageFactory()
    dies(Carrier(""))
    sweep(now + LEASE)
    named = MessageFactory()
    dies(Carrier("id with spaces"))

    sweep(now + LEASE)

    for message, expected in ((unnamed, ""), (named, "id with spaces")):
        message.refresh_from_db()
        assert (message.status, message.provider_message_id) == ("sent", expected)


@pytest.mark.parametrize("error", [Unavailable("busy"), OutcomeUnknown("silence")])
def test_only_acceptances_are_cached(account, now, dies, error) -> None:
    message = MessageFactory()
    dies(Carrier(error))

    assert sweep(now + LEASE) == 1

    message.refresh_from_db()
    assert (message.status, message.error_code) == ("unknown", "worker_lost")


def test_a_worker_that_still_has_its_lease_is_left_alone(account, now, dies) -> None:
    message = MessageFactory()
    dies(Carrier("p1"))

    assert sweep(now + LEASE - SECOND) == 0

    message.refresh_from_db()
    assert message.status == "sending"


def test_a_message_without_a_cached_result_becomes_unknown(now) -> None:
    attempt = AttemptFactory(open=True, message__lease_until=now)

    assert sweep(now) == 1

    attempt.message.refresh_from_db()
    assert attempt.message.status == "unknown"


def test_an_id_that_cannot_be_encoded_does_not_prevent_other_results(now) -> None:
    good, bad = AttemptFactory(open=True), AttemptFactory(open=True)

    result_cache.put({bad.pk: CachedResult("half a pair: \ud800", now, 7), good.pk: CachedResult("p1", now, 7)})

    assert result_cache.get([bad.pk, good.pk]) == CacheLookup({good.pk: CachedResult("p1", now, 7)}, frozenset())


@pytest.mark.parametrize("fault", [DataError, IntegrityError, ProgrammingError, ValueError])
def test_a_result_that_cannot_be_settled_is_left_to_the_sweep_and_does_not_prevent_others(
    now, monkeypatch, caplog, fault
) -> None:
    good, bad = AttemptFactory(open=True, message__lease_until=now), AttemptFactory(open=True, message__lease_until=now)
    result_cache.put({bad.pk: CachedResult("p0", now, 7), good.pk: CachedResult("p1", now, 7)})
    real = lost_results.settle

    def settle(results, **options):
        if bad.pk in {result.attempt.attempt_id for result in results}:
            raise fault("value too long")
        return real(results, **options)

    monkeypatch.setattr(lost_results, "settle", settle)

    assert sweep(now) == 2

    good.message.refresh_from_db()
    bad.message.refresh_from_db()
    assert (good.message.status, good.message.provider_message_id) == ("sent", "p1")
    assert (bad.message.status, bad.message.error_code) == ("unknown", "worker_lost")
    assert sweep(now) == 0


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite writes any length into any column")
def test_a_sender_that_is_too_long_for_its_column_stops_no_sweep(now) -> None:
    config = {"url": "http://127.0.0.1:9/", "from_number": "A sender longer than sixteen"}
    attempt = AttemptFactory(open=True, message__lease_until=now, message__from_number="", provider__config=config)
    result_cache.put({attempt.pk: CachedResult("p0", now, 7)})

    assert sweep(now) == 1

    attempt.message.refresh_from_db()
    assert attempt.message.status == "unknown"


class TestManyClaims:
    """More than one chunk: a result is settled before its claim can be returned, wherever it is in the order."""

    @pytest.fixture(autouse=True)
    def _small_chunks(self, monkeypatch) -> None:
        monkeypatch.setattr(recovery, "CHUNK", 5)

    def test_all_messages_with_a_cached_result_are_sent(self, account, now) -> None:
        attempts = AttemptFactory.create_batch(23, open=True, provider=account, message__lease_until=now)
        result_cache.put({attempt.pk: CachedResult(f"p{attempt.pk}", now, 7) for attempt in attempts})

        assert sweep(now) == 23

        assert set(Message.objects.values_list("status", "error_code")) == {("sent", "")}

    def test_each_message_gets_the_status_that_is_known(self, account, now) -> None:
        attempts = AttemptFactory.create_batch(21, open=True, provider=account)
        for position, attempt in enumerate(attempts):
            Message.objects.filter(pk=attempt.message_id).update(lease_until=now - position * SECOND)
        waiting = MessageFactory.create_batch(7, sending=True, lease_until=now)
        accepted, silent = attempts[::3], [attempt for position, attempt in enumerate(attempts) if position % 3]
        result_cache.put({attempt.pk: CachedResult(f"p{attempt.pk}", now, 7) for attempt in accepted})

        assert sweep(now) == 28

        for status, ids in (
            ("sent", {attempt.message_id for attempt in accepted}),
            ("unknown", {attempt.message_id for attempt in silent}),
            ("queued", {message.pk for message in waiting}),
        ):
            assert set(Message.objects.filter(status=status).values_list("pk", flat=True)) == ids

    @pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
    def test_no_claim_of_a_chunk_is_returned_before_its_results_are_saved(
        self, account, now, monkeypatch, fault
    ) -> None:
        silent = AttemptFactory(open=True, provider=account, message__lease_until=now)
        accepted = AttemptFactory(open=True, provider=account, message__lease_until=now)
        result_cache.put({accepted.pk: CachedResult("p1", now, 7)})

        def unavailable(*_: object, **_more: object) -> None:
            raise fault

        with monkeypatch.context() as patched:
            patched.setattr(lost_results, "settle", unavailable)
            with pytest.raises(type(fault)):
                sweep(now)

        assert set(Message.objects.values_list("status", flat=True)) == {"sending"}
        sweep(now)
        statuses = dict(Message.objects.values_list("pk", "status"))
        assert statuses == {silent.message_id: "unknown", accepted.message_id: "sent"}

    @pytest.mark.django_db(transaction=True)
    def test_two_concurrent_sweeps_return_nothing_that_the_other_settles(self, account, express, now) -> None:
        attempts = AttemptFactory.create_batch(23, open=True, provider=account, message__lease_until=now)
        result_cache.put({attempt.pk: CachedResult(f"p{attempt.pk}", now, 7) for attempt in attempts})

        at_once([partial(sweep, now)] * 3)

        assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
        assert MessageEvent.objects.count() == 23


class TestRedisUnavailable:
    """Only Redis knows whether the messages were accepted, so open attempts wait for it during the grace period."""

    @pytest.fixture
    def seconds(self) -> list[float]:
        """The monotonic clock of the sweep's process."""
        return [1000.0]

    @pytest.fixture(autouse=True)
    def _own_grace_period(self, monkeypatch, seconds) -> None:
        sweep = partial(lost_results.settle_cached, grace=GracePeriod(lambda: seconds[0]))
        monkeypatch.setattr(recovery, "settle_cached", sweep)

    @pytest.fixture
    def redis_unavailable(self, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(shared_state, "ask", lambda _command, *, otherwise: otherwise)
            yield patched

    @pytest.fixture
    def accepted(self, now, account) -> DeliveryAttempt:
        attempt = AttemptFactory(open=True, provider=account, message__lease_until=now)
        result_cache.put({attempt.pk: CachedResult("p1", now, 7)})
        return attempt

    def status(self, attempt: DeliveryAttempt) -> str:
        return Message.objects.get(pk=attempt.message_id).status

    def test_a_message_without_an_attempt_is_queued_at_once(self, accepted, redis_unavailable, now) -> None:
        waiting = MessageFactory(sending=True, lease_until=now)

        assert sweep(now) == 1

        waiting.refresh_from_db()
        assert (waiting.status, self.status(accepted)) == ("queued", "sending")

    def test_when_redis_is_back_the_message_is_sent(self, accepted, redis_unavailable, now, seconds) -> None:
        sweep(now)
        seconds[0] += lost_results.GRACE_SECONDS - 1
        sweep(now)
        redis_unavailable.undo()

        sweep(now)

        assert self.status(accepted) == "sent"

    def test_after_the_grace_period_the_message_is_unknown(self, accepted, redis_unavailable, now, seconds) -> None:
        for _ in range(3):
            sweep(now)
            assert self.status(accepted) == "sending"
            seconds[0] += lost_results.GRACE_SECONDS / 3

        sweep(now)

        assert self.status(accepted) == "unknown"

    def test_an_earlier_outage_does_not_count(self, accepted, redis_unavailable, now, seconds) -> None:
        sweep(now)
        seconds[0] += lost_results.GRACE_SECONDS * 10

        sweep(now)

        assert self.status(accepted) == "sending"


class TestHeld:
    """A living worker could not save its results yet, because the database is unavailable."""

    @pytest.fixture
    def refused(self, now, account) -> DeliveryAttempt:
        attempt = AttemptFactory(open=True, provider=account, message__lease_until=now)
        call = Attempt(attempt.pk, 1, attempt.message, account, Round(attempt.claim_id, frozenset({account.slug})))
        extend_cache([result_of(call, Unavailable("busy"))], now=now)
        return attempt

    def test_the_sweep_waits_for_these_results_only(self, refused, now) -> None:
        other = AttemptFactory(open=True, message__lease_until=now)

        assert sweep(now) == 1

        refused.message.refresh_from_db()
        other.message.refresh_from_db()
        assert (refused.message.status, other.message.status) == ("sending", "unknown")

    def test_when_the_mark_is_not_renewed_the_message_is_unknown(self, refused, now) -> None:
        key = f"{result_cache.KEY}{refused.pk}"
        assert 0 < shared_state.ask(lambda client: client.ttl(key), otherwise=0) <= result_cache.HELD_SECONDS
        shared_state.ask(lambda client: client.delete(key), otherwise=0)

        assert sweep(now) == 1

        refused.message.refresh_from_db()
        assert refused.message.status == "unknown"


def test_only_ids_and_times_are_in_redis(account, now, dies) -> None:
    message = MessageFactory(text="Your code is 271828")
    dies(Carrier("p1"))

    kept = shared_state.ask(lambda client: client.mget(client.keys(f"{result_cache.KEY}*")), otherwise=[])

    assert kept == [f"{now.isoformat()} 7 p1"]
    keys = shared_state.ask(lambda client: client.keys(f"{result_cache.KEY}*"), otherwise=[])
    assert keys == [f"{result_cache.KEY}{message.delivery_attempts.get().pk}"]
    assert 0 < shared_state.ask(lambda client: client.ttl(keys[0]), otherwise=0) <= result_cache.KEPT_SECONDS


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_sweeps_save_each_result_once(account, express, now) -> None:
    attempts = AttemptFactory.create_batch(12, open=True, provider=account, message__lease_until=now)
    result_cache.put({attempt.pk: CachedResult(f"p{attempt.pk}", now, 7) for attempt in attempts})

    at_once([partial(sweep, now)] * 4)

    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
    assert set(DeliveryAttempt.objects.values_list("outcome", flat=True)) == {"accepted"}
    assert MessageEvent.objects.count() == 12
