"""Octets of replies are read as what their senders meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import gsm
from providers.contract.messages import MessagePart
from providers.smpp.decoding import DataHeader, decode, read_udh, sar_part
from providers.smpp.text import Alphabet

UCS2_TEXT = "Grüße 👋"


@pytest.mark.parametrize(
    ("octets", "data_coding", "default", "text"),
    [
        (gsm.encode("@£{é€"), 0, Alphabet.GSM7, "@£{é€"),
        (gsm.pack(gsm.encode("@£{é€")), 0, Alphabet.GSM7_PACKED, "@£{é€"),
        (b"caf\xe9", 0, Alphabet.LATIN1, "café"),
        (b"caf\xe9", 0, Alphabet.ASCII, "café"),
        (b"caf\xe9", 0, Alphabet.GSM7, "café"),
        ("café".encode(), 0, Alphabet.GSM7, "café"),
        (b"a@b_c", 1, Alphabet.GSM7, "a@b_c"),
        (gsm.encode("a@b_c"), 1, Alphabet.GSM7, "a@b_c"),
        (b"line\r\nline\t", 1, Alphabet.GSM7, "line\r\nline\t"),
        (b"caf\xe9 \x1b\x65", 3, Alphabet.GSM7, "café \x1b\x65"),
        (UCS2_TEXT.encode("utf-16-be"), 8, Alphabet.GSM7, UCS2_TEXT),
        (UCS2_TEXT.encode("utf-16-be") + b"\x00", 8, Alphabet.GSM7, UCS2_TEXT),
        (b"\xfe\xff" + "я".encode("utf-16-be"), 8, Alphabet.GSM7, "я"),
        ("\ufeffя".encode("utf-16-le"), 8, Alphabet.GSM7, "я"),
        (b"\xd8\x3d", 8, Alphabet.GSM7, "\ufffd"),
        (b"\x00a\x00\x00", 8, Alphabet.GSM7, "a"),
        (gsm.encode("@{"), 0xF1, Alphabet.LATIN1, "@{"),
        (gsm.encode("@{"), 0x10, Alphabet.LATIN1, "@{"),
        (gsm.pack(gsm.encode("@{")), 0xF0, Alphabet.GSM7_PACKED, "@{"),
        (gsm.encode("@{"), 0xC8, Alphabet.ASCII, "@{"),
        (UCS2_TEXT.encode("utf-16-be"), 0x18, Alphabet.GSM7, UCS2_TEXT),
        (UCS2_TEXT.encode("utf-16-be"), 0xE0, Alphabet.GSM7, UCS2_TEXT),
        (b"plain", 4, Alphabet.GSM7, "plain"),
        ("café".encode(), 0xF5, Alphabet.GSM7, "café"),
        ("Привет".encode("iso8859-5"), 6, Alphabet.GSM7, "Привет"),
        ("שלום".encode("iso8859-8"), 7, Alphabet.GSM7, "שלום"),
        ("日本".encode("shift_jis"), 5, Alphabet.GSM7, "日本"),
        (gsm.encode("@"), 0x2C, Alphabet.GSM7, "@"),
        (b"", 0, Alphabet.GSM7, ""),
    ],
)
def test_a_text_is_read_by_its_coding(octets: bytes, data_coding: int, default: Alphabet, text: str) -> None:
    assert decode(octets, data_coding, default) == text


@pytest.mark.parametrize("data_coding", [2, 4, 0x14, 0xF4])
def test_binary_data_is_no_text(data_coding: int) -> None:
    with pytest.raises(ValueError, match="binary"):
        decode(b"\x06\x05\x04\x0b\x84\x00\xff\x01", data_coding, Alphabet.GSM7)


@given(octets=st.binary(max_size=300), data_coding=st.integers(0, 255), default=st.sampled_from(Alphabet))
def test_whatever_comes_is_storable_or_binary(octets: bytes, data_coding: int, default: Alphabet) -> None:
    try:
        text = decode(octets, data_coding, default)
    except ValueError as error:
        assert str(error) == "the message is binary data, not a text"  # noqa: PT017 (most octets are some text)
        return

    assert "\x00" not in text
    text.encode()


@given(
    text=st.text(st.sampled_from(sorted(gsm.CHARACTERS - {"\r", "@"})), max_size=160), header=st.sampled_from([0, 6, 7])
)
def test_packed_septets_are_read_wherever_they_begin(text: str, header: int) -> None:
    octets = gsm.pack(gsm.encode(text), fill_bits=-8 * header % 7)

    assert decode(octets, 0, Alphabet.GSM7_PACKED, header_octets=header) == text


def test_zeros_at_the_end_of_packed_septets_fill_an_octet_unless_the_part_is_full() -> None:
    seven_and_zeros = gsm.pack(b"1234567\x00")
    full = gsm.pack(gsm.encode("a" * 159 + "@"))

    assert decode(seven_and_zeros, 0, Alphabet.GSM7_PACKED) == "1234567"
    assert decode(full, 0, Alphabet.GSM7_PACKED) == "a" * 159 + "@"


@pytest.mark.parametrize(
    ("octets", "header"),
    [
        (b"\x05\x00\x03\x2a\x02\x01abc", DataHeader(6, MessagePart("42", 1, 2))),
        (b"\x06\x08\x04\x01\x2a\x03\x03abc", DataHeader(7, MessagePart("298", 3, 3))),
        (b"\x0b\x05\x04\x0b\x84\x00\x00\x00\x03\x01\x02\x02abc", DataHeader(12, MessagePart("1", 2, 2))),
        (b"\x05\x00\x03\x2a\x01\x01abc", DataHeader(6, None)),  # a text of one part
        (b"\x05\x00\x03\x2a\x02\x00abc", DataHeader(6, None)),
        (b"\x05\x00\x03\x2a\x02\x03abc", DataHeader(6, None)),
        (b"\x05\x00\x03\x2a\x00\x00abc", DataHeader(6, None)),
        (b"\x05\x00\x04\x2a\x02\x01abc", DataHeader(6, None)),  # the element is longer than the header
        (b"\x04\x00\x02\x2a\x02abc", DataHeader(5, None)),
        (b"\x01\x00abc", DataHeader(2, None)),
        (b"\x00abc", DataHeader(1, None)),
        (b"\xffabc", DataHeader()),
        (b"", DataHeader()),
    ],
)
def test_a_header_is_read_and_a_broken_one_names_no_part(octets: bytes, header: DataHeader) -> None:
    assert read_udh(octets) == header


@given(octets=st.binary(max_size=40))
def test_any_octets_may_be_a_header(octets: bytes) -> None:
    header = read_udh(octets)

    assert 0 <= header.octets <= len(octets)
    assert header.part is None or 1 <= header.part.number <= header.part.count


@pytest.mark.parametrize(
    ("tlvs", "part"),
    [
        ({0x020C: b"\x01\x2a", 0x020E: b"\x03", 0x020F: b"\x02"}, MessagePart("298", 2, 3)),
        ({0x020C: b"\x2a", 0x020E: b"\x03", 0x020F: b"\x02"}, MessagePart("42", 2, 3)),
        ({0x020C: b"\x01\x2a", 0x020E: b"\x03"}, None),
        ({0x020C: b"\x01\x2a", 0x020E: b"\x03", 0x020F: b"\x04"}, None),
        ({0x020C: b"\x01\x2a", 0x020E: b"\x03\x00", 0x020F: b"\x02"}, None),
        ({0x020C: b"", 0x020E: b"\x03", 0x020F: b"\x02"}, None),
        ({}, None),
    ],
)
def test_the_three_tlvs_of_sar_name_a_part(tlvs: dict[int, bytes], part: MessagePart | None) -> None:
    assert sar_part(tlvs) == part
