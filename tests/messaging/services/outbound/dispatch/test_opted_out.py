"""Messages fail whose recipient opted out after the message was accepted."""

import pytest

from messaging.models import DeliveryAttempt, Suppression
from tests.factories import AccountFactory, MessageFactory, SenderFactory
from tests.messaging.services.outbound.dispatch.fakes import Carrier, dispatcher

RECIPIENT, OURS, OTHER = "+14155550101", "+15005550006", "+15005550007"
pytestmark = pytest.mark.usefixtures("express")


@pytest.fixture
def opt_out(now):
    def opt_out(sender: str) -> None:
        Suppression.objects.create(number=RECIPIENT, sender=sender, source="keyword", created_at=now)

    return opt_out


@pytest.fixture
def account(db):
    return AccountFactory(slug="acme", config={"url": "http://127.0.0.1:9/", "from_number": OURS})


def send(**changes) -> tuple[str, str, int]:
    """Status, error and the number of calls."""
    message = MessageFactory(**{"to_number": RECIPIENT, "from_number": OURS, **changes})
    carrier = Carrier()
    dispatcher(carrier).run("express")
    message.refresh_from_db()
    return message.status, message.error_code, len(carrier.calls)


REFUSED, SENT = ("failed", "recipient_opted_out", 0), ("sent", "", 1)


@pytest.mark.parametrize("sender", ["", OURS])
def test_a_queued_message_fails_without_a_call(account, opt_out, sender: str) -> None:
    opt_out(sender)

    assert send() == REFUSED
    assert not DeliveryAttempt.objects.exists()


def test_an_opt_out_from_another_sender_does_not_count(account, opt_out) -> None:
    SenderFactory(number=OTHER)
    opt_out(OTHER)

    assert send() == SENT
    assert send(from_number="") == SENT


def test_a_message_without_a_sender_is_refused_by_an_opt_out_from_the_accounts_number(account, opt_out) -> None:
    opt_out(OURS)

    assert send(from_number="") == REFUSED


def test_a_message_without_a_sender_is_refused_by_an_opt_out_from_a_number_that_the_provider_chose(
    account, opt_out
) -> None:
    opt_out("+15005550055")

    assert send(from_number="") == REFUSED


def test_the_automatic_reply_to_the_stop_is_still_sent(account, opt_out) -> None:
    opt_out(OURS)

    assert send(is_automatic=True) == SENT
