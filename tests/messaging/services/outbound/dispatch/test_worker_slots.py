"""A worker reserves some threads: other queues share a limited number of slots, in turn."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from messaging.services.outbound.dispatch.worker_slots import SLOT_SECONDS, Slot, SlotPool


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pool_of(count: int, clock: Clock) -> SlotPool:
    return SlotPool(count, clock=clock)


def acquired(pool: SlotPool, queue_name: str) -> Slot:
    slot = pool.acquire(queue_name)
    assert slot is not None
    return slot


def test_there_are_no_more_slots_than_the_count(clock) -> None:
    pool = pool_of(2, clock)

    assert [pool.acquire(name) is not None for name in "abc"] == [True, True, False]


def test_concurrent_requests_get_no_more_slots(clock) -> None:
    pool = pool_of(4, clock)

    with ThreadPoolExecutor(16) as threads:
        slots = list(threads.map(lambda n: pool.acquire(f"queue{n}"), range(64)))

    assert sum(slot is not None for slot in slots) == 4


def test_a_released_slot_goes_to_the_queue_that_waited_longest(clock) -> None:
    pool = pool_of(1, clock)
    first, *others = [pool.acquire(name) for name in "abcb"]

    assert others == [None] * 3
    assert pool.release("a", first) == ["b"]
    assert pool.release("b", acquired(pool, "b")) == ["c"]
    assert pool.release("c", acquired(pool, "c")) == []


def test_a_slot_does_not_expire_while_no_queue_waits(clock) -> None:
    pool = pool_of(1, clock)
    slot = acquired(pool, "a")

    clock.now = 1000 * SLOT_SECONDS

    assert slot.may_go_on()
    assert pool.release("a", slot) == []


def test_a_slot_expires_after_its_time_when_another_queue_waits_and_stays_expired(clock) -> None:
    pool = pool_of(2, clock)
    slot, other = acquired(pool, "a"), acquired(pool, "b")
    pool.acquire("c")

    clock.now = SLOT_SECONDS - 0.01
    assert slot.may_go_on()
    clock.now = SLOT_SECONDS
    assert not slot.may_go_on()
    assert pool.release("b", other) == ["c"]
    assert not slot.may_go_on()


def test_a_queue_whose_slot_expired_waits_behind_the_others(clock) -> None:
    pool = pool_of(1, clock)
    slot, *_ = [pool.acquire(name) for name in "abc"]
    clock.now = SLOT_SECONDS
    assert not slot.may_go_on()

    assert pool.release("a", slot) == ["b"]
    assert pool.release("b", acquired(pool, "b")) == ["c"]
    assert pool.release("c", acquired(pool, "c")) == ["a"]


def test_as_many_queues_are_notified_as_there_are_free_slots(clock) -> None:
    pool = pool_of(1, clock)
    slot, *_ = [pool.acquire(name) for name in "abcd"]

    pool.count = 3

    assert pool.release("a", slot) == ["b", "c", "d"]


def test_a_lower_count_interrupts_no_run(clock) -> None:
    pool = pool_of(2, clock)
    first, second, _ = [pool.acquire(name) for name in "abc"]

    pool.count = 1

    assert pool.release("a", first) == []
    assert pool.release("b", second) == ["c"]
