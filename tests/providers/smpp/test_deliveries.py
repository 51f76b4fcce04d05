"""A delivery is a receipt or a text, and its record is the same each time."""

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import gsm
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.messages import InboundMessage, MessagePart
from providers.errors import MalformedCallback
from providers.numbers import Notation, NumberFormat
from providers.octets import join
from providers.smpp.constants import DELIVERY_RECEIPT, UDH, Tag
from providers.smpp.deliveries import raw_record, read_deliver, read_text
from providers.smpp.pdu import ShortMessage, SmppAddress
from providers.smpp.text import Alphabet, LongText, split

DIGITS = NumberFormat(Notation.DIGITS)
MOBILE, SHORT_CODE = SmppAddress("4915112345678", 1, 1), SmppAddress("72345", 0, 0)


@dataclass(frozen=True)
class Formats:
    default_alphabet: Alphabet = Alphabet.GSM7
    numbers: NumberFormat = DIGITS


def delivery(octets: bytes, **fields: object) -> ShortMessage:
    return replace(ShortMessage(MOBILE, SHORT_CODE, octets), **fields)


def text_of(text: str, part: MessagePart | None = None) -> InboundMessage:
    return InboundMessage("", sender="+4915112345678", recipient="72345", text=text, part=part)


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (delivery(gsm.encode("STOP @€")), text_of("STOP @€")),
        (delivery("Привет".encode("utf-16-be"), data_coding=8), text_of("Привет")),
        (delivery(b"", tlvs={Tag.MESSAGE_PAYLOAD: gsm.encode("é" * 300)}), text_of("é" * 300)),
        (
            delivery(b"\x05\x00\x03\x07\x02\x01abc", esm_class=UDH),
            text_of("abc", MessagePart("7", 1, 2, b"abc", "gsm")),
        ),
        (delivery(b"\x05\x00\x03\x07\x02\x09abc", esm_class=UDH), text_of("abc")),
        (
            delivery(
                b"abc",
                tlvs={Tag.SAR_MSG_REF_NUM: b"\0\7", Tag.SAR_TOTAL_SEGMENTS: b"\2", Tag.SAR_SEGMENT_SEQNUM: b"\1"},
            ),
            text_of("abc", MessagePart("7", 1, 2, b"abc", "gsm")),
        ),
        (delivery(b"id:1 stat:DELIVRD"), text_of("id:1 stat:DELIVRD")),  # a person may write so
        (delivery(b""), text_of("")),
        (
            delivery(b"id:1 stat:DELIVRD", esm_class=DELIVERY_RECEIPT),
            StatusReport("1", ReportedStatus.DELIVERED, "DELIVRD"),
        ),
        (
            delivery(b"\xff\x00", data_coding=4, tlvs={Tag.RECEIPTED_MESSAGE_ID: b"1\0", Tag.MESSAGE_STATE: b"\2"}),
            StatusReport("1", ReportedStatus.DELIVERED, "DELIVRD"),
        ),
        (
            delivery("id:1 stat:DELIVRD".encode("utf-16-be"), data_coding=8, esm_class=DELIVERY_RECEIPT),
            StatusReport("1", ReportedStatus.DELIVERED, "DELIVRD"),
        ),
    ],
)
def test_a_delivery_is_read_as_what_it_is(message: ShortMessage, read: StatusReport | InboundMessage) -> None:
    assert read_deliver(message, Formats()) == read


@pytest.mark.parametrize("alphabet", Alphabet)
@pytest.mark.parametrize(
    "octets",
    [
        b"id:ab_1 stat:DELIVRD err:000 text:plain @ text",
        b"id:ab_1 stat:DELIVRD err:000 text:caf\x05 \x1b\x65",
        b"id:ab_1 stat:DELIVRD err:000 text:caf\xe9",
    ],
)
def test_a_receipt_in_ascii_is_read_whatever_the_default_alphabet_is(octets: bytes, alphabet: Alphabet) -> None:
    read = read_deliver(delivery(octets, esm_class=DELIVERY_RECEIPT), Formats(alphabet))

    assert read == StatusReport("ab_1", ReportedStatus.DELIVERED, "DELIVRD")


