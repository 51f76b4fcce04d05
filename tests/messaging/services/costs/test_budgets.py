"""Budgets: what there is no room for is refused, and what ends unsent is given back once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from messaging.models import BudgetCharge, BudgetSlot, ClientEvent, Message
from messaging.services import transitions
from messaging.services.costs import budget_changes, budget_rules
from messaging.services.errors import BudgetExceeded, InvalidField
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.outbound.retry import retry, retry_many
from messaging.services.outbound.submit import submit_many
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from tests.factories import NOW, AccountFactory, UserFactory
from tests.messaging.services.costs.conftest import draft, send, used

pytestmark = pytest.mark.django_db
KEY = IdempotencyKey("k", ["f" * 64])
LONG = "x" * 161  # two segments


def send_all(owner, count: int, **values) -> int:
    """How many of them are accepted."""
    accepted = 0
    for _ in range(count):
        try:
            send(owner, **values)
        except BudgetExceeded:
            continue
        accepted += 1
    return accepted


def move(message: Message, to: Status, source: Source = Source.DISPATCH) -> None:
    with transaction.atomic():
        row = Message.objects.select_for_update().get(pk=message.pk)
        transitions.apply([Transition(row, to, source)], now=NOW)


def test_exactly_the_limit_is_accepted(owner, budget) -> None:
    day = budget(100)

    assert send_all(owner, 120) == 100
    assert (used(day), Message.objects.count(), BudgetCharge.objects.count()) == (100, 100, 100)


def test_the_refusal_names_the_end_of_the_period(owner, budget) -> None:
    budget(0)

    with pytest.raises(BudgetExceeded, match="The next day begins at 2026-11-23 00:00 UTC") as caught:
        send(owner)

    assert caught.value.retry_after == 15 * 3_600 + 1


def test_segments_are_counted_and_a_shorter_text_may_still_fit(owner, budget) -> None:
    day = budget(3)

    assert send_all(owner, 2, text=LONG) == 1
    assert send_all(owner, 2) == 1
    assert used(day) == 3


def test_other_owners_are_not_concerned(owner, budget) -> None:
    budget(0)

    assert send(UserFactory()).message is not None


def test_the_next_period_begins_anew(owner, budget) -> None:
    day, month = budget(2), budget(3, period="month")

    assert send_all(owner, 3) == 2
    assert send_all(owner, 3, now=NOW + timedelta(days=1)) == 1
    assert (used(day), used(day, NOW + timedelta(days=1)), used(month)) == (2, 1, 3)
    assert send_all(owner, 3, now=NOW + timedelta(days=30)) == 2


def test_of_several_budgets_each_must_have_room_and_none_is_charged_alone(owner, budget) -> None:
    all_countries, germany = budget(50), budget(20, country="DE")

    assert send_all(owner, 30, to="+4915112345678") == 20
    assert send_all(owner, 40) == 30
    assert (used(all_countries), used(germany)) == (50, 20)
    assert BudgetCharge.objects.count() == 70


def test_a_repeated_request_counts_once(owner, budget) -> None:
    day = budget(10)

    first, second = send(owner, key=KEY), send(owner, key=KEY)

    assert (second.response, second.message, used(day)) == (first.response, None, 1)
    assert Message.objects.count() == 1


def test_a_request_that_is_refused_may_be_repeated_with_its_key(owner, budget) -> None:
    day = budget(0)
    with pytest.raises(BudgetExceeded):
        send(owner, key=KEY)

    budget_changes.change_limit(budget_id=day.pk, limit=Decimal(1), now=NOW)

    assert send(owner, key=KEY).message is not None


def test_a_message_that_is_refused_for_another_reason_takes_nothing(owner, budget) -> None:
    day = budget(10)
    send(owner)

    with pytest.raises(InvalidField):
        send(owner, sender="+14155550199")

    assert used(day) == 1


def test_a_batch_is_accepted_in_part(owner, budget) -> None:
    day = budget(4)
    drafts = [draft(text=LONG), draft(), draft(text=LONG), draft(), draft()]

    results = submit_many(owner=owner, drafts=drafts, default_queue="express", now=NOW)

    assert [type(each) for each in results] == [Message, Message, BudgetExceeded, Message, BudgetExceeded]
    assert (used(day), Message.objects.count()) == (4, 3)


def test_automatic_replies_take_nothing_and_go_regardless(owner, budget) -> None:
    day = budget(0)

    assert send(owner, is_automatic=True).message is not None
    assert used(day) == 0


class TestReturns:
    @pytest.fixture
    def day(self, budget):
        return budget(5)

    def test_a_canceled_message_gives_back_what_it_took(self, owner, day) -> None:
        message = send(owner, text=LONG).message
        assert used(day) == 2

        cancel(message_id=message.pk, actor=owner, now=NOW)

        assert (used(day), BudgetCharge.objects.count()) == (0, 0)

    @pytest.mark.parametrize("before", [Status.QUEUED, Status.SENDING, Status.UNKNOWN])
    def test_a_message_that_fails_unsent_gives_back_once(self, owner, day, before: Status) -> None:
        message = send(owner).message
        send(owner)
        values = {"claim_id": message.pk, "lease_until": NOW} if before == Status.SENDING else {}
        Message.objects.filter(pk=message.pk).update(status=before, **values)

        move(message, Status.FAILED, Source.OPERATOR if before == Status.UNKNOWN else Source.SWEEP)

        assert used(day) == 1

    def test_what_a_carrier_had_is_not_given_back(self, owner, day) -> None:
        message = send(owner).message
        Message.objects.filter(pk=message.pk).update(status=Status.SENT, sent_at=NOW)

        move(message, Status.UNDELIVERED, Source.RECEIPT)

        assert used(day) == 1

    def test_it_is_given_back_with_the_transition_or_not_at_all(self, owner, day) -> None:
        message = send(owner).message

        with transaction.atomic():
            cancel(message_id=message.pk, actor=owner, now=NOW)
            transaction.set_rollback(True)

        message.refresh_from_db()
        assert (message.status, used(day)) == ("queued", 1)

    def test_what_is_given_back_may_be_used_again(self, owner, day) -> None:
        messages = [send(owner).message for _ in range(5)]
        assert send_all(owner, 1) == 0

        cancel(message_id=messages[0].pk, actor=owner, now=NOW)

        assert send_all(owner, 3) == 1
        assert used(day) == 5

    def test_a_retry_takes_again_and_is_refused_without_room(self, owner, day) -> None:
        message, other = send(owner, text=LONG).message, send(owner, text=LONG).message
        move(message, Status.FAILED, Source.SWEEP)
        Message.objects.filter(pk=other.pk).update(status=Status.UNDELIVERED, sent_at=NOW)
        assert used(day) == 2

        retry(message_id=other.pk, reason="x", actor=owner, now=NOW)  # the first time it was sent, and paid

        assert used(day) == 4
        with pytest.raises(BudgetExceeded):
            retry(message_id=message.pk, reason="x", actor=owner, now=NOW)
        cancel(message_id=other.pk, actor=owner, now=NOW)
        assert used(day) == 2  # of the second time alone

    def test_a_retry_of_many_that_is_refused_spends_nothing(self, owner, day) -> None:
        """Such as of a message whose result is unknown: if it turns out to have failed, it is given back."""
        message = send(owner, text=LONG).message
        Message.objects.filter(pk=message.pk).update(status=Status.UNKNOWN)
        budget_changes.change_limit(budget_id=day.pk, limit=Decimal(2), now=NOW)

        report = retry_many(messages=Message.objects.all(), reason="x", actor=owner, now=NOW)
        move(message, Status.FAILED, Source.SWEEP)

        assert (report.changed, used(day)) == (0, 0)


class TestChanges:
    def test_a_limit_below_the_use_refuses_and_a_raised_one_lets_through(self, owner, budget) -> None:
        day = budget(10)
        messages = [send(owner).message for _ in range(6)]

        budget_changes.change_limit(budget_id=day.pk, limit=Decimal(4), now=NOW)
        assert send_all(owner, 2) == 0
        cancel(message_id=messages[0].pk, actor=owner, now=NOW)
        assert send_all(owner, 2) == 0  # 5 of 4 are still used

        budget_changes.change_limit(budget_id=day.pk, limit=Decimal(7), now=NOW)
        assert send_all(owner, 5) == 2

    def test_a_limit_that_is_lowered_before_the_first_message_holds(self, owner, budget) -> None:
        day = budget(10)
        budget_changes.change_limit(budget_id=day.pk, limit=Decimal(2), now=NOW)

        assert send_all(owner, 5) == 2

    def test_a_removed_budget_refuses_nothing_and_its_rows_are_swept(self, owner, budget) -> None:
        day = budget(1)
        message = send(owner).message

        budget_changes.remove(budget_id=day.pk)
        assert send_all(owner, 3) == 3
        budget_changes.purge(now=NOW)

        assert not BudgetSlot.objects.exists()
        assert not BudgetCharge.objects.exists()
        cancel(message_id=message.pk, actor=owner, now=NOW)

    def test_another_process_that_still_knows_a_removed_budget_accepts(self, owner, budget) -> None:
        day = budget(10)
        send(owner)
        known = budget_rules.current()
        budget_changes.remove(budget_id=day.pk)
        budget_rules.use(known)
        known.read_at = 1.0

        assert send_all(owner, 2) == 2

    def test_counters_of_ended_periods_are_swept_and_those_of_the_month_stay(self, owner, budget) -> None:
        day, month = budget(10), budget(10, period="month")
        send(owner)

        budget_changes.purge(now=NOW + timedelta(days=5))

        assert (used(day), used(month)) == (0, 1)
        assert BudgetCharge.objects.count() == 1
        budget_changes.purge(now=NOW + timedelta(days=40))
        assert not BudgetSlot.objects.exists()
        assert not BudgetCharge.objects.exists()

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"limit": "1.5"}, "limit"),
            ({"limit": "-1"}, "limit"),
            ({"limit": "0.0000001", "currency": "EUR"}, "limit"),
            ({"limit": "1", "currency": "EUX"}, "currency"),
            ({"limit": "1", "country": "XX"}, "country"),
            ({"limit": "5"}, "period"),  # there is one already
        ],
    )
    def test_a_wrong_budget_is_refused(self, budget, values, field: str) -> None:
        budget(5)

        with pytest.raises(InvalidField) as caught:
            budget(**values)

        assert caught.value.field == field


class TestWarnings:
    def test_the_message_that_reaches_80_percent_tells_its_owner_once(self, owner, budget) -> None:
        day = budget(50)

        assert send_all(owner, 39) == 39
        assert not ClientEvent.objects.exists()
        send(owner)
        [event] = ClientEvent.objects.all()
        assert (event.type, event.owner) == ("budget.warning", owner)
        assert event.snapshot["data"] == {
            "id": str(day.pk),
            "country": None,
            "period": "day",
            "limit": "50",
            "currency": None,
            "used": "40",
            "period_ends_at": "2026-11-23T00:00:00Z",
        }
        assert send_all(owner, 20) == 10
        assert ClientEvent.objects.count() == 1

    def test_the_next_period_warns_again(self, owner, budget) -> None:
        budget(5)
        send_all(owner, 5)

        send_all(owner, 5, now=NOW + timedelta(days=1))

        assert ClientEvent.objects.count() == 2


class TestMoney:
    def test_the_dearest_account_that_may_carry_it_is_counted(self, owner, budget) -> None:
        config = {"url": "http://127.0.0.1:9/"}
        AccountFactory(config={**config, "currency": "EUR", "price_per_segment": {"+1": 0.1}})
        AccountFactory(config={**config, "currency": "EUR", "price_per_segment": {"+1": "0.2", "+49": "5"}})
        AccountFactory(config={**config, "currency": "USD", "price_per_segment": {"+1": 9}})
        AccountFactory(
            config={**config, "currency": "EUR", "price_per_segment": {"+1": 9}, "denied_prefixes": ["+1"]},
        )
        AccountFactory(is_enabled=False, config={**config, "currency": "EUR", "price_per_segment": {"+1": 9}})
        day = budget("1", currency="EUR")

        assert send_all(owner, 10, text=LONG) == 2
        assert send_all(owner, 10) == 1
        assert used(day) == 1_000_000

    def test_a_message_without_a_price_takes_nothing(self, owner, budget) -> None:
        day = budget("0.01", currency="EUR")

        assert (send_all(owner, 2), used(day)) == (2, 0)
