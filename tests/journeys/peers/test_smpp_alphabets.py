"""The PDUs of texts in every alphabet and every form of long texts, read by other programs than ours."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from providers.simulator.smpp.texts import Joining
from providers.smpp.constants import CommandId, Tag
from providers.smpp.pdu import ShortMessage, SmppAddress, encode
from providers.smpp.text import Alphabet, LongText, split
from tests.journeys.peers import node_smpp, tshark

TEXTS = {
    "gsm": "@£$€[]{}é~^|\\ and Δ_ΦΓΛΩΠΨΣΘΞ",
    "euros": "€" * 200,
    "emoji": "Hi 👋🏽 " * 40,
    "cyrillic": "Жди меня, и я вернусь. " * 30,
    "1,530 characters": "".join(itertools.islice(itertools.cycle("abcdefghijklmnopqrstuvwxyz "), 1530)),
}
LATIN_ONLY = "Grüße, señor: ¿qué tal? " * 12
SOURCE = SmppAddress("15005550006", 1, 1)
WIRESHARK_FIELDS = ("smpp.destination_addr", "smpp.data_coding", "smpp.esm.submit.features", "smpp.message")
PAYLOAD, SAR = "smpp.message_payload", ("smpp.sar_total_segments", "smpp.sar_segment_seqnum")


def cases() -> list[tuple[str, Alphabet, LongText, str]]:
    """Each with a recipient of its own, by which its parts are found again."""
    found = []
    for alphabet, long_text in itertools.product(Alphabet, LongText):
        texts = [*TEXTS.values(), *([LATIN_ONLY] if alphabet is Alphabet.LATIN1 else [])]
        found += [(alphabet, long_text, text) for text in texts]
    return [(f"1415200{at:04}", *case) for at, case in enumerate(found)]


def messages() -> list[ShortMessage]:
    return [
        ShortMessage(
            SOURCE,
            SmppAddress(to, 1, 1),
            part.octets,
            part.data_coding,
            part.esm_class,
            registered_delivery=1,
            tlvs=part.tlvs,
        )
        for to, alphabet, long_text, text in cases()
        for part in split(text, alphabet=alphabet, long_text=long_text, reference=0xC39B)
    ]


def pdus(written: Sequence[ShortMessage]) -> list[bytes]:
    return [encode(CommandId.SUBMIT_SM, each.encode(), sequence=at) for at, each in enumerate(written, start=1)]


def test_the_simulated_carrier_reads_every_text() -> None:
    wanted = {to: (alphabet, text) for to, alphabet, _, text in cases()}
    joining = Joining()

    read = {}
    for message in messages():
        alphabet, _ = wanted[message.destination.text]
        if text := joining.add(message, "id", default_alphabet=alphabet):
            assert text.to not in read
            read[text.to] = text.text

    assert joining.incomplete == 0
    assert read == {to: text for to, (_, text) in wanted.items()}


@pytest.mark.skipif(bool(node_smpp.missing()), reason=node_smpp.missing())
def test_node_smpp_reads_every_text() -> None:
    """Except packed septets, which it does not know, and ASCII, which it reads as GSM 03.38 (findings)."""
    written = messages()

    read = node_smpp.decode(pdus(written))

    texts: dict[str, str] = defaultdict(str)
    for each in read:
        texts[each["destination"][0]] += each["text"] if isinstance(each["text"], str) else ""
        assert each["destination"][1:] == [1, 1]
    compared = 0
    for to, alphabet, _, text in cases():
        coding = {each["data_coding"] for each in read if each["destination"][0] == to}
        if coding in ({3}, {8}) or (coding == {0} and alphabet is Alphabet.GSM7):
            assert texts[to] == text
            compared += 1
    assert compared > len(cases()) / 2


@pytest.mark.skipif(bool(tshark.MISSING), reason=tshark.MISSING)
def test_wireshark_reads_the_same_fields(tmp_path: Path) -> None:
    written = messages()

    read = tshark.decode(pdus(written), fields=(*WIRESHARK_FIELDS, PAYLOAD, *SAR), folder=tmp_path)

    assert len(read) == len(written)
    for fields, message in zip(read, written, strict=True):
        octets = "".join(fields["smpp.message"] or fields[PAYLOAD]).replace(":", "")
        assert fields["smpp.destination_addr"] == [message.destination.text]
        assert [int(each, 16) for each in fields["smpp.data_coding"]] == [message.data_coding]
        assert [int(each, 16) for each in fields["smpp.esm.submit.features"]] == [message.esm_class >> 6]
        assert octets == message.payload.hex()
        sar = [message.tlvs.get(tag) for tag in (Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)]
        assert [int(number, 0) for name in SAR for number in fields[name]] == [each[0] for each in sar if each]
    assert any(fields[SAR[0]] for fields in read)
