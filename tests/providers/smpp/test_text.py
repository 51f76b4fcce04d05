"""Texts are cut so that every part fits and the parts are the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import segments
from messaging.segments import Encoding
from providers import gsm
from providers.smpp.constants import UDH, Tag
from providers.smpp.decoding import decode, read_udh, sar_part
from providers.smpp.text import Alphabet, LongText, TextPart, fill_bits, split

GSM_TEXTS = st.text(st.sampled_from(sorted(gsm.CHARACTERS - {"\r"})), max_size=700)
UCS2_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=300)
TEXTS = st.one_of(GSM_TEXTS, UCS2_TEXTS, st.text(st.sampled_from("a€👋é{"), max_size=500))
USER_DATA_OCTETS, SINGLE_SEPTETS = 140, 160


def header_octets(part: TextPart) -> int:
    return read_udh(part.octets).octets if part.esm_class & UDH else 0


def user_data_octets(part: TextPart, alphabet: Alphabet) -> int:
    """What the part takes on the air, where septets are packed."""
    header, is_septets = header_octets(part), part.data_coding == 0 and alphabet is not Alphabet.GSM7_PACKED
    content = len(part.octets) - header
    return -(-(header * 8 + fill_bits(header) + content * 7) // 8) if is_septets else header + content


@given(
    text=TEXTS,
    alphabet=st.sampled_from(Alphabet),
    long_text=st.sampled_from(LongText),
    reference=st.integers(0, 2**20),
)
def test_the_parts_of_any_text_fit_and_are_read_as_the_text(
    text: str, alphabet: Alphabet, long_text: LongText, reference: int
) -> None:
    parts = split(text, alphabet=alphabet, long_text=long_text, reference=reference)

    read = []
    for number, part in enumerate(parts, start=1):
        header = header_octets(part)
        octets = part.octets[header:] or part.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
        read.append(decode(octets, part.data_coding, alphabet, header_octets=header))
        assert user_data_octets(part, alphabet) <= USER_DATA_OCTETS
        place = read_udh(part.octets).part if header else sar_part(part.tlvs)
        if len(parts) > 1:
            assert place is not None
            assert (place.number, place.count) == (number, len(parts))
            assert int(place.reference) == reference & (0xFF if long_text is LongText.UDH else 0xFFFF)
        else:
            assert place is None
    if alphabet is Alphabet.GSM7_PACKED:  # an `@` that ends at an octet's end is read as zeros that fill it
        assert [each.removesuffix("@") for each in read] == [part.text.removesuffix("@") for part in parts]
    elif alphabet is Alphabet.ASCII:
        assert "".join(part.text for part in parts) == text
    else:
        assert "".join(read) == "".join(part.text for part in parts) == text


@given(text=TEXTS, alphabet=st.sampled_from([Alphabet.GSM7, Alphabet.GSM7_PACKED]))
def test_a_text_has_the_parts_that_segments_count(text: str, alphabet: Alphabet) -> None:
    counted = segments.measure(text)

    for long_text in (LongText.UDH, LongText.SAR):
        parts = split(text, alphabet=alphabet, long_text=long_text, reference=1)

        assert len(parts) == counted.segments
        assert {part.data_coding for part in parts} == {0 if counted.encoding is Encoding.GSM7 else 8}


@pytest.mark.parametrize(
    ("text", "long_text", "lengths"),
    [
        ("a" * 160, LongText.UDH, [160]),
        ("a" * 161, LongText.UDH, [153, 8]),
        ("a" * 161, LongText.UDH16, [152, 9]),
        ("€" * 80, LongText.UDH, [80]),
        ("€" * 200, LongText.UDH, [76, 76, 48]),
        ("a" * 152 + "€" * 10, LongText.UDH, [152, 10]),
        ("я" * 70, LongText.UDH, [70]),
        ("я" * 71, LongText.UDH, [67, 4]),
        ("я" * 71, LongText.UDH16, [66, 5]),
        ("я" + "👋" * 35, LongText.UDH, [34, 2]),
        ("👋" * 36, LongText.UDH, [33, 3]),
        ("a" * 1530, LongText.UDH, [153] * 10),
        ("a" * 1530, LongText.SAR, [153] * 10),
        ("a" * 1530, LongText.MESSAGE_PAYLOAD, [1530]),
    ],
)
def test_a_part_holds_what_the_network_can_carry(text: str, long_text: LongText, lengths: list[int]) -> None:
    parts = split(text, alphabet=Alphabet.GSM7, long_text=long_text, reference=7)

    assert [len(part.text) for part in parts] == lengths


@pytest.mark.parametrize(
    ("text", "alphabet", "lengths"),
    [
        ("a" * 140, Alphabet.LATIN1, [140]),
        ("a" * 141, Alphabet.LATIN1, [134, 7]),
        ("a" * 141, Alphabet.ASCII, [134, 7]),
        ("[" * 80, Alphabet.LATIN1, [80]),
        ("[" * 81, Alphabet.ASCII, [76, 5]),
        ("á" * 140, Alphabet.LATIN1, [140]),
    ],
)
def test_octets_are_counted_as_octets_and_as_the_septets_they_become(
    text: str, alphabet: Alphabet, lengths: list[int]
) -> None:
    parts = split(text, alphabet=alphabet, long_text=LongText.UDH, reference=7)

    assert [len(part.text) for part in parts] == lengths


@pytest.mark.parametrize(
    ("text", "alphabet", "data_coding", "octets"),
    [
        ("@£$€[é", Alphabet.GSM7, 0, "0001021b651b3c05"),
        ("hellohello", Alphabet.GSM7_PACKED, 0, "e8329bfd4697d9ec37"),
        ("1234567", Alphabet.GSM7_PACKED, 0, "31d98c56b3dd1a"),  # the last octet is filled with a carriage return
        ("áé@", Alphabet.LATIN1, 3, "e1e940"),
        ("a@", Alphabet.ASCII, 1, "6140"),
        ("é", Alphabet.ASCII, 8, "00e9"),
        ("€", Alphabet.LATIN1, 8, "20ac"),
        ("я👋", Alphabet.GSM7, 8, "044fd83ddc4b"),
    ],
)
def test_a_short_text_is_written_in_the_alphabet_that_holds_it(
    text: str, alphabet: Alphabet, data_coding: int, octets: str
) -> None:
    [part] = split(text, alphabet=alphabet, long_text=LongText.UDH, reference=7)

    assert (part.octets.hex(), part.data_coding, part.esm_class, part.tlvs) == (octets, data_coding, 0, {})


def test_each_form_of_a_long_text_has_its_own_fields() -> None:
    forms = {form: split("я" * 71, alphabet=Alphabet.GSM7, long_text=form, reference=0x12345) for form in LongText}

    assert [part.octets[:6].hex() for part in forms[LongText.UDH]] == ["050003450201", "050003450202"]
    assert [part.octets[:7].hex() for part in forms[LongText.UDH16]] == ["06080423450201", "06080423450202"]
    assert [part.esm_class for part in forms[LongText.UDH] + forms[LongText.UDH16]] == [0x40] * 4
    assert [part.tlvs for part in forms[LongText.SAR]] == [
        {0x020C: b"\x23\x45", 0x020E: b"\x02", 0x020F: bytes([number])} for number in (1, 2)
    ]
    [payload] = forms[LongText.MESSAGE_PAYLOAD]
    assert (payload.octets, payload.tlvs) == (b"", {0x0424: ("я" * 71).encode("utf-16-be")})
    assert {part.esm_class for form in (LongText.SAR, LongText.MESSAGE_PAYLOAD) for part in forms[form]} == {0}


def test_packed_septets_begin_at_a_septet_behind_the_header() -> None:
    first, second = split("a" * 161, alphabet=Alphabet.GSM7_PACKED, long_text=LongText.UDH, reference=7)

    assert len(first.octets) == USER_DATA_OCTETS
    bits = int.from_bytes(second.octets, "little")
    assert [bits >> (7 * at) & 0x7F for at in range(7, 15)] == [ord("a")] * 8


def test_what_no_part_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        split("half \ud83d", alphabet=Alphabet.GSM7, long_text=LongText.UDH, reference=7)
    with pytest.raises(ValueError, match="255 parts"):
        split("a" * (153 * 255 + 1), alphabet=Alphabet.GSM7, long_text=LongText.UDH, reference=7)


def test_an_empty_text_is_one_empty_part() -> None:
    assert split("", alphabet=Alphabet.GSM7, long_text=LongText.UDH, reference=7) == [TextPart(b"", 0, "")]
