"""The alphabet is the one that counts the segments, and every text of it survives both directions."""

import pytest

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
