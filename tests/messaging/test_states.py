"""The whole table of transitions, and the sets of statuses: complete, and without overlap."""

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
# What a receipt may also do after another receipt.
CORRECTIONS = {
    "delivered": "undelivered failed canceled",
    "undelivered": "delivered",
    "failed": "delivered undelivered",
    "canceled": "delivered undelivered failed",
}
PAIRS = list(itertools.product(Status, repeat=2))


def test_the_system_makes_exactly_the_transitions_of_the_table(subtests: pytest.Subtests) -> None:
    for current, target in PAIRS:
        with subtests.test(current=current, target=target):
            expected = target in SYSTEM[current].split()
            assert states.can_transition(current, target, by_operator=False) is expected


def test_a_receipt_corrects_exactly_the_transitions_of_the_table(subtests: pytest.Subtests) -> None:
    for current, target in PAIRS:
        with subtests.test(current=current, target=target):
            expected = target in f"{SYSTEM[current]} {CORRECTIONS.get(current, '')}".split()
            assert states.can_transition(current, target, by_operator=False, corrects_receipt=True) is expected


def test_an_operator_only_requeues_or_resolves_what_ended_badly(subtests: pytest.Subtests) -> None:
    for current, target in PAIRS:
        with subtests.test(current=current, target=target):
            expected = target in OPERATOR.get(current, "").split()
            assert states.can_transition(current, target, by_operator=True) is expected


def test_final_statuses_are_those_that_the_system_never_leaves() -> None:
    terminal = {status for status in Status if not states.SYSTEM_TRANSITIONS[status]}

    assert terminal == states.FINAL


def test_every_status_belongs_to_one_direction() -> None:
    assert set(Status) == states.OUTBOUND | states.INBOUND
    assert not states.OUTBOUND & states.INBOUND


@pytest.mark.parametrize("group", [states.OUTBOUND, states.INBOUND])
def test_no_transition_changes_the_direction(group: frozenset[Status]) -> None:
    targets = {target for status in group for target in states.SYSTEM_TRANSITIONS[status]}

    assert targets <= group


def test_an_outbound_status_is_unsent_or_sent_or_an_ending() -> None:
    assert states.UNSENT | {Status.SENT} | set(states.OUTBOUND_ENDINGS) == states.OUTBOUND
    assert states.UNSENT.isdisjoint({Status.SENT, *states.OUTBOUND_ENDINGS})


def test_an_inbound_status_is_open_or_final() -> None:
    assert set(states.INBOUND_OPEN) == states.INBOUND - states.FINAL


def test_sets_agree_with_the_transitions() -> None:
    assert {
        status for status in Status if Status.QUEUED in states.OPERATOR_TRANSITIONS.get(status, ())
    } == states.RETRYABLE
    assert all(Status.CANCELED in states.SYSTEM_TRANSITIONS[status] for status in states.CANCELABLE)
    assert states.FINAL.isdisjoint(states.NOT_ENDED)
    assert states.FINAL.issuperset(states.DELIVERY_OUTCOMES)
    assert states.NOT_ENDED.issuperset(states.IN_QUEUE)
