"""A round collects the accounts tried and what they asked for."""

from uuid import UUID

import pytest

from messaging.services.outbound.dispatch.rounds import Round
from providers.errors import CredentialsRefused, NotCalled, RateLimited, Unavailable

CLAIM = UUID(int=1)
SLOW_DOWN = RateLimited("slow down")


def after(*errors: Unavailable) -> Round:
    """The round when one account after the other has failed with these errors."""
    current = Round(CLAIM)
    for number, error in enumerate(errors):
        current = current.with_attempt(f"account{number}").after(error)
    return current


def test_a_round_keeps_its_claim_and_collects_the_accounts() -> None:
    last = after(SLOW_DOWN, Unavailable("down"))

    assert (last.claim_id, last.tried) == (CLAIM, {"account0", "account1"})


@pytest.mark.parametrize(
    ("retry_afters", "expected"),
    [
        ([77], 77),
        ([0], None),
        ([None], None),
        ([77, 11], 11),
        ([11, 77], 11),
        ([3600, None], None),
        ([None, 3600], None),
        ([0, 3600], None),
        ([600, None, 900], None),
        ([900, 600, 700], 600),
    ],
    ids=str,
)
def test_the_earliest_retry_after_counts_if_all_accounts_asked_for_one(retry_afters, expected: float | None) -> None:
    assert after(*(Unavailable("down", retry_after=value) for value in retry_afters)).retry_after == expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([SLOW_DOWN], True),
        ([SLOW_DOWN, NotCalled("paused")], True),
        ([Unavailable("down")], False),
        ([SLOW_DOWN, CredentialsRefused("no")], False),
        ([Unavailable("down"), SLOW_DOWN], False),
    ],
    ids=["limited", "limited, not called", "down", "limited, refused", "down, limited"],
)
def test_only_rate_limits_and_calls_not_made_do_not_count_as_failures(errors, expected: bool) -> None:
    assert after(*errors).only_rate_limited is expected
