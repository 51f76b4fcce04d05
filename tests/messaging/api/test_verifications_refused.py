"""A verification that another policy refuses: the client is told which, and nothing of it is left."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from messaging.models import (
    BudgetCharge,
    BudgetSlot,
    IdempotencyRecord,
    Message,
    PhoneNumber,
    PrefixRule,
    PumpingAlert,
    Suppression,
    VelocityLimit,
    Verification,
    VerificationCount,
    VerificationLimit,
)
from messaging.policy.velocity import LocalCounters
from messaging.services.costs import budget_changes
from messaging.services.limits import rules, velocity
from scheduling.services import erasure
from tests.factories import NOW, UserFactory
from tests.messaging.api.conftest import Api, assert_problem
from tests.messaging.services.verification.making import TO

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
PATH = "verifications/"
LEFT = (Verification, Message, BudgetCharge, VerificationCount, VerificationLimit, IdempotencyRecord)


@pytest.fixture(autouse=True)
def _own_counters(monkeypatch: pytest.MonkeyPatch, no_redis: None) -> None:
    monkeypatch.setattr(velocity, "_local", LocalCounters())


def no_budget(owner: User) -> None:
    budget_changes.create(owner=owner, country="", period="day", limit=Decimal(0), currency="", now=NOW)


def blocked_prefix(_owner: User) -> None:
    rules.save(PrefixRule(prefix="+1415", is_allowed=False, reason="a test"), now=NOW)


def opt_out(_owner: User) -> None:
    Suppression.objects.create(number=TO, sender="", source="keyword", created_at=NOW)


def inactive(_owner: User) -> None:
    PhoneNumber.objects.create(number=TO, status="inactive", created_at=NOW)


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (no_budget, 429, "budget_exceeded"),
        (blocked_prefix, 403, "prefix_blocked"),
        (opt_out, 409, "recipient_opted_out"),
        (inactive, 409, "recipient_inactive"),
    ],
)
def test_nothing_is_left_of_a_refused_one(api: Api, spoil: Callable[[User], None], status: int, code: str) -> None:
    rules.save(VelocityLimit(recipient_per_hour=1), now=NOW)
    spoil(api.user)

    for _ in range(2):
        refused = api.post(PATH, {"to": TO}, Idempotency_Key="k1")
        assert_problem(refused, status, code)
        assert ("Retry-After" in refused.headers) == (status == 429)

    assert {model.__name__: model.objects.count() for model in LEFT} == {model.__name__: 0 for model in LEFT}
    assert not any(BudgetSlot.objects.values_list("used", flat=True))


def test_a_limit_of_texts_is_429_and_nothing_is_left(api: Api) -> None:
    rules.save(VelocityLimit(recipient_per_hour=1), now=NOW)
    velocity.judge([Message(to_number=TO, owner=api.user)], rules=rules.current(), counting=velocity.Counting.RESERVE)

    assert_problem(api.post(PATH, {"to": TO}), 429, "recipient_rate_exceeded")

    assert not Verification.objects.exists()
    assert not VerificationLimit.objects.exists()


def test_one_to_a_held_prefix_is_pending_and_its_text_waits(api: Api) -> None:
    PumpingAlert.objects.create(prefix=TO[:8], since=NOW, last_seen_at=NOW, is_holding=True)
    rules.expire()

    assert api.post(PATH, {"to": TO}).json()["status"] == "pending"

    message = Message.objects.get()
    assert (message.status, message.error_code) == ("queued", "prefix_held")
    assert message.next_attempt_at <= message.expires_at == Verification.objects.get().expires_at


def test_an_erasure_leaves_the_number_nowhere(api: Api) -> None:
    budget_changes.create(owner=api.user, country="", period="day", limit=Decimal(5), currency="", now=NOW)
    first = api.post(PATH, {"to": TO}, Idempotency_Key="k1").json()
    assert [slot for slot in BudgetSlot.objects.values_list("used", flat=True) if slot] == [1]

    erasure.erase(number=TO, reason="asked", actor=UserFactory(), now=NOW)

    assert not Verification.objects.exists()
    assert not any(BudgetSlot.objects.values_list("used", flat=True))
    assert all(TO not in response for response in IdempotencyRecord.objects.values_list("response", flat=True))
    repeated = api.post(PATH, {"to": TO}, Idempotency_Key="k1").json()
    assert repeated.pop("to").startswith("erased-")
    assert repeated == {name: value for name, value in first.items() if name != "to"}
