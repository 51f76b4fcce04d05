"""Segments: the standard's alphabets and every boundary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.segments import GSM_BASIC, GSM_EXTENSION, Encoding, SegmentCount, measure

BASIC_TABLE = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION_TABLE = "\f^{}\\[~]|€"
FACE = "\U0001f600"


def test_the_alphabets_are_those_of_the_standard() -> None:
    assert frozenset(BASIC_TABLE) == GSM_BASIC
    assert len(GSM_BASIC) == 127  # 128 places, one of them the escape
    assert frozenset(EXTENSION_TABLE) == GSM_EXTENSION


def test_a_basic_character_is_one_septet(subtests: pytest.Subtests) -> None:
    for character in sorted(GSM_BASIC):
        with subtests.test(character=character):
            assert measure(character) == SegmentCount(Encoding.GSM7, 1, 1)


def test_an_extension_character_is_two_septets(subtests: pytest.Subtests) -> None:
    for character in sorted(GSM_EXTENSION):
        with subtests.test(character=character):
            assert measure(character) == SegmentCount(Encoding.GSM7, 2, 1)


@pytest.mark.parametrize("character", ["ç", "á", "`", "\t", "\u2019", "\u2013", "\u00a0", "я", "中", "\u200b"])
def test_one_character_outside_makes_the_text_ucs2(character: str) -> None:
    assert measure("a" * 10 + character) == SegmentCount(Encoding.UCS2, 11, 1)


def test_an_emoji_takes_two_units() -> None:
    assert measure(FACE) == SegmentCount(Encoding.UCS2, 2, 1)


def test_an_empty_text_takes_one_segment() -> None:
    assert measure("") == SegmentCount(Encoding.GSM7, 0, 1)


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [
        ("a" * 160, 160, 1),
        ("a" * 161, 161, 2),
        ("a" * 306, 306, 2),
        ("a" * 307, 307, 3),
        ("a" * 1530, 1530, 10),
        ("a" * 1531, 1531, 11),
        ("€" * 80, 160, 1),
        ("a" + "€" * 80, 161, 2),
        ("€" * 152, 304, 2),  # 76 pairs in a part of 153: one septet stays empty
        ("€" * 153, 306, 3),
        ("a" * 152 + "€" + "a" * 151, 305, 2),
        ("a" * 152 + "€" + "a" * 152, 306, 3),  # the pair may not be cut, so the second part begins with it
        ("a" * 151 + "€" + "a" * 153, 306, 2),
    ],
)
def test_gsm_boundaries(text: str, units: int, segments: int) -> None:
    assert measure(text) == SegmentCount(Encoding.GSM7, units, segments)


@pytest.mark.parametrize(
    ("text", "units", "segments"),
    [
        ("я" * 70, 70, 1),
        ("я" * 71, 71, 2),
        ("я" * 134, 134, 2),
        ("я" * 135, 135, 3),
        ("я" * 670, 670, 10),
        ("я" * 671, 671, 11),
        (FACE * 35, 70, 1),
        (FACE * 36, 72, 2),
        (FACE * 66, 132, 2),  # 33 pairs in a part of 67: one unit stays empty
        (FACE * 67, 134, 3),
        ("я" * 66 + FACE + "я" * 65, 133, 2),
        ("я" * 66 + FACE + "я" * 66, 134, 3),
        ("я" * 65 + FACE + "я" * 67, 134, 2),
    ],
)
def test_ucs2_boundaries(text: str, units: int, segments: int) -> None:
    assert measure(text) == SegmentCount(Encoding.UCS2, units, segments)


def test_a_lone_surrogate_is_one_unit() -> None:
    assert measure("a\ud800") == SegmentCount(Encoding.UCS2, 2, 1)


def naive(text: str) -> SegmentCount:
    """The standard, word by word: cut a part off for as long as something is left."""
    is_gsm = all(character in BASIC_TABLE + EXTENSION_TABLE for character in text)
    encoding, single, part = (Encoding.GSM7, 160, 153) if is_gsm else (Encoding.UCS2, 70, 67)

    def size(character: str) -> int:
        return 1 + (character in EXTENSION_TABLE) if is_gsm else len(character.encode("utf-16-le")) // 2

    units = sum(size(character) for character in text)
    if units <= single:
        return SegmentCount(encoding, units, 1)
    rest, segments = list(text), 0
    while rest:
        room = part
        while rest and size(rest[0]) <= room:
            room -= size(rest.pop(0))
        segments += 1
    return SegmentCount(encoding, units, segments)


gsm_texts = st.text(st.sampled_from(sorted(GSM_BASIC)[:8] + sorted(GSM_EXTENSION)), max_size=500)
ucs2_texts = st.text(st.sampled_from(["я", "a", "€", FACE]), max_size=300)


ascii_texts = st.text(st.characters(max_codepoint=127), max_size=400)
# Without a character of two units, whose parts are counted by division.
long_texts = st.tuples(st.sampled_from(["a", "é", "я", "`"]), st.integers(0, 1700)).map(lambda pair: pair[0] * pair[1])


@given(st.one_of(gsm_texts, ucs2_texts, ascii_texts, long_texts, st.text(max_size=200)))
def test_every_text_is_counted_like_a_naive_reading_of_the_standard(text: str) -> None:
    assert measure(text) == naive(text)
