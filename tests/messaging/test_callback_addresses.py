"""The addresses of `callback_addresses` work: for receipts of any message, and for replies."""

import json
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from messaging.models import Message, ProviderCallback
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.api.conftest import HANDLER

pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> str:
    output = StringIO()
    call_command("callback_addresses", *arguments, stdout=output)
    return output.getvalue()


def post(address: str, content: dict[str, str]) -> tuple[int, dict[str, str]]:
    client = Client(raise_request_exception=False)
    client.handler = HANDLER
    path = address.removeprefix(settings.PUBLIC_URL)
    response = client.generic("POST", path, json.dumps(content), content_type="application/json")
    return response.status_code, response.json()


def test_a_receipt_at_the_fixed_address_is_matched_by_the_providers_id(account) -> None:
    messages = [
        MessageFactory(sent=True, provider=account, provider_message_id=name, to_number=number)
        for name, number in (("p1", "+14155550101"), ("p2", "+14155550102"))
    ]
    for message in messages:
        AttemptFactory(message=message, provider=account, provider_message_id=message.provider_message_id)
    receipts = json.loads(printed("acme", "--json"))["receipts"]

    assert post(receipts, {"message_id": "p2", "status": "delivered"}) == (200, {"result": "applied"})
    assert post(receipts, {"message_id": "p9", "status": "delivered"}) == (202, {"result": "kept"})

    assert [Message.objects.get(pk=each.pk).status for each in messages] == ["sent", "delivered"]


def test_a_reply_at_the_printed_address_is_stored(account) -> None:
    replies = json.loads(printed("acme", "--json"))["replies"]

    status, _ = post(replies, {"from": "+14155550101", "to": "+15005550006", "message": "Hello", "id": "in-1"})

    assert status == 200
    assert Message.objects.get().text == "Hello"


def test_the_token_is_of_this_account_only(account) -> None:
    AccountFactory(slug="other")
    receipts = json.loads(printed("acme", "--json"))["receipts"]

    status, _ = post(receipts.replace("/acme/", "/other/"), {"message_id": "p1", "status": "delivered"})

    assert status == 403
    assert not ProviderCallback.objects.exists()


def test_the_addresses_are_printed_as_a_table(account) -> None:
    receipts, replies = (line.split() for line in printed("acme").splitlines())

    assert receipts[0] == "receipts"
    assert receipts[1].startswith(f"{settings.PUBLIC_URL}/webhooks/acme/status/?token=")
    assert replies[0] == "replies"
    assert replies[1].startswith(f"{settings.PUBLIC_URL}/webhooks/acme/inbound/?token=")


def test_the_addresses_have_no_token_if_the_provider_signs_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "made-up")
    config = {"account_sid": "AC00", "auth_token": {"env": "TWILIO_AUTH_TOKEN"}, "from_number": "+15005550006"}
    AccountFactory(slug="twilio", backend="twilio", config=config)

    assert printed("twilio").split() == [
        *("receipts", f"{settings.PUBLIC_URL}/webhooks/twilio/status/"),
        *("replies", f"{settings.PUBLIC_URL}/webhooks/twilio/inbound/"),
    ]


@pytest.mark.usefixtures("send_only")
def test_an_account_without_callbacks_has_no_addresses() -> None:
    with pytest.raises(CommandError, match="plain has no addresses: its backend send_only has no callbacks"):
        printed("plain")


def test_an_account_that_cannot_be_used_has_no_addresses() -> None:
    AccountFactory(slug="acme", config={"url": {"env": "PROVIDER_NOT_SET"}})

    with pytest.raises(CommandError, match="environment variable PROVIDER_NOT_SET is not set"):
        printed("acme")


def test_an_unknown_account_has_no_addresses() -> None:
    with pytest.raises(CommandError, match="there is no account 'nobody'"):
        printed("nobody")
