"""A worker dies between the provider's answer and the database: the answer is found in Redis."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import DataError, IntegrityError, connection

from messaging.models import DeliveryAttempt, Message, MessageEvent
from messaging.services import recovery, sent_ids
from messaging.services.dispatch import Dispatcher, drain, recall, settle_remembered
from messaging.services.sent_ids import SentId
from providers import shared_state
from providers.errors import OutcomeUnknown, Unavailable
from tests.factories import AttemptFactory, MessageFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.dispatch.fakes import LEASE, Carrier, InlineExecutor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND = timedelta(seconds=1)


class WorkerDied(BaseException):
    pass


@pytest.fixture
def dies(monkeypatch, now) -> Callable[[Carrier], None]:
    """A worker that is gone as soon as the carriers have answered."""

    def settle(*_args: object, **_more: object) -> None:
        raise WorkerDied

    def run(carrier: Carrier) -> None:
        monkeypatch.setattr(drain, "settle", settle)
        worker = Dispatcher(
            concurrency=4, lease=LEASE, call=carrier, clock=lambda: now, executor_factory=InlineExecutor
        )
        with pytest.raises(WorkerDied):
            worker.drain("express")

    return run


def sweep(now) -> int:
    found = settle_remembered(now=now, lease=LEASE)
    recovery.return_expired_claims(now=now)
    return found


def test_an_accepted_message_is_sent_with_the_id_and_the_time_of_the_answer(account, now, dies) -> None:
    message = MessageFactory()
    dies(Carrier("p1"))

    assert sweep(now + LEASE) == 1

    message.refresh_from_db()
    attempt = message.delivery_attempts.get()
    assert (message.status, message.provider_message_id, message.sent_at) == ("sent", "p1", now)
    assert (message.claim_id, message.error_code) == (None, "")
    assert (attempt.outcome, attempt.provider_message_id, attempt.latency_ms) == ("accepted", "p1", 7)
    assert list(message.events.values_list("to_status", flat=True)) == ["sending", "sent"]


def test_an_answer_without_an_id_and_one_with_spaces_are_kept_too(account, now, dies) -> None:
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
def test_what_was_not_accepted_is_not_remembered(account, now, dies, error) -> None:
    message = MessageFactory()
    dies(Carrier(error))

    assert sweep(now + LEASE) == 0

    message.refresh_from_db()
    assert (message.status, message.error_code) == ("unknown", "worker_lost")


def test_a_worker_that_still_has_its_lease_is_left_alone(account, now, dies) -> None:
    message = MessageFactory()
    dies(Carrier("p1"))

    assert sweep(now + LEASE - SECOND) == 0

    message.refresh_from_db()
    assert message.status == "sending"


def test_a_message_that_was_not_remembered_is_unknown_as_ever(now) -> None:
    attempt = AttemptFactory(open=True, message__lease_until=now)

    assert sweep(now) == 0

    attempt.message.refresh_from_db()
    assert attempt.message.status == "unknown"


def test_an_id_that_cannot_be_written_takes_no_other_answer_along(now) -> None:
    good, bad = AttemptFactory(open=True), AttemptFactory(open=True)

    sent_ids.remember({bad.pk: SentId("half a pair: \ud800", now, 7), good.pk: SentId("p1", now, 7)})

    assert sent_ids.recall([bad.pk, good.pk]) == {good.pk: SentId("p1", now, 7)}


@pytest.mark.parametrize("fault", [DataError, IntegrityError])
def test_an_answer_that_cannot_be_settled_is_left_to_the_sweep_and_takes_no_other_along(
    now, monkeypatch, caplog, fault
) -> None:
    good, bad = AttemptFactory(open=True, message__lease_until=now), AttemptFactory(open=True, message__lease_until=now)
    sent_ids.remember({bad.pk: SentId("p0", now, 7), good.pk: SentId("p1", now, 7)})
    real = recall.settle

    def settle(answers, **options):
        if bad.pk in {answer.call.attempt_id for answer in answers}:
            raise fault("value too long")
        return real(answers, **options)

    monkeypatch.setattr(recall, "settle", settle)

    assert sweep(now) == 1

    good.message.refresh_from_db()
    bad.message.refresh_from_db()
    assert (good.message.status, good.message.provider_message_id) == ("sent", "p1")
    assert (bad.message.status, bad.message.error_code) == ("unknown", "worker_lost")
    assert sweep(now) == 0


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite writes any length into any column")
def test_a_sender_that_is_too_long_for_its_column_stops_no_sweep(now) -> None:
    config = {"url": "http://127.0.0.1:9/", "from_number": "A sender longer than sixteen"}
    attempt = AttemptFactory(open=True, message__lease_until=now, message__from_number="", provider__config=config)
    sent_ids.remember({attempt.pk: SentId("p0", now, 7)})

    assert sweep(now) == 0

    attempt.message.refresh_from_db()
    assert attempt.message.status == "unknown"


def test_while_redis_is_away_the_sweep_goes_on_without(now, monkeypatch) -> None:
    attempt = AttemptFactory(open=True, message__lease_until=now)
    sent_ids.remember({attempt.pk: SentId("p1", now, 7)})
    monkeypatch.setattr(shared_state, "ask", lambda _act, *, otherwise: otherwise)

    assert sweep(now) == 0

    attempt.message.refresh_from_db()
    assert attempt.message.status == "unknown"


def test_nothing_but_ids_and_times_lies_in_redis(account, now, dies) -> None:
    message = MessageFactory(text="Your code is 271828")
    dies(Carrier("p1"))

    kept = shared_state.ask(lambda client: client.mget(client.keys(f"{sent_ids.KEY}*")), otherwise=[])

    assert kept == [f"{now.isoformat()} 7 p1"]
    keys = shared_state.ask(lambda client: client.keys(f"{sent_ids.KEY}*"), otherwise=[])
    assert keys == [f"{sent_ids.KEY}{message.delivery_attempts.get().pk}"]
    assert 0 < shared_state.ask(lambda client: client.ttl(keys[0]), otherwise=0) <= sent_ids.KEPT_SECONDS


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_write_each_answer_down_once(account, express, now) -> None:
    attempts = AttemptFactory.create_batch(12, open=True, provider=account, message__lease_until=now)
    sent_ids.remember({attempt.pk: SentId(f"p{attempt.pk}", now, 7) for attempt in attempts})

    at_once([partial(sweep, now)] * 4)

    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}
    assert set(DeliveryAttempt.objects.values_list("outcome", flat=True)) == {"accepted"}
    assert MessageEvent.objects.count() == 12
