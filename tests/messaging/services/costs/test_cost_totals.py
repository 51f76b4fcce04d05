"""What sending has cost: each acceptance once, in its own currency."""

from datetime import UTC, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import transaction

from messaging.models import CostJournal, CostTotal, DeliveryAttempt
from messaging.services.costs import budget_rules, cost_totals
from messaging.services.errors import BudgetExceeded
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle as settle_with
from messaging.states import Status
from providers.errors import OutcomeUnknown, Rejected
from tests.factories import NOW, AccountFactory, MessageFactory, UserFactory
from tests.messaging.parallel import at_once
from tests.messaging.services.costs.conftest import send, used
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, result_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
TODAY = NOW.astimezone(UTC).date()


@pytest.fixture
def priced():
    def make(slug: str, currency: str = "EUR", **prices):
        config = {"url": "http://127.0.0.1:9/", "currency": currency, "price_per_segment": prices or {"+": "0.05"}}
        config["price_per_segment"] = {
            key.replace("_", "+"): value for key, value in config["price_per_segment"].items()
        }
        return AccountFactory(slug=slug, config={name: value for name, value in config.items() if value})

    return make


def start():
    return start_attempts(claim(queue_name="express", limit=16, now=NOW, lease=LEASE), now=NOW, lease=LEASE)


def settle(*results) -> None:
    settle_with(list(results), now=NOW, lease=LEASE, position=lambda: MIDDLE)


def sums(*group_by: str, owner_id: int | None = None) -> list[tuple]:
    found = cost_totals.sums(owner_id=owner_id, since=TODAY, until=TODAY, group_by=group_by)
    return [(*each.group.values(), each.currency, str(each.amount.normalize()), each.segments) for each in found]


def test_an_acceptance_costs_its_segments_at_the_price_of_the_account(priced) -> None:
    priced("acme", _1="0.05")
    MessageFactory(segments=3)
    [call] = start()

    settle(result_of(call, "p1"))

    attempt = DeliveryAttempt.objects.get()
    assert (attempt.price, attempt.currency, attempt.price_source) == (Decimal("0.15"), "EUR", "configured")
    assert sums("account") == [("acme", "EUR", "0.15", 3)]


@pytest.mark.parametrize("error", [Rejected("no", code="no"), OutcomeUnknown("lost")])
def test_what_is_not_accepted_costs_nothing(priced, error) -> None:
    priced("acme", _1="0.05")
    MessageFactory()
    [call] = start()

    settle(result_of(call, error))

    attempt = DeliveryAttempt.objects.get()
    assert (attempt.price, attempt.currency, attempt.price_source) == (None, "", "")
    assert sums() == []


def test_a_result_that_is_settled_again_is_not_counted_again(priced) -> None:
    priced("acme", _1="0.05")
    MessageFactory()
    [call] = start()

    settle(result_of(call, "p1"))
    settle(result_of(call, "p1"))

    assert sums() == [("EUR", "0.05", 1)]


def test_it_is_noted_with_the_acceptance_or_not_at_all(priced) -> None:
    priced("acme", _1="0.05")
    MessageFactory()
    [call] = start()

    with transaction.atomic():
        settle(result_of(call, "p1"))
        transaction.set_rollback(True)

    assert not CostJournal.objects.exists()
    assert sums() == []


def test_sums_are_by_group_and_never_over_currencies(priced) -> None:
    ann, bob = UserFactory(username="ann"), UserFactory(username="bob")
    for slug, currency, number, owner in (
        ("a", "EUR", "+4915112345678", ann),
        ("b", "USD", "+14155550101", ann),
        ("c", "", "+33612345678", bob),
    ):
        account = priced(slug, currency, **{number[:3].replace("+", "_"): "0.1"})
        account.config["allowed_prefixes"] = [number[:3]]
        account.save()
        MessageFactory(owner=owner, to_number=number, category="otp" if owner == bob else "transactional")
    settle(*[result_of(call, f"p{place}") for place, call in enumerate(start())])

    assert sums("country") == [("DE", "EUR", "0.1", 1), ("FR", "", "0.1", 1), ("US", "USD", "0.1", 1)]
    assert sums("owner") == [("ann", "EUR", "0.1", 1), ("ann", "USD", "0.1", 1), ("bob", "", "0.1", 1)]
    assert sums("category", "day", owner_id=bob.pk) == [("otp", "2026-11-22", "", "0.1", 1)]
    assert sums(owner_id=ann.pk) == [("EUR", "0.1", 1), ("USD", "0.1", 1)]
    yesterday = TODAY - timedelta(days=1)
    assert cost_totals.sums(owner_id=None, since=yesterday, until=yesterday, group_by=[]) == []


@pytest.mark.django_db(transaction=True)
def test_concurrent_compactions_add_each_row_once(monkeypatch) -> None:
    monkeypatch.setattr(cost_totals, "CHUNK", 5)
    row = '[["2026-11-22", 1, "acme", "US", "otp", "", "EUR", 1, 2, 50000]]'
    CostJournal.objects.bulk_create(CostJournal(costs=row) for _ in range(60))

    done = at_once([partial(cost_totals.compact)] * 4)
    cost_totals.compact()

    assert all(isinstance(each, int) for each in done)
    total = CostTotal.objects.get()
    assert (total.attempts, total.segments, total.units) == (60, 120, 3_000_000)
    assert not CostJournal.objects.exists()


class TestBudgetsOfMoney:
    def test_the_expected_price_becomes_the_true_one(self, owner, priced, budget) -> None:
        priced("cheap", _1="0.05")
        priced("dear", _1="0.20")
        day = budget("1", currency="EUR")
        budget_rules.expire()
        message = send(owner, text="x" * 161).message
        assert used(day) == 400_000

        [call] = start()
        settle(result_of(call, "p1"))

        message.refresh_from_db()
        price = 100_000 if message.provider_id == "cheap" else 400_000
        assert (message.status, used(day)) == (Status.SENT, price)
        settle(result_of(call, "p1"))
        assert used(day) == price

    def test_a_higher_price_leaves_no_more_than_the_limit(self, owner, priced, budget) -> None:
        account = priced("acme", _1="0.10")
        day = budget("1", currency="EUR")
        budget_rules.expire()
        send(owner)
        account.config["price_per_segment"] = {"+1": "0.95"}
        account.save()

        [call] = start()
        settle(result_of(call, "p1"))

        assert used(day) == 950_000
        with pytest.raises(BudgetExceeded):
            send(owner)

    def test_segments_of_an_accepted_message_are_not_given_back(self, owner, priced, budget) -> None:
        priced("acme", _1="0.05")
        day = budget(10)
        send(owner)

        [call] = start()
        settle(result_of(call, "p1"))

        assert (used(day), day.slots.count()) == (1, 32)
