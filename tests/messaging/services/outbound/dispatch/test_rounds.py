"""A round collects the accounts tried and what they asked for."""

from uuid import UUID

import pytest

from messaging.services.outbound.dispatch.rounds import Round
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    NotCalled,
    OutOfCredit,
    RateLimited,
    Refused,
    Unavailable,
)

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
        (["refused", 77], 77),
        ([77, "refused"], 77),
        (["refused", None, 77], None),
        (["refused"], None),
    ],
    ids=str,
)
def test_the_earliest_retry_after_counts_if_all_accounts_asked_for_one(retry_afters, expected: float | None) -> None:
    errors = [
        Refused("no", retry_after=5) if value == "refused" else Unavailable("down", retry_after=value)
        for value in retry_afters
    ]

    assert after(*errors).retry_after == expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([SLOW_DOWN], True),
        ([SLOW_DOWN, NotCalled("paused")], True),
        ([Unavailable("down")], False),
        ([SLOW_DOWN, CredentialsRefused("no")], False),
        ([Unavailable("down"), SLOW_DOWN], False),
        ([Refused("not this"), SLOW_DOWN], True),
        ([Refused("not this"), Unavailable("down")], False),
    ],
    ids=[
        "limited",
        "limited, not called",
        "down",
        "limited, credentials",
        "down, limited",
        "refused, limited",
        "refused, down",
    ],
)
def test_only_rate_limits_and_calls_not_made_do_not_count_as_failures(errors, expected: bool) -> None:
    assert after(*errors).only_rate_limited is expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([Refused("no")], True),
        ([AccountRefused("no"), OutOfCredit("no")], True),
        ([Refused("no"), Unavailable("down")], False),
        ([SLOW_DOWN, Refused("no")], False),
        ([NotCalled("paused")], False),
        ([CredentialsRefused("no")], False),
    ],
    ids=str,
)
def test_a_round_is_only_refused_if_each_account_refuses_the_message(errors, expected: bool) -> None:
    assert after(*errors).only_refused is expected


def test_a_probe_that_may_have_failed_for_the_account_is_no_refusal_of_its_message() -> None:
    probe = Round(CLAIM).with_attempt("acme")

    assert probe.after(Refused("no"), is_probe=True).only_refused
    assert not probe.after(OutOfCredit("no"), is_probe=True).only_refused
