"""Long replies of a carrier: from the `deliver_sm` of each part to one message."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from messaging.models import InboundPart, Message, Suppression
from messaging.services.inbound import late_parts
from messaging.services.inbound.receive import InboundLimits
from messaging.smpp_connector.deliveries import store
from providers import gsm
from providers.backends.smpp_config import SmppConfig
from providers.smpp.constants import UDH, CommandStatus, Tag
from providers.smpp.pdu import ShortMessage, SmppAddress
from tests.factories import NOW, AccountFactory

pytestmark = pytest.mark.django_db

PERSON, OTHER, US = (SmppAddress(number, 1, 1) for number in ("14155550101", "14155550102", "15005550006"))
LIMITS = InboundLimits(1_600, 100, timedelta(seconds=60), timedelta(seconds=2))
UCS2 = 8


def udh8(content: bytes, number: int, count: int, **fields: object) -> ShortMessage:
    header = b"\x05\x00\x03\x2a" + bytes([count, number])
    return ShortMessage(**{"source": PERSON, "destination": US, "octets": header + content, "esm_class": UDH, **fields})


def udh16(content: bytes, number: int, count: int, **fields: object) -> ShortMessage:
    header = b"\x06\x08\x04\x01\x2a" + bytes([count, number])
    return ShortMessage(**{"source": PERSON, "destination": US, "octets": header + content, "esm_class": UDH, **fields})


def sar(content: bytes, number: int, count: int, **fields: object) -> ShortMessage:
    tlvs = {
        Tag.SAR_MSG_REF_NUM: b"\x01\x2a",
        Tag.SAR_TOTAL_SEGMENTS: bytes([count]),
        Tag.SAR_SEGMENT_SEQNUM: bytes([number]),
    }
    return ShortMessage(**{"source": PERSON, "destination": US, "octets": content, "tlvs": tlvs, **fields})


def payload(content: bytes, number: int, count: int, **fields: object) -> ShortMessage:
    """With the header and the text in `message_payload`."""
    tlvs = {Tag.MESSAGE_PAYLOAD: b"\x05\x00\x03\x2a" + bytes([count, number]) + content}
    return ShortMessage(
        **{"source": PERSON, "destination": US, "octets": b"", "esm_class": UDH, "tlvs": tlvs, **fields}
    )


FORMS = {"udh8": udh8, "udh16": udh16, "sar": sar, "payload": payload}
Form = Callable[..., ShortMessage]


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.fixture
def deliver(db):
    account = AccountFactory(slug="carrier", backend="smpp")

    def deliver(*parts: ShortMessage, alphabet: str = "gsm7", after: float = 0) -> None:
        config = SmppConfig(host="127.0.0.1", port=2775, system_id="us", password="secret", default_alphabet=alphabet)  # type: ignore[call-arg]
        for part in parts:
            status = store(part.encode(), account=account, config=config, now=NOW + timedelta(seconds=after))
            assert status == CommandStatus.ROK

    return deliver


def texts() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("text", flat=True))


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1, 2))))
def test_parts_in_any_order_and_twice_are_one_text(deliver, form: Form, order: tuple[int, ...]) -> None:
    parts = [form(words, number, 3) for number, words in enumerate((b"One, ", b"two, ", b"three"), 1)]

    for place in order:
        deliver(parts[place], parts[place])

    assert texts() == ["One, two, three"]


def test_the_parts_of_two_people_with_one_reference_are_two_texts(deliver, form: Form) -> None:
    deliver(form(b"A1", 1, 2), form(b"B1", 1, 2, source=OTHER), form(b"B2", 2, 2, source=OTHER), form(b"A2", 2, 2))

    assert texts() == ["B1B2", "A1A2"]


@pytest.mark.parametrize("words", ["I am 😀 happy", "é😀😀", "中文 😀"])
def test_a_text_in_ucs2_may_be_cut_between_any_two_octets(deliver, form: Form, words: str) -> None:
    octets = words.encode("utf-16-be")

    for at in range(1, len(octets)):
        Message.objects.all().delete()
        InboundPart.objects.all().delete()
        deliver(form(octets[at:], 2, 2, data_coding=UCS2), form(octets[:at], 1, 2, data_coding=UCS2))
        assert texts() == [words], at


def test_a_byte_order_mark_in_each_part_does_no_harm(deliver, form: Form) -> None:
    first, second = ("a\ud83d".encode("utf-16-le", "surrogatepass"), "\ude00b".encode("utf-16-be", "surrogatepass"))

    deliver(form(b"\xff\xfe" + first, 1, 2, data_coding=UCS2), form(b"\xfe\xff" + second, 2, 2, data_coding=UCS2))

    assert texts() == ["a😀b"]


@pytest.mark.parametrize("coding", [0, 1, 0xF0], ids=["default", "ascii", "class 0"])
def test_gsms_escape_may_stand_in_another_part_than_what_it_escapes(deliver, form: Form, coding: int) -> None:
    octets = gsm.encode("{5 €}")

    for at in range(1, len(octets)):
        Message.objects.all().delete()
        InboundPart.objects.all().delete()
        deliver(form(octets[:at], 1, 2, data_coding=coding), form(octets[at:], 2, 2, data_coding=coding))
        assert texts() == ["{5 €}"], at


def test_also_in_packed_septets(deliver) -> None:
    first, second = gsm.encode("cost 5 €")[:8], gsm.encode("cost 5 €")[8:]
    assert first.endswith(b"\x1b")

    deliver(udh8(gsm.pack(first, fill_bits=1), 1, 2), udh8(gsm.pack(second, fill_bits=1), 2, 2), alphabet="gsm7_packed")

    assert texts() == ["cost 5 €"]


def test_parts_in_different_alphabets_are_decoded_each_by_its_own(deliver, form: Form) -> None:
    deliver(form(b"Price: 5 \x1be, ", 1, 2), form("да 😀".encode("utf-16-be"), 2, 2, data_coding=UCS2))

    assert texts() == ["Price: 5 €, да 😀"]


def test_half_a_character_whose_other_half_is_missing_is_replaced(deliver, form: Form) -> None:
    octets = "1😀2😀3".encode("utf-16-be")
    deliver(form(octets[:4], 1, 3, data_coding=UCS2), form(octets[10:], 3, 3, data_coding=UCS2))

    assert late_parts.store_due(limits=LIMITS, now=NOW + timedelta(minutes=6)) == 1

    assert texts() == ["1\ufffd … \ufffd3"]
    deliver(form(octets[4:10], 2, 3, data_coding=UCS2), after=400)
    assert late_parts.store_due(limits=LIMITS, now=NOW + timedelta(minutes=20)) == 1
    assert texts()[1] == "… \ufffd2\ufffd …"


def test_a_stop_in_parts_takes_effect(deliver, form: Form) -> None:
    octets = "STOP".encode("utf-16-be")

    deliver(form(octets[:3], 1, 2, data_coding=UCS2))
    assert not Suppression.objects.exists()
    deliver(form(octets[3:], 2, 2, data_coding=UCS2))

    assert texts() == ["STOP"]
    assert Suppression.objects.get().number == "+14155550101"


def test_octets_are_kept_no_longer_than_the_parts_wait(deliver, settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
    octets = "1😀".encode("utf-16-be")
    deliver(udh8(octets[:4], 1, 2, data_coding=UCS2))
    assert InboundPart.objects.get().unabridged == {"octets": octets[:4].hex(), "charset": "utf-16-be"}

    deliver(udh8(octets[4:], 2, 2, data_coding=UCS2))

    assert texts() == ["1😀"]
    assert not InboundPart.objects.exclude(unabridged={}).exists()
    assert not Message.objects.get().callbacks.exists()
