"""Parsing of phone numbers."""

from contextlib import suppress
from random import Random

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from messaging.e164 import InvalidNumber, normalise
from providers import numbers
from tests.generated import examples, some

E164, MOBILE = PhoneNumberFormat.E164, PhoneNumberType.MOBILE
COUNTRY_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@pytest.mark.parametrize(
    "raw",
    [
        "+14155550101",
        " +1 415 555 0101 ",
        "+1 (415) 555-0101",
        "+1.415.555.0101",
        "+1/415/5550101",
        "\uff0b14155550101",
        "+1\u00a0415\u00a0555\u00a00101",
        "+1 415\u2011555\u20130101",
        "+\u0661\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661\u0660\u0661",
        "(+1) 415 555 0101",
        "+(1)415[555]0101",
        "'+14155550101",
        "\u2019+1 415 555 0101",
        "+1\t415\u20145550101",
        "+1\uff08415\uff09555\uff0d0101",
    ],
)
def test_common_notations_become_e164(raw: str) -> None:
    assert normalise(raw) == "+14155550101"


MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u200b\u200c\u200d\u2060\ufeff\u00ad"
SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


@pytest.mark.parametrize("mark", [*MARKS, *SPACES], ids=lambda mark: f"U+{ord(mark):04X}")
def test_invisible_marks_and_spaces_are_ignored_anywhere(mark: str) -> None:
    assert normalise(f"{mark}+{mark}1415{mark}5550101{mark}") == "+14155550101"
    assert normalise(f"{mark}'{mark}+14155550101\n") == "+14155550101"


def test_a_national_zero_in_brackets_is_dropped() -> None:
    assert normalise("+44 (0)20 7946 0018") == "+442079460018"


@pytest.mark.parametrize("raw", ["+15005550006", "+12025550123"])
def test_the_length_is_the_test_not_the_assignment(raw: str) -> None:
    assert normalise(raw) == raw


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "+",
        "4155550101",
        "004155550101",
        "+1415555010a",
        "+1415555;ext=5",
        "+14155550101 x5",
        "+0123456789",
        "++14155550101",
        "+1\x00415555010",
        "+" + "1" * 64,
        "+1415555\n0101",
        "tel:+14155550101",
        "+14155550101\u2028+14155550102",
        "1'+4155550101",
        "''+14155550101",
    ],
)
def test_anything_but_a_number_is_invalid(raw: str) -> None:
    with pytest.raises(InvalidNumber) as refused:
        normalise(raw)

    assert refused.value.code in {"invalid_number", "impossible_number"}


@pytest.mark.parametrize(
    "raw",
    [
        "+1415555",
        "+1415555010101",
        "+4420",
        "+4935901906132801",
        "+15550101",  # possible only within a town
        "+441111",
        "+495550",  # the library's table for Germany has numbers of 4 digits
        "+4900711234567",  # two trunk zeros
    ],
)
def test_a_length_that_no_number_of_the_country_has_is_impossible(raw: str) -> None:
    with pytest.raises(InvalidNumber) as refused:
        normalise(raw)

    assert refused.value.code == "impossible_number"


@pytest.mark.parametrize(
    "raw", ["+14155550101", "+4915112345678", "+447700900123", "+33612345678", "+919876543210", "+5511987654321"]
)
def test_a_number_in_e164_is_returned_unchanged(raw: str) -> None:
    assert normalise(raw) == raw


def numbers_of(code: int) -> list[str]:
    """Numbers of every length, after prefixes that have a meaning in some country."""
    chance = Random(code)
    prefixes = ["", "0", "00", "1", "8", "9", "15", "01", "10", "90", "06", "44", "1234"]
    raws = []
    for length in range(1, 15):
        for prefix in prefixes:
            rest = "".join(chance.choice("0123456789") for _ in range(max(length - len(prefix), 0)))
            raws.append(f"+{code}{prefix}{rest}")
    return raws


def test_numbers_of_every_country_and_length_become_e164_or_are_refused(subtests: pytest.Subtests) -> None:
    for code in some(COUNTRY_CODES):
        with subtests.test(code=code):
            for raw in numbers_of(code):
                e164_or_refused(raw)


@given(st.text(max_size=80))
def test_any_text_is_a_stable_number_or_refused(raw: str) -> None:
    number = e164_or_refused(raw)

    assert number is None or normalise(number) == number


@settings(max_examples=examples(500), derandomize=True, deadline=None)
@given(
    st.one_of(
        st.from_regex(r"\+[0-9]{1,18}", fullmatch=True),
        st.from_regex(r"[ +]{0,2}[0-9 ().-]{0,20}\n?", fullmatch=True),
        st.tuples(st.sampled_from(COUNTRY_CODES), st.integers(0, 10**11)).map(lambda pair: f"+{pair[0]}{pair[1]}"),
    )
)
def test_text_like_a_number_becomes_e164_or_is_refused(raw: str) -> None:
    e164_or_refused(raw)


def by_the_library(text: str) -> str | None:
    """What the library alone makes of `+` and digits; None for a refusal."""
    with suppress(InvalidNumber):
        return numbers._normalised(text)
    return None


def test_what_is_told_from_the_form_is_what_the_library_says(subtests: pytest.Subtests) -> None:
    for code in some(COUNTRY_CODES):
        with subtests.test(code=code):
            listed = numbers_of(code)
            told = [raw for raw in listed if numbers.is_canonical(raw)]

            assert [by_the_library(raw) for raw in told] == told
            assert [number_or_none(raw) for raw in listed] == [by_the_library(raw) for raw in listed]


@settings(max_examples=examples(1_000), derandomize=True, deadline=None)
@given(st.tuples(st.sampled_from(COUNTRY_CODES), st.from_regex(r"[0-9]{1,15}", fullmatch=True)))
def test_any_digits_after_a_country_code_are_read_as_by_the_library(parts: tuple[int, str]) -> None:
    raw = f"+{parts[0]}{parts[1]}"

    assert number_or_none(raw) == by_the_library(raw)


def test_numbers_of_most_countries_are_told_from_their_form() -> None:
    examples = [phonenumbers.example_number_for_type(region, MOBILE) for region in phonenumbers.SUPPORTED_REGIONS]
    texts = [phonenumbers.format_number(number, E164) for number in examples if number is not None]

    assert sum(map(numbers.is_canonical, texts)) > 0.95 * len(texts)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "+",
        "+1",
        "14155550101",
        "+1415555010",
        "+1 4155550101",
        "+14155550101\n",
        "+\u0661\u0664155550101",
        "+04155550101",
    ]
    + ["+5215512345678", "+541123456789", "+114155550101", "+4407911123456", "+390612345678", "+99912345678"],
)
def test_the_form_alone_does_not_tell_anything_else(raw: str) -> None:
    assert not numbers.is_canonical(raw)


def number_or_none(raw: str) -> str | None:
    with suppress(InvalidNumber):
        return normalise(raw)
    return None


def e164_or_refused(raw: str) -> str | None:
    """The number in E.164, or None for text that is refused."""
    number = ""
    with suppress(InvalidNumber):
        number = normalise(raw)
    if not number:
        return None

    assert number[0] == "+"
    assert number[1:].isascii()
    assert number[1:].isdigit()
    assert len(number) <= 16
    return number
