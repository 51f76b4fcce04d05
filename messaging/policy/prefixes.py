"""Prefixes of phone numbers, by which verifications are counted and limited."""

import phonenumbers

# Behind the country code: an area code in North America, the block of an operator in most other countries.
DIGITS = 3
UNKNOWN_CODE = 2  # digits taken for the country code of a number of which no country is known


def prefix_of(number: str) -> str:
    """The country code and the next three digits of an E.164 number, with its +: at most seven characters."""
    try:
        code = str(phonenumbers.parse(number).country_code or "")
    except phonenumbers.NumberParseException:
        code = number[1 : 1 + UNKNOWN_CODE]
    return number[: 1 + len(code) + DIGITS]
