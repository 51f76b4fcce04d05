"""Phone numbers at the edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.e164 import InvalidNumber, normalise


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
    ],
)
def test_common_notations_become_e164(raw: str) -> None:
    assert normalise(raw) == "+14155550101"


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
    ],
)
def test_what_is_not_a_number_is_invalid(raw: str) -> None:
    with pytest.raises(InvalidNumber) as refused:
        normalise(raw)

    assert refused.value.code in {"invalid_number", "impossible_number"}


@pytest.mark.parametrize("raw", ["+1415555", "+1415555010101", "+4420"])
def test_a_length_that_no_number_of_the_country_has_is_impossible(raw: str) -> None:
    with pytest.raises(InvalidNumber) as refused:
        normalise(raw)

    assert refused.value.code == "impossible_number"


@given(st.text(max_size=80))
def test_any_text_is_a_stable_number_or_refused(raw: str) -> None:
    try:
        number = normalise(raw)
    except InvalidNumber:
        return

    assert number[0] == "+"
    assert number[1:].isascii()
    assert number[1:].isdigit()
    assert len(number) <= 16
    assert normalise(number) == number
