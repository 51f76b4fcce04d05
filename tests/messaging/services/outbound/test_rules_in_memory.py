"""Rules that each process keeps in memory: of the threads that need them at once, one reads them."""

import time
from threading import Barrier, Event, Thread

import pytest

from messaging.services.limits import rules
from messaging.services.outbound import hours, sender_rules


@pytest.mark.parametrize(
    ("module", "memory", "snapshot"),
    [
        (hours, "_Memory", hours.Snapshot),
        (rules, "_Memory", rules.LimitRules),
        (sender_rules, "_RulesInMemory", sender_rules.SenderRules),
    ],
)
def test_one_thread_reads_for_all(monkeypatch, module, memory: str, snapshot) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 2.0)
    found, threads = [], 8
    begun, reads, kept = Barrier(threads), [], getattr(module, memory)()
    all_begun = Event()

    def read(*_):
        reads.append(1)
        all_begun.wait(5)
        read = snapshot(read_at=time.monotonic())
        kept.use(read)
        return read

    if module is sender_rules:
        monkeypatch.setattr(module, "_read", read)
    else:
        monkeypatch.setattr(kept, "read", read)

    def need() -> None:
        begun.wait(5)
        all_begun.set()
        found.append(kept.fresh())

    workers = [Thread(target=need) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)

    assert len(reads) == 1
    assert len(found) == threads
    assert len({id(each) for each in found}) == 1
