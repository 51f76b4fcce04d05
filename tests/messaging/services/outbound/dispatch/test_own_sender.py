"""The account's own sender number, from its configuration or the environment."""

import pytest

from messaging.models import DeliveryAttempt, Message, Suppression
from messaging.services.outbound.dispatch import sending
from messaging.services.recipients import suppressions
from providers.errors import Misconfigured, RecipientOptedOut
from providers.models import ProviderAccount
from tests.factories import AccountFactory, MessageFactory, SenderFactory
from tests.messaging.services.outbound.dispatch.fakes import Carrier, Clock, dispatcher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
OWN = "+15005550042"


@pytest.fixture
def by_environment(monkeypatch: pytest.MonkeyPatch) -> ProviderAccount:
    monkeypatch.setenv("PROVIDER_ACME_FROM", OWN)
    return AccountFactory(
        slug="acme", config={"url": "http://127.0.0.1:9/", "from_number": {"env": "PROVIDER_ACME_FROM"}}
    )


def test_a_sender_from_the_environment_is_used_and_becomes_the_messages_sender(by_environment) -> None:
    unnamed, named = MessageFactory(from_number=""), MessageFactory(from_number="+15005550006")

    assert dispatcher(Carrier()).run("express") == 2

    unnamed.refresh_from_db()
    named.refresh_from_db()
    assert (unnamed.status, unnamed.from_number) == ("sent", OWN)
    assert (named.status, named.from_number) == ("sent", "+15005550006")


def test_a_message_from_this_sender_uses_its_account_only(by_environment) -> None:
    AccountFactory(slug="other", weight=1000)
    MessageFactory.create_batch(5, from_number=OWN)
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert set(carrier.slugs) == {"acme"}


def test_an_opt_out_that_the_provider_reports_is_for_this_sender(by_environment) -> None:
    message = MessageFactory(from_number="")

    dispatcher(Carrier(RecipientOptedOut("no"))).run("express")

    assert list(Suppression.objects.values_list("number", "sender")) == [(message.to_number, OWN)]


def test_a_message_without_a_sender_may_use_it(by_environment) -> None:
    SenderFactory(number=OWN)

    assert not suppressions._named_only().filter(number=OWN).exists()


@pytest.mark.parametrize("value", [None, ""], ids=["not set", "empty"])
def test_without_its_variable_the_account_is_misconfigured(
    by_environment, monkeypatch: pytest.MonkeyPatch, value
) -> None:
    monkeypatch.delenv("PROVIDER_ACME_FROM")
    if value is not None:
        monkeypatch.setenv("PROVIDER_ACME_FROM", value)
    AccountFactory(slug="other", weight=0)
    message = MessageFactory(from_number="")
    results = []

    def call(call):
        results.append(sending.send(call, clock=Clock()))
        return results[-1]

    dispatcher(call).run("express")

    assert by_environment.from_number is None
    [result] = results
    assert isinstance(result.error, Misconfigured)
    message.refresh_from_db()
    assert (message.status, message.error_code, message.from_number) == ("queued", "provider_misconfigured", "")
    assert DeliveryAttempt.objects.get().outcome == "unavailable"
    assert Message.objects.count() == 1


def test_a_disabled_account_with_an_own_sender_stops_no_message(by_environment) -> None:
    ProviderAccount.objects.filter(pk="acme").update(is_enabled=False)
    AccountFactory(slug="other")
    message = MessageFactory()

    dispatcher(Carrier()).run("express")

    message.refresh_from_db()
    assert (message.status, message.provider_id) == ("sent", "other")


@pytest.mark.parametrize(
    ("config", "sender"),
    [
        ({"from_number": "+1 500 555 0042"}, OWN),
        ({"from_number": "15005550042", "number_format": "digits"}, OWN),
        ({"from_number": "0015005550042", "number_format": "00"}, OWN),
        ({"from_number": "(500) 555-0042", "number_format": "national", "default_country": "US"}, OWN),
        ({"from_number": "15005550042"}, "15005550042"),
        ({"from_number": "80888", "number_format": "digits"}, "80888"),
        ({"from_number": "ACME", "number_format": "digits"}, "ACME"),
        ({}, None),
    ],
    ids=repr,
)
def test_a_number_is_known_in_e164_however_the_account_writes_it(config: dict[str, str], sender: str | None) -> None:
    assert AccountFactory(config={"url": "http://127.0.0.1:9/", **config}).from_number == sender
