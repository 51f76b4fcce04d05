"""Not all threads of a worker are for queues, and those that are go round."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from messaging.services.outbound.dispatch.worker_slots import TURN_SECONDS, SlotPool


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def places_of(count: int, clock: Clock) -> SlotPool:
    return SlotPool(count, clock=clock)


def test_there_are_only_so_many(clock) -> None:
    places = places_of(2, clock)

    assert [places.take(name) for name in "abc"] == [True, True, False]


def test_many_who_ask_at_once_get_no_more(clock) -> None:
    places = places_of(4, clock)

    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(lambda n: places.take(f"queue{n}"), range(64)))

    assert given.count(True) == 4


def test_a_place_that_is_free_again_is_for_who_waited_longest(clock) -> None:
    places = places_of(1, clock)
    for name in "abcb":
        places.take(name)

    assert places.give_back("a", places.turn()) == ["b"]
    assert places.take("b")
    assert places.give_back("b", places.turn()) == ["c"]
    assert places.take("c")
    assert places.give_back("c", places.turn()) == []


def test_a_turn_has_no_end_while_nobody_waits(clock) -> None:
    places = places_of(1, clock)
    places.take("a")
    turn = places.turn()

    clock.now = 1000 * TURN_SECONDS

    assert turn.may_go_on()
    assert places.give_back("a", turn) == []


def test_it_ends_after_its_time_when_another_queue_waits_and_then_for_good(clock) -> None:
    places = places_of(2, clock)
    places.take("a")
    turn = places.turn()
    places.take("b")
    places.take("c")

    clock.now = TURN_SECONDS - 0.01
    assert turn.may_go_on()
    clock.now = TURN_SECONDS
    assert not turn.may_go_on()
    assert places.give_back("b", places.turn()) == ["c"]
    assert not turn.may_go_on()


def test_a_queue_whose_turn_is_over_comes_again_behind_the_others(clock) -> None:
    places = places_of(1, clock)
    for name in "abc":
        places.take(name)
    turn = places.turn()
    clock.now = TURN_SECONDS
    assert not turn.may_go_on()

    assert places.give_back("a", turn) == ["b"]
    places.take("b")
    assert places.give_back("b", places.turn()) == ["c"]
    places.take("c")
    assert places.give_back("c", places.turn()) == ["a"]


def test_as_many_are_rung_for_as_there_are_places(clock) -> None:
    places = places_of(1, clock)
    for name in "abcd":
        places.take(name)

    places.count = 3

    assert places.give_back("a", places.turn()) == ["b", "c", "d"]


def test_fewer_places_stop_nobody_who_has_one(clock) -> None:
    places = places_of(2, clock)
    for name in "abc":
        places.take(name)

    places.count = 1

    assert places.give_back("a", places.turn()) == []
    assert places.give_back("b", places.turn()) == ["c"]
