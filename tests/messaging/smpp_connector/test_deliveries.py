"""What is stored before a `deliver_sm` is acknowledged."""

from datetime import timedelta

import pytest
from django.db import OperationalError

from messaging.models import Message, ProviderCallback
from messaging.services.outbound import receipts
from messaging.smpp_connector.deliveries import store
from messaging.states import Status
from providers.backends.smpp_config import SmppConfig
from providers.smpp.constants import CommandStatus, Tag
from providers.smpp.pdu import ShortMessage, SmppAddress
from tests.factories import NOW, AccountFactory, AttemptFactory, MessageFactory

pytestmark = pytest.mark.django_db

CONFIG = SmppConfig(host="127.0.0.1", port=2775, system_id="us", password="secret")
PERSON, US = SmppAddress("14155550101", 1, 1), SmppAddress("15005550006", 1, 1)
LATER = NOW + timedelta(seconds=5)


@pytest.fixture
def account():
    return AccountFactory(slug="carrier", backend="smpp")


def sent(account, provider_message_id: str) -> Message:
    message = MessageFactory(status=Status.SENT, provider=account, provider_message_id=provider_message_id, attempts=1)
    AttemptFactory(
        message=message, provider=account, number=1, outcome="accepted", provider_message_id=provider_message_id
    )
    return message


def deliver(account, message: ShortMessage | bytes, *, now=LATER) -> int:
    body = message if isinstance(message, bytes) else message.encode()
    return store(body, account=account, config=CONFIG, now=now)


def receipt(message_id: str, word: str = "DELIVRD", **tlvs) -> ShortMessage:
    text = f"id:{message_id} sub:001 dlvrd:001 submit date:2611301200 done date:2611301201 stat:{word} err:000 text:hi"
    return ShortMessage(PERSON, US, text.encode(), esm_class=0x04, **tlvs)


@pytest.mark.parametrize(
    ("given", "in_receipt"), [("4711", "4711"), ("1A2B", "6699"), ("0000004711", "4711"), ("abc-def", "ABC-DEF")]
)
def test_a_receipt_is_applied_whatever_the_form_of_its_id(account, given: str, in_receipt: str) -> None:
    message = sent(account, given)
    assert deliver(account, receipt(in_receipt)) == CommandStatus.ROK
    message.refresh_from_db()
    assert message.status == Status.DELIVERED


def test_the_parameters_count_before_the_text(account) -> None:
    message = sent(account, "4711")
    tlvs = {Tag.RECEIPTED_MESSAGE_ID: b"4711", Tag.MESSAGE_STATE: b"\x05"}
    assert deliver(account, receipt("other", "DELIVRD", tlvs=tlvs)) == CommandStatus.ROK
    message.refresh_from_db()
    assert message.status == Status.UNDELIVERED


def test_the_same_receipt_twice_is_acknowledged_twice_and_stored_once(account) -> None:
    sent(account, "4711")
    assert [deliver(account, receipt("4711")) for _ in range(2)] == [CommandStatus.ROK] * 2
    assert ProviderCallback.objects.count() == 1


def test_a_receipt_that_matches_nothing_yet_is_kept_and_acknowledged(account) -> None:
    assert deliver(account, receipt("4711")) == CommandStatus.ROK
    assert ProviderCallback.objects.get().state == "unmatched"


def test_a_reply_is_stored_with_its_numbers(account) -> None:
    assert deliver(account, ShortMessage(PERSON, US, b"Yes \x1be")) == CommandStatus.ROK
    message = Message.objects.get()
    assert (message.from_number, message.to_number, message.text) == ("+14155550101", "+15005550006", "Yes €")


def test_the_parts_of_a_long_reply_are_put_together(account) -> None:
    parts = [
        ShortMessage(PERSON, US, b"\x05\x00\x03\x07\x02" + bytes([n]) + t, esm_class=0x40)
        for n, t in ((2, b"world"), (1, b"Hello "))
    ]
    assert [deliver(account, part) for part in parts] == [CommandStatus.ROK] * 2
    assert Message.objects.get().text == "Hello world"


@pytest.mark.parametrize(
    "message",
    [
        ShortMessage(PERSON, US, b"no id here", esm_class=0x04),
        ShortMessage(SmppAddress(""), US, b"no sender"),
        ShortMessage(PERSON, US, b"\x00\x01\x02", data_coding=4),
    ],
)
def test_what_cannot_be_understood_is_kept_and_refused_for_good(account, message: ShortMessage) -> None:
    assert deliver(account, message) == CommandStatus.RX_P_APPN
    assert ProviderCallback.objects.get().state == "malformed"
    assert not Message.objects.exists()


def test_a_body_that_cannot_be_read_is_kept_and_refused(account) -> None:
    assert deliver(account, b"\x00\x01") == CommandStatus.RINVPARLEN
    assert ProviderCallback.objects.get().state == "malformed"


def test_a_fault_of_the_database_is_not_answered_as_stored(account, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(receipts, "ingest", fail)
    with pytest.raises(OperationalError):
        deliver(account, receipt("4711"))
