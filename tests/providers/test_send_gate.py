"""The gate is asked before each call, and counts the tries of one call once."""

import pytest

from providers import send_gate
from providers.errors import NotCalled
from providers.send_gate import RetryAfter, check_gate


class Gate:
    """Lets everything pass and keeps what it was asked, unless a wait is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waits = 0.0

    def __call__(self) -> float:
        self.asked.append("gate")
        return self.waits

    def recheck(self) -> None:
        self.asked.append("recheck")


def test_without_a_gate_everything_may_be_called() -> None:
    check_gate()
    with send_gate.one_call():
        check_gate()


def test_each_call_is_counted() -> None:
    gate = Gate()

    with send_gate.through(gate, recheck=gate.recheck):
        check_gate()
        check_gate()

    check_gate()
    assert gate.asked == ["gate", "gate"]


def test_the_tries_of_one_call_are_counted_once_and_checked_each() -> None:
    gate = Gate()

    with send_gate.through(gate, recheck=gate.recheck):
        with send_gate.one_call():
            check_gate()
            check_gate()
            check_gate()
        with send_gate.one_call():
            check_gate()
        check_gate()

    assert gate.asked == ["gate", "recheck", "recheck", "gate", "gate"]


def test_a_call_that_has_to_wait_is_not_counted() -> None:
    gate = Gate()

    with send_gate.through(gate, recheck=gate.recheck), send_gate.one_call():
        gate.waits = 2.5
        with pytest.raises(RetryAfter) as caught:
            check_gate()
        gate.waits = 0.0
        check_gate()

    assert caught.value.seconds == 2.5
    assert gate.asked == ["gate", "gate"]


def test_a_further_try_is_not_made_when_the_call_must_not_be_made_any_more() -> None:
    gate = Gate()

    def refuse() -> None:
        raise NotCalled("its claim ended before the call")

    with send_gate.through(gate, recheck=refuse), send_gate.one_call():
        check_gate()
        with pytest.raises(NotCalled):
            check_gate()

    assert gate.asked == ["gate"]
