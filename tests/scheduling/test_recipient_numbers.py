"""Numbers in a list as people have them."""

import time

import pytest

from messaging.e164 import InvalidNumber
from scheduling.recipient_numbers import ListedNumber, is_country, read

MOBILE, OTHER_MOBILE, FIXED = "+4915112345678", "+4915112345679", "+4930123456"


@pytest.mark.parametrize(
    ("written", "country", "number"),
    [
        ("0151 12345678", "DE", MOBILE),
        ("(0151) 123-45678", "DE", MOBILE),
        ("0049 151 12345678", "DE", MOBILE),
        ("49151 12345678", "DE", MOBILE),
        ("+49 151 12345678", "FR", MOBILE),
        ("'0151 12345678", "DE", MOBILE),
        ("030/123456", "DE", FIXED),
        ("07400 123456", "GB", "+447400123456"),
        ("447400123456", "GB", "+447400123456"),
        ("612 34 56 78", "ES", "+34612345678"),
        ("34612345678", "ES", "+34612345678"),
        ("348 1234567", "IT", "+393481234567"),
        ("(415) 555-0101", "US", "+14155550101"),
        ("1 415 555 0101", "US", "+14155550101"),
        ("8 916 123-45-67", "RU", "+79161234567"),
        ("53326705", "CU", "+5353326705"),  # a mobile number; +53 32 6705 is a fixed line
        ("+49/0151 12345678", "", MOBILE),
        ("0151 / 12345678", "DE", MOBILE),
        ("15112345678", "DE", MOBILE),  # a spreadsheet has dropped the 0
    ],
)
def test_a_national_number_is_read_in_the_list_s_country(written: str, country: str, number: str) -> None:
    assert read(written, country) == ListedNumber(number)


@pytest.mark.parametrize(
    ("written", "country", "code"),
    [
        ("0151 12345678", "", "country_missing"),
        ("0049 151 12345678", "", "country_missing"),
        ("49151 12345678", "", "country_missing"),
        ("4.91512E+12", "", "rounded_number"),
        ("4,91512E+12", "DE", "rounded_number"),
        ("4.91512345678E+12", "DE", "rounded_number"),
        ("49653222758", "DE", "ambiguous_number"),  # +49 6532 22758, or 04965 3222758 without its 0
        ("100012345", "DE", "invalid_number"),  # a customer's number: nobody has 0100012345
        ("110", "DE", "invalid_number"),
        ("Ada", "DE", "invalid_number"),
        ("", "DE", "invalid_number"),
        ("+49", "DE", "invalid_number"),
        ("0151 12345678 ext. 9", "DE", "invalid_number"),
    ],
)
def test_what_is_not_a_number_there_is_refused_with_what_is_missing(written: str, country: str, code: str) -> None:
    with pytest.raises(InvalidNumber) as refusal:
        read(written, country)

    assert refusal.value.code == code
    assert not any(character.isdigit() for character in str(refusal.value))


@pytest.mark.parametrize("between", [" ::: ", ";", " / ", "/", "|", "\n"])
def test_of_several_the_first_mobile_one_is_taken(between: str) -> None:
    assert read(between.join([FIXED, MOBILE, OTHER_MOBILE])) == ListedNumber(MOBILE, of=3)


@pytest.mark.parametrize(
    ("written", "country", "found"),
    [
        ("030 123456 / 0151 12345678", "DE", ListedNumber(MOBILE, of=2)),
        ("030 1234 / 030 5678", "DE", ListedNumber("+49301234", of=2)),
        ("+49 30 123456; +49 30 123457", "", ListedNumber(FIXED, of=2)),
        (f"see file; {MOBILE}", "", ListedNumber(MOBILE, of=2)),
        (f"{MOBILE};", "", ListedNumber(MOBILE)),
        ("+1 415 555 0101 ::: +1 415 555 0102", "", ListedNumber("+14155550101", of=2)),
    ],
)
def test_what_is_no_number_does_not_spoil_the_cell(written: str, country: str, found: ListedNumber) -> None:
    assert read(written, country) == found


@pytest.mark.parametrize("written", [";".join(["0151"] * 300), f"{MOBILE};" * 40, "a;b;c"])
def test_a_cell_is_bounded(written: str) -> None:
    with pytest.raises(InvalidNumber):
        read(written, "DE")


@pytest.mark.parametrize("piece", ["1", "\u0661", "/0151123456", "\u200b", "1e+"])
def test_a_long_cell_is_refused_without_reading_it(piece: str) -> None:
    begun = time.process_time()

    with pytest.raises(InvalidNumber):
        read(piece * (900_000 // len(piece)), "DE")

    assert time.process_time() - begun < 0.1


def test_countries_are_two_capital_letters() -> None:
    assert [is_country(code) for code in ("DE", "US", "de", "", "XX", "001", "DEU")] == [True, True, *[False] * 5]
