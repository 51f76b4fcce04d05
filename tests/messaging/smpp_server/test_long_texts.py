"""Long texts by header, SAR parameters or payload become one message."""

from datetime import timedelta

import pytest
import smpplib.consts
import smpplib.gsm
from django.db.models import F
from django.utils import timezone

from messaging.models import GatewayPart, GatewayReceipt, Message, Suppression
from messaging.services.gateway import parts
from messaging.states import Status
from tests.factories import NOW, UserFactory
from tests.messaging.smpp_server.test_receipts import deliver
from tests.messaging.smpp_server.test_server import RINVMSGID, RSUBMITFAIL, cancel, message_id

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "0123456789" * 40 + "[€]"
UNICODE = "Grüße 😀 " * 20
UDH = 0x40


def in_parts(text: str) -> list[dict]:
    octets, coding, esm_class = smpplib.gsm.make_parts(text)
    return [{"short_message": each, "data_coding": coding, "esm_class": esm_class} for each in octets]


def by_16_bits(text: str) -> list[dict]:
    pieces = [text[at : at + 150] for at in range(0, len(text), 150)]
    return [
        {"short_message": bytes([6, 8, 4, 1, 7, len(pieces), number]) + piece.encode(), "esm_class": UDH}
        for number, piece in enumerate(pieces, start=1)
    ]


def by_sar(text: str) -> list[dict]:
    pieces = [text[at : at + 150] for at in range(0, len(text), 150)]
    return [
        {
            "short_message": piece.encode(),
            "sar_msg_ref_num": 300,
            "sar_total_segments": len(pieces),
            "sar_segment_seqnum": number,
        }
        for number, piece in enumerate(pieces, start=1)
    ]


@pytest.mark.parametrize("text", [LONG, UNICODE], ids=["gsm", "ucs2"])
def test_the_parts_of_smpplib_become_one_message(connect, credential, broker, text: str) -> None:
    client = connect()

    told = [message_id(client.answer_to_submit(**part)) for part in in_parts(text)]

    message = Message.objects.get()
    assert message.text == text
    assert told[0] == str(message.pk)
    assert len(set(told)) == len(told) > 1
    assert set(GatewayPart.objects.values_list("octets", "due_at", "group")) == {("", None, message.pk)}
    assert broker.notified == ["express"]


@pytest.mark.parametrize("split", [by_16_bits, by_sar])
def test_other_ways_to_cut(connect, credential, split) -> None:
    client = connect()
    text = "abcdefghij" * 35

    for part in reversed(split(text)):
        message_id(client.answer_to_submit(**part))

    assert Message.objects.get().text == text


def test_a_payload_is_one_message(connect, credential) -> None:
    message_id(connect().answer_to_submit(short_message=b"", message_payload=b"x" * 500))

    assert Message.objects.get().text == "x" * 500
    assert not GatewayPart.objects.exists()


def test_a_character_cut_by_the_end_of_a_part_is_whole(connect, credential) -> None:
    client = connect()
    octets = "😀".encode("utf-16-be")
    for number in (1, 2):
        header = bytes([5, 0, 3, 9, 2, number])
        half = octets[:2] if number == 1 else octets[2:]
        message_id(client.answer_to_submit(short_message=header + half, esm_class=UDH, data_coding=8))

    assert Message.objects.get().text == "😀"


def test_a_repeated_part_is_no_second_text(connect, credential) -> None:
    client = connect()
    first, second, third = in_parts(LONG)

    told = [
        message_id(client.answer_to_submit(**part)) for part in (first, second, first, second, third, third, second)
    ]

    assert told[2:4] == told[:2]
    assert told[5] == told[4]
    assert told[6] == told[1]
    assert Message.objects.count() == 1


def test_a_minute_after_a_text_is_complete_the_same_parts_are_another_text(connect, credential) -> None:
    client = connect()
    for part in in_parts(LONG):
        message_id(client.answer_to_submit(**part))
    GatewayPart.objects.update(received_at=F("received_at") - timedelta(minutes=1))
    for part in in_parts(LONG):
        message_id(client.answer_to_submit(**part))

    assert list(Message.objects.values_list("text", flat=True)) == [LONG, LONG]


