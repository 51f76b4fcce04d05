import threading
from dataclasses import dataclass

import pytest

from messaging.services.snapshots import SnapshotMemory


@dataclass
class Rules:
    number: int = 0
    read_at: float = 0.0


class Source:
    """Counts the reads; `during` is called within each."""

    def __init__(self) -> None:
        self.reads = 0
        self.seconds = 1_000.0
        self.during = lambda: None
        self.memory = SnapshotMemory(Rules(), self.read, seconds=lambda: self.seconds)

    def read(self, last: Rules) -> Rules:
        self.reads += 1
        self.during()
        return Rules(last.number + 1)


@pytest.fixture
def source() -> Source:
    return Source()


def test_it_is_read_once_until_it_is_too_old(source: Source) -> None:
    assert [source.memory.fresh().number for _ in range(3)] == [1, 1, 1]

    source.seconds = 0.0
    assert source.memory.fresh().number == 2
    assert source.memory.last().number == 2
    assert source.reads == 2


def test_it_is_read_again_after_a_change(source: Source) -> None:
    source.memory.fresh()
    source.memory.expire()

    assert source.memory.fresh().number == 2


def test_a_change_during_a_read_is_not_missed(source: Source) -> None:
    source.during = source.memory.expire
    source.memory.fresh()
    source.during = lambda: None

    assert source.memory.fresh().number == 2
    assert source.memory.fresh().number == 2


def test_one_that_is_returned_unchanged_is_fresh_again() -> None:
    reads = []

    def same(last: Rules) -> Rules:
        reads.append(last)
        return last

    memory = SnapshotMemory(Rules(7), same, seconds=lambda: 1_000.0)

    assert memory.fresh() is memory.fresh()
    memory.expire()
    assert memory.fresh().number == 7
    assert len(reads) == 2


def test_of_many_threads_one_reads(source: Source) -> None:
    begun = threading.Barrier(8, timeout=20)
    found = []

    def ask() -> None:
        begun.wait()
        found.append(source.memory.fresh().number)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)

    assert found == [1] * 8
    assert source.reads == 1


def test_a_failing_read_leaves_the_last_one(source: Source) -> None:
    source.memory.fresh()
    source.memory.expire()

    def fail() -> None:
        raise LookupError

    source.during = fail
    with pytest.raises(LookupError):
        source.memory.fresh()
    assert source.memory.last().number == 1
    source.during = lambda: None
    assert source.memory.fresh().number == 2


def test_what_is_used_is_what_is_fresh(source: Source) -> None:
    source.memory.use(Rules(9, read_at=1e12))

    assert source.memory.fresh().number == 9
    assert source.reads == 0
