"""Callbacks of AWS through the endpoint: SNS's signature, its handshake, and what happens while SNS does not answer."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from messaging.models import Message, ProviderCallback
from providers.backends.aws import AwsBackend
from tests.contract.sns import CONFIRM_URL, TOPIC, FakeSns, Signer, changed
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.api.conftest import assert_problem
from tests.messaging.test_webhooks import client, send

__all__ = ["client"]
pytestmark = pytest.mark.django_db

STATUS, INBOUND = "/webhooks/aws1/status/", "/webhooks/aws1/inbound/"
EVENT = json.dumps({"eventType": "TEXT_DELIVERED", "isFinal": True, "messageId": "id-1"})
REPLY = json.dumps(
    {
        "originationNumber": "+14155550101",
        "destinationNumber": "+14155550100",
        "messageBody": "hello",
        "inboundMessageId": "in-1",
    }
)


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSns]:
    with closing(FakeSns()) as sns:
        monkeypatch.setattr(AwsBackend, "_fetch", lambda _backend, url: sns.fetch(url))
        yield sns


@pytest.fixture(autouse=True)
def account(sns: FakeSns, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET", "s3cret")
    config = {
        "region": "eu-west-1",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": {"env": "AWS_SECRET"},
        "topic_arns": [TOPIC],
    }
    return AccountFactory(slug="aws1", backend="aws", config=config)


def test_an_event_settles_its_message(client, account) -> None:
    message = MessageFactory(sent=True, provider=account, provider_message_id="id-1")
    AttemptFactory(message=message, provider=account, provider_message_id="id-1")

    response = send(client, STATUS, Signer().body(EVENT), content_type="text/plain; charset=UTF-8")

    message.refresh_from_db()
    assert (response.status_code, message.status) == (200, "delivered")


def test_a_reply_is_stored(client) -> None:
    response = send(client, INBOUND, Signer().body(REPLY), content_type="text/plain; charset=UTF-8")

    assert (response.status_code, Message.objects.count()) == (200, 1)


@pytest.mark.parametrize("address", [STATUS, INBOUND])
def test_what_sns_did_not_sign_is_forbidden(client, address: str) -> None:
    response = send(client, address, changed(Signer().body(EVENT), Message="{}"))

    assert_problem(response, 403, "permission_denied")
    assert not ProviderCallback.objects.exists()
    assert not Message.objects.exists()


@pytest.mark.parametrize("address", [STATUS, INBOUND])
def test_while_sns_does_not_serve_its_certificate_it_has_to_repeat(client, sns: FakeSns, address: str) -> None:
    sns.status = 500

    response = send(client, address, Signer().body(EVENT))

    assert_problem(response, 503, "unavailable")
    assert response["Retry-After"] == "5"
    assert not ProviderCallback.objects.exists()
    assert not Message.objects.exists()


def test_a_subscription_is_confirmed(client, sns: FakeSns) -> None:
    response = send(client, INBOUND, Signer().body("subscribe", kind="SubscriptionConfirmation"))

    assert response.status_code == 200
    assert sns.asked[-1] == CONFIRM_URL
    assert not ProviderCallback.objects.exists()
