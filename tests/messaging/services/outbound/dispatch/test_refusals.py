"""Refusals of a text are no faults of the account, over real HTTP: the text fails at once, and the others flow."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.retry import retry
from providers.errors import OutOfCredit, RateLimited, Refused, Unavailable
from providers.models import ProviderAccount, ProviderEvent
from providers.state import account_state
from providers.state.account_state import CallResult
from providers.state.circuit_breaker import CLOSED, Circuit
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.factories import NOW, AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
BAD = [f"+1415556{number:04d}" for number in range(6)]
GOOD = [f"+1415557{number:04d}" for number in range(6)]


@pytest.fixture
def http() -> Iterator[FakeCarrier]:
    """A provider that refuses the numbers of `BAD` with the status in `refusal`, and accepts the others."""
    with closing(FakeCarrier()) as carrier:
        yield carrier


def refuse(carrier: FakeCarrier, status: int, numbers=BAD) -> None:
    def play(self: FakeCarrier, connection) -> None:
        to = json.loads(self.received[-1].body)["to"]
        reply = answer(status, b"no") if to in numbers else answer(200, {"message_id": f"id-{to}"})
        reply(self, connection)

    carrier.play = play


def states(numbers) -> set[tuple]:
    return set(Message.objects.filter(to_number__in=numbers).values_list("status", "error_code", "attempts"))


def state_of(slug: str) -> account_state.AccountState:
    return account_state.fetch([slug], now=NOW)[slug]


# --- Over HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 422])
def test_six_refused_recipients_fail_at_once_and_the_others_flow(http: FakeCarrier, status: int) -> None:
    refuse(http, status)
    AccountFactory(slug="acme", config={"url": http.url})
    for bad, good in zip(BAD, GOOD, strict=True):
        MessageFactory(to_number=bad)
        MessageFactory(to_number=good)

    dispatcher(None, concurrency=1).run("express")

    assert states(BAD) == {("failed", "provider_refused", 1)}
    assert states(GOOD) == {("sent", "", 1)}
    assert set(Message.objects.filter(status="failed").values_list("error_detail", "rounds_failed")) == {
        (f"the provider answered {status}", 0)
    }
    assert (state_of("acme").circuit, state_of("acme").factor) == (CLOSED, 1.0)
    assert not ProviderEvent.objects.exists()


def test_credit_that_has_run_out_opens_the_circuit_after_five_recipients(http: FakeCarrier, caplog) -> None:
    refuse(http, 402)
    AccountFactory(slug="acme", config={"url": http.url})
    for number in BAD:
        MessageFactory(to_number=number)

    with caplog.at_level(logging.ERROR):
        dispatcher(None, concurrency=1).run("express")

    assert states(BAD[:5]) == {("failed", "provider_credit", 1)}
    assert states(BAD[5:]) == {("queued", "waiting_for_provider", 0)}
    assert state_of("acme").circuit.at(NOW.timestamp()) is Circuit.OPEN
    event = ProviderEvent.objects.get()
    assert (event.kind, event.detail) == ("needs_operator", "provider_credit: the provider answered 402")
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "account acme needs an operator" in record.getMessage()
    assert not [number for number in BAD if number.removeprefix("+") in caplog.text]


def test_an_account_that_refuses_nearly_all_alerts_once_and_is_used_as_before(http: FakeCarrier, caplog) -> None:
    numbers = [f"+1415558{number:04d}" for number in range(40)]
    refuse(http, 400, numbers)
    AccountFactory(slug="acme", config={"url": http.url})
    for number in numbers:
        MessageFactory(to_number=number)

    with caplog.at_level(logging.ERROR):
        dispatcher(None).run("express")

    assert states(numbers) == {("failed", "provider_refused", 1)}
    assert (state_of("acme").refuses_many, state_of("acme").circuit) == (True, CLOSED)
    event = ProviderEvent.objects.get()
    assert (event.kind, event.detail) == ("many_refused", "provider_refused: the provider answered 400")
    [record] = caplog.records
    assert record.getMessage().startswith("account acme refuses nearly all recipients")


# --- Accounts and rounds ----------------------------------------------------------------------------------------------


NO, DOWN = Refused("not this text", code="http_418"), Unavailable("down")


@pytest.fixture
def accounts() -> None:
    """`first` is chosen before `second`."""
    AccountFactory(slug="first", weight=1000)
    AccountFactory(slug="second", weight=1)


@pytest.fixture
def message(accounts, express) -> Message:
    express.routing_strategy = "failover"
    express.save()
    return MessageFactory()


def run(carrier: Carrier, clock: Clock) -> Message:
    recovery.release_due(now=clock())
    dispatcher(carrier, clock=clock).run("express")
    return Message.objects.get()


def outcomes() -> list[tuple]:
    return list(DeliveryAttempt.objects.order_by("number").values_list("provider", "outcome"))


def test_the_other_accounts_are_tried_at_once(message) -> None:
    found = run(Carrier(first=NO), Clock())

    assert (found.status, found.error_code) == ("sent", "")
    assert outcomes() == [("first", "rejected"), ("second", "accepted")]


def test_when_all_refuse_it_fails_with_the_last_refusal(message) -> None:
    found = run(Carrier(first=Refused("not here"), second=NO), Clock())

    assert (found.status, found.error_code, found.error_detail) == ("failed", "http_418", "not this text")
    assert (found.rounds_failed, found.next_attempt_at) == (0, None)
    assert found.events.last().detail == "http_418: not this text"


@pytest.mark.parametrize(
    "order", [{"first": NO, "second": DOWN}, {"first": DOWN, "second": NO}], ids=["before", "after"]
)
def test_an_account_that_refused_is_not_asked_in_a_later_round(message, order: dict) -> None:
    refusing, failing = sorted(order, key=lambda slug: order[slug] is DOWN)
    clock = Clock()
    found = run(Carrier(**order), clock)
    assert (found.status, found.rounds_failed) == ("queued", 1)

    clock.advance(5)
    carrier = Carrier(**{failing: DOWN})
    assert run(carrier, clock).rounds_failed == 2
    assert carrier.slugs == [failing]

    clock.advance(30)
    carrier = Carrier(**{failing: Refused("nor here", code="http_404")})
    found = run(carrier, clock)
    assert (found.status, found.error_code, carrier.slugs) == ("failed", "http_404", [failing])
    assert outcomes().count((refusing, "rejected")) == 1


def test_a_round_of_refusals_and_rate_limits_does_not_count(message) -> None:
    found = run(Carrier(first=NO, second=RateLimited("slow down", retry_after=7)), Clock())

    assert (found.status, found.rounds_failed) == ("queued", 0)
    assert found.next_attempt_at == NOW + timedelta(seconds=7)


def test_it_waits_for_an_account_that_cannot_be_called_now(message) -> None:
    account_state.record([CallResult("second", DOWN, 5)] * 5, now=NOW)
    clock = Clock()

    found = run(Carrier(first=NO), clock)
    assert (found.status, found.error_code, found.rounds_failed) == ("queued", "waiting_for_provider", 0)
    assert found.error_detail == "Waits until one of second can be called again."

    clock.advance(60)
    carrier = Carrier()
    assert run(carrier, clock).status == "sent"
    assert carrier.slugs == ["second"]


@pytest.mark.parametrize("gone", [{"is_enabled": False}, {"weight": 0}], ids=str)
def test_it_does_not_wait_for_a_disabled_account(message, gone: dict) -> None:
    ProviderAccount.objects.filter(slug="second").update(**gone)

    assert run(Carrier(first=NO), Clock()).error_code == "http_418"


def test_when_only_accounts_that_refused_are_left_it_fails_with_the_refusal(message) -> None:
    clock = Clock()
    assert run(Carrier(first=NO, second=DOWN), clock).status == "queued"
    ProviderAccount.objects.filter(slug="second").update(is_enabled=False)
    clock.advance(5)
    carrier = Carrier()

    found = run(carrier, clock)

    assert (found.status, found.error_code, found.error_detail) == ("failed", "http_418", "not this text")
    assert carrier.calls == []
    assert found.events.last().detail == "http_418"


def test_a_message_that_an_operator_queues_again_is_tried_everywhere(message) -> None:
    clock = Clock()
    run(Carrier(NO), clock)
    clock.advance(60)
    retry(message_id=message.pk, reason="the account has a sender now", actor=message.owner, now=clock())
    carrier = Carrier()

    assert run(carrier, clock).status == "sent"
    assert carrier.slugs == ["first"]


def test_a_probe_that_the_account_refuses_does_not_fail_its_message(message) -> None:
    """Otherwise each probe of an account without credit would cost a message, while the others wait."""
    ProviderAccount.objects.filter(slug="second").delete()
    account_state.record([CallResult("first", OutOfCredit("402"), 5, recipient=number) for number in BAD], now=NOW)
    clock = Clock(NOW + timedelta(seconds=5))

    found = run(Carrier(OutOfCredit("402")), clock)

    assert (found.status, found.error_code, found.rounds_failed) == ("queued", "provider_credit", 1)
    assert outcomes() == [("first", "unavailable")]
    clock.advance(20)
    assert run(Carrier(), clock).status == "sent"


def test_the_refusals_of_a_claim_cost_one_query(accounts) -> None:
    costs = []
    for size in (1, 5):
        for message in MessageFactory.create_batch(size, attempts=1):
            DeliveryAttempt.objects.create(
                message=message,
                number=1,
                provider_id="first",
                claim_id=message.pk,
                outcome="rejected",
                started_at=NOW,
                finished_at=NOW,
            )
        claimed = claim(queue_name="express", limit=size, now=NOW, lease=LEASE)
        with CaptureQueriesContext(connection) as queries:
            attempts = start_attempts(claimed, now=NOW, lease=LEASE)
        assert {attempt.account.slug for attempt in attempts} == {"second"}
        costs.append(len(queries))

    assert costs[0] == costs[1]
