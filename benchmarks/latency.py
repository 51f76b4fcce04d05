"""Time from the response of an accepted message to the call that the carrier receives, while nothing else happens.

    python -m benchmarks.latency [--against REV] [--rounds 5]

200 single messages, with pauses, through web, worker and beat of the Procfile.
"""

import contextlib
import functools
import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator

from benchmarks.bench import Bench, command
from benchmarks.builds import Run
from benchmarks.processes import wait_until
from benchmarks.report import Report
from benchmarks.rounds import Measured, interleaved, percentile

NAME = "latency"
MESSAGES = 200
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.15


def measure(bench: Bench) -> Report:
    report, each = Report(), bench.options.few(MESSAGES) // bench.options.rounds
    collected: dict[str, list[float]] = {}
    with contextlib.ExitStack() as opened:
        sides: dict[str, Callable[[], Measured]] = {}
        for build in bench.builds:
            url = opened.enter_context(build.copy())
            run = opened.enter_context(build.run("web", "worker", "beat", database_url=url))
            collected[build.name] = []
            sides[build.name] = functools.partial(
                wait_for_calls, bench, run, itertools.count(), collected[build.name], count=each
            )
        report.rounds = interleaved(sides, rounds=bench.options.rounds)
    kept = {side: numbers[each:] for side, numbers in collected.items()}  # without those of the warm-up
    report.rows = {
        f"latency_p{percent}": bench.by_build(lambda side, p=percent: percentile(kept[side], p))  # type: ignore[misc]
        for percent in (50, 99)
    }
    return report


def wait_for_calls(bench: Bench, run: Run, numbers: Iterator[int], collected: list[float], *, count: int) -> Measured:
    """Milliseconds; 0 where the call came before the response."""
    bench.carrier.reset()
    accepted: dict[str, float] = {}
    for index in itertools.islice(numbers, count):
        body = {"to": f"+1415{2_000_000 + index}", "message": "Your code is 123456"}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answer = run.session.post(f"{run.url}/api/v1/messages/", json=body, headers=key, timeout=30)
        answer.raise_for_status()
        accepted[answer.json()["id"]] = time.monotonic()
        time.sleep(random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))
    wait_until(lambda: bench.carrier.count() == count, seconds=60, what="all messages are sent")
    called = {call.content["reference"]: call.at for call in bench.carrier.calls()}
    waits = [max(0.0, called[message] - at) * 1000 for message, at in accepted.items()]
    collected.extend(waits)
    return {"p50_ms": percentile(waits, 50), "p99_ms": percentile(waits, 99)}


if __name__ == "__main__":
    command(NAME, measure, __doc__)
