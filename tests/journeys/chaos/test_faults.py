"""Each fault with a few messages: none is lost or sent twice. `make chaos` plays them with many."""

from collections.abc import Iterator

import pytest

from tests.journeys.chaos.arena import Arena
from tests.journeys.chaos.scenarios import SCENARIOS, Scenario, play

pytestmark = pytest.mark.timeout(600)  # on a busy machine the start alone takes minutes


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


@pytest.mark.parametrize(
    "scenario", [each for each in SCENARIOS if not each.only_by_hand], ids=lambda scenario: scenario.name
)
def test_no_message_is_lost_and_none_is_sent_twice(arena: Arena, scenario: Scenario) -> None:
    if reason := scenario.left_out():
        pytest.skip(reason)

    row, wrong = play(arena, scenario, count=scenario.few)

    assert wrong == []
    assert (row.accepted, row.lost, row.twice) == (scenario.few, 0, 0)