@pytest.mark.parametrize(
    ("octets", "alphabet"),
    [
        (gsm.encode("id:ab_1 stat:DELIVRD text:é"), Alphabet.GSM7),
        (gsm.pack(gsm.encode("id:ab_1 stat:DELIVRD text:é")), Alphabet.GSM7_PACKED),
    ],
)
def test_a_receipt_in_the_default_alphabet_is_read_too(octets: bytes, alphabet: Alphabet) -> None:
    read = read_deliver(delivery(octets, esm_class=DELIVERY_RECEIPT), Formats(alphabet))

    assert read == StatusReport("ab_1", ReportedStatus.DELIVERED, "DELIVRD")


@pytest.mark.parametrize(
    "message",
    [
        delivery(b"\x00\x01\xff", data_coding=4),
        delivery(b"hello", source=SmppAddress("")),
        delivery(b"hello", esm_class=DELIVERY_RECEIPT),
        delivery(b"\x00\xff", data_coding=4, esm_class=DELIVERY_RECEIPT),
    ],
    ids=["binary data", "no sender", "a receipt without fields", "a binary receipt"],
)
def test_what_is_neither_is_malformed(message: ShortMessage) -> None:
    with pytest.raises(MalformedCallback):
        read_deliver(message, Formats())


@pytest.mark.parametrize("long_text", [LongText.UDH, LongText.UDH16, LongText.SAR])
def test_the_parts_that_we_write_are_read_with_their_places(long_text: LongText) -> None:
    text = "€" * 100

    parts = split(text, alphabet=Alphabet.GSM7_PACKED, long_text=long_text, reference=300)

    read = [
        read_text(
            delivery(part.octets, data_coding=part.data_coding, esm_class=part.esm_class, tlvs=part.tlvs),
            Alphabet.GSM7_PACKED,
        )
        for part in parts
    ]
    reference = "44" if long_text is LongText.UDH else "300"
    assert "".join(each or "" for each, _place in read) == text
    places = [place for _text, place in read if place is not None]
    assert [(place.reference, place.number, place.count) for place in places] == [(reference, 1, 2), (reference, 2, 2)]
    assert join([place.octets for place in places], "gsm") == text


@given(
    octets=st.binary(max_size=254),
    data_coding=st.integers(0, 255),
    esm_class=st.integers(0, 255),
    tlvs=st.dictionaries(
        st.sampled_from([0x1E, 0x20C, 0x20E, 0x20F, 0x423, 0x424, 0x427, 0x1400]), st.binary(max_size=9)
    ),
)
def test_any_delivery_is_read_or_malformed(
    octets: bytes, data_coding: int, esm_class: int, tlvs: dict[int, bytes]
) -> None:
    message = delivery(octets, data_coding=data_coding, esm_class=esm_class, tlvs=tlvs)

    try:
        read = read_deliver(message, Formats())
    except MalformedCallback:
        return

    assert isinstance(read, StatusReport | InboundMessage)
    if isinstance(read, InboundMessage):
        assert "\x00" not in read.text


def test_a_record_is_readable_and_the_same_for_the_same_delivery() -> None:
    tlvs = {Tag.MESSAGE_STATE: b"\2", Tag.RECEIPTED_MESSAGE_ID: b"1\0"}
    message = delivery(b"\x05\x00\x03\x07\x02\x01abc", esm_class=UDH, tlvs=tlvs)
    repeated = ShortMessage.decode(replace(message, tlvs=dict(reversed(tlvs.items()))).encode())

    assert raw_record(repeated) == raw_record(message)
    assert json.loads(raw_record(message)) == {
        "source": {"address": "4915112345678", "ton": 1, "npi": 1},
        "destination": {"address": "72345", "ton": 0, "npi": 0},
        "service_type": "",
        "esm_class": 64,
        "protocol_id": 0,
        "priority": 0,
        "data_coding": 0,
        "short_message": "050003070201616263",
        "tlvs": {"0x001e": "3100", "0x0427": "02"},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"octets": b"abd"},
        {"source": SmppAddress("4915112345679", 1, 1)},
        {"destination": SmppAddress("72346")},
        {"data_coding": 3},
        {"esm_class": 4},
        {"tlvs": {Tag.MESSAGE_STATE: b"\2"}},
    ],
)
def test_another_delivery_has_another_record(change: dict[str, object]) -> None:
    message = delivery(b"abc")

    assert raw_record(replace(message, **change)) != raw_record(message)
