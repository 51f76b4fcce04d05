"""While Redis is away, everybody gets a harmless answer at once, and the log says so once."""

import logging
from datetime import timedelta

import pytest

from providers import breaker, health, limits, shared_state, standing
from providers.breaker import Permission
from providers.errors import Unavailable
from providers.limits import Wish
from providers.standing import UNKNOWN, Made
from tests.factories import NOW


@pytest.fixture
def away(settings, monkeypatch) -> shared_state._Link:
    """A link of its own to an address where nobody listens."""
    link = shared_state._Link()
    monkeypatch.setattr(shared_state, "_link", link)
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    return link


def test_every_account_counts_as_well(away) -> None:
    standing.record([Made("acme", Unavailable("down"), 5)] * 50, now=NOW)

    assert standing.read(["acme"], now=NOW) == {"acme": UNKNOWN}
    assert (UNKNOWN.factor, UNKNOWN.wait(NOW)) == (1.0, 0.0)


def test_nobody_waits_for_a_limit_or_a_circuit(away) -> None:
    assert limits.book("acme", 1, [Wish(1), Wish(1)], line="express", is_bulk=False) == [0.0, 0.0]
    assert limits.line_up("acme", 1, [Wish(1)], line="express", is_bulk=False) == [1.0]
    assert [limits.leave("acme", 1, 1) for _ in range(3)] == [0.0] * 3
    assert breaker.ask("acme", now=0) is Permission.ORDINARY
    assert [each.calls for each in health.windows(["acme"], now=1e9, minutes=[1, 15])["acme"]] == [0, 0]


def test_an_operators_act_says_that_it_did_not_happen(away) -> None:
    assert breaker.hold_open("acme", reason="x", now=0) is False
    assert standing.reset("acme", now=NOW) is False


def test_it_is_said_once_when_it_goes_and_once_when_it_is_back(away, settings, monkeypatch, caplog) -> None:
    given = settings.REDIS_URL
    with caplog.at_level(logging.WARNING):
        for second in range(100):
            standing.read(["acme"], now=NOW + timedelta(seconds=2 * second))
    assert [record.getMessage() for record in caplog.records] == [
        "Redis is away (ConnectionError): routing by the configured weights, without circuits and limits"
    ]

    caplog.clear()
    assert given.endswith(":9/0")
    monkeypatch.setattr(shared_state, "ASK_AGAIN_AFTER", 0.0)
    monkeypatch.setattr(away, "_ask_again_at", 0.0)
    for _ in range(3):
        assert shared_state.ask(lambda _client: "here", otherwise="") == "here"

    assert [record.getMessage() for record in caplog.records] == [
        "Redis is back: routing by health, circuits and limits again"
    ]


def test_after_a_failure_nobody_knocks_for_a_while(away) -> None:
    knocks = []

    def knock(_client) -> str:
        knocks.append(1)
        raise ConnectionError("swallowed")

    assert [shared_state.ask(knock, otherwise="no") for _ in range(5)] == ["no"] * 5
    assert len(knocks) == 1
