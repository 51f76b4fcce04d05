"""While Redis is unavailable, every read has a harmless default."""

import pytest
from redis.exceptions import ResponseError

from providers.errors import Unavailable
from providers.state import account_state, circuit_breaker, health, rate_limit, shared_state
from providers.state.account_state import DEFAULT_STATE, CallResult
from providers.state.circuit_breaker import Permission
from providers.state.rate_limit import SlotRequest
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("no_redis")


def test_every_account_counts_as_healthy() -> None:
    account_state.record([CallResult("acme", Unavailable("down"), 5)] * 50, now=NOW)

    assert account_state.cached(["acme"], now=NOW) == {"acme": DEFAULT_STATE}
    assert (DEFAULT_STATE.factor, DEFAULT_STATE.wait(NOW)) == (1.0, 0.0)


def test_no_call_waits_for_a_limit_or_a_circuit() -> None:
    assert rate_limit.reserve("acme", 1, [SlotRequest(1), SlotRequest(1)], line="express", is_bulk=False) == [0.0, 0.0]
    assert rate_limit.queue_delay("acme", 1, [SlotRequest(1)], line="express", is_bulk=False) == [1.0]
    assert [rate_limit.acquire("acme", 1, 1) for _ in range(3)] == [0.0] * 3
    assert circuit_breaker.request_permission("acme", now=0) is Permission.ORDINARY
    assert [each.calls for each in health.windows(["acme"], now=1e9, minutes=[1, 15])["acme"]] == [0, 0]


def test_an_operators_action_fails() -> None:
    assert circuit_breaker.hold_open("acme", reason="x", now=0) is False
    assert account_state.reset("acme", now=NOW) is False


def test_a_command_that_redis_refuses_is_logged_and_has_the_default(caplog) -> None:
    def refused(_client: object) -> str:
        raise ResponseError("OOM command not allowed")

    assert [shared_state.ask(refused, otherwise="no") for _ in range(2)] == ["no"] * 2
    assert caplog.messages == ["Redis refused a command (ResponseError)"] * 2
