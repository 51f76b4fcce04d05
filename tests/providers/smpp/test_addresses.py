"""Addresses have the types that carriers expect, and no number is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.numbers import Notation, NumberFormat
from providers.smpp import addresses
from providers.smpp.pdu import SmppAddress

DIGITS = NumberFormat(Notation.DIGITS)
GERMAN = NumberFormat(Notation.NATIONAL, "DE")


@pytest.mark.parametrize(
    ("given_address", "number_format", "written"),
    [
        ("+4915112345678", DIGITS, SmppAddress("4915112345678", 1, 1)),
        ("+4915112345678", NumberFormat(Notation.E164), SmppAddress("+4915112345678", 1, 1)),
        ("+4915112345678", NumberFormat(Notation.DOUBLE_ZERO), SmppAddress("004915112345678", 0, 1)),
        ("+4915112345678", GERMAN, SmppAddress("015112345678", 2, 1)),
        ("+33612345678", GERMAN, SmppAddress("0033612345678", 0, 1)),
        ("72345", DIGITS, SmppAddress("72345", 3, 0)),
        ("Acme 24", DIGITS, SmppAddress("Acme 24", 5, 0)),
        (None, DIGITS, SmppAddress("", 0, 0)),
    ],
)
def test_an_address_is_written_with_its_kind(
    given_address: str | None, number_format: NumberFormat, written: SmppAddress
) -> None:
    assert addresses.write(given_address, number_format) == written


@pytest.mark.parametrize(
    ("address", "number_format", "read"),
    [
        (SmppAddress("4915112345678", 1, 1), NumberFormat(Notation.E164), "+4915112345678"),
        (SmppAddress("+4915112345678", 1, 1), DIGITS, "+4915112345678"),
        (SmppAddress("004915112345678", 1, 1), DIGITS, "+4915112345678"),
        (SmppAddress("5215512345678", 1, 1), DIGITS, "+525512345678"),
        (SmppAddress("12345", 1, 1), DIGITS, "12345"),
        (SmppAddress("not a number", 1, 1), DIGITS, "not a number"),
        (SmppAddress("4915112345678", 0, 1), DIGITS, "+4915112345678"),
        (SmppAddress("4915112345678", 2, 1), DIGITS, "+4915112345678"),
        (SmppAddress("4915112345678", 0, 0), NumberFormat(Notation.E164), "4915112345678"),
        (SmppAddress("015112345678", 2, 1), DIGITS, "015112345678"),
        (SmppAddress("015112345678", 2, 1), GERMAN, "+4915112345678"),
        (SmppAddress("4915112345678", 3, 0), DIGITS, "4915112345678"),
        (SmppAddress("4915112345678", 5, 0), DIGITS, "4915112345678"),
        (SmppAddress("4915112345678", 6, 0), DIGITS, "4915112345678"),
        (SmppAddress("72345", 0, 0), DIGITS, "72345"),
        (SmppAddress("", 0, 0), DIGITS, ""),
        (SmppAddress("4915112345678", 77, 99), DIGITS, "+4915112345678"),
    ],
)
def test_an_address_is_read_by_its_type_and_else_by_the_accounts_notation(
    address: SmppAddress, number_format: NumberFormat, read: str
) -> None:
    assert addresses.read(address, number_format) == read


@pytest.mark.parametrize("notation", [Notation.DIGITS, Notation.E164, Notation.DOUBLE_ZERO])
@pytest.mark.parametrize("number", ["+4915112345678", "+14155550123", "+6834123", "+5491123456789"])
def test_a_number_survives_both_directions(notation: Notation, number: str) -> None:
    number_format = NumberFormat(notation)

    assert addresses.read(addresses.write(number, number_format), number_format) == number


@given(text=st.text(max_size=40), ton=st.integers(0, 255), notation=st.sampled_from(list(Notation)[:3]))
def test_whatever_comes_is_a_number_with_these_digits_or_stays_as_it_is(
    text: str, ton: int, notation: Notation
) -> None:
    read = addresses.read(SmppAddress(text, ton), NumberFormat(notation))

    assert read == text or read.startswith("+")
