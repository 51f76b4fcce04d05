"""SMS pumping: what is an alert, and that small numbers, a new installation and a success are none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.policy.pumping import (
    MIN_CODES,
    MIN_STARTED,
    CodeVolume,
    Figures,
    Share,
    holds,
    judge,
    prefix_of,
)

USUAL = Share(1000, 800)
OLD = 30.0
shares = st.builds(lambda n, k: Share(n, min(n, k)), st.integers(0, 5000), st.integers(0, 5000))
volumes = st.builds(CodeVolume, st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 50_000))
figures = st.builds(
    Figures, now=shares, usual=shares, usual_of_all=shares, volumes=st.tuples(volumes), days=st.floats(0, 60)
)


@pytest.mark.parametrize(
    ("found", "is_alert"),
    [
        # Few of many are confirmed, where 80 % is usual.
        (Figures(now=Share(200, 2), usual=USUAL), True),
        (Figures(now=Share(200, 40), usual=USUAL), True),
        (Figures(now=Share(200, 100), usual=USUAL), False),
        (Figures(now=Share(200, 160), usual=USUAL), False),
        (Figures(now=Share(30, 0), usual=USUAL), True),
        (Figures(now=Share(29, 0), usual=USUAL), False),
        (Figures(now=Share(30, 3), usual=USUAL), False),  # it could be chance
        # A prefix that is new is compared with all others; one of which little is usual is not.
        (Figures(now=Share(200, 2), usual_of_all=USUAL), True),
        (Figures(now=Share(200, 2), usual=Share(99, 90), usual_of_all=Share(499, 400)), False),
        (Figures(now=Share(200, 20), usual=Share(1000, 100), usual_of_all=USUAL), False),
        # A new installation has nothing to compare with.
        (Figures(now=Share(5000, 0), days=0.5), False),
        # Many codes, without verifications.
        (Figures(volumes=(CodeVolume(200, 20, 500),), days=OLD), True),
        (Figures(volumes=(CodeVolume(200, 70, 500),), days=OLD), False),  # not three times the busiest hour
        (Figures(volumes=(CodeVolume(49, 0, 0),), days=OLD), False),
        (Figures(volumes=(CodeVolume(200, 0, 5000),), days=OLD), False),  # little of what the owner sends
        (Figures(volumes=(CodeVolume(200, 0, 0),), days=2.9), False),
        (Figures(volumes=(CodeVolume(1, 0, 0), CodeVolume(300, 1, 10)), days=OLD), True),
        # Many codes that are confirmed as usual are a success.
        (Figures(now=Share(200, 160), usual=USUAL, volumes=(CodeVolume(200, 20, 500),), days=OLD), False),
    ],
)
def test_what_is_an_alert(found: Figures, is_alert: bool) -> None:
    assert bool(judge(found)) is is_alert


@given(figures)
def test_small_numbers_are_never_an_alert(found: Figures) -> None:
    few = replace(
        found,
        now=Share(min(found.now.started, MIN_STARTED - 1), min(found.now.approved, MIN_STARTED - 1)),
        volumes=tuple(replace(each, codes=min(each.codes, MIN_CODES - 1)) for each in found.volumes),
    )
    assert judge(few) == ""


@given(figures)
def test_a_new_installation_is_quiet(found: Figures) -> None:
    assert judge(replace(found, usual=Share(), usual_of_all=Share(), days=0.0)) == ""


@given(figures, st.integers(1, 5000))
def test_more_approvals_never_make_an_alert_and_more_codes_never_end_one(found: Figures, more: int) -> None:
    if not judge(replace(found, volumes=())):
        better = Share(found.now.started, min(found.now.started, found.now.approved + more))
        assert judge(replace(found, volumes=(), now=better)) == ""
    if judge(found):
        louder = tuple(replace(each, codes=each.codes + more) for each in found.volumes)
        assert judge(replace(found, volumes=louder))


@given(shares, st.floats(0.5, 6))
def test_the_ends_of_the_interval_enclose_the_share(share: Share, z: float) -> None:
    assert 0 <= share.lower(z) <= share.upper(z) <= 1
    if share.started:
        assert share.lower(z) - 1e-9 <= share.approved / share.started <= share.upper(z) + 1e-9


def test_approvals_that_are_late_are_no_more_than_all() -> None:
    assert Share(10, 14).upper(4) == 1.0


@pytest.mark.parametrize(
    ("number", "prefix"),
    [
        ("+6281234567890", "+62812"),
        ("+14155550101", "+1415"),
        ("+355661234567", "+355661"),
        ("+2101234567", "+2101234"),
    ],
)
def test_prefixes_are_the_calling_code_and_three_digits(number: str, prefix: str) -> None:
    assert prefix_of(number) == prefix
    assert prefix_of(number[:8]) == prefix  # as messages are counted


@pytest.mark.parametrize(
    ("configured", "is_held"),
    [
        ((), False),
        (("all",), True),
        (("+62",), True),
        (("+6281",), True),
        (("+63", "+880"), False),
        (("+628123",), False),
    ],
)
def test_which_prefixes_are_held(configured: tuple[str, ...], is_held: bool) -> None:
    assert holds("+62812", configured) is is_held
