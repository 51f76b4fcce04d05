"""Properties of the pool: a recipient keeps its number, whatever happens to the other ones."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.policy.sender_pools import SenderPool

US = tuple(f"+1415555{last:04}" for last in range(100, 110))
recipients = st.integers(0, 9999).map(lambda last: f"+1212555{last:04}")
pools = st.lists(st.sampled_from(US), min_size=2, unique=True).map(tuple)


@given(pools, recipients, st.data())
def test_a_number_that_leaves_moves_its_own_recipients_only(pool: tuple[str, ...], recipient: str, data) -> None:
    left = data.draw(st.sampled_from(pool))
    before = SenderPool(pool).sender_for(recipient)
    after = SenderPool(tuple(each for each in pool if each != left)).sender_for(recipient)
    assert after in pool
    assert (after == before) == (before != left)


@given(pools, recipients, st.data())
def test_a_number_that_joins_moves_recipients_to_itself_only(pool: tuple[str, ...], recipient: str, data) -> None:
    joined = data.draw(st.sampled_from(pool))
    before = SenderPool(tuple(each for each in pool if each != joined)).sender_for(recipient)
    assert SenderPool(pool).sender_for(recipient) in {before, joined}


@given(pools, recipients)
def test_the_order_of_the_pool_does_not_matter(pool: tuple[str, ...], recipient: str) -> None:
    assert SenderPool(pool).sender_for(recipient) == SenderPool(tuple(reversed(pool))).sender_for(recipient)


def test_all_numbers_carry_about_the_same() -> None:
    pool = SenderPool(US)
    shares = Counter(pool.sender_for(f"+1212555{last:04}") for last in range(10_000))
    assert set(shares) == set(US)
    assert 850 < min(shares.values()) <= max(shares.values()) < 1150


@pytest.mark.parametrize(
    ("pool", "recipient", "expected"),
    [
        (("+14155550100", "+4915123456789"), "+4915112345678", "+4915123456789"),
        (("+14155550100", "+4915123456789"), "+12125550101", "+14155550100"),
        (("+14155550100", "+16135550100"), "+14165550123", "+16135550100"),  # Canada is another country
        (("ACME", "+4915123456789"), "+4915112345678", "+4915123456789"),
        (("ACME",), "+4915112345678", "ACME"),
        ((), "+4915112345678", ""),
    ],
)
def test_a_number_of_the_recipients_country_goes_first(pool: tuple[str, ...], recipient: str, expected: str) -> None:
    assert SenderPool(pool).sender_for(recipient) == expected


def test_without_one_of_its_country_any_serves() -> None:
    assert SenderPool(("+14155550100", "+4915123456789")).sender_for("+33612345678") in {
        "+14155550100",
        "+4915123456789",
    }


def test_the_choice_is_the_same_in_every_release() -> None:
    assert SenderPool(US).sender_for("+12125550101") == "+14155550100"
