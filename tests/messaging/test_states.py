"""The whole table of moves: what is allowed, and that nothing else is."""

import itertools

import pytest

from messaging import states
from messaging.states import Status

SYSTEM = {
    "scheduled": "queued canceled failed",
    "queued": "sending canceled failed delivered",
    "sending": "sent queued failed unknown delivered undelivered canceled",
    "sent": "delivered undelivered failed canceled",
    "unknown": "sent delivered undelivered failed canceled",
    "delivered": "",
    "undelivered": "",
    "failed": "",
    "canceled": "",
    "received": "stored",
    "stored": "processed",
    "processed": "",
}
OPERATOR = {"failed": "queued", "undelivered": "queued", "unknown": "queued delivered failed"}
PAIRS = list(itertools.product(Status, repeat=2))


def test_the_system_makes_exactly_the_moves_of_the_table(subtests: pytest.Subtests) -> None:
    for current, target in PAIRS:
        with subtests.test(current=current, target=target):
            expected = target in SYSTEM[current].split()
            assert states.can_transition(current, target, by_operator=False) is expected


def test_an_operator_only_puts_back_what_ended_badly_or_says_what_became(subtests: pytest.Subtests) -> None:
    for current, target in PAIRS:
        with subtests.test(current=current, target=target):
            expected = target in OPERATOR.get(current, "").split()
            assert states.can_transition(current, target, by_operator=True) is expected


def test_final_statuses_are_those_that_the_system_never_leaves() -> None:
    stuck = {status for status in Status if not states.SYSTEM_MOVES[status]}

    assert stuck == states.FINAL


def test_every_status_belongs_to_one_direction() -> None:
    assert set(Status) == states.OUTBOUND | states.INBOUND
    assert not states.OUTBOUND & states.INBOUND


@pytest.mark.parametrize("group", [states.OUTBOUND, states.INBOUND])
def test_no_move_changes_the_direction(group: frozenset[Status]) -> None:
    targets = {target for status in group for target in states.SYSTEM_MOVES[status]}

    assert targets <= group
