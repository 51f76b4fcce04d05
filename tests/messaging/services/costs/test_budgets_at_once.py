"""Budgets under concurrency: threads with connections of their own, as the requests of several processes are."""

from decimal import Decimal
from functools import partial

import pytest
from django.db.models import Sum

from messaging.models import BudgetCharge, BudgetSlot, ClientEvent, Message
from messaging.services.costs import budget_changes
from messaging.services.errors import BudgetExceeded, NotCancelable
from messaging.services.outbound.accept import AcceptedMessage
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.outbound.submit import submit_many
from tests.factories import NOW
from tests.messaging.parallel import at_once
from tests.messaging.services.costs.conftest import draft, send, used

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8


def send_many(owner, count: int) -> tuple[int, int]:
    """How many were accepted, and how many refused."""
    accepted = refused = 0
    for _ in range(count):
        try:
            send(owner)
        except BudgetExceeded:
            refused += 1
        else:
            accepted += 1
    return accepted, refused


def send_batch(owner, count: int) -> tuple[int, int]:
    drafts = [draft() for _ in range(count)]
    results = submit_many(owner=owner, drafts=drafts, default_queue="express", now=NOW)
    accepted = sum(isinstance(each, Message) for each in results)
    return accepted, count - accepted


def assert_books_are_right(owner, *budgets) -> None:
    """What the slots say is what the charges say."""
    for budget in budgets:
        slots = BudgetSlot.objects.filter(budget=budget).aggregate(total=Sum("used"))["total"]
        charges = BudgetCharge.objects.filter(budget_id=budget.pk).aggregate(total=Sum("amount"))["total"]
        assert slots == charges


def test_twice_as_many_requests_as_there_is_room_for(owner, budget) -> None:
    day, month = budget(100), budget(150, period="month")

    results = at_once([partial(send_many, owner, 25)] * THREADS)

    assert [sum(column) for column in zip(*results, strict=True)] == [100, 100]
    assert (used(day), used(month), Message.objects.count()) == (100, 100, 100)
    assert_books_are_right(owner, day, month)
    assert ClientEvent.objects.filter(type="budget.warning").count() == 1


def test_batches_and_single_messages_share_a_budget(owner, budget) -> None:
    day, abroad = budget(100), budget(100, country="US")

    results = at_once([partial(send_many, owner, 20), partial(send_batch, owner, 20)] * (THREADS // 2))

    assert [sum(column) for column in zip(*results, strict=True)] == [100, 60]
    assert (used(day), used(abroad), Message.objects.count()) == (100, 100, 100)
    assert_books_are_right(owner, day, abroad)


def test_requests_with_one_key_count_once(owner, budget) -> None:
    day = budget(100)
    send(owner)  # so that the counter is there, and one statement accepts
    key = IdempotencyKey("k", ["f" * 64])

    results = at_once([partial(send, owner, key=key)] * THREADS)

    assert [type(result) for result in results] == [AcceptedMessage] * THREADS
    assert (used(day), Message.objects.count()) == (2, 2)
    assert_books_are_right(owner, day)


def test_what_is_given_back_meanwhile_is_never_given_twice(owner, budget) -> None:
    day = budget(60)
    messages = [send(owner).message for _ in range(40)]

    def cancel_all() -> int:
        done = 0
        for message in messages:
            try:
                cancel(message_id=message.pk, actor=owner, now=NOW)
            except NotCancelable:
                continue
            else:
                done += 1
        return done

    canceled, again, *sent = at_once([cancel_all, cancel_all, *[partial(send_many, owner, 30)] * 4])

    assert canceled + again == 40
    accepted = sum(each for each, _ in sent)
    assert used(day) == accepted <= 60
    assert_books_are_right(owner, day)
    assert send_many(owner, 100)[0] == 60 - accepted


def test_a_limit_that_changes_meanwhile_is_kept(owner, budget) -> None:
    day = budget(1_000)

    def lower() -> None:
        budget_changes.change_limit(budget_id=day.pk, limit=Decimal(10), now=NOW)

    lowered, *_ = at_once([lower, *[partial(send_many, owner, 10)] * (THREADS - 1)])

    assert lowered is None
    before = used(day)
    assert send_many(owner, 20)[0] == max(0, 10 - before)
    assert_books_are_right(owner, day)
