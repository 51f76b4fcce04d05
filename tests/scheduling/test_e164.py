"""The quick answer for long lists is the slow one's."""

from random import Random

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.e164 import InvalidNumber, normalise
from scheduling.e164 import normalised
from tests.work import counted

COUNTRY_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def outcome(normalise: object, raw: str) -> tuple[str, str]:
    try:
        return "number", normalise(raw)
    except InvalidNumber as error:
        return error.code, str(error)


def numbers_of(code: int) -> list[str]:
    """Of every length, after prefixes that mean something somewhere."""
    chance = Random(code)
    prefixes = ["", "0", "00", "1", "8", "9", "15", "01", "10", "90", "06", "44", "1234"]
    raws = []
    for length in range(1, 15):
        for prefix in prefixes:
            rest = "".join(chance.choice("0123456789") for _ in range(max(length - len(prefix), 0)))
            raws.append(f"+{code}{prefix}{rest}")
    return raws


def test_numbers_of_every_country_and_length_come_out_the_same(subtests: pytest.Subtests) -> None:
    for code in COUNTRY_CODES:
        with subtests.test(code=code):
            raws = numbers_of(code)
            assert [outcome(normalised, raw) for raw in raws] == [outcome(normalise, raw) for raw in raws]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(
    st.one_of(
        st.from_regex(r"\+[0-9]{1,18}", fullmatch=True),
        st.from_regex(r"[ +]{0,2}[0-9 ().-]{0,20}\n?", fullmatch=True),
        st.text(max_size=20),
        st.tuples(st.sampled_from(COUNTRY_CODES), st.integers(0, 10**11)).map(lambda pair: f"+{pair[0]}{pair[1]}"),
    )
)
def test_any_text_comes_out_the_same(raw: str) -> None:
    assert outcome(normalised, raw) == outcome(normalise, raw)


def test_common_numbers_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    raws = ["+14155550101", "+4915112345678", "+447700900123", "+33612345678", "+919876543210", "+5511987654321"]
    for raw in raws:
        normalised(raw)  # the plan of a country is made once
    monkeypatch.setattr("scheduling.e164.normalise", lambda raw: pytest.fail(f"{raw} took the slow way"))

    numbers, calls = counted(lambda: [normalised(raw) for raw in raws])

    assert numbers == raws
    assert calls / len(raws) < 20
