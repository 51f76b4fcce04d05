"""While Redis is unavailable every question has a harmless answer."""

import pytest
from redis.exceptions import ResponseError

from providers import breaker, health, limits, shared_state, standing
from providers.breaker import Permission
from providers.errors import Unavailable
from providers.limits import Wish
from providers.standing import UNKNOWN, Made
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("no_redis")


def test_every_account_counts_as_well() -> None:
    standing.record([Made("acme", Unavailable("down"), 5)] * 50, now=NOW)

    assert standing.read(["acme"], now=NOW) == {"acme": UNKNOWN}
    assert (UNKNOWN.factor, UNKNOWN.wait(NOW)) == (1.0, 0.0)


def test_nobody_waits_for_a_limit_or_a_circuit() -> None:
    assert limits.book("acme", 1, [Wish(1), Wish(1)], line="express", is_bulk=False) == [0.0, 0.0]
    assert limits.line_up("acme", 1, [Wish(1)], line="express", is_bulk=False) == [1.0]
    assert [limits.leave("acme", 1, 1) for _ in range(3)] == [0.0] * 3
    assert breaker.ask("acme", now=0) is Permission.ORDINARY
    assert [each.calls for each in health.windows(["acme"], now=1e9, minutes=[1, 15])["acme"]] == [0, 0]


def test_an_operators_act_says_that_it_did_not_happen() -> None:
    assert breaker.hold_open("acme", reason="x", now=0) is False
    assert standing.reset("acme", now=NOW) is False


def test_a_command_that_redis_refuses_is_logged_and_answered(caplog) -> None:
    def refused(_client: object) -> str:
        raise ResponseError("OOM command not allowed")

    assert [shared_state.ask(refused, otherwise="no") for _ in range(2)] == ["no"] * 2
    assert caplog.messages == ["Redis refused a command (ResponseError)"] * 2
