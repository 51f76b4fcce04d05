"""Conversion: which accounts get fewer codes, and that small numbers and like shares change nothing."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from messaging.policy.conversion import (
    CERTAIN,
    FLOOR,
    MIN_STARTED,
    factors,
    has_collapsed,
    interval_in_words,
    missing,
    percentage,
)
from messaging.policy.pumping import Share

GOOD = Share(1000, 800)
shares = st.integers(0, 5000).flatmap(lambda n: st.builds(Share, st.just(n), st.integers(0, n)))
accounts = st.dictionaries(st.sampled_from("abcdef"), shares)


@pytest.mark.parametrize(
    ("other", "is_scaled"),
    [
        (Share(1000, 780), False),  # by chance
        (Share(1000, 700), True),
        (Share(MIN_STARTED, 0), True),
        (Share(MIN_STARTED - 1, 0), False),  # too few to tell
        (Share(MIN_STARTED, 30), False),
        (Share(0, 0), False),
        (Share(1000, 1000), False),
    ],
)
def test_who_gets_fewer_codes(other: Share, is_scaled: bool) -> None:
    assert ("other" in factors({"good": GOOD, "other": other})) is is_scaled


def test_half_as_good_gets_about_a_quarter_and_nothing_the_least() -> None:
    many = 1_000_000
    found = factors({"good": Share(many, many), "half": Share(many, many // 2), "dead": Share(many, 0)})

    assert found == {"half": pytest.approx(0.25, abs=0.01), "dead": FLOOR}


def test_without_enough_figures_of_another_account_nothing_is_known() -> None:
    assert factors({"dead": Share(5000, 0)}) == {}
    assert factors({"dead": Share(5000, 0), "new": Share(MIN_STARTED - 1, MIN_STARTED - 1)}) == {}


@given(accounts)
def test_every_account_keeps_some_weight_and_the_best_one_all(found) -> None:
    scaled = factors(found)

    assert scaled.keys() <= found.keys()
    assert all(FLOOR <= factor < 1.0 for factor in scaled.values())
    known = {slug: share for slug, share in found.items() if share.started >= MIN_STARTED}
    assert not known or known.keys() - scaled.keys()
    assert all(found[slug].started >= MIN_STARTED for slug in scaled)
    best = max(known, key=lambda slug: known[slug].lower(CERTAIN), default=None)
    assert best not in scaled


@given(accounts, st.integers(MIN_STARTED, 5000), st.data())
def test_one_more_approval_never_costs_an_account_weight(found, started: int, data) -> None:
    approved = data.draw(st.integers(0, started - 1))
    before = factors(found | {"x": Share(started, approved)}).get("x", 1.0)
    after = factors(found | {"x": Share(started, approved + 1)}).get("x", 1.0)

    assert after >= before


@given(accounts, st.integers(0, MIN_STARTED - 1), st.data())
def test_few_verifications_of_an_account_change_nothing(found, started: int, data) -> None:
    assume("x" not in found)
    few = Share(started, data.draw(st.integers(0, started)))

    assert factors(found | {"x": few}) == factors(found)


@pytest.mark.parametrize(
    ("now", "usual", "collapsed"),
    [
        (Share(30, 0), GOOD, True),
        (Share(29, 0), GOOD, False),
        (Share(30, 3), GOOD, False),
        (Share(200, 40), GOOD, True),
        (Share(200, 0), Share(99, 99), False),
        (Share(200, 100), GOOD, False),
    ],
)
def test_a_collapse(now: Share, usual: Share, collapsed: bool) -> None:
    assert has_collapsed(now, usual) is collapsed


@pytest.mark.parametrize(
    ("share", "percent", "interval"),
    [
        (Share(0, 0), "", "no verifications"),
        (Share(100, 74), "74 %", "between 65 and 82 %"),
        (Share(10, 10), "100 %", "between 72 and 100 %"),
        (Share(1_000_000, 500_000), "50 %", "about 50 %"),
        (Share(3, 4), "100 %", "between 44 and 100 %"),  # one was counted late
    ],
)
def test_in_words(share: Share, percent: str, interval: str) -> None:
    assert (percentage(share), interval_in_words(share)) == (percent, interval)


def test_what_is_missing() -> None:
    assert missing(Share(100, 20), GOOD) == 60
    assert missing(Share(100, 90), GOOD) == -10
    assert missing(Share(100, 90), Share()) == -90
