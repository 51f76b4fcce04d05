"""The alphabet is the one that counts the segments, and every text of it survives both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.segments import GSM_BASIC, GSM_EXTENSION
from providers import gsm


def test_the_alphabet_is_the_one_that_segments_are_counted_by() -> None:
    assert set(gsm.BASIC) - {"\x1b"} == set(GSM_BASIC)
    assert set(gsm.EXTENSION.values()) == set(GSM_EXTENSION)
    assert len(gsm.BASIC) == 128


def test_every_character_survives_both_directions() -> None:
    text = "".join(sorted(GSM_BASIC | GSM_EXTENSION))

    assert gsm.decode(gsm.encode(text)) == text


@pytest.mark.parametrize(
    ("text", "octets"),
    [("@£à", b"\x00\x01\x7f"), ("a€{", b"a\x1b\x65\x1b\x28"), ("¿Qué?", b"\x60Qu\x05?"), ("мир", b"???")],
)
def test_a_text_is_encoded_by_the_standards_table(text: str, octets: bytes) -> None:
    assert gsm.encode(text) == octets


@pytest.mark.parametrize(("octets", "text"), [(b"\x1ba", "a"), (b"a\x1b", "a "), (b"\x1b\x1b", " "), (b"", "")])
def test_an_escape_that_leads_to_nothing_is_read_as_the_standard_says(octets: bytes, text: str) -> None:
    assert gsm.decode(octets) == text


def test_an_octet_above_127_is_refused() -> None:
    with pytest.raises(ValueError, match="GSM"):
        gsm.decode(b"caf\xe9")


@pytest.mark.parametrize(
    ("septets", "fill_bits", "octets"),
    [
        (b"", 0, ""),
        (b"hellohello", 0, "e8329bfd4697d9ec37"),
        (b"12345678", 0, "31d98c56b3dd70"),
        (b"1234567", 0, "31d98c56b3dd1a"),
        (b"\x7f", 1, "fe"),
        (b"\x7f\x7f", 1, "fe7f"),
        (b"a", 6, "4018"),
    ],
)
def test_septets_are_packed_lowest_bits_first_behind_the_fill(septets: bytes, fill_bits: int, octets: str) -> None:
    assert gsm.pack(septets, fill_bits=fill_bits).hex() == octets


@given(
    septets=st.binary(max_size=200).map(lambda octets: bytes(octet & 0x7F for octet in octets)), fill=st.integers(0, 6)
)
def test_packed_septets_are_unpacked_with_at_most_a_carriage_return_more(septets: bytes, fill: int) -> None:
    octets = gsm.pack(septets, fill_bits=fill)

    assert len(octets) == -(-(fill + 7 * len(septets)) // 8)
    assert gsm.unpack(octets, fill_bits=fill) in {septets, septets + b"\r"}
