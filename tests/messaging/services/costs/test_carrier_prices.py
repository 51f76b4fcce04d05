"""The carrier's own price replaces the configured one: in the attempt, in the totals and in the budget, once."""

import json
from dataclasses import replace
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from django.db.models import Sum

from messaging.models import AttemptPart, Budget, BudgetCharge, BudgetSlot, DeliveryAttempt, ProviderCallback
from messaging.services.costs import budget_rules
from messaging.services.outbound import receipts
from messaging.services.outbound.dispatch.attempts import Attempt
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.prices import CarrierPrice
from providers.errors import OutcomeUnknown
from tests.factories import NOW, AccountFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.costs.conftest import send, used
from tests.messaging.services.costs.test_cost_totals import settle, start, sums
from tests.messaging.services.outbound.dispatch.fakes import result_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


@pytest.fixture
def account():
    config = {"url": "http://127.0.0.1:9/", "currency": "EUR", "price_per_segment": {"+1": "0.05"}}
    return AccountFactory(slug="acme", config=config)


@pytest.fixture
def day(budget, account) -> Budget:
    return budget("10", currency="EUR")


@pytest.fixture
def call(owner, day) -> Attempt:
    budget_rules.expire()
    send(owner)
    [attempt] = start()
    return attempt


def price(amount: str | None, currency: str = "") -> CarrierPrice | None:
    return None if amount is None else CarrierPrice(Decimal(amount), currency)


def receipt(
    account, attempt_id: UUID | None, amount: str | None, currency: str = "", *, status="delivered", pmid: str = "p1"
) -> ProviderCallback.State:
    report = StatusReport(pmid, ReportedStatus(status), status, price=price(amount, currency))
    body = json.dumps([status, amount, currency]).encode()
    [state] = receipts.ingest([report], account=account, body=body, attempt_id=attempt_id, now=NOW)
    return state


def state(day: Budget) -> tuple:
    row = DeliveryAttempt.objects.get()
    charged = BudgetCharge.objects.aggregate(total=Sum("amount"))["total"]
    assert charged == used(day) == BudgetSlot.objects.aggregate(total=Sum("used"))["total"]
    return str(row.price.normalize()), row.currency, row.price_source, sums(), used(day)


OF_THE_CARRIER = ("0.07", "EUR", "provider", [("EUR", "0.07", 1)], 70_000)


def test_the_answer_has_the_price(call, day) -> None:
    settle(replace(result_of(call, "p1"), price=price("0.07")))

    assert state(day) == OF_THE_CARRIER


def test_a_receipt_has_the_price_and_comes_again(account, call, day) -> None:
    settle(result_of(call, "p1"))
    assert state(day) == ("0.05", "EUR", "configured", [("EUR", "0.05", 1)], 50_000)

    for _ in range(2):
        receipt(account, call.attempt_id, "0.07")
        receipt(account, call.attempt_id, "0.07", "EUR", status="undelivered")

    assert state(day) == OF_THE_CARRIER


def test_a_receipt_by_the_provider_id_that_comes_before_the_answer(account, call, day) -> None:
    receipt(account, None, "0.07")
    assert used(day) == 50_000

    settle(result_of(call, "p1"))

    assert state(day) == OF_THE_CARRIER


@pytest.mark.parametrize("answered", [None, "0.06"])
def test_a_receipt_at_our_address_that_comes_before_the_answer(account, call, day, answered) -> None:
    receipt(account, call.attempt_id, "0.07")
    assert state(day) == OF_THE_CARRIER

    settle(replace(result_of(call, "p1"), price=price(answered)))

    assert state(day) == OF_THE_CARRIER


def test_a_receipt_of_an_unknown_attempt(account, call, day) -> None:
    settle(result_of(call, OutcomeUnknown("lost")))
    assert sums() == []

    receipt(account, call.attempt_id, "0.07")

    assert state(day) == OF_THE_CARRIER


def test_of_several_prices_the_last_one_counts(account, call, day) -> None:
    settle(result_of(call, "p1"))

    receipt(account, call.attempt_id, "0.09", status="sent")
    receipt(account, call.attempt_id, "0.07")

    assert state(day) == OF_THE_CARRIER


def test_another_currency_moves_the_cost_and_leaves_the_budget(account, call, day) -> None:
    settle(result_of(call, "p1"))

    receipt(account, call.attempt_id, "0.08", "USD")

    row = DeliveryAttempt.objects.get()
    assert (row.price, row.currency, row.price_source) == (Decimal("0.08"), "USD", "provider")
    assert [each for each in sums() if each[1] != "0"] == [("USD", "0.08", 1)]
    assert used(day) == 50_000


@pytest.mark.parametrize("status", ["progress", "unknown_word"])
def test_a_receipt_without_a_result_has_no_price_yet(account, call, day, status) -> None:
    settle(result_of(call, "p1"))

    receipt(account, call.attempt_id, "0", status=status)

    assert state(day)[:3] == ("0.05", "EUR", "configured")


def test_the_price_of_a_part_is_not_that_of_the_message(account, call, day) -> None:
    settle(result_of(call, "p1"))
    AttemptPart.objects.create(attempt_id=call.attempt_id, provider=account, provider_message_id="p1")

    receipt(account, call.attempt_id, "0.07")

    assert state(day)[:3] == ("0.05", "EUR", "configured")


@pytest.mark.django_db(transaction=True)
def test_receipts_and_the_answer_at_once_correct_once(account, call, day) -> None:
    calls = [partial(receipt, account, call.attempt_id, "0.07", status=word) for word in ("sent", "delivered")] * 3

    done = at_once([*calls, partial(settle, result_of(call, "p1"))])

    assert not [each for each in done if isinstance(each, Exception)]
    receipts.sweep_parked(now=NOW)
    assert state(day) == OF_THE_CARRIER
