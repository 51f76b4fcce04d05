"""A carrier's own price, as it is read from what the carrier sent."""

from decimal import Decimal

import pytest

from providers.contract.prices import CarrierPrice, read_price


@pytest.mark.parametrize(
    ("values", "currency", "expected"),
    [
        (["0.0333"], None, ("0.0333", "")),
        (["0.0333"], "", ("0.0333", "")),
        ([0.1], "eur", ("0.1", "EUR")),
        ([1e-05], None, ("0.00001", "")),
        ([0], "EUR", ("0", "EUR")),
        ([" 1 "], " USD ", ("1", "USD")),
        (["0.1", "0.1", 0.1], None, ("0.3", "")),
        (["0.0000005"], None, ("0.000001", "")),
        (["1000"], None, ("1000", "")),
    ],
)
def test_a_price_is_read_exactly(values, currency, expected) -> None:
    amount, code = expected
    assert read_price(values, currency) == CarrierPrice(Decimal(amount), code)


@pytest.mark.parametrize("currency", ["USD", "usd"])
def test_a_debit_is_negative(currency: str) -> None:
    assert read_price(["-0.00750"], currency, is_debit=True) == CarrierPrice(Decimal("0.0075"), "USD")
    assert read_price(["0"], currency, is_debit=True) == CarrierPrice(Decimal(0), "USD")
    assert read_price(["0.00750"], currency, is_debit=True) is None


@pytest.mark.parametrize(
    ("values", "currency"),
    [
        ([], None),
        ([None], "USD"),
        ([""], None),
        (["-0.01"], None),
        ([-1], None),
        (["0.1", None], None),
        (["1e3"], None),
        (["NaN"], None),
        ([float("nan")], None),
        ([float("inf")], None),
        ([True], None),
        (["1,5"], None),
        (["٣"], None),
        (["9" * 5000], None),
        ([10**5000], None),
        (["1000.01"], None),
        ([600, 600], None),
        ([{"amount": "1"}], None),
        (["0.1"], "XXX"),
        (["0.1"], 7),
        (["0.1"], "E"),
    ],
)
def test_what_is_no_price_is_left_out(values, currency) -> None:
    assert read_price(values, currency) is None