def test_the_same_reference_with_another_content_is_another_text(connect, credential) -> None:
    client = connect()

    def parts_of(letter: bytes) -> list[dict]:
        return [{"short_message": bytes([5, 0, 3, 1, 2, number]) + letter * 100, "esm_class": UDH} for number in (1, 2)]

    for part in (*parts_of(b"a"), *parts_of(b"b")):
        message_id(client.answer_to_submit(**part))

    assert sorted(Message.objects.order_by("pk").values_list("text", flat=True)) == ["a" * 200, "b" * 200]


def test_a_message_is_found_by_the_id_of_each_part(connect, credential) -> None:
    client = connect()
    told = [message_id(client.answer_to_submit(**part)) for part in in_parts(LONG)]

    assert cancel(client, told[1]) == 0
    assert Message.objects.get().status == "canceled"


def test_a_text_that_waits_for_parts_cannot_be_canceled(connect, credential) -> None:
    client = connect()
    told = message_id(client.answer_to_submit(**in_parts(LONG)[0]))

    assert cancel(client, told) == 0x11
    assert GatewayPart.objects.count() == 1


def test_each_part_that_asks_gets_a_receipt(connect, credential) -> None:
    client = connect()
    told = [message_id(client.answer_to_submit(registered_delivery=1, **part)) for part in in_parts(LONG)]

    deliver(Message.objects.get(), Status.SENDING, Status.SENT, Status.DELIVERED)

    received = client.read_until(3)
    assert sorted(pdu.receipted_message_id.rstrip(b"\0").decode() for pdu in received) == sorted(told)
    assert {pdu.message_state for pdu in received} == {2}


def test_an_incomplete_text_is_given_up_and_never_sent(connect, credential) -> None:
    client = connect()
    first, second, _ = in_parts(LONG)
    told = [message_id(client.answer_to_submit(registered_delivery=1, **part)) for part in (first, second)]

    assert parts.give_up(now=timezone.now()) == 0
    GatewayPart.objects.update(due_at=timezone.now())
    assert parts.give_up(now=timezone.now()) == 2

    received = client.read_until(2)
    assert sorted(pdu.receipted_message_id.rstrip(b"\0").decode() for pdu in received) == sorted(told)
    assert all(b"stat:EXPIRED" in pdu.short_message for pdu in received)
    assert not GatewayPart.objects.exists()
    assert not Message.objects.exists()
    assert cancel(client, told[0]) == RINVMSGID


def test_a_refused_text_refuses_its_last_part_and_rejects_the_others(connect, credential) -> None:
    Suppression.objects.create(number="+14155550101", source="admin", created_at=NOW, created_by=UserFactory())
    client = connect()
    first, second, third = in_parts(LONG)
    for part in (first, second):
        message_id(client.answer_to_submit(registered_delivery=1, **part))

    assert client.answer_to_submit(registered_delivery=1, **third).status == RSUBMITFAIL

    received = client.read_until(2)
    assert all(b"stat:REJECTD" in pdu.short_message for pdu in received)
    assert not Message.objects.exists()
    assert not GatewayPart.objects.exists()


def test_stored_parts_are_encrypted(connect, credential, settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["k1:" + "A" * 43 + "="]
    message_id(connect().answer_to_submit(**in_parts(LONG)[0]))

    [stored] = GatewayPart.objects.extra(select={"raw": "octets"}).values_list("raw", flat=True)
    assert stored.startswith("enc:v1:k1:")


def test_too_many_parts_are_refused(connect, credential) -> None:
    answer = connect().answer_to_submit(short_message=bytes([5, 0, 3, 1, 200, 1]) + b"x", esm_class=UDH)

    assert answer.status == 1
    assert not GatewayPart.objects.exists()


def test_a_header_that_cannot_be_read_is_refused(connect, credential) -> None:
    assert connect().answer_to_submit(short_message=bytes([200, 0]), esm_class=UDH).status == RSUBMITFAIL
    assert not GatewayReceipt.objects.exists()
