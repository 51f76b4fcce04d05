"""A US number of ours needs a reply to HELP with brand and contact."""

import pytest

from config import checks
from messaging.models import KeywordRule
from tests.factories import SenderFactory


def ids(messages: list) -> list[str]:
    return [message.id for message in messages]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("number", "found"),
    [
        ("+14155550101", ["switchboard.W003"]),
        ("+18005551234", ["switchboard.W003"]),
        ("+12045550101", []),  # Canada
        ("+4915112345678", []),
        ("80888", []),
        ("+15005550006", []),  # of the sandbox
    ],
)
def test_a_us_sender_needs_brand_and_contact(settings, number: str, found: list[str]) -> None:
    sender = SenderFactory(number=number)

    assert ids(checks.check_us_senders(databases=["default"])) == found

    assert checks.check_us_senders() == []
    settings.MESSAGE_BRAND, settings.MESSAGE_CONTACT = "Acme", "acme.example/help"
    assert checks.check_us_senders(databases=["default"]) == []
    settings.MESSAGE_BRAND = ""
    KeywordRule.objects.create(sender_number=sender, action="help", words="HELP", reply="Ours")
    assert checks.check_us_senders(databases=["default"]) == []
