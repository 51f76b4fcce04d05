"""What the results of calls do to budgets: exact, in one order of locks, and for the sending that they are about."""

import pytest
from django.db import connection

from messaging.models import Message
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle
from messaging.services.outbound.retry import retry
from messaging.services.outbound.submit import submit_many
from messaging.states import Status
from providers.errors import OutcomeUnknown, Rejected
from tests.factories import NOW, AccountFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.costs.conftest import draft, send, used
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, result_of

ROUNDS = 15


def start():
    return start_attempts(claim(queue_name="express", limit=16, now=NOW, lease=LEASE), now=NOW, lease=LEASE)


def finish(*results) -> None:
    settle(list(results), now=NOW, lease=LEASE, position=lambda: MIDDLE)


@pytest.fixture
def priced(owner) -> None:
    config = {"url": "http://127.0.0.1:9/", "currency": "EUR"}
    AccountFactory(slug="cheap", config={**config, "price_per_segment": {"+": "0.05"}})
    AccountFactory(
        slug="dear", weight=1, config={**config, "price_per_segment": {"+": "0.5"}, "denied_prefixes": ["+99"]}
    )


@pytest.mark.django_db
def test_a_late_acceptance_does_not_spend_what_a_retry_has_taken(owner, budget) -> None:
    AccountFactory()
    day = budget(5)
    message = send(owner).message
    [call] = start()
    finish(result_of(call, OutcomeUnknown("lost")))
    retry(message_id=message.pk, reason="x", actor=owner, now=NOW)
    assert used(day) == 2

    finish(result_of(call, "p1"))
    cancel(message_id=message.pk, actor=owner, now=NOW)

    assert used(day) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_acceptances_and_refusals_of_one_batch_lock_counters_as_new_messages_do(owner, budget, priced) -> None:
    segments, money = budget(100_000), budget(100_000, currency="EUR")
    assert segments.pk < money.pk

    def send_batches() -> None:
        for _ in range(ROUNDS * 3):
            submit_many(
                owner=owner, drafts=[draft(to=f"+14155553{n:03}") for n in range(8)], default_queue="express", now=NOW
            )

    def settle_batches() -> None:
        for _ in range(ROUNDS):
            calls = start()
            finish(*[result_of(call, "p" if n % 2 else Rejected("no", code="no")) for n, call in enumerate(calls)])

    for number in range(100):
        send(owner, to=f"+14155552{number:03}")
    results = at_once([send_batches, send_batches, settle_batches])

    assert results == [None] * 3
    assert Message.objects.filter(status=Status.FAILED).exists()
