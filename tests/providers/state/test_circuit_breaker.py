"""The circuit of an account: one for all workers, tried by one call at a time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    Misconfigured,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    Refused,
    Rejected,
    Unavailable,
)
from providers.state import account_state, circuit_breaker, redis_client
from providers.state.account_state import CallResult, CircuitChange
from providers.state.circuit_breaker import Circuit, Permission, Step
from tests.factories import NOW

DOWN = Unavailable("answered 500")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def calls(*errors, at: float = 0, probe: bool = False) -> list[CircuitChange]:
    return account_state.record([CallResult("acme", error, 10, probe) for error in errors], now=after(at))


def circuit(at: float) -> Circuit:
    found = account_state.fetch(["acme"], now=after(at))["acme"]
    return found.circuit.at(after(at).timestamp())


def ask(at: float) -> Permission:
    return circuit_breaker.request_permission("acme", now=after(at).timestamp())


def fail_open(at: float = 0) -> None:
    assert [change.step for change in calls(*[DOWN] * circuit_breaker.FAULT_THRESHOLD, at=at)] == [Step.OPENED]


@pytest.mark.parametrize("fault", [DOWN, OutcomeUnknown("no answer")], ids=lambda fault: type(fault).__name__)
def test_faults_in_a_row_open_it_for_five_seconds(fault) -> None:
    assert calls(*[fault] * 4) == []
    assert circuit(0) is Circuit.CLOSED

    assert calls(fault) == [CircuitChange("acme", Step.OPENED, f"{fault.error_code}: {fault.detail}")]

    assert [circuit(at) for at in (0, 4.9, 5)] == [Circuit.OPEN, Circuit.OPEN, Circuit.HALF_OPEN]


@pytest.mark.parametrize(
    "answer", [None, Rejected("not this one"), Refused("nor this")], ids=["accepted", "rejected", "refused"]
)
def test_an_answered_call_in_between_resets_the_count(answer) -> None:
    calls(*[DOWN] * 4)
    calls(answer)

    assert calls(*[DOWN] * 4) == []
    assert circuit(0) is Circuit.CLOSED


def test_a_limit_neither_fails_nor_ends_the_row() -> None:
    calls(*[RateLimited("slow down")] * 50)
    assert circuit(0) is Circuit.CLOSED

    calls(*[DOWN] * 4)
    calls(RateLimited("slow down"))
    assert [change.step for change in calls(DOWN)] == [Step.OPENED]


def test_faults_that_lie_far_apart_are_not_in_a_row() -> None:
    for at in range(0, 610, 61):
        assert calls(DOWN, at=at) == []


@pytest.mark.parametrize("error", [CredentialsRefused("401"), Misconfigured("no secret")], ids=lambda e: e.error_code)
def test_refused_credentials_open_it_at_once_and_need_an_operator(error) -> None:
    assert calls(None, error) == [CircuitChange("acme", Step.OPENED, f"{error.error_code}: {error.detail}", True)]

    assert circuit(4.9) is Circuit.OPEN


@pytest.mark.parametrize(
    "refusal", [Refused("400"), Rejected("no"), RecipientInvalid("no")], ids=lambda e: e.error_code
)
def test_refusals_of_texts_never_open_it(refusal) -> None:
    assert calls(*[refusal] * 19) == []

    assert circuit(0) is Circuit.CLOSED


class TestAccountRefused:
    """402 and 403 may be about the text, until different recipients in a row got them."""

    CREDIT = OutOfCredit("answered 402")

    def refused(self, *numbers: int, error=CREDIT, at: float = 0, probe: bool = False) -> list[CircuitChange]:
        results = [CallResult("acme", error, 10, probe, f"+1415555{number:04d}") for number in numbers]
        return account_state.record(results, now=after(at))

    @pytest.mark.parametrize("batches", [[(1, 2, 3, 4), (5,)], [(1,), (2,), (3,), (4,), (5,)]], ids=str)
    @pytest.mark.parametrize("error", [AccountRefused("403"), CREDIT], ids=lambda e: e.error_code)
    def test_five_recipients_in_a_row_open_it_and_need_an_operator(self, batches, error) -> None:
        *before, last = batches
        assert [self.refused(*numbers, error=error) for numbers in before] == [[]] * len(before)
        assert circuit(0) is Circuit.CLOSED

        expected = CircuitChange("acme", Step.OPENED, f"{error.error_code}: {error.detail}", needs_operator=True)
        assert self.refused(*last, error=error) == [expected]
        assert circuit(4.9) is Circuit.OPEN

    def test_one_recipient_does_not_open_it_however_often(self) -> None:
        for _ in range(3):
            assert self.refused(1, 2, 3, 4, 4, 4) == []

    @pytest.mark.parametrize("together", [True, False])
    def test_an_acceptance_ends_the_row(self, together: bool) -> None:
        self.refused(1, 2, 3, 4)
        if together:
            assert (
                account_state.record(
                    [CallResult("acme", None, 10), CallResult("acme", self.CREDIT, 10, recipient="+14155550005")],
                    now=NOW,
                )
                == []
            )
        else:
            calls(None)

        assert self.refused(6, 7, 8, 9) == []
        assert [change.step for change in self.refused(10)] == [Step.OPENED]

    def test_other_refusals_and_faults_do_not_end_the_row(self) -> None:
        self.refused(1, 2, 3, 4)
        calls(Refused("no"), Rejected("no"), DOWN)

        assert [change.step for change in self.refused(5)] == [Step.OPENED]

    def test_a_probe_that_is_refused_again_keeps_it_open(self) -> None:
        self.refused(*range(5))
        assert ask(5) is Permission.PROBE
        assert self.refused(77, at=5, probe=True) == []
        assert (circuit(14.9), circuit(15)) == (Circuit.OPEN, Circuit.HALF_OPEN)

        assert [change.step for change in calls(None, at=15, probe=True)] == [Step.CLOSED]
        assert self.refused(1, 2, 3, 4, at=16) == []

    def test_a_probe_that_is_refused_closes_a_circuit_that_other_faults_have_opened(self) -> None:
        fail_open()

        assert [change.step for change in self.refused(1, at=5, probe=True)] == [Step.CLOSED]

    def test_a_reset_ends_the_row(self) -> None:
        self.refused(1, 2, 3, 4)
        account_state.reset("acme", now=NOW)

        assert self.refused(5, 6, 7, 8) == []

    def test_workers_that_report_at_once_open_it_once(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(self.refused, range(16)))

        assert [change.step for changes in found for change in changes] == [Step.OPENED]

    def test_redis_holds_no_number(self) -> None:
        self.refused(1, 2)

        client = redis_client.client()
        members = client.smembers(circuit_breaker._refused_key("acme"))
        assert len(members) == 2
        assert not [member for member in members if "415555" in member]
        assert 0 < client.ttl(circuit_breaker._refused_key("acme")) <= circuit_breaker.TTL_SECONDS


def test_exactly_one_probe_is_given_to_all_who_ask() -> None:
    fail_open()

    assert ask(4.9) is Permission.REFUSED
    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(lambda _: ask(5), range(64)))

    assert sorted(given) == [Permission.PROBE] + [Permission.REFUSED] * 63


def test_an_answered_probe_closes_the_circuit() -> None:
    fail_open()
    ask(5)

    assert calls(None, at=6, probe=True) == [CircuitChange("acme", Step.CLOSED)]

    assert circuit(6) is Circuit.CLOSED
    assert ask(6) is Permission.ORDINARY


def test_a_probe_that_is_told_to_slow_down_closes_it_too() -> None:
    fail_open()

    assert [change.step for change in calls(RateLimited("slow down"), at=6, probe=True)] == [Step.CLOSED]


def test_each_probe_that_fails_doubles_the_time_up_to_a_ceiling() -> None:
    fail_open()
    at, lengths = 0.0, []
    for _ in range(8):
        length = next(seconds for seconds in range(1, 400) if circuit(at + seconds) is Circuit.HALF_OPEN)
        lengths.append(length)
        at += length
        assert ask(at) is Permission.PROBE
        assert calls(DOWN, at=at, probe=True) == []

    assert lengths == [5, 10, 20, 40, 80, 160, 300, 300]


def test_one_that_opens_again_soon_goes_on_with_the_next_time() -> None:
    fail_open()
    calls(None, at=6, probe=True)
    fail_open(at=100)
    assert (circuit(109), circuit(110)) == (Circuit.OPEN, Circuit.HALF_OPEN)

    calls(None, at=111, probe=True)
    fail_open(at=111 + circuit_breaker.REOPEN_WINDOW_SECONDS + 1)
    assert circuit(111 + circuit_breaker.REOPEN_WINDOW_SECONDS + 6) is Circuit.HALF_OPEN


def test_late_results_of_earlier_calls_change_nothing() -> None:
    fail_open()

    assert calls(None, None, DOWN, at=1) == []
    assert (circuit(4.9), circuit(5)) == (Circuit.OPEN, Circuit.HALF_OPEN)


def test_a_probe_whose_worker_died_is_given_again(monkeypatch) -> None:
    monkeypatch.setattr(
        circuit_breaker,
        "_REQUEST_PERMISSION",
        circuit_breaker._REQUEST_PERMISSION.replace(f"'EX', {circuit_breaker.PROBE_TIMEOUT_SECONDS}", "'PX', 1"),
    )
    fail_open()
    assert ask(5) is Permission.PROBE

    while ask(6) is not Permission.PROBE:
        pass


def test_a_probe_that_was_not_made_is_given_back() -> None:
    fail_open()
    ask(5)
    circuit_breaker.release_probe("acme")

    assert ask(5) is Permission.PROBE


def test_held_open_by_hand_it_stays_open() -> None:
    assert circuit_breaker.hold_open("acme", reason="contract ended", now=NOW.timestamp()) is True

    assert circuit(86_400) is Circuit.OPEN
    assert ask(86_400) is Permission.REFUSED
    assert calls(None, at=1, probe=True) == []
    assert circuit(2) is Circuit.OPEN
    found = account_state.fetch(["acme"], now=NOW)["acme"]
    assert (found.circuit.reason, found.circuit.is_held, found.wait(NOW)) == ("contract ended", True, 30.0)


@pytest.mark.parametrize(
    "opened", [fail_open, lambda: circuit_breaker.hold_open("acme", reason="x", now=NOW.timestamp())]
)
def test_closed_by_hand_it_is_as_new(opened) -> None:
    opened()
    assert account_state.reset("acme", now=NOW) is True

    assert (circuit(0), ask(0)) == (Circuit.CLOSED, Permission.ORDINARY)
    assert calls(*[DOWN] * 4) == []
