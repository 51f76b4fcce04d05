"""Prefixes by which verifications are counted and limited."""

import pytest

from messaging.policy.prefixes import prefix_of


@pytest.mark.parametrize(
    ("number", "prefix"),
    [
        ("+14155550101", "+1415"),
        ("+4915112345678", "+49151"),
        ("+998901234567", "+998901"),
        ("+2348031234567", "+234803"),
        ("+2905", "+2905"),
        ("+99999999999", "+99999"),
        ("nothing", "nothin"),
    ],
)
def test_the_country_code_and_three_digits(number: str, prefix: str) -> None:
    assert prefix_of(number) == prefix
    assert len(prefix) <= 8
