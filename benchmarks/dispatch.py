"""How fast one worker process sends a full queue, beside a bare `requests` loop to the same carrier.

    python -m benchmarks.dispatch [--against REV] [--rounds 5] [--seconds 3]

The carrier responds at once. Worker and beat run by the Procfile's commands, each round on a fresh copy of the same queue;
what counts is messages that are stored as sent. The loop makes its calls one after the other in one thread.
"""

import contextlib
import functools
import time
from collections.abc import Callable

import requests

from benchmarks.bench import Bench, command
from benchmarks.builds import Build, Run
from benchmarks.processes import wait_until
from benchmarks.queued import dispatching, queued
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, ratio

NAME = "dispatch"
MESSAGES = 5_000
POLL_SECONDS = 0.05
SENT = "sent"


def measure(bench: Bench) -> Report:
    report, seconds = Report(), bench.options.seconds
    with contextlib.ExitStack() as opened:
        sides: dict[str, Callable[[], Measured]] = {}
        for build in bench.builds:
            queue = opened.enter_context(queued(build, bench.options.few(MESSAGES)))
            sides[build.name] = functools.partial(dispatch, bench, build, queue=queue)
        sides["loop"] = functools.partial(loop, bench, seconds=seconds)
        report.rounds = interleaved(sides, rounds=bench.options.rounds, warm_up=0)
    found = report.rounds.medians()
    report.rows = {
        "dispatch_to_loop": bench.by_build(lambda side: ratio(found[side]["per_second"], found["loop"]["per_second"])),
        "dispatch_cpu_to_loop": bench.by_build(lambda side: ratio(found[side]["cpu_ms"], found["loop"]["cpu_ms"])),
    }
    return report


def dispatch(bench: Bench, build: Build, *, queue: str) -> Measured:
    with build.copy(of=queue) as url, dispatching(bench, build, url) as run:
        return sent_in(run, seconds=bench.options.seconds)


def sent_in(run: Run, *, seconds: float) -> Measured:
    """Messages a second that are stored as sent, and CPU of the worker for each, while the queue is not empty.

    Messages are stored in batches: both ends of the time are the end of one.
    """
    count = _after_next(run)
    before, begun = run.cpu(), time.monotonic()
    while time.monotonic() - begun < seconds and run.count("queued"):
        time.sleep(POLL_SECONDS)
    sent = _after_next(run) - count
    spent, elapsed = run.cpu().since(before), time.monotonic() - begun
    if not sent:
        raise RuntimeError("the queue was empty before the measurement began: it needs more messages")
    return {
        "per_second": sent / elapsed,
        "cpu_ms": spent["worker"] / sent * 1000,
        "postgresql_cpu_ms": spent["postgresql"] / sent * 1000,
    }


def _after_next(run: Run) -> int:
    """The number of messages that are stored as sent, as soon as there are more, or the queue is empty."""
    first = run.count(SENT)

    def next_are_stored() -> bool:
        return run.count(SENT) > first or not run.count("queued")

    wait_until(next_are_stored, seconds=60, what="messages are stored as sent", pause=POLL_SECONDS)
    return run.count(SENT)


def loop(bench: Bench, *, seconds: float) -> Measured:
    """Calls a second of one `requests.Session`, and CPU of this process for each."""
    bench.carrier.reset()
    body = {"to_number": "+14152000000", "message": "Your code is 123456", "reference": "x" * 36}
    with requests.Session() as session:
        session.trust_env = False
        calls, begun, cpu = 0, time.monotonic(), time.process_time()
        while time.monotonic() - begun < seconds:
            session.post(f"{bench.carrier.url}/provider1", json=body, timeout=10).raise_for_status()
            calls += 1
        return {
            "per_second": calls / (time.monotonic() - begun),
            "cpu_ms": (time.process_time() - cpu) / calls * 1000,
        }


if __name__ == "__main__":
    command(NAME, measure, __doc__)
