"""A dry run: every verdict, the route and the price, and nothing stored or reserved."""

from decimal import Decimal

import pytest

from messaging.models import Message, MessageEvent, PhoneNumber, Suppression
from messaging.services.errors import EmergencyNotAllowed, InvalidField
from messaging.services.outbound.dry_run import CheckVerdict, dry_run
from messaging.services.outbound.submit import MessageInput
from providers.errors import Unavailable
from providers.state import account_state
from providers.state.account_state import CallResult
from tests.factories import (
    AccountFactory,
    PhoneNumberFactory,
    QueueFactory,
    SenderFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
TO = "+4915112345678"


@pytest.fixture
def run(express, now):
    owner = UserFactory()

    def call(**values):
        draft = MessageInput(**{"to": TO, "text": "Grüße", "valid_for": 60} | values)
        return dry_run(owner=owner, draft=draft, default_queue="express", now=now)

    return call


def account(slug: str, *, weight: int = 100, is_enabled: bool = True, **config):
    return AccountFactory(
        slug=slug, weight=weight, is_enabled=is_enabled, config={"url": "http://127.0.0.1:9/", **config}
    )


def verdicts(found) -> dict[str, str]:
    return {check.code: str(check.verdict) for check in found.checks}


def options(found) -> list[tuple[str, float, str]]:
    return [(option.slug, round(option.share, 2), option.reason) for option in found.options]


def test_a_message_that_passes_everything_and_nothing_is_stored(run) -> None:
    account("one", weight=30)
    account("two", weight=70, price_per_segment={"+49": 0.0751, "+4915": 0.08})

    found = run(text="x" * 161)

    assert found.verdict is CheckVerdict.PASSED
    assert set(verdicts(found)) == {
        *(
            "canceled",
            "expired",
            "erased",
            "recipient_inactive",
            "recipient_opted_out",
            "verification_ended",
            "prefix_blocked",
            "sender_not_allowed_in_country",
            "recipient_rate_exceeded",
            "velocity_exceeded",
            "text_unreadable",
            "prefix_held",
            "outside_hours",
            "budget_exceeded",
            "no_route",
        )
    }
    assert (found.country, found.size.segments, found.provider, found.price) == ("DE", 2, "two", Decimal("0.16"))
    assert options(found) == [("one", 0.3, ""), ("two", 0.7, "")]
    assert not Message.objects.exists()
    assert not MessageEvent.objects.exists()
    assert not PhoneNumber.objects.exists()


def test_a_number_of_no_country_has_none(run) -> None:
    assert run(to="+80012345678").country == ""


def test_every_refusal_is_told_not_only_the_first(run, now) -> None:
    PhoneNumberFactory(number=TO, status=PhoneNumber.Status.INACTIVE)
    Suppression.objects.create(number=TO, source="keyword", created_at=now)

    found = run()

    refused = {check.code: check.detail for check in found.checks if check.verdict is CheckVerdict.REFUSED}
    assert refused.keys() == {"recipient_inactive", "recipient_opted_out"}
    assert all(refused.values())
    assert found.verdict is CheckVerdict.REFUSED


def test_accounts_that_take_nothing_now_say_why(run, now) -> None:
    account("elsewhere", allowed_prefixes=["+1"])
    account("off", is_enabled=False)
    account("idle", weight=0)
    account("open")
    account_state.record([CallResult("open", Unavailable("answered 500"), 5)] * 5, now=now)
    other = account("other")
    SenderFactory(number="ACME", account=other)

    assert options(run()) == [
        ("elsewhere", 0.0, "It does not serve this number."),
        ("idle", 0.0, "Its weight is 0."),
        ("off", 0.0, "It is disabled."),
        ("open", 0.0, "It is paused, or its circuit is not closed."),
        ("other", 1.0, ""),
    ]
    assert options(run(sender="ACME"))[0] == ("elsewhere", 0.0, "The sender belongs to other.")


def test_the_route_of_a_queue_follows_its_strategy(run) -> None:
    account("cheap", price_per_segment={"+49": 0.01})
    account("dear", price_per_segment={"+49": 0.02})
    QueueFactory(name="thrifty", routing_strategy="cheapest")

    found = run(queue="thrifty")

    assert options(found) == [("cheap", 1.0, ""), ("dear", 0.0, "Another one goes first.")]
    assert (found.provider, found.price) == ("cheap", Decimal("0.01"))


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({"allowed_prefixes": ["+1"]}, CheckVerdict.REFUSED),
        ({"is_enabled": False}, CheckVerdict.HELD),
        ({"allowed_prefixes": ["+1"], "is_enabled": False}, CheckVerdict.HELD),
        (None, CheckVerdict.HELD),
    ],
    ids=["no account serves it", "its account is disabled", "none is enabled", "no account"],
)
def test_without_a_route_it_is_refused_or_waits_as_in_dispatch(run, config, verdict) -> None:
    if config is not None:
        account("only", **config)

    found = run()

    assert found.verdict is verdict
    assert (found.provider, found.price) == ("", None)


@pytest.mark.parametrize(
    ("values", "field"),
    [({"queue": "none"}, "queue"), ({"sender": "OTHER"}, "from"), ({"text": "x" * 1531}, "message")],
    ids=["queue", "sender", "text"],
)
def test_a_field_that_is_wrong_is_an_error_as_without_a_dry_run(run, values, field) -> None:
    with pytest.raises(InvalidField) as error:
        run(**values)

    assert error.value.field == field


def test_an_emergency_needs_its_permission(run) -> None:
    with pytest.raises(EmergencyNotAllowed):
        run(category="emergency")
