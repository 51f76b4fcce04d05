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
PAIRS = [pytest.param(a, b, id=f"{a}-{b}") for a, b in itertools.product(Status, repeat=2)]


@pytest.mark.parametrize(("current", "target"), PAIRS)
def test_the_system_makes_exactly_the_moves_of_the_table(current: Status, target: Status) -> None:
    expected = target in SYSTEM[current].split()

    assert states.may_move(current, target, by_operator=False) is expected


@pytest.mark.parametrize(("current", "target"), PAIRS)
def test_an_operator_only_puts_back_what_ended_badly_or_says_what_became(current: Status, target: Status) -> None:
    expected = target in OPERATOR.get(current, "").split()

    assert states.may_move(current, target, by_operator=True) is expected


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
